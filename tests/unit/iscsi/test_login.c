/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stages, keys, split texts and status codes of the login (RFC 7143 6.3, 11.12, 11.13). */
#include "base/alloc_heap.h"
#include "login_rig.h"

/* ---- logins that succeed ---- */

static void operational_only(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.alias = "disk one";
    rig_step(&r, "1>3",
             NAMES "SessionType=Normal|HeaderDigest=None,CRC32C|DataDigest=CRC32C,None|"
                   "MaxRecvDataSegmentLength=262144|InitialR2T=No|ImmediateData=Yes|"
                   "MaxBurstLength=16776192|FirstBurstLength=262144|DefaultTime2Wait=2|"
                   "DefaultTime2Retain=0|MaxOutstandingR2T=1|ErrorRecoveryLevel=0|",
             "1>3",
             TPGT "TargetAlias=disk one|InitialR2T=No|ImmediateData=Yes|MaxBurstLength=262144|"
                  "ErrorRecoveryLevel=0|HeaderDigest=None|DataDigest=CRC32C|"
                  "FirstBurstLength=65536|DefaultTime2Wait=2|DefaultTime2Retain=0|"
                  "MaxOutstandingR2T=1|" MRDSL);
    assert_true(iscsi_login_finished(r.login));
    assert_int_equal(r.asked_target, 1);
    assert_int_equal(r.asked_user, 0);
    assert_int_equal(r.asked_bind, 1);
    assert_string_equal(r.initiator, "iqn.2001-04.com.example:i");
    assert_string_equal(r.target, "iqn.2001-04.com.example:t");
    assert_false(r.discovery);
    const struct iscsi_params *p = iscsi_login_params(r.login);
    assert_int_equal(p->tx_data_segment, 262144);
    assert_int_equal(p->rx_data_segment, 65536);
    assert_int_equal(p->max_burst, 262144);
    assert_int_equal(p->first_burst, 65536);
    assert_int_equal(p->time2retain, 0);
    assert_true(p->data_digest && !p->header_digest && p->immediate_data && !p->initial_r2t);
    rig_fini(&r);
}

static void all_stages(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "0", NAMES, "0", TPGT);
    rig_step(&r, "0", "AuthMethod=CHAP,None|", "0", "AuthMethod=None|");
    rig_step(&r, "0>1", "", "0>1", "");
    assert_false(iscsi_login_finished(r.login));
    rig_step(&r, "1", "ImmediateData=No|", "1", "ImmediateData=No|" MRDSL);
    rig_step(&r, "1", "", "1", "");
    rig_step(&r, "1>3", "InitialR2T=Yes|FirstBurstLength=512|", "1>3",
             "InitialR2T=Yes|FirstBurstLength=Irrelevant|");
    assert_true(iscsi_login_finished(r.login));
    assert_int_equal(r.asked_target, 1);
    assert_int_equal(r.asked_bind, 1);
    rig_fini(&r);
}

/* 6.3: the operational stage may be left out; then defaults hold. */
static void security_to_full_feature(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "0>3", NAMES "AuthMethod=None|", "0>3", TPGT "AuthMethod=None|");
    assert_true(iscsi_login_finished(r.login));
    assert_int_equal(iscsi_login_params(r.login)->rx_data_segment, 8192);
    rig_fini(&r);
    rig_init(&r);
    rig_step(&r, "0>3", NAMES, "0>3", TPGT);
    rig_fini(&r);
}

static void discovery(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "1>3",
             "InitiatorName=iqn.2001-04.com.example:i|SessionType=Discovery|MaxBurstLength=65536|"
             "MaxConnections=1|DefaultTime2Wait=0|iSCSIProtocolLevel=1|",
             "1>3",
             "MaxBurstLength=Irrelevant|MaxConnections=Irrelevant|DefaultTime2Wait=2|"
             "iSCSIProtocolLevel=Irrelevant|" MRDSL);
    assert_true(r.discovery);
    assert_true(iscsi_login_discovery(r.login));
    assert_null(iscsi_login_target_name(r.login));
    assert_string_equal(r.target, "(none)");
    rig_fini(&r);
    /* a target may be named; it gets no tag */
    rig_init(&r);
    rig_step(&r, "1>3", NAMES "SessionType=Discovery|", "1>3", MRDSL);
    assert_string_equal(r.target, "iqn.2001-04.com.example:t");
    rig_fini(&r);
}

