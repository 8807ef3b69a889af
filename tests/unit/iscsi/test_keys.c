/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The key table against a list written from RFC 7143 section 13, and the negotiation of each. */
#include "iscsi/login.h"
#include "iscsi/nego.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- the table ---- */

/*
 * One line a key: "name type result senders stages scope". Senders I, T; stages S security,
 * O operational, F full feature; scope: L leading only, W session-wide, C connection,
 * D irrelevant in discovery sessions.
 */
static const struct {
    const char *name, *type, *result, *who, *when, *scope;
    uint32_t def, min, max;
} rfc[] = {
    { "HeaderDigest", "list", "first common choice", "IT", "O", "C", 0, 0, 0 },
    { "DataDigest", "list", "first common choice", "IT", "O", "C", 0, 0, 0 },
    { "MaxConnections", "number", "minimum", "IT", "O", "LWD", 1, 1, 65535 },
    { "SendTargets", "text", "declared", "I", "F", "W", 0, 0, 0 },
    { "TargetName", "iSCSI name", "declared", "I", "SO", "W", 0, 0, 0 },
    { "InitiatorName", "iSCSI name", "declared", "I", "SO", "W", 0, 0, 0 },
    { "TargetAlias", "text", "declared", "T", "SOF", "W", 0, 0, 0 },
    { "InitiatorAlias", "text", "declared", "I", "SOF", "W", 0, 0, 0 },
    { "TargetAddress", "text", "declared", "T", "SOF", "W", 0, 0, 0 },
    { "TargetPortalGroupTag", "number", "declared", "T", "SO", "W", 0, 0, 65535 },
    { "InitialR2T", "boolean", "or", "IT", "O", "LWD", 1, 0, 1 },
    { "ImmediateData", "boolean", "and", "IT", "O", "LWD", 1, 0, 1 },
    { "MaxRecvDataSegmentLength", "number", "declared", "IT", "OF", "C", 8192, 512, 16777215 },
    { "MaxBurstLength", "number", "minimum", "IT", "O", "LWD", 262144, 512, 16777215 },
    { "FirstBurstLength", "number", "minimum", "IT", "O", "LWD", 65536, 512, 16777215 },
    { "DefaultTime2Wait", "number", "maximum", "IT", "O", "LW", 2, 0, 3600 },
    { "DefaultTime2Retain", "number", "minimum", "IT", "O", "LW", 20, 0, 3600 },
    { "MaxOutstandingR2T", "number", "minimum", "IT", "O", "LWD", 1, 1, 65535 },
    { "DataPDUInOrder", "boolean", "or", "IT", "O", "LWD", 1, 0, 1 },
    { "DataSequenceInOrder", "boolean", "or", "IT", "O", "LWD", 1, 0, 1 },
    { "ErrorRecoveryLevel", "number", "minimum", "IT", "O", "LW", 0, 0, 2 },
    { "SessionType", "list", "declared", "I", "SO", "LW", 0, 0, 0 },
    { "TaskReporting", "list", "first common choice", "IT", "O", "LWD", 0, 0, 0 },
    { "iSCSIProtocolLevel", "number", "minimum", "IT", "O", "LWD", 1, 0, 31 },
    { "IFMarker", "boolean", "No", "IT", "O", "C", 0, 0, 1 },
    { "OFMarker", "boolean", "No", "IT", "O", "C", 0, 0, 1 },
    { "IFMarkInt", "range", "Reject", "IT", "O", "C", 0, 0, 65535 },
    { "OFMarkInt", "range", "Reject", "IT", "O", "C", 0, 0, 65535 },
    { "AuthMethod", "list", "first common choice", "IT", "S", "C", 0, 0, 0 },
    { "CHAP_A", "list", "first common choice", "IT", "S", "C", 0, 0, 0 },
    { "CHAP_I", "number", "declared", "IT", "S", "C", 0, 0, 255 },
    { "CHAP_C", "binary", "declared", "IT", "S", "C", 0, 0, 0 },
    { "CHAP_N", "text", "declared", "IT", "S", "C", 0, 0, 0 },
    { "CHAP_R", "binary", "declared", "IT", "S", "C", 0, 0, 0 },
};

