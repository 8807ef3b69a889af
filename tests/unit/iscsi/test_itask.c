/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of an initiator against PDUs made by hand: what is right, and every way to be wrong. */
#include "irig.h"

#include <string.h>

enum { LEN = 4096 };

#define PLAIN                                                                                      \
    "MaxRecvDataSegmentLength=1024|InitialR2T=No|ImmediateData=Yes|MaxBurstLength=2048|"           \
    "FirstBurstLength=1536|MaxOutstandingR2T=2|iSCSIProtocolLevel=2|"

struct cmd {
    struct iscsi_icmd c;
    uint8_t cdb[16], in[LEN], out[LEN], sense[32];
    struct iovec iin[2], iout[2];
};

static void make(struct cmd *m, uint32_t in, uint32_t out)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < LEN; i++)
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

/* Submit, and the PDU that comes of it. */
static struct irig_pdu submit(struct irig *r, struct cmd *m)
{
    assert_int_equal(iscsi_isess_submit(r->sess, &m->c), 0);
    irig_run(r);
    return irig_expect(r, ISCSI_OP_SCSI_COMMAND);
}

static struct irig_pdu begin(struct irig **ret_r, struct cmd *m, uint32_t in, uint32_t out)
{
    *ret_r = irig_new();
    irig_login(*ret_r, PLAIN);
    make(m, in, out);
    return submit(*ret_r, m);
}

static void data_in(struct irig *r, uint32_t itt, uint8_t flags, uint32_t sn, uint32_t off,
                    uint32_t len, uint32_t residual)
{
    static uint8_t data[LEN];
    uint8_t bhs[ISCSI_BHS_LEN];
    for (uint32_t i = 0; i < len; i++)
        data[i] = (uint8_t)(off + i);
    pdu_data_in(bhs, itt, flags, 0, len, sn, off, residual);
    irig_send(r, bhs, flags & PDU_DATA_IN_STATUS, data, len);
}

static void response(struct irig *r, uint32_t itt, uint8_t flags, uint8_t status, uint32_t residual)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_scsi_response(bhs, itt, flags, 0, status, 0, 0, 0, residual, 0);
    irig_send(r, bhs, true, NULL, 0);
}

static void r2t(struct irig *r, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off, uint32_t len)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_r2t(bhs, UINT64_C(3) << 48, itt, ttt, sn, off, len);
    irig_send(r, bhs, false, NULL, 0);
}

static void expect_closed(struct irig *r, int err, const char *why)
{
    if (!r->closed || strcmp(r->why, why) != 0)
        print_message("%s, not %s\n", r->closed ? r->why : "not closed", why);
    assert_true(r->closed);
    assert_int_equal(r->err, err);
    assert_string_equal(r->why, why);
}

/* ---- reads ---- */

static void read_right(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    struct irig_pdu pdu = begin(&r, &m, 3000, 0);
    const struct pdu_scsi_command q = pdu_scsi_command_decode(pdu.bhs);
    assert_true(q.final && q.read && !q.write);
    assert_int_equal(q.edtl, 3000);
    assert_int_equal(q.attr, 1);
    assert_int_equal(bhs_lun(pdu.bhs), UINT64_C(3) << 48);
    assert_int_equal(pdu.data_len, 0);
    uint32_t itt = bhs_itt(pdu.bhs);
    data_in(r, itt, 0, 0, 0, 1000, 0);
    data_in(r, itt, PDU_DATA_IN_FINAL, 1, 1000, 1048, 0);
    assert_int_equal(r->done, 0);
    assert_int_equal(iscsi_isess_active(r->sess), 1);
    data_in(r, itt, PDU_DATA_IN_FINAL | PDU_DATA_IN_STATUS, 2, 2048, 952, 0);
    assert_int_equal(r->done, 1);
    assert_ptr_equal(r->last, &m.c);
    assert_int_equal(m.c.err, 0);
    assert_null(m.c.why);
    assert_int_equal(m.c.in_got, 3000);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(m.in[i], (uint8_t)i);
    /* StatSN is acknowledged by what comes next */
    (void)submit(r, &m);
    assert_int_equal(r->exp_stat_sn, r->stat_sn);
    irig_free(r);
}