/* A connection that joins: no tag, session-wide keys stay as they are. */
static void joining(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.req.tsih = 7;
    r.req.cid = 1;
    rig_step(&r, "1>3",
             NAMES "SessionType=Normal|MaxBurstLength=512|HeaderDigest=CRC32C|"
                   "MaxRecvDataSegmentLength=1024|",
             "1>3", "MaxBurstLength=Reject|HeaderDigest=CRC32C|" MRDSL);
    assert_int_equal(iscsi_login_params(r.login)->tx_data_segment, 1024);
    assert_int_equal(iscsi_login_params(r.login)->max_burst, 262144);
    rig_fini(&r);
}

static void names_are_normalised(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "1>3", "InitiatorName=iqn.2001-04.COM.Example:I|TargetName=EUI.02004567A425678D|",
             "1>3", TPGT MRDSL);
    assert_string_equal(iscsi_login_initiator_name(r.login), "iqn.2001-04.com.example:i");
    assert_string_equal(iscsi_login_target_name(r.login), "eui.02004567a425678d");
    assert_null(iscsi_login_user(r.login));
    rig_fini(&r);
}

static void unknown_keys(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "0>1", NAMES "X-com.example.a=1|", "0>1", TPGT "X-com.example.a=NotUnderstood|");
    /* what we declared may be answered with a refusal, which is no key of the initiator's */
    rig_step(&r, "1>3", "Foo=|X#bar=1|IFMarker=No|TargetPortalGroupTag=NotUnderstood|", "1>3",
             "Foo=NotUnderstood|X#bar=NotUnderstood|IFMarker=No|" MRDSL);
    rig_fini(&r);
}

/* Keys that others depend on are settled first, wherever they stand. */
static void order_of_keys(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "1>3", NAMES "FirstBurstLength=65536|MaxBurstLength=4096|", "1>3",
             TPGT "MaxBurstLength=4096|FirstBurstLength=4096|" MRDSL);
    rig_fini(&r);
    rig_init(&r);
    rig_step(&r, "1>3", NAMES "FirstBurstLength=65536|InitialR2T=Yes|ImmediateData=No|", "1>3",
             TPGT "InitialR2T=Yes|ImmediateData=No|FirstBurstLength=Irrelevant|" MRDSL);
    rig_fini(&r);
}

static void target_offers(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.cfg.params.header_digest_required = true;
    r.cfg.params.max_burst = 65536;
    rig_step(&r, "1", NAMES, "1", TPGT MRDSL);
    rig_step(&r, "1>3", "DataDigest=None|", "1",
             "DataDigest=None|HeaderDigest=CRC32C|MaxBurstLength=65536|");
    assert_false(iscsi_login_finished(r.login));
    rig_step(&r, "1>3", "HeaderDigest=CRC32C|MaxBurstLength=65536|", "1>3", "");
    assert_true(iscsi_login_params(r.login)->header_digest);
    rig_fini(&r);

    rig_init(&r);
    r.cfg.params.header_digest_required = true;
    rig_step(&r, "1>3", NAMES, "1", TPGT MRDSL "HeaderDigest=CRC32C|");
    rig_step(&r, "1>3", "HeaderDigest=Reject|", "1 0200", "");
    assert_int_equal(r.asked_bind, 0);
    rig_fini(&r);

    rig_init(&r);
    r.cfg.params.data_digest_required = true;
    rig_step(&r, "0>3", NAMES, "0 0200", "");
    rig_fini(&r);
}

/* ---- text in pieces ---- */

static void split_request(void **st)
{
    (void)st;
    static const char text[] = NAMES "MaxBurstLength=65536|";
    size_t len = sizeof(text) - 1;
    for (size_t cut = 0; cut <= len; cut += 7) {
        struct rig r;
        char raw[256];
        rig_init(&r);
        for (size_t i = 0; i < len; i++)
            raw[i] = text[i] == '|' ? '\0' : text[i];
        rig_send_bytes(&r, "1+", raw, cut);
        assert_string_equal(r.head, "1");
        assert_int_equal(r.text_len, 0);
        assert_int_equal(r.asked_target, 0);
        rig_send_bytes(&r, "1>3", raw + cut, len - cut);
        assert_string_equal(r.head, "1>3");
        assert_string_equal(r.text, TPGT "MaxBurstLength=65536|" MRDSL);
        rig_fini(&r);
    }
}

