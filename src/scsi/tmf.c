/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management functions (SAM-6 clause 7).
 *
 * Tasks of a nexus are all on one lane, so what concerns one nexus is done at once and then waits
 * only for aborted tasks that have I/O under way. LOGICAL UNIT RESET closes the gate, asks the
 * other lanes, and goes on when nothing is left.
 */
#include "scsi/tmf.h"

#include "scsi/abort.h"
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
    struct scsi_lane *lane = t->itl->lane;
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
    list_for_each (&t->itl->lane->itls, pos)
        scsi_abort_all(list_entry(pos, struct scsi_itl, lane_node));
    run_lu_reset(t);
}

/* ---- those of one nexus ---- */

static struct scsi_task *find_task(const struct scsi_itl *itl, uint64_t tag)
{
    list_for_each (&itl->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->tag == tag)
            return t;
    }
    return NULL;
}

/* One that is being aborted, but has I/O under way, is no more as far as questions go. */
static bool is_there(const struct scsi_itl *itl, uint64_t tag)
{
    const struct scsi_task *t = find_task(itl, tag);
    return t && !(t->flags & SCSI_TF_MARKED);
}

static void respond_when_finished(struct scsi_task *t)
{
    if (scsi_tmf_finished(t)) {
        respond(t, SCSI_TMF_RSP_COMPLETE);
    } else {
        t->want = SCSI_WANT_WAIT;
        t->phase = SCSI_TMF_WAITS;
    }
}

static void start_abort_task(struct scsi_task *t)
{
    struct scsi_task *victim = find_task(t->itl, t->ref_tag);
    if (!victim) {
        respond(t, SCSI_TMF_RSP_NO_TASK);
        return;
    }
    /* If it is being aborted already, the answer still has to wait for its I/O: "no such task"
     * would tell the initiator that it can no longer write (SAM-6 7.2). */
    scsi_task_abort(victim, false);
    respond_when_finished(t);
}

/* SAM-6 7.4: also the end of the task with the ACA attribute. */
static void start_clear_aca(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    if (itl->aca) {
        itl->aca = false;
        list_for_each_safe (&itl->tasks, pos) {
            struct scsi_task *of = list_entry(pos, struct scsi_task, node);
            if (of->attr == SCSI_ATTR_ACA)
                scsi_task_abort(of, false);
        }
        scsi_set_wake(itl);
    }
    respond_when_finished(t);
}

static void start_nexus_reset(struct scsi_task *t)
{
    struct scsi_nexus *nexus = t->nexus;
    for (unsigned i = 0; i < nexus->itl_count; i++) {
        nexus->itls[i]->aca = false;
        scsi_abort_set(nexus->itls[i], NULL, false);
        scsi_lane_change(nexus->itls[i], SCSI_CHANGE_LOSS);
    }
    respond_when_finished(t);
}

/* SAM-6 7.10: the information is the sense key and the additional sense code. */
static void query_event(struct scsi_task *t)
{
    struct scsi_lane *lane = t->itl->lane;
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
        scsi_abort_set(t->itl, NULL, false);
        respond_when_finished(t);
        return;
    case SCSI_TMF_CLEAR_ACA:
        start_clear_aca(t);
        return;
    case SCSI_TMF_LOGICAL_UNIT_RESET:
        start_lu_reset(t);
        return;
    case SCSI_TMF_QUERY_TASK:
        respond(t, is_there(t->itl, t->ref_tag) ? SCSI_TMF_RSP_SUCCEEDED : SCSI_TMF_RSP_COMPLETE);
        return;
    case SCSI_TMF_QUERY_TASK_SET:
        respond(t, scsi_set_size(t->itl) ? SCSI_TMF_RSP_SUCCEEDED : SCSI_TMF_RSP_COMPLETE);
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
    struct scsi_nexus *nexus = t->nexus;
    if (t->tmf == SCSI_TMF_I_T_NEXUS_RESET && nexus->itl_count)
        t->itl = t->in_section = nexus->itls[0]; /* for a lane to wait on */
    if (!t->itl) {
        if (t->flags & SCSI_TF_WLUN) /* its commands end as they start: nothing to manage */
            respond(t, SCSI_TMF_RSP_NOT_SUPPORTED);
        else if (t->tmf == SCSI_TMF_I_T_NEXUS_RESET)
            respond(t, SCSI_TMF_RSP_COMPLETE);
        else
            respond(t, SCSI_TMF_RSP_NO_LUN);
        return;
    }
    list_push_back(&nexus->tmfs, &t->node);
    t->flags |= SCSI_TF_IN_SET;
    start(t);
}

void scsi_tmf_run(struct scsi_task *t)
{
    if (t->phase == SCSI_TMF_ENDS)
        respond(t, SCSI_TMF_RSP_COMPLETE);
    else if (t->tmf == SCSI_TMF_QUERY_ASYNC_EVENT)
        query_event(t);
    else if (t->flags & SCSI_TF_GATE)
        reset_unit(t);
    else
        run_lu_reset(t);
}
