/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 1, RFC 7143 7.8, 7.9, 11.16: data that did not come, or came damaged. */
#include "irig_cmd.h"

#include "base/crc32c.h"

#include <string.h>

enum { F = PDU_DATA_IN_FINAL, S = PDU_DATA_IN_FINAL | PDU_DATA_IN_STATUS };

/* Data-In PDU sn of a command, 512 bytes each. */
static void piece(struct irig *r, uint32_t itt, uint32_t sn, uint8_t flags)
{
    irig_data_in(r, itt, flags, sn, sn * 512, 512, 0);
}

static void pieces(struct irig *r, uint32_t itt, uint32_t from, uint32_t to)
{
    for (uint32_t sn = from; sn < to; sn++)
        piece(r, itt, sn, 0);
}

static uint32_t read_of(struct irig *r, struct irig_cmd *m, uint32_t len)
{
    irig_make(m, len, 0);
    return bhs_itt(irig_submit(r, m).bhs);
}

/* As the target sees it: a ping, and what its answer acknowledges. */
static uint32_t acknowledged(struct irig *r)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_nop_in(bhs, ISCSI_TAG_NONE, 77, 0, 0);
    bhs_put_sn(bhs, 0, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    irig_send_raw(r, bhs, NULL, 0);
    (void)irig_expect(r, ISCSI_OP_NOP_OUT);
    return r->exp_stat_sn;
}

/* ---- gaps ---- */

static void gap(void **st)
{
    (void)st;
    /* which PDU of 8 is missing; the last one has the status */
    for (uint32_t lost = 0; lost < 7; lost++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('1', false);
        uint32_t itt = read_of(r, &m, 4096), before = r->stat_sn;
        pieces(r, itt, 0, lost);
        pieces(r, itt, lost + 1, 7);
        piece(r, itt, 7, S);
        irig_expect_snack(r, PDU_SNACK_DATA, itt, lost, 1);
        irig_expect_quiet(r);
        assert_int_equal(r->done, 0);
        /* the status acknowledges all data: it has to wait */
        assert_int_equal(acknowledged(r), before);
        piece(r, itt, lost, 0);
        assert_int_equal(r->done, 1);
        irig_expect_good(&m);
        assert_int_equal(acknowledged(r), before + 1);
        assert_int_equal(iscsi_isess_stats(r->sess)->data_snacks, 1);
        irig_expect_quiet(r);
        irig_free(r);
    }
}

static void runs(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t itt = read_of(r, &m, 4096);
    piece(r, itt, 3, 0); /* 0..2 are missing */
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 3);
    piece(r, itt, 6, 0); /* 4, 5 as well */
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 4, 2);
    piece(r, itt, 1, 0); /* out of the midst */
    piece(r, itt, 1, 0); /* twice: the second is dropped */
    piece(r, itt, 7, S);
    irig_expect_quiet(r);
    piece(r, itt, 5, 0);
    piece(r, itt, 0, 0);
    piece(r, itt, 4, 0);
    assert_int_equal(r->done, 0);
    piece(r, itt, 2, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    /* replicas that come late are nobody's */
    piece(r, itt, 2, 0);
    irig_expect_quiet(r);
    irig_free(r);
}

/* The last ones are missing: the response says how many there were, 11.4.8. */
static void tail(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = read_of(r, &m, 4096);
    pieces(r, itt, 0, 5);
    pdu_scsi_response(bhs, itt, 0, 0, 0, 0, 0, 8, 0, 0);
    irig_send(r, bhs, true, NULL, 0);
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 5, 3);
    pieces(r, itt, 5, 7);
    assert_int_equal(r->done, 0);
    piece(r, itt, 7, F);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    /* a short read: the target says so, and nothing is missing */
    itt = read_of(r, &m, 4096);
    pieces(r, itt, 0, 5);
    pdu_scsi_response(bhs, itt, PDU_RESID_UNDERFLOW, 0, 0, 0, 0, 5, 4096 - 5 * 512, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 2);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.in_got, 5 * 512);
    irig_expect_quiet(r);
    irig_free(r);
}

