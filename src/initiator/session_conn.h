/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection of a session: bytes between its socket and the protocol core. */
#ifndef USAN_INITIATOR_SESSION_CONN_H
#define USAN_INITIATOR_SESSION_CONN_H

#include "initiator/session_state.h"

void ini_conns_init(struct ini_session *s, const struct ini_conn_ops *ops);
/* All of them are closed, after a logout that may take a moment. */
void ini_conns_fini(struct ini_session *s);

/* Connect to addr. 0, or an errno value with nothing begun. */
int ini_conn_open(struct ini_session *s, const struct sockaddr_storage *addr);
/* The same, with this CID. */
int ini_conn_open_as(struct ini_session *s, const struct sockaddr_storage *addr, uint16_t cid);
/* Take the core's events, arm the timer, send what there is. */
void ini_conn_pump(struct ini_conn *c);
/* Give it up, from the loop. */
void ini_conn_drop(struct ini_conn *c, int err);
/* All of them, and the session with them, whatever the recovery level. */
void ini_conns_drop_all(struct ini_session *s, int err);
/* The core may have something to send, or to say, on any of them: from the loop. */
void ini_conns_kick(struct ini_session *s);
/* As before; the session itself may have something to say. */
void ini_conns_wake(struct ini_session *s);
/* The one that made the session, or any; NULL: there is none. */
struct ini_conn *ini_conns_first(const struct ini_session *s);

#endif
