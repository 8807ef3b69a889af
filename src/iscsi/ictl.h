/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NOP, Async Message, logout, Reject. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ICTL_H
#define USAN_ISCSI_ICTL_H

#include "iscsi/istate.h"

/* Ask for a sign of life. */
void ictl_ping(struct iscsi_iconn *conn);
void ictl_nop_in(struct iscsi_iconn *conn, const uint8_t *bhs);
/* Log out, of the session or of this connection; err and why: what for (0 = it was wanted). */
void ictl_logout(struct iscsi_iconn *conn, bool session, int err, const char *why);
void ictl_logout_response(struct iscsi_iconn *conn, const uint8_t *bhs);
/* True if ev was filled in; it points into data. */
bool ictl_async(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len,
                struct iscsi_ievent *ev);
void ictl_reject(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len);
/* A command did not arrive: again, or too often already. */
void ictl_retry(struct itask *t);
/* The logout the target asked for, once nothing is outstanding or time runs out. */
void ictl_logout_if_due(struct iscsi_iconn *conn);

#endif
