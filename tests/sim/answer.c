/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an initiator is told, and what it does with commands that were lost. */
#include "sim.h"

#include "base/err.h"
#include "scsi/sense.h"

/* ---- ending ---- */

uint32_t sim_op_kaq(const struct sim_op *op)
{
    return op->sense_len < 14 ? 0 : SCSI_KAQ(op->sense[2] & 0xf, op->sense[12], op->sense[13]);
}

bool sim_op_information(const struct sim_op *op, uint32_t *ret_info)
{
    if (op->sense_len < 8 || !(op->sense[0] & 0x80))
        return false;
    *ret_info = be32_get(op->sense + 3);
    return true;
}

static void vanished(struct sim_op *op)
{
    if (!op->vanishes)
        return;
    op->vanishes = false;
    op->ini->sim->vanishing--;
    op->ini->sim->vanish_step = ++op->ini->sim->steps;
}

/* Only the part that the unit always has was certainly wiped. */
static void wipe_settle(struct sim_op *op)
{
    struct sim *sim = op->ini->sim;
    enum sim_fate rest = op->fate == SIM_DONE && sim->was_shrunk ? SIM_MAYBE : op->fate;
    op->settle_late = false;
    sim_write_end(sim, 0, SIM_BLOCKS / 2, op->version, op->fate);
    sim_write_end(sim, SIM_BLOCKS / 2, SIM_BLOCKS / 2, op->version, rest);
}

/* RESERVE for one's own use has succeeded, and nobody has touched reservations since it was sent:
 * no write of another initiator takes effect from here on, not even one that was waiting for its
 * data. SPC-6 5.14.1 leaves open which commands of the task set a new reservation applies to; here
 * it is all that have not begun to write. */
static void pr_ended(struct sim_op *op)
{
    struct sim *sim = op->ini->sim;
    if (!op->pr_pending)
        return;
    op->pr_pending = false;
    sim->pr_open--;
    if (!op->lost && op->status == SCSI_STATUS_GOOD && op->excludes == sim->pr_sent) {
        sim->holder = (int)op->ini->index;
        sim->held_since = sim->steps;
        sim->stats.excluded++;
    }
}

static void settle(struct sim_op *op, enum sim_fate fate)
{
    if (op->settled)
        return;
    op->settled = true;
    vanished(op);
    pr_ended(op);
    if (op->wipe) {
        op->settle_late = true;
        op->fate = fate;
        if (!sim_wiping(op->ini->sim))
            wipe_settle(op);
    } else if (op->version) {
        sim_write_end(op->ini->sim, op->lba, op->n, op->version, fate);
    }
}

void sim_wipes_settle(struct sim *sim)
{
    for (unsigned i = 0; i < sim->opt.inis; i++) {
        list_for_each (&sim->inis[i]->ops, pos) {
            struct sim_op *op = list_entry(pos, struct sim_op, node);
            if (op->settle_late)
                wipe_settle(op);
        }
    }
}

static void op_end(struct sim_op *op)
{
    op->done = true;
    op->ini->open--;
    list_del(&op->queue);
}

static void op_lost(struct sim_op *op)
{
    op->lost = true;
    op->ini->sim->stats.lost++;
    op_end(op);
}

/* What a status says about the medium: only some errors come after a part was written. */
static enum sim_fate fate_of(const struct sim_op *op)
{
    uint32_t key = sim_op_kaq(op) >> 16;
    if (op->status == SCSI_STATUS_GOOD)
        return SIM_DONE;
    if (op->status == SCSI_STATUS_TASK_ABORTED)
        return SIM_MAYBE;
    if (op->status == SCSI_STATUS_CHECK_CONDITION && (key == 3 || key == 7))
        return SIM_MAYBE;
    return op->seen ? SIM_MAYBE : SIM_NEVER; /* the first time it may have been done */
}

