/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 1, target role: data-out that is damaged or does not come, commands that come
 * again (RFC 7143 7.2.1, 7.8, 7.9). */
#include "terl_rig.h"

#include <string.h>

#define WRITE_KEYS                                                                                 \
    "DataDigest=CRC32C\0InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=4096\0"                   \
    "MaxOutstandingR2T=1"

static uint8_t data[16384];

struct r2t {
    uint32_t ttt, sn, off, len;
};

static struct r2t expect_r2t(struct rig *r)
{
    struct rig_pdu p = rig_expect(r, ISCSI_OP_R2T);
    const struct pdu_r2t q = pdu_r2t_decode(p.bhs);
    return (struct r2t){ q.ttt, q.r2t_sn, q.offset, q.len };
}

static void send_data(struct rig *r, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off,
                      uint32_t len, bool final, bool bad)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_data_out(bhs, itt, ttt, sn, off, final);
    if (bad)
        erl_send_bad(r, bhs, data + off, len);
    else
        rig_send(r, bhs, NULL, 0, data + off, len);
}

static void expect_good(struct rig *r, uint32_t itt, uint32_t lba, uint32_t len, uint32_t r2ts)
{
    struct rig_pdu p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(bhs_itt(p.bhs), itt);
    assert_int_equal(p.bhs[3], 0);
    assert_int_equal(be32_get(p.bhs + 36), r2ts); /* ExpDataSN */
    erl_expect_nothing(r);
    assert_memory_equal(r->disk + lba * RIG_BLOCK, data, len);
}

static void test_damaged_data(void **state)
{
    (void)state;
    for (uint32_t bad = 0; bad < 4; bad++) { /* of the four PDUs of a sequence */
        struct rig *r = erl_rig(1, KEYS(WRITE_KEYS));
        uint32_t itt = erl_command(r, true, 10, 8);
        struct r2t q = expect_r2t(r);
        assert_int_equal(q.len, 4096);
        for (uint32_t i = 0; i < 4; i++)
            send_data(r, itt, q.ttt, i, i * 1024, 1024, i == 3, i == bad);
        assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_DATA_DIGEST);
        struct r2t again = expect_r2t(r);
        assert_int_equal(again.off, bad * 1024);
        assert_int_equal(again.len, 1024);
        assert_int_equal(again.sn, 1);
        assert_int_not_equal(again.ttt, q.ttt);
        assert_int_equal(r->data_events, 0);
        send_data(r, itt, again.ttt, 0, again.off, 1024, true, false);
        expect_good(r, itt, 10, 4096, 2);
        assert_int_equal(r->data_err, 0);
        rig_free(r);
    }
}

/* A DataSN that is not the next: what was before is missing. One that was there is thrown away. */
static void test_missing_and_doubled_pdus(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS(WRITE_KEYS));
    uint32_t itt = erl_command(r, true, 10, 8);
    struct r2t q = expect_r2t(r);
    send_data(r, itt, q.ttt, 0, 0, 512, false, false);
    send_data(r, itt, q.ttt, 0, 0, 512, false, false); /* doubled */
    send_data(r, itt, q.ttt, 2, 1024, 512, false, false);
    send_data(r, itt, q.ttt, 5, 2560, 512, true, false); /* F long before the end */
    static const uint32_t missing[][2] = { { 512, 512 }, { 1536, 1024 }, { 3072, 1024 } };
    for (uint32_t i = 0; i < 3; i++) {
        q = expect_r2t(r); /* MaxOutstandingR2T is 1 */
        erl_expect_nothing(r);
        assert_int_equal(q.off, missing[i][0]);
        assert_int_equal(q.len, missing[i][1]);
        assert_int_equal(q.sn, i + 1);
        send_data(r, itt, q.ttt, 0, q.off, q.len, true, false);
    }
    expect_good(r, itt, 10, 4096, 4);
    rig_free(r);
}

