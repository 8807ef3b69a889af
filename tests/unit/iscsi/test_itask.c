/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of an initiator against PDUs made by hand: what is right, and every way to be wrong. */
#include "irig_cmd.h"

#include <string.h>

/* ---- reads ---- */

static void read_right(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r;
    struct irig_pdu pdu = irig_begin(&r, &m, 3000, 0);
    const struct pdu_scsi_command q = pdu_scsi_command_decode(pdu.bhs);
    assert_true(q.final && q.read && !q.write);
    assert_int_equal(q.edtl, 3000);
    assert_int_equal(q.attr, 1);
    assert_int_equal(bhs_lun(pdu.bhs), UINT64_C(3) << 48);
    assert_int_equal(pdu.data_len, 0);
    uint32_t itt = bhs_itt(pdu.bhs);
    irig_data_in(r, itt, 0, 0, 0, 1000, 0);
    irig_data_in(r, itt, PDU_DATA_IN_FINAL, 1, 1000, 1048, 0);
    assert_int_equal(r->done, 0);
    assert_int_equal(iscsi_isess_active(r->sess), 1);
    irig_data_in(r, itt, PDU_DATA_IN_FINAL | PDU_DATA_IN_STATUS, 2, 2048, 952, 0);
    assert_int_equal(r->done, 1);
    assert_ptr_equal(r->last, &m.c);
    assert_int_equal(m.c.err, 0);
    assert_null(m.c.why);
    assert_int_equal(m.c.in_got, 3000);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(m.in[i], (uint8_t)i);
    /* StatSN is acknowledged by what comes next */
    (void)irig_submit(r, &m);
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
        struct irig_cmd m;
        struct irig *r;
        struct irig_pdu pdu = irig_begin(&r, &m, 2048, 0);
        irig_data_in(r, bhs_itt(pdu.bhs), bad_data_in[i].flags, bad_data_in[i].sn,
                     bad_data_in[i].off, bad_data_in[i].len, bad_data_in[i].residual);
        assert_int_equal(r->done, 1); /* in any case */
        if (bad_data_in[i].err) {
            irig_expect_closed(r, bad_data_in[i].err, bad_data_in[i].why);
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
        struct irig_cmd m;
        struct irig *r = irig_new();
        r->cfg.params.data_pdu_in_order = r->cfg.params.data_sequence_in_order = false;
        irig_login(r, "DataPDUInOrder=No|DataSequenceInOrder=No|");
        irig_make(&m, 4000, 0);
        struct irig_pdu pdu = irig_submit(r, &m);
        uint32_t itt = bhs_itt(pdu.bhs);
        irig_data_in(r, itt, 0, 0, 3000, 1000, 0);
        irig_data_in(r, itt, 0, 1, 0, 1000, 0);
        irig_data_in(r, itt, 0, 2, twice ? 1999 : 2000, 1000, 0);
        if (twice) {
            irig_data_in(r, itt, 0, 3, 1000, 1000, 0);
            irig_expect_closed(r, USAN_EPROTO, "Data-In for bytes that came before");
        } else {
            irig_data_in(r, itt, 0x80, 3, 1000, 1000, 0);
            irig_response(r, itt, 0, 0, 0);
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
    struct irig_cmd m;
    struct irig *r = irig_new();
    r->cfg.params.data_pdu_in_order = false;
    irig_login(r, "DataPDUInOrder=No|");
    irig_make(&m, 4000, 0);
    struct irig_pdu pdu = irig_submit(r, &m);
    uint32_t itt = bhs_itt(pdu.bhs);
    for (uint32_t i = 0; i < 33; i++)
        irig_data_in(r, itt, 0, i, i * 100, 4, 0);
    assert_false(r->closed);
    (void)irig_expect(r, ISCSI_OP_TMF_REQUEST); /* it is given up */
    irig_response(r, itt, 0, 0, 0);
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
        struct irig_cmd m;
        struct irig *r;
        uint8_t bhs[ISCSI_BHS_LEN] = { 0 };
        static uint8_t much[262148];
        uint8_t two[2] = { 0xff, 0xff };
        uint32_t itt = bhs_itt(irig_begin(&r, &m, 2048, 0).bhs), len = 0;
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
        irig_expect_closed(r, USAN_EPROTO, why[i]);
        assert_int_equal(r->done, 1);
        assert_true(m.c.sent);
        irig_free(r);
    }
}

/* ---- writes ---- */

static void write_right(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r;
    struct irig_pdu pdu = irig_begin(&r, &m, 0, 4000), none;
    uint32_t itt = bhs_itt(pdu.bhs);
    const struct pdu_scsi_command q = pdu_scsi_command_decode(pdu.bhs);
    assert_true(!q.final && !q.read && q.write);
    assert_int_equal(pdu.data_len, 1024); /* what the target takes in one PDU */
    assert_memory_equal(pdu.data, m.out, 1024);
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024); /* FirstBurstLength */
    assert_false(irig_next(r, &none));
    irig_r2t(r, itt, 0x11, 0, 1536, 2048);
    irig_r2t(r, itt, 0x22, 1, 3584, 416);
    irig_expect_data_out(r, &m, itt, 0x11, 1536, 3584, 1024);
    irig_expect_data_out(r, &m, itt, 0x22, 3584, 4000, 1024);
    irig_response(r, itt, 0, 0, 0);
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
    struct irig_cmd m;
    struct irig *r;
    uint32_t itt;
    for (size_t i = 0; i < sizeof(bad_r2t) / sizeof(bad_r2t[0]); i++) {
        itt = bhs_itt(irig_begin(&r, &m, 0, 4000).bhs);
        irig_r2t(r, itt, bad_r2t[i].ttt, bad_r2t[i].sn, bad_r2t[i].off, bad_r2t[i].len);
        irig_expect_closed(r, USAN_EPROTO, bad_r2t[i].why);
        assert_int_equal(m.c.err, USAN_EPROTO);
        irig_free(r);
    }
    itt = bhs_itt(irig_begin(&r, &m, 0, 4000).bhs); /* backwards */
    irig_r2t(r, itt, 1, 0, 2048, 512);
    irig_r2t(r, itt, 2, 1, 1536, 512);
    irig_expect_closed(r, USAN_EPROTO, "an R2T out of order");
    irig_free(r);
    itt = bhs_itt(irig_begin(&r, &m, 2048, 0).bhs);
    irig_r2t(r, itt, 1, 0, 0, 512);
    irig_expect_closed(r, USAN_EPROTO, "an R2T for a command that writes nothing");
    irig_free(r);
}

