/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task as the files of the device server see it. Internal to src/scsi. */
#ifndef USAN_SCSI_TASK_H
#define USAN_SCSI_TASK_H

#include "scsi/lu.h"

typedef void scsi_step(struct scsi_task *t, int err);

/* scsi_task.flags. Set and cleared by the engine; handlers leave them. */
enum {
    SCSI_TF_INSIDE = 1u << 0,      /* counted into its lane's section */
    SCSI_TF_GATE = 1u << 1,        /* holds the gate, all is quiet */
    SCSI_TF_EXCLUSIVE = 1u << 2,   /* goes on with the gate only */
    SCSI_TF_IN_SET = 1u << 3,      /* in seat->tasks (a TMF: in branch->tmfs) */
    SCSI_TF_STARTED = 1u << 4,     /* the handler was entered */
    SCSI_TF_RECHECK = 1u << 5,     /* left the section since it was checked */
    SCSI_TF_DORMANT = 1u << 6,     /* waits for other tasks of its set, or for ACA to end */
    SCSI_TF_LISTED = 1u << 7,      /* lane_node is in blocked, in ready, or where it sleeps */
    SCSI_TF_DRAINING = 1u << 8,    /* lane->holder; the gate is closed, not all is quiet */
    SCSI_TF_MARKED = 1u << 9,      /* aborted: ends when resumed */
    SCSI_TF_TAS = 1u << 10,        /* ... with TASK ABORTED status */
    SCSI_TF_BACKGROUND = 1u << 11, /* see scsi_background_new */
    SCSI_TF_WLUN = 1u << 12,       /* addresses the REPORT LUNS well known logical unit; no itl */
    SCSI_TF_MARKED_IO = 1u << 13,  /* MARKED, and counted in lane->marked */
    SCSI_TF_CANCELED = 1u << 14,   /* what it did on another unit than its own is to fail */
    SCSI_TF_COPY = 1u << 15,       /* SCSI_CF_COPY */
};

/* scsi_task.ask: what a step that ended with want WAIT has asked for. */
enum scsi_ask {
    SCSI_ASK_NONE,
    SCSI_ASK_SLEEP,     /* scsi_want_wake */
    SCSI_ASK_EXCLUSIVE, /* scsi_want_exclusive */
    SCSI_ASK_SECTION,   /* scsi_want_section: that of t->ask_section */
    SCSI_ASK_ABORTS,    /* scsi_want_aborts: as lu->abort says */
};

static inline struct scsi_lu *scsi_task_lu(const struct scsi_task *t)
{
    return t->itl->lu;
}

#endif
