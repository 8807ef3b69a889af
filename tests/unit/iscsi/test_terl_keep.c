/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 1, target role: what is kept, how much of it, and until when (RFC 7143 4.2.2.2).
 */
#include "terl_rig.h"

/* SENT means that the memory is not needed any more. */
static void test_sent_comes_with_the_acknowledgement(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 3; level++) {
        struct rig *r = erl_rig(level, KEYS("ImmediateData=Yes"));
        uint32_t base = r->exp_stat_sn;
        (void)erl_command(r, false, 0, 8);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        assert_int_equal(r->sent_events, level ? 0 : 1);
        assert_int_equal(iscsi_tsess_task_count(r->sess), level ? 1 : 0);
        uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
        rig_rw(r, bhs, true, true, 0, 1); /* of a write only the status is kept */
        be32_put(bhs + 28, base);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
        (void)rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(r->sent_events, level ? 1 : 2);
        erl_ack(r, base + 1);
        assert_int_equal(r->sent_events, 2);
        erl_ack(r, base + 2);
        assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
        rig_free(r);
    }
}

/* ExpStatSN of what was not sent, or of before, says nothing. */
static void test_senseless_acknowledgements(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    (void)erl_command(r, false, 0, 8);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    uint32_t base = r->exp_stat_sn - 1;
    erl_ack(r, base + 2);
    erl_ack(r, base - 100);
    erl_ack(r, base + 0x80000001);
    erl_ack(r, base);
    assert_int_equal(r->sent_events, 0);
    erl_ack(r, base + 1);
    assert_int_equal(r->sent_events, 1);
    rig_free(r);
}

/* The oldest go when there is too much: by number of commands, and by bytes. */
static void test_limits_of_data(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct rig *r = erl_rig(1, KEYS("MaxRecvDataSegmentLength=262144"));
        uint16_t blocks = big ? 2048 : 1; /* 1 MiB: sixteen of them, but for what answers need */
        unsigned fit = big ? 15 : 64;
        uint32_t base = r->exp_stat_sn, itt[70];
        r->loose = true;
        for (unsigned i = 0; i < fit + 5; i++) {
            itt[i] = erl_command(r, false, 0, blocks);
            (void)erl_read_rest(r, itt[i], 0, 0, 0, blocks * 512u);
            assert_int_equal(r->sent_events, i < fit ? 0 : i - fit + 1);
            r->out_len = r->out_pos = 0;
        }
        erl_snack(r, PDU_SNACK_DATA, itt[4], ISCSI_TAG_NONE, 0, 1);
        erl_expect_reject(r, ISCSI_REJECT_SNACK);
        erl_snack(r, PDU_SNACK_DATA, itt[5], ISCSI_TAG_NONE, 0, 1);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        erl_ack(r, base + fit + 5);
        assert_int_equal(r->sent_events, fit + 5);
        rig_free(r);
    }
}

/* The data of one command is more than may be kept: it is not. */
static void test_one_that_is_too_long(void **state)
{
    (void)state;
    static uint8_t zeros[1 << 20];
    static struct iovec in[17];
    struct rig *r = erl_rig(1, KEYS("MaxRecvDataSegmentLength=262144"));
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iscsi_response rsp = { .in = in, .in_cnt = 17, .in_len = 17 << 20, .in_used = 17 << 20 };
    for (unsigned i = 0; i < 17; i++)
        in[i] = (struct iovec){ zeros, sizeof zeros };
    r->hold_commands = true;
    rig_rw(r, bhs, false, true, 0, 1);
    be32_put(bhs + 20, 17 << 20);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    r->deaf = true;
    iscsi_task_respond(r->held[0], &rsp);
    for (struct iovec v[8]; iscsi_tconn_tx(r->conn, v, 8) > 0;) /* away with it */
        iscsi_tconn_tx_done(r->conn, v[0].iov_len, r->now_ns);
    rig_run(r);
    assert_int_equal(r->sent_events, 1);
    rig_free(r);
}

/* An answer out of TCONN_KEEP_ANSWERS. */
static void test_limit_of_answers(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t base = r->exp_stat_sn;
    r->loose = true;
    for (unsigned i = 0; i < 1026; i++) {
        rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        (void)rig_expect(r, ISCSI_OP_NOP_IN);
    }
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base + 1, 1);
    erl_expect_reject(r, ISCSI_REJECT_SNACK); /* which is an answer itself: the next one goes */
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base + 2, 2);
    assert_int_equal(bhs_stat_sn(rig_expect(r, ISCSI_OP_NOP_IN).bhs), base + 3);
    erl_expect_reject(r, ISCSI_REJECT_SNACK);
    rig_free(r);
}

/* Without memory for it an answer is not kept, and is none the worse for it. */
static void test_no_memory_to_keep(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    uint32_t base = r->exp_stat_sn;
    r->loose = true;
    (void)erl_read_rest(r, erl_command(r, false, 0, 8), 0, 0, 0, 4096);
    assert_int_equal(r->sent_events, 0);
    r->alloc.fail_at = r->alloc.calls + 1;
    uint32_t itt = erl_command(r, false, 8, 8);
    (void)erl_read_rest(r, itt, 8, 0, 0, 4096);
    assert_int_equal(r->alloc.calls, r->alloc.fail_at);
    assert_int_equal(r->sent_events, 1);
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base + 1, 1);
    erl_expect_reject(r, ISCSI_REJECT_SNACK);
    r->alloc.fail_at = r->alloc.calls + 1; /* nor to send something again */
    erl_snack(r, PDU_SNACK_DATA, r->itt - 1, ISCSI_TAG_NONE, 0, 1);
    erl_expect_reject(r, ISCSI_REJECT_SNACK);
    rig_free(r);
}

