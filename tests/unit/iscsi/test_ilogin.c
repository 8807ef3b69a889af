/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login of an initiator against targets that do it right, or wrong in one way. */
#include "ilogin_text.h"

#include "base/alloc_heap.h"

#include <stdio.h>
#include <string.h>

static void requests(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    irig_connect(r);
    struct irig_pdu pdu = peek(r);
    const struct pdu_login_request q = pdu_login_request_decode(pdu.bhs);
    assert_int_equal(pdu.bhs[0], 0x43); /* immediate */
    assert_true(q.transit);
    assert_int_equal(q.csg, 0);
    assert_int_equal(q.nsg, 1);
    assert_int_equal(q.version_max, 0);
    assert_int_equal(q.version_min, 0);
    assert_memory_equal(q.isid, r->cfg.isid, 6);
    assert_int_equal(q.tsih, 0);
    assert_int_equal(q.cid, 9);
    assert_int_equal(bhs_cmd_sn(pdu.bhs), 0x100);
    expect_text(&pdu, FIRST "AuthMethod=None|");
    irig_login_rsp(r, 0x81, 0, "TargetAlias=a disk|TargetPortalGroupTag=1|AuthMethod=None|");
    pdu = peek(r);
    assert_int_equal(pdu.bhs[1], 0x87);
    assert_int_equal(bhs_exp_stat_sn(pdu.bhs), 0xffffffff);
    expect_text(&pdu, "MaxRecvDataSegmentLength=262144|HeaderDigest=None|DataDigest=None|"
                      "MaxConnections=8|InitialR2T=No|ImmediateData=Yes|MaxBurstLength=1048576|"
                      "FirstBurstLength=262144|DefaultTime2Wait=0|DefaultTime2Retain=20|"
                      "MaxOutstandingR2T=8|DataPDUInOrder=Yes|DataSequenceInOrder=Yes|"
                      "ErrorRecoveryLevel=0|TaskReporting=RFC3720|iSCSIProtocolLevel=2|");
    irig_login_rsp(r, 0x87, 0,
                   "MaxRecvDataSegmentLength=65536|HeaderDigest=None|MaxConnections=2|"
                   "InitialR2T=Yes|ImmediateData=No|MaxBurstLength=16384|DefaultTime2Wait=5|"
                   "DefaultTime2Retain=0|MaxOutstandingR2T=1|iSCSIProtocolLevel=NotUnderstood|");
    assert_true(r->logged_in);
    assert_string_equal(iscsi_iconn_state(r->conn), "S5 LOGGED_IN");
    assert_string_equal(iscsi_isess_state(r->sess), "Q3 LOGGED_IN");
    assert_int_equal(iscsi_isess_tsih(r->sess), IRIG_TSIH);
    const struct iscsi_params *p = iscsi_isess_params(r->sess);
    assert_int_equal(p->tx_data_segment, 65536);
    assert_int_equal(p->rx_data_segment, 262144);
    assert_int_equal(p->max_connections, 2);
    assert_true(p->initial_r2t);
    assert_false(p->immediate_data);
    assert_int_equal(p->max_burst, 16384);
    assert_int_equal(p->first_burst, 16384); /* not answered: the default, but not above MaxBurst */
    assert_int_equal(p->time2wait, 5);
    assert_int_equal(p->time2retain, 0);
    assert_int_equal(p->max_outstanding_r2t, 1);
    assert_int_equal(p->protocol_level, 1);
    irig_free(r);
}

static void discovery_request(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    r->cfg.discovery = true;
    r->cfg.target_name = NULL;
    r->cfg.initiator_alias = "me";
    irig_connect(r);
    struct irig_pdu pdu = peek(r);
    expect_text(&pdu, "InitiatorName=iqn.2026-01.test:ini|InitiatorAlias=me|SessionType=Discovery|"
                      "AuthMethod=None|");
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
    pdu = peek(r);
    expect_text(&pdu, "MaxRecvDataSegmentLength=262144|HeaderDigest=None|DataDigest=None|"
                      "DefaultTime2Wait=0|DefaultTime2Retain=20|ErrorRecoveryLevel=0|");
    irig_login_rsp(r, 0x87, 0, "");
    assert_true(r->logged_in);
    irig_free(r);
}

