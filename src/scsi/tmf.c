/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management functions (SAM-6 clause 7).
 *
 * Tasks of most nexuses are all on one lane, so what concerns one nexus is done at once and then
 * waits only for aborted tasks that have I/O under way; if they are on several lanes, the others
 * are asked (ask.h). LOGICAL UNIT RESET closes the gate, asks the other lanes, and goes on when
 * nothing is left.
 */
#include "scsi/tmf.h"

#include "scsi/abort.h"
#include "scsi/ask.h"
#include "scsi/itl.h"
#include "scsi/lane.h"
#include "scsi/mode.h"
#include "scsi/section.h"
#include "scsi/sense.h"
#include "scsi/set.h"
#include "scsi/tmf_wait.h"
#include "scsi/ua.h"

static void respond(struct scsi_task *t, enum scsi_tmf_rsp rsp)
{
    t->tmf_rsp = (uint8_t)rsp;
    t->want = SCSI_DONE;
    scsi_task_end(t);
}

/* ---- LOGICAL UNIT RESET ---- */

/* SAM-6 6.3.3. The gate is held, and no task from before is left. Persistent reservations stay as
 * they are (SPC-6 5.14.1). */
static void reset_unit(struct scsi_task *t)
{
    struct scsi_lu *lu = t->itl->lu;
    list_for_each (&lu->itls, pos) {
        struct scsi_itl *itl = list_entry(pos, struct scsi_itl, lu_node);
        scsi_itl_release(itl);
        scsi_ua_add(itl, UA_BUS_DEVICE_RESET);
    }
    scsi_modes_reset(lu);
    respond(t, SCSI_TMF_RSP_COMPLETE);
}

/* Close the gate, have the other lanes abort their tasks, and reset. */
static void run_lu_reset(struct scsi_task *t)
{
    struct scsi_lane *lane = t->seat->lane;
    struct scsi_lu *lu = lane->lu;
    if (!scsi_gate_close(lane, t))
        return;
    lu->abort.by = t->nexus;
    lu->abort.itl = NULL;
    lu->abort.tas = false;
    lu->abort.reset = true;
    /* This lane's tasks were aborted when t came; those that came later live. */
    if (scsi_gate_wait(t, scsi_abort_on_lanes(t, false)))
        reset_unit(t);
}

static void start_lu_reset(struct scsi_task *t)
{
    list_for_each (&t->seat->lane->seats, pos)
        scsi_abort_all(list_entry(pos, struct scsi_seat, lane_node));
    run_lu_reset(t);
}

/* ---- those of one nexus ---- */

/* One that is being aborted, but has I/O under way, is no more as far as questions go. */
static bool is_there(const struct scsi_seat *seat, uint64_t tag)
{
    const struct scsi_task *t = scsi_ask_find(seat, tag, UINT64_MAX);
    return t && !(t->flags & SCSI_TF_MARKED);
}

/* What t was asked for has come about. */
static void respond_finished(struct scsi_task *t)
{
    bool asked = t->itl->shared && atomic_load(&t->itl->asker) == t;
    bool found = asked && atomic_load(&t->itl->found);
    if (t->tmf == SCSI_TMF_ABORT_TASK && asked && !found)
        respond(t, SCSI_TMF_RSP_NO_TASK);
    else if (t->tmf == SCSI_TMF_QUERY_TASK || t->tmf == SCSI_TMF_QUERY_TASK_SET)
        respond(t, found ? SCSI_TMF_RSP_SUCCEEDED : SCSI_TMF_RSP_COMPLETE);
    else
        respond(t, SCSI_TMF_RSP_COMPLETE);
}

static void respond_when_finished(struct scsi_task *t)
{
    t->want = SCSI_WANT_WAIT;
    t->phase = SCSI_TMF_WAITS;
    if (scsi_tmf_finished(t))
        respond_finished(t);
}

/* The own seat has been seen to. */
static void see_to_others(struct scsi_task *t)
{
    if (t->itl->shared)
        scsi_ask_seats(t);
    if (t->phase != SCSI_TMF_TURN)
        respond_when_finished(t);
}

static void start_abort_task(struct scsi_task *t)
{
    struct scsi_task *victim = scsi_ask_find(t->seat, t->ref_tag, UINT64_MAX);
    if (victim) {
        /* If it is being aborted already, the answer still has to wait for its I/O: "no such task"
         * would tell the initiator that it can no longer write (SAM-6 7.2). */
        scsi_task_abort(victim, false);
        respond_when_finished(t);
    } else if (t->itl->shared) {
        see_to_others(t);
    } else {
        respond(t, SCSI_TMF_RSP_NO_TASK);
    }
}

