/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How commands of an initiator end other than by a status. */
#include "irig_cmd.h"

#include <string.h>

/* ---- digests ---- */

static void digest_errors(void **st)
{
    (void)st;
    /* Data-In; Data-In with status; a response; a header */
    for (int how = 0; how < 4; how++) {
        struct irig_cmd m;
        struct irig *r = irig_new();
        uint8_t pdu_bytes[ISCSI_BHS_LEN + 4 + 512 + 4], bhs[ISCSI_BHS_LEN];
        r->cfg.params.header_digest = r->cfg.params.data_digest = true;
        irig_login(r, "HeaderDigest=CRC32C|DataDigest=CRC32C|");
        irig_make(&m, 512, 0);
        uint32_t itt = bhs_itt(irig_submit(r, &m).bhs);
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
            irig_expect_closed(r, USAN_EDIGEST, "data digest error in a response");
            assert_int_equal(m.c.err, USAN_EDIGEST);
        } else {
            irig_expect_closed(r, USAN_EDIGEST, "header digest error");
        }
        irig_free(r);
    }
}

/* ---- rejects ---- */

static void rejects(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN];
    struct irig_pdu pdu = irig_begin(&r, &m, 0, 512);
    pdu_reject(bhs, ISCSI_REJECT_DATA_DIGEST, ISCSI_BHS_LEN); /* its answer follows */
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->done, 0);
    irig_response(r, bhs_itt(pdu.bhs), 0, 2, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    pdu = irig_submit(r, &m);
    pdu_reject(bhs, ISCSI_REJECT_OUT_OF_RESOURCES, ISCSI_BHS_LEN);
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->done, 2);
    assert_int_equal(m.c.err, USAN_EPROTO);
    assert_string_equal(m.c.why, "the target rejects a request: out of resources");
    pdu = irig_submit(r, &m);
    pdu.bhs[0] = ISCSI_OP_DATA_OUT;
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->done, 2);
    assert_false(r->closed);
    pdu.bhs[0] = ISCSI_OP_SNACK; /* which we never sent */
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    irig_expect_closed(r, USAN_EPROTO, "the target rejects a request: out of resources");
    irig_free(r);
}

/* ---- cancel ---- */

static void cancel(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r;
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = bhs_itt(irig_begin(&r, &m, 2048, 0).bhs);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0); /* once is enough */
    irig_run(r);
    struct irig_pdu tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    assert_int_equal(bhs_lun(tmf.bhs), UINT64_C(3) << 48);
    pdu_tmf_response(bhs, bhs_itt(tmf.bhs), 5, 0); /* not supported: the command goes on */
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->done, 0);
    irig_data_in(r, itt, 0x81, 0, 0, 2048, 0);
    assert_int_equal(m.c.err, 0);
    /* the answer is quicker than the abort */
    itt = bhs_itt(irig_submit(r, &m).bhs);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    irig_run(r);
    tmf = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    irig_data_in(r, itt, 0x81, 0, 0, 2048, 0);
    assert_int_equal(r->done, 2);
    assert_int_equal(m.c.err, 0);
    pdu_tmf_response(bhs, bhs_itt(tmf.bhs), 1, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_false(r->closed);
    /* no answer at all */
    (void)irig_submit(r, &m);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    irig_run(r);
    assert_int_equal(iscsi_iconn_deadline(r->conn), r->now_ns + 5 * NS_PER_SEC);
    irig_tick(r, 5 * NS_PER_SEC);
    irig_expect_closed(r, USAN_ETIMEOUT, "no answer to an abort");
    assert_int_equal(m.c.err, USAN_ETIMEOUT);
    irig_free(r);
}

/* ---- what was not sent ---- */

/* The connection ends while commands wait for the wire, or are on it in part: they go out again,
 * in their order, with the next login. */
static void unsent_again(void **st)
{
    (void)st;
    struct irig_cmd m[3], now;
    struct irig *r = irig_new();
    struct iscsi_iconn *old, *other;
    struct iovec out[1];
    irig_login(r, IRIG_PLAIN);
    for (int i = 0; i < 3; i++) {
        irig_make(&m[i], 512, 0);
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
    irig_make(&now, 512, 0);
    now.cdb[9] = 3;
    assert_int_equal(iscsi_isess_submit(r->sess, &now.c), 0);
    irig_run(r);
    r->exp_cmd_sn += 1 << 16; /* a new session has new numbers */
    irig_login_rsp(r, 0x81, 0, "");
    irig_login_rsp(r, 0x87, 0, IRIG_PLAIN);
    assert_true(r->logged_in);
    assert_string_equal(iscsi_isess_state(r->sess), "Q3 LOGGED_IN");
    static const uint8_t order[] = { 2, 0, 1, 3 }; /* the immediate one first */
    for (int i = 0; i < 4; i++) {
        struct irig_pdu pdu = irig_expect(r, ISCSI_OP_SCSI_COMMAND);
        assert_int_equal(pdu.bhs[41], order[i]);
        assert_int_equal(bhs_immediate(pdu.bhs), i == 0);
        irig_data_in(r, bhs_itt(pdu.bhs), 0x81, 0, 0, 512, 0);
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
    struct irig_cmd m[2];
    struct irig *r = irig_new();
    struct irig_pdu pdu;
    struct iscsi_itmf tmf = { .function = ISCSI_TMF_QUERY_TASK };
    r->window = 1;
    irig_login(r, IRIG_PLAIN);
    for (int i = 0; i < 2; i++) {
        irig_make(&m[i], 512, 0);
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
    (void)irig_submit(r, &m[0]);      /* nor was its window used */
    irig_free(r);
}

/* ---- limits of the owner ---- */

static void bad_commands(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_new();
    irig_login(r, IRIG_PLAIN);
    irig_make(&m, 512, 0);
    m.c.in_len = 513; /* more than the iovecs have */
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    irig_make(&m, 512, 0);
    m.c.cdb_len = 0;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    m.c.cdb_len = ISCSI_CDB_MAX + 1;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    irig_make(&m, 512, 0);
    m.c.attr = 5;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    irig_make(&m, 512, 0);
    m.c.in_len = 0x80000000u;
    assert_int_equal(iscsi_isess_submit(r->sess, &m.c), USAN_EINVAL);
    assert_int_equal(iscsi_isess_queued(r->sess), 0);
    irig_make(&m, 512, 0);
    m.c.priority = 9;
    m.c.attr = 2;
    struct irig_pdu pdu = irig_submit(r, &m);
    assert_int_equal(pdu.bhs[2], 9);
    assert_int_equal(pdu.bhs[1] & 7, 2);
    irig_free(r);
}

/* An immediate command passes a closed window. */
static void closed_window(void **st)
{
    (void)st;
    struct irig_cmd a, b;
    struct irig *r = irig_new();
    struct irig_pdu pdu;
    uint8_t bhs[ISCSI_BHS_LEN];
    r->window = 0;
    irig_login(r, IRIG_PLAIN);
    irig_make(&a, 512, 0);
    irig_make(&b, 512, 0);
    b.c.immediate = true;
    assert_int_equal(iscsi_isess_submit(r->sess, &a.c), 0);
    irig_run(r);
    assert_false(irig_next(r, &pdu));
    assert_int_equal(iscsi_isess_queued(r->sess), 1);
    pdu = irig_submit(r, &b);
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
        cmocka_unit_test(digest_errors),  cmocka_unit_test(rejects),
        cmocka_unit_test(cancel),         cmocka_unit_test(unsent_again),
        cmocka_unit_test(unsent_managed), cmocka_unit_test(bad_commands),
        cmocka_unit_test(closed_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