static const struct {
    uint8_t flags;
    uint32_t sn, off, len, residual;
    int err; /* of the connection */
    const char *why;
} bad_data_in[] = {
    { 0, 1, 0, 100, 0, USAN_EPROTO, "Data-In with a wrong DataSN" },
    { 0, 0, 0, 2049, 0, USAN_EPROTO, "Data-In beyond what the command reads" },
    { 0, 0, 0xfffffff0, 100, 0, USAN_EPROTO, "Data-In beyond what the command reads" },
    { 0, 0, 2049, 0, 0, USAN_EPROTO, "Data-In beyond what the command reads" },
    { 0, 0, 8, 100, 0, USAN_EPROTO, "Data-In out of order" },
    { PDU_DATA_IN_STATUS, 0, 0, 100, 0, USAN_EPROTO, "Data-In with status that is not the last" },
    /* status: these end the command only */
    { 0x81, 0, 0, 2000, 0, 0, "data is missing" },
    { 0x81 | PDU_RESID_UNDERFLOW, 0, 0, 2000, 100, 0,
      "more data came than the residual count leaves" },
    { 0x81 | PDU_RESID_UNDERFLOW, 0, 0, 2000, 40, 0, "data is missing" },
    { 0x81 | PDU_RESID_UNDERFLOW, 0, 0, 2000, 2049, 0, "a residual count that can not be" },
    { 0x81 | PDU_RESID_UNDERFLOW | PDU_RESID_OVERFLOW, 0, 0, 2000, 48, 0,
      "a residual count that can not be" },
    { 0x81 | PDU_RESID_UNDERFLOW, 0, 0, 2000, 48, 0, NULL },
    { 0x81 | PDU_RESID_OVERFLOW, 0, 0, 2048, 77, 0, NULL },
    { 0x81, 0, 0, 0, 0, 0, "data is missing" },
};

static void read_wrong(void **st)
{
    (void)st;
    for (size_t i = 0; i < sizeof(bad_data_in) / sizeof(bad_data_in[0]); i++) {
        struct cmd m;
        struct irig *r;
        struct irig_pdu pdu = begin(&r, &m, 2048, 0);
        data_in(r, bhs_itt(pdu.bhs), bad_data_in[i].flags, bad_data_in[i].sn, bad_data_in[i].off,
                bad_data_in[i].len, bad_data_in[i].residual);
        assert_int_equal(r->done, 1); /* in any case */
        if (bad_data_in[i].err) {
            expect_closed(r, bad_data_in[i].err, bad_data_in[i].why);
            assert_int_equal(m.c.err, USAN_EPROTO);
            assert_int_equal(r->down, 1);
            assert_string_equal(iscsi_isess_state(r->sess), "Q4 FAILED");
        } else {
            assert_false(r->closed);
            assert_int_equal(m.c.err, bad_data_in[i].why ? USAN_EPROTO : 0);
            if (!bad_data_in[i].why)
                assert_int_equal(m.c.residual, bad_data_in[i].residual);
        }
        if (bad_data_in[i].why)
            assert_string_equal(m.c.why, bad_data_in[i].why);
        irig_free(r);
    }
}

/* With DataPDUInOrder=No data comes in any order, but each byte once. */
static void any_order(void **st)
{
    (void)st;
    for (int twice = 0; twice < 2; twice++) {
        struct cmd m;
        struct irig *r = irig_new();
        r->cfg.params.data_pdu_in_order = r->cfg.params.data_sequence_in_order = false;
        irig_login(r, "DataPDUInOrder=No|DataSequenceInOrder=No|");
        make(&m, 4000, 0);
        struct irig_pdu pdu = submit(r, &m);
        uint32_t itt = bhs_itt(pdu.bhs);
        data_in(r, itt, 0, 0, 3000, 1000, 0);
        data_in(r, itt, 0, 1, 0, 1000, 0);
        data_in(r, itt, 0, 2, twice ? 1999 : 2000, 1000, 0);
        if (twice) {
            data_in(r, itt, 0, 3, 1000, 1000, 0);
            expect_closed(r, USAN_EPROTO, "Data-In for bytes that came before");
        } else {
            data_in(r, itt, 0x80, 3, 1000, 1000, 0);
            response(r, itt, 0, 0, 0);
            assert_int_equal(r->done, 1);
            assert_int_equal(m.c.err, 0);
            for (int i = 0; i < 4000; i++)
                assert_int_equal(m.in[i], (uint8_t)i);
        }
        irig_free(r);
    }
}