/* SAM-6 7.4: also the end of the task with the ACA attribute. */
static void start_clear_aca(struct scsi_task *t)
{
    if (atomic_exchange(&t->itl->aca, false)) {
        scsi_ask_clear_aca(t->seat);
        see_to_others(t);
    } else {
        respond_when_finished(t);
    }
}

static void start_nexus_reset(struct scsi_task *t)
{
    const struct scsi_branch *branch = t->branch;
    for (unsigned i = 0; i < branch->count; i++) {
        atomic_store(&branch->seats[i]->itl->aca, false);
        scsi_abort_set(branch->seats[i], NULL, false);
        scsi_lane_change(branch->seats[i], SCSI_CHANGE_LOSS);
    }
    see_to_others(t);
}

/* succeeded: there is one on the seat that the question came to. */
static void answer_query(struct scsi_task *t, bool succeeded)
{
    if (succeeded)
        respond(t, SCSI_TMF_RSP_SUCCEEDED);
    else
        see_to_others(t);
}

/* SAM-6 7.10: the information is the sense key and the additional sense code. */
static void query_event(struct scsi_task *t)
{
    struct scsi_lane *lane = t->seat->lane;
    t->want = SCSI_WANT_WAIT;
    if (!scsi_section_enter(lane)) { /* the queue is somebody else's just now */
        scsi_lane_block(lane, t);
        return;
    }
    uint16_t ua = scsi_ua_peek(t->itl);
    scsi_section_leave(lane);
    if (ua)
        t->tmf_info = SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, ua >> 8, ua & 0xff);
    respond(t, ua ? SCSI_TMF_RSP_SUCCEEDED : SCSI_TMF_RSP_COMPLETE);
}

static void start(struct scsi_task *t)
{
    switch ((enum scsi_tmf)t->tmf) {
    case SCSI_TMF_ABORT_TASK:
        start_abort_task(t);
        return;
    case SCSI_TMF_ABORT_TASK_SET:
    case SCSI_TMF_CLEAR_TASK_SET: /* the set is this nexus' own: TST = 001b, SAM-6 7.5 */
        scsi_abort_set(t->seat, NULL, false);
        see_to_others(t);
        return;
    case SCSI_TMF_CLEAR_ACA:
        start_clear_aca(t);
        return;
    case SCSI_TMF_LOGICAL_UNIT_RESET:
        start_lu_reset(t);
        return;
    case SCSI_TMF_QUERY_TASK:
        answer_query(t, is_there(t->seat, t->ref_tag));
        return;
    case SCSI_TMF_QUERY_TASK_SET:
        answer_query(t, scsi_set_size(t->seat) != 0);
        return;
    case SCSI_TMF_I_T_NEXUS_RESET:
        start_nexus_reset(t);
        return;
    case SCSI_TMF_QUERY_ASYNC_EVENT:
        query_event(t);
        return;
    case SCSI_TMF_NONE:
        break;
    }
    respond(t, SCSI_TMF_RSP_NOT_SUPPORTED);
}

void scsi_tmf_start(struct scsi_task *t)
{
    struct scsi_branch *branch = t->branch;
    if (t->tmf == SCSI_TMF_I_T_NEXUS_RESET && branch->count) {
        t->seat = t->in_section = branch->seats[0]; /* for a lane to wait on */
        t->itl = t->seat->itl;
    }
    if (!t->itl) {
        if (t->flags & SCSI_TF_WLUN) /* its commands end as they start: nothing to manage */
            respond(t, SCSI_TMF_RSP_NOT_SUPPORTED);
        else if (t->tmf == SCSI_TMF_I_T_NEXUS_RESET)
            respond(t, SCSI_TMF_RSP_COMPLETE);
        else
            respond(t, SCSI_TMF_RSP_NO_LUN);
        return;
    }
    list_push_back(&branch->tmfs, &t->node);
    t->flags |= SCSI_TF_IN_SET;
    start(t);
}

void scsi_tmf_run(struct scsi_task *t)
{
    if (t->phase == SCSI_TMF_ENDS)
        respond_finished(t);
    else if (t->phase == SCSI_TMF_TURN)
        see_to_others(t);
    else if (t->tmf == SCSI_TMF_QUERY_ASYNC_EVENT)
        query_event(t);
    else if (t->flags & SCSI_TF_GATE)
        reset_unit(t);
    else
        run_lu_reset(t);
}