/* DataSequenceInOrder=No: bytes come in any order, and with holes in their numbers too. */
static void any_order(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_new();
    r->cfg.params.error_recovery_level = 1;
    r->cfg.params.data_pdu_in_order = r->cfg.params.data_sequence_in_order = false;
    irig_login(r, "ErrorRecoveryLevel=1|MaxOutstandingR2T=8|DataPDUInOrder=No|"
                  "DataSequenceInOrder=No|");
    uint32_t itt = read_of(r, &m, 4096);
    static const uint8_t place[8] = { 3, 0, 7, 1, 6, 2, 5, 4 };
    for (uint32_t sn = 0; sn < 8; sn++)
        if (sn != 2 && sn != 5)
            irig_data_in(r, itt, sn == 7 ? S : 0, sn, place[sn] * 512u, 512, 0);
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 2, 1);
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 5, 1);
    irig_data_in(r, itt, 0, 5, place[5] * 512u, 512, 0);
    assert_int_equal(r->done, 0);
    irig_data_in(r, itt, 0, 2, place[2] * 512u, 512, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    irig_free(r);
}

/* ---- damage ---- */

static void damaged(void **st)
{
    (void)st;
    for (uint32_t bad = 0; bad < 8; bad++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('1', true);
        uint32_t itt = read_of(r, &m, 4096), before = r->stat_sn;
        for (uint32_t sn = 0; sn < 8; sn++) {
            r->bad_data = sn == bad;
            piece(r, itt, sn, sn == 7 ? S : 0);
        }
        irig_expect_snack(r, PDU_SNACK_DATA, itt, bad, 1);
        assert_int_equal(r->done, 0);
        assert_int_equal(acknowledged(r), before);
        if (bad == 7)
            r->stat_sn = before; /* a replica: with the number it had */
        piece(r, itt, bad, bad == 7 ? S : 0);
        assert_int_equal(r->done, 1);
        irig_expect_good(&m);
        irig_expect_quiet(r);
        irig_free(r);
    }
}

/* While data is under way, nobody knows whether it is damaged: its status is not acknowledged. */
static void not_whole_yet(void **st)
{
    (void)st;
    static struct irig_cmd m, other;
    struct irig *r = irig_erl('1', true);
    uint8_t bhs[ISCSI_BHS_LEN + ISCSI_DIGEST_LEN + 512 + ISCSI_DIGEST_LEN];
    uint32_t itt = read_of(r, &m, 512), before = r->stat_sn;
    memset(bhs, 0, sizeof bhs);
    pdu_data_in(bhs, itt, S, 0, 512, 0, 0, 0);
    bhs_put_sn(bhs, r->stat_sn++, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    uint32_t crc = crc32c(bhs, ISCSI_BHS_LEN);
    memcpy(bhs + ISCSI_BHS_LEN, &crc, sizeof crc);
    irig_feed(r, bhs, 300);
    irig_make(&other, 0, 0);
    (void)irig_submit(r, &other);
    assert_int_equal(r->exp_stat_sn, before);
    irig_feed(r, bhs + 300, sizeof bhs - 300);
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 1);
    assert_int_equal(r->exp_stat_sn, before);
    irig_free(r);
}

/* Damaged each time: at once again, but not for ever. */
static void damaged_again(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', true);
    uint32_t itt = read_of(r, &m, 1024);
    for (int i = 0; i < ISCSI_IRECOVERY_TRIES; i++) {
        r->bad_data = true;
        piece(r, itt, 0, 0);
        irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 1);
    }
    assert_false(r->closed);
    r->bad_data = true;
    piece(r, itt, 0, 0);
    irig_expect_closed(r, USAN_EDIGEST, "data comes damaged again and again");
    assert_int_equal(m.c.err, USAN_EDIGEST);
    assert_true(m.c.sent);
    assert_int_equal(r->down, 1); /* level 1: with the connection goes the session */
    irig_free(r);
}

