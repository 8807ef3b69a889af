/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every text key of RFC 7143 sections 12 and 13 and of RFC 7144 in one const table, read by the
 * negotiation, the documentation and the tests.
 */
#ifndef USAN_ISCSI_KEYS_H
#define USAN_ISCSI_KEYS_H

#include "iscsi/params.h"
#include "iscsi/text.h"

enum iscsi_key_id {
    /* security stage */
    ISCSI_KEY_AUTH_METHOD,
    ISCSI_KEY_CHAP_A,
    ISCSI_KEY_CHAP_I,
    ISCSI_KEY_CHAP_C,
    ISCSI_KEY_CHAP_N,
    ISCSI_KEY_CHAP_R,
    /* names and other declarations */
    ISCSI_KEY_INITIATOR_NAME,
    ISCSI_KEY_INITIATOR_ALIAS,
    ISCSI_KEY_TARGET_NAME,
    ISCSI_KEY_TARGET_ALIAS,
    ISCSI_KEY_TARGET_ADDRESS,
    ISCSI_KEY_TARGET_PORTAL_GROUP_TAG,
    ISCSI_KEY_SESSION_TYPE,
    ISCSI_KEY_SEND_TARGETS,
    ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH,
    /* operational parameters */
    ISCSI_KEY_HEADER_DIGEST,
    ISCSI_KEY_DATA_DIGEST,
    ISCSI_KEY_MAX_CONNECTIONS,
    ISCSI_KEY_INITIAL_R2T,
    ISCSI_KEY_IMMEDIATE_DATA,
    ISCSI_KEY_MAX_BURST_LENGTH,
    ISCSI_KEY_FIRST_BURST_LENGTH,
    ISCSI_KEY_DEFAULT_TIME2WAIT,
    ISCSI_KEY_DEFAULT_TIME2RETAIN,
    ISCSI_KEY_MAX_OUTSTANDING_R2T,
    ISCSI_KEY_DATA_PDU_IN_ORDER,
    ISCSI_KEY_DATA_SEQUENCE_IN_ORDER,
    ISCSI_KEY_ERROR_RECOVERY_LEVEL,
    ISCSI_KEY_TASK_REPORTING,
    ISCSI_KEY_PROTOCOL_LEVEL,
    /* obsolete, RFC 7143 13.25 */
    ISCSI_KEY_IF_MARKER,
    ISCSI_KEY_OF_MARKER,
    ISCSI_KEY_IF_MARK_INT,
    ISCSI_KEY_OF_MARK_INT,
    ISCSI_KEY_COUNT
};

/* What a value looks like. */
enum iscsi_key_type {
    ISCSI_KEY_TYPE_LIST,   /* words of `words`, in the sender's order of preference */
    ISCSI_KEY_TYPE_NUMBER, /* min..max */
    ISCSI_KEY_TYPE_BOOL,   /* Yes, No */
    ISCSI_KEY_TYPE_NAME,   /* an iSCSI name */
    ISCSI_KEY_TYPE_TEXT,   /* max bytes of UTF-8 */
    ISCSI_KEY_TYPE_BINARY, /* max bytes in hexadecimal or base64 */
    ISCSI_KEY_TYPE_RANGE,  /* number~number; only in obsolete keys */
};

/* How the answer follows from the offer and our own value. */
enum iscsi_key_result {
    ISCSI_KEY_DECLARE, /* not negotiated: what is said holds */
    ISCSI_KEY_CHOOSE,  /* the first word of the offer that we support */
    ISCSI_KEY_MIN,
    ISCSI_KEY_MAX,
    ISCSI_KEY_AND,
    ISCSI_KEY_OR,
    ISCSI_KEY_ANSWER_NO,     /* obsolete: always No */
    ISCSI_KEY_ANSWER_REJECT, /* obsolete: always Reject */
};

enum iscsi_key_flags {
    ISCSI_KEY_F_INITIATOR = 1 << 0, /* an initiator may send it */
    ISCSI_KEY_F_TARGET = 1 << 1,    /* a target may send it */
    ISCSI_KEY_F_SECURITY = 1 << 2,  /* allowed in the security stage */
    ISCSI_KEY_F_OPERATIONAL = 1 << 3,
    ISCSI_KEY_F_FULL_FEATURE = 1 << 4,
    ISCSI_KEY_F_LEADING = 1 << 5, /* LO: only on the leading connection */
    ISCSI_KEY_F_SESSION = 1 << 6, /* SW: session-wide; without it, of one connection */
    ISCSI_KEY_F_NORMAL = 1 << 7,  /* irrelevant in discovery sessions */
    ISCSI_KEY_F_REPEAT = 1 << 8,  /* may come more than once */
    ISCSI_KEY_F_EARLY = 1 << 9,   /* to be settled before keys that depend on it */
};

struct iscsi_key {
    const char *name;
    enum iscsi_key_type type;
    enum iscsi_key_result result;
    unsigned flags;
    uint32_t def;       /* NUMBER, BOOL (0/1): what holds when it is not negotiated */
    const char *def_of; /* LIST, TEXT: the same; NULL = no default */
    uint32_t min, max;  /* NUMBER: limits; NAME, TEXT, BINARY: bytes */
    const char *words;  /* LIST: comma-separated */
    /* Where struct iscsi_params_cfg and struct iscsi_params hold it: offset and bytes; 0 bytes =
     * they do not, or not as one number. */
    uint8_t cfg_at, cfg_bytes, params_at, params_bytes;
    const char *clause, *help;
};

extern const struct iscsi_key iscsi_keys[ISCSI_KEY_COUNT];

/* The key of that name, or NULL. */
const struct iscsi_key *iscsi_key_find(const char *name, size_t len);
static inline enum iscsi_key_id iscsi_key_id(const struct iscsi_key *key)
{
    return (enum iscsi_key_id)(key - iscsi_keys);
}

/* Our own value of a NUMBER or BOOL key; the negotiated one, read and written. The key has such a
 * value (cfg_bytes, params_bytes). */
uint32_t iscsi_key_cfg(const struct iscsi_key *key, const struct iscsi_params_cfg *cfg);
uint32_t iscsi_key_get(const struct iscsi_key *key, const struct iscsi_params *params);
void iscsi_key_set(const struct iscsi_key *key, struct iscsi_params *params, uint32_t value);

/* What holds before anything is negotiated. */
void iscsi_params_init(struct iscsi_params *params);
/* For a connection that joins a session: its own values stay (MaxRecvDataSegmentLength of both
 * ends, digests), all others become those of the session. */
void iscsi_params_join(struct iscsi_params *params, const struct iscsi_params *sess);

/* The table for the documentation, as a Markdown table. Not NUL-terminated; wr_truncated() says
 * when it did not fit. */
void iscsi_keys_print(struct wr *w);
/* "list", "minimum" etc. for the documentation; static strings. */
const char *iscsi_key_type_name(enum iscsi_key_type type);
const char *iscsi_key_result_name(enum iscsi_key_result result);

#endif
