/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the engine (task.c, lane.c, tmf.c, nexus.c, ua.c, lu.c, command.c) have of each
 * other and no handler needs. Internal to src/scsi. */
#ifndef USAN_SCSI_ENGINE_H
#define USAN_SCSI_ENGINE_H

#include "scsi/lane.h"
#include "scsi/lu.h"

/* ---- task.c ---- */

/* Run a task whose waiting is over. */
void scsi_task_run(struct scsi_task *t);
/* End a task that is not the one being run, wherever it waits: with TASK ABORTED status if tas,
 * else silently. It is handed out by scsi_lane_next; one with I/O under way is marked, and ends
 * when its owner resumes it. */
void scsi_task_abort(struct scsi_task *t, bool tas);
/* Tasks of the set that waited for others, or for ACA to end, and need to no longer: ready. */
void scsi_set_wake(struct scsi_itl *itl);
/* End t with this want (DONE or ABORTED): leave section, gate and task set. */
void scsi_task_end(struct scsi_task *t, enum scsi_want want);

/* ---- check.c ---- */

/* All there is to check before a handler starts, in the order of SAM-6 5.3.3. false: t was ended.
 * Inside the section. */
bool scsi_check_start(struct scsi_task *t);
/* Again, after the section was left: reservations, ALUA, medium, write protection. */
bool scsi_check_again(struct scsi_task *t);
/* Bits set where the command table has none (SPC-6 4.2.1)? false: t was ended. */
bool scsi_check_usage(struct scsi_task *t);
/* A LUN field that addresses no unit, or the REPORT LUNS well known one. */
bool scsi_check_no_lu(struct scsi_task *t);

/* ---- tmf.c ---- */

void scsi_tmf_start(struct scsi_task *t);
/* t waited for the gate. */
void scsi_tmf_run(struct scsi_task *t);
/* The gate was closed for t; commands may still be inside. true: all is quiet. */
bool scsi_tmf_gate_closed(struct scsi_task *t);
/* Something that task management functions of this nexus may wait for came about. */
void scsi_tmf_progress(struct scsi_nexus *nexus);
/* Abort this lane's tasks as lu->abort says, but `self` (may be NULL). */
void scsi_lane_abort(struct scsi_lane *lane, const struct scsi_task *self);
/* The aborts of scsi_abort_tasks have ended on all lanes: unit attentions for who lost commands. */
void scsi_abort_finished(struct scsi_task *self);

/* ---- nexus.c ---- */

/* The I_T_L nexus of a LUN field; NULL: no such unit. *ret_wlun: it is the REPORT LUNS well known
 * logical unit (SAM-6 4.7.7.5), which has none. */
struct scsi_itl *scsi_nexus_find(struct scsi_nexus *nexus, uint64_t lun, bool *ret_wlun);
/* Under the gate, from lane.c. */
void scsi_itl_attach(struct scsi_itl *itl);
void scsi_itl_loss(struct scsi_itl *itl);
void scsi_itl_detach(struct scsi_itl *itl); /* frees itl, and the nexus with the last one */

/* ---- ua.c ---- */

/* Is there anything to report? Inside the section. */
static inline bool scsi_ua_pending(const struct scsi_itl *itl)
{
    return itl->ua_count != 0 || itl->luns_seen != itl->nexus->luns_gen;
}
/* Take the most important unit attention off the queue: one of the reset kind (reset_only), or
 * any. 0: there is none. Inside the section. */
uint16_t scsi_ua_take(struct scsi_itl *itl, bool reset_only);
/* The one scsi_ua_take would take, left in place. */
uint16_t scsi_ua_peek(const struct scsi_itl *itl);

/* ---- lu.c: under the gate, from lane.c ---- */

void scsi_lu_apply_size(struct scsi_lu *lu, uint64_t block_count);
void scsi_lu_apply_space(struct scsi_lu *lu);
/* Is more in use than the threshold allows? */
bool scsi_lu_space_over(const struct scsi_lu *lu);

#endif