/* 7.8: where the next header is, nobody knows. */
static void damaged_header(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', true);
    uint32_t itt = read_of(r, &m, 1024);
    r->bad_header = true;
    piece(r, itt, 0, 0);
    irig_expect_closed(r, USAN_EDIGEST, "header digest error");
    assert_int_equal(r->down, 1);
    irig_free(r);
}

/* ---- no answer ---- */

static void unanswered(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t itt = read_of(r, &m, 2048);
    piece(r, itt, 1, 0);
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 1);
    for (int i = 0; i < ISCSI_IRECOVERY_TRIES; i++) {
        assert_true(iscsi_iconn_deadline(r->conn) <= r->now_ns + NS_PER_SEC);
        irig_tick(r, NS_PER_SEC - 1);
        irig_expect_quiet(r);
        irig_tick(r, 1);
        irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 1);
    }
    irig_tick(r, NS_PER_SEC);
    irig_expect_closed(r, USAN_ETIMEOUT, "missing data was asked for and did not come");
    irig_free(r);
}

/* An answer in part is one: the count begins anew. */
static void answered_in_part(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t itt = read_of(r, &m, 4096);
    piece(r, itt, 7, S);
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 7);
    for (uint32_t sn = 0; sn < 6; sn++) {
        for (int i = 0; i < ISCSI_IRECOVERY_TRIES; i++) {
            irig_tick(r, NS_PER_SEC);
            irig_expect_snack(r, PDU_SNACK_DATA, itt, sn, 7 - sn);
        }
        piece(r, itt, sn, 0);
    }
    piece(r, itt, 6, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    irig_tick(r, 10 * NS_PER_SEC);
    irig_expect_quiet(r);
    irig_free(r);
}

/* 11.17.1 reason 3: the command is given up, the connection is not. */
static void refused(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = read_of(r, &m, 2048);
    piece(r, itt, 1, 0);
    struct irig_pdu snack = irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 1);
    irig_reject(r, ISCSI_REJECT_SNACK, snack.bhs);
    struct irig_pdu tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    assert_int_equal(pdu_tmf_request_decode(tmf.bhs).function, ISCSI_TMF_ABORT_TASK);
    assert_int_equal(pdu_tmf_request_decode(tmf.bhs).ref_itt, itt);
    irig_tick(r, 2 * NS_PER_SEC); /* it is not asked for any more */
    irig_expect_quiet(r);
    pdu_tmf_response(bhs, bhs_itt(tmf.bhs), 0, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, USAN_EDIGEST);
    assert_string_equal(m.c.why, iscsi_reject_text(ISCSI_REJECT_SNACK));
    irig_expect_quiet(r);
    irig_free(r);
}

static void too_many_holes(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint32_t itt = read_of(r, &m, 4096);
    for (uint32_t sn = 0; sn < 16; sn++) {
        irig_data_in(r, itt, 0, 2 * sn + 1, (2 * sn + 1) * 64, 64, 0);
        irig_expect_snack(r, PDU_SNACK_DATA, itt, 2 * sn, 1);
    }
    irig_data_in(r, itt, 0, 33, 33 * 64, 64, 0);
    (void)irig_expect(r, ISCSI_OP_TMF_REQUEST);
    irig_expect_quiet(r);
    irig_free(r);
}

/* A number that can not be, or bytes that came before, are no gap but a lie. */
static void nonsense(void **st)
{
    (void)st;
    for (int how = 0; how < 2; how++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('1', false);
        uint32_t itt = read_of(r, &m, 4096);
        piece(r, itt, 0, 0);
        if (how == 0) {
            irig_data_in(r, itt, 0, 0x7fffffff, 512, 512, 0);
            irig_expect_closed(r, USAN_EPROTO, "Data-In with a wrong DataSN");
        } else {
            irig_data_in(r, itt, 0, 2, 256, 512, 0);
            irig_expect_closed(r, USAN_EPROTO, "Data-In for bytes that came before");
        }
        irig_free(r);
    }
}

