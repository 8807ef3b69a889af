/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data of commands of the target role, in every way it can come, in pieces of any size. */
#include "ttask_data.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS(s) s, sizeof(s)

static void test_read_splits_into_segments(void **state)
{
    (void)state;
    struct rig *r = rig_new(1);
    fill(r->disk, sizeof r->disk, 9);
    rig_login(r, KEYS("MaxRecvDataSegmentLength=4096\0MaxBurstLength=10240"));
    assert_int_equal(iscsi_tconn_params(r->conn)->tx_data_segment, 4096);
    assert_int_equal(check_read(r, 10, 1), 1);
    assert_int_equal(check_read(r, 10, 8), 1);
    /* 64 KiB in bursts of 10240 = 4096 + 4096 + 2048 */
    assert_int_equal(check_read(r, 100, 128), 6 * 3 + 1);
    assert_int_equal(r->sent_events, 3);
    rig_free(r);
}

static void test_residuals(void **state)
{
    (void)state;
    struct rig *r = rig_new(2);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("MaxRecvDataSegmentLength=8192"));

    rig_rw(r, bhs, false, true, 0, 2);
    be32_put(bhs + 20, 4096); /* buffer larger than the transfer: underflow of 3072 */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(p.bhs[1], 0x80 | 1 | PDU_RESID_UNDERFLOW);
    assert_int_equal(be32_get(p.bhs + 44), 3072);

    rig_rw(r, bhs, false, true, 0, 4);
    be32_put(bhs + 20, 1000); /* smaller: overflow of 1048, 1000 bytes sent */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(p.data_len, 1000);
    assert_int_equal(p.bhs[1], 0x80 | 1 | PDU_RESID_OVERFLOW);
    assert_int_equal(be32_get(p.bhs + 44), 1048);
    rig_free(r);
}

static void test_status_with_sense(void **state)
{
    (void)state;
    struct rig *r = rig_new(3);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("DataDigest=CRC32C\0HeaderDigest=CRC32C"));
    assert_true(r->header_digest && r->data_digest);
    rig_rw(r, bhs, false, true, 0, 1);
    bhs[32] = 0xee;
    rig_send(r, bhs, NULL, 0, NULL, 0);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(p.bhs[2], 0);
    assert_int_equal(p.bhs[3], 2);
    assert_int_equal(p.data_len, 20);
    assert_int_equal(be16_get(p.data), 18);
    assert_int_equal(p.data[2], 0x70);
    assert_int_equal(be32_get(p.bhs + 44), RIG_BLOCK); /* all of it is missing */
    rig_free(r);
}

