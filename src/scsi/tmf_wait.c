/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/tmf_wait.h"

#include "scsi/lane.h"
#include "scsi/step.h"

static bool branch_marked(const struct scsi_branch *branch)
{
    for (unsigned i = 0; i < branch->count; i++) {
        if (branch->seats[i]->marked)
            return true;
    }
    return false;
}

static bool losing(const struct scsi_branch *branch)
{
    for (unsigned i = 0; i < branch->count; i++) {
        if (branch->seats[i]->change & SCSI_CHANGE_LOSS)
            return true;
    }
    return false;
}

bool scsi_tmf_finished(const struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    if (itl->shared && atomic_load(&itl->asker) == t && atomic_load(&itl->answers) != 0)
        return false;
    if (t->tmf != SCSI_TMF_I_T_NEXUS_RESET)
        return t->seat->marked == 0;
    return !branch_marked(t->branch) && !losing(t->branch);
}

void scsi_tmf_answer(struct scsi_itl *itl)
{
    /* With the last answer it may go on, and be gone. */
    struct scsi_seat *to = atomic_load(&itl->asker)->seat;
    if (atomic_fetch_sub(&itl->answers, 1) == 1)
        scsi_lane_call(to, SCSI_CALL_LOOK);
}

/* Answers that wait for tasks with I/O under way. */
static void answer_due(struct scsi_branch *branch)
{
    for (unsigned i = 0; i < branch->count; i++) {
        struct scsi_seat *seat = branch->seats[i];
        if (!seat->answer_due)
            continue;
        bool all = atomic_load(&seat->itl->asker)->tmf == SCSI_TMF_I_T_NEXUS_RESET;
        if (all ? branch_marked(branch) : seat->marked != 0)
            continue;
        seat->answer_due = false;
        scsi_tmf_answer(seat->itl);
    }
}

void scsi_tmf_wake(struct scsi_branch *branch)
{
    list_for_each (&branch->tmfs, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->want != SCSI_WANT_WAIT || (t->flags & SCSI_TF_LISTED))
            continue;
        bool turn = t->phase == SCSI_TMF_TURN && atomic_load(&t->itl->asker) == NULL;
        bool ends = t->phase == SCSI_TMF_WAITS && scsi_tmf_finished(t);
        if (ends)
            t->phase = SCSI_TMF_ENDS;
        if (turn || ends)
            scsi_lane_ready(t->seat->lane, t);
    }
    if (branch->nexus->shared)
        answer_due(branch);
}
