/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/section.h"

#include "scsi/copy_result.h"
#include "scsi/set.h"
#include "scsi/tmf_wait.h"
#include "scsi/ua.h"

bool scsi_task_enter_apart(struct scsi_task *t)
{
    bool needs_gate = (t->flags & SCSI_TF_EXCLUSIVE) && !(t->flags & SCSI_TF_GATE);
    return !needs_gate || scsi_gate_take(t->in_section->lane, t);
}

/* The next function may ask: those that wait for it are on any of the seats. */
static void end_asking(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    if (atomic_load(&itl->asker) != t)
        return;
    atomic_store(&itl->asker, NULL);
    for (struct scsi_seat *s = &itl->home; s; s = atomic_load(&s->next))
        scsi_lane_call(s, SCSI_CALL_LOOK);
}

void scsi_task_end(struct scsi_task *t)
{
    if (t->after) { /* aborted itself while it aborted others: those are told all the same */
        t->after = NULL;
        if (t->flags & SCSI_TF_GATE)
            scsi_ua_add_cleared(t->in_section->itl->lu);
    }
    scsi_task_leave(t);
    if (!(t->flags & SCSI_TF_IN_SET))
        return;
    if (t->tmf) {
        t->flags &= ~(uint32_t)SCSI_TF_IN_SET;
        list_del(&t->node);
        end_asking(t);
        return;
    }
    scsi_set_leave(t);
    if (t->flags & SCSI_TF_COPY)
        scsi_copy_ended(t);
    if (t->flags & SCSI_TF_MARKED) {
        if (--t->seat->marked == 0)
            scsi_tmf_wake(t->branch);
        if (t->flags & SCSI_TF_MARKED_IO)
            scsi_lane_unmarked(t->seat->lane);
    }
}
