/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The login phase, initiator side (RFC 7143 sections 6, 12 and 13): stages, text keys, CHAP.
 *
 * It yields Login Requests and takes Login Responses (header fields and text). Knows nothing of
 * sockets, digests or sequence numbers; ilogin_pdu.c puts those around it. Internal to src/iscsi.
 */
#ifndef USAN_ISCSI_ILOGIN_H
#define USAN_ISCSI_ILOGIN_H

#include "iscsi/ilogin_state.h"

/* cfg is borrowed. leading: not for a session that exists. NULL when out of memory. The first
 * request is ready. */
struct ilogin *ilogin_new(const struct iscsi_isess_config *cfg, const struct alloc *a, bool leading,
                          uint32_t number);
/* Secrets are wiped. login may be NULL. */
void ilogin_free(struct ilogin *login);
/* The next request; transit, cont, csg, nsg and text (borrowed until the next call) are set. */
void ilogin_request(struct ilogin *login, struct iscsi_login_req *ret_req);
enum ilogin_result ilogin_response(struct ilogin *login, const struct iscsi_login_rsp *rsp);

#endif
