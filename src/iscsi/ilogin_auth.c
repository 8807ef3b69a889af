/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/ilogin_auth.h"

#include <openssl/crypto.h>

/* None is no choice where the target has to prove itself. */
static bool offers_none(const struct iscsi_iauth *cfg)
{
    return !cfg->secret || (cfg->optional && !cfg->target_secret);
}

void ilogin_auth_offer(struct ilogin *login, struct wr *w)
{
    const struct iscsi_iauth *cfg = &login->cfg->auth;
    bool none = offers_none(cfg);

    iscsi_text_put(w, "AuthMethod", !cfg->secret ? "None" : none ? "CHAP,None" : "CHAP");
    login->transit = none;
}

static bool offers_alg(const struct iscsi_iauth *cfg, enum iscsi_chap_alg alg)
{
    return (!cfg->algs || cfg->algs >> alg & 1) && iscsi_chap_available(alg);
}

bool ilogin_auth_possible(const struct iscsi_iauth *cfg)
{
    return offers_alg(cfg, ISCSI_CHAP_SHA256) || offers_alg(cfg, ISCSI_CHAP_SHA3_256) ||
           offers_alg(cfg, ISCSI_CHAP_SHA1) || offers_alg(cfg, ISCSI_CHAP_MD5);
}

/* ---- keys ---- */

static enum ilogin_result take_alg(struct ilogin *login, const char *value)
{
    uint64_t n;
    if (iscsi_text_number(value, &n) || n > ISCSI_CHAP_SHA3_256 ||
        !offers_alg(&login->cfg->auth, (enum iscsi_chap_alg)n))
        return ilogin_fail(login, USAN_EAUTH, "the target chose a hash that was not offered",
                           "CHAP_A");
    login->auth.alg = (enum iscsi_chap_alg)n;
    login->auth.have_alg = true;
    return ILOGIN_SEND;
}

static enum ilogin_result take_method(struct ilogin *login, const char *value)
{
    struct iauth *auth = &login->auth;
    auth->have_method = true;
    auth->method_chap = !strcmp(value, "CHAP");
    auth->method_none = !strcmp(value, "None");
    return ILOGIN_SEND;
}

static int take_value(struct iauth *auth, enum iscsi_key_id id, const struct iscsi_pair *pair)
{
    uint64_t n;
    if (id == ISCSI_KEY_CHAP_I) {
        if (iscsi_text_number(pair->value, &n) || n > UINT8_MAX)
            return USAN_EINVAL;
        auth->id = (uint8_t)n;
        auth->have_id = true;
        return 0;
    }
    if (id == ISCSI_KEY_CHAP_C) {
        auth->have_challenge = true;
        return iscsi_text_binary(pair->value, auth->challenge, sizeof(auth->challenge),
                                 &auth->challenge_len);
    }
    if (id == ISCSI_KEY_CHAP_R) {
        auth->have_proof = true;
        return iscsi_text_binary(pair->value, auth->proof, sizeof(auth->proof), &auth->proof_len);
    }
    if (pair->value_len < 1 || pair->value_len > ISCSI_VALUE_MAX)
        return USAN_EINVAL;
    memcpy(auth->name, pair->value, pair->value_len + 1);
    auth->have_name = true;
    return 0;
}

enum ilogin_result ilogin_auth_key(struct ilogin *login, enum iscsi_key_id id,
                                   const struct iscsi_pair *pair)
{
    enum iauth_state state = login->auth.state;
    bool challenge = id == ISCSI_KEY_CHAP_A || id == ISCSI_KEY_CHAP_I || id == ISCSI_KEY_CHAP_C;
    enum iauth_state place = id == ISCSI_KEY_AUTH_METHOD ? IAUTH_METHOD
                             : challenge                 ? IAUTH_CHALLENGE
                                                         : IAUTH_PROOF;
    /* 12.1.3: one step a response */
    if (state != place)
        return ilogin_fail(login, USAN_EAUTH, "a key of authentication out of its place",
                           iscsi_keys[id].name);
    if (id == ISCSI_KEY_AUTH_METHOD)
        return take_method(login, pair->value);
    if (id == ISCSI_KEY_CHAP_A)
        return take_alg(login, pair->value);
    if (take_value(&login->auth, id, pair))
        return ilogin_fail(login, USAN_EAUTH, "a value of CHAP is malformed", iscsi_keys[id].name);
    return ILOGIN_SEND;
}

/* ---- steps ---- */

static void put_algs(const struct iscsi_iauth *cfg, struct wr *w)
{
    /* the strongest first, SHA-256 before its younger sister that fewer know */
    static const enum iscsi_chap_alg order[] = { ISCSI_CHAP_SHA256, ISCSI_CHAP_SHA3_256,
                                                 ISCSI_CHAP_SHA1, ISCSI_CHAP_MD5 };
    char list[16];
    struct wr v = wr_init(list, sizeof(list));
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (!offers_alg(cfg, order[i]))
            continue;
        if (v.len)
            wr_u8(&v, ',');
        iscsi_text_decimal(&v, (uint64_t)order[i]);
    }
    wr_u8(&v, 0);
    iscsi_text_put(w, "CHAP_A", list);
}

