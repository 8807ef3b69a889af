/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Error recovery level 1 (RFC 7143 7.8, 7.9, 11.16): what did not come, or came damaged, is asked
 * for again. Nothing here is called at level 0. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ISNACK_H
#define USAN_ISCSI_ISNACK_H

#include "iscsi/istate.h"

enum isnack_take { ISNACK_TAKE, ISNACK_DROP, ISNACK_WRONG };

/* The number of a Data-In or R2T: is it to be taken? A gap before it is asked for. */
enum isnack_take isnack_number(struct itask *t, uint32_t sn);
/* The data of that PDU, which begins at off, is damaged. */
void isnack_damaged(struct itask *t, uint32_t sn, uint32_t off);
/* A PDU of a mending task is there. True: all is, and the status that waited for it can be taken
 * from t->rec->status. */
bool isnack_complete(struct itask *t);
/* The status of a command that reads: must it wait for data? stat_sn is its number. */
bool isnack_hold(struct itask *t, const struct pdu_scsi_status *s, uint32_t stat_sn);
/* The target wants to know that all up to DataSN sn is there (the A bit, 11.7.2). */
void isnack_ack(struct itask *t, uint32_t sn, uint32_t ttt, uint64_t lun);
/* The target refuses to send again. */
void isnack_refused(struct iscsi_iconn *conn, const uint8_t *snack, const char *why);

/* All StatSNs below end were sent; exp_stat_sn did not come. */
void isnack_status(struct iscsi_iconn *conn, uint32_t end);
/* The PDU with exp_stat_sn came damaged. */
void isnack_status_damaged(struct iscsi_iconn *conn);
/* exp_stat_sn has moved on. */
void isnack_status_came(struct iscsi_iconn *conn);

/* At conn->mend_ns: ask again. */
void isnack_tick(struct iscsi_iconn *conn, uint64_t now_ns);
/* The connection is lost in the midst of a Data-In: it did not come. */
void isnack_unread(struct itask *t, uint32_t sn, uint32_t off);
/* The connection of an ACTIVE task is lost: forget all that was not received without a gap. The
 * number to go on with. */
uint32_t isnack_rewind(struct itask *t);
/* It goes on on another connection. */
void isnack_resumed(struct itask *t);

#endif