static void check_flag(const struct iscsi_key *key, unsigned flag, const char *letters, char letter)
{
    if (!!(key->flags & flag) != !!strchr(letters, letter))
        fail_msg("%s: '%c' differs from RFC 7143", key->name, letter);
}

static void table(void **st)
{
    (void)st;
    assert_int_equal(sizeof(rfc) / sizeof(rfc[0]), ISCSI_KEY_COUNT);
    for (size_t i = 0; i < ISCSI_KEY_COUNT; i++) {
        const struct iscsi_key *key = iscsi_key_find(rfc[i].name, strlen(rfc[i].name));
        assert_non_null(key);
        assert_string_equal(iscsi_key_type_name(key->type), rfc[i].type);
        assert_string_equal(iscsi_key_result_name(key->result), rfc[i].result);
        check_flag(key, ISCSI_KEY_F_INITIATOR, rfc[i].who, 'I');
        check_flag(key, ISCSI_KEY_F_TARGET, rfc[i].who, 'T');
        check_flag(key, ISCSI_KEY_F_SECURITY, rfc[i].when, 'S');
        check_flag(key, ISCSI_KEY_F_OPERATIONAL, rfc[i].when, 'O');
        check_flag(key, ISCSI_KEY_F_FULL_FEATURE, rfc[i].when, 'F');
        check_flag(key, ISCSI_KEY_F_LEADING, rfc[i].scope, 'L');
        check_flag(key, ISCSI_KEY_F_SESSION, rfc[i].scope, 'W');
        check_flag(key, ISCSI_KEY_F_NORMAL, rfc[i].scope, 'D');
        if (rfc[i].max) {
            assert_int_equal(key->min, rfc[i].min);
            assert_int_equal(key->max, rfc[i].max);
            assert_int_equal(key->def, rfc[i].def);
        }
        assert_true(strlen(key->name) <= ISCSI_KEY_NAME_MAX);
        assert_true(key->help && strlen(key->help) > 10);
        assert_true(key->clause && (key->clause[0] == '1'));
        assert_int_equal(key->type == ISCSI_KEY_TYPE_LIST, key->words != NULL);
    }
    assert_null(iscsi_key_find("X-com.example", 13));
    assert_null(iscsi_key_find("maxconnections", 14));
    assert_null(iscsi_key_find("MaxConnectionsX", 15));
    assert_null(iscsi_key_find("", 0));
}

static void defaults(void **st)
{
    (void)st;
    struct iscsi_params p;
    memset(&p, 0xff, sizeof(p));
    iscsi_params_init(&p);
    assert_int_equal(p.tx_data_segment, 8192);
    assert_int_equal(p.rx_data_segment, 8192);
    assert_int_equal(p.max_burst, 262144);
    assert_int_equal(p.first_burst, 65536);
    assert_int_equal(p.max_outstanding_r2t, 1);
    assert_int_equal(p.max_connections, 1);
    assert_int_equal(p.time2wait, 2);
    assert_int_equal(p.time2retain, 20);
    assert_int_equal(p.error_recovery_level, 0);
    assert_int_equal(p.protocol_level, 1);
    assert_true(p.initial_r2t && p.immediate_data);
    assert_true(p.data_pdu_in_order && p.data_sequence_in_order);
    assert_false(p.header_digest || p.data_digest);
    assert_false(p.task_reporting_fast_abort || p.task_reporting_rsp_fence);
}