static enum ilogin_result method_chosen(struct ilogin *login, bool transit, struct wr *w)
{
    const struct iscsi_iauth *cfg = &login->cfg->auth;
    struct iauth *auth = &login->auth;
    /* A target may pass over None when nothing else was offered. */
    if (auth->method_none || (!auth->have_method && !cfg->secret)) {
        if (!offers_none(cfg))
            return ilogin_fail(login, USAN_EAUTH, "the target wants no authentication, we do",
                               "AuthMethod");
        auth->state = IAUTH_DONE;
        login->transit = true;
        return ILOGIN_SEND;
    }
    if (!auth->have_method)
        return ilogin_fail(login, USAN_EAUTH, "the target chose no authentication method",
                           "AuthMethod");
    if (!auth->method_chap || !cfg->secret)
        return ilogin_fail(login, USAN_EAUTH, "the target takes none of our authentication methods",
                           "AuthMethod");
    if (transit)
        return ILOGIN_SEND; /* refused by the caller */
    put_algs(cfg, w);
    auth->state = IAUTH_CHALLENGE;
    login->transit = false;
    return ILOGIN_SEND;
}

static enum ilogin_result challenged(struct ilogin *login, struct wr *w)
{
    const struct iscsi_iauth *cfg = &login->cfg->auth;
    struct iauth *auth = &login->auth;
    size_t len;
    uint8_t response[ISCSI_CHAP_DIGEST_MAX];
    if (!auth->have_alg || !auth->have_id || !auth->have_challenge)
        return ilogin_fail(login, USAN_EAUTH, "the CHAP challenge is not complete",
                           !auth->have_alg  ? "CHAP_A"
                           : !auth->have_id ? "CHAP_I"
                                            : "CHAP_C");
    len = iscsi_chap_digest_len(auth->alg);
    if (iscsi_chap_respond(auth->alg, auth->id, cfg->secret, auth->challenge, auth->challenge_len,
                           response))
        return ilogin_fail(login, USAN_EIO, "the hash of CHAP can not be computed", NULL);
    iscsi_text_put(w, "CHAP_N", cfg->user);
    iscsi_text_put_binary(w, "CHAP_R", response, len);
    OPENSSL_cleanse(response, sizeof(response));
    if (cfg->target_secret) {
        if (iscsi_chap_challenge(login->cfg->seed, login->number, auth->alg, auth->our_challenge,
                                 &auth->our_id))
            return ilogin_fail(login, USAN_EIO, "the hash of CHAP can not be computed", NULL);
        /* The target would only have to repeat what we answered: 12.1.3. */
        if (auth->challenge_len == len && !memcmp(auth->challenge, auth->our_challenge, len))
            return ilogin_fail(login, USAN_EAUTH, "the target's challenge is our own", "CHAP_C");
        iscsi_text_put_number(w, "CHAP_I", auth->our_id);
        iscsi_text_put_binary(w, "CHAP_C", auth->our_challenge, len);
    }
    auth->state = IAUTH_PROOF;
    login->transit = true;
    return ILOGIN_SEND;
}

static enum ilogin_result proved(struct ilogin *login)
{
    const struct iscsi_iauth *cfg = &login->cfg->auth;
    struct iauth *auth = &login->auth;
    if (cfg->target_secret) {
        if (!auth->have_name || !auth->have_proof)
            return ilogin_fail(login, USAN_EAUTH, "the target did not prove who it is",
                               auth->have_name ? "CHAP_R" : "CHAP_N");
        int err =
            iscsi_chap_verify(auth->alg, auth->our_id, cfg->target_secret, auth->our_challenge,
                              iscsi_chap_digest_len(auth->alg), auth->proof, auth->proof_len);
        if (err)
            return ilogin_fail(login, err, "the target's CHAP response is wrong", "CHAP_R");
        if (cfg->target_user && strcmp(cfg->target_user, auth->name) != 0)
            return ilogin_fail(login, USAN_EAUTH, "the target calls itself by another name",
                               "CHAP_N");
    }
    auth->state = IAUTH_DONE;
    login->transit = true;
    return ILOGIN_SEND;
}

enum ilogin_result ilogin_auth_step(struct ilogin *login, bool transit, struct wr *w)
{
    enum ilogin_result result = ILOGIN_SEND;
    switch (login->auth.state) {
    case IAUTH_METHOD:
        result = method_chosen(login, transit, w);
        break;
    case IAUTH_CHALLENGE:
        if (!transit)
            result = challenged(login, w);
        break;
    case IAUTH_PROOF:
        result = proved(login);
        break;
    case IAUTH_DONE:
    default:
        break;
    }
    if (result != ILOGIN_FAILED && transit && login->auth.state != IAUTH_DONE)
        return ilogin_fail(login, USAN_EAUTH,
                           "the target ends the security stage before authentication is done",
                           NULL);
    return result;
}
