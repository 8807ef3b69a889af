/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 2: what is left of lost connections, and a session without any (RFC 7143 7.1.4,
 * 8.2, 8.3). */
#ifndef USAN_ISCSI_TLOST_H
#define USAN_ISCSI_TLOST_H

#include "iscsi/tstate.h"

/* conn has been closed: do its tasks stay with the session? The state machines have had their
 * steps. */
bool tlost_retains(struct iscsi_tconn *conn);
/* They do; conn->lost is theirs from now on. */
void tlost_open(struct iscsi_tconn *conn);
/* Nothing of the connection is on the wire: its tasks and answers are the session's. */
void tlost_take(struct iscsi_tconn *conn);
/* Nobody is to take over what was left of a connection; l is gone. */
void tlost_end(struct iscsi_tsess *s, struct tlost *l);
/* The same for all, with a step of their state machines. */
void tlost_end_all(struct iscsi_tsess *s, enum iscsi_conn_event ev);
/* The session is freed. */
void tlost_free_all(struct iscsi_tsess *s);

#endif
