/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Driving a task: from its start through what its handler asks for to its end. */
#include "scsi/drive.h"

#include "scsi/abort.h"
#include "scsi/background.h"
#include "scsi/check.h"
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

/* Into the section, and the next step there. false: it waits. */
static bool step_inside(struct scsi_task *t)
{
    /* SAM-6 5.9.2: what had not begun, or was waiting for data, is held back by ACA. */
    if (t->itl->aca && t->attr != SCSI_ATTR_ACA && !(t->flags & SCSI_TF_GATE)) {
        scsi_set_sleep(t);
        return false;
    }
    if (!scsi_task_enter(t))
        return false;
    if (!(t->flags & SCSI_TF_STARTED)) {
        t->flags |= SCSI_TF_STARTED;
        if (scsi_check_start(t))
            t->cmd->start(t);
        return true;
    }
    if (t->flags & SCSI_TF_RECHECK) {
        t->flags &= ~(uint32_t)SCSI_TF_RECHECK;
        bool own_unit = t->in_section == t->itl;
        if (own_unit && !(t->flags & (SCSI_TF_BACKGROUND | SCSI_TF_CANCELED))) {
            if (!scsi_check_again(t))
                return true;
        } else if (t->flags & SCSI_TF_CANCELED) {
            t->flags &= ~(uint32_t)SCSI_TF_CANCELED;
            t->step(t, USAN_ECANCELED);
            return true;
        }
    }
    t->step(t, 0);
    return true;
}

/* The tasks that t aborted have ended. */
static void step_after(struct scsi_task *t)
{
    scsi_step *next = t->after;
    t->after = NULL;
    scsi_ua_add_cleared(t->in_section->lu);
    next(t, 0);
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
        const struct scsi_itl *whose = t->in_section->lu->abort.itl;
        if (!scsi_abort_on_lanes(t, !whose || whose->lane == t->in_section->lane))
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
        t->in_section = t->itl; /* such a task comes here first */
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

void scsi_task_start(struct scsi_task *t)
{
    struct scsi_nexus *nexus = t->nexus;
    init(t);
    nexus->tasks++;
    nexus->used = true;
    struct scsi_itl *itl = scsi_itl_of_field(nexus, t->lun);
    t->itl = t->in_section = itl;
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
    if (t->cmd->flags & SCSI_CF_EXCLUSIVE)
        t->flags |= SCSI_TF_EXCLUSIVE;
    if ((itl->aca || t->attr == SCSI_ATTR_ACA) && !scsi_set_admits(t))
        return; /* ended, and never in the set */
    if (scsi_set_join(t))
        go(t);
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
    t->step(t, USAN_ECANCELED);
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
    t->step(t, err);
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
    assert(t->nexus->tasks > 0);
    t->nexus->tasks--;
}
