/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of the login: its state, and the text of the response to come, which login.c (stages,
 * responses) and login_auth.c (security) both add to.
 */
#ifndef USAN_ISCSI_LOGIN_REPLY_H
#define USAN_ISCSI_LOGIN_REPLY_H

#include "iscsi/chap.h"
#include "iscsi/login_types.h"
#include "iscsi/nego.h"
#include "iscsi/target.h"

/* CSG and NSG, RFC 7143 11.12.3 */
enum { STAGE_SECURITY = 0, STAGE_OPERATIONAL = 1, STAGE_FULL_FEATURE = 3 };

/* Whose turn it is. */
enum login_step { STEP_REQUEST, STEP_TARGET, STEP_USER, STEP_BIND, STEP_RESPONSE, STEP_OVER };

/* How far CHAP has come, RFC 7143 12.1.3; the key named is the one expected next. */
enum login_auth_state { AUTH_METHOD, AUTH_CHAP_A, AUTH_CHAP_R, AUTH_DONE };

struct login_auth {
    bool required, optional;
    enum login_auth_state state;
    enum login_auth_state before; /* state when the request at hand came */
    enum iscsi_chap_alg alg;
    uint8_t id, challenge[ISCSI_CHAP_DIGEST_MAX]; /* ours */
    /* what the initiator answered, and its own challenge if it wants to know us */
    bool have_response, have_user, have_peer_id, have_peer_challenge;
    uint8_t peer_id;
    uint8_t response[ISCSI_CHAP_DIGEST_MAX], peer_challenge[ISCSI_BINARY_MAX];
    size_t response_len, peer_challenge_len;
};

/* Text that grows up to ISCSI_TEXT_MAX. */
struct login_text {
    char *p;
    size_t len, cap;
};

struct iscsi_login {
    const struct iscsi_tconn_config *cfg;
    const struct alloc *a;
    enum login_step step;
    unsigned stage;
    unsigned pdus;
    uint16_t status; /* of the response to come; not 0 = the login has failed */
    bool first;      /* no complete text came yet */
    bool hold;       /* the stage cannot end with this response: we made offers in it */
    bool transit;    /* the response to come ends the stage */
    bool more;       /* the response to come is empty, as more of the request's text follows */

    struct iscsi_login_req id;  /* the first request: what must not change */
    struct iscsi_login_req req; /* the request at hand, text not kept */
    struct login_text in, out;
    size_t out_sent;
    size_t text_total; /* received in this login */

    struct iscsi_params params;
    struct iscsi_nego nego;
    struct login_auth auth;
    char initiator_name[ISCSI_NAME_MAX + 1], target_name[ISCSI_NAME_MAX + 1];
    char user[ISCSI_VALUE_MAX + 1];
};

/* Room for n bytes at the end of the text: a cursor over it (take its len over), or nothing
 * (buf NULL) when memory or ISCSI_TEXT_MAX is exhausted. */
struct wr login_text_room(struct iscsi_login *login, struct login_text *text, size_t n);
/* Append a pair to the response. */
enum iscsi_login_status login_put(struct iscsi_login *login, const char *key, const char *value);

#endif
