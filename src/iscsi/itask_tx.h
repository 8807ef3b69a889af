/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands and Data-Out on their way to the wire. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ITASK_TX_H
#define USAN_ISCSI_ITASK_TX_H

#include "iscsi/istate.h"

/* Set the task up for its command and queue it on its connection. USAN_ENOMEM. */
USAN_MUST_CHECK
int itask_tx_start(struct itask *t, struct iscsi_icmd *cmd);
/* Send the command of an ACTIVE task again, with its tag and CmdSN, and all of its data that needs
 * no R2T (7.2.1). */
void itask_tx_again(struct itask *t);
/* Put what is queued on the wire as far as there is room. */
void itask_tx_fill(struct iscsi_iconn *conn);

#endif
