/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/ilogin.h"

#include "iscsi/ilogin_auth.h"

#include <assert.h>

#include <openssl/crypto.h>

/* ---- life ---- */

static struct wr out_open(struct ilogin *login)
{
    return wr_init(login->out + login->out_len, sizeof(login->out) - login->out_len);
}

/* False: more than a request takes. */
static bool out_close(struct ilogin *login, const struct wr *w)
{
    login->out_len += wr_stored(w);
    return !wr_truncated(w);
}

static void declare(struct ilogin *login, enum iscsi_key_id id, const char *value, struct wr *w)
{
    iscsi_text_put(w, iscsi_keys[id].name, value);
    login->nego.declared |= UINT64_C(1) << id;
}

/* Who we are and what we want: in the first request of every login (13.4, 13.5, 13.21). */
static void say_first(struct ilogin *login)
{
    const struct iscsi_isess_config *cfg = login->cfg;
    struct wr w = out_open(login);
    declare(login, ISCSI_KEY_INITIATOR_NAME, cfg->initiator_name, &w);
    if (cfg->initiator_alias)
        declare(login, ISCSI_KEY_INITIATOR_ALIAS, cfg->initiator_alias, &w);
    if (cfg->target_name)
        declare(login, ISCSI_KEY_TARGET_NAME, cfg->target_name, &w);
    declare(login, ISCSI_KEY_SESSION_TYPE, cfg->discovery ? "Discovery" : "Normal", &w);
    ilogin_auth_offer(login, &w);
    bool fits = out_close(login, &w);
    assert(fits); /* all of it has limits */
    (void)fits;
}

struct ilogin *ilogin_new(const struct iscsi_isess_config *cfg, const struct alloc *a, bool leading,
                          uint32_t number)
{
    struct ilogin *login = alloc_zero(a, sizeof(*login));
    if (!login)
        return NULL;
    login->cfg = cfg;
    login->a = a;
    login->number = number;
    login->stage = ILOGIN_SECURITY;
    iscsi_nego_init(&login->nego, &cfg->params, &login->params, false);
    login->nego.initiator = true;
    login->nego.leading = leading;
    login->nego.discovery = cfg->discovery;
    say_first(login);
    return login;
}

void ilogin_free(struct ilogin *login)
{
    if (!login)
        return;
    const struct alloc *a = login->a;
    if (login->in)
        OPENSSL_cleanse(login->in, ISCSI_TEXT_MAX);
    alloc_put(a, login->in);
    OPENSSL_cleanse(login, sizeof(*login));
    alloc_put(a, login);
}

/* ---- requests ---- */

void ilogin_request(struct ilogin *login, struct iscsi_login_req *ret_req)
{
    size_t left = login->out_len - login->out_sent;
    /* 13.12: 8192 bytes until the target declares what it takes */
    size_t now = left < login->params.tx_data_segment ? left : login->params.tx_data_segment;
    bool cont = now < left;
    bool transit = login->transit && !cont;
    *ret_req = (struct iscsi_login_req){
        .transit = transit,
        .cont = cont,
        .csg = (uint8_t)login->stage,
        .nsg = !transit                          ? 0
               : login->stage == ILOGIN_SECURITY ? ILOGIN_OPERATIONAL
                                                 : ILOGIN_FULL_FEATURE,
        .text = login->out + login->out_sent,
        .text_len = now,
    };
    login->out_sent += now;
}

/* ---- keys ---- */

static enum ilogin_result take_pair(struct ilogin *login, const struct iscsi_pair *pair,
                                    const struct iscsi_key *key, struct wr *w)
{
    unsigned stage =
        login->stage == ILOGIN_SECURITY ? ISCSI_KEY_F_SECURITY : ISCSI_KEY_F_OPERATIONAL;
    bool ignore = false;
    if (!key) {
        iscsi_nego_unknown(pair, w);
        return ILOGIN_SEND;
    }
    if (iscsi_nego_admit(&login->nego, key, pair, stage, &ignore))
        return ilogin_fail(login, USAN_EPROTO,
                           "a key the target may not send, not now, or not twice", key->name);
    if (ignore)
        return ILOGIN_SEND;
    enum iscsi_key_id id = iscsi_key_id(key);
    if (id <= ISCSI_KEY_CHAP_R)
        return ilogin_auth_key(login, id, pair);
    size_t before = w->len;
    if (iscsi_nego_take(&login->nego, key, pair, w))
        return ilogin_fail(login, USAN_EPROTO,
                           "a value that is out of range, or does not answer our offer", key->name);
    if (w->len > before)
        login->target_offers = true;
    return ILOGIN_SEND;
}

