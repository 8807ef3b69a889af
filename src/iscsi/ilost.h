/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error recovery level 2 (RFC 7143 7.2.2, 6.3.4, 6.3.6): connections that are lost, and what
 * becomes of their tasks. A lost connection waits in S8 until it is logged out, on another
 * connection (reason 2) or by a login with its cid; then each of its tasks is given to a connection
 * that lives (TASK REASSIGN). Commands that did not go out whole are not known to the target: they
 * are sent with the CmdSN they have. Nothing here happens below level 2. Internal to src/iscsi.
 */
#ifndef USAN_ISCSI_ILOST_H
#define USAN_ISCSI_ILOST_H

#include "iscsi/istate.h"

/* A connection is being closed, its wire is empty: keep what can go on elsewhere. False: nothing
 * is kept. */
bool ilost_take(struct iscsi_iconn *conn);
/* A connection has left the session, whether kept or not. requeue: what was not sent may go out
 * after another login. */
void ilost_left(struct iscsi_iconn *conn, bool requeue);
/* The session is over: so are lost connections and their tasks. */
void ilost_end_all(struct iscsi_isess *sess, int err, const char *why, bool requeue);
/* May a connection with this cid be made? 0 or an error of iscsi_iconn_new(). */
USAN_MUST_CHECK
int ilost_admit(struct iscsi_isess *sess, uint16_t cid, uint64_t now_ns);
/* The login of a connection begins. False: not now, for a lost one with its cid is being logged out
 * on another one, and that logout could reach the target after this login, and end it. */
USAN_MUST_CHECK
bool ilost_login_begins(struct iscsi_iconn *conn);
/* It succeeded. */
void ilost_logged_in(struct iscsi_iconn *conn);
/* Take the next steps. */
void ilost_go_on(struct iscsi_isess *sess, uint64_t now_ns);
/* True: the answer was for something that was asked here. */
bool ilost_logout_response(struct iscsi_iconn *conn, const uint8_t *bhs);
bool ilost_tmf_response(struct iscsi_iconn *conn, const uint8_t *bhs);

#endif
