/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Initiator against target: time, messages of the target, loss, several connections. */
#include "ipair_load.h"

#include "base/bytes.h"

#include <stdlib.h>

enum { MANY = 60 };

/* ---- time ---- */

static void keep_alive(void **st)
{
    (void)st;
    struct pair *p = pair_new(16);
    p->icfg.nop_interval_ns = 5 * NS_PER_SEC;
    p->icfg.nop_timeout_ns = 2 * NS_PER_SEC;
    p->tcfg.nop_interval_ns = 17 * NS_PER_SEC;
    p->tcfg.nop_timeout_ns = 3 * NS_PER_SEC;
    pair_login(p);
    pair_pass(p, 100 * NS_PER_SEC); /* both ping, both answer */
    assert_false(p->conn[0].iclosed);
    assert_false(p->conn[0].tclosed);
    pair_load(p, 2);
    /* the target falls silent */
    p->conn[0].deaf = true;
    pair_pass(p, 6 * NS_PER_SEC);
    assert_false(p->conn[0].iclosed);
    pair_pass(p, 2 * NS_PER_SEC);
    assert_true(p->conn[0].iclosed);
    assert_int_equal(p->conn[0].ierr, USAN_ETIMEOUT);
    assert_string_equal(p->conn[0].iwhy, "no answer to a NOP-Out");
    pair_free(p);
}

static void login_times_out(void **st)
{
    (void)st;
    struct pair *p = pair_new(17);
    struct pair_conn *c = pair_connect(p, 1);
    c->deaf = true;
    pair_pass(p, 9 * NS_PER_SEC);
    assert_false(c->iclosed);
    pair_pass(p, 2 * NS_PER_SEC);
    assert_true(c->iclosed);
    assert_int_equal(c->ierr, USAN_ETIMEOUT);
    assert_string_equal(c->iwhy, "the login timed out");
    pair_free(p);
}

/* ---- async messages of the target ---- */

static void logout_asked(void **st)
{
    (void)st;
    for (int busy = 0; busy < 2; busy++) {
        struct pair *p = pair_new(18);
        struct pair_cmd cmd[2];
        uint8_t buf[2][512];
        p->hold = true;
        pair_login(p);
        pair_rw(&cmd[0], false, 0, 1, buf[0], 512);
        pair_rw(&cmd[1], false, 1, 1, buf[1], 512);
        if (busy)
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd[0].c), 0);
        pair_run(p);
        iscsi_tconn_ask_logout(p->conn[0].t, 4);
        pair_run(p);
        assert_int_equal(p->asyncs, 1);
        assert_int_equal(p->async_event, ISCSI_ASYNC_LOGOUT_REQUEST);
        if (busy) {
            assert_false(p->conn[0].iclosed); /* waits for its command */
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd[1].c), 0);
            pair_pass(p, NS_PER_SEC);
            assert_int_equal(p->held_count, 1); /* nothing new goes there */
            assert_false(p->conn[0].iclosed);
            pair_pass(p, 2 * NS_PER_SEC);
        }
        assert_true(p->conn[0].iclosed);
        assert_int_equal(p->conn[0].ierr, USAN_ECLOSED);
        assert_string_equal(p->conn[0].iwhy, "the target asked for a logout");
        assert_string_equal(iscsi_isess_state(p->sess), "Q1 FREE");
        if (busy) {
            assert_int_equal(cmd[0].c.err, USAN_ECLOSED);
            assert_true(cmd[0].c.sent);
            assert_false(cmd[1].done); /* for the next login */
            assert_int_equal(iscsi_isess_queued(p->sess), 1);
        }
        pair_free(p);
    }
}

static void drop_announced(void **st)
{
    (void)st;
    for (int all = 0; all < 2; all++) {
        struct pair *p = pair_new(19);
        pair_login(p);
        iscsi_tconn_announce_drop(p->conn[0].t, all);
        pair_run(p);
        assert_int_equal(p->asyncs, 1);
        assert_true(p->conn[0].iclosed);
        assert_int_equal(p->conn[0].ierr, USAN_ECLOSED);
        assert_string_equal(iscsi_isess_state(p->sess), "Q4 FAILED");
        pair_free(p);
    }
}

static void scsi_event(void **st)
{
    (void)st;
    static const uint8_t sense[18] = { 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3f, 0x0e };
    struct pair *p = pair_new(20);
    pair_login(p);
    iscsi_tconn_scsi_event(p->conn[0].t, 0, sense, sizeof sense);
    pair_run(p);
    assert_int_equal(p->asyncs, 1);
    assert_int_equal(p->async_event, ISCSI_ASYNC_SCSI_EVENT);
    pair_load(p, 1);
    pair_free(p);
}

/* ---- loss and reinstatement ---- */

