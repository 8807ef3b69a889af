/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "irig_cmd.h"

#include <stdio.h>
#include <string.h>

void irig_make(struct irig_cmd *m, uint32_t in, uint32_t out)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < IRIG_LEN; i++)
        m->out[i] = (uint8_t)(i * 7 + i / 256);
    m->cdb[0] = out ? 0x2a : 0x28;
    m->iin[0] = (struct iovec){ m->in, in / 3 };
    m->iin[1] = (struct iovec){ m->in + in / 3, in - in / 3 };
    m->iout[0] = (struct iovec){ m->out, out / 3 };
    m->iout[1] = (struct iovec){ m->out + out / 3, out - out / 3 };
    m->c = (struct iscsi_icmd){ .lun = UINT64_C(3) << 48,
                                .cdb = m->cdb,
                                .cdb_len = 10,
                                .attr = 1,
                                .in = m->iin,
                                .in_cnt = 2,
                                .in_len = in,
                                .out = m->iout,
                                .out_cnt = 2,
                                .out_len = out,
                                .sense = m->sense,
                                .sense_cap = sizeof m->sense };
}

struct irig_pdu irig_submit(struct irig *r, struct irig_cmd *m)
{
    assert_int_equal(iscsi_isess_submit(r->sess, &m->c), 0);
    irig_run(r);
    return irig_expect(r, ISCSI_OP_SCSI_COMMAND);
}

struct irig_pdu irig_begin(struct irig **ret_r, struct irig_cmd *m, uint32_t in, uint32_t out)
{
    *ret_r = irig_new();
    irig_login(*ret_r, IRIG_PLAIN);
    irig_make(m, in, out);
    return irig_submit(*ret_r, m);
}

void irig_data_in(struct irig *r, uint32_t itt, uint8_t flags, uint32_t sn, uint32_t off,
                  uint32_t len, uint32_t residual)
{
    static uint8_t data[IRIG_LEN];
    uint8_t bhs[ISCSI_BHS_LEN];
    for (uint32_t i = 0; i < len; i++)
        data[i] = (uint8_t)(off + i);
    pdu_data_in(bhs, itt, flags, 0, len, sn, off, residual);
    irig_send(r, bhs, flags & PDU_DATA_IN_STATUS, data, len);
}

void irig_response(struct irig *r, uint32_t itt, uint8_t flags, uint8_t status, uint32_t residual)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_scsi_response(bhs, itt, flags, 0, status, 0, 0, 0, residual, 0);
    irig_send(r, bhs, true, NULL, 0);
}

void irig_r2t(struct irig *r, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off, uint32_t len)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_r2t(bhs, UINT64_C(3) << 48, itt, ttt, sn, off, len);
    irig_send(r, bhs, false, NULL, 0);
}

void irig_expect_closed(struct irig *r, int err, const char *why)
{
    if (!r->closed || strcmp(r->why, why) != 0)
        print_message("# %s, not %s\n", r->closed ? r->why : "not closed", why);
    assert_true(r->closed);
    assert_int_equal(r->err, err);
    assert_string_equal(r->why, why);
}

void irig_expect_data_out(struct irig *r, const struct irig_cmd *m, uint32_t itt, uint32_t ttt,
                          uint32_t off, uint32_t end, uint32_t segment)
{
    for (uint32_t sn = 0; off < end; sn++) {
        struct irig_pdu pdu = irig_expect(r, ISCSI_OP_DATA_OUT);
        const struct pdu_data_out d = pdu_data_out_decode(pdu.bhs);
        uint32_t len = end - off < segment ? end - off : segment;
        assert_int_equal(bhs_itt(pdu.bhs), itt);
        assert_int_equal(bhs_ttt(pdu.bhs), ttt);
        assert_int_equal(bhs_lun(pdu.bhs), ttt == ISCSI_TAG_NONE ? 0 : UINT64_C(3) << 48);
        assert_int_equal(d.data_sn, sn);
        assert_int_equal(d.offset, off);
        assert_int_equal(pdu.data_len, len);
        assert_memory_equal(pdu.data, m->out + off, len);
        off += len;
        assert_int_equal(bhs_final(pdu.bhs), off == end);
    }
}