/* The runs that wait to be sent again are limited, too. */
static void test_limit_of_runs(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    uint32_t itt = erl_command(r, false, 0, 8);
    (void)erl_read_rest(r, itt, 0, 0, 0, 4096);
    r->exp_stat_sn--;
    r->loose = r->deaf = true;
    for (unsigned i = 0; i < 70; i++)
        erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 1);
    r->deaf = false;
    rig_run(r);
    unsigned data = 0, rejects = 0;
    for (struct rig_pdu p; rig_next(r, &p);) {
        data += p.opcode == ISCSI_OP_DATA_IN;
        rejects += p.opcode == ISCSI_OP_REJECT && p.bhs[2] == ISCSI_REJECT_SNACK;
    }
    assert_int_equal(data, 64);
    assert_int_equal(rejects, 6);
    rig_free(r);
}

/* The connection ends in the middle of a run, for the refusals that nobody reads. */
static void test_limit_of_refusals(void **state)
{
    (void)state;
    for (uint8_t level = 1; level < 3; level++) {
        struct rig *r = erl_rig(level, KEYS("ImmediateData=Yes"));
        r->loose = true;
        uint32_t base = r->exp_stat_sn;
        for (unsigned i = 0; i < 50; i++)
            (void)erl_read_rest(r, erl_command(r, false, i, 1), i, 0, 0, 512);
        r->deaf = true;
        for (unsigned i = 0; i < 60 && !r->closed; i++)
            erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base, 50);
        assert_true(r->closed);
        assert_int_equal(r->close_err, USAN_ELIMIT);
        rig_free(r);
    }
}

/* What is not acknowledged for long is asked about; a silent initiator that has said all is not. */
static void test_answers_are_asked_about(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    uint32_t base = r->exp_stat_sn;
    erl_ack(r, base);
    rig_pass(r, 30 * NS_PER_SEC);
    erl_expect_nothing(r);
    (void)erl_command(r, false, 0, 8);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    rig_pass(r, 2 * NS_PER_SEC - 1);
    erl_expect_nothing(r);
    rig_pass(r, 1);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_NOP_IN);
    assert_int_equal(bhs_itt(p.bhs), ISCSI_TAG_NONE);
    assert_int_not_equal(bhs_ttt(p.bhs), ISCSI_TAG_NONE);
    assert_int_equal(bhs_stat_sn(p.bhs), base + 1); /* the next one, not taken */
    rig_pass(r, 10 * NS_PER_SEC);                   /* once is enough until it answers */
    erl_expect_nothing(r);
    erl_ack(r, base); /* the status did not come: it will ask for it */
    rig_pass(r, 5 * NS_PER_SEC);
    (void)rig_expect(r, ISCSI_OP_NOP_IN);
    erl_ack(r, base + 1);
    assert_int_equal(r->sent_events, 1);
    rig_pass(r, 30 * NS_PER_SEC);
    erl_expect_nothing(r);
    rig_free(r);
}

/* The initiator may use the ITT of a command whose status it has, though it has not said so. */
static void test_itt_is_free(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t base = r->exp_stat_sn;
    uint32_t itt = erl_command(r, false, 0, 8);
    (void)erl_read_rest(r, itt, 0, 0, 0, 4096);
    rig_rw(r, bhs, false, true, 8, 8);
    be32_put(bhs + 16, itt);
    be32_put(bhs + 28, base);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    (void)erl_read_rest(r, itt, 8, 0, 0, 4096);
    assert_int_equal(r->commands, 2);
    r->loose = true;
    r->exp_stat_sn = base;
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 0); /* the later one is meant */
    (void)erl_read_rest(r, itt, 8, 0, 0, 4096);
    rig_free(r);
}

/* Kept commands are outside of the window, and a command in the window always finds a task. */
static void test_window_beside_kept_commands(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("ImmediateData=Yes"));
    uint32_t base = r->exp_stat_sn;
    r->loose = true;
    for (unsigned i = 0; i < 64; i++)
        (void)erl_read_rest(r, erl_command(r, false, i, 1), i, 0, 0, 512);
    assert_int_equal(r->sent_events, 0);
    assert_int_equal(r->max_cmd_sn - r->cmd_sn + 1, 32);
    r->hold_commands = true;
    for (unsigned i = 0; i < 32; i++)
        (void)erl_command(r, false, i, 1);
    assert_int_equal(r->held_count, 32);
    erl_expect_nothing(r);
    for (unsigned i = 0; i < 32; i++)
        rig_serve(r, r->held[i]);
    rig_run(r);
    for (unsigned i = 0; i < 32; i++)
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(r->max_cmd_sn - r->cmd_sn + 1, 32);
    erl_ack(r, base + 96);
    assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sent_comes_with_the_acknowledgement),
        cmocka_unit_test(test_senseless_acknowledgements),
        cmocka_unit_test(test_limits_of_data),
        cmocka_unit_test(test_one_that_is_too_long),
        cmocka_unit_test(test_limit_of_answers),
        cmocka_unit_test(test_no_memory_to_keep),
        cmocka_unit_test(test_limit_of_runs),
        cmocka_unit_test(test_limit_of_refusals),
        cmocka_unit_test(test_answers_are_asked_about),
        cmocka_unit_test(test_itt_is_free),
        cmocka_unit_test(test_window_beside_kept_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