/* ---- wrong in one way ---- */

struct rsp {
    uint8_t flags;
    uint16_t status;
    const char *text;
};

#define S                                                                                          \
    {                                                                                              \
        0x81, 0, "AuthMethod=None|"                                                                \
    }
#define VALUE "a value that is out of range, or does not answer our offer"
#define KEY   "a key the target may not send, not now, or not twice"
#define TEXT  "a malformed text in a Login Response"

static const struct wrong {
    struct rsp rsp[2]; /* the last one is the wrong one */
    int err;
    const char *why, *key;
} wrong[] = {
    { { S, { 0x87, 0, "HeaderDigest=Foo|" } }, USAN_EPROTO, VALUE, "HeaderDigest" },
    { { S, { 0x87, 0, "HeaderDigest=CRC32C|" } }, USAN_EPROTO, VALUE, "HeaderDigest" },
    { { S, { 0x87, 0, "DataDigest=CRC32C,None|" } }, USAN_EPROTO, VALUE, "DataDigest" },
    { { S, { 0x87, 0, "MaxBurstLength=2097152|" } }, USAN_EPROTO, VALUE, "MaxBurstLength" },
    { { S, { 0x87, 0, "MaxBurstLength=511|" } }, USAN_EPROTO, VALUE, "MaxBurstLength" },
    { { S, { 0x87, 0, "MaxBurstLength=|" } }, USAN_EPROTO, VALUE, "MaxBurstLength" },
    { { S, { 0x87, 0, "MaxBurstLength=-1|" } }, USAN_EPROTO, VALUE, "MaxBurstLength" },
    { { S, { 0x87, 0, "MaxBurstLength=99999999999999999999999|" } },
      USAN_EPROTO,
      VALUE,
      "MaxBurstLength" },
    { { S, { 0x87, 0, "FirstBurstLength=262145|" } }, USAN_EPROTO, VALUE, "FirstBurstLength" },
    { { S, { 0x87, 0, "InitialR2T=Maybe|" } }, USAN_EPROTO, VALUE, "InitialR2T" },
    { { S, { 0x87, 0, "DataPDUInOrder=No|" } }, USAN_EPROTO, VALUE, "DataPDUInOrder" },
    { { S, { 0x87, 0, "DataSequenceInOrder=No|" } }, USAN_EPROTO, VALUE, "DataSequenceInOrder" },
    { { S, { 0x87, 0, "DefaultTime2Wait=3601|" } }, USAN_EPROTO, VALUE, "DefaultTime2Wait" },
    { { S, { 0x87, 0, "DefaultTime2Retain=21|" } }, USAN_EPROTO, VALUE, "DefaultTime2Retain" },
    { { S, { 0x87, 0, "ErrorRecoveryLevel=1|" } }, USAN_EPROTO, VALUE, "ErrorRecoveryLevel" },
    { { S, { 0x87, 0, "MaxOutstandingR2T=0|" } }, USAN_EPROTO, VALUE, "MaxOutstandingR2T" },
    { { S, { 0x87, 0, "MaxOutstandingR2T=9|" } }, USAN_EPROTO, VALUE, "MaxOutstandingR2T" },
    { { S, { 0x87, 0, "MaxConnections=9|" } }, USAN_EPROTO, VALUE, "MaxConnections" },
    { { S, { 0x87, 0, "iSCSIProtocolLevel=3|" } }, USAN_EPROTO, VALUE, "iSCSIProtocolLevel" },
    { { S, { 0x87, 0, "TaskReporting=FastAbort|" } }, USAN_EPROTO, VALUE, "TaskReporting" },
    { { S, { 0x87, 0, "MaxRecvDataSegmentLength=511|" } },
      USAN_EPROTO,
      VALUE,
      "MaxRecvDataSegmentLength" },
    { { { 0x81, 0, "TargetPortalGroupTag=65536|" } }, USAN_EPROTO, VALUE, "TargetPortalGroupTag" },
    { { S, { 0x87, 0, "HeaderDigest=None|HeaderDigest=None|" } },
      USAN_EPROTO,
      KEY,
      "HeaderDigest" },
    { { S, { 0x87, 0, "InitiatorName=iqn.2026-01.test:x|" } }, USAN_EPROTO, KEY, "InitiatorName" },
    { { S, { 0x87, 0, "SendTargets=All|" } }, USAN_EPROTO, KEY, "SendTargets" },
    { { { 0x81, 0, "MaxBurstLength=8192|" } }, USAN_EPROTO, KEY, "MaxBurstLength" },
    { { S, { 0x87, 0, "AuthMethod=None|" } }, USAN_EPROTO, KEY, "AuthMethod" },
    { { S, { 0x87, 0, "NoEqualsSign|" } }, USAN_EPROTO, TEXT, NULL },
    { { S, { 0x87, 0, "HeaderDigest=None" } }, USAN_EPROTO, TEXT, NULL },
    { { S, { 0x87, 0, "=None|" } }, USAN_EPROTO, TEXT, NULL },
    { { S, { 0x87, 0, "OFMarker=Yes|" } },
      USAN_EPROTO,
      "the target negotiates in its last response",
      NULL },
    { { S, { 0x8b, 0, "" } }, USAN_EPROTO, "a Login Response of another stage", NULL },
    { { { 0x87, 0, "" } }, USAN_EPROTO, "a Login Response of another stage", NULL },
    { { S, { 0x85, 0, "" } },
      USAN_EPROTO,
      "the target goes to a stage that was not asked for",
      NULL },
    { { { 0x83, 0, "" } }, USAN_EPROTO, "the target goes to a stage that was not asked for", NULL },
    { { S, { 0xc7, 0, "" } },
      USAN_EPROTO,
      "a Login Response that both ends the stage and does not",
      NULL },
    /* security */
    { { { 0x01, 0, "AuthMethod=CHAP|" } },
      USAN_EAUTH,
      "the target takes none of our authentication methods",
      "AuthMethod" },
    { { { 0x01, 0, "AuthMethod=Reject|" } },
      USAN_EAUTH,
      "the target takes none of our authentication methods",
      "AuthMethod" },
    { { { 0x01, 0, "CHAP_A=5|" } },
      USAN_EAUTH,
      "a key of authentication out of its place",
      "CHAP_A" },
    { { { 0x01, 0, "CHAP_R=0x00|" } },
      USAN_EAUTH,
      "a key of authentication out of its place",
      "CHAP_R" },
    /* refused */
    { { { 0x00, 0x0200, "" } },
      USAN_EPROTO,
      "login refused: the target sees an error of the initiator",
      NULL },
    { { { 0x00, 0x0201, "" } },
      USAN_EAUTH,
      "login refused: authentication failed (wrong user or secret, or one is required)",
      NULL },
    { { { 0x00, 0x0202, "" } },
      USAN_EPERM,
      "login refused: this initiator is not allowed to use the target",
      NULL },
    { { { 0x00, 0x0203, "" } }, USAN_ENOENT, "login refused: no such target here", NULL },
    { { { 0x00, 0x0206, "" } },
      USAN_ELIMIT,
      "login refused: too many connections in this session",
      NULL },
    { { S, { 0x04, 0x0301, "" } },
      USAN_EBUSY,
      "login refused: the target is not in service now",
      NULL },
    { { S, { 0x04, 0x0302, "" } },
      USAN_ELIMIT,
      "login refused: the target is out of resources",
      NULL },
    { { { 0x00, 0x02ff, "" } }, USAN_EPROTO, "login refused: an error of the initiator", NULL },
    { { { 0x00, 0x0777, "" } }, USAN_EPROTO, "login refused: unknown status", NULL },
    { { { 0x00, 0x0101, "" } },
      USAN_EPROTO,
      "a redirection that does not say where to",
      "TargetAddress" },
    { { { 0x00, 0x0102, "TargetAddress=|" } },
      USAN_EPROTO,
      "a redirection that does not say where to",
      "TargetAddress" },
};

