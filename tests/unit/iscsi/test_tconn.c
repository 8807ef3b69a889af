/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections of the target role: login, requests that are no commands, errors, time. */
#include "tconn_rig.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS(s) s, sizeof(s)

static void test_login_byte_by_byte(void **state)
{
    (void)state;
    struct rig *r = rig_new(1);
    r->max_in = 1;
    r->max_out = 1;
    rig_login(r, KEYS("HeaderDigest=CRC32C,None\0MaxBurstLength=65536"));
    assert_true(r->header_digest);
    assert_int_equal(iscsi_tconn_params(r->conn)->max_burst, 65536);
    assert_string_equal(iscsi_tconn_state(r->conn), "S5 LOGGED_IN");
    assert_string_equal(iscsi_tsess_state(r->sess), "Q3 LOGGED_IN");
    assert_string_equal(iscsi_tsess_initiator(r->sess), "iqn.2026-01.test:rig");
    assert_int_equal(r->login_rounds, 1); /* the target has nothing to ask for */
    rig_free(r);
}

static void test_nothing_but_login_first(void **state)
{
    (void)state;
    static const uint8_t opcodes[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10, 0x23, 0x3f };
    for (size_t i = 0; i < sizeof opcodes; i++) {
        struct rig *r = rig_new(i);
        uint8_t bhs[ISCSI_BHS_LEN];
        rig_request(r, bhs, opcodes[i], true);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        assert_true(r->closed);
        assert_int_equal(r->close_err, USAN_EPROTO);
        assert_int_equal(r->out_len, 0);
        rig_free(r);
    }
}

/* The first request of a login whose security stage goes on. */
static void begin_login(struct rig *r, uint8_t *bhs)
{
    static const char names[] = "InitiatorName=iqn.2026-01.test:rig\0"
                                "TargetName=iqn.2026-01.test:a\0AuthMethod=None";
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = 0x43;
    be32_put(bhs + 16, 77);
    be32_put(bhs + 24, r->cmd_sn);
    rig_send(r, bhs, NULL, 0, names, sizeof names);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_LOGIN_RESPONSE);
    assert_int_equal(be16_get(p.bhs + 36), 0);
}

static void expect_login_refused(struct rig *r, uint16_t status)
{
    struct rig_pdu p = { .opcode = 0 };
    r->exp_stat_sn = be32_get(r->out + r->out_pos + 24); /* not valid, RFC 7143 11.13.4 */
    assert_true(rig_next(r, &p));
    assert_int_equal(p.opcode, ISCSI_OP_LOGIN_RESPONSE);
    assert_int_equal(bhs_itt(p.bhs), 77);
    assert_int_equal(be16_get(p.bhs + 36), status);
    assert_true(r->closed);
}

/* RFC 7143 4.2.4: once the login has begun, the initiator learns what it did wrong. */
static void test_other_requests_during_login(void **state)
{
    (void)state;
    static const uint8_t opcodes[] = { 0x40, 0x01, 0x42, 0x44, 0x05, 0x46, 0x10, 0x3f, 0x03 };
    for (size_t i = 0; i < sizeof opcodes; i++) {
        struct rig *r = rig_new(i);
        uint8_t bhs[ISCSI_BHS_LEN];
        begin_login(r, bhs);
        bhs[0] = opcodes[i];
        rig_send(r, bhs, NULL, 0, "abc", 3);
        expect_login_refused(r, 0x020b);
        rig_free(r);
    }
}

/* 6.3: one Initiator Task Tag for the whole login; 11.12.8: and one CmdSN. */
static void test_tag_and_cmd_sn_of_a_login(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct rig *r = rig_new((uint64_t)what);
        uint8_t bhs[ISCSI_BHS_LEN];
        begin_login(r, bhs);
        bhs[1] = 0x83; /* on to the full feature phase */
        be32_put(bhs + 16, what == 1 ? 78 : 77);
        be32_put(bhs + 24, r->cmd_sn + (what == 2));
        rig_send(r, bhs, NULL, 0, NULL, 0);
        if (what)
            expect_login_refused(r, 0x0200);
        else
            assert_int_equal(rig_expect(r, ISCSI_OP_LOGIN_RESPONSE).bhs[1] & 0x83, 0x83);
        rig_free(r);
    }
}