static void printed(void **st)
{
    (void)st;
    static char buf[16384];
    struct wr w = wr_init(buf, sizeof(buf) - 1);
    iscsi_keys_print(&w);
    assert_false(wr_truncated(&w));
    buf[w.len] = '\0';
    assert_non_null(strstr(buf,
                           "\n| MaxBurstLength | number | 512 to 16777215 | 262144 | minimum | "
                           "initiator, target | operational | session, leading login only, "
                           "not in discovery | 13.13 | longest Data-In or solicited Data-Out "
                           "sequence, in bytes |\n"));
    assert_non_null(strstr(buf, "\n| HeaderDigest | list | CRC32C,None | None | first common "
                                "choice | initiator, target | operational | connection | 13.1 | "));
    assert_non_null(strstr(buf, "\n| TargetAlias | text | up to 255 bytes | none | declared | "
                                "target | security, operational, full feature | session | 13.6 |"));
    assert_non_null(strstr(buf, "\n| InitialR2T | boolean | Yes, No | Yes | or | "));
    size_t lines = 0;
    for (const char *p = buf; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 2 + ISCSI_KEY_COUNT);
}

/* ---- one key ---- */

static struct iscsi_params_cfg wide_config(void)
{
    return (struct iscsi_params_cfg){
        .max_recv_data_segment = 0xffffff,
        .max_burst = 0xffffff,
        .first_burst = 0xffffff,
        .max_outstanding_r2t = 65535,
        .max_connections = 65535,
        .time2wait = 0,
        .time2retain = 3600,
        .error_recovery_level = 2,
        .immediate_data = true,
        .header_digest = true,
        .data_digest = true,
        .response_fence = true,
        .fast_abort = true,
    };
}

/* Take "key=value" of the operational stage, compare the answer ("" for none). */
static int take(struct iscsi_nego *nego, const char *text, const char *want)
{
    struct iscsi_pair pair;
    char out[256];
    struct wr w = wr_init(out, sizeof(out) - 1);
    size_t pos = 0;
    bool ignore;
    assert_int_equal(iscsi_text_next(text, strlen(text) + 1, &pos, &pair), 1);
    const struct iscsi_key *key = iscsi_key_find(pair.key, pair.key_len);
    assert_non_null(key);
    int err = iscsi_nego_admit(nego, key, &pair, ISCSI_KEY_F_OPERATIONAL, &ignore);
    if (!err && !ignore)
        err = iscsi_nego_take(nego, key, &pair, &w);
    assert_false(wr_truncated(&w));
    out[w.len] = '\0';
    assert_string_equal(out, want);
    return err;
}

/* The same in a negotiation of its own, normal session, leading connection. */
static struct iscsi_params once(const struct iscsi_params_cfg *cfg, const char *text,
                                const char *want)
{
    struct iscsi_params params;
    struct iscsi_nego nego;
    iscsi_nego_init(&nego, cfg, &params, false);
    nego.leading = true;
    assert_int_equal(take(&nego, text, want), 0);
    return params;
}

/* A negotiated number at its limits, past them, and against a value of ours. */
static void number_key(const char *name, uint32_t low_of_config)
{
    const struct iscsi_key *key = iscsi_key_find(name, strlen(name));
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    char text[96], want[96];

    (void)snprintf(text, sizeof(text), "%s=%u", name, key->max);
    params = once(&cfg, text, text);
    assert_int_equal(iscsi_key_get(key, &params), key->max);

    (void)snprintf(text, sizeof(text), "%s=0x%x", name, key->min);
    (void)snprintf(want, sizeof(want), "%s=%u", name, key->min);
    params = once(&cfg, text, want);
    assert_int_equal(iscsi_key_get(key, &params), key->min);

    static const char *const bad[] = { "", "-1", "x", "?", "1 ", "18446744073709551616" };
    (void)snprintf(want, sizeof(want), "%s=Reject", name);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s=%s", name, bad[i]);
        params = once(&cfg, text, want);
        assert_int_equal(iscsi_key_get(key, &params), key->def);
    }
    (void)snprintf(text, sizeof(text), "%s=%u", name, key->max + 1);
    params = once(&cfg, text, want);
    assert_int_equal(iscsi_key_get(key, &params), key->def);
    if (key->min) {
        (void)snprintf(text, sizeof(text), "%s=%u", name, key->min - 1);
        params = once(&cfg, text, want);
        assert_int_equal(iscsi_key_get(key, &params), key->def);
    }
    if (!low_of_config)
        return;
    memcpy((char *)&cfg + key->cfg_at, &low_of_config, key->cfg_bytes); /* little-endian */
    uint32_t offer = low_of_config + 1, low = low_of_config;
    (void)snprintf(text, sizeof(text), "%s=%u", name, offer);
    (void)snprintf(want, sizeof(want), "%s=%u", name, key->result == ISCSI_KEY_MIN ? low : offer);
    (void)once(&cfg, text, want);
    (void)snprintf(text, sizeof(text), "%s=%u", name, low - 1);
    (void)snprintf(want, sizeof(want), "%s=%u", name, key->result == ISCSI_KEY_MIN ? low - 1 : low);
    (void)once(&cfg, text, want);
}

