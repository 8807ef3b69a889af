/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TASK REASSIGN: a command of a lost connection goes on with another one (RFC 7143 7.2.2). */
#ifndef USAN_ISCSI_TREASSIGN_H
#define USAN_ISCSI_TREASSIGN_H

#include "iscsi/tstate.h"

/* Is a connection closed whose transport has not let go of its tasks (iscsi_tconn_lend)? Then the
 * request has to wait: t->waits. */
bool treassign_waits(struct ttask *request);
/* The transport of one has let go: those that wait are due. */
void treassign_go_on(struct iscsi_tsess *sess);
/* The response to that request, enum iscsi_tmf_response. */
uint8_t treassign_check(const struct ttask *request);
/* ABORT TASK of a command of a connection that was logged out: that is the request's connection's
 * now (11.5.1). The response, 1 + enum iscsi_tmf_response, if it has ended: its status is queued
 * before; 0: the owner answers. */
uint16_t treassign_abort(struct ttask *request);
/* It has been queued, with "function complete": now the command is its connection's. */
void treassign_do(const struct ttask *request);

#endif