static void test_login_times_out(void **state)
{
    (void)state;
    struct rig *r = rig_new(1);
    uint64_t t = iscsi_tconn_deadline(r->conn);
    assert_int_equal(t, r->now_ns + 15 * NS_PER_SEC);
    iscsi_tconn_tick(r->conn, t - 1);
    rig_run(r);
    assert_false(r->closed);
    iscsi_tconn_tick(r->conn, t);
    rig_run(r);
    assert_true(r->closed);
    assert_int_equal(r->close_err, USAN_ETIMEOUT);
    rig_free(r);
}

static void test_nop_out_echo(void **state)
{
    (void)state;
    struct rig *r = rig_new(2);
    uint8_t bhs[ISCSI_BHS_LEN], data[3000];
    memset(data, 0xc5, sizeof data);
    rig_login(r, KEYS("DataDigest=CRC32C\0MaxRecvDataSegmentLength=2048"));
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
    rig_send(r, bhs, NULL, 0, data, 5);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_NOP_IN);
    assert_int_equal(bhs_itt(p.bhs), r->itt);
    assert_int_equal(bhs_ttt(p.bhs), ISCSI_TAG_NONE);
    assert_int_equal(p.data_len, 5);
    assert_memory_equal(p.data, data, 5);
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
    rig_send(r, bhs, NULL, 0, data, sizeof data); /* cut to what the initiator takes */
    assert_int_equal(rig_expect(r, ISCSI_OP_NOP_IN).data_len, 2048);
    rig_free(r);
}

static void test_nop_in_and_timeout(void **state)
{
    (void)state;
    for (int answer = 0; answer < 2; answer++) {
        struct rig *r = rig_new(3);
        uint8_t bhs[ISCSI_BHS_LEN];
        iscsi_tconn_free(r->conn);
        r->cfg.nop_interval_ns = 30 * NS_PER_SEC;
        r->cfg.nop_timeout_ns = 10 * NS_PER_SEC;
        r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
        rig_login(r, KEYS("MaxBurstLength=65536"));
        uint64_t start = r->now_ns;
        struct rig_pdu p;
        while (!rig_next(r, &p)) {
            r->now_ns = iscsi_tconn_deadline(r->conn);
            assert_true(r->now_ns <= start + 30 * NS_PER_SEC);
            iscsi_tconn_tick(r->conn, r->now_ns);
            rig_run(r);
        }
        assert_int_equal(p.opcode, ISCSI_OP_NOP_IN);
        assert_int_equal(r->now_ns, start + 30 * NS_PER_SEC);
        assert_int_equal(bhs_itt(p.bhs), ISCSI_TAG_NONE);
        assert_int_not_equal(bhs_ttt(p.bhs), ISCSI_TAG_NONE);
        if (answer) {
            rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
            be32_put(bhs + 16, ISCSI_TAG_NONE);
            memcpy(bhs + 20, p.bhs + 20, 4);
            r->now_ns += NS_PER_SEC;
            rig_send(r, bhs, NULL, 0, NULL, 0);
            assert_false(rig_next(r, &p));
        }
        uint64_t end = start + 40 * NS_PER_SEC;
        while (!r->closed && r->now_ns < end) {
            r->now_ns = time_min(end, iscsi_tconn_deadline(r->conn));
            iscsi_tconn_tick(r->conn, r->now_ns);
            rig_run(r);
        }
        assert_int_equal(r->closed, !answer);
        rig_free(r);
    }
}

/* The send queue's block goes back after five seconds of silence, whether pings are sent or not. */
static void test_silence_costs_no_block(void **state)
{
    (void)state;
    for (unsigned ping_s = 0; ping_s <= 30; ping_s += 30) {
        struct rig *r = rig_new(3);
        iscsi_tconn_free(r->conn);
        r->cfg.nop_interval_ns = ping_s * NS_PER_SEC;
        r->cfg.nop_timeout_ns = 10 * NS_PER_SEC;
        r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
        rig_login(r, KEYS("MaxBurstLength=65536"));
        unsigned busy = r->alloc.live;
        uint64_t end = r->now_ns + 5 * NS_PER_SEC;
        while (r->now_ns < end) {
            r->now_ns = time_min(end, iscsi_tconn_deadline(r->conn));
            iscsi_tconn_tick(r->conn, r->now_ns);
            rig_run(r);
        }
        assert_int_equal(r->alloc.live, busy - 1);
        rig_free(r);
    }
}

