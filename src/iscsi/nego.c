/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/nego.h"

#include <assert.h>

/* iSCSIProtocolLevel: RFC 7144 section 7.1.1 */
enum { PROTOCOL_LEVEL = 2 };

static const char answer_reject[] = "Reject";
static const char answer_irrelevant[] = "Irrelevant";
static const char answer_not_understood[] = "NotUnderstood";

_Static_assert(ISCSI_KEY_COUNT <= 64, "one bit a key");

static uint64_t bit(enum iscsi_key_id id)
{
    return UINT64_C(1) << id;
}

void iscsi_nego_init(struct iscsi_nego *nego, const struct iscsi_params_cfg *cfg,
                     struct iscsi_params *params, bool full_feature)
{
    *nego = (struct iscsi_nego){ .cfg = cfg, .params = params, .full_feature = full_feature };
    if (!full_feature)
        iscsi_params_init(params);
}

/* The constants a peer may only use in answers, RFC 7143 6.2. */
static bool is_refusal(const char *value)
{
    return !strcmp(value, answer_reject) || !strcmp(value, answer_irrelevant) ||
           !strcmp(value, answer_not_understood);
}

int iscsi_nego_admit(struct iscsi_nego *nego, const struct iscsi_key *key,
                     const struct iscsi_pair *pair, unsigned stage, bool *ret_ignore)
{
    uint64_t mask = bit(iscsi_key_id(key));
    *ret_ignore = (nego->declared & mask) && is_refusal(pair->value);
    if (*ret_ignore)
        return 0;
    unsigned sender = nego->initiator ? ISCSI_KEY_F_TARGET : ISCSI_KEY_F_INITIATOR;
    if (!(key->flags & sender) || !(key->flags & stage))
        return USAN_EPROTO;
    if ((nego->seen & mask) && !(key->flags & ISCSI_KEY_F_REPEAT))
        return USAN_EPROTO;
    nego->seen |= mask;
    return 0;
}

void iscsi_nego_unknown(const struct iscsi_pair *pair, struct wr *w)
{
    if (!is_refusal(pair->value))
        iscsi_text_put_n(w, pair->key, pair->key_len, answer_not_understood);
}

/* ---- our own values ---- */