static void too_many_pieces(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r = irig_new();
    r->cfg.params.data_pdu_in_order = false;
    irig_login(r, "DataPDUInOrder=No|");
    make(&m, 4000, 0);
    struct irig_pdu pdu = submit(r, &m);
    uint32_t itt = bhs_itt(pdu.bhs);
    for (uint32_t i = 0; i < 33; i++)
        data_in(r, itt, 0, i, i * 100, 4, 0);
    assert_false(r->closed);
    (void)irig_expect(r, ISCSI_OP_TMF_REQUEST); /* it is given up */
    response(r, itt, 0, 0, 0);
    assert_int_equal(m.c.err, USAN_ELIMIT);
    irig_free(r);
}

/* ---- PDUs for nothing ---- */

static void unknown_tags(void **st)
{
    (void)st;
    static const char *const why[] = {
        "Data-In for a command that is not there",
        "a SCSI Response for a command that is not there",
        "an R2T for a command that is not there",
        "a task management response that was not asked for",
        "a NOP-In that answers nothing",
        "a Text Response that was not asked for",
        "a Logout Response that was not asked for",
        "a PDU that a target does not send",
        "a Login Response in full feature phase",
        "a Reject that does not say of what",
        "sense data longer than its data segment",
        "the target acknowledges commands that were not sent",
        "a StatSN out of sequence",
        "a data segment longer than MaxRecvDataSegmentLength",
    };
    for (unsigned i = 0; i < sizeof(why) / sizeof(why[0]); i++) {
        struct cmd m;
        struct irig *r;
        uint8_t bhs[ISCSI_BHS_LEN] = { 0 };
        static uint8_t much[262148];
        uint8_t two[2] = { 0xff, 0xff };
        uint32_t itt = bhs_itt(begin(&r, &m, 2048, 0).bhs), len = 0;
        const void *data = NULL;
        bool status = true;
        switch (i) {
        case 0: /* of a task that was, or will be: another generation */
            pdu_data_in(bhs, itt + (1u << 12), 0, 0, 0, 0, 0, 0);
            status = false;
            break;
        case 1:
            pdu_scsi_response(bhs, itt ^ 1, 0, 0, 0, 0, 0, 0, 0, 0);
            break;
        case 2:
            pdu_r2t(bhs, 0, 0xfffffffe, 1, 0, 0, 512);
            status = false;
            break;
        case 3:
            pdu_tmf_response(bhs, itt, 0, 0); /* it is a command */
            break;
        case 4:
            pdu_nop_in(bhs, 7, ISCSI_TAG_NONE, 0, 0);
            break;
        case 5:
            pdu_text_response(bhs, 7, ISCSI_TAG_NONE, 0, true, false, 0);
            break;
        case 6:
            pdu_logout_response(bhs, 7, 0, 0, 0);
            break;
        case 7:
            bhs_begin(bhs, ISCSI_OP_DATA_OUT, 0x80, 0, itt);
            break;
        case 8:
            bhs_begin(bhs, ISCSI_OP_LOGIN_RESPONSE, 0x87, 0, itt);
            break;
        case 9:
            pdu_reject(bhs, 4, 0);
            data = much;
            len = 47;
            break;
        case 10:
            pdu_scsi_response(bhs, itt, 0, 0, 2, 0, 0, 0, 0, 0);
            data = two;
            len = 2;
            break;
        case 11:
            pdu_nop_in(bhs, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0, 0);
            r->exp_cmd_sn += 2;
            status = false;
            break;
        case 12:
            pdu_scsi_response(bhs, itt, 0, 0, 0, 0, 0, 0, 0, 0);
            r->stat_sn++;
            break;
        default:
            pdu_data_in(bhs, itt, 0, 0, 0, 0, 0, 0);
            data = much;
            len = 262145;
            status = false;
            break;
        }
        irig_send(r, bhs, status, data, len);
        expect_closed(r, USAN_EPROTO, why[i]);
        assert_int_equal(r->done, 1);
        assert_true(m.c.sent);
        irig_free(r);
    }
}

/* ---- writes ---- */

/* Data-Out PDUs up to `end`, with the data of the command. */
static void expect_data_out(struct irig *r, const struct cmd *m, uint32_t itt, uint32_t ttt,
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

static void write_right(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    struct irig_pdu pdu = begin(&r, &m, 0, 4000), none;
    uint32_t itt = bhs_itt(pdu.bhs);
    const struct pdu_scsi_command q = pdu_scsi_command_decode(pdu.bhs);
    assert_true(!q.final && !q.read && q.write);
    assert_int_equal(pdu.data_len, 1024); /* what the target takes in one PDU */
    assert_memory_equal(pdu.data, m.out, 1024);
    expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024); /* FirstBurstLength */
    assert_false(irig_next(r, &none));
    r2t(r, itt, 0x11, 0, 1536, 2048);
    r2t(r, itt, 0x22, 1, 3584, 416);
    expect_data_out(r, &m, itt, 0x11, 1536, 3584, 1024);
    expect_data_out(r, &m, itt, 0x22, 3584, 4000, 1024);
    response(r, itt, 0, 0, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.out_sent, 4000);
    irig_free(r);
}

