/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 1: status that did not come, or came damaged (RFC 7143 7.8, 11.16.1), and commands
 * that did not arrive (7.2.1). */
#include "irig_cmd.h"

#include <string.h>

static uint32_t start(struct irig *r, struct irig_cmd *m)
{
    irig_make(m, 0, 0);
    return bhs_itt(irig_submit(r, m).bhs);
}

/* The response to a command, with this StatSN. */
static void answer(struct irig *r, uint32_t stat_sn, uint32_t itt, uint8_t status)
{
    static const uint8_t sense[4] = { 0, 2, 0x72, 5 };
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t next = r->stat_sn;
    pdu_scsi_response(bhs, itt, 0, 0, status, 0, 0, 0, 0, 0);
    r->stat_sn = stat_sn;
    irig_send(r, bhs, true, sense, status ? sizeof sense : 0);
    r->stat_sn = sn_lt(next, r->stat_sn) ? r->stat_sn : next;
}

static void ping(struct irig *r)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_nop_in(bhs, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0, 0);
    irig_send(r, bhs, false, NULL, 0);
}

/* ---- status ---- */

static void gap(void **st)
{
    (void)st;
    static struct irig_cmd m[4];
    struct irig *r = irig_erl('1', false);
    uint32_t itt[4], sn = r->stat_sn;
    for (int i = 0; i < 4; i++)
        itt[i] = start(r, &m[i]);
    answer(r, sn, itt[0], 0);
    assert_int_equal(r->done, 1);
    answer(r, sn + 2, itt[2], 0); /* what belongs to the second is missing */
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn + 1, 0);
    assert_int_equal(r->exp_stat_sn, sn + 1);
    answer(r, sn + 3, itt[3], 0);
    irig_expect_quiet(r);
    assert_int_equal(r->done, 1); /* out of order: none is taken */
    for (uint32_t i = 1; i < 4; i++) {
        answer(r, sn + i, itt[i], 0);
        assert_int_equal(r->done, i + 1);
        assert_ptr_equal(r->last, &m[i].c);
    }
    answer(r, sn + 1, itt[1], 0); /* once more than needed */
    irig_tick(r, 10 * NS_PER_SEC);
    irig_expect_quiet(r);
    assert_int_equal(iscsi_isess_stats(r->sess)->status_snacks, 1);
    irig_free(r);
}

/* Damaged sense data: the response is asked for again. */
static void damaged(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', true);
    uint32_t itt = start(r, &m), sn = r->stat_sn;
    r->bad_data = true;
    answer(r, sn, itt, 2);
    assert_int_equal(r->done, 0);
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    assert_int_equal(r->exp_stat_sn, sn);
    answer(r, sn, itt, 2);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.status, 2);
    assert_int_equal(m.c.sense_len, 2);
    irig_expect_quiet(r);
    irig_free(r);
}

static void damaged_again(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', true);
    uint32_t itt = start(r, &m), sn = r->stat_sn;
    for (int i = 0; i < ISCSI_IRECOVERY_TRIES; i++) {
        r->bad_data = true;
        answer(r, sn, itt, 2);
        irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    }
    r->bad_data = true;
    answer(r, sn, itt, 2);
    irig_expect_closed(r, USAN_ETIMEOUT, "missing status was asked for and did not come");
    assert_true(m.c.sent);
    irig_free(r);
}

/* Data whose status can not be taken yet is taken; later its status is, and its data is not. */
static void data_in_gap(void **st)
{
    (void)st;
    struct irig_cmd m[2];
    struct irig *r = irig_erl('1', false);
    uint32_t sn = r->stat_sn, first = start(r, &m[0]);
    irig_make(&m[1], 1024, 0);
    uint32_t itt = bhs_itt(irig_submit(r, &m[1]).bhs);
    r->stat_sn = sn + 1;
    irig_data_in(r, itt, 0x81, 0, 0, 1024, 0);
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    assert_int_equal(r->done, 0);
    r->stat_sn = sn;
    irig_response(r, first, 0, 0, 0);
    irig_data_in(r, itt, 0x81, 0, 0, 1024, 0);
    assert_int_equal(r->done, 2);
    irig_expect_good(&m[1]);
    irig_expect_quiet(r);
    irig_free(r);
}

/* The last status is missing: a ping of the target shows it (11.19.4). */
static void shown_by_ping(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t itt = start(r, &m), sn = r->stat_sn++;
    ping(r);
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    answer(r, sn, itt, 0);
    assert_int_equal(r->done, 1);
    ping(r);
    irig_expect_quiet(r);
    irig_free(r);
}

static void unanswered(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t sn = r->stat_sn;
    (void)start(r, &m);
    r->stat_sn++;
    ping(r);
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    for (int i = 1; i < ISCSI_IRECOVERY_TRIES; i++) {
        irig_tick(r, NS_PER_SEC);
        irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    }
    irig_tick(r, NS_PER_SEC);
    irig_expect_closed(r, USAN_ETIMEOUT, "missing status was asked for and did not come");
    irig_free(r);
}

