/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NOP, Async Message, logout, text and task management of an initiator against PDUs made by hand,
 * and its timers. */
#include "irig.h"

#include <string.h>

static uint8_t sense[20] = { 0, 18, 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3f, 0x0e };

static void read_cmd(struct iscsi_icmd *c, uint64_t lun)
{
    static const uint8_t cdb[10] = { 0x28 };
    static uint8_t data[512];
    static struct iovec iov = { data, sizeof data };
    *c = (struct iscsi_icmd){
        .lun = lun, .cdb = cdb, .cdb_len = 10, .in = &iov, .in_cnt = 1, .in_len = 512
    };
}

static struct irig_pdu submit(struct irig *r, struct iscsi_icmd *c, uint64_t lun)
{
    read_cmd(c, lun);
    assert_int_equal(iscsi_isess_submit(r->sess, c), 0);
    irig_run(r);
    return irig_expect(r, ISCSI_OP_SCSI_COMMAND);
}

static void async(struct irig *r, uint64_t lun, uint8_t event, uint16_t p1, uint16_t p2,
                  uint16_t p3, const void *data, uint32_t len)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_async(bhs, lun, event, p1, p2, p3, 0);
    irig_send(r, bhs, true, data, len);
}

static void expect_closed(struct irig *r, int err, const char *why)
{
    assert_true(r->closed);
    assert_string_equal(r->why, why);
    assert_int_equal(r->err, err);
}

/* ---- NOP ---- */

