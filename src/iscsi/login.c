/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The login machine: stages, requests whose text is spread over PDUs, and responses likewise.
 *
 *   request -> (text complete) -> [target] -> keys -> [user] -> conclude -> [bind] -> response
 *
 * where [x] is a question to the owner.
 */
#include "iscsi/login.h"

#include "iscsi/login_auth.h"
#include "iscsi/names.h"

#include <assert.h>

#include <openssl/crypto.h>

enum { VERSION = 0x00 }; /* RFC 7143 11.12.4 */

/* ---- life ---- */

struct iscsi_login *iscsi_login_new(const struct iscsi_tconn_config *cfg, const struct alloc *a)
{
    struct iscsi_login *login = alloc_zero(a, sizeof(*login));
    if (!login)
        return NULL;
    login->cfg = cfg;
    login->a = a;
    login->step = STEP_REQUEST;
    login->first = true;
    iscsi_nego_init(&login->nego, &cfg->params, &login->params, false);
    return login;
}

void iscsi_login_free(struct iscsi_login *login)
{
    if (!login)
        return;
    const struct alloc *a = login->a;
    if (login->in.p)
        OPENSSL_cleanse(login->in.p, login->in.cap);
    if (login->out.p)
        OPENSSL_cleanse(login->out.p, login->out.cap);
    alloc_put(a, login->in.p);
    alloc_put(a, login->out.p);
    OPENSSL_cleanse(login, sizeof(*login));
    alloc_put(a, login);
}

/* ---- the response ---- */

/* End the login with this status. */
static enum iscsi_login_want fail(struct iscsi_login *login, enum iscsi_login_status status)
{
    assert(status != ISCSI_LOGIN_SUCCESS);
    login->status = (uint16_t)status;
    login->out.len = login->out_sent = 0;
    login->transit = login->more = false;
    login->step = STEP_RESPONSE;
    return ISCSI_LOGIN_WANT_RESPOND;
}

/* What the initiator takes in one PDU: RFC 7143 13.12, 8192 until it says otherwise. */
static bool out_fits(const struct iscsi_login *login)
{
    return login->out.len - login->out_sent <= login->params.tx_data_segment;
}

static bool stage_may_end(const struct iscsi_login *login)
{
    if (!login->req.transit || login->hold || !out_fits(login))
        return false;
    return login->stage == STAGE_OPERATIONAL || login_auth_may_end(login);
}

/* All is said: does this response end the stage, and the login? */
static enum iscsi_login_want decide(struct iscsi_login *login)
{
    login->transit = stage_may_end(login);
    if (out_fits(login)) /* else our offers are still to be sent */
        login->hold = false;
    login->step = STEP_RESPONSE;
    if (!login->transit || login->req.nsg != STAGE_FULL_FEATURE)
        return ISCSI_LOGIN_WANT_RESPOND;
    if (iscsi_nego_finish(&login->nego))
        return fail(login, ISCSI_LOGIN_INITIATOR_ERROR);
    login->step = STEP_BIND;
    return ISCSI_LOGIN_WANT_BIND;
}

void iscsi_login_response(struct iscsi_login *login, struct iscsi_login_rsp *ret_rsp)
{
    assert(login->step == STEP_RESPONSE);
    size_t left = login->out.len - login->out_sent;
    size_t now = out_fits(login) ? left : login->params.tx_data_segment;
    /* out.p does not move before the next call, and nothing of it was sent twice. */
    *ret_rsp = (struct iscsi_login_rsp){
        .transit = login->transit,
        .cont = now < left,
        .csg = login->req.csg,
        .nsg = login->transit ? login->req.nsg : 0,
        .version_max = VERSION,
        .version_active = VERSION,
        .status = login->status,
        .text = now ? login->out.p + login->out_sent : NULL,
        .text_len = now,
    };
    login->out_sent += now;
    if (login->out_sent == login->out.len)
        login->out.len = login->out_sent = 0;
    login->more = false;
    login->step = STEP_REQUEST;
    if (login->transit)
        login->stage = login->req.nsg;
    if (login->status || login->stage == STAGE_FULL_FEATURE)
        login->step = STEP_OVER;
}

/* ---- keys ---- */

/* Who wants to speak to whom, said once more: libiscsi does so in every stage that has no CHAP in
 * it. RFC 7143 6.3 has a key declared once, but the same value changes nothing. */
