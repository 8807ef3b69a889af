/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 2: connections that are lost, and their tasks (RFC 7143 7.2.2, 6.3.4, 6.3.6).
 * Time2Wait is 2 s, Time2Retain 20 s. */
#include "irig_cmd.h"

#include <string.h>

/* ---- another connection is left ---- */

static void explicit_logout(void **st)
{
    (void)st;
    static struct irig_cmd rd, wr;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t a_read = bhs_itt(irig_submit_on(r, &rd, 4096, 0).bhs);
    b = irig_joined(r, 2);
    uint32_t a_write = bhs_itt(irig_submit_on(b, &wr, 0, 4096).bhs);
    irig_expect_data_out(b, &wr, a_write, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_piece(r, a_read, 0, 0);
    irig_piece(r, a_read, 1, 0);
    irig_cut(r);
    assert_int_equal(r->recover, 1);
    assert_int_equal(r->cid, 9);
    assert_false(r->last_conn);
    assert_int_equal(r->done + r->down, 0);
    assert_string_equal(iscsi_isess_state(r->sess), "Q3 LOGGED_IN");
    assert_true(iscsi_isess_deadline(r->sess) == r->now_ns + 2 * NS_PER_SEC);
    irig_tick(r, 2 * NS_PER_SEC - 1);
    irig_expect_quiet(b);
    irig_tick(r, 1); /* Time2Wait is over */
    irig_logged_out(b, 9, 0, 1);
    irig_expect_quiet(b); /* the response has a waiting time of its own, 11.15.3 */
    assert_true(iscsi_isess_deadline(r->sess) == r->now_ns + NS_PER_SEC);
    irig_tick(r, NS_PER_SEC);
    irig_reassigned(b, a_read, 2, ISCSI_TMF_RSP_COMPLETE);
    assert_int_equal(r->recovered, 1);
    assert_int_equal(r->reassigned, 1);
    assert_true(iscsi_isess_deadline(r->sess) == TIME_NEVER);
    assert_int_equal(iscsi_iconn_load(b->conn), 2 * 4096 + 2 * 4096);
    for (uint32_t sn = 2; sn < 8; sn++)
        irig_piece(b, a_read, sn, sn == 7 ? 0x81 : 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&rd);
    irig_r2t(b, a_write, 4, 0, 1536, 2048);
    irig_expect_data_out(b, &wr, a_write, 4, 1536, 3584, 1024);
    irig_free(r);
}

/* A hole in what came: the target begins there again, perhaps in other pieces. */
static void with_a_hole(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 4096, 0).bhs);
    b = irig_joined(r, 2);
    for (uint32_t sn = 0; sn < 6; sn++)
        if (sn != 2)
            irig_piece(r, itt, sn, 0);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 2, ISCSI_TMF_RSP_COMPLETE);
    for (uint32_t sn = 2; sn < 5; sn++)
        irig_data_in(b, itt, sn == 4 ? 0x81 : 0, sn, 1024 + (sn - 2) * 1024, 1024, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    irig_expect_quiet(b);
    irig_free(r);
}

/* The target does not go on where it was asked to, but sends all again, in other pieces. */
static void all_again(void **st)
{
    (void)st;
    static const uint8_t data[512] = { 0 };
    uint8_t bhs[ISCSI_BHS_LEN];
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 4096, 0).bhs);
    b = irig_joined(r, 2);
    for (uint32_t sn = 0; sn < 2; sn++)
        irig_piece(r, itt, sn, 0);
    pdu_data_in(bhs, itt, PDU_DATA_IN_FINAL | PDU_DATA_IN_ACK, 0, 512, 2, 1024, 0);
    bhs_put_ttt(bhs, 5);
    irig_send(r, bhs, false, data, sizeof data);
    irig_expect_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, 3, 0); /* does not come there */
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 3, ISCSI_TMF_RSP_COMPLETE);
    for (uint32_t sn = 0; sn < 4; sn++)
        irig_data_in(b, itt, sn == 3 ? 0x81 : 0, sn, sn * 1024, 1024, 0);
    assert_int_equal(r->done, 1);
    irig_expect_good(&m);
    irig_expect_quiet(b);
    irig_free(r);
}