static const struct {
    uint32_t ttt, sn, off, len;
    const char *why;
} bad_r2t[] = {
    { 1, 1, 1536, 512, "an R2T with a wrong R2TSN" },
    { ISCSI_TAG_NONE, 0, 1536, 512, "an R2T with the reserved tag" },
    { 1, 0, 1536, 0, "an R2T beyond what the command writes" },
    { 1, 0, 3996, 8, "an R2T beyond what the command writes" },
    { 1, 0, 0xffffff00, 512, "an R2T beyond what the command writes" },
    { 1, 0, 0, 2049, "an R2T longer than MaxBurstLength" },
};

static void r2t_wrong(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    uint32_t itt;
    for (size_t i = 0; i < sizeof(bad_r2t) / sizeof(bad_r2t[0]); i++) {
        itt = bhs_itt(begin(&r, &m, 0, 4000).bhs);
        r2t(r, itt, bad_r2t[i].ttt, bad_r2t[i].sn, bad_r2t[i].off, bad_r2t[i].len);
        expect_closed(r, USAN_EPROTO, bad_r2t[i].why);
        assert_int_equal(m.c.err, USAN_EPROTO);
        irig_free(r);
    }
    itt = bhs_itt(begin(&r, &m, 0, 4000).bhs); /* backwards */
    r2t(r, itt, 1, 0, 2048, 512);
    r2t(r, itt, 2, 1, 1536, 512);
    expect_closed(r, USAN_EPROTO, "an R2T out of order");
    irig_free(r);
    itt = bhs_itt(begin(&r, &m, 2048, 0).bhs);
    r2t(r, itt, 1, 0, 0, 512);
    expect_closed(r, USAN_EPROTO, "an R2T for a command that writes nothing");
    irig_free(r);
}

