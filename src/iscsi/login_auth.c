/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The security stage of a login, target side: AuthMethod and CHAP (RFC 7143 12.1). */
#include "iscsi/login_auth.h"

#include <assert.h>

#include <openssl/crypto.h>

/* The longest pair we write here: CHAP_C or CHAP_R. */
enum { PAIR_MAX = 8 + 2 + 2 * ISCSI_CHAP_DIGEST_MAX + 1 };

static enum iscsi_login_status put_number(struct iscsi_login *login, const char *key, uint64_t n)
{
    struct wr w = login_text_room(login, &login->out, PAIR_MAX);
    if (!w.buf)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    iscsi_text_put_number(&w, key, n);
    login->out.len += w.len;
    return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status put_binary(struct iscsi_login *login, const char *key,
                                          const void *bytes, size_t len)
{
    struct wr w = login_text_room(login, &login->out, PAIR_MAX);
    if (!w.buf)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    iscsi_text_put_binary(&w, key, bytes, len);
    login->out.len += w.len;
    return ISCSI_LOGIN_SUCCESS;
}

/*
 * The initiator lists methods in its order of preference, and the first that is allowed is taken
 * (RFC 7143 6.2.1): CHAP where the owner has secrets to check against, None where it does not
 * require them.
 */
static enum iscsi_login_status take_method(struct iscsi_login *login, const char *list)
{
    struct login_auth *auth = &login->auth;
    const char *item;
    size_t len;
    while (iscsi_text_item(&list, &item, &len)) {
        if ((auth->required || auth->optional) && iscsi_item_is(item, len, "CHAP")) {
            auth->state = AUTH_CHAP_A;
            return login_put(login, "AuthMethod", "CHAP");
        }
        if (!auth->required && iscsi_item_is(item, len, "None")) {
            auth->state = AUTH_DONE;
            return login_put(login, "AuthMethod", "None");
        }
    }
    return ISCSI_LOGIN_AUTH_FAILED;
}

static enum iscsi_login_status take_algorithms(struct iscsi_login *login, const char *list)
{
    struct login_auth *auth = &login->auth;
    auth->alg = iscsi_chap_choose(list);
    if (auth->alg == ISCSI_CHAP_NONE)
        return ISCSI_LOGIN_AUTH_FAILED;
    if (iscsi_chap_challenge(login->cfg->seed, 0, auth->alg, auth->challenge, &auth->id))
        return ISCSI_LOGIN_TARGET_ERROR;
    auth->state = AUTH_CHAP_R;
    enum iscsi_login_status status = put_number(login, "CHAP_A", (uint64_t)auth->alg);
    if (!status)
        status = put_number(login, "CHAP_I", auth->id);
    if (!status)
        status = put_binary(login, "CHAP_C", auth->challenge, iscsi_chap_digest_len(auth->alg));
    return status;
}

/* The keys of the initiator's answer; 0 when the value is good. */
static int take_answer(struct iscsi_login *login, enum iscsi_key_id id,
                       const struct iscsi_pair *pair)
{
    struct login_auth *auth = &login->auth;
    uint64_t n;
    if (id == ISCSI_KEY_CHAP_N) {
        if (pair->value_len < 1 || pair->value_len > ISCSI_VALUE_MAX)
            return USAN_EINVAL;
        memcpy(login->user, pair->value, pair->value_len + 1);
        auth->have_user = true;
        return 0;
    }
    if (id == ISCSI_KEY_CHAP_R) {
        auth->have_response = true;
        return iscsi_text_binary(pair->value, auth->response, sizeof(auth->response),
                                 &auth->response_len);
    }
    if (id == ISCSI_KEY_CHAP_I) {
        if (iscsi_text_number(pair->value, &n) || n > UINT8_MAX)
            return USAN_EINVAL;
        auth->have_peer_id = true;
        auth->peer_id = (uint8_t)n;
        return 0;
    }
    assert(id == ISCSI_KEY_CHAP_C);
    auth->have_peer_challenge = true;
    return iscsi_text_binary(pair->value, auth->peer_challenge, sizeof(auth->peer_challenge),
                             &auth->peer_challenge_len);
}

enum iscsi_login_status login_auth_key(struct iscsi_login *login, enum iscsi_key_id id,
                                       const struct iscsi_pair *pair)
{
    struct login_auth *auth = &login->auth;
    /* RFC 7143 12.1.3 has one step a request: a key ahead of its step ends the login. */
    if (id == ISCSI_KEY_AUTH_METHOD)
        return auth->before == AUTH_METHOD ? take_method(login, pair->value)
                                           : ISCSI_LOGIN_AUTH_FAILED;
    if (id == ISCSI_KEY_CHAP_A)
        return auth->before == AUTH_CHAP_A ? take_algorithms(login, pair->value)
                                           : ISCSI_LOGIN_AUTH_FAILED;
    if (auth->before != AUTH_CHAP_R || take_answer(login, id, pair))
        return ISCSI_LOGIN_AUTH_FAILED;
    return ISCSI_LOGIN_SUCCESS;
}

enum iscsi_login_status login_auth_keys_end(struct iscsi_login *login, bool *ret_want_user)
{
    struct login_auth *auth = &login->auth;
    bool any =
        auth->have_user || auth->have_response || auth->have_peer_id || auth->have_peer_challenge;
    *ret_want_user = false;
    if (auth->before == AUTH_CHAP_R && any) {
        if (!auth->have_user || !auth->have_response ||
            auth->have_peer_id != auth->have_peer_challenge)
            return ISCSI_LOGIN_AUTH_FAILED;
        /* Our own challenge sent back would have us compute the answer to it: RFC 7143 12.1.3. */
        if (auth->have_peer_challenge &&
            auth->peer_challenge_len == iscsi_chap_digest_len(auth->alg) &&
            !memcmp(auth->peer_challenge, auth->challenge, auth->peer_challenge_len))
            return ISCSI_LOGIN_AUTH_FAILED;
        *ret_want_user = true;
        return ISCSI_LOGIN_SUCCESS;
    }
    /* Wants to leave the stage without having done its part: the method may wait for an answer of
     * ours to arrive, but nothing else may. */
    bool progress = auth->state != auth->before;
    if (login->req.transit && !progress && !login_auth_may_end(login))
        return ISCSI_LOGIN_AUTH_FAILED;
    return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status answer_peer(struct iscsi_login *login,
                                           const struct iscsi_auth *owner)
{
    struct login_auth *auth = &login->auth;
    uint8_t response[ISCSI_CHAP_DIGEST_MAX];
    /* The initiator wants to know us and we have nothing to show: it must not take us for the
     * target it meant. */
    if (!owner->target_user || !owner->target_secret)
        return ISCSI_LOGIN_AUTH_FAILED;
    if (iscsi_chap_respond(auth->alg, auth->peer_id, owner->target_secret, auth->peer_challenge,
                           auth->peer_challenge_len, response))
        return ISCSI_LOGIN_TARGET_ERROR;
    enum iscsi_login_status status = login_put(login, "CHAP_N", owner->target_user);
    if (!status)
        status = put_binary(login, "CHAP_R", response, iscsi_chap_digest_len(auth->alg));
    OPENSSL_cleanse(response, sizeof(response));
    return status;
}

enum iscsi_login_status login_auth_check(struct iscsi_login *login, const struct iscsi_auth *owner)
{
    struct login_auth *auth = &login->auth;
    bool known = owner && owner->secret && (!owner->user || !strcmp(owner->user, login->user));
    /* An unknown user costs the same hash as a known one. */
    int err =
        iscsi_chap_verify(auth->alg, auth->id, known ? owner->secret : "", auth->challenge,
                          iscsi_chap_digest_len(auth->alg), auth->response, auth->response_len);
    if (err == USAN_EIO)
        return ISCSI_LOGIN_TARGET_ERROR;
    if (err || !known)
        return ISCSI_LOGIN_AUTH_FAILED;
    auth->state = AUTH_DONE;
    return auth->have_peer_challenge ? answer_peer(login, owner) : ISCSI_LOGIN_SUCCESS;
}

bool login_auth_may_end(const struct iscsi_login *login)
{
    const struct login_auth *auth = &login->auth;
    return auth->state == AUTH_DONE || (auth->state == AUTH_METHOD && !auth->required);
}
