/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers that wait for the end of tasks: logout, a connection in the place of another, task
 * management (RFC 7143 11.14, 6.3.4, 4.2.2.3, 4.2.3.3). */
#include "terl_rig.h"

static struct rig *two(uint8_t level, struct rig **ret_other)
{
    struct rig *r = erl_rig(level, KEYS("ImmediateData=Yes"));
    *ret_other = rig_join(r, 7);
    rig_login(*ret_other, KEYS("ImmediateData=Yes"));
    r->hold_commands = (*ret_other)->hold_commands = true;
    return r;
}

static void send_tmf(struct rig *r, uint8_t function, uint32_t ref_itt)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | function;
    be32_put(bhs + 20, ref_itt);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

static void drop(struct rig *r, struct iscsi_task *t)
{
    assert_true(iscsi_task_drop(t));
    rig_run(r);
}

/* ---- logout ---- */

/* A write that the storage still has could take effect after what the initiator writes next: it has
 * ended when the response comes. Nothing more is taken in meanwhile. */
static void test_logout_waits_for_tasks(void **state)
{
    (void)state;
    for (uint8_t reason = 0; reason < 2; reason++) {
        struct rig *r = erl_rig(reason, KEYS("ImmediateData=Yes"));
        struct iovec iov[ISCSI_RX_IOV_MAX];
        uint8_t buf[64];
        r->hold_commands = r->slow = true;
        (void)erl_command(r, false, 0, 1);
        (void)erl_command(r, true, 4, 1);
        erl_send_logout(r, reason, 0);
        assert_int_equal(r->lost_events, 2); /* the owner is to end them */
        erl_expect_nothing(r);
        assert_int_equal(iscsi_tconn_rx_space(r->conn, buf, sizeof buf, iov), 0);
        rig_pass(r, 60 * NS_PER_SEC); /* however long that takes */
        drop(r, r->held[0]);
        erl_expect_nothing(r);
        assert_false(r->closed);
        const struct iscsi_response rsp = { .status = 0 };
        iscsi_task_respond(r->held[1], &rsp); /* too late for the initiator, but it has ended */
        rig_run(r);
        assert_int_equal(rig_expect(r, ISCSI_OP_LOGOUT_RESPONSE).bhs[2], 0);
        assert_true(r->closed);
        assert_int_equal(r->close_err, 0);
        rig_free(r);
    }
}

/* The TCP connection ends while its logout waits. */
static void test_logout_is_cut(void **state)
{
    (void)state;
    struct rig *o, *r = two(1, &o);
    r->slow = true;
    (void)erl_command(o, false, 0, 1);
    erl_send_logout(o, 1, 7);
    erl_send_logout(r, 1, 7);
    assert_int_equal(o->lost_events, 1);
    rig_run(o);
    assert_true(o->closed); /* by the second one */
    erl_expect_nothing(r);
    rig_cut(r);
    rig_free(o);
    rig_free(r);
}

/* The logout of another connection, of one that has just been cut, and of the session. */
static void test_logout_of_others_waits(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig *o, *r = two(0, &o);
        r->slow = true;
        (void)erl_command(o, true, 4, 1);
        if (how == 1)
            rig_cut(o);
        erl_send_logout(r, how < 2, how < 2 ? 7 : 0);
        rig_run(o);
        assert_true(o->closed);
        erl_expect_nothing(r);
        drop(r, o->held[0]);
        assert_int_equal(rig_expect(r, ISCSI_OP_LOGOUT_RESPONSE).bhs[2],
                         how == 1); /* no such CID */
        assert_int_equal(r->closed, how == 2);
        rig_free(o);
        rig_free(r);
    }
}

/* What waits for the tasks of a connection does not wait for those of others. */
static void test_logout_waits_for_no_others(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o);
    r->slow = true;
    (void)erl_command(r, true, 4, 1);
    assert_int_equal(erl_logout(o, 1, 7), 0);
    assert_true(o->closed);
    rig_free(o);
    rig_free(r);
}

