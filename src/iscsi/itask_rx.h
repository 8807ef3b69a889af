/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a target sends for a command: Data-In, R2T, SCSI Response. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ITASK_RX_H
#define USAN_ISCSI_ITASK_RX_H

#include "iscsi/istate.h"

/* A Data-In header came: say where its data goes; conn->rx_bhs is a copy of it. */
void itask_rx_data_in(struct iscsi_iconn *conn);
/* The data segment of that Data-In is complete. */
void itask_rx_data(struct iscsi_iconn *conn, bool digest_ok);
void itask_rx_r2t(struct iscsi_iconn *conn, const uint8_t *bhs);
/* A SCSI Response with its data segment. */
void itask_rx_response(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data,
                       uint32_t len);

#endif
