/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A session of the initiator role: the command window, the queue. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ISESS_H
#define USAN_ISCSI_ISESS_H

#include "iscsi/istate.h"

/* Give queued commands to connections as far as the window and the task pool allow. */
void isess_start(struct iscsi_isess *sess);
/* ExpCmdSN and MaxCmdSN of a PDU (4.2.2.1); false: the target acknowledges what was not sent. */
bool isess_window(struct iscsi_isess *sess, const uint8_t *bhs);
/* A leading login begins: command numbers start anew. */
void isess_renumber(struct iscsi_isess *sess);
/* The connection leaves. If it was the last one, so does the session. */
void isess_leave(struct iscsi_iconn *conn, int err, const char *why);

#endif
