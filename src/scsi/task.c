/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Driving a task: from its start through what it wants to its end. */
#include "scsi/task.h"

#include "scsi/engine.h"

#include <assert.h>

/* ---- in and out of the section ---- */

static void leave(struct scsi_task *t)
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

/* true: t may run on. false: it waits, and scsi_task_run continues it. */
static bool enter(struct scsi_task *t)
{
    struct scsi_lane *lane = t->in_section->lane;
    if (t->flags & (SCSI_TF_EXCLUSIVE | SCSI_TF_BACKGROUND)) {
        if (!(t->flags & SCSI_TF_EXCLUSIVE) || (t->flags & SCSI_TF_GATE))
            return true;
        return scsi_gate_take(lane, t);
    }
    if (t->cmd->flags & SCSI_CF_NO_SECTION)
        return true;
    if (scsi_section_enter(lane)) {
        t->flags |= SCSI_TF_INSIDE;
        return true;
    }
    t->want = SCSI_WANT_WAIT;
    scsi_lane_block(lane, t);
    return false;
}

static void go(struct scsi_task *t)
{
    /* SAM-6 5.9.2: what had not begun, or was waiting for data, is held back by ACA. */
    if (t->itl->aca && t->attr != SCSI_ATTR_ACA && !(t->flags & SCSI_TF_GATE)) {
        t->want = SCSI_WANT_WAIT;
        t->flags |= SCSI_TF_DORMANT;
        t->itl->dormant++;
        return;
    }
    if (!enter(t))
        return;
    if (!(t->flags & SCSI_TF_STARTED)) {
        t->flags |= SCSI_TF_STARTED;
        if (scsi_check_start(t))
            t->cmd->start(t);
        return;
    }
    if (t->flags & SCSI_TF_RECHECK) {
        t->flags &= ~(uint32_t)SCSI_TF_RECHECK;
        bool own_unit = t->in_section == t->itl;
        if (own_unit && !(t->flags & SCSI_TF_BACKGROUND) && !scsi_check_again(t))
            return;
    }
    t->step(t, 0);
}

static void end_marked(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_TAS) {
        t->status = SCSI_STATUS_TASK_ABORTED;
        scsi_task_end(t, SCSI_DONE);
    } else {
        scsi_task_end(t, SCSI_ABORTED);
    }
}

void scsi_task_run(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_BACKGROUND)
        t->in_section = t->itl; /* such a task comes here first */
    if (t->flags & SCSI_TF_MARKED) {
        end_marked(t);
    } else if (t->tmf) {
        scsi_tmf_run(t);
    } else if (t->after) {
        scsi_step *next = t->after;
        t->after = NULL;
        scsi_abort_finished(t);
        next(t, 0);
    } else {
        go(t);
    }
}

/* ---- the task set (SAM-6 clause 8): one for every I_T_L nexus (TST = 001b) ---- */

/* Must a task of this attribute wait for those that are before it in the set? */
static bool waits_for(uint8_t attr, const struct scsi_itl *itl, bool first, bool ordered_before)
{
    switch ((enum scsi_attr)attr) {
    case SCSI_ATTR_HEAD_OF_QUEUE:
    case SCSI_ATTR_ACA:
        return false;
    case SCSI_ATTR_ORDERED:
        return itl->hoq || !first;
    case SCSI_ATTR_UNTAGGED:
    case SCSI_ATTR_SIMPLE:
        break;
    }
    return itl->hoq || ordered_before;
}

void scsi_set_wake(struct scsi_itl *itl)
{
    bool first = true, ordered_before = false;
    list_for_each (&itl->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        bool held = waits_for(t->attr, itl, first, ordered_before) ||
                    (itl->aca && t->attr != SCSI_ATTR_ACA);
        if ((t->flags & SCSI_TF_DORMANT) && !held) {
            t->flags &= ~(uint32_t)SCSI_TF_DORMANT;
            itl->dormant--;
            scsi_lane_ready(itl->lane, t);
        }
        first = false;
        ordered_before |= t->attr == SCSI_ATTR_ORDERED;
    }
}

static bool has_aca_task(const struct scsi_itl *itl)
{
    list_for_each (&itl->tasks, pos) {
        if (list_entry(pos, struct scsi_task, node)->attr == SCSI_ATTR_ACA)
            return true;
    }
    return false;
}

/* SAM-6 5.9.2 and 8.6.5. false: t was ended. */
static bool aca_admits(struct scsi_task *t)
{
    if (!t->itl->aca) {
        if (t->attr != SCSI_ATTR_ACA)
            return true;
        scsi_check(t, SENSE_INVALID_MESSAGE_ERROR);
        return false;
    }
    if (t->attr == SCSI_ATTR_ACA && !has_aca_task(t->itl))
        return true;
    scsi_status(t, SCSI_STATUS_ACA_ACTIVE);
    return false;
}

