/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state machines of the target role, run by the real core: every transition of the connection
 * (T), of its cleanup (M) and of the session (N) that a target can take is taken by the scenario
 * that has its name (RFC 7143 8.1 to 8.3).
 */
#include "terl_rig.h"

#include "iscsi/conn_fsm.h"
#include "iscsi/sess_fsm.h"

#include <stdlib.h>
#include <string.h>

/* "T5", "N5", "M2": as iscsi_tconn_transitions() and iscsi_tsess_transitions() give them. */
static uint32_t bit(const char *name)
{
    return UINT32_C(1) << ((name[0] == 'M' ? 20 : 0) + strtoul(name + 1, NULL, 10));
}

static uint32_t conns_seen, sess_seen; /* by the scenario that runs */

static void note(struct rig *r)
{
    if (r->conn)
        conns_seen |= iscsi_tconn_transitions(r->conn);
    if (!r->lead && r->sess)
        sess_seen |= iscsi_tsess_transitions(r->sess);
}

static void done(struct rig *r)
{
    if (r->lead)
        note(r->lead);
    note(r);
    rig_free(r);
}

static struct rig *two(struct rig **ret_other)
{
    struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
    *ret_other = rig_join(r, 7);
    rig_login(*ret_other, KEYS("ImmediateData=Yes"));
    return r;
}

/* It is lost with a command, and freed. */
static void lose(struct rig *r)
{
    r->hold_commands = true;
    (void)erl_command(r, false, 0, 1);
    rig_cut(r);
    assert_true(r->retained);
    note(r);
    iscsi_tconn_free(r->conn);
    r->conn = NULL;
}

/* ---- connections ---- */

static void t3_accepted(void)
{
    struct rig *r = rig_new(1);
    assert_string_equal(iscsi_tconn_state(r->conn), "S3 XPT_UP");
    done(r);
}

static void t4_login_begins(void)
{
    struct rig *r = rig_new(1);
    uint8_t bhs[ISCSI_BHS_LEN] = { 0x43 };
    rig_send(r, bhs, NULL, 0,
             KEYS("InitiatorName=iqn.2026-01.test:rig\0TargetName=iqn.2026-01.test:a"));
    assert_string_equal(iscsi_tconn_state(r->conn), "S4 IN_LOGIN");
    done(r);
}

static void t5_logged_in(void)
{
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    assert_string_equal(iscsi_tconn_state(r->conn), "S5 LOGGED_IN");
    done(r);
}

static void t6_no_login(void)
{
    struct rig *r = rig_new(1);
    rig_cut(r);
    assert_string_equal(iscsi_tconn_state(r->conn), "S1 FREE");
    done(r);
}

static void t7_login_refused(void)
{
    struct rig *r = rig_new(1);
    r->refuse_login = true;
    assert_false(rig_try_login(r, KEYS("ImmediateData=Yes")));
    assert_string_equal(iscsi_tconn_state(r->conn), "S1 FREE");
    done(r);
}

static void t8_session_closed_elsewhere(void)
{
    struct rig *o, *r = two(&o);
    assert_int_equal(erl_logout(o, 0, 0), 0);
    assert_true(r->closed);
    assert_int_equal(r->close_err, 0);
    assert_string_equal(iscsi_tconn_state(r->conn), "S1 FREE");
    note(r);
    done(o);
    done(r);
}

static void t9_t13_logout(void)
{
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    assert_int_equal(erl_logout(r, 1, 0), 0);
    assert_string_equal(iscsi_tconn_state(r->conn), "S1 FREE");
    done(r);
}

static void t10_t11_t12_logout_asked(void)
{
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    for (int i = 0; i < 2; i++) {
        iscsi_tconn_ask_logout(r->conn, 3);
        rig_run(r);
        (void)rig_expect(r, ISCSI_OP_ASYNC);
        assert_string_equal(iscsi_tconn_state(r->conn), "S7 LOGOUT_REQUESTED");
    }
    assert_int_equal(erl_logout(r, 1, 0), 0);
    done(r);
}

static void t15_lost(void)
{
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    rig_cut(r);
    assert_string_equal(iscsi_tconn_state(r->conn), "S8 CLEANUP_WAIT");
    done(r);
}

static void t16_lost_when_asked_to_log_out(void)
{
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    iscsi_tconn_ask_logout(r->conn, 3);
    rig_cut(r);
    assert_string_equal(iscsi_tconn_state(r->conn), "S8 CLEANUP_WAIT");
    done(r);
}

static void t17_lost_before_the_logout_response(void)
{
    struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
    uint8_t bhs[ISCSI_BHS_LEN];
    r->deaf = true;
    rig_request(r, bhs, ISCSI_OP_LOGOUT_REQUEST, true);
    bhs[1] = 0x82; /* for recovery */
    be32_put(bhs + 20, 0);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_string_equal(iscsi_tconn_state(r->conn), "S6 IN_LOGOUT");
    rig_cut(r);
    assert_string_equal(iscsi_tconn_state(r->conn), "S8 CLEANUP_WAIT");
    done(r);
}