static void wrong_in_one_way(void **st)
{
    (void)st;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct wrong *w = &wrong[i];
        struct irig *r = irig_new();
        const struct rsp *last = &w->rsp[w->rsp[1].text != NULL];
        irig_connect(r);
        for (const struct rsp *rsp = w->rsp; rsp <= last; rsp++) {
            assert_false(r->closed);
            irig_login_rsp(r, rsp->flags, rsp->status, rsp->text);
        }
        if (!r->closed || r->err != w->err || strcmp(r->why, w->why) != 0)
            print_message("# case %zu: %s\n", i, r->closed ? r->why : "not closed");
        assert_true(r->closed);
        assert_false(r->logged_in);
        assert_int_equal(r->err, w->err);
        assert_string_equal(r->why, w->why);
        assert_int_equal(r->status, last->status);
        if (w->key)
            assert_string_equal(r->key, w->key);
        else
            assert_null(r->key);
        assert_string_equal(iscsi_iconn_state(r->conn), "S1 FREE");
        assert_string_equal(iscsi_isess_state(r->sess), "Q1 FREE");
        assert_int_equal(r->down, 0);
        irig_free(r);
    }
}

static void redirect(void **st)
{
    (void)st;
    char text[320] = "TargetAddress=", name[300];
    struct irig *r = irig_new();
    irig_connect(r);
    irig_login_rsp(r, 0, 0x0102, "TargetAddress=[2001:db8::1]:3261,7|");
    assert_true(r->redirected);
    assert_true(r->permanent);
    assert_string_equal(r->address, "[2001:db8::1]:3261,7");
    assert_true(r->closed);
    assert_int_equal(r->err, 0);
    irig_free(r);
    /* longer than any address */
    r = irig_new();
    irig_connect(r);
    memset(name, 'a', 256);
    memcpy(name + 256, "|", 2);
    memcpy(text + 14, name, 258);
    irig_login_rsp(r, 0, 0x0101, text);
    assert_false(r->redirected);
    assert_int_equal(r->err, USAN_EPROTO);
    irig_free(r);
}