/* ---- acknowledgement, 11.7.2, 11.16.1 ---- */

static void data_ack(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN], data[512];
    uint32_t itt = read_of(r, &m, 4096);
    for (uint32_t sn = 0; sn < 8; sn++) {
        if (sn == 5)
            continue; /* is lost */
        for (uint32_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)(sn * 512 + i);
        uint8_t flags = sn == 3 ? F | PDU_DATA_IN_ACK : sn == 7 ? S | PDU_DATA_IN_ACK : 0;
        pdu_data_in(bhs, itt, flags, 0, 512, sn, sn * 512, 0);
        bhs_put_lun(bhs, UINT64_C(3) << 48);
        bhs_put_ttt(bhs, flags & PDU_DATA_IN_ACK ? 0x100 + sn : ISCSI_TAG_NONE);
        irig_send(r, bhs, flags & PDU_DATA_IN_STATUS, data, 512);
        if (sn == 3) { /* all up to 3 is there */
            struct irig_pdu ack = irig_expect_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, 4, 0);
            assert_int_equal(bhs_ttt(ack.bhs), 0x103);
            assert_true(bhs_lun(ack.bhs) == UINT64_C(3) << 48);
        }
    }
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 5, 1);
    irig_expect_quiet(r); /* 5 is not there, so 7 is not acknowledged */
    piece(r, itt, 5, 0);
    struct irig_pdu ack = irig_expect_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, 8, 0);
    assert_int_equal(bhs_ttt(ack.bhs), 0x107);
    irig_expect_good(&m);
    assert_int_equal(iscsi_isess_stats(r->sess)->data_acks, 2);
    irig_free(r);
}

/* ---- another segment length, 11.16.3 ---- */

static void resegmented(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = read_of(r, &m, 4096), stat;
    pieces(r, itt, 0, 2);
    assert_int_equal(iscsi_iconn_renegotiate(r->conn, 1024, r->now_ns), 0);
    irig_run(r);
    uint32_t text = bhs_itt(irig_expect(r, ISCSI_OP_TEXT_REQUEST).bhs);
    pdu_text_response(bhs, text, ISCSI_TAG_NONE, 0, true, false, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->text_done, 1);
    piece(r, itt, 3, 0); /* 2 is missing, and can not be had as it was */
    struct irig_pdu snack = irig_expect_snack(r, PDU_SNACK_RDATA, itt, 0, 0);
    uint32_t tag = bhs_ttt(snack.bhs);
    assert_int_not_equal(tag, 0);
    assert_int_not_equal(tag, ISCSI_TAG_NONE);
    /* what was under way in the old numbers means nothing, its status neither */
    pieces(r, itt, 4, 7);
    stat = r->stat_sn;
    piece(r, itt, 7, S);
    assert_int_equal(r->done, 0);
    irig_expect_quiet(r);
    assert_int_equal(acknowledged(r), stat);
    for (uint32_t sn = 0; sn < 4; sn++)
        irig_data_in(r, itt, sn == 3 ? F : 0, sn, sn * 1024, 1024, 0);
    assert_int_equal(r->done, 0);
    r->stat_sn = stat; /* 11.4.4: all responses of a command carry the same StatSN */
    pdu_scsi_response(bhs, itt, 0, 0, 0, 0, 0, 4, 0, 0);
    bhs_put_ttt(bhs, tag);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    assert_int_equal(acknowledged(r), stat + 1);
    assert_int_equal(iscsi_isess_stats(r->sess)->rdata_snacks, 1);
    irig_free(r);
}

/* ---- writes ---- */

static void r2t_gap(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    irig_make(&m, 0, 4096);
    uint32_t itt = bhs_itt(irig_submit(r, &m).bhs);
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_r2t(r, itt, 6, 1, 2048, 2048); /* number 0 is missing */
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 0, 1);
    irig_expect_data_out(r, &m, itt, 6, 2048, 4096, 1024);
    irig_r2t(r, itt, 5, 0, 1536, 512);
    irig_expect_data_out(r, &m, itt, 5, 1536, 2048, 1024);
    irig_r2t(r, itt, 5, 0, 1536, 512); /* the same again: it was answered */
    irig_expect_quiet(r);
    irig_response(r, itt, 0, 0, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.out_sent, 4096);
    irig_free(r);
}

