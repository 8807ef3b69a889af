/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Error recovery level 1: commands that did not arrive (RFC 7143 7.2.1). A target that discarded a
 * command does not pass its CmdSN. When ExpCmdSN stands still, a NOP-Out goes out behind the
 * command in question; if its answer still asks for that command, it is lost, and is sent again.
 * Nothing here is called at level 0. Internal to src/iscsi. */
#ifndef USAN_ISCSI_IRETRY_H
#define USAN_ISCSI_IRETRY_H

#include "iscsi/istate.h"

uint64_t iretry_deadline(const struct iscsi_iconn *conn);
void iretry_tick(struct iscsi_iconn *conn, uint64_t now_ns);
/* A NOP-In was taken. */
void iretry_answered(struct iscsi_iconn *conn, const uint8_t *nop_in);

#endif