static void nop(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct irig_pdu pdu;
    uint8_t bhs[ISCSI_BHS_LEN];
    r->cfg.nop_interval_ns = 3 * NS_PER_SEC;
    r->cfg.nop_timeout_ns = 2 * NS_PER_SEC;
    irig_login(r, "");
    /* asked by the target */
    pdu_nop_in(bhs, ISCSI_TAG_NONE, 0x55, UINT64_C(2) << 48, 0);
    irig_send(r, bhs, false, NULL, 0);
    pdu = irig_expect(r, ISCSI_OP_NOP_OUT);
    assert_true(bhs_immediate(pdu.bhs));
    assert_int_equal(bhs_itt(pdu.bhs), ISCSI_TAG_NONE);
    assert_int_equal(bhs_ttt(pdu.bhs), 0x55);
    assert_int_equal(bhs_lun(pdu.bhs), UINT64_C(2) << 48);
    /* wants no answer */
    pdu_nop_in(bhs, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0, 0);
    irig_send(r, bhs, false, NULL, 0);
    assert_false(irig_next(r, &pdu));
    /* asked by us */
    uint64_t at = iscsi_iconn_deadline(r->conn);
    assert_int_equal(at, r->now_ns + 3 * NS_PER_SEC);
    irig_tick(r, 3 * NS_PER_SEC - 1);
    assert_false(irig_next(r, &pdu));
    irig_tick(r, 1);
    pdu = irig_expect(r, ISCSI_OP_NOP_OUT);
    assert_int_equal(bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
    assert_true(bhs_itt(pdu.bhs) != ISCSI_TAG_NONE);
    irig_tick(r, NS_PER_SEC);
    assert_false(irig_next(r, &pdu)); /* one at a time */
    pdu_nop_in(bhs, bhs_itt(pdu.bhs), ISCSI_TAG_NONE, 0, 0);
    uint8_t echo[9] = { 0 };
    irig_send(r, bhs, true, echo, 9);
    assert_false(r->closed);
    irig_tick(r, 3 * NS_PER_SEC);
    pdu = irig_expect(r, ISCSI_OP_NOP_OUT);
    assert_int_equal(r->exp_stat_sn, r->stat_sn);
    irig_tick(r, 2 * NS_PER_SEC);
    expect_closed(r, USAN_ETIMEOUT, "no answer to a NOP-Out");
    assert_string_equal(iscsi_iconn_state(r->conn), "S8 CLEANUP_WAIT");
    irig_free(r);
}

/* A target that pings and does not take the answers. */
static void nop_flood(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    struct iscsi_ievent ev;
    uint8_t bhs[ISCSI_BHS_LEN], buf[ISCSI_BHS_LEN];
    irig_login(r, "");
    bool closed = false;
    for (int i = 0; i < 1000 && !closed; i++) {
        pdu_nop_in(bhs, ISCSI_TAG_NONE, 1, 0, 0);
        bhs_put_sn(bhs, r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 31);
        if (iscsi_iconn_rx_space(r->conn, buf, sizeof buf, iov)) {
            memcpy(buf, bhs, sizeof buf);
            iscsi_iconn_rx(r->conn, sizeof buf, r->now_ns);
        }
        while (iscsi_iconn_next(r->conn, &ev))
            if (ev.type == ISCSI_IEV_CLOSE) {
                closed = true;
                assert_int_equal(ev.err, USAN_ELIMIT);
            }
    }
    assert_true(closed);
    irig_free(r);
}

/* ---- async messages ---- */

static void async_events(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct iscsi_icmd a, b;
    struct irig_pdu pdu;
    irig_login(r, "");
    async(r, UINT64_C(1) << 48, ISCSI_ASYNC_SCSI_EVENT, 0, 0, 0, sense, sizeof sense);
    assert_int_equal(r->asyncs, 1);
    assert_int_equal(r->async.lun, UINT64_C(1) << 48);
    assert_int_equal(r->async.data_len, 18);
    async(r, 0, ISCSI_ASYNC_VENDOR, 1, 2, 3, "abcd", 4);
    assert_int_equal(r->asyncs, 2);
    assert_int_equal(r->async.event, 255);
    assert_int_equal(r->async.param2, 2);
    assert_int_equal(r->async.data_len, 4);
    async(r, 0, 77, 0, 0, 0, NULL, 0); /* nobody knows it: reported */
    assert_int_equal(r->asyncs, 3);
    /* event 4: a negotiation is begun */
    async(r, 0, ISCSI_ASYNC_NEGOTIATE, 0, 0, 3, NULL, 0);
    pdu = irig_expect(r, ISCSI_OP_TEXT_REQUEST);
    assert_memory_equal(pdu.data, "MaxRecvDataSegmentLength=262144", 32);
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_text_response(bhs, bhs_itt(pdu.bhs), ISCSI_TAG_NONE, 0, true, false, 0);
    irig_send(r, bhs, true, "MaxRecvDataSegmentLength=4096", 30);
    assert_int_equal(r->text_done, 1);
    assert_int_equal(r->text_err, 0);
    assert_int_equal(iscsi_iconn_params(r->conn)->tx_data_segment, 4096);
    /* event 5: the tasks of one logical unit are gone */
    (void)submit(r, &a, UINT64_C(1) << 48);
    (void)submit(r, &b, UINT64_C(2) << 48);
    async(r, UINT64_C(1) << 48, ISCSI_ASYNC_TASKS_TERMINATED, 0, 0, 0, NULL, 0);
    assert_int_equal(r->done, 1);
    assert_ptr_equal(r->last, &a);
    assert_int_equal(a.err, USAN_ECANCELED);
    pdu = irig_expect(r, ISCSI_OP_NOP_OUT); /* acknowledges */
    assert_int_equal(bhs_itt(pdu.bhs), ISCSI_TAG_NONE);
    assert_int_equal(bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
    assert_int_equal(r->exp_stat_sn, r->stat_sn);
    async(r, 0, ISCSI_ASYNC_DROP_CONNECTION, 8, 0, 0, NULL, 0); /* not this one */
    assert_false(r->closed);
    async(r, 0, ISCSI_ASYNC_DROP_CONNECTION, 9, 0, 0, NULL, 0);
    expect_closed(r, USAN_ECLOSED, "the target drops the connection");
    assert_int_equal(b.err, USAN_ECLOSED);
    irig_free(r);

    r = irig_new();
    irig_login(r, "");
    sense[1] = 19; /* one more than there is */
    async(r, 0, ISCSI_ASYNC_SCSI_EVENT, 0, 0, 0, sense, sizeof sense);
    sense[1] = 18;
    expect_closed(r, USAN_EPROTO, "sense data longer than its data segment");
    irig_free(r);
}

/* ---- logout ---- */

static void logout(void **st)
{
    (void)st;
    static const char *const why[] = {
        "logged out",
        "logout failed: the target does not know this connection",
        "logout failed: the target does not do recovery",
        "logout failed: the target could not clean up",
        "no answer to a logout",
        "the connection ended",
    };
    for (unsigned how = 0; how < 6; how++) {
        struct irig *r = irig_new();
        struct iscsi_icmd c, late;
        uint8_t bhs[ISCSI_BHS_LEN];
        irig_login(r, "");
        (void)submit(r, &c, 0);
        assert_int_equal(iscsi_isess_logout(r->sess, r->now_ns), 0);
        assert_int_equal(iscsi_isess_logout(r->sess, r->now_ns), USAN_ECLOSED);
        assert_int_equal(iscsi_iconn_logout(r->conn, r->now_ns), USAN_ECLOSED);
        irig_run(r);
        assert_string_equal(iscsi_iconn_state(r->conn), "S6 IN_LOGOUT");
        struct irig_pdu pdu = irig_expect(r, ISCSI_OP_LOGOUT_REQUEST);
        assert_int_equal(pdu_logout_request_decode(pdu.bhs).reason, 0);
        assert_true(bhs_immediate(pdu.bhs));
        read_cmd(&late, 0);
        assert_int_equal(iscsi_isess_submit(r->sess, &late), USAN_ECLOSED);
        if (how < 4) {
            pdu_logout_response(bhs, bhs_itt(pdu.bhs), (uint8_t)how, 2, 20);
            irig_send(r, bhs, true, NULL, 0);
        } else if (how == 4) {
            assert_int_equal(iscsi_iconn_deadline(r->conn), r->now_ns + 5 * NS_PER_SEC);
            irig_tick(r, 5 * NS_PER_SEC);
        } else {
            iscsi_iconn_lost(r->conn, 0);
            irig_run(r);
        }
        expect_closed(r,
                      how == 0   ? 0
                      : how == 4 ? USAN_ETIMEOUT
                      : how == 5 ? USAN_ECLOSED
                                 : USAN_EPROTO,
                      why[how]);
        assert_int_equal(c.err, how ? r->err : USAN_ECANCELED);
        assert_int_equal(r->down, 1);
        assert_string_equal(iscsi_iconn_state(r->conn), how ? "S8 CLEANUP_WAIT" : "S1 FREE");
        assert_string_equal(iscsi_isess_state(r->sess), how ? "Q4 FAILED" : "Q1 FREE");
        irig_free(r);
    }
}

/* ---- text ---- */

static void text_rsp(struct irig *r, uint32_t itt, uint32_t ttt, uint8_t flags, const char *text)
{
    char buf[9000];
    uint8_t bhs[ISCSI_BHS_LEN];
    size_t len = irig_text(text, buf, sizeof buf);
    pdu_text_response(bhs, itt, ttt, 0, flags & 0x80, flags & 0x40, 0);
    irig_send(r, bhs, true, buf, (uint32_t)len);
}

static uint32_t ask(struct irig *r)
{
    assert_int_equal(iscsi_iconn_send_targets(r->conn, "All", r->now_ns), 0);
    irig_run(r);
    struct irig_pdu pdu = irig_expect(r, ISCSI_OP_TEXT_REQUEST);
    assert_memory_equal(pdu.data, "SendTargets=All", 16);
    assert_int_equal(pdu.data_len, 16);
    assert_int_equal(bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
    return bhs_itt(pdu.bhs);
}

static struct irig *discovery(void)
{
    struct irig *r = irig_new();
    r->cfg.discovery = true;
    r->cfg.target_name = NULL;
    irig_login(r, "");
    return r;
}

static void send_targets(void **st)
{
    (void)st;
    struct irig *r = discovery();
    char name[226];
    uint32_t itt = ask(r);
    text_rsp(r, itt, 0x99, 0x40, "TargetName=iqn.a|TargetAddress=1.2.3.4:3260,1|TargetAd");
    assert_int_equal(r->targets, 1);
    assert_string_equal(r->address, "iqn.a 1.2.3.4:3260,1");
    struct irig_pdu pdu = irig_expect(r, ISCSI_OP_TEXT_REQUEST); /* the rest */
    assert_int_equal(pdu.data_len, 0);
    assert_int_equal(bhs_itt(pdu.bhs), itt);
    assert_int_equal(bhs_ttt(pdu.bhs), 0x99);
    text_rsp(r, itt, 0x9a, 0x40, "dress=5.6.7.8,2|TargetName=iqn.b|TargetName=iqn.c|");
    assert_int_equal(r->targets, 3);
    assert_string_equal(r->address, "iqn.b -");
    pdu = irig_expect(r, ISCSI_OP_TEXT_REQUEST);
    assert_int_equal(bhs_ttt(pdu.bhs), 0x9a);
    text_rsp(r, itt, ISCSI_TAG_NONE, 0x80, "");
    assert_int_equal(r->targets, 4);
    assert_string_equal(r->address, "iqn.c -");
    assert_int_equal(r->text_done, 1);
    assert_int_equal(r->text_err, 0);
    /* none */
    itt = ask(r);
    text_rsp(r, itt, ISCSI_TAG_NONE, 0x80, "");
    assert_int_equal(r->text_done, 2);
    /* refused, in two ways */
    itt = ask(r);
    text_rsp(r, itt, ISCSI_TAG_NONE, 0x80, "SendTargets=Reject|");
    assert_int_equal(r->text_err, USAN_ENOTSUP);
    itt = ask(r);
    uint8_t bhs[ISCSI_BHS_LEN], rejected[ISCSI_BHS_LEN] = { ISCSI_OP_TEXT_REQUEST };
    be32_put(rejected + 16, itt);
    pdu_reject(bhs, ISCSI_REJECT_NOT_SUPPORTED, 0);
    irig_send(r, bhs, true, rejected, ISCSI_BHS_LEN);
    assert_int_equal(r->text_done, 4);
    assert_int_equal(r->text_err, USAN_EPROTO);
    assert_false(r->closed);
    memset(name, 'a', 224);
    name[224] = '\0';
    assert_int_equal(iscsi_iconn_send_targets(r->conn, name, r->now_ns), USAN_EINVAL);
    irig_free(r);
}

static const struct {
    uint32_t ttt;
    uint8_t flags;
    const char *text, *why;
} bad_text[] = {
    { 5, 0x80, "", "a Text Response that is last and is not" },
    { ISCSI_TAG_NONE, 0x00, "", "a Text Response that is last and is not" },
    { ISCSI_TAG_NONE, 0xc0, "", "a Text Response that is last and is not" },
    { ISCSI_TAG_NONE, 0x80, "TargetName=iqn.a", "a text that does not end" },
    { ISCSI_TAG_NONE, 0x80, "nothing|", "a malformed text" },
    { ISCSI_TAG_NONE, 0x80, "TargetName=|", "a target name that is none" },
    { ISCSI_TAG_NONE, 0x80, "MaxRecvDataSegmentLength=511|", "a value that is out of range" },
};

static void bad_texts(void **st)
{
    (void)st;
    for (size_t i = 0; i < sizeof(bad_text) / sizeof(bad_text[0]); i++) {
        struct irig *r = discovery();
        text_rsp(r, ask(r), bad_text[i].ttt, bad_text[i].flags, bad_text[i].text);
        expect_closed(r, USAN_EPROTO, bad_text[i].why);
        assert_int_equal(r->text_done, 1); /* before CLOSE */
        assert_int_equal(r->text_err, USAN_EPROTO);
        irig_free(r);
    }
    /* no answer */
    struct irig *r = discovery();
    (void)ask(r);
    irig_tick(r, 5 * NS_PER_SEC);
    expect_closed(r, USAN_ETIMEOUT, "no answer to a text request");
    irig_free(r);
    /* one pair that never ends */
    r = discovery();
    uint32_t itt = ask(r);
    static char part[8001];
    memset(part, 'a', 8000);
    text_rsp(r, itt, 1, 0x40, part);
    assert_false(r->closed);
    text_rsp(r, itt, 1, 0x40, part);
    expect_closed(r, USAN_EPROTO, "a text that does not end");
    irig_free(r);
}

static void endless_targets(void **st)
{
    (void)st;
    struct irig *r = discovery();
    struct irig_pdu pdu;
    uint32_t itt = ask(r);
    static char big[200000];
    size_t len = 0;
    r->max_piece = 100000;
    while (len + 40 < sizeof big) {
        memcpy(big + len, "TargetName=iqn.a\0TargetAddress=1.2.3.4", 39);
        len += 39;
    }
    for (int i = 0; i < 200 && !r->closed; i++) {
        uint8_t bhs[ISCSI_BHS_LEN];
        pdu_text_response(bhs, itt, 1, 0, false, true, 0);
        irig_send(r, bhs, true, big, (uint32_t)len);
        assert_true(r->alloc.live < 20);
        while (irig_next(r, &pdu))
            ;
    }
    expect_closed(r, USAN_ELIMIT, "a text answer that is too long");
    irig_free(r);
}

/* ---- task management ---- */

static void management(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct iscsi_icmd c[3];
    struct iscsi_itmf tmf[16]; /* as many as there may be */
    uint8_t bhs[ISCSI_BHS_LEN];
    irig_login(r, "iSCSIProtocolLevel=1|");
    memset(tmf, 0, sizeof tmf);
    (void)submit(r, &c[0], 0);
    tmf[0].function = ISCSI_TMF_TARGET_WARM_RESET;
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf[0], r->now_ns), 0);
    irig_run(r);
    struct irig_pdu pdu = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    assert_int_equal(pdu_tmf_request_decode(pdu.bhs).function, 6);
    assert_int_equal(pdu_tmf_request_decode(pdu.bhs).ref_itt, ISCSI_TAG_NONE);
    assert_true(bhs_immediate(pdu.bhs));
    assert_int_equal(bhs_cmd_sn(pdu.bhs), 0x101);
    (void)submit(r, &c[1], 0); /* after the reset: not touched by it */
    pdu_tmf_response(bhs, bhs_itt(pdu.bhs), 0, 0x123456);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(r->tmfs, 1);
    assert_int_equal(tmf[0].info, 0x123456);
    assert_int_equal(r->done, 1);
    assert_int_equal(c[0].err, USAN_ECANCELED);
    assert_int_equal(iscsi_isess_active(r->sess), 1);
    /* refused: nothing happens to the commands */
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf[0], r->now_ns), 0);
    irig_run(r);
    pdu = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    pdu_tmf_response(bhs, bhs_itt(pdu.bhs), 255, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_int_equal(tmf[0].response, 255);
    assert_string_equal(iscsi_tmf_response_text(255), "the target rejects the function");
    assert_int_equal(r->done, 1);
    /* rejected as a PDU */
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf[0], r->now_ns), 0);
    irig_run(r);
    pdu = irig_expect(r, ISCSI_OP_TMF_REQUEST);
    pdu_reject(bhs, ISCSI_REJECT_TOO_MANY_IMMEDIATE, 0);
    irig_send(r, bhs, true, pdu.bhs, ISCSI_BHS_LEN);
    assert_int_equal(r->tmfs, 3);
    assert_int_equal(tmf[0].err, USAN_EPROTO);
    /* RFC 7144 was not agreed on */
    tmf[0].function = ISCSI_TMF_QUERY_TASK;
    tmf[0].cmd = &c[1];
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf[0], r->now_ns), USAN_ENOTSUP);
    for (int i = 0; i < 16; i++) {
        tmf[i].function = ISCSI_TMF_CLEAR_ACA;
        assert_int_equal(iscsi_isess_tmf(r->sess, &tmf[i], r->now_ns), 0);
    }
    assert_int_equal(iscsi_isess_cancel(r->sess, &c[1], r->now_ns), USAN_EAGAIN);
    iscsi_iconn_lost(r->conn, 0);
    irig_run(r);
    assert_int_equal(r->tmfs, 19);
    assert_int_equal(tmf[15].err, USAN_ECLOSED);
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf[15], r->now_ns), USAN_ECLOSED);
    irig_free(r);
}

