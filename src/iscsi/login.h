/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The login phase, target side (RFC 7143 sections 6 and 13): stages, text keys, CHAP.
 *
 * Fed with Login Request PDUs (header fields and text), it says what it needs from the owner and
 * then yields one Login Response for each request. Knows nothing of sockets, digests or sequence
 * numbers; tconn.c puts those around it.
 */
#ifndef USAN_ISCSI_LOGIN_H
#define USAN_ISCSI_LOGIN_H

#include "iscsi/login_types.h"
#include "iscsi/target.h"

struct iscsi_login;

enum iscsi_login_want {
    ISCSI_LOGIN_WANT_RESPOND, /* send iscsi_login_response() */
    ISCSI_LOGIN_WANT_TARGET,  /* owner: _accept, _redirect or _reject */
    ISCSI_LOGIN_WANT_USER,    /* owner: _secret or _reject */
    ISCSI_LOGIN_WANT_BIND,    /* owner: _bound(tsih) or _reject */
};

/* cfg is borrowed for the life of the login. NULL when out of memory. */
struct iscsi_login *iscsi_login_new(const struct iscsi_tconn_config *cfg, const struct alloc *a);
/* Secrets are wiped. login may be NULL. */
void iscsi_login_free(struct iscsi_login *login);

/*
 * Take a request in; returns what is needed next. Every answer below returns the same.
 *
 * Session-wide keys are only negotiated on the leading connection; on a further one (TSIH not 0)
 * the params keep their defaults for them, and those of the session hold. WANT_TARGET comes for
 * discovery sessions as well, mostly without a target name. Names are given in their normal form
 * (names.h).
 */
enum iscsi_login_want iscsi_login_request(struct iscsi_login *login,
                                          const struct iscsi_login_req *req);
enum iscsi_login_want iscsi_login_accept(struct iscsi_login *login, const struct iscsi_auth *auth,
                                         const char *target_alias);
enum iscsi_login_want iscsi_login_secret(struct iscsi_login *login, const struct iscsi_auth *auth);
enum iscsi_login_want iscsi_login_redirect(struct iscsi_login *login, const char *address,
                                           bool permanent);
enum iscsi_login_want iscsi_login_reject(struct iscsi_login *login, uint16_t status);
enum iscsi_login_want iscsi_login_bound(struct iscsi_login *login);

/* With WANT_RESPOND. A status class other than 0 ends the login after it was sent. */
void iscsi_login_response(struct iscsi_login *login, struct iscsi_login_rsp *ret_rsp);
/* The response just given ends the login successfully: full feature phase. */
bool iscsi_login_finished(const struct iscsi_login *login);

/* What is known; NULL or 0 before the key came. */
const char *iscsi_login_initiator_name(const struct iscsi_login *login);
const char *iscsi_login_target_name(const struct iscsi_login *login);
const char *iscsi_login_user(const struct iscsi_login *login);
bool iscsi_login_discovery(const struct iscsi_login *login);
/* Negotiated so far; final when finished. */
const struct iscsi_params *iscsi_login_params(const struct iscsi_login *login);

#endif
