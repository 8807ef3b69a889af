/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/keys.h"

#include <assert.h>

/* Who may send a key and when, in the words of RFC 7143 section 13. */
#define I                    ISCSI_KEY_F_INITIATOR
#define T                    ISCSI_KEY_F_TARGET
#define SEC                  ISCSI_KEY_F_SECURITY
#define OP                   ISCSI_KEY_F_OPERATIONAL
#define FFP                  ISCSI_KEY_F_FULL_FEATURE
#define ANY                  (SEC | OP)
#define LO                   ISCSI_KEY_F_LEADING
#define SW                   ISCSI_KEY_F_SESSION
#define NRM                  ISCSI_KEY_F_NORMAL
#define REP                  ISCSI_KEY_F_REPEAT
#define EARLY                ISCSI_KEY_F_EARLY

#define NUMBER(lo, hi, dflt) .type = ISCSI_KEY_TYPE_NUMBER, .min = (lo), .max = (hi), .def = (dflt)
#define BOOL(dflt)           .type = ISCSI_KEY_TYPE_BOOL, .max = 1, .def = (dflt)
#define LIST(of, dflt)                                                                             \
    .type = ISCSI_KEY_TYPE_LIST, .words = (of), .def_of = (dflt), .max = ISCSI_VALUE_LONG_MAX
#define NAME       .type = ISCSI_KEY_TYPE_NAME, .max = ISCSI_NAME_MAX
#define TEXT(hi)   .type = ISCSI_KEY_TYPE_TEXT, .max = (hi)
#define BINARY(hi) .type = ISCSI_KEY_TYPE_BINARY, .max = (hi)
/* The same member name in what we offer and in what was negotiated. */
#define MEMBER(f)                                                                                  \
    .cfg_at = offsetof(struct iscsi_params_cfg, f),                                                \
    .cfg_bytes = sizeof(((struct iscsi_params_cfg *)0)->f),                                        \
    .params_at = offsetof(struct iscsi_params, f),                                                 \
    .params_bytes = sizeof(((struct iscsi_params *)0)->f)