/* Lost in the midst of a Data-In: that one did not come. */
static void in_the_midst(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint8_t part[ISCSI_BHS_LEN + 100] = { 0 };
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 4096, 0).bhs);
    b = irig_joined(r, 2);
    irig_piece(r, itt, 0, 0);
    pdu_data_in(part, itt, 0, 0, 512, 1, 512, 0);
    bhs_put_sn(part, 0, r->exp_cmd_sn, r->exp_cmd_sn + 31);
    memset(part + ISCSI_BHS_LEN, 0xee, 100);
    irig_feed(r, part, sizeof part);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 1, ISCSI_TMF_RSP_COMPLETE);
    for (uint32_t sn = 1; sn < 8; sn++)
        irig_piece(b, itt, sn, sn == 7 ? 0x81 : 0);
    irig_expect_good(&m);
    assert_int_equal(r->done, 1);
    irig_free(r);
}

/* A write that was asked for data: R2Ts of the old connection are void, new ones come. */
static void write_goes_on(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 0, 4096).bhs);
    b = irig_joined(r, 2);
    irig_expect_data_out(r, &m, itt, ISCSI_TAG_NONE, 1024, 1536, 1024);
    irig_r2t(r, itt, 4, 0, 1536, 2048);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 1, ISCSI_TMF_RSP_COMPLETE);
    irig_expect_quiet(b);
    irig_r2t(b, itt, 5, 1, 1024, 2048); /* of the unsolicited data not all came either */
    irig_expect_data_out(b, &m, itt, 5, 1024, 3072, 1024);
    irig_r2t(b, itt, 6, 2, 3072, 1024);
    irig_expect_data_out(b, &m, itt, 6, 3072, 4096, 1024);
    irig_response(b, itt, 0, 0, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, 0);
    irig_free(r);
}

/* The target does not know the task. Was it never there, or is it over? */
static void unknown_task(void **st)
{
    (void)st;
    for (int taken = 0; taken < 2; taken++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('2', false), *b;
        r->again = true;
        struct irig_pdu first = irig_submit_on(r, &m, 512, 0);
        uint32_t itt = bhs_itt(first.bhs), sn = bhs_cmd_sn(first.bhs);
        if (!taken)
            r->exp_cmd_sn = sn;
        b = irig_joined(r, 2);
        irig_cut(r);
        irig_tick(r, 2 * NS_PER_SEC);
        irig_logged_out(b, 9, 0, 0);
        irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_NO_TASK);
        if (taken) {
            assert_int_equal(r->done, 1);
            assert_int_equal(m.c.err, USAN_ECLOSED);
            assert_true(m.c.sent);
        } else { /* 7.2.1: with the number the target waits for */
            struct irig_pdu again = irig_expect(b, ISCSI_OP_SCSI_COMMAND);
            assert_int_equal(bhs_itt(again.bhs), itt);
            assert_int_equal(bhs_cmd_sn(again.bhs), sn);
            irig_piece(b, itt, 0, 0x81);
            irig_expect_good(&m);
            assert_int_equal(r->done, 1);
        }
        assert_int_equal(r->recovered, 1);
        assert_int_equal(r->reassigned, 0);
        irig_free(r);
    }
}