static size_t append(char *to, size_t room, const char *text)
{
    size_t len = strlen(text);
    assert_true(len < room);
    memcpy(to, text, len + 1);
    return len;
}

/* A response longer than the initiator takes goes out with the C bit. */
static void split_response(void **st)
{
    (void)st;
    struct rig r;
    char text[4096], all[70000] = "";
    size_t all_len = 0;
    int n = snprintf(text, sizeof(text), "%s", NAMES "MaxRecvDataSegmentLength=512|");
    for (int i = 0; i < 150; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "X-com.example.%d=|", i);
    rig_init(&r);
    rig_send(&r, "1>3", text);
    unsigned pieces = 1;
    while (!strcmp(r.head, "1+")) {
        assert_int_equal(r.text_len, 512);
        all_len += append(all + all_len, sizeof all - all_len, r.text);
        assert_int_equal(r.asked_bind, 0);
        rig_send_bytes(&r, "1>3", NULL, 0);
        pieces++;
    }
    assert_string_equal(r.head, "1>3");
    (void)append(all + all_len, sizeof all - all_len, r.text);
    /* 23 + 150 pairs "X-com.example.N=NotUnderstood" and a NUL + 31 */
    size_t want = strlen(TPGT) + strlen(MRDSL) + 150 * 29 + 10 + 180 + 150;
    assert_int_equal(strlen(all), want);
    assert_int_equal(pieces, (want + 511) / 512);
    assert_string_equal(all + want - strlen(MRDSL), MRDSL);
    assert_true(iscsi_login_finished(r.login));
    rig_fini(&r);
}

/* While pieces are to come the initiator may only ask for them. */
static void text_between_pieces(void **st)
{
    (void)st;
    struct rig r;
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s", NAMES "MaxRecvDataSegmentLength=512|");
    for (int i = 0; i < 30; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "X-com.example.%d=|", i);
    rig_init(&r);
    rig_send(&r, "1>3", text);
    assert_string_equal(r.head, "1+");
    rig_step(&r, "1>3", "InitialR2T=Yes|", "1 0200", "");
    rig_fini(&r);
}

static void too_much_text(void **st)
{
    (void)st;
    static char junk[ISCSI_TEXT_MAX + 1];
    struct rig r;
    memset(junk, 'x', sizeof(junk));
    rig_init(&r);
    rig_send_bytes(&r, "1+", junk, ISCSI_TEXT_MAX);
    assert_string_equal(r.head, "1");
    rig_send_bytes(&r, "1+", junk, 1);
    assert_string_equal(r.head, "1 0200");
    rig_fini(&r);
    rig_init(&r);
    rig_send_bytes(&r, "1+", junk, ISCSI_TEXT_MAX + 1);
    assert_string_equal(r.head, "1 0200");
    rig_fini(&r);
}

static void too_many_requests(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "1", NAMES, "1", TPGT MRDSL);
    for (unsigned i = 1; i < ISCSI_LOGIN_PDUS_MAX; i++)
        rig_step(&r, "1", "", "1", "");
    rig_step(&r, "1>3", "", "1 0200", "");
    rig_fini(&r);
}

/* Answers that would outgrow the limit end the login instead of taking memory. */
static void too_much_answer(void **st)
{
    (void)st;
    static char text[ISCSI_TEXT_MAX];
    struct rig r;
    size_t n = sizeof(NAMES) - 1;
    memcpy(text, NAMES, n);
    for (size_t i = 0; i < n; i++)
        text[i] = text[i] == '|' ? '\0' : text[i];
    while (n + 3 <= sizeof(text)) {
        memcpy(text + n, "k=", 3);
        n += 3;
    }
    rig_init(&r);
    rig_send_bytes(&r, "1>3", text, n);
    assert_string_equal(r.head, "1 0302");
    rig_fini(&r);
}

/* ---- refusals ---- */

static void missing_parameters(void **st)
{
    (void)st;
    rig_once("1>3", "", "1 0207");
    rig_once("0>1", "AuthMethod=None|", "0 0207");
    rig_once("1>3", "TargetName=iqn.2001-04.com.example:t|", "1 0207");
    rig_once("1>3", "InitiatorName=iqn.2001-04.com.example:i|", "1 0207");
    rig_once("1>3", "InitiatorName=iqn.2001-04.com.example:i|SessionType=Normal|", "1 0207");
    rig_once("1>3", "SessionType=Discovery|", "1 0207");
}