static void t18_closed_elsewhere_when_asked_to_log_out(void)
{
    struct rig *o, *r = two(&o);
    iscsi_tconn_ask_logout(r->conn, 3);
    assert_int_equal(erl_logout(o, 0, 0), 0);
    assert_string_equal(iscsi_tconn_state(r->conn), "S1 FREE");
    note(r);
    done(o);
    done(r);
}

/* ---- cleanup ---- */

static void m1_time_is_over(void)
{
    struct rig *o, *r = two(&o);
    lose(r);
    rig_pass(o, 22 * NS_PER_SEC);
    assert_int_equal(r->session_lost, 1);
    done(o);
    done(r);
}

static void m2_m4_logged_out_elsewhere(void)
{
    struct rig *o, *r = two(&o);
    lose(r);
    assert_int_equal(erl_logout(o, 2, 0), 0);
    done(o);
    done(r);
}

static void m3_reinstatement_fails(void)
{
    struct rig *o, *r = two(&o);
    lose(r);
    struct rig *n = rig_join(r, 0);
    n->announce = n->refuse_login = true;
    assert_false(rig_try_login(n, KEYS("ImmediateData=Yes")));
    assert_int_equal(erl_reassign(o, r->held[0]->itt, 0), ISCSI_TMF_RSP_STILL_ALLEGIANT);
    done(n);
    n = rig_join(r, 0);
    rig_login(n, KEYS("ImmediateData=Yes"));
    assert_int_equal(erl_reassign(o, r->held[0]->itt, 0), ISCSI_TMF_RSP_COMPLETE);
    done(n);
    done(o);
    done(r);
}

/* ---- sessions ---- */

static void n1_n2_logged_in(void)
{
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    assert_string_equal(iscsi_tsess_state(r->sess), "Q3 LOGGED_IN");
    done(r);
}

static void n3_closed(void)
{
    struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
    assert_int_equal(erl_logout(r, 0, 0), 0);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q1 FREE");
    done(r);
}

static void n5_n7_n10_continued(void)
{
    struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
    lose(r);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q4 FAILED");
    struct rig *n = rig_join(r, 3);
    n->announce = n->hold_login = true;
    uint8_t bhs[ISCSI_BHS_LEN] = { 0x43, 0x87 };
    bhs[8] = 0x80;
    be16_put(bhs + 14, 0x55);
    be32_put(bhs + 16, 1);
    be16_put(bhs + 20, 3);
    rig_send(n, bhs, NULL, 0,
             KEYS("InitiatorName=iqn.2026-01.test:rig\0TargetName=iqn.2026-01.test:a"));
    assert_string_equal(iscsi_tsess_state(r->sess), "Q5 IN_CONTINUE");
    iscsi_tconn_login_accept(n->conn, &n->auth, NULL);
    rig_run(n);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q3 LOGGED_IN");
    done(n);
    done(r);
}

static void n6_given_up(void)
{
    struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
    lose(r);
    rig_pass(r, 22 * NS_PER_SEC);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q1 FREE");
    assert_true(r->session_down);
    done(r);
}

static void n8_continuation_fails(void)
{
    for (int how = 0; how < 3; how++) {
        struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
        lose(r);
        struct rig *n = rig_join(r, 0);
        n->announce = how != 2;
        if (how == 0)
            n->refuse_login = true;
        else
            n->no_memory = true; /* when all was said */
        if (how == 0)
            assert_false(rig_try_login(n, KEYS("ImmediateData=Yes")));
        else {
            uint8_t bhs[ISCSI_BHS_LEN] = { 0x43, 0x87 };
            bhs[8] = 0x80;
            be16_put(bhs + 14, 0x55);
            be32_put(bhs + 16, 1);
            rig_send(n, bhs, NULL, 0,
                     KEYS("InitiatorName=iqn.2026-01.test:rig\0TargetName=iqn.2026-01.test:a"));
            assert_true(n->closed);
            assert_int_equal(n->close_err, USAN_ENOMEM);
        }
        assert_string_equal(iscsi_tsess_state(r->sess), "Q4 FAILED");
        done(n);
        n = rig_join(r, 0); /* and it can be tried again */
        rig_login(n, KEYS("ImmediateData=Yes"));
        assert_int_equal(erl_reassign(n, r->held[0]->itt, 0), ISCSI_TMF_RSP_COMPLETE);
        done(n);
        done(r);
    }
}

static void n9_leading_login_fails(void)
{
    struct rig *r = rig_new(1);
    uint8_t bhs[ISCSI_BHS_LEN] = { 0x43, 0x87 };
    r->no_memory = true;
    rig_send(r, bhs, NULL, 0,
             KEYS("InitiatorName=iqn.2026-01.test:rig\0TargetName=iqn.2026-01.test:a"));
    assert_true(r->closed);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q1 FREE");
    done(r);
}