/* Two passes: keys that others depend on first, whatever order they came in. */
static enum ilogin_result take_keys(struct ilogin *login, const char *text, size_t len)
{
    struct wr w = out_open(login);
    for (int pass = 0; pass < 2; pass++) {
        struct iscsi_pair pair;
        size_t pos = 0;
        int more;
        while ((more = iscsi_text_next(text, len, &pos, &pair)) > 0) {
            const struct iscsi_key *key = iscsi_key_find(pair.key, pair.key_len);
            bool early = key && (key->flags & ISCSI_KEY_F_EARLY);
            if (early == (pass == 0) && take_pair(login, &pair, key, &w) == ILOGIN_FAILED)
                return ILOGIN_FAILED;
        }
        if (more < 0)
            return ilogin_fail(login, USAN_EPROTO, "a malformed text in a Login Response", NULL);
    }
    if (!out_close(login, &w))
        return ilogin_fail(login, USAN_ELIMIT, "the target negotiates too many keys", NULL);
    return ILOGIN_SEND;
}

/* ---- the end of a stage ---- */

static enum ilogin_result finish(struct ilogin *login)
{
    if (login->target_offers)
        return ilogin_fail(login, USAN_EPROTO, "the target negotiates in its last response", NULL);
    if (iscsi_nego_finish(&login->nego))
        return ilogin_fail(login, USAN_EPROTO, "the target does not do the digest we require",
                           login->cfg->params.header_digest_required && !login->params.header_digest
                               ? "HeaderDigest"
                               : "DataDigest");
    return ILOGIN_FINISHED;
}

static enum ilogin_result enter_operational(struct ilogin *login)
{
    struct wr w = out_open(login);
    login->stage = ILOGIN_OPERATIONAL;
    iscsi_nego_declare(&login->nego, &w);
    iscsi_nego_offer_all(&login->nego, &w);
    login->transit = true;
    if (!out_close(login, &w))
        return ilogin_fail(login, USAN_ELIMIT, "the target negotiates too many keys", NULL);
    return ILOGIN_SEND;
}

static enum ilogin_result take_text(struct ilogin *login, const struct iscsi_login_rsp *rsp,
                                    const char *text, size_t len)
{
    login->out_len = login->out_sent = 0;
    login->target_offers = false;
    if (take_keys(login, text, len) == ILOGIN_FAILED)
        return ILOGIN_FAILED;
    if (login->stage == ILOGIN_SECURITY) {
        struct wr w = out_open(login);
        if (ilogin_auth_step(login, rsp->transit, &w) == ILOGIN_FAILED)
            return ILOGIN_FAILED;
        if (!out_close(login, &w))
            return ilogin_fail(login, USAN_ELIMIT, "the target negotiates too many keys", NULL);
    }
    if (!rsp->transit)
        return ILOGIN_SEND;
    return login->stage == ILOGIN_SECURITY ? enter_operational(login) : finish(login);
}

/* ---- responses ---- */

static int status_err(uint16_t status)
{
    switch ((enum iscsi_login_status)status) {
    case ISCSI_LOGIN_AUTH_FAILED:
        return USAN_EAUTH;
    case ISCSI_LOGIN_FORBIDDEN:
        return USAN_EPERM;
    case ISCSI_LOGIN_NOT_FOUND:
    case ISCSI_LOGIN_REMOVED:
    case ISCSI_LOGIN_NO_SUCH_SESSION:
        return USAN_ENOENT;
    case ISCSI_LOGIN_UNSUPPORTED_VERSION:
    case ISCSI_LOGIN_SESSION_TYPE:
        return USAN_ENOTSUP;
    case ISCSI_LOGIN_TOO_MANY_CONNECTIONS:
    case ISCSI_LOGIN_OUT_OF_RESOURCES:
        return USAN_ELIMIT;
    case ISCSI_LOGIN_SERVICE_UNAVAILABLE:
        return USAN_EBUSY;
    case ISCSI_LOGIN_TARGET_ERROR:
        return USAN_EIO;
    case ISCSI_LOGIN_SUCCESS:
    case ISCSI_LOGIN_MOVED_TEMPORARILY:
    case ISCSI_LOGIN_MOVED_PERMANENTLY:
    case ISCSI_LOGIN_INITIATOR_ERROR:
    case ISCSI_LOGIN_MISSING_PARAMETER:
    case ISCSI_LOGIN_CANNOT_JOIN_SESSION:
    case ISCSI_LOGIN_INVALID_DURING_LOGIN:
    default:
        return USAN_EPROTO;
    }
}