static void bad_names(void **st)
{
    (void)st;
    rig_once("1>3", "InitiatorName=bad|TargetName=iqn.2001-04.com.example:t|", "1 0200");
    rig_once("1>3", "InitiatorName=|TargetName=iqn.2001-04.com.example:t|", "1 0200");
    rig_once("1>3", "InitiatorName=iqn.2001-04.com.example:i|TargetName=bad|", "1 0203");
    rig_once("1>3", "InitiatorName=iqn.2001-04.com.example:i|TargetName=|", "1 0203");
    rig_once("1>3", NAMES "SessionType=Other|", "1 0209");
}

static void versions(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.req.version_min = 1;
    r.req.version_max = 2;
    rig_step(&r, "1>3", NAMES, "1 0205", "");
    rig_fini(&r);
    rig_init(&r);
    r.req.version_max = 2;
    rig_step(&r, "1>3", NAMES, "1>3", TPGT MRDSL);
    rig_fini(&r);
}

/* 11.12.5 to 11.12.8: what stays the same throughout a login. */
static void changing_identity(void **st)
{
    (void)st;
    for (int what = 0; what < 5; what++) {
        struct rig r;
        rig_init(&r);
        r.req.version_max = 1;
        rig_step(&r, "1", NAMES, "1", TPGT MRDSL);
        r.req.isid[5] = (uint8_t)(r.req.isid[5] + (what == 0));
        r.req.tsih = what == 1;
        r.req.cid = what == 2;
        r.req.version_max = what != 3;
        rig_step(&r, "1>3", "", what < 4 ? "1 0200" : "1>3", "");
        rig_fini(&r);
    }
}

static void stages(void **st)
{
    (void)st;
    rig_once("3", NAMES, "3 0200");
    rig_once("2>3", NAMES, "2 0200");
    rig_once("0>0", NAMES, "0 0200");
    rig_once("0>2", NAMES, "0 0200");
    rig_once("1>1", NAMES, "1 0200");
    rig_once("1>0", NAMES, "1 0200");
    struct rig r;
    rig_init(&r);
    rig_step(&r, "0", NAMES, "0", TPGT);
    rig_step(&r, "1", "", "1 0200", ""); /* not agreed on */
    rig_fini(&r);
    rig_init(&r);
    rig_step(&r, "0>1", NAMES, "0>1", TPGT);
    rig_step(&r, "0>1", "", "0 0200", ""); /* back */
    rig_fini(&r);
    /* T and C together */
    rig_init(&r);
    struct iscsi_login_req req = { .transit = true, .cont = true, .csg = 1, .nsg = 3 };
    struct iscsi_login_rsp rsp;
    assert_int_equal(iscsi_login_request(r.login, &req), ISCSI_LOGIN_WANT_RESPOND);
    iscsi_login_response(r.login, &rsp);
    assert_int_equal(rsp.status, 0x0200);
    rig_fini(&r);
}