/* Into the task set. false: it waits there for others. */
static bool join(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    bool wait = false;
    if (itl->ordered | itl->hoq | (unsigned)(t->attr > SCSI_ATTR_SIMPLE)) {
        wait = waits_for(t->attr, itl, list_empty(&itl->tasks), itl->ordered != 0);
        if (t->attr == SCSI_ATTR_ORDERED)
            itl->ordered++;
        else if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
            itl->hoq++;
    }
    list_push_back(&itl->tasks, &t->node);
    t->flags |= SCSI_TF_IN_SET;
    if (!wait)
        return true;
    t->want = SCSI_WANT_WAIT;
    t->flags |= SCSI_TF_DORMANT;
    itl->dormant++;
    return false;
}

void scsi_task_end(struct scsi_task *t, enum scsi_want want)
{
    t->want = want;
    if (t->after) { /* aborted itself while it aborted others: those are told all the same */
        t->after = NULL;
        if (t->flags & SCSI_TF_GATE)
            scsi_abort_finished(t);
    }
    leave(t);
    if (!(t->flags & SCSI_TF_IN_SET))
        return;
    t->flags &= ~(uint32_t)SCSI_TF_IN_SET;
    list_del(&t->node);
    if (t->tmf)
        return;
    struct scsi_itl *itl = t->itl;
    if (t->attr == SCSI_ATTR_ORDERED)
        itl->ordered--;
    else if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
        itl->hoq--;
    if (itl->dormant)
        scsi_set_wake(itl);
    if (t->flags & SCSI_TF_MARKED) {
        if (--itl->marked == 0)
            scsi_tmf_progress(t->nexus);
        if (t->flags & SCSI_TF_MARKED_IO)
            scsi_lane_unmarked(itl->lane);
    }
}

/* ---- the calls that drive a task ---- */

/* Only what the engine and the handlers rely on: a task is a kilobyte. */
static void init(struct scsi_task *t)
{
    t->flags = 0;
    t->phase = 0;
    t->pos = 0;
    t->want_len = 0;
    t->buf = NULL;
    t->buf_len = 0;
    t->out = NULL;
    t->out_cnt = 0;
    t->out_off = UINT64_MAX;
    t->bio.flags = 0;
    t->bio.iov = NULL;
    t->bio.iovcnt = 0;
    t->bio.err = 0;
    t->status = SCSI_STATUS_GOOD;
    t->tmf_rsp = SCSI_TMF_RSP_COMPLETE;
    t->tmf_info = 0;
    t->status_qualifier = 0;
    t->sense_len = 0;
    t->in = NULL;
    t->in_cnt = 0;
    t->in_len = t->in_residual = 0;
    t->out_used = t->in_used = 0;
    t->cmd = NULL;
    t->after = NULL;
    memset(t->scratch, 0, sizeof t->scratch);
}

void scsi_task_start(struct scsi_task *t)
{
    struct scsi_nexus *nexus = t->nexus;
    bool wlun = false;
    init(t);
    nexus->tasks++;
    nexus->used = true;
    struct scsi_itl *itl = scsi_nexus_find(nexus, t->lun, &wlun);
    t->itl = t->in_section = itl;
    if (wlun)
        t->flags |= SCSI_TF_WLUN;
    if (t->tmf) {
        scsi_tmf_start(t);
        return;
    }
    if (!itl) {
        if (scsi_check_no_lu(t))
            t->cmd->start(t);
        return;
    }
    t->io_lu = itl->lu;
    t->cmd = scsi_index_find(itl->lu->index, t->cdb, t->cdb_len);
    if (t->cmd->flags & SCSI_CF_EXCLUSIVE)
        t->flags |= SCSI_TF_EXCLUSIVE;
    if ((itl->aca || t->attr == SCSI_ATTR_ACA) && !aca_admits(t))
        return;
    if (join(t))
        go(t);
}

void scsi_task_resume(struct scsi_task *t, int err)
{
    if (t->flags & SCSI_TF_MARKED) {
        end_marked(t);
        return;
    }
    switch (t->want) {
    case SCSI_WANT_BUF:
    case SCSI_WANT_DATA:
        if (t->flags & SCSI_TF_BACKGROUND) {
            t->step(t, err);
            return;
        }
        assert(err == 0 && (t->want == SCSI_WANT_DATA || t->buf_len >= t->want_len));
        if (t->itl)
            go(t);
        else
            t->step(t, 0);
        return;
    case SCSI_WANT_IO:
    case SCSI_WANT_SAVE:
        t->step(t, err);
        return;
    case SCSI_WANT_WAIT:
    case SCSI_DONE:
    case SCSI_ABORTED:
        break;
    }
    assert(false);
}