static void numbers(void **st)
{
    (void)st;
    number_key("MaxConnections", 8);
    number_key("MaxBurstLength", 65536);
    number_key("DefaultTime2Wait", 5);
    number_key("DefaultTime2Retain", 30);
    number_key("MaxOutstandingR2T", 4);
    number_key("ErrorRecoveryLevel", 1);
}

/* 13.14: FirstBurstLength is bound by MaxBurstLength. */
static void first_burst(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    struct iscsi_nego nego;
    /* MaxBurstLength has its default */
    params = once(&cfg, "FirstBurstLength=16777215", "FirstBurstLength=262144");
    assert_int_equal(params.first_burst, 262144);
    (void)once(&cfg, "FirstBurstLength=512", "FirstBurstLength=512");
    (void)once(&cfg, "FirstBurstLength=511", "FirstBurstLength=Reject");
    (void)once(&cfg, "FirstBurstLength=16777216", "FirstBurstLength=Reject");
    cfg.first_burst = 4096;
    (void)once(&cfg, "FirstBurstLength=65536", "FirstBurstLength=4096");

    cfg = wide_config();
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = true;
    assert_int_equal(take(&nego, "MaxBurstLength=16384", "MaxBurstLength=16384"), 0);
    assert_int_equal(take(&nego, "FirstBurstLength=65536", "FirstBurstLength=16384"), 0);
    assert_int_equal(params.first_burst, 16384);

    /* the other way round, in a later request */
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = true;
    assert_int_equal(take(&nego, "FirstBurstLength=65536", "FirstBurstLength=65536"), 0);
    assert_int_equal(take(&nego, "MaxBurstLength=16384", "MaxBurstLength=16384"), 0);
    assert_int_equal(params.first_burst, 16384);

    /* no unsolicited data at all: no meaning */
    cfg.initial_r2t = true;
    cfg.immediate_data = false;
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = true;
    assert_int_equal(take(&nego, "InitialR2T=No", "InitialR2T=Yes"), 0);
    assert_int_equal(take(&nego, "ImmediateData=Yes", "ImmediateData=No"), 0);
    assert_int_equal(take(&nego, "FirstBurstLength=65536", "FirstBurstLength=Irrelevant"), 0);
}

static void booleans(void **st)
{
    (void)st;
    static const struct {
        const char *name;
        bool ours, offer, result;
    } cases[] = {
        { "InitialR2T", false, false, false },
        { "InitialR2T", false, true, true },
        { "InitialR2T", true, false, true },
        { "InitialR2T", true, true, true },
        { "ImmediateData", false, false, false },
        { "ImmediateData", false, true, false },
        { "ImmediateData", true, false, false },
        { "ImmediateData", true, true, true },
        { "DataPDUInOrder", false, false, false },
        { "DataPDUInOrder", false, true, true },
        { "DataPDUInOrder", true, false, true },
        { "DataPDUInOrder", true, true, true },
        { "DataSequenceInOrder", false, false, false },
        { "DataSequenceInOrder", false, true, true },
        { "DataSequenceInOrder", true, false, true },
        { "DataSequenceInOrder", true, true, true },
    };
    char text[64], want[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct iscsi_key *key = iscsi_key_find(cases[i].name, strlen(cases[i].name));
        struct iscsi_params_cfg cfg = wide_config();
        memcpy((char *)&cfg + key->cfg_at, &cases[i].ours, 1);
        (void)snprintf(text, sizeof(text), "%s=%s", key->name, cases[i].offer ? "Yes" : "No");
        (void)snprintf(want, sizeof(want), "%s=%s", key->name, cases[i].result ? "Yes" : "No");
        struct iscsi_params params = once(&cfg, text, want);
        assert_int_equal(iscsi_key_get(key, &params), cases[i].result);
        (void)snprintf(text, sizeof(text), "%s=yes", key->name);
        (void)snprintf(want, sizeof(want), "%s=Reject", key->name);
        params = once(&cfg, text, want);
        assert_int_equal(iscsi_key_get(key, &params), 1);
    }
}

