/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every transition of the initiator's state machines (RFC 7143 8.1, 8.2, 8.3), taken by the core in
 * the situation that the RFC names. What is asserted is what the core did, not what the tables say:
 * those have tests of their own. */
#include "irig_cmd.h"

#include "iscsi/istate.h"

#include <stdlib.h>
#include <string.h>

enum { LOST = 9, OTHER = 2 };

/* ---- situations ---- */

/* From here on it counts. */
static void mark(struct irig *r)
{
    r->sess->conn_steps = r->sess->sess_steps = 0;
}

static struct irig *join(struct irig *r)
{
    struct irig *c = irig_join(r, OTHER);
    irig_join_login(c, "MaxRecvDataSegmentLength=1024|");
    return c;
}

static void session_made(struct irig *r)
{
    assert_int_equal(iscsi_isess_new(&r->cfg, &r->alloc.a, &r->sess), 0);
}

static void connection_made(struct irig *r)
{
    session_made(r);
    assert_int_equal(iscsi_iconn_new(r->sess, LOST, r->now_ns, &r->conn), 0);
}

static void async(struct irig *r, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_async(bhs, 0, event, p1, p2, p3, 0);
    irig_send(r, bhs, true, NULL, 0);
}

static void logout_answer(struct irig *r, uint8_t response)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = bhs_itt(irig_expect(r, ISCSI_OP_LOGOUT_REQUEST).bhs);
    pdu_logout_response(bhs, itt, response, 0, 0);
    irig_send(r, bhs, true, NULL, 0);
}

/* The target asks for a logout; a command that is not done keeps it from coming. */
static void logout_asked(struct irig *r, struct irig_cmd *m)
{
    irig_make(m, 512, 0);
    assert_int_equal(iscsi_isess_submit(r->sess, &m->c), 0);
    irig_run(r);
    async(r, ISCSI_ASYNC_LOGOUT_REQUEST, 0, 0, 10);
    assert_string_equal(iscsi_iconn_state(r->conn), "S7 LOGOUT_REQUESTED");
}

/* The session is logged out on another connection. */
static void closed_by(struct irig *c)
{
    assert_int_equal(iscsi_isess_logout(c->sess, c->now_ns), 0);
    irig_run(c);
}

/* ---- the connection: each begins as its name says and ends with the step ---- */

static struct irig_cmd cmd;

static void t1(struct irig *r)
{
    session_made(r);
    mark(r);
    assert_int_equal(iscsi_iconn_new(r->sess, LOST, r->now_ns, &r->conn), 0);
}

static void t2(struct irig *r)
{
    connection_made(r);
    mark(r);
    iscsi_iconn_lost(r->conn, USAN_EIO);
    irig_run(r);
}

static void t4(struct irig *r)
{
    connection_made(r);
    mark(r);
    iscsi_iconn_connected(r->conn, r->now_ns);
}

static void t5(struct irig *r)
{
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|TargetPortalGroupTag=1|");
    mark(r);
    irig_login_rsp(r, 0x87, 0, IRIG_ERL("2"));
}

static void t7_refused(struct irig *r)
{
    irig_connect(r);
    mark(r);
    irig_login_rsp(r, 0, ISCSI_LOGIN_AUTH_FAILED, "");
}

static void t7_timeout(struct irig *r)
{
    irig_connect(r);
    mark(r);
    irig_tick(r, 10 * NS_PER_SEC);
}

static void t7_lost(struct irig *r)
{
    irig_connect(r);
    mark(r);
    iscsi_iconn_lost(r->conn, USAN_EIO);
    irig_run(r);
}

static void t8(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    struct irig *c = join(r);
    assert_int_equal(iscsi_iconn_logout(c->conn, r->now_ns), 0); /* not the first: reason 1 */
    irig_run(r);
    logout_answer(c, 0);
    assert_true(c->closed && !r->closed);
    iscsi_iconn_free(c->conn);
    c->conn = NULL;
    c = irig_join(r, OTHER + 1);
    irig_join_login(c, "MaxRecvDataSegmentLength=1024|");
    closed_by(r); /* the first connection carries the logout of the session */
    mark(r);
    logout_answer(r, 0);
    assert_string_equal(iscsi_iconn_state(c->conn), "S1 FREE");
}

static void t9(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    mark(r);
    assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), 0);
}

static void t10(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    logout_asked(r, &cmd);
    mark(r);
    assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), 0);
}

static void t11(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_make(&cmd, 512, 0);
    (void)irig_submit(r, &cmd);
    mark(r);
    async(r, ISCSI_ASYNC_LOGOUT_REQUEST, 0, 0, 10);
}

static void t12(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    logout_asked(r, &cmd);
    mark(r);
    async(r, ISCSI_ASYNC_LOGOUT_REQUEST, 0, 0, 10);
}

static void t13(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), 0);
    irig_run(r);
    mark(r);
    logout_answer(r, 0);
}

