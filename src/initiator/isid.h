/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Initiator session IDs (RFC 7143 11.12.5). Together with the initiator's name one is the initiator
 * port: the sessions of a process with one target need different ones, and a port that comes back
 * with the same one is the same to persistent reservations and reinstates its old session.
 *
 * A session gets the first one that is free, counted from a beginning in the two lowest bytes: the
 * URL's option isid, else a random one of this process. So the n-th session with a target has the
 * same ISID as long as the process runs, and with the option after a restart as well.
 */
#ifndef USAN_INITIATOR_ISID_H
#define USAN_INITIATOR_ISID_H

#include "initiator/url.h"

struct ini_isid;

/* url has the initiator's name. USAN_EIO: the system gives no random numbers; USAN_ENOMEM;
 * USAN_ELIMIT: there are 65536 sessions with this target. */
USAN_MUST_CHECK
int ini_isid_take(const struct ini_url *url, struct ini_isid **ret_isid);
/* isid may be NULL. */
void ini_isid_give(struct ini_isid *isid);
const uint8_t *ini_isid_bytes(const struct ini_isid *isid);

#endif