static bool said_before(const struct iscsi_login *login, enum iscsi_key_id id,
                        const struct iscsi_pair *pair)
{
    char name[ISCSI_NAME_MAX + 1];
    if (login->first)
        return false;
    if (id == ISCSI_KEY_SESSION_TYPE)
        return !strcmp(pair->value, login->nego.discovery ? "Discovery" : "Normal");
    if (id != ISCSI_KEY_INITIATOR_NAME && id != ISCSI_KEY_TARGET_NAME)
        return false;
    if (iscsi_name_prepare(pair->value, pair->value_len, name, NULL))
        return false;
    return !strcmp(name,
                   id == ISCSI_KEY_INITIATOR_NAME ? login->initiator_name : login->target_name);
}

static enum iscsi_login_status take_pair(struct iscsi_login *login, const struct iscsi_pair *pair,
                                         const struct iscsi_key *key)
{
    unsigned stage =
        login->stage == STAGE_SECURITY ? ISCSI_KEY_F_SECURITY : ISCSI_KEY_F_OPERATIONAL;
    bool ignore = false;
    if (key && said_before(login, iscsi_key_id(key), pair))
        return ISCSI_LOGIN_SUCCESS;
    if (key && iscsi_nego_admit(&login->nego, key, pair, stage, &ignore))
        return ISCSI_LOGIN_INITIATOR_ERROR;
    if (ignore)
        return ISCSI_LOGIN_SUCCESS;
    enum iscsi_key_id id = key ? iscsi_key_id(key) : ISCSI_KEY_COUNT;
    if (id <= ISCSI_KEY_CHAP_R)
        return login_auth_key(login, id, pair);
    /* Taken by first_keys(); RFC 7143 13.4, 13.5, 13.21: they come with the first request. */
    if (id == ISCSI_KEY_INITIATOR_NAME || id == ISCSI_KEY_TARGET_NAME ||
        id == ISCSI_KEY_SESSION_TYPE)
        return login->first ? ISCSI_LOGIN_SUCCESS : ISCSI_LOGIN_INITIATOR_ERROR;
    struct wr w = login_text_room(login, &login->out, pair->key_len + ISCSI_ANSWER_MAX);
    if (!w.buf)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    if (!key)
        iscsi_nego_unknown(pair, &w);
    else if (iscsi_nego_take(&login->nego, key, pair, &w))
        return ISCSI_LOGIN_INITIATOR_ERROR;
    assert(!wr_truncated(&w));
    login->out.len += w.len;
    return ISCSI_LOGIN_SUCCESS;
}

/* Two passes: keys that others depend on first, whatever order they came in. */
static enum iscsi_login_status take_keys(struct iscsi_login *login)
{
    for (int pass = 0; pass < 2; pass++) {
        struct iscsi_pair pair;
        size_t pos = 0;
        int more;
        while ((more = iscsi_text_next(login->in.p, login->in.len, &pos, &pair)) > 0) {
            const struct iscsi_key *key = iscsi_key_find(pair.key, pair.key_len);
            bool early = key && (key->flags & ISCSI_KEY_F_EARLY);
            if (early != (pass == 0))
                continue;
            enum iscsi_login_status status = take_pair(login, &pair, key);
            if (status)
                return status;
        }
        if (more < 0)
            return ISCSI_LOGIN_INITIATOR_ERROR;
    }
    return ISCSI_LOGIN_SUCCESS;
}

/* What this end says unasked: its MaxRecvDataSegmentLength in the operational stage, and before
 * full feature phase what it cannot leave at the default. */
