/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 1, target role: SNACK of every kind (RFC 7143 11.16). */
#include "terl_rig.h"

/* A READ of 16 blocks in segments of 1 KiB: eight PDUs, DataSN 0 to 7, the status in the last. */
static struct rig *read_rig(uint8_t level, uint32_t *ret_itt)
{
    struct rig *r = erl_rig(level, KEYS("MaxRecvDataSegmentLength=1024"));
    *ret_itt = erl_command(r, false, 20, 16);
    (void)erl_read_rest(r, *ret_itt, 20, 0, 0, 8192);
    return r;
}

static void expect_data(struct rig *r, uint32_t itt, uint32_t lba, uint32_t sn, bool status)
{
    struct rig_pdu p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(bhs_itt(p.bhs), itt);
    assert_int_equal(be32_get(p.bhs + 36), sn);
    assert_int_equal(be32_get(p.bhs + 40), sn * 1024);
    assert_int_equal(p.data_len, 1024);
    assert_memory_equal(p.data, r->disk + lba * RIG_BLOCK + sn * 1024, 1024);
    assert_int_equal(p.bhs[1] & 0x81, status ? 0x81 : 0);
}

static void test_level_0_refuses(void **state)
{
    (void)state;
    for (uint8_t type = 0; type < 4; type++) {
        uint32_t itt;
        struct rig *r = read_rig(0, &itt);
        assert_int_equal(r->sent_events, 1); /* the memory is the owner's again at once */
        erl_snack(r, type, itt, ISCSI_TAG_NONE, 0, 0);
        erl_expect_reject(r, ISCSI_REJECT_SNACK);
        rig_free(r);
    }
}

static void test_data_runs(void **state)
{
    (void)state;
    static const struct {
        uint32_t beg, run, first, count;
    } runs[] = { { 3, 2, 3, 2 }, { 0, 1, 0, 1 }, { 7, 1, 7, 1 }, { 5, 0, 5, 3 }, { 0, 0, 0, 8 } };
    uint32_t itt;
    struct rig *r = read_rig(1, &itt);
    r->loose = true;
    uint32_t stat_sn = r->exp_stat_sn - 1;
    r->exp_stat_sn = stat_sn; /* the initiator does not have the status, and does not say so */
    assert_int_equal(r->sent_events, 0);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, runs[i].beg, runs[i].run);
        for (uint32_t k = 0; k < runs[i].count; k++)
            expect_data(r, itt, 20, runs[i].first + k, runs[i].first + k == 7);
        erl_expect_nothing(r);
    }
    /* a replica, with the StatSN of the first time */
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 7, 1);
    assert_int_equal(bhs_stat_sn(rig_expect(r, ISCSI_OP_DATA_IN).bhs), stat_sn);
    assert_int_equal(r->sent_events, 0);
    erl_ack(r, stat_sn + 1);
    assert_int_equal(r->sent_events, 1);
    rig_free(r);
}

/* 11.16: what was not sent or was acknowledged: Protocol Error, and the next DataSN. */
static void test_data_out_of_range(void **state)
{
    (void)state;
    static const uint32_t bad[][2] = { { 8, 1 }, { 7, 2 }, { 9, 0 }, { 1, 0xffffffff }, { 0, 9 } };
    uint32_t itt;
    struct rig *r = read_rig(1, &itt);
    r->exp_stat_sn--;
    r->loose = true;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, bad[i][0], bad[i][1]);
        struct rig_pdu p = rig_expect(r, ISCSI_OP_REJECT);
        assert_int_equal(p.bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
        assert_int_equal(be32_get(p.bhs + 36), 8);
        erl_expect_nothing(r);
    }
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 8, 0); /* all from the next on: none */
    erl_expect_nothing(r);
    erl_snack(r, PDU_SNACK_DATA, itt + 1, ISCSI_TAG_NONE, 0, 0); /* of no task */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    erl_ack(r, r->exp_stat_sn + 1);
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 0); /* it is acknowledged */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    rig_free(r);
}