/* One write, its data sent as the negotiated keys say: immediate, unsolicited, by R2T. */
static void do_write(struct rig *r, uint32_t lba, uint16_t blocks, uint64_t seed,
                     uint32_t immediate, uint32_t piece)
{
    const struct iscsi_params *p = iscsi_tconn_params(r->conn);
    uint32_t len = blocks * (uint32_t)RIG_BLOCK, unsol = immediate, sn = 0;
    uint8_t *data = malloc(len), bhs[ISCSI_BHS_LEN];
    assert_non_null(data);
    fill(data, len, seed);
    if (!p->initial_r2t)
        unsol = len < p->first_burst ? len : p->first_burst;
    rig_rw(r, bhs, true, unsol <= immediate, lba, blocks);
    uint32_t itt = r->itt;
    rig_send(r, bhs, NULL, 0, data, immediate);
    for (uint32_t off = immediate; off < unsol;) {
        uint32_t n = unsol - off < piece ? unsol - off : piece;
        rig_data_out(bhs, itt, ISCSI_TAG_NONE, sn++, off, off + n == unsol);
        rig_send(r, bhs, NULL, 0, data + off, n);
        off += n;
    }
    uint32_t r2t_sn = 0, asked = unsol;
    struct rig_pdu q;
    while (rig_next(r, &q) && q.opcode == ISCSI_OP_R2T) {
        uint32_t off = be32_get(q.bhs + 40), n = be32_get(q.bhs + 44), ttt = be32_get(q.bhs + 20);
        assert_int_equal(be32_get(q.bhs + 36), r2t_sn++);
        assert_int_equal(be32_get(q.bhs + 16), itt);
        assert_int_equal(off, asked);
        assert_true(n <= p->max_burst);
        asked += n;
        sn = 0;
        for (uint32_t end = off + n; off < end;) {
            uint32_t k = end - off < piece ? end - off : piece;
            rig_data_out(bhs, itt, ttt, sn++, off, off + k == end);
            rig_send(r, bhs, NULL, 0, data + off, k);
            off += k;
        }
    }
    assert_int_equal(asked, len);
    assert_int_equal(q.opcode, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(q.bhs[3], 0);
    assert_int_equal(q.bhs[1], 0x80);
    assert_memory_equal(r->disk + lba * (size_t)RIG_BLOCK, data, len);
    free(data);
}

static void write_world(uint64_t seed, const char *keys, size_t keys_len, bool immediate_ok)
{
    struct rig *r = rig_new(seed);
    rig_login(r, keys, keys_len);
    /* logins want whole text, the rest may come in any pieces */
    r->max_in = seed % 4 == 0 ? 0 : seed % 4 == 1 ? 7 : seed % 4 == 2 ? 600 : 5000;
    r->max_out = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 11 : 3000;
    const struct iscsi_params *p = iscsi_tconn_params(r->conn);
    for (unsigned i = 0; i < 6; i++) {
        uint16_t blocks = (uint16_t)(1 + (seed * 37 + i * 61) % 200);
        uint32_t len = blocks * (uint32_t)RIG_BLOCK;
        uint32_t imm = immediate_ok ? (uint32_t)((seed * 977 + i * 1711) % (len + 1)) : 0;
        if (imm > p->first_burst)
            imm = p->first_burst;
        imm &= i & 1 ? ~0u : ~3u;
        do_write(r, i * 300, blocks, seed + i, imm, 512 + (uint32_t)(seed % 5) * 1000);
    }
    for (unsigned i = 0; i < 6; i++)
        (void)check_read(r, i * 300, 100);
    rig_free(r);
}

static void test_writes_in_every_mode(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        print_message("# seed %u\n", (unsigned)seed);
        write_world(seed, KEYS("InitialR2T=Yes\0ImmediateData=No"), false);
        write_world(seed, KEYS("InitialR2T=Yes\0ImmediateData=Yes\0FirstBurstLength=8192"), true);
        write_world(seed, KEYS("InitialR2T=No\0ImmediateData=No\0FirstBurstLength=20480"), false);
        write_world(seed,
                    KEYS("InitialR2T=No\0ImmediateData=Yes\0FirstBurstLength=12288\0"
                         "MaxBurstLength=16384\0MaxOutstandingR2T=3"),
                    true);
        write_world(seed,
                    KEYS("HeaderDigest=CRC32C\0DataDigest=CRC32C\0InitialR2T=No\0"
                         "MaxBurstLength=32768"),
                    true);
    }
}

static void test_r2t_window(void **state)
{
    (void)state;
    struct rig *r = rig_new(5);
    uint8_t bhs[ISCSI_BHS_LEN], data[4096] = { 1 };
    struct rig_pdu p;

    rig_login(r,
              KEYS("InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=4096\0MaxOutstandingR2T=2"));
    rig_rw(r, bhs, true, true, 0, 40); /* five bursts */
    uint32_t itt = r->itt, ttt[5];
    rig_send(r, bhs, NULL, 0, NULL, 0);
    ttt[0] = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
    ttt[1] = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
    assert_false(rig_next(r, &p)); /* not more than two */
    assert_int_not_equal(ttt[0], ttt[1]);
    for (unsigned i = 0; i < 5; i++) {
        rig_data_out(bhs, itt, ttt[i], 0, i * 4096, true);
        rig_send(r, bhs, NULL, 0, data, 4096);
        if (i + 2 < 5)
            ttt[i + 2] = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
    }
    p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(be32_get(p.bhs + 36), 5); /* ExpDataSN counts the R2Ts */
    rig_free(r);
}