static void digests(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params p;
    p = once(&cfg, "HeaderDigest=CRC32C,None", "HeaderDigest=CRC32C");
    assert_true(p.header_digest && !p.data_digest);
    p = once(&cfg, "DataDigest=None,CRC32C", "DataDigest=None");
    assert_false(p.data_digest);
    p = once(&cfg, "DataDigest=X-com.example.sha,CRC32C", "DataDigest=CRC32C");
    assert_true(p.data_digest);
    (void)once(&cfg, "DataDigest=crc32c", "DataDigest=Reject");
    (void)once(&cfg, "DataDigest=?", "DataDigest=Reject");
    (void)once(&cfg, "DataDigest=", "DataDigest=Reject");
    cfg.header_digest = false;
    p = once(&cfg, "HeaderDigest=CRC32C,None", "HeaderDigest=None");
    assert_false(p.header_digest);
    (void)once(&cfg, "HeaderDigest=CRC32C", "HeaderDigest=Reject");
    cfg.header_digest_required = true;
    p = once(&cfg, "HeaderDigest=None,CRC32C", "HeaderDigest=CRC32C");
    assert_true(p.header_digest);
    (void)once(&cfg, "HeaderDigest=None", "HeaderDigest=Reject");
}

static void task_reporting(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params p;
    p = once(&cfg, "TaskReporting=FastAbort,ResponseFence,RFC3720", "TaskReporting=FastAbort");
    assert_true(p.task_reporting_fast_abort && p.task_reporting_rsp_fence);
    p = once(&cfg, "TaskReporting=ResponseFence,FastAbort", "TaskReporting=ResponseFence");
    assert_true(!p.task_reporting_fast_abort && p.task_reporting_rsp_fence);
    p = once(&cfg, "TaskReporting=RFC3720", "TaskReporting=RFC3720");
    assert_true(!p.task_reporting_fast_abort && !p.task_reporting_rsp_fence);
    cfg.fast_abort = false;
    p = once(&cfg, "TaskReporting=FastAbort,ResponseFence", "TaskReporting=ResponseFence");
    assert_true(!p.task_reporting_fast_abort && p.task_reporting_rsp_fence);
    (void)once(&cfg, "TaskReporting=FastAbort", "TaskReporting=Reject");
    cfg.response_fence = false;
    p = once(&cfg, "TaskReporting=FastAbort,ResponseFence,RFC3720", "TaskReporting=RFC3720");
    assert_true(!p.task_reporting_fast_abort && !p.task_reporting_rsp_fence);
}

static void protocol_level(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    assert_int_equal(once(&cfg, "iSCSIProtocolLevel=1", "iSCSIProtocolLevel=1").protocol_level, 1);
    assert_int_equal(once(&cfg, "iSCSIProtocolLevel=2", "iSCSIProtocolLevel=2").protocol_level, 2);
    assert_int_equal(once(&cfg, "iSCSIProtocolLevel=31", "iSCSIProtocolLevel=2").protocol_level, 2);
    assert_int_equal(once(&cfg, "iSCSIProtocolLevel=0", "iSCSIProtocolLevel=0").protocol_level, 0);
    (void)once(&cfg, "iSCSIProtocolLevel=32", "iSCSIProtocolLevel=Reject");
}

