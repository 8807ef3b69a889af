/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a login, initiator side, which ilogin.c (stages) and ilogin_auth.c (security) work
 * on. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ILOGIN_STATE_H
#define USAN_ISCSI_ILOGIN_STATE_H

#include "iscsi/chap.h"
#include "iscsi/initiator.h"
#include "iscsi/nego.h"

enum { ILOGIN_OUT_MAX = 8192, ILOGIN_ADDRESS_MAX = 256 };

/* CSG and NSG, RFC 7143 11.12.3 */
enum ilogin_stage { ILOGIN_SECURITY = 0, ILOGIN_OPERATIONAL = 1, ILOGIN_FULL_FEATURE = 3 };

/* How far authentication has come: what the target has to say next. */
enum iauth_state { IAUTH_METHOD, IAUTH_CHALLENGE, IAUTH_PROOF, IAUTH_DONE };

struct iauth {
    enum iauth_state state;
    /* of the response at hand */
    bool have_method, have_alg, have_id, have_challenge, have_name, have_proof;
    bool method_chap, method_none;
    char name[ISCSI_VALUE_MAX + 1];
    uint8_t id, challenge[ISCSI_BINARY_MAX], proof[ISCSI_CHAP_DIGEST_MAX];
    size_t challenge_len, proof_len;
    enum iscsi_chap_alg alg;
    /* ours */
    uint8_t our_id, our_challenge[ISCSI_CHAP_DIGEST_MAX];
};

struct ilogin {
    const struct iscsi_isess_config *cfg;
    const struct alloc *a;
    uint32_t number; /* of this login of the session: for the challenge */
    enum ilogin_stage stage;
    bool transit; /* the request ends the stage, if the target agrees */
    unsigned pdus;
    struct iscsi_params params;
    struct iscsi_nego nego;
    struct iauth auth;
    bool target_offers; /* keys of the response at hand that wanted an answer */
    char *in;           /* text that comes in parts; ISCSI_TEXT_MAX bytes */
    size_t in_len;
    uint8_t out[ILOGIN_OUT_MAX];
    size_t out_len, out_sent;
    /* results */
    int err;
    const char *why, *key; /* static strings; key may be NULL */
    uint16_t status;
    char address[ILOGIN_ADDRESS_MAX];
    bool permanent;
};

enum ilogin_result {
    ILOGIN_SEND,     /* send ilogin_request() */
    ILOGIN_FINISHED, /* full feature phase; params */
    ILOGIN_REDIRECT, /* address, permanent */
    ILOGIN_FAILED,   /* err, why, key, status */
};

static inline enum ilogin_result ilogin_fail(struct ilogin *login, int err, const char *why,
                                             const char *key)
{
    login->err = err;
    login->why = why;
    login->key = key;
    return ILOGIN_FAILED;
}

#endif