static void command_ended(struct sim_op *op)
{
    struct sim *sim = op->ini->sim;
    op_end(op);
    if (op->status == SCSI_STATUS_GOOD)
        sim->stats.acked++;
    else
        sim->stats.failed++;
    uint32_t at;
    if (op->kind == SIM_OP_CAW && op->status == SCSI_STATUS_GOOD)
        sim_caw_check(sim, op->lba, op->expect, op->start_step);
    if (op->kind == SIM_OP_CAW && sim_op_kaq(op) == SENSE_MISCOMPARE_DURING_VERIFY) {
        if (sim_op_information(op, &at))
            sim_miscompare_check(sim, op->lba, op->out, at);
        else
            sim_violation(sim, "itt %x: a miscompare somewhere", op->itt);
    }
    bool forced = !sim->opt.wce || (op->cdb[0] == 0x2a && op->cdb[1] & 0x08); /* FUA */
    enum sim_fate fate = fate_of(op);
    if (fate == SIM_DONE && !forced && op->start_step < sim->power_step)
        fate = SIM_MAYBE; /* acknowledged, and lost while that was under way */
    settle(op, fate);
    if (op->status != SCSI_STATUS_GOOD)
        return;
    if (op->version && !op->wipe && forced)
        sim_write_durable(sim, op->lba, op->n, op->version);
    if (op->cdb[0] == 0x35) /* SYNCHRONIZE CACHE */
        sim_flush_done(sim, op->start_step);
    if (op->kind != SIM_OP_READ)
        return;
    if (op->cmd.in_got != op->in_len)
        sim_violation(sim, "READ of %u bytes gave %u", op->in_len, op->cmd.in_got);
    else
        sim_read_check(sim, op->lba, op->n, op->in, op->start_step);
}

/* Another function of ours is under way, which may have ended commands already. */
static bool aborting(const struct sim_ini *ini)
{
    list_for_each (&ini->ops, pos) {
        const struct sim_op *op = list_entry(pos, struct sim_op, node);
        if (!op->done && op->kind == SIM_OP_TMF)
            return true;
    }
    return false;
}

/* A function of ours has ended it: no effect from now on. */
static bool ended_by_us(const struct sim_op *op)
{
    return op->cmd.err == USAN_ECANCELED && op->cmd.why &&
           strcmp(op->cmd.why, "aborted by task management") == 0;
}

/* Nothing but a damaged or denied request is refused. */
static void check_error(const struct sim_op *op)
{
    struct sim *sim = op->ini->sim;
    bool excused = sim->alloc.failed || sim->ini_alloc.failed || sim->stats.flips ||
                   (op->cmd.why && strstr(op->cmd.why, "the target does not "));
    if (!excused && (op->cmd.response || op->cmd.err == USAN_EPROTO))
        sim_violation(sim, "op %x ends with %d, response %02x: %s", op->itt, op->cmd.err,
                      op->cmd.response, op->cmd.why ? op->cmd.why : "-");
}

void sim_op_done(struct sim_op *op)
{
    struct sim_ini *ini = op->ini;
    sim_trace(ini->sim, "op %x is done: %s (%d) status %02x%s", op->itt,
              op->cmd.why ? op->cmd.why : "answered", op->cmd.err, op->cmd.status,
              op->cmd.sent ? ", was sent" : "");
    ini->sim->steps++;
    if (op->cmd.err == 0) {
        op->status = op->cmd.status;
        op->sense_len = op->cmd.sense_len;
        if (op->status == SCSI_STATUS_GOOD && op->kind != SIM_OP_CDB && op->cmd.resid)
            sim_violation(ini->sim, "op %x: GOOD with a residual of %u", op->itt, op->cmd.residual);
        command_ended(op);
        return;
    }
    check_error(op);
    op->seen |= op->cmd.sent;
    if (ended_by_us(op)) {
        op->aborted = true;
        op_lost(op);
        settle(op, op->seen ? SIM_MAYBE : SIM_NEVER);
        return;
    }
    list_del(&op->queue);
    list_push_back(&ini->unsorted, &op->queue);
}

/* ---- task management, logout ---- */

void sim_tmf_done(struct sim_op *tmf)
{
    struct sim *sim = tmf->ini->sim;
    struct sim_op *op = tmf->ref;
    sim_trace(sim, "tmf %u is done: response %u (%d)", tmf->function, tmf->tmf.response,
              tmf->tmf.err);
    tmf->response = tmf->tmf.response;
    if (tmf->tmf.err) { /* it may still be at work, until the next login */
        op_lost(tmf);
        list_push_back(&tmf->ini->lost_ops, &tmf->queue);
        return;
    }
    op_end(tmf);
    settle(tmf, SIM_DONE);
    if (tmf->function == ISCSI_TMF_ABORT_TASK) {
        /* An answer that was damaged may come again after this one. */
        if (tmf->response == 1 && op->aborted && !sim->stats.flips && op->abort_tasks == 1 &&
            op->start_step > sim->vanish_step && !sim->vanishing && !aborting(tmf->ini) &&
            tmf->start_step > tmf->ini->set_step)
            sim_violation(sim, "ABORT TASK: op %x is unknown, and had no answer", op->itt);
    } else if (tmf->response && !(tmf->response == ISCSI_TMF_RSP_NO_LUN && sim->stats.units)) {
        sim_violation(sim, "task management function %u: response %u", tmf->function,
                      tmf->response);
    } else {
        tmf->ini->set_step = ++sim->steps;
    }
}