/* Level 2: the tasks of a connection that is removed for recovery go on. */
static void test_recovery_logout_does_not_wait(void **state)
{
    (void)state;
    struct rig *o, *r = two(2, &o);
    r->slow = true;
    (void)erl_command(o, false, 4, 1);
    assert_int_equal(erl_logout(r, 2, 7), 0);
    rig_run(o);
    assert_true(o->retained);
    assert_int_equal(o->lost_events, 0);
    /* those that nobody is to take over are to end, and then it does */
    erl_send_logout(r, 1, 7);
    rig_run(r);
    erl_expect_nothing(r);
    assert_int_equal(r->session_lost, 1);
    drop(r, o->held[0]);
    assert_int_equal(rig_expect(r, ISCSI_OP_LOGOUT_RESPONSE).bhs[2], 0);
    rig_free(o);
    rig_free(r);
}

/* ---- a connection takes the place of another ---- */

static void test_login_waits_for_tasks_of_the_old_one(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o);
    r->slow = true;
    (void)erl_command(o, true, 4, 1);
    struct rig *n = rig_join(r, 7);
    n->login_waits = true;
    assert_false(rig_try_login(n, KEYS("ImmediateData=Yes")));
    erl_expect_nothing(n);
    assert_false(n->closed);
    rig_run(o);
    assert_true(o->closed);
    drop(o, o->held[0]);
    rig_run(n);
    struct rig_pdu p = rig_expect(n, ISCSI_OP_LOGIN_RESPONSE);
    assert_int_equal(be16_get(p.bhs + 36), 0);
    assert_string_equal(iscsi_tconn_state(n->conn), "S5 LOGGED_IN");
    rig_free(o);
    rig_free(n);
    rig_free(r);
}

/* ---- task management ---- */

/* The owner says that the function is done, but has a status of one of its commands still to
 * report: that goes out before the response. */
static void test_tmf_response_follows_statuses(void **state)
{
    (void)state;
    static const uint8_t functions[] = {
        ISCSI_TMF_ABORT_TASK,        ISCSI_TMF_ABORT_TASK_SET,     ISCSI_TMF_CLEAR_TASK_SET,
        ISCSI_TMF_TARGET_WARM_RESET, ISCSI_TMF_LOGICAL_UNIT_RESET,
    };
    for (uint8_t level = 0; level < 3; level++)
        for (size_t i = 0; i < sizeof functions; i++) {
            struct rig *r = erl_rig(level, KEYS("ImmediateData=Yes"));
            r->hold_commands = r->slow = true;
            uint32_t itt = erl_command(r, false, 0, 1);
            send_tmf(r, functions[i], itt);
            assert_int_equal(r->tmfs, 1);
            erl_expect_nothing(r);
            (void)erl_command(r, false, 0, 1); /* of a later one it is not */
            rig_serve(r, r->held[0]);
            rig_run(r);
            assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_DATA_IN).bhs), itt);
            assert_int_equal(rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2], 0);
            erl_expect_nothing(r);
            rig_free(r);
        }
}

/* Those of the same connection were sent before it; that those of others have come is to be known
 * (the response fence). */
static void test_tmf_response_is_fenced(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 3; level++) {
        struct rig *o, *r = two(level, &o);
        uint32_t itt = erl_command(o, false, 4, 1);
        rig_serve(o, o->held[0]);
        rig_run(o);
        send_tmf(r, ISCSI_TMF_LOGICAL_UNIT_RESET, ISCSI_TAG_NONE);
        rig_pass(o, NS_PER_MS);
        erl_expect_nothing(r); /* the initiator may not have it */
        (void)erl_read_rest(o, itt, 4, 0, 0, 512);
        struct rig_pdu p = rig_expect(o, ISCSI_OP_NOP_IN); /* it is asked */
        assert_int_not_equal(bhs_ttt(p.bhs), ISCSI_TAG_NONE);
        erl_expect_nothing(r);
        erl_ack(o, o->exp_stat_sn);
        rig_run(r);
        assert_int_equal(rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2], 0);
        /* nothing was sent since */
        send_tmf(r, ISCSI_TMF_LOGICAL_UNIT_RESET, ISCSI_TAG_NONE);
        assert_int_equal(rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2], 0);
        rig_free(o);
        rig_free(r);
    }
}

