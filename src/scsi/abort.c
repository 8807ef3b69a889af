/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/abort.h"

#include "scsi/lane.h"
#include "scsi/section.h"
#include "scsi/step.h"

#include <assert.h>

/* ---- one task ---- */

void scsi_task_end_marked(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_TAS) {
        t->status = SCSI_STATUS_TASK_ABORTED;
        t->want = SCSI_DONE;
    } else {
        t->want = SCSI_ABORTED;
    }
    scsi_task_end(t);
}

void scsi_task_stop_waiting(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_LISTED) {
        t->flags &= ~(uint32_t)SCSI_TF_LISTED;
        list_del(&t->lane_node);
    }
    if (t->flags & SCSI_TF_DORMANT) {
        t->flags &= ~(uint32_t)SCSI_TF_DORMANT;
        t->seat->dormant--;
    }
}

void scsi_task_abort(struct scsi_task *t, bool tas)
{
    struct scsi_lane *lane = t->in_section->lane;
    if (t->flags & SCSI_TF_MARKED)
        return;
    /* With I/O under way, or other lanes at work for it, it can not end here. */
    bool io = t->want == SCSI_WANT_IO || t->want == SCSI_WANT_SAVE;
    bool asked = (lane->holder == t && lane->gate_wait && atomic_load(&lane->lu->acks) != 0) ||
                 (t->tmf && atomic_load(&t->itl->asker) == t);
    t->flags |= tas ? SCSI_TF_TAS : 0;
    if (io || asked) {
        t->flags |= SCSI_TF_MARKED;
        if (!t->tmf)
            t->seat->marked++;
        if (io) {
            t->flags |= SCSI_TF_MARKED_IO;
            t->seat->lane->marked++;
        }
        return;
    }
    scsi_task_stop_waiting(t);
    scsi_task_end_marked(t);
    scsi_lane_ready(t->seat->lane, t);
}

/* ---- many ---- */

void scsi_abort_set(struct scsi_seat *seat, const struct scsi_task *self, bool tas)
{
    list_for_each_safe (&seat->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t != self)
            scsi_task_abort(t, tas);
    }
}

void scsi_abort_older(struct scsi_seat *seat, uint64_t seq)
{
    list_for_each_safe (&seat->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->seq < seq)
            scsi_task_abort(t, false);
    }
}

static void cancel(struct scsi_task *t, bool waiting)
{
    if (t->want == SCSI_WANT_IO) {
        t->flags |= SCSI_TF_CANCELED;
    } else if (waiting) {
        assert(t->want == SCSI_WANT_WAIT);
        scsi_task_stop_waiting(t);
        t->flags |= SCSI_TF_CANCELED | SCSI_TF_RECHECK;
        t->in_section = t->seat;
        scsi_lane_ready(t->seat->lane, t);
    }
}

void scsi_abort_visitors(struct scsi_seat *seat, bool waiting)
{
    const struct scsi_branch *branch = seat->branch;
    for (unsigned i = 0; i < branch->count; i++) {
        if (branch->seats[i] == seat)
            continue;
        list_for_each (&branch->seats[i]->tasks, pos) {
            struct scsi_task *t = list_entry(pos, struct scsi_task, node);
            if (t->in_section == seat && !(t->flags & SCSI_TF_MARKED))
                cancel(t, waiting);
        }
    }
}

unsigned scsi_set_size(const struct scsi_seat *seat)
{
    unsigned n = 0;
    list_for_each (&seat->tasks, pos) {
        const struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        n += !(t->flags & SCSI_TF_MARKED);
    }
    return n;
}

void scsi_abort_all(struct scsi_seat *seat)
{
    atomic_store(&seat->itl->aca, false);
    scsi_abort_set(seat, NULL, false);
    scsi_abort_visitors(seat, false);
}

void scsi_lane_abort(struct scsi_lane *lane, const struct scsi_task *self)
{
    const struct scsi_lu *lu = lane->lu;
    list_for_each (&lane->seats, pos) {
        struct scsi_seat *seat = list_entry(pos, struct scsi_seat, lane_node);
        struct scsi_itl *itl = seat->itl;
        if (lu->abort.reset) {
            scsi_abort_all(seat);
        } else if (!lu->abort.itl || lu->abort.itl == itl) {
            bool other = itl->nexus != lu->abort.by;
            if (other)
                atomic_fetch_add(&itl->cleared, scsi_set_size(seat));
            scsi_abort_set(seat, self, other && lu->abort.tas);
        }
    }
}

bool scsi_abort_on_lanes(struct scsi_task *self, bool own)
{
    struct scsi_lane *lane = self->in_section->lane;
    assert(lane->holder == self);
    scsi_gate_ask(lane);
    if (own)
        scsi_lane_abort(lane, self);
    return scsi_gate_answered(lane);
}
