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

#include "iscsi/target.h"

struct iscsi_login;

/* Status class << 8 | detail of a Login Response (RFC 7143 11.13.5). */
enum iscsi_login_status {
    ISCSI_LOGIN_SUCCESS = 0x0000,
    ISCSI_LOGIN_MOVED_TEMPORARILY = 0x0101,
    ISCSI_LOGIN_MOVED_PERMANENTLY = 0x0102,
    ISCSI_LOGIN_INITIATOR_ERROR = 0x0200,
    ISCSI_LOGIN_AUTH_FAILED = 0x0201,
    ISCSI_LOGIN_FORBIDDEN = 0x0202,
    ISCSI_LOGIN_NOT_FOUND = 0x0203,
    ISCSI_LOGIN_REMOVED = 0x0204,
    ISCSI_LOGIN_UNSUPPORTED_VERSION = 0x0205,
    ISCSI_LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
    ISCSI_LOGIN_MISSING_PARAMETER = 0x0207,
    ISCSI_LOGIN_CANNOT_JOIN_SESSION = 0x0208,
    ISCSI_LOGIN_SESSION_TYPE = 0x0209,
    ISCSI_LOGIN_NO_SUCH_SESSION = 0x020a,
    ISCSI_LOGIN_INVALID_DURING_LOGIN = 0x020b,
    ISCSI_LOGIN_TARGET_ERROR = 0x0300,
    ISCSI_LOGIN_SERVICE_UNAVAILABLE = 0x0301,
    ISCSI_LOGIN_OUT_OF_RESOURCES = 0x0302,
};

/* The fields of a Login Request header that matter to the negotiation (RFC 7143 11.12). */
struct iscsi_login_req {
    bool transit, cont;
    uint8_t csg, nsg;
    uint8_t version_max, version_min;
    uint8_t isid[6];
    uint16_t tsih, cid;
    const void *text; /* borrowed for the call */
    size_t text_len;
};

/* The Login Response to send (RFC 7143 11.13). */
struct iscsi_login_rsp {
    bool transit, cont;
    uint8_t csg, nsg;
    uint8_t version_max, version_active;
    uint16_t status;  /* class << 8 | detail */
    const void *text; /* borrowed until the next call on the login; at most what the initiator's
                         MaxRecvDataSegmentLength (8192 until declared) takes */
    size_t text_len;
};

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

/*
 * Text negotiation in full feature phase (RFC 7143 7.3): answer the keys in `in` (without
 * SendTargets, which the caller handles) into `out`, updating params for what may change then
 * (MaxRecvDataSegmentLength). Returns USAN_EPROTO for text that is malformed
 * or has a key twice, USAN_ELIMIT when the answer does not fit; nothing is changed then.
 */
USAN_MUST_CHECK
int iscsi_text_negotiate(const void *in, size_t in_len, const struct iscsi_params_cfg *cfg,
                         struct iscsi_params *params, char *out, size_t out_cap,
                         size_t *ret_out_len);

#endif