static void test_send_targets(void **state)
{
    (void)state;
    struct rig *r = rig_new(4);
    uint8_t bhs[ISCSI_BHS_LEN];
    static const char want[] = "TargetName=iqn.2026-01.test:a\0TargetAddress=127.0.0.1:3260,1\0"
                               "TargetAddress=[::1]:3260,1\0"
                               "TargetName=iqn.2026-01.test:b\0TargetAddress=127.0.0.1:3260,1\0"
                               "TargetAddress=[::1]:3260,1";
    char got[1024];
    size_t len = 0;

    /* the smallest segment there is makes the answer come in pieces */
    rig_login(r, KEYS("MaxRecvDataSegmentLength=512"));
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
    rig_send(r, bhs, NULL, 0, KEYS("SendTargets="));
    struct rig_pdu p = rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
    assert_int_equal(p.data_len, sizeof want);
    assert_memory_equal(p.data, want, sizeof want);
    assert_int_equal(p.bhs[1], 0x80);

    /* the request in three pieces (C bit), each answered by an empty response */
    static const char req[] = "SendTargets=All";
    uint32_t ttt = ISCSI_TAG_NONE;
    for (size_t i = 0; i < 3; i++) {
        rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
        be32_put(bhs + 16, 4000);
        be32_put(bhs + 20, ttt);
        size_t from = i * 6, n = i < 2 ? 6 : sizeof req - 12;
        if (i < 2)
            bhs[1] = 0x40;
        rig_send(r, bhs, NULL, 0, req + from, (uint32_t)n);
        p = rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
        if (i < 2) {
            ttt = bhs_ttt(p.bhs);
            assert_int_not_equal(ttt, ISCSI_TAG_NONE);
            assert_int_equal(p.bhs[1], 0);
            assert_int_equal(p.data_len, 0);
        }
    }
    memcpy(got, p.data, p.data_len);
    len = p.data_len;
    assert_int_equal(len, sizeof want);
    assert_memory_equal(got, want, sizeof want);
    rig_free(r);
}

/* What came with SendTargets is not taken for the data segment of a PDU that should have none. */
static void test_data_after_send_targets(void **state)
{
    (void)state;
    struct rig *r = rig_new(14);
    uint8_t bhs[ISCSI_BHS_LEN];
    static const uint8_t junk[4096] = { 1 };
    struct rig_pdu p;

    rig_login(r, KEYS(""));
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
    rig_send(r, bhs, NULL, 0, KEYS("SendTargets="));
    (void)rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x82;
    rig_send(r, bhs, NULL, 0, junk, sizeof junk);
    (void)rig_expect(r, ISCSI_OP_TMF_RESPONSE);
    assert_false(rig_next(r, &p));
    assert_false(r->closed);
    rig_free(r);
}

/* RFC 7143 11.11.1: F=1 is no answer to F=0. The exchange goes on by its tag until the initiator is
 * through with it. */
