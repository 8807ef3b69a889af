/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Driving a task: from its start through what its handler asks for to its end. */
#include "scsi/drive.h"

#include "scsi/abort.h"
#include "scsi/background.h"
#include "scsi/check.h"
#include "scsi/copy_result.h"
#include "scsi/itl.h"
#include "scsi/reply.h"
#include "scsi/section.h"
#include "scsi/set.h"
#include "scsi/step.h"
#include "scsi/table.h"
#include "scsi/tmf.h"
#include "scsi/ua.h"

#include <assert.h>
#include <string.h>

/* ---- one step after the other ---- */

static inline void call(struct scsi_task *t, scsi_step *step, int err)
{
    if (t->flags & SCSI_TF_COPY)
        scsi_copy_step(t, step, err);
    else
        step(t, err);
}

static inline void call_start(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_COPY)
        scsi_copy_step(t, NULL, 0);
    else
        t->cmd->start(t);
}

/* Into the section, and the next step there. false: it waits. */
static bool step_inside(struct scsi_task *t)
{
    /* SAM-6 5.9.2: what had not begun, or was waiting for data, is held back by ACA. */
    if (atomic_load_explicit(&t->itl->aca, memory_order_relaxed) && t->attr != SCSI_ATTR_ACA &&
        !(t->flags & SCSI_TF_GATE)) {
        scsi_set_sleep(t);
        return false;
    }
    if (!scsi_task_enter(t))
        return false;
    if (!(t->flags & SCSI_TF_STARTED)) {
        t->flags |= SCSI_TF_STARTED;
        if (scsi_check_start(t))
            call_start(t);
        return true;
    }
    if (t->flags & SCSI_TF_RECHECK) {
        t->flags &= ~(uint32_t)SCSI_TF_RECHECK;
        bool own_unit = t->in_section == t->seat;
        if (own_unit && !(t->flags & (SCSI_TF_BACKGROUND | SCSI_TF_CANCELED))) {
            if (!scsi_check_again(t))
                return true;
        } else if (t->flags & SCSI_TF_CANCELED) {
            t->flags &= ~(uint32_t)SCSI_TF_CANCELED;
            call(t, t->step, USAN_ECANCELED);
            return true;
        }
    }
    call(t, t->step, 0);
    return true;
}

/* The tasks that t aborted have ended. */
static void step_after(struct scsi_task *t)
{
    scsi_step *next = t->after;
    t->after = NULL;
    scsi_ua_add_cleared(t->in_section->itl->lu);
    call(t, next, 0);
}

/* Grant what the last step asked for, and run the next one. false: it waits. */
__attribute__((noinline)) static bool grant(struct scsi_task *t)
{
    enum scsi_ask what = (enum scsi_ask)t->ask;
    t->ask = SCSI_ASK_NONE;
    switch (what) {
    case SCSI_ASK_NONE:
        return false;
    case SCSI_ASK_SLEEP:
        scsi_task_leave(t);
        t->flags &= ~(uint32_t)SCSI_TF_RECHECK; /* what it sleeps for has been begun */
        return false;
    case SCSI_ASK_EXCLUSIVE:
        scsi_task_leave(t);
        t->flags |= SCSI_TF_EXCLUSIVE;
        break;
    case SCSI_ASK_SECTION:
        scsi_task_leave(t);
        t->flags &= ~(uint32_t)SCSI_TF_EXCLUSIVE;
        t->in_section = t->ask_section;
        break;
    case SCSI_ASK_ABORTS: {
        const struct scsi_itl *whose = t->in_section->itl->lu->abort.itl;
        bool own = !whose || whose->shared || whose->home.lane == t->in_section->lane;
        if (!scsi_abort_on_lanes(t, own))
            return false;
        step_after(t);
        return true;
    }
    }
    return step_inside(t);
}

/* Grant as long as that can be done at once. */
__attribute__((noinline)) static void grant_all(struct scsi_task *t)
{
    while (t->want == SCSI_WANT_WAIT) {
        if (!grant(t))
            return;
    }
    if (t->want == SCSI_WANT_BUF || t->want == SCSI_WANT_DATA)
        scsi_task_leave(t);
    else if (t->want == SCSI_DONE || t->want == SCSI_ABORTED)
        scsi_task_end(t);
}

/* A step has run: do what it asks for, until the owner has to. */
static inline void settle(struct scsi_task *t)
{
    if (t->want == SCSI_DONE)
        scsi_task_end(t);
    else if (t->want != SCSI_WANT_IO)
        grant_all(t);
}

static void go(struct scsi_task *t)
{
    if (step_inside(t))
        settle(t);
}

