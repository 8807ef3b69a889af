/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of commands share on top of the rig: content, and a read that checks it. */
#ifndef USAN_TEST_TTASK_DATA_H
#define USAN_TEST_TTASK_DATA_H

#include "tconn_rig.h"

static inline uint8_t pattern(uint64_t seed, size_t i)
{
    return (uint8_t)((seed * 131 + i * 7 + (i >> 8)) & 0xff);
}

static inline void fill(uint8_t *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(seed, i);
}

/* Read blocks and compare with the disk; returns the number of Data-In PDUs. */
static inline unsigned check_read(struct rig *r, uint32_t lba, uint16_t blocks)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t want = blocks * (uint32_t)RIG_BLOCK, off = 0, burst = 0;
    unsigned n = 0;

    rig_rw(r, bhs, false, true, lba, blocks);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    const struct iscsi_params *p = iscsi_tconn_params(r->conn);
    while (off < want) {
        struct rig_pdu d = rig_expect(r, ISCSI_OP_DATA_IN);
        assert_int_equal(be32_get(d.bhs + 36), n);   /* DataSN */
        assert_int_equal(be32_get(d.bhs + 40), off); /* Buffer Offset */
        assert_true(d.data_len <= p->tx_data_segment);
        assert_memory_equal(d.data, r->disk + lba * (size_t)RIG_BLOCK + off, d.data_len);
        off += d.data_len;
        burst += d.data_len;
        assert_true(burst <= p->max_burst);
        bool last = off == want;
        if (last || burst == p->max_burst) {
            assert_true(d.bhs[1] & 0x80);
            burst = 0;
        } else {
            assert_false(d.bhs[1] & 0x80);
        }
        assert_int_equal(d.bhs[1] & 1, last);
        n++;
    }
    return n;
}

#endif