/* DataPDUInOrder=No: the pieces of a sequence in any order, but each byte once. */
static void test_data_pdus_out_of_order(void **state)
{
    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        static const uint32_t order[] = { 3, 0, 2, 5, 1, 4 };
        struct rig *r = rig_new(5);
        uint8_t bhs[ISCSI_BHS_LEN], data[6 * RIG_BLOCK];
        struct rig_pdu p;

        fill(data, sizeof data, 17);
        rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No\0DataPDUInOrder=No"));
        assert_false(iscsi_tconn_params(r->conn)->data_pdu_in_order);
        rig_rw(r, bhs, true, true, 9, 6);
        uint32_t itt = r->itt;
        rig_send(r, bhs, NULL, 0, NULL, 0);
        uint32_t ttt = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t at = (twice && i == 4 ? order[1] : order[i]) * RIG_BLOCK;
            rig_data_out(bhs, itt, ttt, i, at, i == 5);
            rig_send(r, bhs, NULL, 0, data + at, RIG_BLOCK);
        }
        p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(p.bhs[3], twice ? 2 : 0);
        assert_int_equal(r->data_err, twice ? USAN_EPROTO : 0);
        if (!twice)
            assert_memory_equal(r->disk + 9 * RIG_BLOCK, data, sizeof data);
        rig_free(r);
    }
}

/* The order that leaves most gaps, in a sequence as long as they get: every other PDU, then those
 * between them. */
static void test_every_other_data_pdu(void **state)
{
    (void)state;
    enum { LEN = 1 << 20, PDUS = LEN / RIG_BLOCK };
    for (int kind = 0; kind < 4; kind++) { /* up, down, without memory, too small for it */
        struct rig *r = rig_new(20);
        uint32_t size = kind == 3 ? RIG_BLOCK / 2 : RIG_BLOCK, n = LEN / size, sn = 0;
        uint8_t *data = malloc(LEN), bhs[ISCSI_BHS_LEN];
        assert_non_null(data);
        fill(data, LEN, 23);
        rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No\0DataPDUInOrder=No\0"
                          "MaxBurstLength=1048576"));
        assert_int_equal(iscsi_tconn_params(r->conn)->max_burst, LEN);
        rig_rw(r, bhs, true, true, 0, PDUS);
        uint32_t itt = r->itt;
        rig_send(r, bhs, NULL, 0, NULL, 0);
        uint32_t ttt = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
        unsigned live = r->alloc.live;
        if (kind == 2)
            r->alloc.fail_at = r->alloc.calls + 3;
        for (uint32_t odd = 0; odd < 2; odd++) {
            for (uint32_t i = odd; i < n; i += 2) {
                uint32_t at = (kind == 1 ? n - 1 - i : i) * size;
                rig_data_out(bhs, itt, ttt, sn, at, sn == n - 1);
                sn++;
                rig_send(r, bhs, NULL, 0, data + at, size);
            }
            assert_true(r->alloc.live <= live + 1);
        }
        static const int errs[] = { 0, 0, USAN_ENOMEM, USAN_ELIMIT };
        assert_int_equal(r->data_events, 1);
        assert_int_equal(r->data_err, errs[kind]);
        assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], kind < 2 ? 0 : 2);
        if (kind < 2)
            assert_memory_equal(r->disk, data, LEN);
        assert_int_equal(r->alloc.live, live);
        free(data);
        rig_free(r);
    }
}

