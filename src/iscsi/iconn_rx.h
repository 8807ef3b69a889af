/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each received PDU leads to. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ICONN_RX_H
#define USAN_ISCSI_ICONN_RX_H

#include "iscsi/istate.h"

enum iconn_step { ICONN_EVENT, ICONN_AGAIN, ICONN_MORE };

/* Have a command that can not end well any more aborted. */
void iconn_rx_spoiled(struct iscsi_iconn *conn);
/* One step along the received bytes: ev was filled in, something else may be due, or bytes are
 * needed. */
enum iconn_step iconn_rx_step(struct iscsi_iconn *conn, struct iscsi_ievent *ev);
/* Give back the memory of the data segment under way. */
void iconn_rx_drop(struct iscsi_iconn *conn);

#endif