void scsi_task_run(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_BACKGROUND)
        t->in_section = t->seat; /* such a task comes here first */
    if (t->flags & SCSI_TF_MARKED) {
        scsi_task_end_marked(t);
    } else if (t->tmf) {
        scsi_tmf_run(t);
    } else if (t->after) {
        step_after(t);
        settle(t);
    } else {
        go(t);
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
    t->ask = SCSI_ASK_NONE;
    memset(t->scratch, 0, sizeof t->scratch);
}

static void start_no_lu(struct scsi_task *t)
{
    bool bad_sa;
    if (scsi_check_no_lu(t, scsi_command_find(t->cdb, t->cdb_len, &bad_sa)))
        t->cmd->start(t);
    settle(t);
}

static inline void start_on(struct scsi_task *t, struct scsi_branch *branch)
{
    init(t);
    branch->tasks++;
    struct scsi_seat *seat = scsi_seat_of_field(branch, t->lun);
    struct scsi_itl *itl = seat ? seat->itl : NULL;
    t->branch = branch;
    t->seat = t->in_section = seat;
    t->itl = itl;
    if (!itl && t->lun == SCSI_LUN_FIELD_REPORT_LUNS) /* which has no I_T_L nexus */
        t->flags |= SCSI_TF_WLUN;
    if (t->tmf) {
        scsi_tmf_start(t);
        return;
    }
    if (!itl) {
        start_no_lu(t);
        return;
    }
    t->io_lu = itl->lu;
    t->cmd = scsi_index_find(itl->lu->index, t->cdb, t->cdb_len);
    if (t->cmd->flags & (SCSI_CF_EXCLUSIVE | SCSI_CF_COPY))
        t->flags |= (t->cmd->flags & SCSI_CF_EXCLUSIVE ? SCSI_TF_EXCLUSIVE : 0) |
                    (t->cmd->flags & SCSI_CF_COPY ? SCSI_TF_COPY : 0);
    bool aca = atomic_load_explicit(&itl->aca, memory_order_relaxed);
    if ((aca || t->attr == SCSI_ATTR_ACA) && !scsi_set_admits(t))
        return; /* ended, and never in the set */
    if (scsi_set_join(t))
        go(t);
}

void scsi_task_start(struct scsi_task *t)
{
    struct scsi_nexus *nexus = t->nexus;
    if (nexus->shared) {
        scsi_branch_start(&nexus->home, t);
        return;
    }
    nexus->used = true;
    t->seq = 0;
    start_on(t, &nexus->home);
}

void scsi_branch_start(struct scsi_branch *branch, struct scsi_task *t)
{
    t->nexus = branch->nexus;
    t->seq = branch->nexus->next_seq++;
    start_on(t, branch);
}

/* What the owner brings is no longer wanted. */
static void resume_cut(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_MARKED) {
        scsi_task_end_marked(t);
        return;
    }
    assert(t->want == SCSI_WANT_IO);
    t->flags &= ~(uint32_t)SCSI_TF_CANCELED;
    call(t, t->step, USAN_ECANCELED);
    settle(t);
}

void scsi_task_resume(struct scsi_task *t, int err)
{
    if (t->flags & (SCSI_TF_MARKED | SCSI_TF_CANCELED)) {
        resume_cut(t);
        return;
    }
    switch (t->want) {
    case SCSI_WANT_BUF:
    case SCSI_WANT_DATA:
        if (t->itl && !(t->flags & SCSI_TF_BACKGROUND)) {
            assert(err == 0 && (t->want == SCSI_WANT_DATA || t->buf_len >= t->want_len));
            go(t);
            return;
        }
        break;
    case SCSI_WANT_IO:
    case SCSI_WANT_SAVE:
        break;
    case SCSI_WANT_WAIT:
    case SCSI_DONE:
    case SCSI_ABORTED:
        assert(false);
        return;
    }
    call(t, t->step, err);
    settle(t);
}

void scsi_task_fail(struct scsi_task *t, uint8_t status, uint32_t sense_kaq)
{
    assert(t->want != SCSI_WANT_IO && t->want != SCSI_DONE && t->want != SCSI_ABORTED);
    if (t->flags & SCSI_TF_MARKED) {
        scsi_task_end_marked(t);
        return;
    }
    scsi_task_stop_waiting(t);
    if (status == SCSI_STATUS_CHECK_CONDITION)
        scsi_check(t, sense_kaq);
    else
        scsi_status(t, (enum scsi_status)status);
    scsi_task_end(t);
}

void scsi_task_fini(struct scsi_task *t)
{
    assert(t->want == SCSI_DONE || t->want == SCSI_ABORTED);
    if (!t->nexus) {
        scsi_background_fini(t);
        return;
    }
    assert(t->branch->tasks > 0);
    t->branch->tasks--;
}