static void t14(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), 0);
    irig_run(r);
    mark(r);
    async(r, ISCSI_ASYNC_LOGOUT_REQUEST, 0, 0, 10);
}

static void t15(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    mark(r);
    iscsi_iconn_lost(r->conn, USAN_ECLOSED);
    irig_run(r);
}

static void t15_dropped(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    mark(r);
    async(r, ISCSI_ASYNC_DROP_SESSION, 0, 2, 20);
}

static void t16(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    logout_asked(r, &cmd);
    mark(r);
    iscsi_iconn_lost(r->conn, USAN_ECLOSED);
    irig_run(r);
}

static void t17(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), 0);
    irig_run(r);
    mark(r);
    irig_tick(r, 5 * NS_PER_SEC); /* no answer */
}

static void t17_refused(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), 0);
    irig_run(r);
    mark(r);
    logout_answer(r, 3);
}

static void t18(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    struct irig *c = irig_join(r, OTHER);
    irig_join_login(c, "MaxRecvDataSegmentLength=1024|");
    /* the second is asked to log out, and the session is closed on the first */
    irig_make(&cmd, 512, 0);
    static struct irig_cmd first;
    irig_make(&first, 512, 0);
    assert_int_equal(iscsi_isess_submit(r->sess, &first.c), 0);
    assert_int_equal(iscsi_isess_submit(r->sess, &cmd.c), 0);
    irig_run(r);
    async(c, ISCSI_ASYNC_LOGOUT_REQUEST, 0, 0, 10);
    assert_string_equal(iscsi_iconn_state(c->conn), "S7 LOGOUT_REQUESTED");
    closed_by(r);
    (void)irig_expect(r, ISCSI_OP_SCSI_COMMAND);
    mark(r);
    logout_answer(r, 0);
    assert_string_equal(iscsi_iconn_state(c->conn), "S1 FREE");
}

/* ---- cleanup, 8.2 ---- */

static void m1(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    mark(r);
    irig_tick(r, 20 * NS_PER_SEC); /* nobody comes */
}

static void m2(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    (void)join(r);
    irig_cut(r);
    mark(r);
    irig_tick(r, 2 * NS_PER_SEC); /* a logout on the other connection */
}

static void m2_login(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    mark(r);
    (void)irig_join(r, LOST); /* a login with its cid */
}

static void m3(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    struct irig *c = join(r);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    mark(r);
    logout_answer(c, 3);
}

static void m3_login(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    struct irig *c = irig_join(r, LOST);
    mark(r);
    irig_login_rsp(c, 0, ISCSI_LOGIN_SERVICE_UNAVAILABLE, "");
}

static void m4(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    struct irig *c = join(r);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    mark(r);
    logout_answer(c, 0);
}

static void m4_login(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    struct irig *c = irig_join(r, LOST);
    irig_login_rsp(c, 0x81, 0, "AuthMethod=None|TargetPortalGroupTag=1|");
    mark(r);
    irig_login_rsp(c, 0x87, 0, "MaxRecvDataSegmentLength=1024|");
}

/* ---- the session, 8.3 ---- */

static void n4(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    struct irig *c = irig_join(r, OTHER);
    irig_login_rsp(c, 0x81, 0, "AuthMethod=None|TargetPortalGroupTag=1|");
    mark(r);
    irig_login_rsp(c, 0x87, 0, "MaxRecvDataSegmentLength=1024|");
}

static void n6_reinstated(struct irig *r)
{
    irig_login(r, IRIG_ERL("2"));
    irig_cut(r);
    iscsi_isess_abandon(r->sess, USAN_ECANCELED, "enough");
    irig_run(r);
    struct irig *c = irig_join(r, LOST);
    irig_login_rsp(c, 0x81, 0, "AuthMethod=None|TargetPortalGroupTag=1|");
    mark(r);
    irig_login_rsp(c, 0x87, 0, IRIG_ERL("2"));
}

#define T(n) (1u << (n))
#define M(n) (1u << (20 + (n)))
#define N(n) (1u << (n))

