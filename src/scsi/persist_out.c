/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE OUT (SPC-6 6.17): the parameter list and how a change takes effect. What the
 * service actions do to the state is in persist_act.c.
 */
#include "scsi/persist_act.h"
#include "scsi/reply.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/ua.h"

enum {
    PARAM_BYTES = 24, /* the basic parameter list, SPC-6 6.17.3 */
    SPEC_I_PT = 1u << 3,
    ALL_TG_PT = 1u << 2,
    APTPL = 1u << 0,
    MOVE_UNREG = 1u << 1, /* byte 17 of REGISTER AND MOVE, SPC-6 6.17.4 */
};

/* What the command leaves to do once its state is in force; kept in task.scratch. */
enum { SCRATCH_LOST_UA, SCRATCH_KEPT_UA, SCRATCH_ABORT };

/* ---- taking effect ---- */

/* PREEMPT AND ABORT: one preempted nexus after the other. */
static void abort_step(struct scsi_task *t, int err)
{
    (void)err;
    list_for_each (&scsi_task_lu(t)->itls, node) {
        struct scsi_itl *itl = list_entry(node, struct scsi_itl, lu_node);
        if (itl->pr_abort) {
            itl->pr_abort = false;
            scsi_want_aborts(t, itl, abort_step);
            return;
        }
    }
    scsi_good(t);
}

/* Give back what registering many at once reserved and did not need. */
static void shrink(struct scsi_lu *lu)
{
    struct scsi_pr *pr = lu->pr;
    if (pr->cap - pr->count <= 8)
        return;
    struct scsi_pr *small = scsi_pr_clone(lu, 0);
    if (small) {
        alloc_put(lu->a, pr);
        lu->pr = small;
    }
}

static void take_effect(struct scsi_task *t, struct scsi_pr *next)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    alloc_put(lu->a, lu->pr);
    lu->pr = next;
    shrink(lu);
    uint16_t lost_ua = (uint16_t)t->scratch[SCRATCH_LOST_UA];
    uint16_t kept_ua = (uint16_t)t->scratch[SCRATCH_KEPT_UA];
    list_for_each (&lu->itls, node) {
        struct scsi_itl *itl = list_entry(node, struct scsi_itl, lu_node);
        bool had = itl->pr_key != 0;
        scsi_pr_refresh(itl);
        bool lost = had && !itl->pr_key;
        itl->pr_abort = lost && itl != t->itl && t->scratch[SCRATCH_ABORT];
        if (itl == t->itl)
            continue; /* never told of what it did itself */
        if (lost && lost_ua)
            scsi_ua_add(itl, lost_ua);
        else if (itl->pr_key && kept_ua)
            scsi_ua_add(itl, kept_ua);
    }
    abort_step(t, 0);
}

/* What an aborted command left pending never comes into force. */
static void drop_pending(struct scsi_lu *lu)
{
    if (!lu->pr)
        return;
    alloc_put(lu->a, lu->pr->pending);
    lu->pr->pending = NULL;
}

static void saved_step(struct scsi_task *t, int err)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    struct scsi_pr *next = lu->pr->pending;
    if (err) {
        drop_pending(lu);
        scsi_check(t, SENSE_INTERNAL_TARGET_FAILURE);
        return;
    }
    lu->pr->pending = NULL;
    take_effect(t, next);
}

/* Consumes c->next. */
static void put_in_force(struct scsi_task *t, struct pr_change *c)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    t->scratch[SCRATCH_LOST_UA] = c->lost_ua;
    t->scratch[SCRATCH_KEPT_UA] = c->kept_ua;
    t->scratch[SCRATCH_ABORT] = c->sa == PR_OUT_PREEMPT_AND_ABORT;
    if (!c->next->aptpl && !(lu->pr && lu->pr->aptpl)) {
        take_effect(t, c->next);
        return;
    }
    if (!lu->pr)
        lu->pr = scsi_pr_clone(lu, 0); /* an empty state for the other one to wait at */
    if (!lu->pr) {
        alloc_put(lu->a, c->next);
        scsi_check(t, SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
        return;
    }
    lu->pr->pending = c->next;
    lu->pr->pending_by = t;
    scsi_want_save(t, saved_step);
}

/* ---- the parameter list ---- */

