/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What command handlers ask for to go on. Internal to src/scsi.
 *
 * A handler is entered through scsi_command.start or through the step given to a scsi_want_...
 * call. It ends by calling exactly one of the scsi_want_... functions here, or one of the ends of
 * reply.h, as its last act. Those only write down what is asked; the engine (drive.c) does it when
 * the handler has returned, so handlers need nothing of the engine.
 *
 * Sections: a handler's start, and every step after WANT_IO, runs inside the LU's section (counted
 * in, gate open or held). After scsi_want_data and scsi_want_buf (unless that stepped on at once)
 * the section has been left, or the gate been opened, while the data or the memory came, and it was
 * entered again (with reservation, ALUA and medium checked again) before the step runs: so a
 * handler may not carry pointers to shared state over them. A task that waits for its owner's
 * memory must not keep the gate from others, which may have that memory.
 *
 * SCSI_CF_EXCLUSIVE: start, and every step, runs with the gate held.
 */
#ifndef USAN_SCSI_STEP_H
#define USAN_SCSI_STEP_H

#include "scsi/task.h"

/* ---- wants ---- */

/* Memory of len bytes in t->buf. Called again with more memory than before, the old content is
 * lost. Steps on at once when t->buf is already large enough. */
void scsi_want_buf(struct scsi_task *t, uint64_t len, scsi_step *next);
/* len bytes of data-out in t->out. If the initiator sends fewer (t->out_expected < len) the task
 * ends with CHECK CONDITION, INVALID FIELD IN COMMAND INFORMATION UNIT, except with len cut by the
 * caller. Use scsi_out_copy to read parameter lists. */
void scsi_want_data(struct scsi_task *t, uint64_t len, scsi_step *next);
/* t->bio is filled in (op, flags, off, len, iov); on t->io_lu, by default the addressed LU. */
void scsi_want_io(struct scsi_task *t, scsi_step *next);
/* WANT_BUF for a reply of at most alloc_len (and SCSI_REPLY_MAX) bytes, then `next`, which builds
 * it with scsi_reply_begin/scsi_reply. alloc_len 0 still steps on. */
void scsi_want_reply_buf(struct scsi_task *t, uint64_t alloc_len, scsi_step *next);
/* Make scsi_lu_state durable. */
void scsi_want_save(struct scsi_task *t, scsi_step *next);

/* From inside the section: leave it, close the LU's gate, wait until every lane has drained, and
 * run `next` alone (err 0). For handlers that learn only late that they must; the flag
 * SCSI_CF_EXCLUSIVE does it before start. Steps on at once when the gate is already held by t. The
 * gate is opened when the task ends. t may be a background task, which was in no section. */
void scsi_want_exclusive(struct scsi_task *t, scsi_step *next);
/* Leave the section (and open the gate, if held) and sleep in list `where` through lane_node.
 * scsi_wake, called on the same lane, makes the task one of those that scsi_lane_next hands out;
 * there the section is entered again and `next` runs (err 0): nothing is checked again, for what t
 * waits for is its own doing, and has happened. An abort ends the sleep. */
void scsi_want_wake(struct scsi_task *t, struct list *where, scsi_step *next);
void scsi_wake(struct scsi_task *t);
/* Leave the section t is in and enter that of the logical unit of `itl`, another I_T_L nexus of the
 * same I_T nexus (or t->itl itself), waiting while its gate is closed; then `next` runs there
 * (err 0). Only the section changes: t stays in the task set of t->itl, and reservations, ALUA and
 * medium of the other unit are the caller's to check. The section is left when the task ends. When
 * the other unit is reset or goes away meanwhile, `next`, or the step after WANT_IO there, gets
 * USAN_ECANCELED, and is in the section of t's own unit if that was waiting. */
void scsi_want_section(struct scsi_task *t, struct scsi_itl *itl, scsi_step *next);
/* The gate is held. Abort the tasks of one I_T_L nexus (NULL: all of the LU), but t itself, as
 * PREEMPT AND ABORT does, on whatever lane they are; when they have ended, `next` runs (err 0).
 * With TAS = 1 tasks of other nexuses end with TASK ABORTED. */
void scsi_want_aborts(struct scsi_task *t, struct scsi_itl *itl, scsi_step *next);

/* ---- helpers ---- */

/* t is handed out by scsi_lane_next; with want WAIT it is run there first. */
void scsi_lane_ready(struct scsi_lane *lane, struct scsi_task *t);

#endif