static const struct {
    const char *name;
    void (*run)(struct irig *r);
    uint32_t conn, sess; /* what is taken, exactly */
    const char *conn_state, *sess_state;
} steps[] = {
    { "T1", t1, T(1), 0, "S2 XPT_WAIT", "Q1 FREE" },
    { "T2", t2, T(2), 0, "S1 FREE", "Q1 FREE" },
    { "T4", t4, T(4), 0, "S4 IN_LOGIN", "Q1 FREE" },
    { "T5, N1", t5, T(5), N(1), "S5 LOGGED_IN", "Q3 LOGGED_IN" },
    { "T7: refused", t7_refused, T(7), 0, "S1 FREE", "Q1 FREE" },
    { "T7: timed out", t7_timeout, T(7), 0, "S1 FREE", "Q1 FREE" },
    { "T7: lost", t7_lost, T(7), 0, "S1 FREE", "Q1 FREE" },
    { "T8, T13, N3", t8, T(8) | T(13), N(3), "S1 FREE", "Q1 FREE" },
    { "T9", t9, T(9), 0, "S6 IN_LOGOUT", "Q3 LOGGED_IN" },
    { "T10", t10, T(10), 0, "S6 IN_LOGOUT", "Q3 LOGGED_IN" },
    { "T11", t11, T(11), 0, "S7 LOGOUT_REQUESTED", "Q3 LOGGED_IN" },
    { "T12", t12, T(12), 0, "S7 LOGOUT_REQUESTED", "Q3 LOGGED_IN" },
    { "T13, N3", t13, T(13), N(3), "S1 FREE", "Q1 FREE" },
    { "T14", t14, T(14), 0, "S6 IN_LOGOUT", "Q3 LOGGED_IN" },
    { "T15, N5", t15, T(15), N(5), "S8 CLEANUP_WAIT", "Q4 FAILED" },
    { "T15: dropped", t15_dropped, T(15), N(5), "S8 CLEANUP_WAIT", "Q4 FAILED" },
    { "T16, N5", t16, T(16), N(5), "S8 CLEANUP_WAIT", "Q4 FAILED" },
    { "T17: no answer", t17, T(17), N(5), "S8 CLEANUP_WAIT", "Q4 FAILED" },
    { "T17: refused", t17_refused, T(17), N(5), "S8 CLEANUP_WAIT", "Q4 FAILED" },
    { "T18, T13, N3", t18, T(18) | T(13), N(3), "S1 FREE", "Q1 FREE" },
    { "M1, N6", m1, M(1), N(6), NULL, "Q1 FREE" },
    { "M2: logout", m2, M(2), 0, NULL, "Q3 LOGGED_IN" },
    { "M2: login", m2_login, T(1) | T(4) | M(2), 0, NULL, "Q4 FAILED" },
    { "M3: logout", m3, M(3), 0, NULL, "Q3 LOGGED_IN" },
    { "M3: login", m3_login, T(7) | M(3), 0, NULL, "Q4 FAILED" },
    { "M4: logout", m4, M(4), 0, NULL, "Q3 LOGGED_IN" },
    { "M4: login, N4", m4_login, T(5) | M(4), N(4), NULL, "Q3 LOGGED_IN" },
    { "N4, M2", n4, T(5) | M(2), N(4), NULL, "Q3 LOGGED_IN" },
    { "N6, N1", n6_reinstated, T(5), N(6) | N(1), NULL, "Q3 LOGGED_IN" },
};

static void each(void **st)
{
    (void)st;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct irig *r = irig_new();
        r->cfg.params.error_recovery_level = 2;
        steps[i].run(r);
        if (r->sess->conn_steps != steps[i].conn || r->sess->sess_steps != steps[i].sess)
            print_message("# %s\n", steps[i].name);
        assert_int_equal(r->sess->conn_steps, steps[i].conn);
        assert_int_equal(r->sess->sess_steps, steps[i].sess);
        assert_string_equal(iscsi_isess_state(r->sess), steps[i].sess_state);
        if (steps[i].conn_state)
            assert_string_equal(iscsi_iconn_state(r->conn), steps[i].conn_state);
        irig_free(r);
    }
}

static uint32_t bit(const char *name)
{
    unsigned n = name[0] == 'M' ? 20 : 0;
    return 1u << (n + (unsigned)strtoul(name + 1, NULL, 10));
}

/* What the tables have for this role, and what the cases above take. */
static void all(void **st)
{
    (void)st;
    uint32_t conn = 0, sess = 0, conn_all = 0, sess_all = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        conn |= steps[i].conn;
        sess |= steps[i].sess;
    }
    for (unsigned s = 0; s < ISCSI_CONN_STATE_COUNT; s++) {
        for (unsigned e = 0; e < ISCSI_CONN_EVENT_COUNT; e++) {
            enum iscsi_conn_state state = (enum iscsi_conn_state)s;
            const char *name;
            if (!iscsi_conn_fsm_step(&state, ISCSI_ROLE_INITIATOR, (enum iscsi_conn_event)e, &name))
                conn_all |= bit(name);
        }
    }
    for (unsigned s = 0; s < ISCSI_SESS_STATE_COUNT; s++) {
        for (unsigned e = 0; e < ISCSI_SESS_EVENT_COUNT; e++) {
            enum iscsi_sess_state state = (enum iscsi_sess_state)s;
            const char *name;
            if (!iscsi_sess_fsm_step(&state, ISCSI_ROLE_INITIATOR, (enum iscsi_sess_event)e, &name))
                sess_all |= bit(name);
        }
    }
    assert_int_equal(conn, conn_all);
    assert_int_equal(sess, sess_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each),
        cmocka_unit_test(all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