static void test_r2t_again(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=1024\0"
                                    "MaxOutstandingR2T=3\0DataSequenceInOrder=No"));
    uint8_t bhs[ISCSI_BHS_LEN], data[1024];
    struct rig_pdu first[3];
    uint32_t itt = erl_command(r, true, 8, 8);
    for (unsigned i = 0; i < 3; i++)
        first[i] = rig_expect(r, ISCSI_OP_R2T);
    erl_expect_nothing(r);
    for (uint32_t run = 0; run < 2; run++) {
        erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 1, run * 2);
        for (unsigned i = 1; i < 3; i++) {
            struct rig_pdu p = rig_expect(r, ISCSI_OP_R2T);
            assert_memory_equal(p.bhs, first[i].bhs, ISCSI_BHS_LEN);
        }
        erl_expect_nothing(r);
    }
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 3, 1); /* there was none with this number */
    struct rig_pdu p = rig_expect(r, ISCSI_OP_REJECT);
    assert_int_equal(p.bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
    assert_int_equal(be32_get(p.bhs + 36), 3);
    erl_fill(data, sizeof data, 5);
    rig_data_out(bhs, itt, bhs_ttt(first[0].bhs), 0, 0, true);
    rig_send(r, bhs, NULL, 0, data, sizeof data);
    (void)rig_expect(r, ISCSI_OP_R2T);
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 1); /* that one was answered */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    rig_free(r);
}

/* Statuses of every kind are numbered, and sent again as they were. */
static void test_status_again(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("MaxRecvDataSegmentLength=1024"));
    uint8_t bhs[ISCSI_BHS_LEN];
    struct rig_pdu seen[5];
    uint32_t base = r->exp_stat_sn;

    r->loose = true; /* nothing is acknowledged */
    rig_rw(r, bhs, false, true, 0, 1);
    bhs[32] = 0; /* no command of the rig's: CHECK CONDITION with sense data */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    seen[0] = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
    rig_send(r, bhs, NULL, 0, "ping", 4);
    seen[1] = rig_expect(r, ISCSI_OP_NOP_IN);
    (void)erl_command(r, false, 30, 2);
    seen[2] = rig_expect(r, ISCSI_OP_DATA_IN);
    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | ISCSI_TMF_LOGICAL_UNIT_RESET;
    rig_send(r, bhs, NULL, 0, NULL, 0);
    seen[3] = rig_expect(r, ISCSI_OP_TMF_RESPONSE);
    rig_request(r, bhs, 0x1e, true);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    seen[4] = rig_expect(r, ISCSI_OP_REJECT);

    for (uint32_t beg = 0; beg < 5; beg++)
        for (uint32_t run = 0; run <= 5 - beg; run++) {
            uint32_t end = run ? beg + run : 5;
            erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base + beg, run);
            for (uint32_t i = beg; i < end; i++) {
                struct rig_pdu p = rig_expect(r, seen[i].opcode);
                assert_int_equal(bhs_stat_sn(p.bhs), base + i);
                assert_int_equal(p.data_len, seen[i].data_len);
                assert_memory_equal(p.data, seen[i].data, p.data_len);
                assert_memory_equal(p.bhs, seen[i].bhs, 24);
                assert_memory_equal(p.bhs + 36, seen[i].bhs + 36, 12);
            }
            erl_expect_nothing(r);
        }
    rig_free(r);
}

static void test_status_out_of_range(void **state)
{
    (void)state;
    uint32_t itt;
    struct rig *r = read_rig(1, &itt);
    uint32_t base = r->exp_stat_sn - 1;
    r->loose = true;
    r->exp_stat_sn = base;
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base + 1, 1); /* not sent yet */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base - 1, 2); /* acknowledged */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base, 0x80000001);
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    erl_ack(r, base + 4); /* the read and three rejects */
    r->exp_stat_sn = base + 4;
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base + 3, 1);
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    rig_free(r);
}

