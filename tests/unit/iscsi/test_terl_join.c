/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several connections of one session, target role (RFC 7143 4.2.2.1, 6.3.4, 11.14). */
#include "terl_rig.h"

#include <string.h>

static struct rig *two(uint8_t level, struct rig **ret_other)
{
    struct rig *r = erl_rig(level, KEYS("ImmediateData=Yes"));
    *ret_other = rig_join(r, 7);
    rig_login(*ret_other, KEYS("ImmediateData=Yes\0MaxRecvDataSegmentLength=1024"));
    return r;
}

/* MaxConnections is 4; one that takes the place of another is not one more. */
static void test_number_of_connections(void **state)
{
    (void)state;
    struct rig *r = erl_rig(0, KEYS("ImmediateData=Yes"));
    struct rig *more[5];
    for (uint16_t i = 0; i < 3; i++) {
        more[i] = rig_join(r, (uint16_t)(i + 1));
        rig_login(more[i], KEYS("ImmediateData=Yes"));
    }
    assert_int_equal(iscsi_tsess_conn_count(r->sess), 4);
    more[3] = rig_join(r, 4);
    assert_false(rig_try_login(more[3], KEYS("ImmediateData=Yes")));
    assert_int_equal(more[3]->login_status, 0x0206);
    more[4] = rig_join(r, 2);
    rig_login(more[4], KEYS("ImmediateData=Yes"));
    assert_true(more[1]->closed);
    assert_false(more[0]->closed);
    assert_int_equal(iscsi_tsess_conn_count(r->sess), 4);
    for (unsigned i = 0; i < 5; i++)
        rig_free(more[i]);
    rig_free(r);
}

/* What holds for the session holds for all of it; the rest is each connection's own. */
static void test_parameters(void **state)
{
    (void)state;
    struct rig *o, *r = two(1, &o);
    assert_int_equal(iscsi_tconn_params(o->conn)->error_recovery_level, 1);
    assert_int_equal(iscsi_tconn_params(o->conn)->max_connections, 4);
    assert_int_equal(iscsi_tconn_params(o->conn)->tx_data_segment, 1024);
    assert_int_equal(iscsi_tconn_params(r->conn)->tx_data_segment, 8192);
    (void)erl_read_rest(r, erl_command(r, false, 0, 8), 0, 0, 0, 4096);
    (void)erl_read_rest(o, erl_command(o, false, 0, 8), 0, 0, 0, 4096);
    rig_free(o);
    rig_free(r);
}

/* 4.2.2.1: CmdSN is the session's. What waits on one connection is due by a request on another: a
 * command, a NOP-Out, a task management request. */
static void test_order_over_connections(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o);
    uint8_t first[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
    rig_rw(r, first, false, true, 0, 1);
    uint32_t itt = erl_command(o, false, 4, 1);
    rig_request(o, bhs, ISCSI_OP_NOP_OUT, false);
    rig_send(o, bhs, NULL, 0, "ping", 4);
    rig_request(o, bhs, ISCSI_OP_TMF_REQUEST, false);
    bhs[1] = 0x80 | ISCSI_TMF_LOGICAL_UNIT_RESET;
    rig_send(o, bhs, NULL, 0, NULL, 0);
    erl_expect_nothing(o);
    assert_int_equal(r->commands + o->commands, 0);
    rig_send(r, first, NULL, 0, NULL, 0);
    assert_int_equal(r->commands, 2); /* reported where they became due */
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    erl_expect_nothing(r);
    erl_ack(r, r->exp_stat_sn); /* the response of the reset waits for that */
    /* and answered where they came from */
    (void)erl_read_rest(o, itt, 4, 0, 0, 512);
    unsigned seen = 0;
    for (struct rig_pdu p; rig_next(o, &p);)
        seen |= p.opcode == ISCSI_OP_NOP_IN ? 1u : p.opcode == ISCSI_OP_TMF_RESPONSE ? 2u : 4u;
    assert_int_equal(seen, 3);
    rig_free(o);
    rig_free(r);
}

/* What came early on a connection that has ended is not begun by a request of another one. */
static void test_early_command_of_a_closed_connection(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 2; level++) {
        struct rig *o, *r = two(level, &o);
        uint8_t first[ISCSI_BHS_LEN];
        r->hold_commands = o->hold_commands = true;
        rig_rw(r, first, false, true, 0, 1);
        (void)erl_command(o, false, 4, 1);
        rig_cut(o);
        assert_false(o->retained);
        rig_send(r, first, NULL, 0, NULL, 0);
        assert_int_equal(r->held_count, 1);
        assert_ptr_equal(iscsi_task_conn(r->held[0]), r->conn);
        iscsi_tconn_free(o->conn);
        o->conn = NULL;
        rig_serve(r, r->held[0]);
        rig_run(r);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        rig_free(o);
        rig_free(r);
    }
}

/* StatSN is each connection's own. */
static void test_status_numbers(void **state)
{
    (void)state;
    struct rig *o, *r = two(1, &o);
    uint32_t a = r->exp_stat_sn, b = o->exp_stat_sn;
    for (unsigned i = 0; i < 3; i++)
        (void)erl_read_rest(r, erl_command(r, false, 0, 1), 0, 0, 0, 512);
    (void)erl_read_rest(o, erl_command(o, false, 0, 1), 0, 0, 0, 512);
    assert_int_equal(r->exp_stat_sn, a + 3);
    assert_int_equal(o->exp_stat_sn, b + 1);
    o->loose = true;
    o->exp_stat_sn = b;
    erl_snack(o, PDU_SNACK_DATA, r->itt - 1, ISCSI_TAG_NONE, 0, 0); /* of the other connection */
    erl_expect_reject(o, ISCSI_REJECT_PROTOCOL_ERROR);
    erl_snack(o, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, b, 1);
    (void)erl_read_rest(o, r->itt, 0, 0, 0, 512);
    rig_free(o);
    rig_free(r);
}