/* ---- header fields ---- */

static void headers(void **st)
{
    (void)st;
    static const struct {
        unsigned at; /* of a byte that is changed */
        uint8_t value;
        const char *why;
    } cases[] = {
        { 3, 1, "the target speaks another version of iSCSI" },
        { 9, 0x77, "a Login Response for another initiator session (ISID)" },
        { 19, 0x77, "a Login Response that was not asked for" },
        { 24, 0x12, "a StatSN out of sequence" },
        { 31, 9, "the target acknowledges commands that were not sent" },
        { 0, ISCSI_OP_NOP_IN, "a PDU other than a Login Response in the login phase" },
        { 15, 0, "a session without a handle (TSIH 0)" },
        { 0, 0, NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct irig *r = irig_new();
        uint8_t bhs[ISCSI_BHS_LEN];
        irig_connect(r);
        irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
        struct irig_pdu pdu = irig_expect(r, ISCSI_OP_LOGIN_REQUEST);
        const struct pdu_login_response rsp = {
            .transit = true, .csg = 1, .nsg = 3, .isid = r->cfg.isid, .tsih = 0x34
        };
        pdu_login_response_encode(bhs, bhs_itt(pdu.bhs), 0, &rsp);
        bhs_put_sn(bhs, r->stat_sn, r->exp_cmd_sn, r->exp_cmd_sn + 10);
        if (cases[i].why)
            bhs[cases[i].at] = cases[i].value;
        irig_send_raw(r, bhs, NULL, 0);
        assert_int_equal(r->logged_in, cases[i].why == NULL);
        if (cases[i].why) {
            assert_int_equal(r->err, USAN_EPROTO);
            assert_string_equal(r->why, cases[i].why);
        }
        irig_free(r);
    }
}

/* ---- text in parts ---- */

static void parts(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
    irig_login_rsp(r, 0x44, 0, "MaxBurst");
    struct irig_pdu pdu = peek(r);
    assert_int_equal(pdu.data_len, 0); /* asks for the rest */
    irig_login_rsp(r, 0x44, 0, "Length=65");
    irig_login_rsp(r, 0x87, 0, "536|");
    assert_true(r->logged_in);
    assert_int_equal(iscsi_isess_params(r->sess)->max_burst, 65536);
    irig_free(r);

    /* without end */
    static char part[8193];
    memset(part, 'a', 8192);
    r = irig_new();
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
    for (int i = 0; i < 9; i++) {
        assert_false(r->closed);
        irig_login_rsp(r, 0x44, 0, part);
    }
    assert_true(r->closed);
    assert_int_equal(r->err, USAN_ELIMIT);
    assert_string_equal(r->why, "the target's login text is too long");
    irig_free(r);

    r = irig_new();
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
    for (int i = 1; i < ISCSI_LOGIN_PDUS_MAX; i++) {
        assert_false(r->closed);
        irig_login_rsp(r, 0x04, 0, "");
    }
    assert_false(r->closed);
    irig_login_rsp(r, 0x04, 0, "");
    assert_int_equal(r->err, USAN_ELIMIT);
    assert_string_equal(r->why, "the login does not come to an end");
    irig_free(r);
}

/* The target makes offers of its own, and takes little text at a time. */
static void target_offers(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    char text[4096] = "MaxRecvDataSegmentLength=512|OFMarker=Yes|IFMarkInt=1~2|";
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|X-com.example.a=1|");
    struct irig_pdu pdu = peek(r);
    assert_memory_equal(pdu.data, "X-com.example.a=NotUnderstood", 30);
    irig_login_rsp(r, 0x04, 0, "OFMarker=Yes|IFMarkInt=1~2|X-b=c|MaxBurstLength=8192|");
    pdu = peek(r);
    assert_int_equal(pdu.bhs[1], 0x87);
    expect_text(&pdu, "OFMarker=No|IFMarkInt=Reject|X-b=NotUnderstood|");
    irig_login_rsp(r, 0x87, 0, "");
    assert_true(r->logged_in);
    assert_int_equal(iscsi_isess_params(r->sess)->max_burst, 8192);
    irig_free(r);

    r = irig_new();
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
    for (int i = 0; i < 40; i++) /* each wants "X-nn=NotUnderstood" */
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "X-%02d=1|", i);
    irig_login_rsp(r, 0x04, 0, text);
    pdu = peek(r);
    assert_int_equal(pdu.bhs[1], 0x44); /* C, not T */
    assert_int_equal(pdu.data_len, 512);
    irig_login_rsp(r, 0x04, 0, "");
    pdu = peek(r);
    assert_int_equal(pdu.bhs[1], 0x87);
    assert_int_equal(pdu.data_len, 12 + 17 + 40 * 19 - 512);
    irig_login_rsp(r, 0x87, 0, "");
    assert_true(r->logged_in);
    irig_free(r);

    r = irig_new();
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
    irig_login_rsp(r, 0x04, 0, text);
    irig_login_rsp(r, 0x04, 0, "X-z=1|"); /* while we are still answering */
    assert_string_equal(r->why, "an answer before the question was complete");
    irig_free(r);
}