static void refused(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t sn = r->stat_sn;
    (void)start(r, &m);
    r->stat_sn++;
    ping(r);
    struct irig_pdu snack = irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    pdu_reject(bhs, ISCSI_REJECT_SNACK, ISCSI_BHS_LEN);
    r->stat_sn = sn; /* the number of what it does not have any more */
    irig_send(r, bhs, true, snack.bhs, ISCSI_BHS_LEN);
    irig_expect_closed(r, USAN_EDIGEST, iscsi_reject_text(ISCSI_REJECT_SNACK));
    irig_free(r);
}

static void too_far(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t itt = start(r, &m);
    answer(r, r->stat_sn + 100000, itt, 0);
    irig_expect_closed(r, USAN_EPROTO, "a StatSN out of sequence");
    irig_free(r);
}

/* Other answers have their place in the stream too. */
static void other_answers(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', true);
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iscsi_itmf tmf = { .function = ISCSI_TMF_LOGICAL_UNIT_RESET, .lun = UINT64_C(3) << 48 };
    uint32_t itt = start(r, &m), sn = r->stat_sn;
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf, r->now_ns), 0);
    irig_run(r);
    uint32_t reset = bhs_itt(irig_expect(r, ISCSI_OP_TMF_REQUEST).bhs);
    /* the status of the command got lost: the reset must not be thought to have ended it */
    r->stat_sn = sn + 1;
    pdu_tmf_response(bhs, reset, 0, 0);
    irig_send(r, bhs, true, NULL, 0);
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn, 0);
    assert_int_equal(r->tmfs, 0);
    answer(r, sn, itt, 0);
    r->stat_sn = sn + 1;
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->tmfs, 1);
    assert_int_equal(m.c.err, 0);
    /* an Async Message, damaged */
    static const uint8_t event[4] = { 0, 2, 0x72, 6 };
    pdu_async(bhs, 0, ISCSI_ASYNC_SCSI_EVENT, 0, 0, 0, 4);
    r->bad_data = true;
    irig_send(r, bhs, true, event, 4);
    irig_expect_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, sn + 2, 0);
    assert_int_equal(r->asyncs, 0);
    r->stat_sn = sn + 2;
    irig_send(r, bhs, true, event, 4);
    assert_int_equal(r->asyncs, 1);
    /* a ping with damaged data is nothing that could be asked for */
    pdu_nop_in(bhs, ISCSI_TAG_NONE, 5, 0, 4);
    r->bad_data = true;
    irig_send(r, bhs, false, event, 4);
    irig_expect_quiet(r);
    irig_free(r);
}

/* ---- commands ---- */

/* 7.8: a command with damaged immediate data is discarded, and sent again as it was. */
static void command_rejected(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    r->again = true;
    irig_make(&m, 0, 4096);
    struct irig_pdu first = irig_submit(r, &m);
    uint32_t itt = bhs_itt(first.bhs), cmd_sn = bhs_cmd_sn(first.bhs);
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    r->exp_cmd_sn = cmd_sn; /* it was not taken */
    irig_reject(r, ISCSI_REJECT_DATA_DIGEST, first.bhs);
    struct irig_pdu again = irig_expect(r, ISCSI_OP_SCSI_COMMAND);
    be32_put(again.bhs + 28, bhs_exp_stat_sn(first.bhs)); /* only this has moved on */
    assert_memory_equal(again.bhs, first.bhs, ISCSI_BHS_LEN);
    assert_int_equal(again.data_len, 1024);
    assert_memory_equal(again.data, m.out, 1024);
    /* followed by the entire data transfer of the task */
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_expect_quiet(r);
    irig_r2t(r, itt, 1, 0, 1536, 2048);
    irig_expect_data_out(r, &m, itt, 1, 1536, 3584, 1024);
    irig_r2t(r, itt, 2, 1, 3584, 512);
    irig_expect_data_out(r, &m, itt, 2, 3584, 4096, 1024);
    irig_response(r, itt, 0, 0, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.out_sent, 4096);
    assert_int_equal(iscsi_isess_stats(r->sess)->retries, 1);
    irig_free(r);
}

/* One whose number was taken is on its way to an answer. */
static void rejected_but_taken(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    irig_make(&m, 0, 512);
    struct irig_pdu first = irig_submit(r, &m);
    irig_reject(r, ISCSI_REJECT_DATA_DIGEST, first.bhs);
    irig_expect_quiet(r);
    irig_response(r, bhs_itt(first.bhs), 0, 2, 0);
    assert_int_equal(m.c.status, 2);
    irig_free(r);
}

static void answer_nop(struct irig *r, const struct irig_pdu *nop)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_nop_in(bhs, bhs_itt(nop->bhs), ISCSI_TAG_NONE, 0, 0);
    irig_send(r, bhs, true, NULL, 0);
}