void sim_logout_done(struct sim_ini *ini, int err)
{
    list_for_each_safe (&ini->open_ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, queue);
        if (op->kind != SIM_OP_LOGOUT)
            continue;
        if (err) {
            op_lost(op);
        } else {
            op_end(op);
            ini->logged_out = true;
        }
        settle(op, SIM_DONE);
    }
}

/* ---- what was lost ---- */

static bool logging_out(const struct sim_ini *ini)
{
    list_for_each (&ini->open_ops, pos) {
        if (list_entry(pos, struct sim_op, queue)->kind == SIM_OP_LOGOUT)
            return true;
    }
    return false;
}

/* The rules of src/initiator/session.h: what the target can not have seen; what changes nothing;
 * a write of blocks that nobody else has written since. */
static bool may_send_again(const struct sim_op *op)
{
    bool harmless = op->cdb[0] == 0x00 || op->cdb[0] == 0x1a || op->cdb[0] == 0x35;
    if (op->resent >= SIM_RESENDS)
        return false;
    if (!op->seen || op->kind == SIM_OP_READ || (op->kind == SIM_OP_CDB && harmless))
        return true;
    return op->kind == SIM_OP_WRITE && !op->wipe &&
           (op->own || op->ini->sim->opt.mutant == SIM_REISSUES);
}

static void send_again(struct sim_op *op)
{
    struct sim_ini *ini = op->ini;
    sim_trace(ini->sim, "op %x is sent again", op->itt);
    ini->sim->stats.resent++;
    op->resent++;
    op->start_ns = ini->sim->now_ns;
    if (op->kind == SIM_OP_READ || op->kind == SIM_OP_CDB)
        op->start_step = ++ini->sim->steps;
    if (op->version)
        sim_write_unordered(ini->sim, op->lba, op->n, op->version);
    list_push_back(&ini->open_ops, &op->queue);
    (void)sim_op_submit(op);
}

void sim_ops_settle(struct sim_ini *ini)
{
    struct list lost;
    list_init(&lost);
    list_splice_back(&lost, &ini->lost_ops);
    while (!list_empty(&lost)) {
        struct sim_op *op = list_entry(list_pop_front(&lost), struct sim_op, queue);
        if (op->done) {
            settle(op, op->version ? SIM_MAYBE : SIM_DONE);
        } else if (may_send_again(op)) {
            send_again(op);
        } else if (ini->sim->opt.mutant == SIM_TRUSTS && op->kind == SIM_OP_WRITE && !op->wipe) {
            command_ended(op);
        } else {
            ini->sim->stats.unsure += op->seen;
            op_lost(op);
            settle(op, op->seen ? SIM_MAYBE : SIM_NEVER);
        }
    }
}

void sim_ops_sort(struct sim_ini *ini, bool session_lost)
{
    if (!session_lost && logging_out(ini))
        return; /* the session is about to end, one connection after the other */
    while (!list_empty(&ini->unsorted)) {
        struct sim_op *op = list_entry(list_pop_front(&ini->unsorted), struct sim_op, queue);
        if (session_lost || ini->state != SIM_INI_UP) {
            list_push_back(&ini->lost_ops, &op->queue);
        } else { /* of a connection that was logged out: the target has ended it, 11.14 */
            op_lost(op);
            settle(op, op->seen ? SIM_MAYBE : SIM_NEVER);
        }
    }
    if (!session_lost || !ini->logged_out)
        return;
    list_for_each (&ini->lost_ops, pos)
        list_entry(pos, struct sim_op, queue)->resent = SIM_RESENDS;
    sim_ops_settle(ini);
}

/* ---- for scripts ---- */

bool sim_wait(struct sim *sim, struct sim_op *op)
{
    uint64_t until = sim->now_ns + 300 * NS_PER_SEC;
    while (op && !op->done && sim->now_ns < until && sim_step(sim))
        ;
    return op && op->done && !op->lost;
}

bool sim_clear_ua(struct sim_ini *ini)
{
    static const uint8_t tur[16] = { 0 };
    for (int i = 0; i < 20; i++) {
        struct sim_op *op = sim_cdb(ini, tur, NULL, 0, 0);
        if (!sim_wait(ini->sim, op))
            return false;
        if (op->status == SCSI_STATUS_GOOD)
            return true;
    }
    return false;
}