/* A command that did not go out whole has a number, and goes out with it. */
static void half_sent(void **st)
{
    (void)st;
    struct irig_cmd m[2];
    struct iovec iov[8];
    struct irig *r = irig_erl('2', false), *b;
    r->again = true;
    uint32_t sn = r->exp_cmd_sn;
    irig_make(&m[0], 0, 1024);
    irig_make(&m[1], 512, 0);
    assert_int_equal(iscsi_isess_submit(r->sess, &m[0].c), 0);
    assert_true(iscsi_iconn_tx(r->conn, iov, 8) > 0);
    iscsi_iconn_tx_done(r->conn, 100, r->now_ns); /* the header, and some of the data */
    iscsi_iconn_lost(r->conn, USAN_ECLOSED);
    assert_int_equal(iscsi_isess_submit(r->sess, &m[1].c), 0); /* meanwhile */
    irig_cut(r);
    assert_true(r->last_conn);
    irig_tick(r, 2 * NS_PER_SEC);
    b = irig_joined(r, 9);
    /* no TASK REASSIGN: the target can not know it; the other one comes after it */
    struct irig_pdu pdu = irig_expect(b, ISCSI_OP_SCSI_COMMAND), next;
    next = irig_expect(b, ISCSI_OP_SCSI_COMMAND);
    uint32_t first = bhs_cmd_sn(pdu.bhs) == sn ? 0 : 1;
    if (first == 1) {
        struct irig_pdu swap = pdu;
        pdu = next;
        next = swap;
    }
    assert_int_equal(bhs_cmd_sn(pdu.bhs), sn);
    assert_int_equal(pdu.data_len, 1024);
    assert_int_equal(bhs_cmd_sn(next.bhs), sn + 1);
    irig_response(b, bhs_itt(pdu.bhs), 0, 0, 0);
    irig_piece(b, bhs_itt(next.bhs), 0, 0x81);
    assert_int_equal(r->done, 2);
    assert_int_equal(m[0].c.err + m[1].c.err, 0);
    irig_free(r);
}

/* The header of one came before a command that is still waited for: the target has it, and would
 * ignore another one with its number. */
static void half_sent_early(void **st)
{
    (void)st;
    struct irig_cmd m[2];
    struct iovec iov[8];
    struct irig *r = irig_erl('2', false), *b;
    r->again = true;
    uint32_t sn = r->exp_cmd_sn;
    irig_make(&m[0], 512, 0);
    irig_make(&m[1], 0, 1024);
    for (int i = 0; i < 2; i++)
        assert_int_equal(iscsi_isess_submit(r->sess, &m[i].c), 0);
    assert_true(iscsi_iconn_tx(r->conn, iov, 8) >= 3);
    uint32_t first = bhs_itt(iov[0].iov_base), early = bhs_itt(iov[1].iov_base);
    iscsi_iconn_tx_done(r->conn, 2 * ISCSI_BHS_LEN + 100, r->now_ns);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    b = irig_joined(r, 9);
    irig_reassigned(b, first, 0, ISCSI_TMF_RSP_NO_TASK);
    irig_reassigned(b, early, 0, ISCSI_TMF_RSP_COMPLETE);
    struct irig_pdu pdu = irig_expect(b, ISCSI_OP_SCSI_COMMAND);
    assert_int_equal(bhs_cmd_sn(pdu.bhs), sn);
    irig_expect_quiet(b);
    irig_piece(b, first, 0, 0x81);
    irig_r2t(b, early, 5, 0, 0, 1024);
    irig_expect_data_out(b, &m[1], early, 5, 0, 1024, 1024);
    irig_response(b, early, 0, 0, 0);
    assert_int_equal(r->done, 2);
    assert_int_equal(m[0].c.err + m[1].c.err, 0);
    irig_free(r);
}

/* More tasks than may be asked for at a time; on the connection that has the least to do. */
static void many(void **st)
{
    (void)st;
    static struct irig_cmd m[20];
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt[20];
    for (int i = 0; i < 20; i++)
        itt[i] = bhs_itt(irig_submit_on(r, &m[i], 512, 0).bhs);
    b = irig_joined(r, 2);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    for (int i = 0; i < 20; i++)
        irig_reassigned(b, itt[i], 0, ISCSI_TMF_RSP_COMPLETE);
    assert_int_equal(r->recovered, 1);
    assert_int_equal(r->reassigned, 20);
    for (int i = 0; i < 20; i++) {
        irig_piece(b, itt[i], 0, 0x81);
        irig_expect_good(&m[i]);
    }
    assert_int_equal(r->done, 20);
    assert_int_equal(iscsi_isess_active(r->sess), 0);
    irig_free(r);
}

