/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TASK REASSIGN: a command of a lost connection goes on with another one (RFC 7143 7.2.2). */
#ifndef USAN_ISCSI_TREASSIGN_H
#define USAN_ISCSI_TREASSIGN_H

#include "iscsi/tstate.h"

/* The response to that request, enum iscsi_tmf_response. */
uint8_t treassign_check(const struct ttask *request);
/* It has been queued, with "function complete": now the command is its connection's. */
void treassign_do(const struct ttask *request);

#endif
