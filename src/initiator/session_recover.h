/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery level 2: a connection that is lost is made again with its CID, which has its commands
 * reassigned (RFC 7143 6.3.4, 7.2.2); the last one that is lost continues the session (6.3.6). When
 * the core gives the session up, it is lost as at level 0.
 */
#ifndef USAN_INITIATOR_SESSION_RECOVER_H
#define USAN_INITIATOR_SESSION_RECOVER_H

#include "initiator/session_state.h"

/* event: of the session itself, which may have no connection; pulled: that were all for now. */
void ini_recover_init(struct ini_session *s,
                      void (*event)(struct ini_session *s, const struct iscsi_ievent *ev),
                      void (*pulled)(struct ini_session *s));
void ini_recover_fini(struct ini_session *s);
/* Event RECOVER, RECOVERED. */
void ini_recover_begin(struct ini_session *s, const struct iscsi_ievent *ev);
void ini_recover_end(struct ini_session *s, uint16_t cid);
/* A connection with this CID is logged in. */
void ini_recover_done(struct ini_session *s, uint16_t cid);
/* A new connection for a lost one has failed. False: c is none. */
bool ini_recover_failed(struct ini_session *s, const struct ini_conn *c);
/* The core may have another deadline. */
void ini_recover_clock(struct ini_session *s);
/* The session is gone. */
void ini_recover_stop(struct ini_session *s);

#endif