/* Two may be outstanding, and they are outstanding while nothing goes out. */
static void r2t_too_many(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    uint8_t bytes[3][ISCSI_BHS_LEN], buf[4096];
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    struct iscsi_ievent ev;
    uint32_t itt = bhs_itt(begin(&r, &m, 0, 4000).bhs);
    for (uint32_t i = 0; i < 3; i++) {
        pdu_r2t(bytes[i], 0, itt, i, i, 1536 + i * 512, 512);
        bhs_put_sn(bytes[i], r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    }
    assert_int_equal(iscsi_iconn_rx_space(r->conn, buf, sizeof buf, iov), 1);
    memcpy(iov[0].iov_base, bytes, sizeof bytes);
    iscsi_iconn_rx(r->conn, sizeof bytes, r->now_ns);
    assert_true(iscsi_iconn_next(r->conn, &ev));
    assert_int_equal(ev.type, ISCSI_IEV_DONE);
    assert_string_equal(m.c.why, "more R2Ts than MaxOutstandingR2T");
    irig_run(r);
    assert_true(r->closed);
    irig_free(r);
}

/* R2Ts are answered in the order they came, over all commands. */
static void r2t_order(void **st)
{
    (void)st;
    struct cmd a, b;
    struct irig *r;
    uint8_t bytes[3][ISCSI_BHS_LEN], buf[4096];
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    uint32_t ia = bhs_itt(begin(&r, &a, 0, 4000).bhs), ib;
    expect_data_out(r, &a, ia, ISCSI_TAG_NONE, 1024, 1536, 1024);
    make(&b, 0, 3000);
    ib = bhs_itt(submit(r, &b).bhs);
    expect_data_out(r, &b, ib, ISCSI_TAG_NONE, 1024, 1536, 1024);
    pdu_r2t(bytes[0], UINT64_C(3) << 48, ia, 1, 0, 1536, 512);
    pdu_r2t(bytes[1], UINT64_C(3) << 48, ib, 2, 0, 1536, 1464);
    pdu_r2t(bytes[2], UINT64_C(3) << 48, ia, 3, 1, 2048, 1952);
    for (int i = 0; i < 3; i++)
        bhs_put_sn(bytes[i], r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    assert_int_equal(iscsi_iconn_rx_space(r->conn, buf, sizeof buf, iov), 1);
    memcpy(iov[0].iov_base, bytes, sizeof bytes);
    iscsi_iconn_rx(r->conn, sizeof bytes, r->now_ns);
    irig_run(r);
    expect_data_out(r, &a, ia, 1, 1536, 2048, 1024);
    expect_data_out(r, &b, ib, 2, 1536, 3000, 1024);
    expect_data_out(r, &a, ia, 3, 2048, 4000, 1024);
    irig_free(r);
}

/* A response while data still waits to be sent: the command ends, the data is not sent any more. */
static void early_response(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    struct iovec iov[ISCSI_IRX_IOV_MAX], out[4];
    struct iscsi_ievent ev;
    uint8_t bytes[2][ISCSI_BHS_LEN], buf[4096];
    uint32_t itt = bhs_itt(begin(&r, &m, 0, 4000).bhs);
    pdu_r2t(bytes[0], 0, itt, 1, 0, 1536, 2048);
    bhs_put_sn(bytes[0], r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    pdu_scsi_response(bytes[1], itt, 0, 0, 2, 0, 0, 0, 0, 0);
    bhs_put_sn(bytes[1], r->stat_sn++, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    assert_int_equal(iscsi_iconn_rx_space(r->conn, buf, sizeof buf, iov), 1);
    memcpy(iov[0].iov_base, bytes[0], ISCSI_BHS_LEN);
    iscsi_iconn_rx(r->conn, ISCSI_BHS_LEN, r->now_ns);
    assert_false(iscsi_iconn_next(r->conn, &ev));
    assert_int_equal(iscsi_iconn_tx(r->conn, out, 1), 1); /* now the wire has it */
    assert_int_equal(iscsi_iconn_rx_space(r->conn, buf, sizeof buf, iov), 1);
    memcpy(iov[0].iov_base, bytes[1], ISCSI_BHS_LEN);
    iscsi_iconn_rx(r->conn, ISCSI_BHS_LEN, r->now_ns);
    assert_false(iscsi_iconn_next(r->conn, &ev)); /* its memory is not free yet */
    irig_run(r);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.status, 2);
    irig_free(r);
}

static void bidirectional(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN];
    static const uint8_t ahs[8] = { 0, 5, 2, 0, 0, 0, 0x03, 0xe8 };
    struct irig_pdu pdu = begin(&r, &m, 1000, 2000);
    uint32_t itt = bhs_itt(pdu.bhs);
    const struct pdu_scsi_command q = pdu_scsi_command_decode(pdu.bhs);
    assert_true(q.read && q.write);
    assert_int_equal(q.edtl, 2000);
    assert_int_equal(pdu.ahs_len, 8);
    assert_memory_equal(pdu.ahs, ahs, 8);
    expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    r2t(r, itt, 5, 0, 1536, 464);
    expect_data_out(r, &m, itt, 5, 1536, 2000, 1024);
    data_in(r, itt, 0x80, 1, 0, 900, 0); /* numbered on from the R2T, 4.2.2.3 */
    pdu_scsi_response(bhs, itt, PDU_RESID_BIDI_UNDERFLOW, 0, 0, 0, 0, 2, 0, 100);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.resid, ISCSI_RESID_NONE);
    assert_int_equal(m.c.in_resid, ISCSI_RESID_UNDERFLOW);
    assert_int_equal(m.c.in_residual, 100);
    irig_free(r);
}

/* ---- status ---- */

static void sense_and_qualifier(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN], data[80] = { 0, 40, 0x70, 0, 3 };
    uint32_t itt = bhs_itt(begin(&r, &m, 0, 0).bhs);
    pdu_scsi_response(bhs, itt, 0, 0, 8, 0x8012, 0, 0, 0, 0);
    irig_send(r, bhs, true, data, 80); /* longer than the command's buffer; response data behind */
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.status, 8);
    assert_int_equal(m.c.status_qualifier, 0x8012);
    assert_int_equal(m.c.sense_len, 32);
    assert_int_equal(m.sense[2], 3);
    itt = bhs_itt(submit(r, &m).bhs);
    pdu_scsi_response(bhs, itt, 0, 1, 0, 0, 0, 0, 0, 0); /* target failure */
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(m.c.err, USAN_EIO);
    assert_int_equal(m.c.response, 1);
    assert_int_equal(m.c.sense_len, 0);
    assert_false(r->closed);
    irig_free(r);
}

/* ---- digests ---- */