static void n11_reinstated_while_it_is_continued(void)
{
    struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
    lose(r);
    struct rig *n = rig_join(r, 0);
    n->announce = n->hold_login = true;
    uint8_t bhs[ISCSI_BHS_LEN] = { 0x43, 0x87 };
    bhs[8] = 0x80;
    be16_put(bhs + 14, 0x55);
    be32_put(bhs + 16, 1);
    rig_send(n, bhs, NULL, 0,
             KEYS("InitiatorName=iqn.2026-01.test:rig\0TargetName=iqn.2026-01.test:a"));
    assert_string_equal(iscsi_tsess_state(r->sess), "Q5 IN_CONTINUE");
    iscsi_tsess_close(r->sess, true, "a new login");
    assert_string_equal(iscsi_tsess_state(r->sess), "Q1 FREE");
    rig_run(n);
    assert_int_equal(r->session_lost, 1);
    iscsi_tconn_login_accept(n->conn, &n->auth, NULL);
    rig_run(n);
    struct rig_pdu p = rig_expect(n, ISCSI_OP_LOGIN_RESPONSE);
    assert_int_equal(be16_get(p.bhs + 36), 0x020a);
    done(n);
    done(r);
}

static const struct {
    const char *names[3]; /* what it is there for */
    void (*run)(void);
} scenarios[] = {
    { { "T3" }, t3_accepted },
    { { "T4" }, t4_login_begins },
    { { "T5" }, t5_logged_in },
    { { "T6" }, t6_no_login },
    { { "T7" }, t7_login_refused },
    { { "T8" }, t8_session_closed_elsewhere },
    { { "T9", "T13" }, t9_t13_logout },
    { { "T10", "T11", "T12" }, t10_t11_t12_logout_asked },
    { { "T15" }, t15_lost },
    { { "T16" }, t16_lost_when_asked_to_log_out },
    { { "T17" }, t17_lost_before_the_logout_response },
    { { "T18" }, t18_closed_elsewhere_when_asked_to_log_out },
    { { "M1" }, m1_time_is_over },
    { { "M2", "M4" }, m2_m4_logged_out_elsewhere },
    { { "M3" }, m3_reinstatement_fails },
    { { "N1", "N2" }, n1_n2_logged_in },
    { { "N3" }, n3_closed },
    { { "N5", "N7", "N10" }, n5_n7_n10_continued },
    { { "N6" }, n6_given_up },
    { { "N8" }, n8_continuation_fails },
    { { "N9" }, n9_leading_login_fails },
    { { "N11" }, n11_reinstated_while_it_is_continued },
};

/* All that the tables of a target have. */
static void all_of_the_tables(uint32_t *ret_conn, uint32_t *ret_sess)
{
    const char *name;

    *ret_conn = *ret_sess = 0;
    for (unsigned s = 0; s < ISCSI_CONN_STATE_COUNT; s++)
        for (unsigned e = 0; e < ISCSI_CONN_EVENT_COUNT; e++) {
            enum iscsi_conn_state state = (enum iscsi_conn_state)s;
            if (iscsi_conn_fsm_step(&state, ISCSI_ROLE_TARGET, (enum iscsi_conn_event)e, &name))
                continue;
            if (name[0] == 'M')
                *ret_sess |= bit(name);
            else
                *ret_conn |= bit(name);
        }
    for (unsigned s = 0; s < ISCSI_SESS_STATE_COUNT; s++)
        for (unsigned e = 0; e < ISCSI_SESS_EVENT_COUNT; e++) {
            enum iscsi_sess_state state = (enum iscsi_sess_state)s;
            if (!iscsi_sess_fsm_step(&state, ISCSI_ROLE_TARGET, (enum iscsi_sess_event)e, &name))
                *ret_sess |= bit(name);
        }
}

static void test_every_transition_is_taken(void **state)
{
    (void)state;
    uint32_t conns = 0, sess = 0, want_conns, want_sess;

    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        conns_seen = sess_seen = 0;
        scenarios[i].run();
        for (unsigned k = 0; k < 3 && scenarios[i].names[k]; k++) {
            const char *name = scenarios[i].names[k];
            uint32_t seen = name[0] == 'T' ? conns_seen : sess_seen;
            if (!(seen & bit(name)))
                fail_msg("%s was not taken (T %08x, N and M %08x)", name, conns_seen, sess_seen);
            if (name[0] == 'T')
                conns |= bit(name);
            else
                sess |= bit(name);
        }
    }
    all_of_the_tables(&want_conns, &want_sess);
    assert_int_equal(conns, want_conns);
    assert_int_equal(sess, want_sess);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_transition_is_taken) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