/* The list is in t->buf. False: the task was ended. */
static bool parse_basic(struct scsi_task *t, size_t len, struct pr_change *c)
{
    const uint8_t *p = t->buf;
    c->spec_i_pt = p[20] & SPEC_I_PT;
    c->all_tg_pt = p[20] & ALL_TG_PT;
    c->aptpl = p[20] & APTPL;
    if (!c->spec_i_pt) {
        if (len != PARAM_BYTES) { /* SPC-6 6.17.3 */
            scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
            return false;
        }
        return true;
    }
    if (c->sa != PR_OUT_REGISTER) { /* SPC-6 6.17.3: SPEC_I_PT is for REGISTER only */
        scsi_check_param(t, 20, 3);
        return false;
    }
    if (len < PARAM_BYTES + 4 || be32_get(p + PARAM_BYTES) != len - PARAM_BYTES - 4) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    c->tids = p + PARAM_BYTES + 4;
    c->tids_len = len - PARAM_BYTES - 4;
    c->tids_at = PARAM_BYTES + 4;
    return true;
}

static bool parse_move(struct scsi_task *t, size_t len, struct pr_change *c)
{
    const uint8_t *p = t->buf;
    c->unreg = p[17] & MOVE_UNREG;
    c->aptpl = p[17] & APTPL;
    c->rel_port = be16_get(p + 18);
    if (be32_get(p + 20) != len - PARAM_BYTES) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    c->tids = p + PARAM_BYTES;
    c->tids_len = len - PARAM_BYTES;
    c->tids_at = PARAM_BYTES;
    return true;
}

/* How many registrations the command may add. */
static unsigned extra_room(const struct scsi_lu *lu, const struct pr_change *c)
{
    if (c->spec_i_pt || c->all_tg_pt)
        return SCSI_PR_REGISTRANTS_MAX - (lu->pr ? lu->pr->count : 0);
    return c->sa == PR_OUT_REGISTER || c->sa == PR_OUT_REGISTER_AND_IGNORE ||
           c->sa == PR_OUT_REGISTER_AND_MOVE;
}

static void out_run(struct scsi_task *t, int err)
{
    (void)err;
    struct scsi_lu *lu = scsi_task_lu(t);
    size_t len = be32_get(t->cdb + 5);
    if (scsi_out_copy(t, 0, t->buf, len) != len) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    struct pr_change c = {
        .sa = t->cdb[1] & 0x1f,
        .scope = t->cdb[2] >> 4,
        .type = t->cdb[2] & 0x0f,
        .rk = be64_get(t->buf),
        .sark = be64_get(t->buf + 8),
    };
    bool move = c.sa == PR_OUT_REGISTER_AND_MOVE;
    bool registers = move || c.sa == PR_OUT_REGISTER || c.sa == PR_OUT_REGISTER_AND_IGNORE;
    if (!(move ? parse_move(t, len, &c) : parse_basic(t, len, &c)))
        return;
    if (registers && c.aptpl && !lu->cfg.keeps_state) { /* SPC-6 6.17.3; others ignore APTPL */
        scsi_check_param(t, move ? 17 : 20, 0);
        return;
    }
    drop_pending(lu);
    c.next = scsi_pr_clone(lu, extra_room(lu, &c));
    if (!c.next) {
        scsi_check(t, SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
        return;
    }
    enum pr_verdict v = scsi_pr_act(t, &c);
    if (v == PR_CHANGED) {
        put_in_force(t, &c);
        return;
    }
    alloc_put(lu->a, c.next);
    switch (v) {
    case PR_CHANGED:
    case PR_NOTHING:
        scsi_good(t);
        break;
    case PR_CONFLICT:
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        break;
    case PR_BAD_CDB:
        scsi_check_cdb(t, c.bad_byte, c.bad_bit);
        break;
    case PR_BAD_PARAM:
        scsi_check_param(t, c.bad_byte, c.bad_bit);
        break;
    case PR_BAD_RELEASE:
        scsi_check(t, SENSE_INVALID_RELEASE_OF_PERSISTENT_RESERVATION);
        break;
    case PR_FULL:
        scsi_check(t, SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
        break;
    }
}

static void out_data(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_data(t, be32_get(t->cdb + 5), out_run);
}

void scsi_persistent_reserve_out(struct scsi_task *t)
{
    /* SPC-2 5.5.1, as for PERSISTENT RESERVE IN */
    if (scsi_task_lu(t)->reserved_by) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return;
    }
    uint32_t len = be32_get(t->cdb + 5);
    if (len < PARAM_BYTES || len > SCSI_PARAM_MAX) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_buf(t, len, out_data);
}