/* ---- the connection comes back with its cid ---- */

static void reinstated(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b, *c;
    struct iscsi_iconn *early;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 1024, 0).bhs);
    b = irig_joined(r, 2);
    irig_piece(r, itt, 0, 0);
    irig_cut(r);
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns, &early), USAN_EAGAIN);
    r->now_ns += 2 * NS_PER_SEC;
    c = irig_join(r, 9); /* before the core does it on the other one */
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns, &early), USAN_EEXIST);
    irig_join_login(c, "MaxRecvDataSegmentLength=1024|");
    irig_reassigned(b, itt, 1, ISCSI_TMF_RSP_COMPLETE); /* no logout; both have nothing to do */
    irig_expect_quiet(c);
    irig_piece(b, itt, 1, 0x81);
    irig_expect_good(&m);
    assert_int_equal(r->recovered, 1);
    irig_free(r);
}

/* The core logs it out on another one before the new one has come to its login: that logout may
 * arrive after it, and would mean the new one. */
static void logged_out_first(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct iscsi_iconn *early;
    struct iscsi_ievent ev;
    struct irig *r = irig_erl('2', false), *b, *c;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
    b = irig_joined(r, 2);
    irig_cut(r);
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns + 2 * NS_PER_SEC, &early), 0);
    irig_tick(r, 2 * NS_PER_SEC);
    iscsi_iconn_connected(early, r->now_ns);
    assert_false(iscsi_iconn_tx_pending(early));
    assert_true(iscsi_iconn_next(early, &ev));
    assert_int_equal(ev.type, ISCSI_IEV_CLOSE);
    assert_int_equal(ev.err, USAN_EAGAIN);
    iscsi_iconn_free(early);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_COMPLETE);
    assert_int_equal(r->recovered, 1);
    c = irig_joined(r, 9); /* its place is free */
    irig_expect_quiet(c);
    irig_piece(b, itt, 0, 0x81);
    irig_expect_good(&m);
    irig_free(r);
}

/* The first request of such a login acknowledges what came on the old connection, 11.12.9. */
static void acknowledges(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *c;
    irig_make(&m, 0, 0);
    irig_response(r, bhs_itt(irig_submit(r, &m).bhs), 0, 0, 0);
    uint32_t stat = r->stat_sn;
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    c = irig_join(r, 9);
    struct irig_pdu first = irig_expect(c, ISCSI_OP_LOGIN_REQUEST);
    const struct pdu_login_request q = pdu_login_request_decode(first.bhs);
    assert_int_equal(q.tsih, IRIG_TSIH);
    assert_int_equal(q.cid, 9);
    assert_int_equal(bhs_exp_stat_sn(first.bhs), stat);
    assert_int_equal(bhs_cmd_sn(first.bhs), r->exp_cmd_sn);
    irig_free(r);
}

/* ---- none is left ---- */

