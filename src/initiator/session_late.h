/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that are not answered in time: see session.h. */
#ifndef USAN_INITIATOR_SESSION_LATE_H
#define USAN_INITIATOR_SESSION_LATE_H

#include "initiator/session_state.h"

void ini_late_init(struct ini_session *s);
void ini_late_fini(struct ini_session *s);
/* The core has got a command: see that there is a timer. */
static inline bool ini_late_unarmed(const struct ini_session *s)
{
    return s->watch.deadline_ns == TIME_NEVER && s->url.command_timeout_ns;
}
void ini_late_arm(struct ini_session *s);
/* The session is gone. */
void ini_late_stop(struct ini_session *s);

#endif