struct irig *irig_erl(char level, bool digests)
{
    struct irig *r = irig_new();
    char keys[512];
    struct iscsi_params_cfg *p = &r->cfg.params;
    p->error_recovery_level = (uint8_t)(level - '0');
    p->header_digest = p->data_digest = digests;
    (void)snprintf(keys, sizeof(keys), "%s%s",
                   digests ? "HeaderDigest=CRC32C|DataDigest=CRC32C|" : "",
                   level == '1' ? IRIG_ERL("1") : IRIG_ERL("2"));
    irig_login(r, keys);
    assert_int_equal(iscsi_iconn_params(r->conn)->error_recovery_level, level - '0');
    return r;
}

struct irig_pdu irig_expect_snack(struct irig *r, enum pdu_snack_type type, uint32_t itt,
                                  uint32_t begin, uint32_t run)
{
    struct irig_pdu pdu = irig_expect(r, ISCSI_OP_SNACK);
    const struct pdu_snack q = pdu_snack_decode(pdu.bhs);
    assert_true(bhs_final(pdu.bhs));
    assert_int_equal(q.type, type);
    assert_int_equal(bhs_itt(pdu.bhs), itt);
    assert_int_equal(q.beg_run, begin);
    assert_int_equal(q.run_len, run);
    assert_int_equal(bhs_cmd_sn(pdu.bhs), 0); /* reserved */
    if (type == PDU_SNACK_DATA || type == PDU_SNACK_STATUS)
        assert_int_equal(bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
    return pdu;
}

void irig_expect_quiet(struct irig *r)
{
    struct irig_pdu pdu;
    if (r->closed)
        print_message("# closed: %s\n", r->why);
    assert_false(r->closed);
    assert_false(irig_next(r, &pdu));
}

void irig_expect_good(const struct irig_cmd *m)
{
    if (m->c.err)
        print_message("# error: %s\n", m->c.why);
    assert_int_equal(m->c.err, 0);
    assert_int_equal(m->c.status, 0);
    assert_int_equal(m->c.in_got, m->c.in_len);
    for (uint32_t i = 0; i < m->c.in_len; i++)
        assert_int_equal(m->in[i], (uint8_t)i);
}

void irig_reject(struct irig *r, uint8_t reason, const uint8_t *rejected)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_reject(bhs, reason, ISCSI_BHS_LEN);
    irig_send(r, bhs, true, rejected, ISCSI_BHS_LEN);
}

/* ---- level 2 ---- */

struct irig *irig_joined(struct irig *r, uint16_t cid)
{
    struct irig *c = irig_join(r, cid);
    irig_join_login(c, "MaxRecvDataSegmentLength=1024|");
    return c;
}

struct irig_pdu irig_submit_on(struct irig *r, struct irig_cmd *m, uint32_t in, uint32_t out)
{
    irig_make(m, in, out);
    assert_int_equal(iscsi_isess_submit(r->sess, &m->c), 0);
    irig_run(r);
    return irig_expect(r, ISCSI_OP_SCSI_COMMAND);
}

void irig_logged_out(struct irig *on, uint16_t cid, uint8_t response, uint16_t time2wait)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    struct irig_pdu pdu = irig_expect(on, ISCSI_OP_LOGOUT_REQUEST);
    const struct pdu_logout_request q = pdu_logout_request_decode(pdu.bhs);
    assert_int_equal(q.reason, 2);
    assert_int_equal(q.cid, cid);
    pdu_logout_response(bhs, bhs_itt(pdu.bhs), response, time2wait, 0);
    irig_send(on, bhs, true, NULL, 0);
}

void irig_reassigned(struct irig *on, uint32_t itt, uint32_t exp_data_sn, uint8_t response)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    struct irig_pdu pdu = irig_expect(on, ISCSI_OP_TMF_REQUEST);
    const struct pdu_tmf_request q = pdu_tmf_request_decode(pdu.bhs);
    assert_int_equal(q.function, ISCSI_TMF_TASK_REASSIGN);
    assert_int_equal(q.ref_itt, itt);
    assert_int_equal(q.exp_data_sn, exp_data_sn);
    pdu_tmf_response(bhs, bhs_itt(pdu.bhs), response, 0);
    irig_send(on, bhs, true, NULL, 0);
}

void irig_piece(struct irig *r, uint32_t itt, uint32_t sn, uint8_t flags)
{
    irig_data_in(r, itt, flags, sn, sn * 512, 512, 0);
}
