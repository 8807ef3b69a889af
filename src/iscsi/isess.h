/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A session of the initiator role: the command window, the queue. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ISESS_H
#define USAN_ISCSI_ISESS_H

#include "iscsi/istate.h"

/* Give queued commands to connections as far as the window and the task pool allow. */
void isess_start(struct iscsi_isess *sess);
/* ExpCmdSN and MaxCmdSN of a PDU (4.2.2.1); false: the target acknowledges what was not sent. */
bool isess_window(struct iscsi_isess *sess, const uint8_t *bhs, uint64_t now_ns);
/* The connection that takes commands and has the least to do; NULL: there is none. */
struct iscsi_iconn *isess_least_loaded(const struct iscsi_isess *sess);
/* A leading login begins: command numbers start anew. */
void isess_renumber(struct iscsi_isess *sess);
/* The connection leaves. If it was the last one, so does the session, unless it was kept: then it
 * waits to be continued. */
void isess_leave(struct iscsi_iconn *conn, bool kept);
/* The session failed: SESSION_DOWN is due. */
void isess_down(struct iscsi_isess *sess, int err, const char *why);

#endif
