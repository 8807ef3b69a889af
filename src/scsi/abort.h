/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ending tasks before their time (SAM-6 5.6). Internal to src/scsi. */
#ifndef USAN_SCSI_ABORT_H
#define USAN_SCSI_ABORT_H

#include "scsi/task.h"

/* End a task that is not the one being run, wherever it waits: with TASK ABORTED status if tas,
 * else silently. It is handed out by scsi_lane_next; one with I/O under way is marked, and ends
 * when its owner resumes it. */
void scsi_task_abort(struct scsi_task *t, bool tas);
/* The end of a marked task. */
void scsi_task_end_marked(struct scsi_task *t);
/* Out of whatever list or state t waits in. */
void scsi_task_stop_waiting(struct scsi_task *t);

/* All of a seat's part of a task set but `self` (may be NULL). */
void scsi_abort_set(struct scsi_seat *seat, const struct scsi_task *self, bool tas);
/* Of a shared nexus: those that are older than the function that asks. */
void scsi_abort_older(struct scsi_seat *seat, uint64_t seq);
/* As LOGICAL UNIT RESET does: it ends ACA and reports no status for any task (SAM-6 6.3.3). */
void scsi_abort_all(struct scsi_seat *seat);
/* Third-party copies of the same branch that were addressed to other units and are at work on this.
 * Their commands there end (SAM-6 5.6), so the copies fail, with a status, for their own unit is
 * not concerned: those with I/O under way when that has ended; those that only wait to be let in,
 * if `waiting` says so, at once. */
void scsi_abort_visitors(struct scsi_seat *seat, bool waiting);
/* Tasks of a seat that are not being aborted. */
unsigned scsi_set_size(const struct scsi_seat *seat);
/* Abort this lane's tasks as lu->abort says, but `self` (may be NULL). */
void scsi_lane_abort(struct scsi_lane *lane, const struct scsi_task *self);
/* The gate is held, or closed, for self. Have all lanes do that, this one too if `own`. true: all
 * that were aborted have ended. false: self is run when they have. */
bool scsi_abort_on_lanes(struct scsi_task *self, bool own);

#endif