/* Two may be outstanding, and they are outstanding while nothing goes out. */
static void r2t_too_many(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r;
    uint8_t bytes[3][ISCSI_BHS_LEN], buf[4096];
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    struct iscsi_ievent ev;
    uint32_t itt = bhs_itt(irig_begin(&r, &m, 0, 4000).bhs);
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
    struct irig_cmd a, b;
    struct irig *r;
    uint8_t bytes[3][ISCSI_BHS_LEN], buf[4096];
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    uint32_t ia = bhs_itt(irig_begin(&r, &a, 0, 4000).bhs), ib;
    irig_expect_data_out(r, &a, ia, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_make(&b, 0, 3000);
    ib = bhs_itt(irig_submit(r, &b).bhs);
    irig_expect_data_out(r, &b, ib, ISCSI_TAG_NONE, 1024, 1536, 1024);
    pdu_r2t(bytes[0], UINT64_C(3) << 48, ia, 1, 0, 1536, 512);
    pdu_r2t(bytes[1], UINT64_C(3) << 48, ib, 2, 0, 1536, 1464);
    pdu_r2t(bytes[2], UINT64_C(3) << 48, ia, 3, 1, 2048, 1952);
    for (int i = 0; i < 3; i++)
        bhs_put_sn(bytes[i], r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    assert_int_equal(iscsi_iconn_rx_space(r->conn, buf, sizeof buf, iov), 1);
    memcpy(iov[0].iov_base, bytes, sizeof bytes);
    iscsi_iconn_rx(r->conn, sizeof bytes, r->now_ns);
    irig_run(r);
    irig_expect_data_out(r, &a, ia, 1, 1536, 2048, 1024);
    irig_expect_data_out(r, &b, ib, 2, 1536, 3000, 1024);
    irig_expect_data_out(r, &a, ia, 3, 2048, 4000, 1024);
    irig_free(r);
}

/* A response while data still waits to be sent: the command ends, the data is not sent any more. */
static void early_response(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r;
    struct iovec iov[ISCSI_IRX_IOV_MAX], out[4];
    struct iscsi_ievent ev;
    uint8_t bytes[2][ISCSI_BHS_LEN], buf[4096];
    uint32_t itt = bhs_itt(irig_begin(&r, &m, 0, 4000).bhs);
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
    struct irig_cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN];
    static const uint8_t ahs[8] = { 0, 5, 2, 0, 0, 0, 0x03, 0xe8 };
    struct irig_pdu pdu = irig_begin(&r, &m, 1000, 2000);
    uint32_t itt = bhs_itt(pdu.bhs);
    const struct pdu_scsi_command q = pdu_scsi_command_decode(pdu.bhs);
    assert_true(q.read && q.write);
    assert_int_equal(q.edtl, 2000);
    assert_int_equal(pdu.ahs_len, 8);
    assert_memory_equal(pdu.ahs, ahs, 8);
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_r2t(r, itt, 5, 0, 1536, 464);
    irig_expect_data_out(r, &m, itt, 5, 1536, 2000, 1024);
    irig_data_in(r, itt, 0x80, 1, 0, 900, 0); /* numbered on from the R2T, 4.2.2.3 */
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
    struct irig_cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN], data[80] = { 0, 40, 0x70, 0, 3 };
    uint32_t itt = bhs_itt(irig_begin(&r, &m, 0, 0).bhs);
    pdu_scsi_response(bhs, itt, 0, 0, 8, 0x8012, 0, 0, 0, 0);
    irig_send(r, bhs, true, data, 80); /* longer than the command's buffer; response data behind */
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.status, 8);
    assert_int_equal(m.c.status_qualifier, 0x8012);
    assert_int_equal(m.c.sense_len, 32);
    assert_int_equal(m.sense[2], 3);
    itt = bhs_itt(irig_submit(r, &m).bhs);
    pdu_scsi_response(bhs, itt, 0, 1, 0, 0, 0, 0, 0, 0); /* target failure */
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(m.c.err, USAN_EIO);
    assert_int_equal(m.c.response, 1);
    assert_int_equal(m.c.sense_len, 0);
    assert_false(r->closed);
    irig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_right),    cmocka_unit_test(read_wrong),
        cmocka_unit_test(any_order),     cmocka_unit_test(too_many_pieces),
        cmocka_unit_test(unknown_tags),  cmocka_unit_test(write_right),
        cmocka_unit_test(r2t_wrong),     cmocka_unit_test(r2t_too_many),
        cmocka_unit_test(r2t_order),     cmocka_unit_test(early_response),
        cmocka_unit_test(bidirectional), cmocka_unit_test(sense_and_qualifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
