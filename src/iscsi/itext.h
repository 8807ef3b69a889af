/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text requests: SendTargets, negotiation in full feature phase. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ITEXT_H
#define USAN_ISCSI_ITEXT_H

#include "iscsi/istate.h"

/* Declare our MaxRecvDataSegmentLength (anew). USAN_EBUSY. */
USAN_MUST_CHECK
int itext_declare(struct iscsi_iconn *conn, uint32_t max_recv_data_segment);
/* A Text Response with its data segment. */
void itext_response(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data,
                    uint32_t len);
/* The next TARGET or TEXT_DONE event. */
bool itext_event(struct iscsi_iconn *conn, struct iscsi_ievent *ev);
/* The request comes to nothing. */
void itext_fail(struct iscsi_iconn *conn, int err, const char *why);
void itext_free(struct iscsi_iconn *conn);

#endif
