/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connections of a session as they come and go: joining, taking another's place, logout of
 * others. */
#ifndef USAN_ISCSI_TLOST_H
#define USAN_ISCSI_TLOST_H

#include "iscsi/tstate.h"

/* The login of conn is about to succeed in sess, which is new or has been logged in before. The
 * login status to refuse it with, or 0: it has joined. */
uint16_t tlost_bind(struct iscsi_tconn *conn, struct iscsi_tsess *sess);
/* The connection of the session with that CID that is not closed, NULL: none. */
struct iscsi_tconn *tlost_find_conn(const struct iscsi_tsess *sess, uint16_t cid);
/* A logout on conn ends this other connection in order, or with it the whole session. */
void tlost_logout(struct iscsi_tconn *other);
void tlost_logout_session(struct iscsi_tconn *conn);

#endif