static void keys_out_of_place(void **st)
{
    (void)st;
    rig_once("0>1", NAMES "MaxBurstLength=512|", "0 0200"); /* operational in security */
    rig_once("0>1", NAMES "MaxRecvDataSegmentLength=512|", "0 0200");
    rig_once("1>3", NAMES "AuthMethod=None|", "1 0200"); /* security in operational */
    rig_once("1>3", NAMES "SendTargets=All|", "1 0200");
    rig_once("1>3", NAMES "TargetAlias=x|", "1 0200");
    rig_once("1>3", NAMES "TargetAddress=x|", "1 0200");
    rig_once("1>3", NAMES "TargetPortalGroupTag=1|", "1 0200");
    /* 6.3: nothing twice */
    rig_once("1>3", NAMES "MaxBurstLength=512|MaxBurstLength=512|", "1 0200");
    rig_once("1>3", NAMES "MaxRecvDataSegmentLength=512|MaxRecvDataSegmentLength=512|", "1 0200");
    rig_once("1>3", NAMES "InitiatorName=iqn.2001-04.com.example:i|", "1 0200");
    rig_once("1>3", NAMES "TargetName=iqn.2001-04.com.example:t|", "1 0200");
    rig_once("1>3", NAMES "SessionType=Normal|SessionType=Normal|", "1 0200");
    struct rig r;
    rig_init(&r);
    rig_step(&r, "1", NAMES "MaxBurstLength=512|", "1", TPGT "MaxBurstLength=512|" MRDSL);
    rig_step(&r, "1", "MaxBurstLength=512|", "1 0200", "");
    rig_fini(&r);
    /* names come with the first request */
    rig_init(&r);
    rig_step(&r, "1", "InitiatorName=iqn.2001-04.com.example:i|SessionType=Discovery|", "1", MRDSL);
    rig_step(&r, "1", "TargetName=iqn.2001-04.com.example:t|", "1 0200", "");
    rig_fini(&r);
    /* ... and may be said again when they are the same: libiscsi does, in every stage */
    rig_init(&r);
    rig_step(&r, "0>1", NAMES "AuthMethod=CHAP,None|", "0>1", TPGT "AuthMethod=None|");
    rig_step(&r, "1>3", NAMES "SessionType=Normal|", "1>3", MRDSL);
    rig_fini(&r);
    static const char *const others[] = {
        "InitiatorName=iqn.2001-04.com.example:j|",
        "TargetName=iqn.2001-04.com.example:u|",
        "InitiatorName=bad|",
        "SessionType=Discovery|",
        "SessionType=normal|",
        NAMES NAMES "MaxBurstLength=512|MaxBurstLength=512|",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        rig_init(&r);
        rig_step(&r, "0>1", NAMES "AuthMethod=None|", "0>1", TPGT "AuthMethod=None|");
        rig_step(&r, "1>3", others[i], "1 0200", "");
        rig_fini(&r);
    }
}

static void values_out_of_range(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    rig_step(&r, "1>3",
             NAMES "MaxBurstLength=511|MaxConnections=0|InitialR2T=Maybe|HeaderDigest=MD5|"
                   "ErrorRecoveryLevel=3|DefaultTime2Wait=3601|",
             "1>3",
             TPGT "MaxBurstLength=Reject|InitialR2T=Reject|ErrorRecoveryLevel=Reject|"
                  "MaxConnections=Reject|HeaderDigest=Reject|DefaultTime2Wait=Reject|" MRDSL);
    rig_fini(&r);
    rig_once("1>3", NAMES "MaxRecvDataSegmentLength=511|", "1 0200");
    rig_once("1>3", NAMES "MaxBurstLength=NotUnderstood|", "1 0200");
}

/* Cut anywhere, the text is refused or what is there is taken; nothing past it is read. */
static void truncated_text(void **st)
{
    (void)st;
    static const char text[] = NAMES "MaxBurstLength=65536|X-com.example.a=b|";
    char raw[256];
    size_t len = sizeof(text) - 1, names = sizeof(NAMES) - 1;
    for (size_t i = 0; i < len; i++)
        raw[i] = text[i] == '|' ? '\0' : text[i];
    for (size_t cut = 0; cut <= len; cut++) {
        struct rig r;
        rig_init(&r);
        rig_send_bytes(&r, "1>3", raw, cut);
        if (cut && raw[cut - 1])
            assert_string_equal(r.head, "1 0200");
        else
            assert_string_equal(r.head, cut < names ? "1 0207" : "1>3");
        rig_fini(&r);
    }
}

static void malformed_text(void **st)
{
    (void)st;
    rig_once("1>3", NAMES "noequals|", "1 0200");
    rig_once("1>3", NAMES "=value|", "1 0200");
    rig_once("1>3", NAMES "a b=c|", "1 0200");
    rig_once("1>3", NAMES "k123456789012345678901234567890123456789012345678901234567890123=v|",
             "1 0200");
    rig_once("1>3", NAMES "k12345678901234567890123456789012345678901234567890123456789012=v|",
             "1>3");
}

static void discovery_cannot_join(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.req.tsih = 1;
    rig_step(&r, "1>3", "InitiatorName=iqn.2001-04.com.example:i|SessionType=Discovery|", "1 0208",
             "");
    rig_fini(&r);
}

/* ---- what the owner decides ---- */