/* One that is on its way counts too; a connection that ends is waited for no more, nor is an
 * initiator that never says what it has. */
static void test_fence_ends(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig *o, *r = two(1, &o);
        (void)erl_command(o, false, 4, 1);
        o->deaf = true;
        rig_serve(o, o->held[0]);
        send_tmf(r, ISCSI_TMF_ABORT_TASK_SET, ISCSI_TAG_NONE);
        erl_ack(o, o->exp_stat_sn); /* of what it has, not of what is queued */
        erl_expect_nothing(r);
        if (how == 0)
            rig_cut(o);
        else if (how == 1)
            erl_send_logout(r, 1, 7);
        rig_pass(o, NS_PER_MS);
        rig_pass(o, how == 2 ? 11 * NS_PER_SEC : 0);
        rig_run(r);
        assert_int_equal(rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2], 0);
        rig_free(o);
        rig_free(r);
    }
}

/* ABORT TASK concerns one connection; one that was refused, none. */
static void test_no_fence_without_need(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o);
    (void)erl_command(o, false, 4, 1);
    rig_serve(o, o->held[0]);
    rig_run(o);
    uint32_t itt = erl_command(r, false, 4, 1);
    send_tmf(r, ISCSI_TMF_ABORT_TASK, itt);
    assert_int_equal(rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2], 0);
    rig_free(o);
    rig_free(r);
}

/* The connection of the request ends while the response waits. */
static void test_fenced_tmf_is_cut(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 3; level++) {
        struct rig *o, *r = two(level, &o);
        (void)erl_command(o, false, 4, 1);
        rig_serve(o, o->held[0]);
        rig_run(o);
        send_tmf(r, ISCSI_TMF_LOGICAL_UNIT_RESET, ISCSI_TAG_NONE);
        erl_expect_nothing(r);
        unsigned sent = r->sent_events;
        rig_cut(r);
        rig_run(r);
        assert_int_equal(r->sent_events, sent + 1);
        rig_free(o);
        rig_free(r);
    }
}

/* Level 2, 11.5.1: ABORT TASK on another connection of a command whose own was logged out. Its
 * status, if there is one, comes before the response. */
static void test_abort_of_a_command_of_a_lost_connection(void **state)
{
    (void)state;
    for (int answered = 0; answered < 3; answered++) {
        struct rig *o, *r = two(2, &o);
        uint32_t itt = erl_command(o, false, 4, 1);
        if (answered == 2) {
            rig_serve(o, o->held[0]);
            rig_run(o);
        }
        assert_int_equal(erl_logout(r, 2, 7), 0);
        rig_run(o);
        assert_true(o->retained);
        if (answered == 1) {
            rig_serve(o, o->held[0]);
            rig_run(r);
        }
        send_tmf(r, ISCSI_TMF_ABORT_TASK, itt);
        if (answered)
            (void)erl_read_rest(r, itt, 4, 0, 0, 512);
        assert_int_equal(rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2], answered > 0);
        erl_expect_nothing(r);
        rig_free(o);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logout_waits_for_tasks),
        cmocka_unit_test(test_logout_is_cut),
        cmocka_unit_test(test_logout_of_others_waits),
        cmocka_unit_test(test_logout_waits_for_no_others),
        cmocka_unit_test(test_recovery_logout_does_not_wait),
        cmocka_unit_test(test_login_waits_for_tasks_of_the_old_one),
        cmocka_unit_test(test_tmf_response_follows_statuses),
        cmocka_unit_test(test_tmf_response_is_fenced),
        cmocka_unit_test(test_fence_ends),
        cmocka_unit_test(test_no_fence_without_need),
        cmocka_unit_test(test_fenced_tmf_is_cut),
        cmocka_unit_test(test_abort_of_a_command_of_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