static void digest_errors(void **st)
{
    (void)st;
    /* Data-In; Data-In with status; a response; a header */
    for (int how = 0; how < 4; how++) {
        struct cmd m;
        struct irig *r = irig_new();
        uint8_t pdu_bytes[ISCSI_BHS_LEN + 4 + 512 + 4], bhs[ISCSI_BHS_LEN];
        r->cfg.params.header_digest = r->cfg.params.data_digest = true;
        irig_login(r, "HeaderDigest=CRC32C|DataDigest=CRC32C|");
        make(&m, 512, 0);
        uint32_t itt = bhs_itt(submit(r, &m).bhs);
        if (how == 2)
            pdu_scsi_response(bhs, itt, 0, 0, 2, 0, 512, 0, 0, 0);
        else
            pdu_data_in(bhs, itt, how == 1 ? 0x81 : 0x80, 0, 512, 0, 0, 0);
        bhs_put_sn(bhs, r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 31);
        r->stat_sn += how == 1 || how == 2;
        /* the right digests of a header, then a byte is changed */
        struct irig *w = r;
        memset(pdu_bytes, 0, sizeof pdu_bytes);
        memcpy(pdu_bytes, bhs, ISCSI_BHS_LEN);
        {
            static const uint32_t poly = 0x82f63b78;
            uint32_t crc = 0xffffffff;
            for (int i = 0; i < ISCSI_BHS_LEN; i++) {
                crc ^= pdu_bytes[i];
                for (int b = 0; b < 8; b++)
                    crc = crc & 1 ? crc >> 1 ^ poly : crc >> 1;
            }
            crc = ~crc;
            memcpy(pdu_bytes + ISCSI_BHS_LEN, &crc, 4);
        }
        if (how == 3)
            pdu_bytes[44] ^= 1;
        irig_feed(w, pdu_bytes, sizeof pdu_bytes); /* the data digest of zeroes is not 0 */
        if (how == 0) {                            /* 7.8: the task is aborted */
            assert_int_equal(r->done, 0);
            struct irig_pdu tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
            const struct pdu_tmf_request q = pdu_tmf_request_decode(tmf.bhs);
            assert_int_equal(q.function, ISCSI_TMF_ABORT_TASK);
            assert_int_equal(q.ref_itt, itt);
            assert_int_equal(q.ref_cmd_sn, 0x100);
            pdu_tmf_response(bhs, bhs_itt(tmf.bhs), 0, 0);
            irig_send(r, bhs, true, NULL, 0);
            assert_int_equal(m.c.err, USAN_EDIGEST);
            assert_false(r->closed);
        } else if (how == 1) {
            assert_int_equal(m.c.err, USAN_EDIGEST);
            assert_false(r->closed);
        } else if (how == 2) { /* 7.8: a logout */
            struct irig_pdu logout = irig_expect(r, ISCSI_OP_LOGOUT_REQUEST);
            assert_int_equal(r->done, 0);
            pdu_logout_response(bhs, bhs_itt(logout.bhs), 0, 0, 0);
            irig_send(r, bhs, true, NULL, 0);
            expect_closed(r, USAN_EDIGEST, "data digest error in a response");
            assert_int_equal(m.c.err, USAN_EDIGEST);
        } else {
            expect_closed(r, USAN_EDIGEST, "header digest error");
        }
        irig_free(r);
    }
}

/* ---- rejects ---- */

static void rejects(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN];
    struct irig_pdu pdu = begin(&r, &m, 0, 512);
    pdu_reject(bhs, ISCSI_REJECT_DATA_DIGEST, ISCSI_BHS_LEN); /* its answer follows */
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->done, 0);
    response(r, bhs_itt(pdu.bhs), 0, 2, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    pdu = submit(r, &m);
    pdu_reject(bhs, ISCSI_REJECT_OUT_OF_RESOURCES, ISCSI_BHS_LEN);
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->done, 2);
    assert_int_equal(m.c.err, USAN_EPROTO);
    assert_string_equal(m.c.why, "the target rejects a request: out of resources");
    pdu = submit(r, &m);
    pdu.bhs[0] = ISCSI_OP_DATA_OUT;
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->done, 2);
    assert_false(r->closed);
    pdu.bhs[0] = ISCSI_OP_SNACK; /* which we never sent */
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    expect_closed(r, USAN_EPROTO, "the target rejects a request: out of resources");
    irig_free(r);
}

/* ---- cancel ---- */