/* 13.19: with sequences in order only the last R2T may be repeated, so there is one at a time. */
static void test_one_r2t_with_sequences_in_order(void **state)
{
    (void)state;
    for (int level = 0; level < 2; level++) {
        struct rig *r =
            erl_rig((uint8_t)level, KEYS("InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=1024\0"
                                         "MaxOutstandingR2T=4\0DataSequenceInOrder=Yes"));
        (void)erl_command(r, true, 10, 8);
        unsigned n = 0;
        for (struct rig_pdu p; rig_next(r, &p); n++)
            assert_int_equal(p.opcode, ISCSI_OP_R2T);
        assert_int_equal(n, level ? 1 : 4);
        rig_free(r);
    }
}

/* Unsolicited data, before the owner has said where it goes, and after. */
static void test_unsolicited_data(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++)
        for (uint32_t bad = 0; bad < 4; bad++) {
            struct rig *r = erl_rig(1, KEYS("DataDigest=CRC32C\0InitialR2T=No\0ImmediateData=Yes\0"
                                            "FirstBurstLength=2048\0MaxOutstandingR2T=1"));
            uint8_t bhs[ISCSI_BHS_LEN];
            r->hold_commands = held;
            rig_rw(r, bhs, true, false, 10, 8);
            uint32_t itt = bhs_itt(bhs);
            rig_send(r, bhs, NULL, 0, data, 512);
            for (uint32_t i = 1; i < 4; i++) /* bad 0: the second one is not sent at all */
                if (bad || i != 2)
                    send_data(r, itt, ISCSI_TAG_NONE, i - 1, i * 512, 512, i == 3, i == bad);
            if (bad)
                assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_DATA_DIGEST);
            if (held) {
                rig_serve(r, r->held[0]);
                rig_run(r);
            }
            struct r2t q = expect_r2t(r);
            assert_int_equal(q.off, (bad ? bad : 2) * 512);
            assert_int_equal(q.len, bad == 3 ? 2560 : 512);
            send_data(r, itt, q.ttt, 0, q.off, q.len, true, false);
            if (bad != 3) {
                q = expect_r2t(r);
                assert_int_equal(q.off, 2048);
                assert_int_equal(q.len, 2048);
                send_data(r, itt, q.ttt, 0, q.off, q.len, true, false);
            }
            expect_good(r, itt, 10, 4096, bad == 3 ? 1 : 2);
            rig_free(r);
        }
}

/* 7.8: the command is discarded, as if it had not come; the initiator sends it again (7.2.1). */
static void test_damaged_immediate_data(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct rig *r = erl_rig(1, KEYS("DataDigest=CRC32C\0InitialR2T=No\0ImmediateData=Yes"));
        uint8_t bhs[ISCSI_BHS_LEN], other[ISCSI_BHS_LEN];
        uint32_t first = r->cmd_sn;
        if (early)
            rig_rw(r, other, false, true, 0, 1);
        rig_rw(r, bhs, true, true, 10, 1);
        erl_send_bad(r, bhs, data, 512);
        struct rig_pdu p = rig_expect(r, ISCSI_OP_REJECT);
        assert_int_equal(p.bhs[2], ISCSI_REJECT_DATA_DIGEST);
        assert_int_equal(bhs_exp_cmd_sn(p.bhs), first);
        assert_int_equal(r->commands, 0);
        rig_send(r, bhs, NULL, 0, data, 512);
        if (early) {
            assert_int_equal(r->commands, 0);
            rig_send(r, bhs, NULL, 0, data, 512); /* again; it waits for its turn */
            rig_send(r, other, NULL, 0, NULL, 0);
            (void)rig_expect(r, ISCSI_OP_DATA_IN);
        }
        expect_good(r, bhs_itt(bhs), 10, 512, 0);
        assert_int_equal(r->commands, 1u + (unsigned)early);
        rig_send(r, bhs, NULL, 0, data + 512, 512); /* one that was executed: ignored */
        erl_expect_nothing(r);
        assert_int_equal(r->commands, 1u + (unsigned)early);
        assert_memory_equal(r->disk + 10 * RIG_BLOCK, data, 512);
        rig_free(r);
    }
}

