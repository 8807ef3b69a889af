/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SNACK: the initiator asks for something once more, or acknowledges data (RFC 7143 11.16). */
#ifndef USAN_ISCSI_TSNACK_H
#define USAN_ISCSI_TSNACK_H

#include "iscsi/tstate.h"

void tsnack_request(struct iscsi_tconn *conn, const uint8_t *bhs);
/* Its last PDU was sent again, or is not to be. */
void tsnack_resent(struct iscsi_tconn *conn, struct tresend *rs);
/* The response has gone out whole, and what was asked meanwhile (t->rewind): all of it again. */
void tsnack_rewind(struct ttask *t);

#endif
