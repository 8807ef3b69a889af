/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management functions (SAM-6 clause 7).
 *
 * Tasks of a nexus are all on one lane, so what concerns one nexus is done at once and then waits
 * only for aborted tasks that have I/O under way. LOGICAL UNIT RESET closes the gate, asks the
 * other lanes, and goes on when nothing is left.
 */
#include "scsi/engine.h"
#include "scsi/task.h"

#include <assert.h>

static void respond(struct scsi_task *t, enum scsi_tmf_rsp rsp)
{
    t->tmf_rsp = (uint8_t)rsp;
    scsi_task_end(t, SCSI_DONE);
}

/* ---- aborting ---- */

static void abort_set(struct scsi_itl *itl, const struct scsi_task *self, bool tas)
{
    list_for_each_safe (&itl->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t != self)
            scsi_task_abort(t, tas);
    }
}

static unsigned set_size(const struct scsi_itl *itl)
{
    unsigned n = 0;
    list_for_each (&itl->tasks, pos) {
        const struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        n += !(t->flags & SCSI_TF_MARKED);
    }
    return n;
}

/* LOGICAL UNIT RESET ends ACA and reports no status for any task (SAM-6 5.6, 6.3.3). */
static void reset_itl(struct scsi_itl *itl)
{
    itl->aca = false;
    abort_set(itl, NULL, false);
}

void scsi_lane_abort(struct scsi_lane *lane, const struct scsi_task *self)
{
    const struct scsi_lu *lu = lane->lu;
    list_for_each (&lane->itls, pos) {
        struct scsi_itl *itl = list_entry(pos, struct scsi_itl, lane_node);
        if (lu->abort.reset) {
            reset_itl(itl);
        } else if (!lu->abort.itl || lu->abort.itl == itl) {
            bool other = itl->nexus != lu->abort.by;
            if (other)
                itl->cleared += set_size(itl);
            abort_set(itl, self, other && lu->abort.tas);
        }
    }
}

void scsi_abort_tasks(struct scsi_task *self, struct scsi_itl *itl, scsi_step *next)
{
    struct scsi_lane *lane = self->in_section->lane;
    struct scsi_lu *lu = lane->lu;
    assert((self->flags & SCSI_TF_GATE) && lane->holder == self);
    lu->abort.by = self->nexus;
    lu->abort.itl = itl;
    lu->abort.tas = scsi_mode_tas(lu);
    lu->abort.reset = false;
    if (scsi_gate_ask_aborts(lane, !itl || itl->lane == lane, self)) {
        scsi_abort_finished(self);
        next(self, 0);
        return;
    }
    self->want = SCSI_WANT_WAIT;
    self->after = next;
}

void scsi_abort_finished(struct scsi_task *self)
{
    struct scsi_lu *lu = self->in_section->lu;
    list_for_each (&lu->itls, pos) {
        struct scsi_itl *itl = list_entry(pos, struct scsi_itl, lu_node);
        /* SAM-6 5.6.3: told by a status, or by this. */
        if (itl->cleared && !lu->abort.tas)
            scsi_ua_add(itl, UA_COMMANDS_CLEARED);
        itl->cleared = 0;
    }
}

/* ---- LOGICAL UNIT RESET ---- */

bool scsi_tmf_gate_closed(struct scsi_task *t)
{
    struct scsi_lane *lane = t->itl->lane;
    struct scsi_lu *lu = lane->lu;
    lu->abort.by = t->nexus;
    lu->abort.itl = NULL;
    lu->abort.tas = false;
    lu->abort.reset = true;
    /* This lane's tasks were aborted when t came; those that came later live. */
    return scsi_gate_ask_aborts(lane, false, t);
}

/* SAM-6 6.3.3. The gate is held, and no task from before is left. */
static void reset_unit(struct scsi_task *t)
{
    struct scsi_lu *lu = t->itl->lu;
    list_for_each (&lu->itls, pos) {
        struct scsi_itl *itl = list_entry(pos, struct scsi_itl, lu_node);
        scsi_reserve_release(itl);
        itl->prevent = false;
        scsi_ua_add(itl, UA_BUS_DEVICE_RESET);
    }
    lu->prevent_count = 0;
    scsi_pr_lu_reset(lu);
    scsi_modes_reset(lu);
    respond(t, SCSI_TMF_RSP_COMPLETE);
}

static void start_lu_reset(struct scsi_task *t)
{
    list_for_each (&t->itl->lane->itls, pos)
        reset_itl(list_entry(pos, struct scsi_itl, lane_node));
    if (scsi_gate_take(t->itl->lane, t))
        reset_unit(t);
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

/* What t waits for has come about. */
static bool finished(const struct scsi_task *t)
{
    if (t->tmf != SCSI_TMF_I_T_NEXUS_RESET)
        return t->itl->marked == 0;
    const struct scsi_nexus *nexus = t->nexus;
    for (unsigned i = 0; i < nexus->itl_count; i++) {
        if (nexus->itls[i]->marked || (nexus->itls[i]->change & SCSI_CHANGE_LOSS))
            return false;
    }
    return true;
}

static void respond_when_finished(struct scsi_task *t)
{
    if (finished(t)) {
        respond(t, SCSI_TMF_RSP_COMPLETE);
    } else {
        t->want = SCSI_WANT_WAIT;
        t->phase = 1; /* scsi_tmf_progress looks at it */
    }
}

void scsi_tmf_progress(struct scsi_nexus *nexus)
{
    list_for_each_safe (&nexus->tmfs, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->phase == 1 && t->want == SCSI_WANT_WAIT && finished(t)) {
            t->phase = 0;
            respond(t, SCSI_TMF_RSP_COMPLETE);
            scsi_lane_ready(t->itl->lane, t);
        }
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
        abort_set(nexus->itls[i], NULL, false);
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
        abort_set(t->itl, NULL, false);
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
        respond(t, set_size(t->itl) ? SCSI_TMF_RSP_SUCCEEDED : SCSI_TMF_RSP_COMPLETE);
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
    if (t->tmf == SCSI_TMF_QUERY_ASYNC_EVENT) {
        query_event(t);
        return;
    }
    assert(t->tmf == SCSI_TMF_LOGICAL_UNIT_RESET);
    if ((t->flags & SCSI_TF_GATE) || scsi_gate_take(t->itl->lane, t))
        reset_unit(t);
}
