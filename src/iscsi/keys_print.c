/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The key table in words. */
#include "iscsi/keys.h"

static const char *const types[] = {
    [ISCSI_KEY_TYPE_LIST] = "list",    [ISCSI_KEY_TYPE_NUMBER] = "number",
    [ISCSI_KEY_TYPE_BOOL] = "boolean", [ISCSI_KEY_TYPE_NAME] = "iSCSI name",
    [ISCSI_KEY_TYPE_TEXT] = "text",    [ISCSI_KEY_TYPE_BINARY] = "binary",
    [ISCSI_KEY_TYPE_RANGE] = "range",
};

static const char *const results[] = {
    [ISCSI_KEY_DECLARE] = "declared", [ISCSI_KEY_CHOOSE] = "first common choice",
    [ISCSI_KEY_MIN] = "minimum",      [ISCSI_KEY_MAX] = "maximum",
    [ISCSI_KEY_AND] = "and",          [ISCSI_KEY_OR] = "or",
    [ISCSI_KEY_ANSWER_NO] = "No",     [ISCSI_KEY_ANSWER_REJECT] = "Reject",
};

const char *iscsi_key_type_name(enum iscsi_key_type type)
{
    return type < sizeof(types) / sizeof(types[0]) ? types[type] : "?";
}

const char *iscsi_key_result_name(enum iscsi_key_result result)
{
    return result < sizeof(results) / sizeof(results[0]) ? results[result] : "?";
}

static void put(struct wr *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}

/* The words whose flag is set, with commas. */
static void put_flags(struct wr *w, unsigned flags, const unsigned *flag, const char *const *word,
                      size_t n)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (!(flags & flag[i]))
            continue;
        put(w, first ? "" : ", ");
        put(w, word[i]);
        first = false;
    }
}

static void put_values(struct wr *w, const struct iscsi_key *key)
{
    switch (key->type) {
    case ISCSI_KEY_TYPE_LIST:
        put(w, key->words);
        break;
    case ISCSI_KEY_TYPE_BOOL:
        put(w, "Yes, No");
        break;
    case ISCSI_KEY_TYPE_NUMBER:
        iscsi_text_decimal(w, key->min);
        put(w, " to ");
        iscsi_text_decimal(w, key->max);
        break;
    case ISCSI_KEY_TYPE_NAME:
    case ISCSI_KEY_TYPE_TEXT:
    case ISCSI_KEY_TYPE_BINARY:
        put(w, "up to ");
        iscsi_text_decimal(w, key->max);
        put(w, " bytes");
        break;
    case ISCSI_KEY_TYPE_RANGE:
    default:
        put(w, "number~number");
        break;
    }
}

static void put_default(struct wr *w, const struct iscsi_key *key)
{
    bool negotiated = key->result != ISCSI_KEY_DECLARE || key->params_bytes;
    if (key->type == ISCSI_KEY_TYPE_BOOL)
        put(w, key->def ? "Yes" : "No");
    else if (key->type == ISCSI_KEY_TYPE_NUMBER && negotiated)
        iscsi_text_decimal(w, key->def);
    else
        put(w, key->def_of ? key->def_of : "none");
}

static void put_key(struct wr *w, const struct iscsi_key *key)
{
    static const unsigned who[] = { ISCSI_KEY_F_INITIATOR, ISCSI_KEY_F_TARGET };
    static const char *const who_words[] = { "initiator", "target" };
    static const unsigned when[] = { ISCSI_KEY_F_SECURITY, ISCSI_KEY_F_OPERATIONAL,
                                     ISCSI_KEY_F_FULL_FEATURE };
    static const char *const when_words[] = { "security", "operational", "full feature" };
    static const unsigned scope[] = { ISCSI_KEY_F_SESSION, ISCSI_KEY_F_LEADING,
                                      ISCSI_KEY_F_NORMAL };
    static const char *const scope_words[] = { "session", "leading login only",
                                               "not in discovery" };
    put(w, "| ");
    put(w, key->name);
    put(w, " | ");
    put(w, iscsi_key_type_name(key->type));
    put(w, " | ");
    put_values(w, key);
    put(w, " | ");
    put_default(w, key);
    put(w, " | ");
    put(w, iscsi_key_result_name(key->result));
    put(w, " | ");
    put_flags(w, key->flags, who, who_words, 2);
    put(w, " | ");
    put_flags(w, key->flags, when, when_words, 3);
    put(w, " | ");
    if (!(key->flags & ISCSI_KEY_F_SESSION))
        put(w, "connection");
    put_flags(w, key->flags, scope, scope_words, 3);
    put(w, " | ");
    put(w, key->clause);
    put(w, " | ");
    put(w, key->help);
    put(w, " |\n");
}

void iscsi_keys_print(struct wr *w)
{
    put(w, "| key | type | values | default | result | sent by | stages | scope | RFC 7143 | "
           "meaning |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < ISCSI_KEY_COUNT; i++)
        put_key(w, &iscsi_keys[i]);
}