/* A retry of a command that is under way, with all its unsolicited data. */
static void test_retry_is_not_executed_twice(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("DataDigest=CRC32C\0InitialR2T=No\0ImmediateData=Yes\0"
                                    "FirstBurstLength=4096"));
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_rw(r, bhs, true, false, 10, 8);
    uint32_t itt = bhs_itt(bhs);
    for (unsigned n = 0; n < 2; n++) {
        rig_send(r, bhs, NULL, 0, data, 1024);
        send_data(r, itt, ISCSI_TAG_NONE, 0, 1024, 1024, false, false);
        if (n)
            send_data(r, itt, ISCSI_TAG_NONE, 1, 2048, 2048, true, false);
    }
    expect_good(r, itt, 10, 4096, 0);
    assert_int_equal(r->commands, 1);
    rig_free(r);
}

/* An initiator that never gets it right is not asked for ever. */
static void test_no_end_of_damage(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS(WRITE_KEYS));
    uint32_t itt = erl_command(r, true, 10, 1);
    unsigned n = 0;
    struct rig_pdu p;
    while (rig_next(r, &p) && p.opcode != ISCSI_OP_SCSI_RESPONSE) {
        if (p.opcode == ISCSI_OP_REJECT)
            continue;
        assert_int_equal(p.opcode, ISCSI_OP_R2T);
        send_data(r, itt, bhs_ttt(p.bhs), 0, 0, 512, true, true);
        assert_true(++n < 100);
    }
    assert_int_equal(n, 33); /* TTASK_RECOVERIES_MAX, and the first time */
    assert_int_equal(p.opcode, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(p.bhs[3], 2);
    assert_int_equal(r->data_err, USAN_EDIGEST);
    rig_free(r);
}

/* ---- an initiator that follows every R2T, on a bad line ---- */

static uint32_t draw(uint64_t *rng, uint32_t below)
{
    *rng ^= *rng << 13;
    *rng ^= *rng >> 7;
    *rng ^= *rng << 17;
    return (uint32_t)(*rng % below);
}

/* One sequence, in segments of any length, some of them damaged or left out. */
static void send_sequence(struct rig *r, uint64_t *rng, uint32_t itt, const struct r2t *q,
                          bool shuffle)
{
    uint32_t sn = 0, half = shuffle && q->len >= 1024 ? q->len / 2 & ~511u : 0;
    /* in two runs, the second half first */
    uint32_t from[2] = { q->off + half, q->off }, to[2] = { q->off + q->len, q->off + half };

    for (int k = 0; k < (half ? 2 : 1); k++)
        for (uint32_t off = from[k]; off < to[k]; sn++) {
            uint32_t len = 512 * (1 + draw(rng, 3));
            if (len > to[k] - off)
                len = to[k] - off;
            bool final = off + len == to[k] && (!half || k == 1);
            bool lost = !final && draw(rng, 8) == 0;
            if (!lost)
                send_data(r, itt, q->ttt, sn, off, len, final, draw(rng, 8) == 0);
            off += len;
        }
}

static void test_bad_line(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t rng = seed * 0x9e3779b97f4a7c15u;
        bool shuffle = seed % 2;
        struct rig *r =
            shuffle ? erl_rig(1, KEYS("DataDigest=CRC32C\0InitialR2T=Yes\0ImmediateData=No\0"
                                      "MaxBurstLength=4096\0MaxOutstandingR2T=3\0"
                                      "DataPDUInOrder=No\0DataSequenceInOrder=No"))
                    : erl_rig(1, KEYS("DataDigest=CRC32C\0InitialR2T=Yes\0ImmediateData=No\0"
                                      "MaxBurstLength=4096\0MaxOutstandingR2T=3\0"
                                      "DataPDUInOrder=Yes\0DataSequenceInOrder=No"));
        r->max_in = 1 + draw(&rng, 2000);
        uint32_t itt = erl_command(r, true, 10, 32);
        struct rig_pdu p = { .opcode = 0 };
        while (rig_next(r, &p) && p.opcode != ISCSI_OP_SCSI_RESPONSE)
            if (p.opcode == ISCSI_OP_R2T) {
                const struct pdu_r2t q = pdu_r2t_decode(p.bhs);
                send_sequence(r, &rng, itt, &(struct r2t){ q.ttt, 0, q.offset, q.len }, shuffle);
            }
        assert_int_equal(p.opcode, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(p.bhs[3], 0);
        assert_int_equal(r->data_events, 1);
        assert_memory_equal(r->disk + 10 * RIG_BLOCK, data, sizeof data);
        rig_free(r);
    }
}

