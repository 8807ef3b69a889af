/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An owner with several threads has data digests computed apart from its calls into the session. */
#include "tconn_rig.h"

#include "base/crc32c.h"

#define KEYS(s) s, sizeof(s)

enum { BLOCKS = 64, BYTES = BLOCKS * RIG_BLOCK };

static uint32_t digest_of(const void *data, size_t len)
{
    return crc32c(data, len);
}

/* What is sent has the digest of the data as it is when that is asked for, not when it was queued;
 * iscsi_tconn_tx() does both. */
static void test_sent(void **state)
{
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        struct rig *r = rig_new(1);
        uint8_t bhs[ISCSI_BHS_LEN], out[ISCSI_BHS_LEN + 4 * RIG_BLOCK + 8];
        struct iovec iov[16];
        size_t len = 0;
        rig_login(r, KEYS("DataDigest=CRC32C"));
        r->deaf = r->hold_commands = true;
        rig_rw(r, bhs, false, true, 0, 4);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        rig_serve(r, r->held[0]);
        int n = apart ? iscsi_tconn_tx_bare(r->conn, iov, 16) : iscsi_tconn_tx(r->conn, iov, 16);
        assert_true(n > 2);
        memset(r->disk, 0x77, (size_t)4 * RIG_BLOCK);
        if (apart) {
            iscsi_tconn_lend(r->conn, true);
            iscsi_tconn_tx_digest(r->conn);
        }
        for (int i = 0; i < n; i++) {
            assert_true(len + iov[i].iov_len <= sizeof out);
            memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
        }
        if (apart)
            iscsi_tconn_lend(r->conn, false);
        assert_int_equal(len, ISCSI_BHS_LEN + 4 * RIG_BLOCK + 4);
        uint32_t crc, ours = digest_of(out + ISCSI_BHS_LEN, (size_t)4 * RIG_BLOCK);
        memcpy(&crc, out + ISCSI_BHS_LEN + 4 * RIG_BLOCK, 4);
        assert_int_equal(crc == ours, apart);
        iscsi_tconn_tx_done(r->conn, len, r->now_ns);
        r->deaf = false;
        rig_run(r);
        /* and one after the other, in pieces, all is in order */
        r->hold_commands = false;
        r->max_out = 100;
        for (unsigned i = 0; i < 20; i++) {
            rig_rw(r, bhs, false, true, i, 5);
            rig_send(r, bhs, NULL, 0, NULL, 0);
        }
        r->exp_stat_sn++;
        for (unsigned i = 0; i < 20; i++)
            assert_int_equal(rig_expect(r, ISCSI_OP_DATA_IN).data_len, 5 * RIG_BLOCK);
        rig_free(r);
    }
}

/* What landed in its place is not looked at again, and what comes behind it is. */
static void test_received(void **state)
{
    (void)state;
    static uint8_t data[BYTES];
    for (int bad = 0; bad < 2; bad++) {
        struct rig *r = rig_new(2);
        uint8_t bhs[ISCSI_BHS_LEN], buf[4096];
        struct iovec iov[ISCSI_RX_IOV_MAX];
        rig_login(r, KEYS("DataDigest=CRC32C\0ImmediateData=No\0MaxBurstLength=65536"));
        rig_rw(r, bhs, true, true, 0, BLOCKS);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        struct rig_pdu r2t = rig_expect(r, ISCSI_OP_R2T);
        rig_data_out(bhs, bhs_itt(r2t.bhs), bhs_ttt(r2t.bhs), 0, 0, true);
        be24_put(bhs + 5, BYTES);
        rig_feed(r, bhs, ISCSI_BHS_LEN);
        for (size_t i = 0; i < BYTES; i++)
            data[i] = (uint8_t)(i * 7 + i / 300);
        int n = iscsi_tconn_rx_space(r->conn, buf, sizeof buf, iov);
        assert_true(n >= 2);
        size_t len = 0;
        for (int i = 0; i < n - 1; i++) { /* two thirds of it at first */
            size_t k = iov[i].iov_len < 20000 - len ? iov[i].iov_len : 20000 - len;
            memcpy(iov[i].iov_base, data + len, k);
            len += k;
        }
        assert_int_equal(len, 20000);
        iscsi_tconn_lend(r->conn, true);
        iscsi_tconn_rx_digest(r->conn, iov, len);
        iscsi_tconn_lend(r->conn, false);
        *(uint8_t *)iov[0].iov_base ^= 0xff; /* so this is not seen */
        iscsi_tconn_rx(r->conn, len, r->now_ns);
        rig_run(r);
        uint32_t crc = digest_of(data, BYTES);
        data[BYTES - 1] ^= bad ? 1 : 0;
        rig_feed(r, data + len, BYTES - len);
        rig_feed(r, &crc, sizeof crc);
        assert_int_equal(r->data_events, 1);
        assert_int_equal(r->data_err, bad ? USAN_EDIGEST : 0);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sent),
        cmocka_unit_test(test_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