/* Every way a Data-Out can break its sequence ends the command with an error, nothing else. */
static void test_bad_data_out(void **state)
{
    (void)state;
    static const struct {
        uint32_t sn, off;
        uint32_t len;
        bool final;
    } bad[] = {
        { 27, 0, 512, false },         /* DataSN */
        { 0xffffffff, 0, 512, false }, /* DataSN */
        { 0, 512, 512, false },        /* a hole */
        { 0, 0, 512, true },           /* less than the R2T asked for */
        { 0, 1024, 512, true },        /* beyond it */
        { 0, 0, 2048, true },          /* longer than it */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rig *r = rig_new(i);
        uint8_t bhs[ISCSI_BHS_LEN], data[4096] = { 0 };
        rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
        rig_rw(r, bhs, true, true, 0, 2);
        uint32_t itt = r->itt;
        rig_send(r, bhs, NULL, 0, NULL, 0);
        uint32_t ttt = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
        rig_data_out(bhs, itt, ttt, bad[i].sn, bad[i].off, bad[i].final);
        rig_send(r, bhs, NULL, 0, data, bad[i].len);
        struct rig_pdu p;
        if (!bad[i].final) { /* the sequence is to end first, RFC 7143 7.8 */
            assert_false(rig_next(r, &p));
            rig_data_out(bhs, itt, ttt, bad[i].sn + 1, bad[i].off + 512, true);
            rig_send(r, bhs, NULL, 0, data, 512);
        }
        assert_int_equal(r->data_err, USAN_EPROTO);
        assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 2);
        /* late data is nobody's */
        rig_data_out(bhs, itt, ttt, 0, 0, true);
        rig_send(r, bhs, NULL, 0, data, 512);
        assert_false(rig_next(r, &p));
        (void)check_read(r, 0, 8);
        rig_free(r);
    }
}

static void test_data_digest_error(void **state)
{
    (void)state;
    struct rig *r = rig_new(6);
    uint8_t bhs[ISCSI_BHS_LEN], data[512];
    rig_login(r, KEYS("DataDigest=CRC32C\0InitialR2T=No\0ImmediateData=Yes"));
    fill(data, sizeof data, 1);
    rig_rw(r, bhs, true, true, 5, 1);
    /* by hand, with a wrong digest */
    uint8_t raw[ISCSI_BHS_LEN + 512 + 4] = { 0 };
    be24_put(bhs + 5, 512);
    memcpy(raw, bhs, ISCSI_BHS_LEN);
    memcpy(raw + ISCSI_BHS_LEN, data, 512);
    rig_feed(r, raw, sizeof raw);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_REJECT);
    assert_int_equal(p.bhs[2], ISCSI_REJECT_DATA_DIGEST);
    assert_int_equal(p.data_len, ISCSI_BHS_LEN);
    assert_memory_equal(p.data + 8, bhs + 8, 40);
    /* The command is discarded (7.8): its CmdSN would be missing for good, as nobody at level 0
     * sends it again. The session is to be recovered. */
    assert_false(rig_next(r, &p));
    assert_true(r->closed);
    assert_int_equal(r->close_err, USAN_EDIGEST);
    rig_free(r);
}

/* After a bad digest the response waits until all that was asked for has come to its end, and no
 * more is asked for; what comes after that is thrown away without a word. */
static void test_data_error_waits_for_all_sequences(void **state)
{
    (void)state;
    struct rig *r = rig_new(15);
    uint8_t bhs[ISCSI_BHS_LEN], data[1024] = { 0 };
    uint8_t raw[ISCSI_BHS_LEN + 1024 + 4] = { 0 };
    struct rig_pdu p;
    rig_login(r, KEYS("DataDigest=CRC32C\0InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=1024\0"
                      "MaxOutstandingR2T=2"));
    rig_rw(r, bhs, true, true, 0, 6); /* three sequences */
    uint32_t itt = r->itt, ttt[2];
    rig_send(r, bhs, NULL, 0, NULL, 0);
    ttt[0] = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
    ttt[1] = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
    rig_data_out(raw, itt, ttt[0], 0, 0, true); /* the digest after it is wrong */
    be24_put(raw + 5, 1024);
    raw[ISCSI_BHS_LEN + 1024] = 1;
    rig_feed(r, raw, sizeof raw);
    p = rig_expect(r, ISCSI_OP_REJECT);
    assert_int_equal(p.bhs[2], ISCSI_REJECT_DATA_DIGEST);
    assert_false(rig_next(r, &p));
    assert_int_equal(r->data_events, 0);
    rig_data_out(bhs, itt, ttt[1], 0, 1024, false);
    rig_send(r, bhs, NULL, 0, data, 512);
    assert_int_equal(r->data_events, 0);
    rig_data_out(bhs, itt, ttt[1], 1, 1536, true);
    rig_send(r, bhs, NULL, 0, data, 512);
    assert_int_equal(r->data_events, 1);
    assert_int_equal(r->data_err, USAN_EDIGEST);
    p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(p.bhs[3], 2);
    for (unsigned i = 0; i < 2; i++) {
        rig_data_out(bhs, itt, ttt[i], 1, i * 1024, true);
        rig_send(r, bhs, NULL, 0, data, 1024);
    }
    assert_false(rig_next(r, &p));
    (void)check_read(r, 0, 4);
    rig_free(r);
}