/* 4.2.2.3: R2Ts and Data-In PDUs of a bidirectional command share one sequence of numbers. */
static void test_bidirectional_numbers(void **state)
{
    (void)state;
    struct rig *r = erl_rig(1, KEYS("DataDigest=CRC32C\0InitialR2T=Yes\0ImmediateData=No\0"
                                    "MaxBurstLength=512\0MaxRecvDataSegmentLength=512"));
    uint8_t bhs[ISCSI_BHS_LEN], ahs[8] = { 0, 5, 2, 0 };
    struct iscsi_response rsp = { .in_used = 1024, .out_used = 1024, .in_len = 1024, .in_cnt = 1 };
    struct iovec in = { r->disk, 1024 }, out = { r->disk + 4096, 1024 };

    r->hold_commands = true;
    rig_rw(r, bhs, true, true, 8, 2);
    bhs[1] |= 0x40;
    be32_put(ahs + 4, 1024);
    rig_send(r, bhs, ahs, 8, NULL, 0);
    iscsi_task_want_data(r->held[0], &out, 1, 1024);
    rig_run(r);
    for (uint32_t sn = 0; sn < 2; sn++) {
        struct r2t q = expect_r2t(r);
        assert_int_equal(q.sn, sn);
        uint8_t head[ISCSI_BHS_LEN];
        rig_data_out(head, bhs_itt(bhs), q.ttt, 0, q.off, true);
        r->data_events = 0;
        if (sn == 1) { /* the rig would answer as to a write */
            rig_feed(r, head, 0);
        }
        if (sn == 0)
            rig_send(r, head, NULL, 0, data, 512);
    }
    rsp.in = &in;
    iscsi_task_respond(r->held[0], &rsp); /* it has enough */
    rig_run(r);
    for (uint32_t sn = 2; sn < 4; sn++) {
        struct rig_pdu p = rig_expect(r, ISCSI_OP_DATA_IN);
        assert_int_equal(be32_get(p.bhs + 36), sn);
        assert_int_equal(be32_get(p.bhs + 40), (sn - 2) * 512);
    }
    struct rig_pdu p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(be32_get(p.bhs + 36), 4);
    r->exp_stat_sn--;
    r->loose = true;
    erl_snack(r, PDU_SNACK_DATA, bhs_itt(bhs), ISCSI_TAG_NONE, 3, 1);
    p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(be32_get(p.bhs + 40), 512);
    erl_snack(r, PDU_SNACK_DATA, bhs_itt(bhs), ISCSI_TAG_NONE, 1,
              1); /* an R2T, that was answered */
    erl_expect_reject(r, ISCSI_REJECT_PROTOCOL_ERROR);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_data),
        cmocka_unit_test(test_missing_and_doubled_pdus),
        cmocka_unit_test(test_one_r2t_with_sequences_in_order),
        cmocka_unit_test(test_unsolicited_data),
        cmocka_unit_test(test_damaged_immediate_data),
        cmocka_unit_test(test_retry_is_not_executed_twice),
        cmocka_unit_test(test_no_end_of_damage),
        cmocka_unit_test(test_bad_line),
        cmocka_unit_test(test_bidirectional_numbers),
    };
    erl_fill(data, sizeof data, 77);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
