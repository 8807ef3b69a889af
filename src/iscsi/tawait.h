/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that have to wait for the end of tasks.
 *
 *   Logout Response   the commands of the connection, or the session, are terminated before it
 *                     (RFC 7143 11.14): what the initiator sends again on another connection must
 *                     not be overtaken by a write of its own.
 *   Login Response    of a connection that takes the place of another (6.3.4), likewise.
 *   TMF Response      follows the answers of all tasks that it concerns; with several connections,
 *                     their acknowledgement on the others (the response fence, 4.2.2.3).
 */
#ifndef USAN_ISCSI_TAWAIT_H
#define USAN_ISCSI_TAWAIT_H

#include "iscsi/tstate.h"

/* Queue this Logout Response when what it is about has ended: all tasks of the session, or those of
 * its connection with this CID, as far as they are to end. */
void tawait_logout(struct iscsi_tconn *conn, struct tctl *response, bool session, uint16_t cid);
/* true: the login waits (conn->bind_waits) for the end of the tasks of the connection whose place
 * it takes; then conn->bind_due is set. */
bool tawait_bind(struct iscsi_tconn *conn);
/* The owner has responded to the function: queue that, now or when it may go out. */
void tawait_tmf(struct ttask *t);
/* Something that may be waited for has happened. Only if sess->awaited. */
void tawait_look(struct iscsi_tsess *sess);
/* A header came on a connection that is not the only one. */
void tawait_ack(struct iscsi_tconn *conn, uint32_t exp_stat_sn);
/* For a tick: when to look at the fence again; it opens by itself after TCONN_FENCE_NS. TIME_NEVER:
 * it is open. */
uint64_t tawait_tick(struct iscsi_tconn *conn);
/* The connection is closed: what waits on it is dropped, nobody waits for it. */
void tawait_closed(struct iscsi_tconn *conn);

#endif
