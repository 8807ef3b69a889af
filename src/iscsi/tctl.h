/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PDUs the target makes by itself, and the requests that are answered at once. */
#ifndef USAN_ISCSI_TCTL_H
#define USAN_ISCSI_TCTL_H

#include "iscsi/tstate.h"

/* An answer with room for data_len bytes of data, to be filled in and queued. NULL: the connection
 * was closed, as memory is short or the initiator does not read its answers. */
struct tctl *tctl_new(struct iscsi_tconn *conn, uint32_t data_len);
void tctl_queue(struct iscsi_tconn *conn, struct tctl *ctl);
/* Its last byte went out. */
void tctl_sent(struct iscsi_tconn *conn, struct tctl *ctl);

void tctl_reject(struct iscsi_tconn *conn, enum iscsi_reject reason, const uint8_t *bhs);
/* The connection ends after it, with this error. */
void tctl_reject_last(struct iscsi_tconn *conn, enum iscsi_reject reason, const uint8_t *bhs,
                      int err, const char *why);
void tctl_nop_out(struct iscsi_tconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len);
void tctl_ping(struct iscsi_tconn *conn);

#endif