/* Status class 1: TargetAddress says where to go, 11.13.5. */
static enum ilogin_result redirected(struct ilogin *login, const struct iscsi_login_rsp *rsp)
{
    struct iscsi_pair pair;
    size_t pos = 0;
    login->permanent = rsp->status == ISCSI_LOGIN_MOVED_PERMANENTLY;
    while (iscsi_text_next(rsp->text, rsp->text_len, &pos, &pair) > 0) {
        if (!iscsi_pair_is(&pair, "TargetAddress") || !pair.value_len ||
            pair.value_len >= sizeof(login->address))
            continue;
        memcpy(login->address, pair.value, pair.value_len + 1);
        return ILOGIN_REDIRECT;
    }
    return ilogin_fail(login, USAN_EPROTO, "a redirection that does not say where to",
                       "TargetAddress");
}

/* What a header may say at this point, 11.13. */
static const char *check_header(const struct ilogin *login, const struct iscsi_login_rsp *rsp)
{
    bool sending = login->out_sent < login->out_len;
    if (rsp->version_active != 0) /* 11.13.2 */
        return "the target speaks another version of iSCSI";
    if (rsp->csg != login->stage)
        return "a Login Response of another stage";
    if (rsp->transit && rsp->cont) /* 11.13.1 */
        return "a Login Response that both ends the stage and does not";
    if (rsp->transit && (!login->transit || sending))
        return "the target ends a stage that we did not want to end";
    if (rsp->transit &&
        rsp->nsg != (login->stage == ILOGIN_SECURITY ? ILOGIN_OPERATIONAL : ILOGIN_FULL_FEATURE))
        return "the target goes to a stage that was not asked for";
    if (sending && (rsp->cont || rsp->text_len)) /* 6.2: an empty response asks for the rest */
        return "an answer before the question was complete";
    return NULL;
}

static enum ilogin_result keep_part(struct ilogin *login, const struct iscsi_login_rsp *rsp)
{
    if (!login->in)
        login->in = alloc_get(login->a, ISCSI_TEXT_MAX);
    if (!login->in)
        return ilogin_fail(login, USAN_ENOMEM, "out of memory for a login text", NULL);
    if (rsp->text_len > ISCSI_TEXT_MAX - login->in_len)
        return ilogin_fail(login, USAN_ELIMIT, "the target's login text is too long", NULL);
    if (rsp->text_len)
        memcpy(login->in + login->in_len, rsp->text, rsp->text_len);
    login->in_len += rsp->text_len;
    return ILOGIN_SEND;
}

enum ilogin_result ilogin_response(struct ilogin *login, const struct iscsi_login_rsp *rsp)
{
    login->status = rsp->status;
    if (rsp->status >> 8 == 1)
        return redirected(login, rsp);
    if (rsp->status)
        return ilogin_fail(login, status_err(rsp->status), iscsi_login_status_text(rsp->status),
                           NULL);
    const char *why = check_header(login, rsp);
    if (why)
        return ilogin_fail(login, USAN_EPROTO, why, NULL);
    if (++login->pdus > ISCSI_LOGIN_PDUS_MAX)
        return ilogin_fail(login, USAN_ELIMIT, "the login does not come to an end", NULL);
    if (login->out_sent < login->out_len)
        return ILOGIN_SEND;
    if (!rsp->cont && !login->in_len)
        return take_text(login, rsp, rsp->text, rsp->text_len);
    if (keep_part(login, rsp) == ILOGIN_FAILED)
        return ILOGIN_FAILED;
    if (rsp->cont) { /* 6.2: ask for the rest with an empty request */
        login->out_len = login->out_sent = 0;
        return ILOGIN_SEND;
    }
    size_t len = login->in_len;
    login->in_len = 0;
    return take_text(login, rsp, login->in, len);
}