/* Out of whatever list or state t waits in. */
static void stop_waiting(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_LISTED) {
        t->flags &= ~(uint32_t)SCSI_TF_LISTED;
        list_del(&t->lane_node);
    }
    if (t->flags & SCSI_TF_DORMANT) {
        t->flags &= ~(uint32_t)SCSI_TF_DORMANT;
        t->itl->dormant--;
    }
}

void scsi_task_fail(struct scsi_task *t, uint8_t status, uint32_t sense_kaq)
{
    assert(t->want != SCSI_WANT_IO && t->want != SCSI_DONE && t->want != SCSI_ABORTED);
    if (t->flags & SCSI_TF_MARKED) {
        end_marked(t);
        return;
    }
    stop_waiting(t);
    if (status == SCSI_STATUS_CHECK_CONDITION)
        scsi_check(t, sense_kaq);
    else
        scsi_status(t, (enum scsi_status)status);
}

void scsi_task_fini(struct scsi_task *t)
{
    assert(t->want == SCSI_DONE || t->want == SCSI_ABORTED);
    if (!t->nexus) {
        scsi_background_fini(t);
        return;
    }
    assert(t->nexus->tasks > 0);
    t->nexus->tasks--;
}

void scsi_task_abort(struct scsi_task *t, bool tas)
{
    struct scsi_lane *lane = t->in_section->lane;
    if (t->flags & SCSI_TF_MARKED)
        return;
    /* With I/O under way, or other lanes at work for it, it can not end here. */
    bool io = t->want == SCSI_WANT_IO || t->want == SCSI_WANT_SAVE;
    bool asked = lane->holder == t && lane->gate_wait && atomic_load(&lane->lu->acks) != 0;
    t->flags |= tas ? SCSI_TF_TAS : 0;
    if (io || asked) {
        t->flags |= SCSI_TF_MARKED;
        if (!t->tmf)
            t->itl->marked++;
        if (io) {
            t->flags |= SCSI_TF_MARKED_IO;
            t->itl->lane->marked++;
        }
        return;
    }
    stop_waiting(t);
    end_marked(t);
    scsi_lane_ready(t->itl->lane, t);
}

/* ---- wants ---- */

void scsi_want_buf(struct scsi_task *t, uint64_t len, scsi_step *next)
{
    if (len <= t->buf_len) {
        next(t, 0);
        return;
    }
    t->want = SCSI_WANT_BUF;
    t->want_len = len;
    t->step = next;
    leave(t);
}

void scsi_want_data(struct scsi_task *t, uint64_t len, scsi_step *next)
{
    if (t->out_used < len)
        t->out_used = len;
    if (t->out_expected < len) { /* SPC-6 4.2.5.6, FCP-4 and RFC 7143 11.4.5.2 leave it to us */
        scsi_check(t, SENSE_INVALID_FIELD_IN_IU);
        return;
    }
    if (len == 0) {
        next(t, 0);
        return;
    }
    t->want = SCSI_WANT_DATA;
    t->want_len = len;
    t->step = next;
    leave(t);
}

void scsi_want_io(struct scsi_task *t, scsi_step *next)
{
    bool changes = t->bio.op != BIO_READ && t->bio.op != BIO_MAP_STATUS;
    if (t->io_lu->tokens && changes)
        scsi_tokens_written(t->io_lu, t->bio.off, t->bio.len);
    t->want = SCSI_WANT_IO;
    t->step = next;
}

void scsi_want_save(struct scsi_task *t, scsi_step *next)
{
    t->want = SCSI_WANT_SAVE;
    t->step = next;
}

void scsi_want_exclusive(struct scsi_task *t, scsi_step *next)
{
    if (t->flags & SCSI_TF_GATE) {
        next(t, 0);
        return;
    }
    leave(t);
    t->flags |= SCSI_TF_EXCLUSIVE;
    t->step = next;
    go(t);
}

void scsi_want_wake(struct scsi_task *t, struct list *where, scsi_step *next)
{
    leave(t);
    t->want = SCSI_WANT_WAIT;
    t->step = next;
    t->flags |= SCSI_TF_LISTED;
    list_push_back(where, &t->lane_node);
}

void scsi_wake(struct scsi_task *t)
{
    assert(t->want == SCSI_WANT_WAIT && (t->flags & SCSI_TF_LISTED));
    t->flags &= ~(uint32_t)SCSI_TF_LISTED;
    list_del(&t->lane_node);
    scsi_lane_ready(t->in_section->lane, t);
}

void scsi_want_section(struct scsi_task *t, struct scsi_itl *itl, scsi_step *next)
{
    assert(itl->nexus == t->nexus);
    leave(t);
    t->flags &= ~(uint32_t)SCSI_TF_EXCLUSIVE;
    t->in_section = itl;
    t->step = next;
    go(t);
}