static void test_text_exchange_goes_on(void **state)
{
    (void)state;
    struct rig *r = rig_new(15);
    uint8_t bhs[ISCSI_BHS_LEN];
    static const char *const text[] = { "X-com.example.a=1", "SendTargets=All", NULL, NULL };
    static const char none[] = "X-com.example.a=NotUnderstood";
    uint32_t ttt = ISCSI_TAG_NONE;

    rig_login(r, KEYS(""));
    unsigned live = r->alloc.live;
    for (unsigned i = 0; i < 4; i++) {
        rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, false);
        bhs[1] = i == 3 ? 0x80 : 0;
        be32_put(bhs + 16, 4000);
        be32_put(bhs + 20, ttt);
        rig_send(r, bhs, NULL, 0, text[i], text[i] ? (uint32_t)strlen(text[i]) + 1 : 0);
        struct rig_pdu p = rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
        assert_int_equal(p.bhs[1], bhs[1]);
        if (i == 0)
            ttt = bhs_ttt(p.bhs);
        assert_int_not_equal(ttt, ISCSI_TAG_NONE);
        assert_int_equal(bhs_ttt(p.bhs), i == 3 ? ISCSI_TAG_NONE : ttt);
        if (i == 0) {
            assert_int_equal(p.data_len, sizeof none);
            assert_memory_equal(p.data, none, sizeof none);
        } else if (i == 1) {
            assert_memory_equal(p.data, "TargetName=", 11);
        } else {
            assert_int_equal(p.data_len, 0);
        }
    }
    assert_int_equal(r->alloc.live, live);
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
    be32_put(bhs + 16, 4000);
    be32_put(bhs + 20, ttt); /* it is over */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_INVALID_FIELD);
    rig_free(r);
}

static void test_text_negotiation(void **state)
{
    (void)state;
    struct rig *r = rig_new(5);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("MaxRecvDataSegmentLength=4096"));
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, false);
    rig_send(r, bhs, NULL, 0, KEYS("MaxRecvDataSegmentLength=65536\0X-com.example=1"));
    struct rig_pdu p = rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
    assert_int_equal(iscsi_tconn_params(r->conn)->tx_data_segment, 65536);
    bool understood = true;
    for (size_t i = 0; i < p.data_len; i += strlen((const char *)p.data + i) + 1)
        if (strcmp((const char *)p.data + i, "X-com.example=NotUnderstood") == 0)
            understood = false;
    assert_false(understood);
    rig_free(r);
}

/* A text negotiation that fails leaves everything as it was, RFC 7143 7.12. */
static void test_text_negotiation_fails(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        { KEYS("MaxRecvDataSegmentLength=512\0MaxRecvDataSegmentLength=1024") },
        { KEYS("MaxRecvDataSegmentLength=512\0nonsense") },
        { "InitiatorAlias=x", 16 }, /* no NUL */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rig *r = rig_new(i);
        uint8_t bhs[ISCSI_BHS_LEN];
        rig_login(r, KEYS("MaxRecvDataSegmentLength=4096"));
        rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
        rig_send(r, bhs, NULL, 0, bad[i].text, (uint32_t)bad[i].len);
        assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
        assert_int_equal(iscsi_tconn_params(r->conn)->tx_data_segment, 4096);
        rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
        rig_send(r, bhs, NULL, 0, KEYS("SendTargets="));
        (void)rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
        rig_free(r);
    }
}

static void test_logout(void **state)
{
    (void)state;
    static const struct {
        uint8_t reason;
        uint16_t cid;
        uint8_t response;
        bool closes;
    } cases[] = { { 0, 0, 0, true }, { 1, 0, 0, true }, { 1, 9, 1, false }, { 2, 0, 2, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig *r = rig_new(i);
        uint8_t bhs[ISCSI_BHS_LEN];
        rig_login(r, KEYS("MaxBurstLength=65536"));
        rig_request(r, bhs, ISCSI_OP_LOGOUT_REQUEST, true);
        bhs[1] |= cases[i].reason;
        be16_put(bhs + 20, cases[i].cid);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        struct rig_pdu p = rig_expect(r, ISCSI_OP_LOGOUT_RESPONSE);
        assert_int_equal(p.bhs[2], cases[i].response);
        assert_int_equal(be16_get(p.bhs + 40), 2);
        assert_int_equal(r->closed, cases[i].closes);
        assert_int_equal(r->close_err, 0);
        if (r->closed) {
            assert_string_equal(iscsi_tconn_state(r->conn), "S1 FREE");
            assert_string_equal(iscsi_tsess_state(r->sess), "Q1 FREE");
        }
        rig_free(r);
    }
}

static void test_unknown_opcodes_and_snack(void **state)
{
    (void)state;
    struct rig *r = rig_new(6);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("MaxBurstLength=65536"));
    for (uint8_t op = 0; op < 0x40; op++) {
        if (op <= 0x06)
            continue;
        rig_request(r, bhs, op, true);
        rig_send(r, bhs, NULL, 0, op & 1 ? "abcde" : NULL, op & 1 ? 5 : 0);
        struct rig_pdu p = rig_expect(r, ISCSI_OP_REJECT);
        assert_int_equal(p.bhs[2], op == 0x10 ? ISCSI_REJECT_SNACK : ISCSI_REJECT_NOT_SUPPORTED);
        assert_int_equal(p.data[0], op | 0x40);
    }
    assert_false(r->closed);
    rig_free(r);
}