/* ExpCmdSN stands still: is the command there or not? A NOP-Out behind it tells. */
static void command_lost(void **st)
{
    (void)st;
    static struct irig_cmd m[3];
    struct irig *r = irig_erl('1', false);
    struct irig_pdu pdu[3];
    r->again = true;
    for (int i = 0; i < 3; i++) {
        irig_make(&m[i], 0, 0);
        pdu[i] = irig_submit(r, &m[i]);
    }
    uint32_t sn = bhs_cmd_sn(pdu[0].bhs);
    r->exp_cmd_sn = sn + 1; /* the second did not come */
    ping(r);
    irig_tick(r, NS_PER_SEC - 1);
    irig_expect_quiet(r);
    irig_tick(r, 1);
    struct irig_pdu nop = irig_expect(r, ISCSI_OP_NOP_OUT);
    assert_true(bhs_immediate(nop.bhs));
    irig_expect_quiet(r);
    answer_nop(r, &nop);
    struct irig_pdu again = irig_expect(r, ISCSI_OP_SCSI_COMMAND);
    be32_put(again.bhs + 28, bhs_exp_stat_sn(pdu[1].bhs));
    assert_memory_equal(again.bhs, pdu[1].bhs, ISCSI_BHS_LEN);
    r->exp_cmd_sn = sn + 3;
    for (int i = 0; i < 3; i++)
        irig_response(r, bhs_itt(pdu[i].bhs), 0, 0, 0);
    assert_int_equal(r->done, 3);
    irig_tick(r, 10 * NS_PER_SEC);
    irig_expect_quiet(r);
    irig_free(r);
}

/* It is there, only slowly acknowledged; and a target that says nothing proves nothing. */
static void command_not_lost(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    r->again = true;
    uint32_t itt = start(r, &m), sn = r->exp_cmd_sn - 1;
    r->exp_cmd_sn = sn;
    ping(r);
    irig_tick(r, NS_PER_SEC);
    struct irig_pdu nop = irig_expect(r, ISCSI_OP_NOP_OUT);
    irig_tick(r, 100 * NS_PER_SEC);
    irig_expect_quiet(r);
    r->exp_cmd_sn = sn + 1;
    answer_nop(r, &nop);
    irig_tick(r, 100 * NS_PER_SEC);
    irig_expect_quiet(r);
    irig_response(r, itt, 0, 0, 0);
    assert_int_equal(r->done, 1);
    irig_free(r);
}

static void command_lost_for_ever(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    r->again = true;
    uint32_t sn = r->exp_cmd_sn;
    (void)start(r, &m);
    for (int i = 0; i <= ISCSI_IRECOVERY_TRIES; i++) {
        r->exp_cmd_sn = sn;
        irig_tick(r, NS_PER_SEC);
        struct irig_pdu nop = irig_expect(r, ISCSI_OP_NOP_OUT);
        answer_nop(r, &nop);
        if (i < ISCSI_IRECOVERY_TRIES)
            (void)irig_expect(r, ISCSI_OP_SCSI_COMMAND);
    }
    irig_expect_closed(r, USAN_ETIMEOUT, "a command does not arrive");
    irig_free(r);
}

/* The lost command was aborted, and its number is still waited for: something takes its place. */
static void number_without_command(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    r->again = true;
    uint32_t sn = r->exp_cmd_sn;
    (void)start(r, &m);
    r->exp_cmd_sn = sn;
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    irig_run(r);
    struct irig_pdu tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    pdu_tmf_response(bhs, bhs_itt(tmf.bhs), ISCSI_TMF_RSP_NO_TASK, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(m.c.err, USAN_ECANCELED);
    irig_tick(r, NS_PER_SEC);
    struct irig_pdu nop = irig_expect(r, ISCSI_OP_NOP_OUT);
    assert_false(bhs_immediate(nop.bhs));
    assert_int_not_equal(bhs_itt(nop.bhs), ISCSI_TAG_NONE);
    assert_int_equal(bhs_cmd_sn(nop.bhs), sn);
    r->exp_cmd_sn = sn + 1;
    answer_nop(r, &nop);
    irig_tick(r, 10 * NS_PER_SEC);
    irig_expect_quiet(r);
    irig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gap),
        cmocka_unit_test(damaged),
        cmocka_unit_test(damaged_again),
        cmocka_unit_test(data_in_gap),
        cmocka_unit_test(shown_by_ping),
        cmocka_unit_test(unanswered),
        cmocka_unit_test(refused),
        cmocka_unit_test(too_far),
        cmocka_unit_test(other_answers),
        cmocka_unit_test(command_rejected),
        cmocka_unit_test(rejected_but_taken),
        cmocka_unit_test(command_lost),
        cmocka_unit_test(command_not_lost),
        cmocka_unit_test(command_lost_for_ever),
        cmocka_unit_test(number_without_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