/* Below level 2 a logout, or a new connection in its place, ends the tasks of a connection, and
 * nothing else. */
static void test_end_of_one_connection(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        struct rig *o, *n = NULL, *r = two((uint8_t)(how / 3), &o);
        r->hold_commands = o->hold_commands = true;
        uint32_t itt = erl_command(r, false, 0, 1);
        (void)erl_command(o, false, 0, 1);
        switch (how % 3) {
        case 0:
            erl_send_logout(o, 1, 0);
            break;
        case 1:
            n = rig_join(r, 0);
            n->login_waits = true;
            assert_false(rig_try_login(n, KEYS("ImmediateData=Yes")));
            break;
        default:
            rig_cut(r);
            break;
        }
        assert_true(r->closed);
        assert_false(r->retained);
        assert_int_equal(r->close_err, how % 3 == 0   ? 0
                                       : how % 3 == 1 ? USAN_ECANCELED
                                                      : USAN_ECLOSED);
        assert_ptr_equal(iscsi_task_conn(r->held[0]), r->conn);
        assert_true(iscsi_task_drop(r->held[0]));
        iscsi_tconn_free(r->conn);
        r->conn = NULL;
        rig_run(o);
        if (how % 3 == 0)
            assert_int_equal(rig_expect(o, ISCSI_OP_LOGOUT_RESPONSE).bhs[2], 0);
        if (n)
            assert_int_equal(be16_get(rig_expect(n, ISCSI_OP_LOGIN_RESPONSE).bhs + 36), 0);
        assert_string_equal(iscsi_tsess_state(r->sess), "Q3 LOGGED_IN");
        assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_NO_REASSIGN);
        rig_serve(o, o->held[0]);
        rig_run(o);
        (void)rig_expect(o, ISCSI_OP_DATA_IN);
        if (n)
            rig_free(n);
        rig_free(o);
        rig_free(r);
    }
}

/* Logout of what is not there, and of the last one. */
static void test_logouts(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o);
    assert_int_equal(erl_logout(r, 1, 99), 1);
    assert_int_equal(erl_logout(r, 2, 7), 2);
    assert_false(o->closed);
    assert_int_equal(erl_logout(r, 1, 0), 0); /* itself */
    assert_true(r->closed);
    assert_false(o->closed);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q3 LOGGED_IN");
    assert_int_equal(erl_logout(o, 1, 7), 0);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q1 FREE");
    rig_free(o);
    rig_free(r);
}

/* ---- without memory ---- */

/* Everything that recovery does, on the second connection after the first was lost, with the n-th
 * allocation of the session failing. */
static bool run_with_failure(uint64_t n)
{
    struct rig *o, *r = two(2, &o);
    uint8_t bhs[ISCSI_BHS_LEN], data[4096] = { 0 };
    r->loose = o->loose = true;
    r->alloc.fail_at = r->alloc.calls + n;
    o->alloc.fail_at = o->alloc.calls + n;
    uint32_t read = erl_command(r, false, 0, 8);
    rig_rw(r, bhs, true, true, 10, 8);
    rig_send(r, bhs, NULL, 0, data, 512);
    uint32_t write = bhs_itt(bhs);
    erl_snack(r, PDU_SNACK_DATA, read, ISCSI_TAG_NONE, 0, 0);
    r->cmd_sn++;
    if (!r->closed)
        (void)erl_command(r, false, 0, 8); /* early */
    if (!r->closed)
        rig_cut(r);
    if (!r->retained)
        while (iscsi_tsess_next_task(r->sess, NULL))
            (void)iscsi_task_drop(iscsi_tsess_next_task(r->sess, NULL));
    iscsi_tconn_free(r->conn);
    r->conn = NULL;
    static const uint32_t tags[] = { 0x46, 0x42, 0x42 };
    for (unsigned i = 0; i < 3 && !o->closed; i++) {
        rig_request(o, bhs, (uint8_t)(tags[i] & 0x3f), true);
        bhs[1] = i ? 0x80 | ISCSI_TMF_TASK_REASSIGN : 0x82;
        be32_put(bhs + 20, i == 0 ? 0 : i == 1 ? read : write);
        be32_put(bhs + 28, 0);
        rig_send(o, bhs, NULL, 0, NULL, 0);
    }
    for (struct rig_pdu p; rig_next(o, &p) && !o->closed;)
        if (p.opcode == ISCSI_OP_R2T) {
            const struct pdu_r2t q = pdu_r2t_decode(p.bhs);
            rig_data_out(bhs, bhs_itt(p.bhs), q.ttt, 0, q.offset, true);
            rig_send(o, bhs, NULL, 0, data, q.len);
        }
    rig_pass(o, 23 * NS_PER_SEC);
    bool failed = r->alloc.calls >= r->alloc.fail_at || o->alloc.calls >= o->alloc.fail_at;
    if (!failed) {
        assert_int_equal(r->commands, 2);
        assert_false(o->closed);
    }
    r->alloc.fail_at = o->alloc.fail_at = 0;
    rig_free(o);
    rig_free(r);
    return failed;
}

static void test_no_memory(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (run_with_failure(n))
        assert_true(++n < 200);
    assert_in_range(n, 5, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_of_connections),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_order_over_connections),
        cmocka_unit_test(test_early_command_of_a_closed_connection),
        cmocka_unit_test(test_status_numbers),
        cmocka_unit_test(test_end_of_one_connection),
        cmocka_unit_test(test_logouts),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