static void test_fatal_errors(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct rig *r = rig_new((uint64_t)kind);
        uint8_t bhs[ISCSI_BHS_LEN];
        rig_login(r, KEYS("HeaderDigest=CRC32C"));
        if (kind == 0) { /* header digest */
            uint8_t raw[52] = { 0x40, 0x80 };
            rig_feed(r, raw, sizeof raw);
            assert_int_equal(r->close_err, USAN_EDIGEST);
            assert_string_equal(iscsi_tsess_state(r->sess), "Q4 FAILED");
        } else if (kind == 1) { /* longer than we said we take */
            rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
            be24_put(bhs + 5, 262145);
            uint8_t raw[52];
            memcpy(raw, bhs, 48);
            uint32_t crc = crc32c(raw, 48);
            memcpy(raw + 48, &crc, 4);
            rig_feed(r, raw, sizeof raw);
            assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
        } else {
            rig_request(r, bhs, ISCSI_OP_LOGIN_REQUEST, true);
            rig_send(r, bhs, NULL, 0, NULL, 0);
            assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
        }
        assert_true(r->closed);
        rig_free(r);
    }
}

static void test_answers_nobody_reads_are_bounded(void **state)
{
    (void)state;
    struct rig *r = rig_new(7);
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iscsi_event ev;
    struct iovec iov[ISCSI_RX_IOV_MAX];
    rig_login(r, KEYS("MaxBurstLength=65536"));
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
    unsigned n = 0;
    for (; n < 100000; n++) {
        uint8_t buf[ISCSI_BHS_LEN];
        if (iscsi_tconn_rx_space(r->conn, buf, sizeof buf, iov) == 0)
            break;
        memcpy(buf, bhs, sizeof buf);
        iscsi_tconn_rx(r->conn, sizeof buf, r->now_ns);
        if (iscsi_tconn_next(r->conn, &ev)) {
            assert_int_equal(ev.type, ISCSI_EV_CLOSE);
            assert_int_equal(ev.err, USAN_ELIMIT);
            r->closed = true;
        }
    }
    assert_true(n > 1000 && n < 2000);
    assert_true(r->closed);
    rig_free(r);
}

static void test_task_management(void **state)
{
    (void)state;
    struct rig *r = rig_new(8);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("MaxBurstLength=65536"));
    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | 5;
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(r->tmfs, 1);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_TMF_RESPONSE);
    assert_int_equal(bhs_itt(p.bhs), r->itt);
    assert_int_equal(be32_get(p.bhs + 8), 0);

    /* QUERY ASYNCHRONOUS EVENT is answered with the sense of what waits, RFC 7144 */
    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | 12;
    r->tmf_info = 0x062901;
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(r->tmfs, 2);
    p = rig_expect(r, ISCSI_OP_TMF_RESPONSE);
    assert_int_equal(be32_get(p.bhs + 8), 0x06290100);
    r->tmf_info = 0;

    /* function 0 is reserved, and must not be taken for a command */
    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, false);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_INVALID_FIELD);
    assert_int_equal(r->tmfs, 2);
    assert_int_equal(r->commands, 0);
    rig_free(r);
}

/* A connection that logs in, or that is being closed, is asked nothing. */
static void test_no_async_messages(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct rig *r = rig_new(16);
        uint8_t bhs[ISCSI_BHS_LEN];
        if (closed) {
            rig_login(r, KEYS(""));
            iscsi_tconn_rx_eof(r->conn);
        } else {
            begin_login(r, bhs);
        }
        char before[64];
        (void)snprintf(before, sizeof before, "%s", iscsi_tconn_state(r->conn));
        iscsi_tconn_ask_logout(r->conn, 3);
        iscsi_tconn_announce_drop(r->conn, false);
        iscsi_tconn_scsi_event(r->conn, 0, "sense", 5);
        rig_run(r);
        struct rig_pdu p;
        assert_false(rig_next(r, &p));
        assert_string_equal(iscsi_tconn_state(r->conn), before);
        rig_free(r);
    }
}