/* 7.8: what the target got damaged it asks for again, also what came unsolicited. */
static void recovery_r2t(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    struct irig_pdu pdu;
    irig_make(&m, 0, 4096);
    uint32_t itt = bhs_itt(irig_submit(r, &m).bhs);
    assert_true(irig_next(r, &pdu));
    assert_int_equal(bhs_opcode(pdu.bhs), ISCSI_OP_DATA_OUT);
    irig_reject(r, ISCSI_REJECT_DATA_DIGEST, pdu.bhs);
    irig_r2t(r, itt, 1, 0, 1024, 512);
    irig_expect_data_out(r, &m, itt, 1, 1024, 1536, 1024);
    irig_r2t(r, itt, 2, 1, 1536, 2048);
    irig_expect_data_out(r, &m, itt, 2, 1536, 3584, 1024);
    irig_r2t(r, itt, 3, 2, 2560, 1024); /* its second PDU again */
    irig_expect_data_out(r, &m, itt, 3, 2560, 3584, 1024);
    irig_r2t(r, itt, 4, 3, 3584, 512);
    irig_expect_data_out(r, &m, itt, 4, 3584, 4096, 1024);
    irig_response(r, itt, 0, 0, 0);
    assert_int_equal(m.c.err, 0);
    assert_int_equal(m.c.out_sent, 4096);
    irig_expect_quiet(r);
    irig_free(r);
}

/* 4.2.2.3: Data-In and R2T of a bidirectional command are one sequence. */
static void bidirectional(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('1', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    irig_make(&m, 1024, 4096);
    uint32_t itt = bhs_itt(irig_submit(r, &m).bhs);
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_data_in(r, itt, 0, 0, 0, 512, 0);
    irig_r2t(r, itt, 8, 3, 3584, 512); /* missing: 1 is an R2T, 2 a Data-In */
    irig_expect_snack(r, PDU_SNACK_DATA, itt, 1, 2);
    irig_expect_data_out(r, &m, itt, 8, 3584, 4096, 1024);
    pdu_scsi_response(bhs, itt, 0, 0, 0, 0, 0, 4, 0, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 0);
    irig_r2t(r, itt, 7, 1, 1536, 2048);
    irig_expect_data_out(r, &m, itt, 7, 1536, 3584, 1024);
    irig_data_in(r, itt, F, 2, 512, 512, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    irig_expect_quiet(r);
    irig_free(r);
}

/* ---- memory ---- */

static void out_of_memory(void **st)
{
    (void)st;
    for (unsigned n = 1; n <= 2; n++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('1', false);
        uint32_t itt = read_of(r, &m, 2048);
        r->alloc.fail_at = r->alloc.calls + n;
        piece(r, itt, 1, 0);
        assert_int_equal(pdu_tmf_request_decode(irig_expect(r, ISCSI_OP_TMF_REQUEST).bhs).function,
                         ISCSI_TMF_ABORT_TASK);
        irig_expect_quiet(r);
        irig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gap),           cmocka_unit_test(runs),
        cmocka_unit_test(tail),          cmocka_unit_test(any_order),
        cmocka_unit_test(damaged),       cmocka_unit_test(not_whole_yet),
        cmocka_unit_test(damaged_again), cmocka_unit_test(damaged_header),
        cmocka_unit_test(unanswered),    cmocka_unit_test(answered_in_part),
        cmocka_unit_test(refused),       cmocka_unit_test(too_many_holes),
        cmocka_unit_test(nonsense),      cmocka_unit_test(data_ack),
        cmocka_unit_test(resegmented),   cmocka_unit_test(r2t_gap),
        cmocka_unit_test(recovery_r2t),  cmocka_unit_test(bidirectional),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