/* 13.25: never NotUnderstood */
static void obsolete(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    (void)once(&cfg, "IFMarker=Yes", "IFMarker=No");
    (void)once(&cfg, "OFMarker=No", "OFMarker=No");
    (void)once(&cfg, "IFMarkInt=2048~8192", "IFMarkInt=Reject");
    (void)once(&cfg, "OFMarkInt=512", "OFMarkInt=Reject");
}

static void declarations(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    struct iscsi_nego nego;
    char alias[15 + 256 + 1] = "InitiatorAlias=";
    assert_int_equal(once(&cfg, "MaxRecvDataSegmentLength=512", "").tx_data_segment, 512);
    assert_int_equal(once(&cfg, "MaxRecvDataSegmentLength=16777215", "").tx_data_segment, 16777215);
    static const char *const bad[] = { "MaxRecvDataSegmentLength=511",
                                       "MaxRecvDataSegmentLength=16777216",
                                       "MaxRecvDataSegmentLength=",
                                       "TargetAlias=x",
                                       "TargetPortalGroupTag=1",
                                       "TargetAddress=1.2.3.4",
                                       "SendTargets=All",
                                       "AuthMethod=None",
                                       "CHAP_A=5" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        iscsi_nego_init(&nego, &cfg, &params, false);
        nego.leading = true;
        assert_int_equal(take(&nego, bad[i], ""), USAN_EPROTO);
        assert_int_equal(params.tx_data_segment, 8192);
    }
    memset(alias + 15, 'a', 255);
    (void)once(&cfg, alias, "");
    alias[15 + 255] = 'a';
    iscsi_nego_init(&nego, &cfg, &params, false);
    assert_int_equal(take(&nego, alias, ""), USAN_EPROTO);
}

static void discovery_and_joining(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    struct iscsi_nego nego;
    char text[96], want[96];
    for (size_t i = 0; i < ISCSI_KEY_COUNT; i++) {
        const struct iscsi_key *key = &iscsi_keys[i];
        const char *value = key->type == ISCSI_KEY_TYPE_BOOL   ? "Yes"
                            : key->type == ISCSI_KEY_TYPE_LIST ? key->def_of
                                                               : "1024";
        if (!(key->flags & ISCSI_KEY_F_OPERATIONAL) || key->result == ISCSI_KEY_DECLARE || !value)
            continue;
        (void)snprintf(text, sizeof(text), "%s=%s", key->name, value);
        iscsi_nego_init(&nego, &cfg, &params, false);
        nego.leading = nego.discovery = true;
        if (key->flags & ISCSI_KEY_F_NORMAL) {
            (void)snprintf(want, sizeof(want), "%s=Irrelevant", key->name);
            assert_int_equal(take(&nego, text, want), 0);
        }
        iscsi_nego_init(&nego, &cfg, &params, false);
        if (key->flags & ISCSI_KEY_F_LEADING) {
            (void)snprintf(want, sizeof(want), "%s=Reject", key->name);
            assert_int_equal(take(&nego, text, want), 0);
        }
    }
    iscsi_nego_init(&nego, &cfg, &params, false);
    assert_int_equal(take(&nego, "DataDigest=CRC32C", "DataDigest=CRC32C"), 0);
    assert_true(params.data_digest);
}

static void protocol_errors(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    struct iscsi_nego nego;
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = true;
    assert_int_equal(take(&nego, "MaxBurstLength=65536", "MaxBurstLength=65536"), 0);
    assert_int_equal(take(&nego, "MaxBurstLength=65536", ""), USAN_EPROTO); /* twice */
    assert_int_equal(take(&nego, "InitialR2T=Reject", ""), USAN_EPROTO);
    assert_int_equal(take(&nego, "ImmediateData=NotUnderstood", ""), USAN_EPROTO);
    assert_int_equal(take(&nego, "HeaderDigest=Irrelevant", ""), USAN_EPROTO);
}

/* ---- what a target offers ---- */