static void test_async_messages(void **state)
{
    (void)state;
    struct rig *r = rig_new(9);
    rig_login(r, KEYS("MaxBurstLength=65536"));
    iscsi_tconn_ask_logout(r->conn, 3);
    rig_run(r);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_ASYNC);
    assert_int_equal(p.bhs[36], 1);
    assert_int_equal(be16_get(p.bhs + 42), 3);
    assert_string_equal(iscsi_tconn_state(r->conn), "S7 LOGOUT_REQUESTED");
    iscsi_tconn_announce_drop(r->conn, true);
    rig_run(r);
    assert_int_equal(rig_expect(r, ISCSI_OP_ASYNC).bhs[36], 3);
    static const uint8_t sense[18] = { 0x70, 0, 6 };
    iscsi_tconn_scsi_event(r->conn, 0x0001000000000000, sense, sizeof sense);
    rig_run(r);
    p = rig_expect(r, ISCSI_OP_ASYNC);
    assert_int_equal(p.bhs[36], 0);
    assert_int_equal(be64_get(p.bhs + 8), 0x0001000000000000);
    assert_int_equal(be16_get(p.data), 18);
    rig_free(r);
}

/* One scenario with everything in it; with every single allocation failing in turn. */
static void scenario(struct rig *r)
{
    uint8_t bhs[ISCSI_BHS_LEN], data[1024] = { 7 };
    static const char names[] = "InitiatorName=iqn.2026-01.test:rig\0"
                                "TargetName=iqn.2026-01.test:a\0InitialR2T=No";
    memset(bhs, 0, sizeof bhs);
    bhs[0] = 0x43;
    bhs[1] = 0x87;
    be32_put(bhs + 24, r->cmd_sn);
    rig_send(r, bhs, NULL, 0, names, sizeof names);
    rig_rw(r, bhs, true, true, 0, 2);
    rig_send(r, bhs, NULL, 0, data, 1024);
    rig_rw(r, bhs, false, true, 0, 2);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
    rig_send(r, bhs, NULL, 0, data, 100);
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
    rig_send(r, bhs, NULL, 0, KEYS("SendTargets="));
    rig_request(r, bhs, ISCSI_OP_LOGOUT_REQUEST, true);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    struct rig *r = rig_new(10);
    scenario(r);
    assert_true(r->closed);
    uint64_t calls = r->alloc.calls;
    assert_true(calls > 10);
    rig_free(r);
    for (uint64_t n = 1; n <= calls; n++) {
        r = rig_new(10);
        iscsi_tconn_free(r->conn);
        r->alloc.calls = 0;
        r->alloc.fail_at = n;
        r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
        if (r->conn)
            scenario(r);
        rig_free(r); /* asserts that nothing is left behind */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login_byte_by_byte),
        cmocka_unit_test(test_nothing_but_login_first),
        cmocka_unit_test(test_other_requests_during_login),
        cmocka_unit_test(test_tag_and_cmd_sn_of_a_login),
        cmocka_unit_test(test_login_times_out),
        cmocka_unit_test(test_nop_out_echo),
        cmocka_unit_test(test_nop_in_and_timeout),
        cmocka_unit_test(test_silence_costs_no_block),
        cmocka_unit_test(test_send_targets),
        cmocka_unit_test(test_data_after_send_targets),
        cmocka_unit_test(test_text_exchange_goes_on),
        cmocka_unit_test(test_text_negotiation),
        cmocka_unit_test(test_text_negotiation_fails),
        cmocka_unit_test(test_logout),
        cmocka_unit_test(test_unknown_opcodes_and_snack),
        cmocka_unit_test(test_fatal_errors),
        cmocka_unit_test(test_answers_nobody_reads_are_bounded),
        cmocka_unit_test(test_task_management),
        cmocka_unit_test(test_no_async_messages),
        cmocka_unit_test(test_async_messages),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