static void test_late_decision_keeps_unsolicited_data(void **state)
{
    (void)state;
    struct rig *r = rig_new(9);
    uint8_t bhs[ISCSI_BHS_LEN], data[4 * RIG_BLOCK];
    rig_login(r, KEYS("InitialR2T=No\0ImmediateData=Yes\0FirstBurstLength=1024"));
    fill(data, sizeof data, 77);
    r->hold_commands = true;
    rig_rw(r, bhs, true, false, 3, 4);
    uint32_t itt = r->itt;
    rig_send(r, bhs, NULL, 0, data, 300);
    rig_data_out(bhs, itt, ISCSI_TAG_NONE, 0, 300, true);
    rig_send(r, bhs, NULL, 0, data + 300, 724);
    assert_int_equal(r->held_count, 1);
    rig_serve(r, r->held[0]);
    rig_run(r);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_R2T);
    assert_int_equal(be32_get(p.bhs + 40), 1024);
    assert_int_equal(be32_get(p.bhs + 44), 1024);
    rig_data_out(bhs, itt, be32_get(p.bhs + 20), 0, 1024, true);
    rig_send(r, bhs, NULL, 0, data + 1024, 1024);
    assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
    assert_memory_equal(r->disk + 3 * RIG_BLOCK, data, sizeof data);
    rig_free(r);
}

/* Bulk data that nobody wants does not take a receive call for each header's worth of it. */
static void test_thrown_away_data_flows(void **state)
{
    (void)state;
    struct rig *r = rig_new(14);
    uint8_t bhs[ISCSI_BHS_LEN], buf[65536] = { 0 };
    struct iovec iov[ISCSI_RX_IOV_MAX];
    struct iscsi_event ev;
    rig_login(r, KEYS("ImmediateData=Yes\0InitialR2T=No\0FirstBurstLength=262144"));
    r->hold_commands = true;
    rig_rw(r, bhs, true, true, 0, 200);
    be24_put(bhs + 5, 200 * RIG_BLOCK);
    rig_feed(r, bhs, sizeof bhs);
    assert_int_equal(r->held_count, 1);
    assert_true(iscsi_task_drop(r->held[0]));
    unsigned calls = 0;
    for (size_t left = 200 * RIG_BLOCK; left > 0; calls++) {
        int n = iscsi_tconn_rx_space(r->conn, buf, sizeof buf, iov);
        assert_int_equal(n, 1);
        size_t got = iov[0].iov_len < left ? iov[0].iov_len : left;
        iscsi_tconn_rx(r->conn, got, r->now_ns);
        assert_false(iscsi_tconn_next(r->conn, &ev));
        left -= got;
    }
    assert_int_equal(calls, 2);
    r->hold_commands = false;
    (void)check_read(r, 0, 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_splits_into_segments),
        cmocka_unit_test(test_residuals),
        cmocka_unit_test(test_status_with_sense),
        cmocka_unit_test(test_writes_in_every_mode),
        cmocka_unit_test(test_r2t_window),
        cmocka_unit_test(test_data_pdus_out_of_order),
        cmocka_unit_test(test_every_other_data_pdu),
        cmocka_unit_test(test_bad_data_out),
        cmocka_unit_test(test_data_digest_error),
        cmocka_unit_test(test_data_error_waits_for_all_sequences),
        cmocka_unit_test(test_late_decision_keeps_unsolicited_data),
        cmocka_unit_test(test_thrown_away_data_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