/* The data is not kept any more: the status is sent as a response of its own. */
static void test_status_without_its_data(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("MaxRecvDataSegmentLength=4096"));
    uint32_t itt = erl_command(r, false, 20, 8), base = r->exp_stat_sn;
    (void)erl_read_rest(r, itt, 20, 0, 0, 4096);
    r->exp_stat_sn = base;
    r->loose = true;
    for (unsigned i = 0; i < 64; i++) /* TSESS_KEEP_TASKS */
        (void)erl_read_rest(r, erl_command(r, false, 40, 8), 40, 0, 0, 4096);
    assert_int_equal(r->sent_events, 1);
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base, 1);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(bhs_itt(p.bhs), itt);
    assert_int_equal(bhs_stat_sn(p.bhs), base);
    assert_int_equal(be32_get(p.bhs + 36), 1); /* ExpDataSN: one Data-In PDU */
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 0);
    erl_expect_reject(r, ISCSI_REJECT_SNACK);
    erl_snack(r, PDU_SNACK_RDATA, itt, 77, 0, 0);
    erl_expect_reject(r, ISCSI_REJECT_SNACK);
    rig_free(r);
}

/* The A bit comes once in MaxBurstLength bytes, and not with the end of the data. */
static void test_data_ack(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("MaxRecvDataSegmentLength=1024\0MaxBurstLength=2048"));
    uint32_t itt = erl_command(r, false, 20, 16), ttt = ISCSI_TAG_NONE, base = r->exp_stat_sn;
    for (uint32_t sn = 0; sn < 8; sn++) {
        struct rig_pdu p = rig_expect(r, ISCSI_OP_DATA_IN);
        bool ask = sn % 2 == 1 && sn != 7;
        assert_int_equal(p.bhs[1] & 0x40, ask ? 0x40 : 0);
        assert_int_equal(p.bhs[1] & 0x80, sn % 2 ? 0x80 : 0);
        if (ask) {
            assert_true(ttt == ISCSI_TAG_NONE || ttt == bhs_ttt(p.bhs));
            ttt = bhs_ttt(p.bhs);
        } else {
            assert_int_equal(bhs_ttt(p.bhs), ISCSI_TAG_NONE);
        }
    }
    assert_int_not_equal(ttt, ISCSI_TAG_NONE);
    r->exp_stat_sn = base;
    r->loose = true;
    erl_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, ttt, 4, 0);
    erl_expect_nothing(r);
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 0); /* all that is not acknowledged */
    for (uint32_t sn = 4; sn < 8; sn++)
        assert_int_equal(be32_get(rig_expect(r, ISCSI_OP_DATA_IN).bhs + 36), sn);
    erl_expect_nothing(r);
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 3, 1);
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    erl_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, ttt, 2, 0); /* less than before: nothing new */
    erl_expect_nothing(r);
    erl_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, ttt, 9, 0); /* more than was sent */
    erl_expect_reject(r, ISCSI_REJECT_INVALID_DATA_ACK);
    erl_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, 0x12345678, 1, 0);
    erl_expect_reject(r, ISCSI_REJECT_INVALID_DATA_ACK);
    erl_ack(r, r->exp_stat_sn + 1);
    assert_int_equal(r->sent_events, 1);
    erl_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, ttt, 6, 0); /* late, but no fault */
    erl_expect_nothing(r);
    rig_free(r);
}

