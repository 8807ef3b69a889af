/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terl_rig.h"

#include <stdlib.h>

void erl_fill(uint8_t *p, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed);
}

struct rig *erl_rig(uint8_t level, const char *keys, size_t len)
{
    static const char levels[3][38] = { "ErrorRecoveryLevel=0\0MaxConnections=4",
                                        "ErrorRecoveryLevel=1\0MaxConnections=4",
                                        "ErrorRecoveryLevel=2\0MaxConnections=4" };
    const size_t n = sizeof levels[0];
    struct rig *r = rig_new_at(level, 2);
    char text[2048];

    r->cfg.params.max_connections = 4;
    iscsi_tconn_free(r->conn);
    r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
    assert_true(len + n <= sizeof text);
    memcpy(text, levels[level], n);
    memcpy(text + n, keys, len);
    erl_fill(r->disk, sizeof r->disk, 1);
    rig_login(r, text, n + len);
    assert_int_equal(iscsi_tconn_params(r->conn)->error_recovery_level, level);
    return r;
}

void erl_send_bad(struct rig *r, const uint8_t *bhs, const void *data, uint32_t len)
{
    uint32_t padded = (len + 3) & ~3u;
    uint8_t *raw = calloc(1, ISCSI_BHS_LEN + padded + 4u);

    assert_non_null(raw);
    assert_true(r->data_digest && !r->header_digest);
    memcpy(raw, bhs, ISCSI_BHS_LEN);
    be24_put(raw + 5, len);
    memcpy(raw + ISCSI_BHS_LEN, data, len);
    be32_put(raw + ISCSI_BHS_LEN + padded, 0xbadbad00); /* with some luck not the right one */
    rig_feed(r, raw, ISCSI_BHS_LEN + padded + 4u);
    free(raw);
}

void erl_snack(struct rig *r, uint8_t type, uint32_t itt, uint32_t ttt, uint32_t beg, uint32_t run)
{
    uint8_t bhs[ISCSI_BHS_LEN] = { ISCSI_OP_SNACK };

    bhs[1] = (uint8_t)(0x80 | type);
    be32_put(bhs + 16, itt);
    be32_put(bhs + 20, ttt);
    be32_put(bhs + 28, r->exp_stat_sn);
    be32_put(bhs + 40, beg);
    be32_put(bhs + 44, run);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

void erl_expect_nothing(struct rig *r)
{
    struct rig_pdu p;
    assert_false(rig_next(r, &p));
}

void erl_expect_reject(struct rig *r, uint8_t reason)
{
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], reason);
    erl_expect_nothing(r);
}

void erl_ack(struct rig *r, uint32_t exp_stat_sn)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
    be32_put(bhs + 16, ISCSI_TAG_NONE);
    be32_put(bhs + 28, exp_stat_sn);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

uint32_t erl_command(struct rig *r, bool write, uint32_t lba, uint16_t blocks)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_rw(r, bhs, write, true, lba, blocks);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    return bhs_itt(bhs);
}

void erl_send_logout(struct rig *r, uint8_t reason, uint16_t cid)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_request(r, bhs, ISCSI_OP_LOGOUT_REQUEST, true);
    bhs[1] = (uint8_t)(0x80 | reason);
    be32_put(bhs + 20, 0);
    be16_put(bhs + 20, cid);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

uint8_t erl_logout(struct rig *r, uint8_t reason, uint16_t cid)
{
    erl_send_logout(r, reason, cid);
    return rig_expect(r, ISCSI_OP_LOGOUT_RESPONSE).bhs[2];
}

uint8_t erl_reassign(struct rig *r, uint32_t itt, uint32_t exp_data_sn)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | ISCSI_TMF_TASK_REASSIGN;
    be32_put(bhs + 20, itt);
    be32_put(bhs + 36, exp_data_sn);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    return rig_expect(r, ISCSI_OP_TMF_RESPONSE).bhs[2];
}

struct rig_pdu erl_read_rest(struct rig *r, uint32_t itt, uint32_t lba, uint32_t sn, uint32_t off,
                             uint32_t len)
{
    const uint8_t *disk = r->lead ? r->lead->disk : r->disk;
    struct rig_pdu p = { .opcode = 0 };

    while (off < len) {
        p = rig_expect(r, ISCSI_OP_DATA_IN);
        assert_int_equal(bhs_itt(p.bhs), itt);
        assert_int_equal(be32_get(p.bhs + 36), sn);
        assert_int_equal(be32_get(p.bhs + 40), off);
        assert_memory_equal(p.data, disk + lba * RIG_BLOCK + off, p.data_len);
        sn++;
        off += p.data_len;
    }
    assert_int_equal(off, len);
    if (!(p.bhs[1] & PDU_DATA_IN_STATUS)) {
        p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(bhs_itt(p.bhs), itt);
        assert_int_equal(be32_get(p.bhs + 36), sn);
    }
    assert_int_equal(p.bhs[3], 0);
    return p;
}
