/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connections of a session as they come and go: joining, taking another's place, logout of
 * others (RFC 7143 6.3, 11.14). */
#ifndef USAN_ISCSI_TJOIN_H
#define USAN_ISCSI_TJOIN_H

#include "iscsi/tstate.h"

/* The login of conn is about to succeed in sess, which is new or has been logged in before. The
 * login status to refuse it with, or 0: it has joined. */
uint16_t tjoin_bind(struct iscsi_tconn *conn, struct iscsi_tsess *sess);
/* It has succeeded, or failed. */
void tjoin_done(struct iscsi_tconn *conn);
void tjoin_failed(struct iscsi_tconn *conn);
/* A Logout Request on conn is about another connection. Its response code, 11.15.1. */
uint8_t tjoin_logout(struct iscsi_tconn *conn, uint16_t cid, bool for_recovery);
/* It is about the whole session: what else belongs to it ends. */
void tjoin_logout_session(struct iscsi_tconn *conn);

#endif