static unsigned offers(struct iscsi_nego *nego, const char *want)
{
    char out[1024];
    struct wr w = wr_init(out, sizeof(out) - 1);
    unsigned n = iscsi_nego_offer(nego, &w);
    for (size_t i = 0; i < w.len; i++)
        out[i] = out[i] ? out[i] : '|';
    out[w.len] = '\0';
    assert_string_equal(out, want);
    return n;
}

static void own_offers(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    struct iscsi_nego nego;
    /* defaults suit: nothing */
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = true;
    assert_int_equal(offers(&nego, ""), 0);
    assert_int_equal(iscsi_nego_finish(&nego), 0);

    cfg.max_burst = 32768;
    cfg.time2wait = 7;
    cfg.time2retain = 0;
    cfg.immediate_data = false;
    cfg.data_digest_required = true;
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = true;
    assert_int_equal(take(&nego, "DefaultTime2Retain=20", "DefaultTime2Retain=0"), 0);
    assert_int_equal(offers(&nego, "DataDigest=CRC32C|ImmediateData=No|MaxBurstLength=32768|"
                                   "DefaultTime2Wait=7|"),
                     4);
    assert_int_equal(offers(&nego, ""), 0);
    assert_false(params.immediate_data); /* our offer alone decides */
    assert_int_equal(take(&nego, "DataDigest=CRC32C", ""), 0);
    assert_int_equal(take(&nego, "MaxBurstLength=16384", ""), 0);
    assert_int_equal(take(&nego, "DefaultTime2Wait=9", ""), 0);
    assert_int_equal(iscsi_nego_finish(&nego), 0);
    assert_true(params.data_digest);
    assert_int_equal(params.max_burst, 16384);
    assert_int_equal(params.first_burst, 16384);
    assert_int_equal(params.time2wait, 9);

    /* a discovery session only has to be read */
    iscsi_nego_init(&nego, &cfg, &params, false);
    nego.leading = nego.discovery = true;
    assert_int_equal(offers(&nego, "DataDigest=CRC32C|"), 1);
}

static void answers_to_offers(void **st)
{
    (void)st;
    struct iscsi_params_cfg cfg = wide_config();
    struct iscsi_params params;
    struct iscsi_nego nego;
    cfg.max_burst = 32768;
    static const struct {
        const char *answer;
        int err;
        uint32_t max_burst;
    } cases[] = {
        { "MaxBurstLength=32768", 0, 32768 },          { "MaxBurstLength=512", 0, 512 },
        { "MaxBurstLength=32769", USAN_EPROTO, 0 },    { "MaxBurstLength=511", USAN_EPROTO, 0 },
        { "MaxBurstLength=x", USAN_EPROTO, 0 },        { "MaxBurstLength=Reject", 0, 262144 },
        { "MaxBurstLength=NotUnderstood", 0, 262144 }, { NULL, 0, 32768 }, /* passed over */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        iscsi_nego_init(&nego, &cfg, &params, false);
        nego.leading = true;
        /* FirstBurstLength is bound to go with it */
        cfg.first_burst = 4096;
        assert_int_equal(take(&nego, "FirstBurstLength=4096", "FirstBurstLength=4096"), 0);
        assert_int_equal(offers(&nego, "MaxBurstLength=32768|"), 1);
        if (cases[i].answer)
            assert_int_equal(take(&nego, cases[i].answer, ""), cases[i].err);
        if (cases[i].err)
            continue;
        assert_int_equal(iscsi_nego_finish(&nego), 0);
        assert_int_equal(params.max_burst, cases[i].max_burst);
    }
    cfg = wide_config();
    cfg.header_digest_required = true;
    static const char *const refusals[] = { "HeaderDigest=Reject", "HeaderDigest=NotUnderstood" };
    for (size_t i = 0; i < 2; i++) {
        iscsi_nego_init(&nego, &cfg, &params, false);
        assert_int_equal(offers(&nego, "HeaderDigest=CRC32C|"), 1);
        assert_int_equal(take(&nego, refusals[i], ""), 0);
        assert_int_equal(iscsi_nego_finish(&nego), USAN_EPROTO);
    }
    iscsi_nego_init(&nego, &cfg, &params, false);
    assert_int_equal(offers(&nego, "HeaderDigest=CRC32C|"), 1);
    assert_int_equal(take(&nego, "HeaderDigest=None", ""), USAN_EPROTO);
    iscsi_nego_init(&nego, &cfg, &params, false);
    assert_int_equal(offers(&nego, "HeaderDigest=CRC32C|"), 1);
    assert_int_equal(iscsi_nego_finish(&nego), USAN_EPROTO);
}

