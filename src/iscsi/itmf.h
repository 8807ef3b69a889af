/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Task management. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ITMF_H
#define USAN_ISCSI_ITMF_H

#include "iscsi/istate.h"

/* Have the target forget a task that was sent. USAN_EAGAIN: too many at a time. */
USAN_MUST_CHECK
int itmf_abort(struct itask *victim);
/* Have a task whose connection is lost go on on this one (level 2). USAN_EAGAIN likewise. */
USAN_MUST_CHECK
int itmf_reassign(struct iscsi_iconn *conn, struct itask *orphan);
void itmf_response(struct iscsi_iconn *conn, const uint8_t *bhs);
/* The target says by itself that it has ended the tasks of a logical unit (11.9.1, event 5). */
void itmf_terminated(struct iscsi_isess *sess, uint64_t lun);

#endif