static void cancel(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = bhs_itt(begin(&r, &m, 2048, 0).bhs);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0); /* once is enough */
    irig_run(r);
    struct irig_pdu tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    assert_int_equal(bhs_lun(tmf.bhs), UINT64_C(3) << 48);
    pdu_tmf_response(bhs, bhs_itt(tmf.bhs), 5, 0); /* not supported: the command goes on */
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 0);
    data_in(r, itt, 0x81, 0, 0, 2048, 0);
    assert_int_equal(m.c.err, 0);
    /* the answer is quicker than the abort */
    itt = bhs_itt(submit(r, &m).bhs);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    irig_run(r);
    tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    data_in(r, itt, 0x81, 0, 0, 2048, 0);
    assert_int_equal(r->done, 2);
    assert_int_equal(m.c.err, 0);
    pdu_tmf_response(bhs, bhs_itt(tmf.bhs), 1, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_false(r->closed);
    /* no answer at all */
    (void)submit(r, &m);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    irig_run(r);
    assert_int_equal(iscsi_iconn_deadline(r->conn), r->now_ns + 5 * NS_PER_SEC);
    irig_tick(r, 5 * NS_PER_SEC);
    expect_closed(r, USAN_ETIMEOUT, "no answer to an abort");
    assert_int_equal(m.c.err, USAN_ETIMEOUT);
    irig_free(r);
}

/* ---- what was not sent ---- */

/* The connection ends while commands wait for the wire, or are on it in part: they go out again,
 * in their order, with the next login. */
static void unsent_again(void **st)
{
    (void)st;
    struct cmd m[3], now;
    struct irig *r = irig_new();
    struct iscsi_iconn *old, *other;
    struct iovec out[1];
    irig_login(r, PLAIN);
    for (int i = 0; i < 3; i++) {
        make(&m[i], 512, 0);
        m[i].cdb[9] = (uint8_t)i;
        m[i].c.immediate = i == 2;
        assert_int_equal(iscsi_isess_submit(r->sess, &m[i].c), 0);
        if (i == 0) { /* one byte of it goes out */
            assert_int_equal(iscsi_iconn_tx(r->conn, out, 1), 1);
            iscsi_iconn_tx_done(r->conn, 1, r->now_ns);
        }
    }
    assert_int_equal(iscsi_isess_active(r->sess), 3);
    old = r->conn;
    iscsi_iconn_lost(old, 0);
    /* the old one is still to be seen off */
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns, &other), USAN_EBUSY);
    irig_run(r);
    assert_true(r->closed);
    assert_int_equal(r->done, 0);
    assert_int_equal(iscsi_isess_active(r->sess), 0);
    assert_int_equal(iscsi_isess_queued(r->sess), 3);
    assert_int_equal(r->down, 1);
    r->closed = r->logged_in = false;
    r->out_len = r->out_pos = 0;
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns, &r->conn), 0);
    iscsi_iconn_free(old);
    iscsi_iconn_connected(r->conn, r->now_ns);
    make(&now, 512, 0);
    now.cdb[9] = 3;
    assert_int_equal(iscsi_isess_submit(r->sess, &now.c), 0);
    irig_run(r);
    r->exp_cmd_sn += 1 << 16; /* a new session has new numbers */
    irig_login_rsp(r, 0x81, 0, "");
    irig_login_rsp(r, 0x87, 0, PLAIN);
    assert_true(r->logged_in);
    assert_string_equal(iscsi_isess_state(r->sess), "Q3 LOGGED_IN");
    static const uint8_t order[] = { 2, 0, 1, 3 }; /* the immediate one first */
    for (int i = 0; i < 4; i++) {
        struct irig_pdu pdu = irig_expect(r, ISCSI_OP_SCSI_COMMAND);
        assert_int_equal(pdu.bhs[41], order[i]);
        assert_int_equal(bhs_immediate(pdu.bhs), i == 0);
        data_in(r, bhs_itt(pdu.bhs), 0x81, 0, 0, 512, 0);
    }
    assert_int_equal(r->done, 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(m[i].c.err, 0);
    irig_free(r);
}

