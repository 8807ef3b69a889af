/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task in and out of the section of a unit, and its end. Internal to src/scsi. What every command
 * passes is inline. */
#ifndef USAN_SCSI_SECTION_H
#define USAN_SCSI_SECTION_H

#include "scsi/command.h"
#include "scsi/lane.h"

/* Out of the section, the gate opened. Nothing if t is in none. */
static inline void scsi_task_leave(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_INSIDE) {
        t->flags &= ~(uint32_t)SCSI_TF_INSIDE;
        t->flags |= SCSI_TF_RECHECK;
        scsi_section_leave(t->in_section->lane);
    } else if (t->flags & (SCSI_TF_GATE | SCSI_TF_DRAINING)) {
        t->flags &= ~(uint32_t)(SCSI_TF_GATE | SCSI_TF_DRAINING);
        t->flags |= SCSI_TF_RECHECK;
        scsi_gate_open(t->in_section->lane);
    }
}

/* The same as scsi_task_enter, for tasks that run alone, or in no section. */
bool scsi_task_enter_apart(struct scsi_task *t);

/* Into the section of t->in_section, or its gate taken, as t's flags ask. true: t may run on.
 * false: it waits, and is handed out by scsi_lane_next. */
static inline bool scsi_task_enter(struct scsi_task *t)
{
    struct scsi_lane *lane = t->in_section->lane;
    if ((t->flags & (SCSI_TF_EXCLUSIVE | SCSI_TF_BACKGROUND)) ||
        (t->cmd->flags & SCSI_CF_NO_SECTION))
        return scsi_task_enter_apart(t);
    if (scsi_section_enter(lane)) {
        t->flags |= SCSI_TF_INSIDE;
        return true;
    }
    t->want = SCSI_WANT_WAIT;
    scsi_lane_block(lane, t);
    return false;
}

/* t has ended (its want is DONE or ABORTED): out of section, gate and task set. */
void scsi_task_end(struct scsi_task *t);

#endif
