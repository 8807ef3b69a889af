/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What command handlers use to drive their task. Internal to src/scsi.
 *
 * A handler is entered through scsi_command.start or through the step given to a scsi_want_...
 * call. It ends by calling exactly one of the functions of the first two groups, as its last act.
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
#ifndef USAN_SCSI_TASK_H
#define USAN_SCSI_TASK_H

#include "base/bytes.h"
#include "scsi/command.h"
#include "scsi/scsi.h"
#include "scsi/sense.h"

typedef void scsi_step(struct scsi_task *t, int err);

/* scsi_task.flags. Set and cleared by the engine (task.c, lane.c, tmf.c); handlers leave them. */
enum {
    SCSI_TF_INSIDE = 1u << 0,      /* counted into its lane's section */
    SCSI_TF_GATE = 1u << 1,        /* holds the gate, all is quiet */
    SCSI_TF_EXCLUSIVE = 1u << 2,   /* goes on with the gate only */
    SCSI_TF_IN_SET = 1u << 3,      /* in itl->tasks (a TMF: in nexus->tmfs) */
    SCSI_TF_STARTED = 1u << 4,     /* the handler was entered */
    SCSI_TF_RECHECK = 1u << 5,     /* left the section since it was checked */
    SCSI_TF_DORMANT = 1u << 6,     /* waits for other tasks of its set, or for ACA to end */
    SCSI_TF_LISTED = 1u << 7,      /* lane_node is in blocked, in ready, or where it sleeps */
    SCSI_TF_DRAINING = 1u << 8,    /* lane->holder; the gate is closed, not all is quiet */
    SCSI_TF_MARKED = 1u << 9,      /* aborted: ends when resumed */
    SCSI_TF_TAS = 1u << 10,        /* ... with TASK ABORTED status */
    SCSI_TF_BACKGROUND = 1u << 11, /* see scsi_background_new */
    SCSI_TF_MARKED_IO = 1u << 13,  /* ... counted in lane->marked */
    SCSI_TF_WLUN = 1u << 12,       /* addresses the REPORT LUNS well known logical unit; no itl */
};

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
/* Make scsi_lu_state durable. */
void scsi_want_save(struct scsi_task *t, scsi_step *next);

/* From inside the section: leave it, close the LU's gate, wait until every lane has drained, and
 * run `next` alone (err 0). For handlers that learn only late that they must; the flag
 * SCSI_CF_EXCLUSIVE does it before start. Steps on at once when the gate is already held by t. The
 * gate is opened when the task ends. t may be a background task, which was in no section. */
void scsi_want_exclusive(struct scsi_task *t, scsi_step *next);
/* Leave the section (and open the gate, if held) and sleep in list `where` through lane_node.
 * scsi_wake, called on the same lane, makes the task one of those that scsi_lane_next hands out;
 * there the section is entered again and `next` runs (err 0). An abort ends the sleep. */
void scsi_want_wake(struct scsi_task *t, struct list *where, scsi_step *next);
void scsi_wake(struct scsi_task *t);
/* Leave the section t is in and enter that of the logical unit of `itl`, another I_T_L nexus of the
 * same I_T nexus (or t->itl itself), waiting while its gate is closed; then `next` runs there
 * (err 0). Only the section changes: t stays in the task set of t->itl, and reservations, ALUA and
 * medium of the other unit are the caller's to check. The section is left when the task ends. */
void scsi_want_section(struct scsi_task *t, struct scsi_itl *itl, scsi_step *next);

/* ---- background work ---- */

/* A task of the LU's own, for work that outlives its command, nexus and resets (SANITIZE, FORMAT
 * UNIT): see "Background tasks" in scsi.h. It is in no section and no task set, and is aborted by
 * nobody; `first` runs (err 0) when scsi_lane_next of the lane hands it out. t->itl is one of its
 * own, without nexus. NULL when out of memory. background.c */
struct scsi_task *scsi_background_new(struct scsi_lane *lane, scsi_step *first);
/* Called by scsi_task_fini for a task whose nexus is NULL; frees it. */
void scsi_background_fini(struct scsi_task *t);

/* ---- ends ---- */

void scsi_good(struct scsi_task *t);
void scsi_status(struct scsi_task *t, enum scsi_status status);
void scsi_check(struct scsi_task *t, uint32_t kaq); /* CHECK CONDITION, SCSI_KAQ() or SENSE_... */
/* INVALID FIELD IN CDB / IN PARAMETER LIST with the sense-key specific field pointer; bit 0..7 is
 * the most significant bit of the field in error, -1 = not stated. */
void scsi_check_cdb(struct scsi_task *t, unsigned byte, int bit);
void scsi_check_param(struct scsi_task *t, unsigned byte, int bit);
/* CHECK CONDITION with the INFORMATION field set (LBA, miscompare offset, ...). */
void scsi_check_info(struct scsi_task *t, uint32_t kaq, uint64_t information);
/* NOT READY for a unit that is being formatted or sanitised (lu->busy_kind), with the progress
 * indication (SPC-6 4.4.2.4.6). */
void scsi_check_busy(struct scsi_task *t);
/* What fits a failed bio: MEDIUM ERROR with the LBA, SPACE ALLOCATION FAILED, ... */
void scsi_check_bio(struct scsi_task *t, int err);
/* GOOD with data-in from t->buf: w was written over t->buf; its full length is what the command
 * calls for, min(that, alloc_len, in_expected) is sent. */
void scsi_reply(struct scsi_task *t, const struct wr *w, uint64_t alloc_len);
/* GOOD with bio.iov as data-in (medium data of len bytes). */
void scsi_reply_bio(struct scsi_task *t, uint64_t len);

/* ---- helpers ---- */

/* WANT_BUF for a reply of at most alloc_len (and SCSI_REPLY_MAX) bytes, then `next`, which builds
 * it with scsi_reply_begin/scsi_reply. alloc_len 0 still steps on. */
void scsi_want_reply_buf(struct scsi_task *t, uint64_t alloc_len, scsi_step *next);
struct wr scsi_reply_begin(struct scsi_task *t);
/* Copy len bytes of data-out from offset off; returns how many there were. */
size_t scsi_out_copy(const struct scsi_task *t, uint64_t off, void *dst, size_t len);

static inline struct scsi_lu *scsi_task_lu(const struct scsi_task *t);

#include "scsi/lu.h"

static inline struct scsi_lu *scsi_task_lu(const struct scsi_task *t)
{
    return t->itl->lu;
}

#endif