/* Task management of commands the target has not seen. */
static void unsent_managed(void **st)
{
    (void)st;
    struct cmd m[2];
    struct irig *r = irig_new();
    struct irig_pdu pdu;
    struct iscsi_itmf tmf = { .function = ISCSI_TMF_QUERY_TASK };
    r->window = 1;
    irig_login(r, PLAIN);
    for (int i = 0; i < 2; i++) {
        make(&m[i], 512, 0);
        assert_int_equal(iscsi_isess_submit(r->sess, &m[i].c), 0);
    }
    tmf.cmd = &m[1].c; /* behind the window */
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf, r->now_ns), 0);
    tmf.response = 77;
    struct iscsi_ievent ev;
    assert_true(iscsi_iconn_next(r->conn, &ev));
    assert_int_equal(ev.type, ISCSI_IEV_TMF_DONE);
    tmf.function = ISCSI_TMF_ABORT_TASK;
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf, r->now_ns), 0);
    assert_true(iscsi_iconn_next(r->conn, &ev));
    assert_int_equal(ev.type, ISCSI_IEV_DONE);
    assert_ptr_equal(ev.cmd, &m[1].c);
    assert_int_equal(m[1].c.err, USAN_ECANCELED);
    assert_true(iscsi_iconn_next(r->conn, &ev));
    assert_int_equal(ev.type, ISCSI_IEV_TMF_DONE);
    tmf.cmd = &m[0].c; /* with its connection, not on the wire */
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf, r->now_ns), 0);
    irig_run(r);
    assert_int_equal(r->tmfs, 1);
    assert_int_equal(tmf.response, 0);
    assert_int_equal(m[0].c.err, USAN_ECANCELED);
    assert_false(m[0].c.sent);
    assert_false(irig_next(r, &pdu)); /* nothing was said to the target */
    (void)submit(r, &m[0]);           /* nor was its window used */
    irig_free(r);
}

/* ---- limits of the owner ---- */

static void bad_commands(void **st)
{
    (void)st;
    struct cmd m;
    struct irig *r = irig_new();
    irig_login(r, PLAIN);
    make(&m, 512, 0);
    m.c.in_len = 513; /* more than the iovecs have */
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    make(&m, 512, 0);
    m.c.cdb_len = 0;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    m.c.cdb_len = ISCSI_CDB_MAX + 1;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    make(&m, 512, 0);
    m.c.attr = 5;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    make(&m, 512, 0);
    m.c.in_len = 0x80000000u;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    assert_int_equal(iscsi_isess_queued(r->sess), 0);
    make(&m, 512, 0);
    m.c.priority = 9;
    m.c.attr = 2;
    struct irig_pdu pdu = submit(r, &m);
    assert_int_equal(pdu.bhs[2], 9);
    assert_int_equal(pdu.bhs[1] & 7, 2);
    irig_free(r);
}

/* An immediate command passes a closed window. */
static void closed_window(void **st)
{
    (void)st;
    struct cmd a, b;
    struct irig *r = irig_new();
    struct irig_pdu pdu;
    uint8_t bhs[ISCSI_BHS_LEN];
    r->window = 0;
    irig_login(r, PLAIN);
    make(&a, 512, 0);
    make(&b, 512, 0);
    b.c.immediate = true;
    assert_int_equal(iscsi_isess_submit(r->sess, &a.c), 0);
    irig_run(r);
    assert_false(irig_next(r, &pdu));
    assert_int_equal(iscsi_isess_queued(r->sess), 1);
    pdu = submit(r, &b);
    assert_true(bhs_immediate(pdu.bhs));
    assert_int_equal(bhs_cmd_sn(pdu.bhs), 0x100);
    r->window = 1; /* opens by a NOP-In that wants nothing */
    pdu_nop_in(bhs, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0, 0);
    irig_send(r, bhs, false, NULL, 0);
    pdu = irig_expect(r, ISCSI_OP_SCSI_COMMAND);
    assert_false(bhs_immediate(pdu.bhs));
    assert_int_equal(bhs_cmd_sn(pdu.bhs), 0x100);
    /* MaxCmdSN does not go back */
    r->window = 0;
    bhs_put_sn(bhs, r->stat_sn, 0x100, 0xff);
    irig_send_raw(r, bhs, NULL, 0);
    assert_false(r->closed);
    irig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_right),     cmocka_unit_test(read_wrong),
        cmocka_unit_test(any_order),      cmocka_unit_test(too_many_pieces),
        cmocka_unit_test(unknown_tags),   cmocka_unit_test(write_right),
        cmocka_unit_test(r2t_wrong),      cmocka_unit_test(r2t_too_many),
        cmocka_unit_test(r2t_order),      cmocka_unit_test(early_response),
        cmocka_unit_test(bidirectional),  cmocka_unit_test(sense_and_qualifier),
        cmocka_unit_test(digest_errors),  cmocka_unit_test(rejects),
        cmocka_unit_test(cancel),         cmocka_unit_test(unsent_again),
        cmocka_unit_test(unsent_managed), cmocka_unit_test(bad_commands),
        cmocka_unit_test(closed_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