/* ---- full feature phase ---- */

static int negotiate(const char *text, size_t len, struct iscsi_params *params, const char *want)
{
    struct iscsi_params_cfg cfg = wide_config();
    char out[512];
    size_t out_len = 0;
    int err = iscsi_text_negotiate(text, len, &cfg, params, out, sizeof(out) - 1, &out_len);
    if (err)
        return err;
    for (size_t i = 0; i < out_len; i++)
        out[i] = out[i] ? out[i] : '|';
    out[out_len] = '\0';
    assert_string_equal(out, want);
    return 0;
}

#define NEGOTIATE(text, params, want) negotiate(text, sizeof(text), params, want)

static void full_feature(void **st)
{
    (void)st;
    struct iscsi_params params;
    iscsi_params_init(&params);
    params.max_burst = 4711;
    assert_int_equal(NEGOTIATE("MaxRecvDataSegmentLength=65536", &params, ""), 0);
    assert_int_equal(params.tx_data_segment, 65536);
    assert_int_equal(
        NEGOTIATE("MaxRecvDataSegmentLength=511", &params, "MaxRecvDataSegmentLength=Reject|"), 0);
    assert_int_equal(params.tx_data_segment, 65536);
    assert_int_equal(NEGOTIATE("X-com.example.k=1\0InitiatorAlias=me\0MaxBurstLength=512\0"
                               "TargetAlias=you\0HeaderDigest=None\0AuthMethod=None\0"
                               "SendTargets=All\0K=NotUnderstood",
                               &params,
                               "X-com.example.k=NotUnderstood|MaxBurstLength=Reject|"
                               "TargetAlias=Reject|HeaderDigest=Reject|AuthMethod=Reject|"
                               "SendTargets=Reject|"),
                     0);
    assert_int_equal(params.max_burst, 4711);
    assert_int_equal(negotiate("", 0, &params, ""), 0);
    /* a failed negotiation changes nothing */
    assert_int_equal(
        NEGOTIATE("MaxRecvDataSegmentLength=1024\0MaxRecvDataSegmentLength=1024", &params, ""),
        USAN_EPROTO);
    assert_int_equal(NEGOTIATE("MaxRecvDataSegmentLength=1024\0junk", &params, ""), USAN_EPROTO);
    assert_int_equal(negotiate("MaxRecvDataSegmentLength=1024", 29, &params, ""), USAN_EPROTO);
    assert_int_equal(params.tx_data_segment, 65536);

    struct iscsi_params_cfg cfg = wide_config();
    char out[8];
    size_t out_len = 99;
    assert_int_equal(iscsi_text_negotiate("Foo=1", 6, &cfg, &params, out, sizeof(out), &out_len),
                     USAN_ELIMIT);
    assert_int_equal(out_len, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(defaults),
        cmocka_unit_test(printed),
        cmocka_unit_test(numbers),
        cmocka_unit_test(first_burst),
        cmocka_unit_test(booleans),
        cmocka_unit_test(digests),
        cmocka_unit_test(task_reporting),
        cmocka_unit_test(protocol_level),
        cmocka_unit_test(obsolete),
        cmocka_unit_test(declarations),
        cmocka_unit_test(discovery_and_joining),
        cmocka_unit_test(protocol_errors),
        cmocka_unit_test(own_offers),
        cmocka_unit_test(answers_to_offers),
        cmocka_unit_test(full_feature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