static void reinstated(void **st)
{
    (void)st;
    struct pair *p = pair_new(21);
    static struct pair_cmd cmd[MANY];
    static uint8_t buf[MANY][512];
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < 30; i++) {
        pair_rw(&cmd[i], true, (uint32_t)i, 1, buf[i], 512);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    pair_run(p);
    assert_int_equal(p->held_count, 16);
    pair_cut(p, &p->conn[0]);
    assert_int_equal(p->session_down, 1);
    assert_int_equal(p->down_err, USAN_ECLOSED);
    assert_string_equal(iscsi_iconn_state(p->conn[0].i), "S8 CLEANUP_WAIT");
    assert_string_equal(iscsi_isess_state(p->sess), "Q4 FAILED");
    /* what the target saw comes back, the rest waits */
    assert_int_equal(p->done, 16);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(cmd[i].done, i < 16);
        assert_int_equal(cmd[i].c.sent, i < 16);
        assert_int_equal(cmd[i].c.err, i < 16 ? USAN_ECLOSED : 0);
    }
    p->hold = false;
    p->held_count = 0;
    struct pair_conn *c = pair_connect(p, 1);
    pair_run(p);
    assert_true(c->logged_in);
    assert_string_equal(iscsi_isess_state(p->sess), "Q3 LOGGED_IN");
    assert_int_equal(iscsi_isess_tsih(p->sess), 2);
    assert_int_equal(p->done, 30);
    for (int i = 16; i < 30; i++)
        assert_int_equal(cmd[i].c.err, 0);
    pair_load(p, 2);
    assert_int_equal(iscsi_iconn_logout(c->i, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(c->ierr, 0);
    assert_string_equal(iscsi_isess_state(p->sess), "Q1 FREE");
    pair_free(p);
}

/* ---- several connections ---- */

static void connections(void **st)
{
    (void)st;
    struct pair *p = pair_new(22);
    p->max_piece = 3000;
    pair_login(p);
    assert_int_equal(pair_connect(p, 1)->ierr, USAN_EEXIST);
    for (uint16_t cid = 2; cid <= PAIR_CONNS; cid++) {
        struct pair_conn *c = pair_connect(p, cid);
        pair_run(p);
        if (c->iclosed)
            print_message("# cid %u: %s\n", cid, c->iwhy);
        assert_true(c->logged_in);
    }
    assert_int_equal(pair_target_conns(p), PAIR_CONNS);
    pair_load(p, 10);
    for (int i = 0; i < PAIR_CONNS; i++)
        assert_true(p->conn[i].commands > 2); /* all have their share */
    /* one leaves in order: the others go on */
    assert_int_equal(iscsi_iconn_logout(p->conn[2].i, p->now_ns), 0);
    pair_run(p);
    assert_true(p->conn[2].iclosed);
    assert_int_equal(p->conn[2].ierr, 0);
    assert_int_equal(p->session_down, 0);
    pair_load(p, 4);
    /* one is lost: at recovery level 0 all are */
    pair_cut(p, &p->conn[1]);
    for (int i = 0; i < PAIR_CONNS; i++)
        assert_true(p->conn[i].iclosed);
    assert_string_equal(p->conn[0].iwhy, "another connection of the session failed");
    assert_int_equal(p->session_down, 1);
    assert_string_equal(iscsi_isess_state(p->sess), "Q4 FAILED");
    pair_free(p);
}

/* A further connection that is not let in changes nothing for those that are. */
static void joiner_refused(void **st)
{
    (void)st;
    struct pair *p = pair_new(26);
    pair_login(p);
    p->redirect = true;
    struct pair_conn *c = pair_connect(p, 2);
    pair_run(p);
    assert_true(c->iclosed);
    assert_int_equal(p->redirects, 1);
    p->redirect = false;
    c = pair_connect(p, 3);
    iscsi_iconn_lost(c->i, USAN_EIO);
    pair_run(p);
    assert_string_equal(c->iwhy, "the connection ended during the login");
    assert_false(p->conn[0].iclosed);
    assert_int_equal(p->session_down, 0);
    pair_load(p, 3);
    c = pair_connect(p, 2);
    pair_run(p);
    assert_true(c->logged_in);
    pair_load(p, 10);
    assert_true(c->commands > 0);
    pair_free(p);
}

static void session_logout(void **st)
{
    (void)st;
    struct pair *p = pair_new(23);
    pair_login(p);
    for (uint16_t cid = 2; cid <= 3; cid++)
        (void)pair_connect(p, cid);
    pair_run(p);
    assert_true(p->conn[2].logged_in);
    pair_log_out(p);
    pair_free(p);
}

/* ---- out of memory ---- */

static void out_of_memory(void **st)
{
    (void)st;
    bool reached = false;
    for (uint64_t n = 1; n < 200 && !reached; n++) {
        struct pair *p = pair_new(24);
        struct pair_cmd cmd;
        uint8_t buf[4096];
        memset(&cmd, 0, sizeof cmd);
        p->icfg.params.data_pdu_in_order = false;
        if (iscsi_isess_new(&p->icfg, &p->alloc.a, &p->sess) == 0) {
            p->alloc.fail_at = p->alloc.calls + n;
            struct pair_conn *c = pair_connect(p, 1);
            pair_run(p);
            pair_rw(&cmd, false, 0, 8, buf, sizeof buf);
            if (c->logged_in && !c->iclosed) {
                assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
                pair_run(p);
                assert_true(cmd.done || c->iclosed || c->tclosed);
            }
            reached = p->alloc.calls < p->alloc.fail_at;
        }
        pair_free(p);
    }
    assert_true(reached);
    for (uint64_t n = 1; n < 3; n++) {
        struct pair *p = pair_new(25);
        p->alloc.fail_at = n;
        assert_int_equal(iscsi_isess_new(&p->icfg, &p->alloc.a, &p->sess), USAN_ENOMEM);
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive),     cmocka_unit_test(login_times_out),
        cmocka_unit_test(logout_asked),   cmocka_unit_test(drop_announced),
        cmocka_unit_test(scsi_event),     cmocka_unit_test(reinstated),
        cmocka_unit_test(connections),    cmocka_unit_test(joiner_refused),
        cmocka_unit_test(session_logout), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