static enum iscsi_login_status say_ours(struct iscsi_login *login)
{
    if (login->stage != STAGE_OPERATIONAL)
        return ISCSI_LOGIN_SUCCESS;
    struct wr w = login_text_room(login, &login->out,
                                  ISCSI_KEY_COUNT * (ISCSI_KEY_NAME_MAX + ISCSI_ANSWER_MAX));
    if (!w.buf)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    iscsi_nego_declare(&login->nego, &w);
    if (login->req.transit)
        login->hold = iscsi_nego_offer(&login->nego, &w) > 0;
    assert(!wr_truncated(&w));
    login->out.len += w.len;
    return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_want conclude(struct iscsi_login *login)
{
    enum iscsi_login_status status = say_ours(login);
    if (status)
        return fail(login, status);
    login->first = false;
    login->in.len = 0;
    return decide(login);
}

static enum iscsi_login_want take_text(struct iscsi_login *login)
{
    bool want_user = false;
    login->auth.before = login->auth.state;
    enum iscsi_login_status status = take_keys(login);
    if (!status && login->stage == STAGE_SECURITY)
        status = login_auth_keys_end(login, &want_user);
    if (status)
        return fail(login, status);
    if (!want_user)
        return conclude(login);
    login->step = STEP_USER;
    return ISCSI_LOGIN_WANT_USER;
}

/* ---- the first request ---- */

static enum iscsi_login_status take_session_type(struct iscsi_login *login, const char *type)
{
    if (!strcmp(type, "Discovery"))
        login->nego.discovery = true;
    else if (strcmp(type, "Normal") != 0)
        return ISCSI_LOGIN_SESSION_TYPE;
    /* A discovery session has one connection: RFC 7143 4.3 */
    if (login->nego.discovery && !login->nego.leading)
        return ISCSI_LOGIN_CANNOT_JOIN_SESSION;
    return ISCSI_LOGIN_SUCCESS;
}

/* The keys that say who wants to speak to whom; the others are passed over. */
static enum iscsi_login_status first_keys(struct iscsi_login *login)
{
    struct iscsi_pair pair;
    enum iscsi_login_status status = ISCSI_LOGIN_SUCCESS;
    bool no_target = false;
    size_t pos = 0;
    int more;
    while (!status && (more = iscsi_text_next(login->in.p, login->in.len, &pos, &pair)) > 0) {
        if (iscsi_pair_is(&pair, "SessionType"))
            status = take_session_type(login, pair.value);
        else if (iscsi_pair_is(&pair, "InitiatorName")) {
            if (iscsi_name_prepare(pair.value, pair.value_len, login->initiator_name, NULL))
                status = ISCSI_LOGIN_INITIATOR_ERROR;
        } else if (iscsi_pair_is(&pair, "TargetName"))
            no_target =
                iscsi_name_prepare(pair.value, pair.value_len, login->target_name, NULL) != 0;
    }
    if (status)
        return status;
    if (more < 0)
        return ISCSI_LOGIN_INITIATOR_ERROR;
    if (!login->initiator_name[0]) /* RFC 7143 13.5 */
        return ISCSI_LOGIN_MISSING_PARAMETER;
    if (no_target) /* what is no name names no target of ours */
        return ISCSI_LOGIN_NOT_FOUND;
    if (!login->target_name[0] && !login->nego.discovery) /* RFC 7143 13.4 */
        return ISCSI_LOGIN_MISSING_PARAMETER;
    return ISCSI_LOGIN_SUCCESS;
}

/* RFC 7143 13.9: the tag is in the first response of a leading login that names a target. */
static enum iscsi_login_status say_first(struct iscsi_login *login, const char *alias)
{
    struct iscsi_nego *nego = &login->nego;
    if (nego->leading && !nego->discovery && login->target_name[0]) {
        struct wr w = login_text_room(login, &login->out, ISCSI_KEY_NAME_MAX + ISCSI_ANSWER_MAX);
        if (!w.buf)
            return ISCSI_LOGIN_OUT_OF_RESOURCES;
        iscsi_text_put_number(&w, "TargetPortalGroupTag", login->cfg->portal_group_tag);
        login->out.len += w.len;
        nego->declared |= UINT64_C(1) << ISCSI_KEY_TARGET_PORTAL_GROUP_TAG;
    }
    if (alias && alias[0] && strlen(alias) <= ISCSI_VALUE_MAX) {
        nego->declared |= UINT64_C(1) << ISCSI_KEY_TARGET_ALIAS;
        return login_put(login, "TargetAlias", alias);
    }
    return ISCSI_LOGIN_SUCCESS;
}

enum iscsi_login_want iscsi_login_accept(struct iscsi_login *login, const struct iscsi_auth *auth,
                                         const char *target_alias)
{
    assert(login->step == STEP_TARGET);
    login->auth.required = auth && auth->required;
    login->auth.optional = auth && auth->optional;
    /* RFC 7143 6.3: an initiator that starts in the operational stage offers no authentication. */
    if (login->auth.required && login->stage != STAGE_SECURITY)
        return fail(login, ISCSI_LOGIN_AUTH_FAILED);
    enum iscsi_login_status status = say_first(login, target_alias);
    if (status)
        return fail(login, status);
    return take_text(login);
}

/* ---- requests ---- */

/* RFC 7143 11.12: what a header may say at this point. */
static enum iscsi_login_status check_header(struct iscsi_login *login,
                                            const struct iscsi_login_req *req)
{
    if (req->version_min > VERSION) /* 11.12.5 */
        return ISCSI_LOGIN_UNSUPPORTED_VERSION;
    if (!login->pdus) {
        login->id = *req;
        login->id.text = NULL;
        login->nego.leading = !req->tsih;
        if (req->csg != STAGE_SECURITY && req->csg != STAGE_OPERATIONAL)
            return ISCSI_LOGIN_INITIATOR_ERROR;
        login->stage = req->csg;
    }
    const struct iscsi_login_req *id = &login->id;
    if (memcmp(req->isid, id->isid, sizeof(id->isid)) != 0 || req->tsih != id->tsih ||
        req->cid != id->cid || req->version_max != id->version_max ||
        req->version_min != id->version_min)
        return ISCSI_LOGIN_INITIATOR_ERROR;
    if (++login->pdus > ISCSI_LOGIN_PDUS_MAX || req->csg != login->stage)
        return ISCSI_LOGIN_INITIATOR_ERROR;
    if (!req->transit)
        return ISCSI_LOGIN_SUCCESS;
    /* 11.12.1, 11.12.2: T and C exclude each other; 11.12.3: stages only go forward. */
    if (req->cont || req->nsg <= req->csg ||
        (req->nsg != STAGE_OPERATIONAL && req->nsg != STAGE_FULL_FEATURE))
        return ISCSI_LOGIN_INITIATOR_ERROR;
    return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status add_text(struct iscsi_login *login, const void *text, size_t len)
{
    if (len > ISCSI_TEXT_MAX - login->text_total)
        return ISCSI_LOGIN_INITIATOR_ERROR;
    login->text_total += len;
    struct wr w = login_text_room(login, &login->in, len);
    if (len && !w.buf)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    wr_bytes(&w, text, len);
    login->in.len += len;
    return ISCSI_LOGIN_SUCCESS;
}

enum iscsi_login_want iscsi_login_request(struct iscsi_login *login,
                                          const struct iscsi_login_req *req)
{
    assert(login->step == STEP_REQUEST);
    login->req = *req;
    login->req.text = NULL;
    enum iscsi_login_status status = check_header(login, req);
    /* RFC 7143 6.2: while our own text is not all sent, requests for the rest are empty. */
    if (!status && login->out.len && req->text_len)
        status = ISCSI_LOGIN_INITIATOR_ERROR;
    if (!status)
        status = add_text(login, req->text, req->text_len);
    if (status)
        return fail(login, status);
    if (login->out.len)
        return decide(login);
    login->more = req->cont;
    if (req->cont) {
        login->transit = false;
        login->step = STEP_RESPONSE;
        return ISCSI_LOGIN_WANT_RESPOND;
    }
    if (!login->first)
        return take_text(login);
    status = first_keys(login);
    if (status)
        return fail(login, status);
    login->step = STEP_TARGET;
    return ISCSI_LOGIN_WANT_TARGET;
}

/* ---- the owner's other answers ---- */

enum iscsi_login_want iscsi_login_secret(struct iscsi_login *login, const struct iscsi_auth *auth)
{
    assert(login->step == STEP_USER);
    enum iscsi_login_status status = login_auth_check(login, auth);
    return status ? fail(login, status) : conclude(login);
}

enum iscsi_login_want iscsi_login_redirect(struct iscsi_login *login, const char *address,
                                           bool permanent)
{
    assert(login->step == STEP_TARGET);
    (void)fail(login, permanent ? ISCSI_LOGIN_MOVED_PERMANENTLY : ISCSI_LOGIN_MOVED_TEMPORARILY);
    enum iscsi_login_status status = login_put(login, "TargetAddress", address);
    return status ? fail(login, status) : ISCSI_LOGIN_WANT_RESPOND;
}

enum iscsi_login_want iscsi_login_reject(struct iscsi_login *login, uint16_t status)
{
    assert(login->step != STEP_OVER && status >> 8);
    return fail(login, (enum iscsi_login_status)status);
}

enum iscsi_login_want iscsi_login_bound(struct iscsi_login *login)
{
    assert(login->step == STEP_BIND);
    login->step = STEP_RESPONSE;
    return ISCSI_LOGIN_WANT_RESPOND;
}

/* ---- what is known ---- */

bool iscsi_login_finished(const struct iscsi_login *login)
{
    return login->stage == STAGE_FULL_FEATURE && !login->status;
}

const char *iscsi_login_initiator_name(const struct iscsi_login *login)
{
    return login->initiator_name[0] ? login->initiator_name : NULL;
}

const char *iscsi_login_target_name(const struct iscsi_login *login)
{
    return login->target_name[0] ? login->target_name : NULL;
}

const char *iscsi_login_user(const struct iscsi_login *login)
{
    return login->user[0] ? login->user : NULL;
}

bool iscsi_login_discovery(const struct iscsi_login *login)
{
    return login->nego.discovery;
}

const struct iscsi_params *iscsi_login_params(const struct iscsi_login *login)
{
    return &login->params;
}