static void owner_refuses(void **st)
{
    (void)st;
    static const uint16_t codes[] = { 0x0202, 0x0203, 0x0204, 0x0206, 0x0208,
                                      0x020a, 0x0300, 0x0301, 0x0302 };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char want[16];
        struct rig r;
        (void)snprintf(want, sizeof(want), "1 %04x", codes[i]);
        rig_init(&r);
        r.reject_target = codes[i];
        rig_step(&r, "1>3", NAMES, want, "");
        assert_false(iscsi_login_finished(r.login));
        rig_fini(&r);
        rig_init(&r);
        r.reject_bind = codes[i];
        rig_step(&r, "1>3", NAMES, want, "");
        assert_int_equal(r.asked_bind, 1);
        assert_false(iscsi_login_finished(r.login));
        rig_fini(&r);
    }
    /* between requests too, for PDUs that are no Login Request: 0x020b */
    struct rig r;
    struct iscsi_login_rsp rsp;
    rig_init(&r);
    rig_step(&r, "1", NAMES, "1", TPGT MRDSL);
    assert_int_equal(iscsi_login_reject(r.login, 0x020b), ISCSI_LOGIN_WANT_RESPOND);
    iscsi_login_response(r.login, &rsp);
    assert_int_equal(rsp.status, 0x020b);
    assert_false(rsp.transit);
    rig_fini(&r);
}

static void redirect(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.redirect = "[2001:db8::1]:3260,1";
    rig_step(&r, "0>1", NAMES, "0 0101", "TargetAddress=[2001:db8::1]:3260,1|");
    rig_fini(&r);
    rig_init(&r);
    r.redirect = "192.0.2.1";
    r.permanent = true;
    rig_step(&r, "1>3", NAMES, "1 0102", "TargetAddress=192.0.2.1|");
    rig_fini(&r);
}

static void operational_without_authentication(void **st)
{
    (void)st;
    struct rig r;
    rig_init(&r);
    r.auth.required = true;
    rig_step(&r, "1>3", NAMES, "1 0201", "");
    rig_fini(&r);
}

/* ---- memory ---- */

struct limited {
    unsigned left;
};

static void *limited_get(void *ctx, size_t bytes)
{
    struct limited *l = ctx;
    if (!l->left)
        return NULL;
    l->left--;
    return alloc_get(&alloc_heap, bytes);
}

static void limited_put(void *ctx, void *ptr)
{
    (void)ctx;
    alloc_put(&alloc_heap, ptr);
}

static void out_of_memory(void **st)
{
    (void)st;
    struct limited l = { 0 };
    const struct alloc a = { limited_get, limited_put, &l };
    static const char text[] = "InitiatorName=iqn.2001-04.com.example:i\0"
                               "TargetName=iqn.2001-04.com.example:t\0X-com.example.a=1";
    bool finished = false;
    for (unsigned n = 0; !finished; n++) {
        struct rig r;
        rig_init(&r);
        iscsi_login_free(r.login);
        l.left = n;
        r.login = iscsi_login_new(&r.cfg, &a);
        assert_int_equal(r.login != NULL, n > 0);
        if (!r.login)
            continue;
        rig_send_bytes(&r, "1>3", text, sizeof(text));
        finished = iscsi_login_finished(r.login);
        assert_int_equal(r.status, finished ? 0 : 0x0302);
        assert_true(n < 10);
        rig_fini(&r);
    }
    iscsi_login_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operational_only),
        cmocka_unit_test(all_stages),
        cmocka_unit_test(security_to_full_feature),
        cmocka_unit_test(discovery),
        cmocka_unit_test(joining),
        cmocka_unit_test(names_are_normalised),
        cmocka_unit_test(unknown_keys),
        cmocka_unit_test(order_of_keys),
        cmocka_unit_test(target_offers),
        cmocka_unit_test(split_request),
        cmocka_unit_test(split_response),
        cmocka_unit_test(text_between_pieces),
        cmocka_unit_test(too_much_text),
        cmocka_unit_test(too_many_requests),
        cmocka_unit_test(too_much_answer),
        cmocka_unit_test(missing_parameters),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(versions),
        cmocka_unit_test(changing_identity),
        cmocka_unit_test(stages),
        cmocka_unit_test(keys_out_of_place),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(truncated_text),
        cmocka_unit_test(malformed_text),
        cmocka_unit_test(discovery_cannot_join),
        cmocka_unit_test(owner_refuses),
        cmocka_unit_test(redirect),
        cmocka_unit_test(operational_without_authentication),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