static void digests_required(void **st)
{
    (void)st;
    for (int i = 0; i < 3; i++) {
        struct irig *r = irig_new();
        r->cfg.params.header_digest = r->cfg.params.data_digest = true;
        r->cfg.params.header_digest_required = i == 1;
        r->cfg.params.data_digest_required = i == 2;
        irig_connect(r);
        irig_login_rsp(r, 0x81, 0, "AuthMethod=None|");
        struct irig_pdu pdu = peek(r);
        char offer[4096];
        memcpy(offer, pdu.data, pdu.data_len);
        static const char *const want[] = { "HeaderDigest=CRC32C,None|DataDigest=CRC32C,None|",
                                            "HeaderDigest=CRC32C|DataDigest=CRC32C,None|",
                                            "HeaderDigest=CRC32C,None|DataDigest=CRC32C|" };
        char text[128];
        size_t len = irig_text(want[i], text, sizeof text);
        assert_memory_equal(offer + 32, text, len);
        irig_login_rsp(r, 0x87, 0, "HeaderDigest=Reject|DataDigest=NotUnderstood|");
        assert_int_equal(r->logged_in, i == 0);
        if (i)
            assert_string_equal(r->key, i == 1 ? "HeaderDigest" : "DataDigest");
        irig_free(r);
    }
}