static uint32_t clamp(uint32_t v, uint32_t lo, uint32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What we want of a NUMBER or BOOL key. */
static uint32_t ours(const struct iscsi_nego *nego, enum iscsi_key_id id)
{
    const struct iscsi_key *key = &iscsi_keys[id];
    if (id == ISCSI_KEY_PROTOCOL_LEVEL)
        return PROTOCOL_LEVEL;
    if (id == ISCSI_KEY_DEFAULT_TIME2RETAIN && nego->cfg->retain_at_level_2 &&
        nego->params->error_recovery_level < 2)
        return 0; /* there is nothing to come back to */
    uint32_t v = clamp(iscsi_key_cfg(key, nego->cfg), key->min, key->max);
    if (id != ISCSI_KEY_FIRST_BURST_LENGTH)
        return v;
    /* RFC 7143 13.14: FirstBurstLength must not exceed MaxBurstLength; an initiator offers both
     * before it knows what MaxBurstLength will be. */
    return least(v, nego->initiator ? ours(nego, ISCSI_KEY_MAX_BURST_LENGTH)
                                    : nego->params->max_burst);
}

static uint32_t outcome(enum iscsi_key_result result, uint32_t a, uint32_t b)
{
    switch (result) {
    case ISCSI_KEY_MIN:
        return least(a, b);
    case ISCSI_KEY_MAX:
        return a > b ? a : b;
    case ISCSI_KEY_AND:
        return a & b;
    case ISCSI_KEY_OR:
        return a | b;
    case ISCSI_KEY_DECLARE:
    case ISCSI_KEY_CHOOSE:
    case ISCSI_KEY_ANSWER_NO:
    case ISCSI_KEY_ANSWER_REJECT:
    default:
        assert(0 && "no function of two numbers");
        return a;
    }
}

/* RFC 7143 13: keys without meaning in discovery sessions; 13.14: FirstBurstLength without meaning
 * when no unsolicited data can be sent. */
static bool irrelevant(const struct iscsi_nego *nego, enum iscsi_key_id id)
{
    if (nego->discovery && (iscsi_keys[id].flags & ISCSI_KEY_F_NORMAL))
        return true;
    return id == ISCSI_KEY_FIRST_BURST_LENGTH && nego->params->initial_r2t &&
           !nego->params->immediate_data;
}

static void settle(struct iscsi_nego *nego, enum iscsi_key_id id, uint32_t value)
{
    iscsi_key_set(&iscsi_keys[id], nego->params, value);
    if (id == ISCSI_KEY_MAX_BURST_LENGTH && (nego->seen & bit(ISCSI_KEY_FIRST_BURST_LENGTH)))
        nego->params->first_burst = least(nego->params->first_burst, value);
}

/* ---- the peer's offers ---- */

/* A NUMBER or BOOL value within its limits. */
static int parse(const struct iscsi_key *key, const struct iscsi_pair *pair, uint32_t *ret_value)
{
    if (pair->value_len > ISCSI_VALUE_MAX)
        return USAN_EINVAL;
    if (key->type == ISCSI_KEY_TYPE_BOOL) {
        bool yes;
        if (iscsi_text_bool(pair->value, &yes))
            return USAN_EINVAL;
        *ret_value = yes;
        return 0;
    }
    uint64_t n;
    if (iscsi_text_number(pair->value, &n) || n < key->min || n > key->max)
        return USAN_EINVAL;
    *ret_value = (uint32_t)n;
    return 0;
}

static void put_value(const struct iscsi_key *key, uint32_t value, struct wr *w)
{
    if (key->type == ISCSI_KEY_TYPE_BOOL)
        iscsi_text_put(w, key->name, value ? "Yes" : "No");
    else
        iscsi_text_put_number(w, key->name, value);
}

static void take_value(struct iscsi_nego *nego, const struct iscsi_key *key,
                       const struct iscsi_pair *pair, struct wr *w)
{
    enum iscsi_key_id id = iscsi_key_id(key);
    uint32_t offer;
    if (parse(key, pair, &offer)) {
        iscsi_text_put(w, key->name, answer_reject);
        return;
    }
    uint32_t value = outcome(key->result, offer, ours(nego, id));
    settle(nego, id, value);
    put_value(key, value, w);
}

/* What we support of a list key. */
static bool supported(const struct iscsi_nego *nego, enum iscsi_key_id id, const char *item,
                      size_t len)
{
    const struct iscsi_params_cfg *cfg = nego->cfg;
    bool header = id == ISCSI_KEY_HEADER_DIGEST;
    if (id == ISCSI_KEY_TASK_REPORTING)
        return iscsi_item_is(item, len, "RFC3720") ||
               (cfg->response_fence && iscsi_item_is(item, len, "ResponseFence")) ||
               (cfg->fast_abort && iscsi_item_is(item, len, "FastAbort"));
    assert(header || id == ISCSI_KEY_DATA_DIGEST);
    bool required = header ? cfg->header_digest_required : cfg->data_digest_required;
    bool willing = required || (header ? cfg->header_digest : cfg->data_digest);
    return (willing && iscsi_item_is(item, len, "CRC32C")) ||
           (!required && iscsi_item_is(item, len, "None"));
}

static void settle_word(struct iscsi_nego *nego, enum iscsi_key_id id, const char *item, size_t len)
{
    struct iscsi_params *params = nego->params;
    if (id == ISCSI_KEY_TASK_REPORTING) {
        /* RFC 7143 13.23: FastAbort includes the response fence. */
        params->task_reporting_fast_abort = iscsi_item_is(item, len, "FastAbort");
        params->task_reporting_rsp_fence = !iscsi_item_is(item, len, "RFC3720");
    } else {
        iscsi_key_set(&iscsi_keys[id], params, iscsi_item_is(item, len, "CRC32C"));
    }
}

static void take_list(struct iscsi_nego *nego, const struct iscsi_key *key,
                      const struct iscsi_pair *pair, struct wr *w)
{
    enum iscsi_key_id id = iscsi_key_id(key);
    const char *list = pair->value, *item;
    size_t len = 0;
    bool found = false;
    while (!found && iscsi_text_item(&list, &item, &len))
        found = supported(nego, id, item, len);
    if (!found) {
        iscsi_text_put(w, key->name, answer_reject);
        return;
    }
    settle_word(nego, id, item, len);
    char word[ISCSI_ANSWER_MAX];
    assert(len < sizeof(word)); /* it is one of ours */
    memcpy(word, item, len);
    word[len] = '\0';
    iscsi_text_put(w, key->name, word);
}

/* The answer to an offer of ours. A refusal leaves the default in force. */
static int take_answer(struct iscsi_nego *nego, const struct iscsi_key *key,
                       const struct iscsi_pair *pair)
{
    enum iscsi_key_id id = iscsi_key_id(key);
    nego->offered &= ~bit(id);
    if (is_refusal(pair->value))
        return 0;
    if (key->type == ISCSI_KEY_TYPE_LIST) {
        /* one of the words that we listed */
        if (!supported(nego, id, pair->value, pair->value_len))
            return USAN_EPROTO;
        settle_word(nego, id, pair->value, pair->value_len);
        return 0;
    }
    /* RFC 7143 6.2.2: the answer has to be what the function makes of our offer and some value
     * of the peer, so applying it once more changes nothing. */
    uint32_t answer;
    if (parse(key, pair, &answer) || outcome(key->result, answer, ours(nego, id)) != answer)
        return USAN_EPROTO;
    settle(nego, id, answer);
    return 0;
}

static int take_declared(struct iscsi_nego *nego, const struct iscsi_key *key,
                         const struct iscsi_pair *pair)
{
    uint32_t value;
    if (key->type == ISCSI_KEY_TYPE_NUMBER) {
        if (parse(key, pair, &value))
            return USAN_EPROTO;
        if (iscsi_key_id(key) == ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH)
            nego->params->tx_data_segment = value;
        return 0;
    }
    return pair->value_len > key->max ? USAN_EPROTO : 0;
}

int iscsi_nego_take(struct iscsi_nego *nego, const struct iscsi_key *key,
                    const struct iscsi_pair *pair, struct wr *w)
{
    enum iscsi_key_id id = iscsi_key_id(key);
    if (nego->offered & bit(id))
        return take_answer(nego, key, pair);
    if (key->result == ISCSI_KEY_DECLARE)
        return take_declared(nego, key, pair);
    if (is_refusal(pair->value)) /* RFC 7143 6.2: these are answers, never offers */
        return USAN_EPROTO;
    if (irrelevant(nego, id)) {
        iscsi_text_put(w, key->name, answer_irrelevant);
        return 0;
    }
    /* A session-wide value cannot change when a connection joins: RFC 7143 13, LO. */
    if ((key->flags & ISCSI_KEY_F_LEADING) && !nego->leading) {
        iscsi_text_put(w, key->name, answer_reject);
        return 0;
    }
    switch (key->result) {
    case ISCSI_KEY_CHOOSE:
        take_list(nego, key, pair, w);
        break;
    case ISCSI_KEY_ANSWER_NO:
        iscsi_text_put(w, key->name, "No");
        break;
    case ISCSI_KEY_ANSWER_REJECT:
        iscsi_text_put(w, key->name, answer_reject);
        break;
    case ISCSI_KEY_MIN:
    case ISCSI_KEY_MAX:
    case ISCSI_KEY_AND:
    case ISCSI_KEY_OR:
        take_value(nego, key, pair, w);
        break;
    case ISCSI_KEY_DECLARE:
    default:
        assert(0 && "declarations are taken above");
    }
    return 0;
}

/* ---- our own declarations and offers ---- */

void iscsi_nego_declare(struct iscsi_nego *nego, struct wr *w)
{
    enum iscsi_key_id id = ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH;
    if (nego->declared & bit(id))
        return;
    nego->declared |= bit(id);
    nego->params->rx_data_segment = ours(nego, id);
    iscsi_text_put_number(w, iscsi_keys[id].name, nego->params->rx_data_segment);
}

static bool offer_digest(struct iscsi_nego *nego, enum iscsi_key_id id, struct wr *w)
{
    if (supported(nego, id, "None", 4))
        return false;
    iscsi_text_put(w, iscsi_keys[id].name, "CRC32C");
    return true;
}

static bool offer_value(struct iscsi_nego *nego, enum iscsi_key_id id, struct wr *w)
{
    const struct iscsi_key *key = &iscsi_keys[id];
    uint32_t now = iscsi_key_get(key, nego->params), want = ours(nego, id);
    uint32_t value = outcome(key->result, now, want);
    if (value == now)
        return false;
    put_value(key, want, w);
    /* RFC 7143 6.2.2: the peer need not answer where our offer alone decides. */
    if (key->type == ISCSI_KEY_TYPE_BOOL)
        settle(nego, id, value);
    return true;
}

unsigned iscsi_nego_offer(struct iscsi_nego *nego, struct wr *w)
{
    unsigned count = 0;
    if (nego->offers_made)
        return 0;
    nego->offers_made = true;
    for (unsigned i = ISCSI_KEY_HEADER_DIGEST; i < ISCSI_KEY_COUNT; i++) {
        enum iscsi_key_id id = (enum iscsi_key_id)i;
        const struct iscsi_key *key = &iscsi_keys[id];
        bool offered = false;
        if ((nego->seen & bit(id)) || irrelevant(nego, id) ||
            ((key->flags & ISCSI_KEY_F_LEADING) && !nego->leading))
            continue;
        if (id == ISCSI_KEY_HEADER_DIGEST || id == ISCSI_KEY_DATA_DIGEST)
            offered = offer_digest(nego, id, w);
        else if (key->cfg_bytes && !nego->discovery) /* no tasks there to agree about */
            offered = offer_value(nego, id, w);
        if (offered) {
            nego->offered |= bit(id);
            count++;
        }
    }
    return count;
}

/* The words we take of a list key, the preferred one first. */
static void offer_list(struct iscsi_nego *nego, enum iscsi_key_id id, struct wr *w)
{
    const char *words = iscsi_keys[id].words, *item;
    char list[ISCSI_KEY_NAME_MAX];
    struct wr v = wr_init(list, sizeof(list));
    size_t len;
    if (id == ISCSI_KEY_TASK_REPORTING) /* the strongest first, 13.23 */
        words = "FastAbort,ResponseFence,RFC3720";
    while (iscsi_text_item(&words, &item, &len)) {
        if (!supported(nego, id, item, len))
            continue;
        if (v.len)
            wr_u8(&v, ',');
        wr_bytes(&v, item, len);
    }
    wr_u8(&v, 0);
    assert(!wr_truncated(&v));
    iscsi_text_put(w, iscsi_keys[id].name, list);
}

void iscsi_nego_offer_all(struct iscsi_nego *nego, struct wr *w)
{
    for (unsigned i = ISCSI_KEY_HEADER_DIGEST; i <= ISCSI_KEY_PROTOCOL_LEVEL; i++) {
        enum iscsi_key_id id = (enum iscsi_key_id)i;
        const struct iscsi_key *key = &iscsi_keys[id];
        if ((nego->discovery && (key->flags & ISCSI_KEY_F_NORMAL)) ||
            ((key->flags & ISCSI_KEY_F_LEADING) && !nego->leading))
            continue;
        if (key->type == ISCSI_KEY_TYPE_LIST)
            offer_list(nego, id, w);
        else
            put_value(key, ours(nego, id), w);
        nego->offered |= bit(id);
    }
    nego->offers_made = true;
}

int iscsi_nego_finish(struct iscsi_nego *nego)
{
    struct iscsi_params *params = nego->params;
    /* A peer that passes over our offer may hold to it nevertheless, and what we asked for is
     * always the narrower of the two: keep to it as well. */
    for (unsigned i = 0; i < ISCSI_KEY_COUNT; i++) {
        enum iscsi_key_id id = (enum iscsi_key_id)i;
        if ((nego->offered & bit(id)) && iscsi_keys[i].type != ISCSI_KEY_TYPE_LIST)
            settle(nego, id, outcome(iscsi_keys[i].result, iscsi_keys[i].def, ours(nego, id)));
    }
    if ((nego->cfg->header_digest_required && !params->header_digest) ||
        (nego->cfg->data_digest_required && !params->data_digest))
        return USAN_EPROTO;
    params->first_burst = least(params->first_burst, params->max_burst);
    return 0;
}

/* ---- full feature phase ---- */

static int take_in_full_feature(struct iscsi_nego *nego, const struct iscsi_pair *pair,
                                struct wr *w)
{
    const struct iscsi_key *key = iscsi_key_find(pair->key, pair->key_len);
    if (!key) {
        iscsi_nego_unknown(pair, w);
        return 0;
    }
    enum iscsi_key_id id = iscsi_key_id(key);
    if (nego->seen & bit(id)) /* RFC 7143 6.3: not twice in one negotiation */
        return USAN_EPROTO;
    nego->seen |= bit(id);
    if (is_refusal(pair->value))
        return 0;
    bool may = (key->flags & ISCSI_KEY_F_INITIATOR) && (key->flags & ISCSI_KEY_F_FULL_FEATURE) &&
               id != ISCSI_KEY_SEND_TARGETS;
    if (!may || iscsi_nego_take(nego, key, pair, w))
        iscsi_text_put(w, key->name, answer_reject);
    return 0;
}

int iscsi_text_negotiate(const void *in, size_t in_len, const struct iscsi_params_cfg *cfg,
                         struct iscsi_params *params, char *out, size_t out_cap,
                         size_t *ret_out_len)
{
    struct iscsi_params next = *params;
    struct iscsi_nego nego;
    struct iscsi_pair pair;
    struct wr w = wr_init(out, out_cap);
    size_t pos = 0;
    int more, err = 0;
    iscsi_nego_init(&nego, cfg, &next, true);
    while ((more = iscsi_text_next(in, in_len, &pos, &pair)) > 0 && !err)
        err = take_in_full_feature(&nego, &pair, &w);
    if (err || more < 0)
        return USAN_EPROTO;
    if (wr_truncated(&w))
        return USAN_ELIMIT;
    *params = next;
    *ret_out_len = w.len;
    return 0;
}