/* The initiator takes other segments now: the PDUs of before do not exist any more. */
static void test_rdata(void **state)
{
    (void)state;
    uint32_t itt;
    struct rig *r = read_rig(1, &itt);
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t base = r->exp_stat_sn - 1;
    r->loose = true;
    r->exp_stat_sn = base;
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
    rig_send(r, bhs, NULL, 0, KEYS("MaxRecvDataSegmentLength=3072"));
    (void)rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 3, 1);
    erl_expect_reject(r, ISCSI_REJECT_SNACK);
    erl_snack(r, PDU_SNACK_RDATA, itt, 0x1234, 1, 0); /* BegRun must be 0 */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    for (uint32_t tag = 0x1234; tag < 0x1236; tag++) {
        erl_snack(r, PDU_SNACK_RDATA, itt, tag, 0, 0);
        struct rig_pdu p = erl_read_rest(r, itt, 20, 0, 0, 8192);
        assert_int_equal(p.opcode, ISCSI_OP_SCSI_RESPONSE); /* never in a Data-In PDU */
        assert_int_equal(bhs_ttt(p.bhs), tag);
        assert_int_equal(bhs_stat_sn(p.bhs), base);
        assert_int_equal(be32_get(p.bhs + 36), 3);
        erl_expect_nothing(r);
    }
    erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 1, 1); /* of the new ones */
    struct rig_pdu p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(be32_get(p.bhs + 40), 3072);
    assert_int_equal(p.data_len, 3072);
    erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, base, 1);
    p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(bhs_ttt(p.bhs), 0x1235); /* the content that is known last */
    erl_ack(r, base + 1);
    assert_int_equal(r->sent_events, 1);
    rig_free(r);
}

/* While the response is still on its way. */
static void test_rdata_of_what_is_being_sent(void **state)
{
    (void)state;
    for (int part = 0; part < 2; part++) {
        struct rig *r = erl_rig(1, KEYS("MaxRecvDataSegmentLength=1024"));
        r->deaf = true;
        if (!part)
            r->hold_commands = true;
        uint32_t itt = erl_command(r, false, 20, 16), base = r->exp_stat_sn;
        erl_snack(r, PDU_SNACK_RDATA, itt, 9, 0, 0);
        r->deaf = false;
        r->loose = true;
        if (!part)
            rig_serve(r, r->held[0]);
        rig_run(r);
        if (part) /* what was queued before comes as well */
            (void)erl_read_rest(r, itt, 20, 0, 0, 8192);
        struct rig_pdu p = erl_read_rest(r, itt, 20, 0, 0, 8192);
        assert_int_equal(p.opcode, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(bhs_ttt(p.bhs), 9);
        assert_int_equal(bhs_stat_sn(p.bhs), base);
        erl_expect_nothing(r);
        assert_int_equal(r->sent_events, 0);
        erl_ack(r, base + 1);
        assert_int_equal(r->sent_events, 1);
        rig_free(r);
    }
}

/* Acknowledged, or the connection lost, while it is being sent again. */
static void test_end_while_it_is_sent_again(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        uint32_t itt;
        struct rig *r = read_rig(1, &itt);
        uint32_t base = r->exp_stat_sn - 1;
        r->loose = true;
        r->deaf = true;
        r->exp_stat_sn = base;
        if (how % 3 == 0)
            erl_snack(r, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 0);
        else if (how % 3 == 1)
            erl_snack(r, PDU_SNACK_RDATA, itt, 5, 0, 0);
        else
            erl_snack(r, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0, 0);
        assert_true(iscsi_tconn_tx_pending(r->conn));
        if (how < 3)
            erl_ack(r, base + 1);
        else
            rig_cut(r);
        assert_int_equal(r->sent_events, how < 3 ? 0 : 1);
        r->deaf = false;
        rig_run(r);
        assert_int_equal(r->sent_events, 1);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_0_refuses),
        cmocka_unit_test(test_data_runs),
        cmocka_unit_test(test_data_out_of_range),
        cmocka_unit_test(test_r2t_again),
        cmocka_unit_test(test_status_again),
        cmocka_unit_test(test_status_out_of_range),
        cmocka_unit_test(test_status_without_its_data),
        cmocka_unit_test(test_data_ack),
        cmocka_unit_test(test_rdata),
        cmocka_unit_test(test_rdata_of_what_is_being_sent),
        cmocka_unit_test(test_end_while_it_is_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