/* ---- configuration ---- */

static int try_config(const struct iscsi_isess_config *cfg)
{
    struct iscsi_isess *sess = NULL;
    int err = iscsi_isess_new(cfg, &alloc_heap, &sess);
    iscsi_isess_free(sess);
    return err;
}

static void configuration(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct iscsi_isess_config c = r->cfg;
    assert_int_equal(try_config(&c), 0);
    c.initiator_name = "nobody";
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c = r->cfg;
    c.target_name = NULL;
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c.discovery = true;
    assert_int_equal(try_config(&c), 0);
    c = r->cfg;
    c.queue_depth = 0;
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c.queue_depth = ISCSI_QUEUE_DEPTH_MAX + 1;
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c = r->cfg;
    c.params.error_recovery_level = 2;
    assert_int_equal(try_config(&c), 0);
    c.params.error_recovery_level = 3;
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c = r->cfg;
    c.auth = (struct iscsi_iauth){ .secret = "s" }; /* of nobody */
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c.auth = (struct iscsi_iauth){ .user = "u", .secret = "same", .target_secret = "same" };
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c.auth = (struct iscsi_iauth){ .target_secret = "s" };
    assert_int_equal(try_config(&c), USAN_EINVAL);
    c.auth = (struct iscsi_iauth){ .user = "u", .secret = "s", .algs = 1 << 9 };
    assert_int_equal(try_config(&c), USAN_ENOTSUP);
    irig_free(r);
}

/* ---- before there is a connection ---- */

static void transport(void **st)
{
    (void)st;
    struct irig *r = irig_new();
    struct iscsi_iconn *second;
    assert_int_equal(iscsi_isess_new(&r->cfg, &r->alloc.a, &r->sess), 0);
    assert_int_equal(iscsi_iconn_new(r->sess, 1, r->now_ns, &r->conn), 0);
    assert_int_equal(iscsi_iconn_new(r->sess, 2, r->now_ns, &second), USAN_EBUSY);
    iscsi_iconn_lost(r->conn, USAN_ETIMEOUT);
    assert_int_equal(iscsi_iconn_deadline(r->conn), 0); /* wants to be looked at */
    irig_run(r);
    assert_true(r->closed);
    assert_int_equal(r->err, USAN_ETIMEOUT);
    assert_string_equal(r->why, "the connection could not be made");
    assert_string_equal(iscsi_iconn_state(r->conn), "S1 FREE");
    iscsi_iconn_free(r->conn);
    r->closed = false;
    assert_int_equal(iscsi_iconn_new(r->sess, 1, r->now_ns, &r->conn), 0);
    assert_int_equal(iscsi_iconn_deadline(r->conn), r->now_ns + 10 * NS_PER_SEC);
    irig_tick(r, 10 * NS_PER_SEC);
    assert_true(r->closed);
    assert_string_equal(r->why, "the connection timed out");
    iscsi_iconn_free(r->conn);
    assert_int_equal(iscsi_iconn_new(r->sess, 1, r->now_ns, &r->conn), 0);
    iscsi_iconn_free(r->conn); /* without its CLOSE */
    r->conn = NULL;
    assert_string_equal(iscsi_isess_state(r->sess), "Q1 FREE");
    irig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),         cmocka_unit_test(discovery_request),
        cmocka_unit_test(wrong_in_one_way), cmocka_unit_test(redirect),
        cmocka_unit_test(headers),          cmocka_unit_test(parts),
        cmocka_unit_test(target_offers),    cmocka_unit_test(digests_required),
        cmocka_unit_test(configuration),    cmocka_unit_test(transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
