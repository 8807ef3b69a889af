/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a session logs in: addresses, redirects, back-off. */
#ifndef USAN_INITIATOR_SESSION_LOGIN_H
#define USAN_INITIATOR_SESSION_LOGIN_H

#include "initiator/session_state.h"

/* The first attempt begins from the loop. USAN_ENOMEM. */
USAN_MUST_CHECK
int ini_login_init(struct ini_session *s);
void ini_login_fini(struct ini_session *s);

void ini_login_redirected(struct ini_session *s, const char *address, bool permanent);
/* Full feature phase. True: the owner is to check the unit first. */
bool ini_login_done(struct ini_session *s);
/* It has, and commands may go out. */
void ini_login_up(struct ini_session *s);
/* The connection of the attempt is gone; s->error says why. */
void ini_login_failed(struct ini_session *s);
/* The session was up and is not any more. */
void ini_login_lost(struct ini_session *s);

#endif