/* One key a paragraph; the columns are ours. */
/* clang-format off */
const struct iscsi_key iscsi_keys[ISCSI_KEY_COUNT] = {
    [ISCSI_KEY_AUTH_METHOD] = {
        "AuthMethod", LIST("CHAP,None", NULL), .result = ISCSI_KEY_CHOOSE,
        .flags = I | T | SEC, .clause = "12.1",
        .help = "how the initiator, and perhaps the target, proves who it is",
    },
    [ISCSI_KEY_CHAP_A] = {
        "CHAP_A", LIST("5,6,7,8", NULL), .result = ISCSI_KEY_CHOOSE,
        .flags = I | T | SEC, .clause = "12.1.3",
        .help = "hash of CHAP: 5 MD5, 6 SHA-1, 7 SHA-256, 8 SHA3-256",
    },
    [ISCSI_KEY_CHAP_I] = {
        "CHAP_I", NUMBER(0, 255, 0), .result = ISCSI_KEY_DECLARE,
        .flags = I | T | SEC, .clause = "12.1.3",
        .help = "identifier of a CHAP challenge",
    },
    [ISCSI_KEY_CHAP_C] = {
        "CHAP_C", BINARY(ISCSI_BINARY_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = I | T | SEC, .clause = "12.1.3",
        .help = "CHAP challenge",
    },
    [ISCSI_KEY_CHAP_N] = {
        "CHAP_N", TEXT(ISCSI_VALUE_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = I | T | SEC, .clause = "12.1.3",
        .help = "name of the CHAP user",
    },
    [ISCSI_KEY_CHAP_R] = {
        "CHAP_R", BINARY(ISCSI_BINARY_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = I | T | SEC, .clause = "12.1.3",
        .help = "CHAP response",
    },

    [ISCSI_KEY_INITIATOR_NAME] = {
        "InitiatorName", NAME, .result = ISCSI_KEY_DECLARE,
        .flags = I | ANY | SW, .clause = "13.5",
        .help = "iSCSI name of the initiator; in the first request of every login",
    },
    [ISCSI_KEY_INITIATOR_ALIAS] = {
        "InitiatorAlias", TEXT(ISCSI_VALUE_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = I | ANY | FFP | SW, .clause = "13.7",
        .help = "name of the initiator for humans",
    },
    [ISCSI_KEY_TARGET_NAME] = {
        "TargetName", NAME, .result = ISCSI_KEY_DECLARE,
        .flags = I | ANY | SW, .clause = "13.4",
        .help = "iSCSI name of the target; not needed in a discovery session",
    },
    [ISCSI_KEY_TARGET_ALIAS] = {
        "TargetAlias", TEXT(ISCSI_VALUE_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = T | ANY | FFP | SW, .clause = "13.6",
        .help = "name of the target for humans",
    },
    [ISCSI_KEY_TARGET_ADDRESS] = {
        "TargetAddress", TEXT(ISCSI_VALUE_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = T | ANY | FFP | SW | REP, .clause = "13.8",
        .help = "address[:port][,portal group tag] of a target",
    },
    [ISCSI_KEY_TARGET_PORTAL_GROUP_TAG] = {
        "TargetPortalGroupTag", NUMBER(0, 65535, 0), .result = ISCSI_KEY_DECLARE,
        .flags = T | ANY | SW, .clause = "13.9",
        .help = "portal group of the portal the login came to",
    },
    [ISCSI_KEY_SESSION_TYPE] = {
        "SessionType", LIST("Discovery,Normal", "Normal"), .result = ISCSI_KEY_DECLARE,
        .flags = I | ANY | SW | LO, .clause = "13.21",
        .help = "what the session is for",
    },
    [ISCSI_KEY_SEND_TARGETS] = {
        "SendTargets", TEXT(ISCSI_VALUE_MAX), .result = ISCSI_KEY_DECLARE,
        .flags = I | FFP | SW, .clause = "13.3",
        .help = "ask for the names and addresses of targets",
    },
    [ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH] = {
        "MaxRecvDataSegmentLength", NUMBER(512, 0xffffff, 8192), .result = ISCSI_KEY_DECLARE,
        .flags = I | T | OP | FFP, .clause = "13.12",
        .cfg_at = offsetof(struct iscsi_params_cfg, max_recv_data_segment),
        .cfg_bytes = sizeof(((struct iscsi_params_cfg *)0) ->max_recv_data_segment),
        .params_at = offsetof(struct iscsi_params, tx_data_segment),
        .params_bytes = sizeof( ((struct iscsi_params *)0)->tx_data_segment),
        .help = "longest data segment its sender takes, in bytes",
    },

    [ISCSI_KEY_HEADER_DIGEST] = {
        "HeaderDigest", LIST("CRC32C,None", "None"), .result = ISCSI_KEY_CHOOSE,
        .flags = I | T | OP, MEMBER(header_digest), .clause = "13.1",
        .help = "digest over PDU headers",
    },
    [ISCSI_KEY_DATA_DIGEST] = {
        "DataDigest", LIST("CRC32C,None", "None"), .result = ISCSI_KEY_CHOOSE,
        .flags = I | T | OP, MEMBER(data_digest), .clause = "13.1",
        .help = "digest over PDU data",
    },
    [ISCSI_KEY_MAX_CONNECTIONS] = {
        "MaxConnections", NUMBER(1, 65535, 1), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW | NRM, MEMBER(max_connections), .clause = "13.2",
        .help = "connections the session may have",
    },
    [ISCSI_KEY_INITIAL_R2T] = {
        "InitialR2T", BOOL(1), .result = ISCSI_KEY_OR,
        .flags = I | T | OP | LO | SW | NRM | EARLY, MEMBER(initial_r2t), .clause = "13.10",
        .help = "the initiator waits for an R2T before it sends Data-Out PDUs",
    },
    [ISCSI_KEY_IMMEDIATE_DATA] = {
        "ImmediateData", BOOL(1), .result = ISCSI_KEY_AND,
        .flags = I | T | OP | LO | SW | NRM | EARLY, MEMBER(immediate_data), .clause = "13.11",
        .help = "commands may carry the start of their data",
    },
    [ISCSI_KEY_MAX_BURST_LENGTH] = {
        "MaxBurstLength", NUMBER(512, 0xffffff, 262144), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW | NRM | EARLY, MEMBER(max_burst), .clause = "13.13",
        .help = "longest Data-In or solicited Data-Out sequence, in bytes",
    },
    [ISCSI_KEY_FIRST_BURST_LENGTH] = {
        "FirstBurstLength", NUMBER(512, 0xffffff, 65536), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW | NRM, MEMBER(first_burst), .clause = "13.14",
        .help = "most unsolicited data of a command, in bytes",
    },
    [ISCSI_KEY_DEFAULT_TIME2WAIT] = {
        "DefaultTime2Wait", NUMBER(0, 3600, 2), .result = ISCSI_KEY_MAX,
        .flags = I | T | OP | LO | SW, MEMBER(time2wait), .clause = "13.15",
        .help = "seconds to wait before a lost connection is reinstated",
    },
    [ISCSI_KEY_DEFAULT_TIME2RETAIN] = {
        "DefaultTime2Retain", NUMBER(0, 3600, 20), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW, MEMBER(time2retain), .clause = "13.16",
        .help = "seconds after that until tasks are given up",
    },
    [ISCSI_KEY_MAX_OUTSTANDING_R2T] = {
        "MaxOutstandingR2T", NUMBER(1, 65535, 1), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW | NRM, MEMBER(max_outstanding_r2t), .clause = "13.17",
        .help = "R2Ts a task may have outstanding",
    },
    [ISCSI_KEY_DATA_PDU_IN_ORDER] = {
        "DataPDUInOrder", BOOL(1), .result = ISCSI_KEY_OR,
        .flags = I | T | OP | LO | SW | NRM, MEMBER(data_pdu_in_order), .clause = "13.18",
        .help = "data PDUs of a sequence come at rising offsets",
    },
    [ISCSI_KEY_DATA_SEQUENCE_IN_ORDER] = {
        "DataSequenceInOrder", BOOL(1), .result = ISCSI_KEY_OR,
        .flags = I | T | OP | LO | SW | NRM, MEMBER(data_sequence_in_order), .clause = "13.19",
        .help = "sequences of a command come at rising offsets",
    },
    [ISCSI_KEY_ERROR_RECOVERY_LEVEL] = {
        "ErrorRecoveryLevel", NUMBER(0, 2, 0), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW | EARLY, MEMBER(error_recovery_level), .clause = "13.20",
        .help = "0 session, 1 digest failure, 2 connection recovery",
    },
    [ISCSI_KEY_TASK_REPORTING] = {
        "TaskReporting", LIST("RFC3720,ResponseFence,FastAbort", "RFC3720"),
        .result = ISCSI_KEY_CHOOSE,
        .flags = I | T | OP | LO | SW | NRM, .clause = "13.23",
        .help = "how the end of aborted tasks is reported",
    },
    [ISCSI_KEY_PROTOCOL_LEVEL] = {
        "iSCSIProtocolLevel", NUMBER(0, 31, 1), .result = ISCSI_KEY_MIN,
        .flags = I | T | OP | LO | SW | NRM, .clause = "13.24",
        .params_at = offsetof(struct iscsi_params, protocol_level),
        .params_bytes = sizeof(((struct iscsi_params *)0)->protocol_level),
        .help = "1 RFC 7143, 2 RFC 7144",
    },

    [ISCSI_KEY_IF_MARKER] = {
        "IFMarker", BOOL(0), .result = ISCSI_KEY_ANSWER_NO,
        .flags = I | T | OP, .clause = "13.25",
        .help = "obsolete: markers towards the initiator",
    },
    [ISCSI_KEY_OF_MARKER] = {
        "OFMarker", BOOL(0), .result = ISCSI_KEY_ANSWER_NO,
        .flags = I | T | OP, .clause = "13.25",
        .help = "obsolete: markers towards the target",
    },
    [ISCSI_KEY_IF_MARK_INT] = {
        "IFMarkInt", .type = ISCSI_KEY_TYPE_RANGE, .max = 65535, .result = ISCSI_KEY_ANSWER_REJECT,
        .flags = I | T | OP, .clause = "13.25",
        .help = "obsolete: their distance",
    },
    [ISCSI_KEY_OF_MARK_INT] = {
        "OFMarkInt", .type = ISCSI_KEY_TYPE_RANGE, .max = 65535, .result = ISCSI_KEY_ANSWER_REJECT,
        .flags = I | T | OP, .clause = "13.25",
        .help = "obsolete: their distance",
    },
};
/* clang-format on */

const struct iscsi_key *iscsi_key_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ISCSI_KEY_COUNT; i++) {
        if (iscsi_item_is(name, len, iscsi_keys[i].name))
            return &iscsi_keys[i];
    }
    return NULL;
}

static uint32_t load(const void *base, uint8_t at, uint8_t bytes)
{
    const uint8_t *p = (const uint8_t *)base + at;
    uint32_t v32;
    uint16_t v16;
    switch (bytes) {
    case 1:
        return *p;
    case 2:
        memcpy(&v16, p, 2);
        return v16;
    default:
        assert(bytes == 4);
        memcpy(&v32, p, 4);
        return v32;
    }
}

uint32_t iscsi_key_cfg(const struct iscsi_key *key, const struct iscsi_params_cfg *cfg)
{
    return load(cfg, key->cfg_at, key->cfg_bytes);
}

uint32_t iscsi_key_get(const struct iscsi_key *key, const struct iscsi_params *params)
{
    return load(params, key->params_at, key->params_bytes);
}

void iscsi_key_set(const struct iscsi_key *key, struct iscsi_params *params, uint32_t value)
{
    uint8_t *p = (uint8_t *)params + key->params_at;
    uint16_t v16 = (uint16_t)value;
    uint8_t v8 = (uint8_t)value;
    switch (key->params_bytes) {
    case 1:
        assert(value <= UINT8_MAX);
        memcpy(p, &v8, 1);
        break;
    case 2:
        assert(value <= UINT16_MAX);
        memcpy(p, &v16, 2);
        break;
    default:
        assert(key->params_bytes == 4);
        memcpy(p, &value, 4);
        break;
    }
}

void iscsi_params_init(struct iscsi_params *params)
{
    memset(params, 0, sizeof(*params));
    for (size_t i = 0; i < ISCSI_KEY_COUNT; i++) {
        if (iscsi_keys[i].params_bytes)
            iscsi_key_set(&iscsi_keys[i], params, iscsi_keys[i].def);
    }
    params->rx_data_segment = iscsi_keys[ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH].def;
}

void iscsi_params_join(struct iscsi_params *params, const struct iscsi_params *sess)
{
    struct iscsi_params own = *params;
    *params = *sess;
    params->tx_data_segment = own.tx_data_segment;
    params->rx_data_segment = own.rx_data_segment;
    params->header_digest = own.header_digest;
    params->data_digest = own.data_digest;
}