/* ---- memory that waits ---- */

static void idle(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    irig_login(r, "");
    unsigned live = r->alloc.live;
    assert_int_equal(iscsi_iconn_deadline(r->conn), r->now_ns + 5 * NS_PER_SEC);
    irig_tick(r, 5 * NS_PER_SEC);
    assert_int_equal(r->alloc.live, live - 1); /* the send queue's block */
    assert_true(iscsi_iconn_deadline(r->conn) == TIME_NEVER);
    irig_free(r);
}

static void queue_taken_back(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct iscsi_icmd c[3];
    struct iscsi_ievent ev;
    assert_int_equal(iscsi_isess_new(&r->cfg, &r->alloc.a, &r->sess), 0);
    for (int i = 0; i < 3; i++) {
        read_cmd(&c[i], 0);
        c[i].immediate = i == 1;
        assert_int_equal(iscsi_isess_submit(r->sess, &c[i]), 0);
    }
    assert_int_equal(iscsi_isess_queued(r->sess), 3);
    assert_int_equal(iscsi_isess_cancel(r->sess, &c[0], r->now_ns), 0);
    assert_true(iscsi_isess_next(r->sess, &ev));
    assert_ptr_equal(ev.cmd, &c[0]);
    assert_int_equal(c[0].err, USAN_ECANCELED);
    iscsi_isess_fail_queued(r->sess, USAN_ETIMEOUT, "no session");
    assert_true(iscsi_isess_next(r->sess, &ev));
    assert_true(iscsi_isess_next(r->sess, &ev));
    assert_false(iscsi_isess_next(r->sess, &ev));
    assert_int_equal(c[2].err, USAN_ETIMEOUT);
    assert_string_equal(c[2].why, "no session");
    assert_false(c[2].sent);
    assert_int_equal(iscsi_isess_queued(r->sess), 0);
    irig_free(r);
}

/* ---- words ---- */

static void words(void **st)
{
    (void)st;
    assert_string_equal(iscsi_login_status_text(0x0203), "login refused: no such target here");
    assert_string_equal(iscsi_login_status_text(0x01ff), "the target has moved");
    assert_string_equal(iscsi_tmf_response_text(1), "the task does not exist");
    assert_string_equal(iscsi_tmf_response_text(77), "unknown response");
    assert_string_equal(iscsi_reject_text(9),
                        "the target rejects a request: invalid field in the PDU");
    assert_string_equal(iscsi_reject_text(0), "the target rejects a request: unknown reason");
    assert_string_equal(iscsi_async_text(1), "the target asks for a logout");
    assert_string_equal(iscsi_async_text(255), "vendor-specific event");
    assert_string_equal(iscsi_async_text(9), "unknown event");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nop),
        cmocka_unit_test(nop_flood),
        cmocka_unit_test(async_events),
        cmocka_unit_test(logout),
        cmocka_unit_test(send_targets),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(endless_targets),
        cmocka_unit_test(management),
        cmocka_unit_test(idle),
        cmocka_unit_test(queue_taken_back),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
