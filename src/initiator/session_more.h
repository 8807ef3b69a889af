/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connections of a session beside its first one (RFC 7143 4.2.7): they lead to the same
 * address, are opened once the session is up, and come and go while commands run. The core spreads
 * commands over all of them.
 */
#ifndef USAN_INITIATOR_SESSION_MORE_H
#define USAN_INITIATOR_SESSION_MORE_H

#include "initiator/session_state.h"

void ini_more_init(struct ini_session *s);
void ini_more_fini(struct ini_session *s);
/* Have as many as are wanted, and as the target allows. */
void ini_more_adjust(struct ini_session *s);
/* One is logged in; one could not be had. */
void ini_more_up(struct ini_session *s);
void ini_more_failed(struct ini_session *s);
/* One that is leaving may have nothing left to do. */
void ini_more_look(struct ini_session *s);
/* The session is gone. */
void ini_more_stop(struct ini_session *s);

#endif
