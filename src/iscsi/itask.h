/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The task pool of a session, and how a task ends. Internal to src/iscsi. */
#ifndef USAN_ISCSI_ITASK_H
#define USAN_ISCSI_ITASK_H

#include "iscsi/istate.h"

/* A task on this connection; tmf: of the share of task management. NULL: all are in use, or out of
 * memory. */
struct itask *itask_get(struct iscsi_iconn *conn, bool tmf);
/* The task of this ITT, if it was sent and is not over; else NULL. */
struct itask *itask_find(struct iscsi_isess *sess, uint32_t itt);
/* The task is over. Its event comes when the wire does not refer to its memory any more. */
void itask_end(struct itask *t, int err, const char *why);
/* It can not end well any more, but has to be ended with the target: iconn_rx.c has it aborted. */
void itask_spoil(struct itask *t, int err, const char *why);
/* ExpStatSN after a status was held or is not any more. */
void itask_rehold(struct iscsi_iconn *conn);
/* An ACTIVE task leaves its connection, which is lost, and is an ORPHAN, in no list. */
void itask_orphan(struct itask *t);
/* The other way round: it is ACTIVE on conn from now on. */
void itask_adopt(struct itask *t, struct iscsi_iconn *conn);
/* A PDU of the task left the wire's queue: it was sent, or the connection is down. */
void itask_pdu_gone(struct itask *t, bool sent);
/* Tasks whose connection is down (itask.node). What the target can not have seen goes back to its
 * place in the session's queue if `requeue`; all else ends with the error. The wire holds nothing
 * any more. */
void itask_end_list(struct iscsi_isess *sess, struct list *tasks, int err, const char *why,
                    bool requeue);
/* A command that has no task is done. */
void itask_report(struct iscsi_isess *sess, struct iscsi_icmd *cmd, int err, const char *why);
void itask_pool_free(struct iscsi_isess *sess);

#endif
