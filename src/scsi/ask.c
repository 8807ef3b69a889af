/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/ask.h"

#include "scsi/abort.h"
#include "scsi/lane.h"
#include "scsi/set.h"
#include "scsi/tmf_wait.h"

struct scsi_task *scsi_ask_find(const struct scsi_seat *seat, uint64_t tag, uint64_t seq)
{
    list_for_each (&seat->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->tag == tag && t->seq < seq)
            return t;
    }
    return NULL;
}

void scsi_ask_clear_aca(struct scsi_seat *seat)
{
    list_for_each_safe (&seat->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->attr == SCSI_ATTR_ACA)
            scsi_task_abort(t, false);
    }
    scsi_set_wake(seat);
}

/* ---- who asks ---- */

void scsi_ask_seats(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    struct scsi_task *nobody = NULL;

    t->want = SCSI_WANT_WAIT;
    t->phase = SCSI_TMF_TURN;
    if (!atomic_compare_exchange_strong(&itl->asker, &nobody, t))
        return; /* whoever has it calls all seats when it has ended */
    t->phase = SCSI_TMF_WAITS;
    atomic_store(&itl->found, false);
    /* One for ourselves, so that it does not reach 0 while seats are still being asked. */
    atomic_store(&itl->answers, 1);
    for (struct scsi_seat *s = &itl->home; s; s = atomic_load(&s->next)) {
        if (s == t->seat)
            continue;
        atomic_fetch_add(&itl->answers, 1);
        scsi_lane_call(s, SCSI_CALL_ASK);
    }
    scsi_tmf_answer(itl);
}

/* ---- who is asked ---- */

static void abort_one(struct scsi_seat *seat, const struct scsi_task *by)
{
    struct scsi_task *victim = scsi_ask_find(seat, by->ref_tag, by->seq);
    if (!victim)
        return;
    atomic_store(&seat->itl->found, true);
    scsi_task_abort(victim, false);
}

static bool knows(const struct scsi_seat *seat, const struct scsi_task *by)
{
    if (by->tmf == SCSI_TMF_QUERY_TASK_SET)
        return scsi_set_size(seat) != 0;
    const struct scsi_task *t = scsi_ask_find(seat, by->ref_tag, by->seq);
    return t && !(t->flags & SCSI_TF_MARKED);
}

static void do_as_asked(struct scsi_seat *seat, const struct scsi_task *by)
{
    switch ((enum scsi_tmf)by->tmf) {
    case SCSI_TMF_ABORT_TASK:
        abort_one(seat, by);
        break;
    case SCSI_TMF_ABORT_TASK_SET:
    case SCSI_TMF_CLEAR_TASK_SET:
        scsi_abort_older(seat, by->seq);
        break;
    case SCSI_TMF_CLEAR_ACA:
        scsi_ask_clear_aca(seat);
        break;
    case SCSI_TMF_I_T_NEXUS_RESET:
        for (unsigned i = 0; i < seat->branch->count; i++)
            scsi_abort_older(seat->branch->seats[i], by->seq);
        break;
    case SCSI_TMF_QUERY_TASK:
    case SCSI_TMF_QUERY_TASK_SET:
        if (knows(seat, by))
            atomic_store(&seat->itl->found, true);
        break;
    case SCSI_TMF_NONE:
    case SCSI_TMF_LOGICAL_UNIT_RESET: /* by the gate */
    case SCSI_TMF_QUERY_ASYNC_EVENT:
        break;
    }
}

void scsi_ask_calls(struct scsi_lane *lane)
{
    list_for_each (&lane->seats, pos) {
        struct scsi_seat *seat = list_entry(pos, struct scsi_seat, lane_node);
        unsigned calls = atomic_load(&seat->calls) ? atomic_exchange(&seat->calls, 0) : 0;
        if (calls & SCSI_CALL_ASK) {
            do_as_asked(seat, atomic_load(&seat->itl->asker));
            seat->answer_due = true;
        }
        if (calls & SCSI_CALL_LOOK && seat->dormant)
            scsi_set_wake(seat);
        if (calls)
            scsi_tmf_wake(seat->branch); /* gives the answer, when it can be */
    }
}