static void continued(void **st)
{
    (void)st;
    /* with the cid of the lost one, or with another */
    for (uint16_t cid = 9; cid <= 10; cid++) {
        static struct irig_cmd rd, later;
        struct irig *r = irig_erl('2', false), *c;
        struct iscsi_iconn *early;
        uint32_t itt = bhs_itt(irig_submit_on(r, &rd, 1024, 0).bhs);
        irig_piece(r, itt, 0, 0);
        irig_cut(r);
        assert_true(r->last_conn);
        assert_int_equal(r->down + r->done, 0);
        assert_string_equal(iscsi_isess_state(r->sess), "Q4 FAILED");
        assert_int_equal(iscsi_iconn_new(r->sess, cid, r->now_ns, &early), USAN_EAGAIN);
        irig_make(&later, 512, 0);
        assert_int_equal(iscsi_isess_submit(r->sess, &later.c), 0);
        irig_tick(r, 2 * NS_PER_SEC);
        /* a login that fails changes nothing */
        c = irig_join(r, cid);
        irig_cut(c);
        assert_string_equal(iscsi_isess_state(r->sess), "Q4 FAILED");
        c = irig_joined(r, cid);
        assert_string_equal(iscsi_isess_state(r->sess), "Q3 LOGGED_IN");
        uint32_t other = bhs_itt(irig_expect(c, ISCSI_OP_SCSI_COMMAND).bhs);
        if (cid != 9)
            irig_logged_out(c, 9, 0, 0);
        irig_reassigned(c, itt, 1, ISCSI_TMF_RSP_COMPLETE);
        irig_piece(c, itt, 1, 0x81);
        irig_expect_good(&rd);
        irig_piece(c, other, 0, 0x81);
        irig_expect_good(&later);
        assert_int_equal(r->done, 2);
        assert_int_equal(r->recovered, 1);
        assert_int_equal(iscsi_isess_stats(r->sess)->continued, 1);
        irig_free(r);
    }
}

static void not_in_time(void **st)
{
    (void)st;
    /* Time2Retain is over; the target does not know the session; the owner gives up */
    for (int how = 0; how < 3; how++) {
        static struct irig_cmd m, queued;
        struct irig *r = irig_erl('2', false), *c;
        (void)irig_submit_on(r, &m, 1024, 0);
        irig_cut(r);
        irig_make(&queued, 512, 0);
        assert_int_equal(iscsi_isess_submit(r->sess, &queued.c), 0);
        irig_tick(r, 2 * NS_PER_SEC);
        if (how == 0) {
            assert_true(iscsi_isess_deadline(r->sess) == r->now_ns + 20 * NS_PER_SEC);
            irig_tick(r, 20 * NS_PER_SEC - 1);
            assert_int_equal(r->down, 0);
            irig_tick(r, 1);
            assert_int_equal(r->down_err, USAN_ETIMEOUT);
            assert_string_equal(iscsi_isess_state(r->sess), "Q1 FREE");
        } else if (how == 1) {
            c = irig_join(r, 9);
            irig_login_rsp(c, 0, ISCSI_LOGIN_NO_SUCH_SESSION, "");
            assert_true(c->closed);
            assert_int_equal(r->down_err, USAN_ENOENT);
        } else {
            iscsi_isess_abandon(r->sess, USAN_ECANCELED, "enough");
            irig_run(r);
            assert_int_equal(r->down_err, USAN_ECANCELED);
        }
        assert_int_equal(r->down, 1);
        assert_int_equal(r->done, 1); /* the other one waits for a new session */
        assert_true(m.c.err && m.c.sent);
        assert_true(iscsi_isess_deadline(r->sess) == TIME_NEVER);
        assert_int_equal(iscsi_isess_queued(r->sess), 1);
        /* which begins with a leading login */
        c = irig_join(r, 11);
        struct irig_pdu first = irig_expect(c, ISCSI_OP_LOGIN_REQUEST);
        assert_int_equal(pdu_login_request_decode(first.bhs).tsih, 0);
        irig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explicit_logout),
        cmocka_unit_test(with_a_hole),
        cmocka_unit_test(all_again),
        cmocka_unit_test(in_the_midst),
        cmocka_unit_test(write_goes_on),
        cmocka_unit_test(unknown_task),
        cmocka_unit_test(half_sent),
        cmocka_unit_test(half_sent_early),
        cmocka_unit_test(many),
        cmocka_unit_test(reinstated),
        cmocka_unit_test(logged_out_first),
        cmocka_unit_test(acknowledges),
        cmocka_unit_test(continued),
        cmocka_unit_test(not_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
