/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an initiator asks for: commands, task management, and the data of both directions. */
#include "sim.h"

#include "scsi/sense.h"

#include <stdlib.h>

enum { TMF_ABORT_TASK = 1, TMF_ABORT_TASK_SET, TMF_CLEAR_ACA, TMF_CLEAR_TASK_SET, TMF_LU_RESET };

/* ---- data-out ---- */

static void send_data_out(struct sim_op *op)
{
    struct sim *sim = op->ini->sim;
    struct sim_burst *b = &op->bursts[0];
    uint8_t bhs[ISCSI_BHS_LEN] = { ISCSI_OP_DATA_OUT };
    uint32_t n = b->len < sim->opt.tgt_segment ? b->len : sim->opt.tgt_segment;
    bool final = n == b->len;
    bhs[1] = final ? 0x80 : 0;
    be32_put(bhs + 16, op->itt);
    be32_put(bhs + 20, b->ttt);
    be32_put(bhs + 36, b->data_sn++);
    be32_put(bhs + 40, b->off);
    sim_ini_send(op->ini, bhs, op->out + b->off, n);
    b->off += n;
    b->len -= n;
    if (final)
        memmove(b, b + 1, --op->burst_count * sizeof(*b));
}

static void tx(struct sim_event *ev)
{
    struct sim_op *op = list_entry(ev, struct sim_op, tx);
    struct sim *sim = op->ini->sim;
    if (op->done || !op->ini->link)
        return;
    while (op->burst_count) {
        send_data_out(op);
        if (op->burst_count && sim_rand(sim, 2)) {
            sim_event_in(sim, &op->tx, sim_rand64(sim, 4 * sim->opt.net_ns));
            return;
        }
    }
}

static void add_burst(struct sim_op *op, uint32_t ttt, uint32_t off, uint32_t len)
{
    if (op->burst_count == SIM_BURSTS) {
        sim_violation(op->ini->sim, "too many R2Ts at once");
        return;
    }
    op->bursts[op->burst_count++] = (struct sim_burst){ ttt, off, len, 0 };
    if (!sim_event_set(&op->tx))
        sim_event_in(op->ini->sim, &op->tx, sim_rand64(op->ini->sim, op->ini->sim->opt.net_ns));
}

/* ---- starting ---- */

static struct sim_op *op_new(struct sim_ini *ini, enum sim_op_kind kind)
{
    struct sim_op *op = calloc(1, sizeof(*op));
    if (!op)
        abort();
    op->ini = ini;
    op->kind = kind;
    op->itt = ++ini->itt;
    op->cmd_sn = ini->cmd_sn;
    op->attr = SCSI_ATTR_SIMPLE;
    if (sim_chance(ini->sim, ini->sim->opt.attr_permille))
        op->attr = sim_rand(ini->sim, 3) ? SCSI_ATTR_ORDERED : SCSI_ATTR_HEAD_OF_QUEUE;
    sim_event_init(&op->tx, tx);
    list_push_back(&ini->ops, &op->node);
    ini->open++;
    op->start_ns = ini->sim->now_ns;
    op->start_step = ++ini->sim->steps;
    return op;
}

static void send_command(struct sim_op *op)
{
    struct sim_ini *ini = op->ini;
    const struct sim_options *o = &ini->sim->opt;
    uint8_t bhs[ISCSI_BHS_LEN] = { ISCSI_OP_SCSI_COMMAND };
    uint32_t imm = 0, unsol = 0;
    if (op->out_len && o->immediate_data && sim_rand(ini->sim, 8)) {
        imm = op->out_len < o->first_burst ? op->out_len : o->first_burst;
        imm = imm < o->tgt_segment ? imm : o->tgt_segment;
    }
    if (op->out_len > imm && !o->initial_r2t && imm < o->first_burst && sim_rand(ini->sim, 8)) {
        unsol = op->out_len < o->first_burst ? op->out_len : o->first_burst;
        unsol -= imm;
    }
    bhs[1] = (uint8_t)((unsol ? 0 : 0x80) | (op->out_len ? 0x20 : 0) | (op->in_len ? 0x40 : 0) |
                       op->attr);
    be32_put(bhs + 16, op->itt);
    be32_put(bhs + 20, op->out_len ? op->out_len : op->in_len);
    be32_put(bhs + 24, ini->cmd_sn++);
    memcpy(bhs + 32, op->cdb, 16);
    op->in = op->in_len ? malloc(op->in_len) : NULL;
    if (op->in)
        memset(op->in, 0xee, op->in_len);
    sim_trace(ini->sim, "ini %u op itt %x cdb %02x lba %u n %u version %u", ini->index, op->itt,
              op->cdb[0], op->lba, op->n, op->version);
    sim_ini_send(ini, bhs, op->out, imm);
    if (unsol)
        add_burst(op, ISCSI_TAG_NONE, imm, unsol);
    ini->sim->stats.ops++;
}

static void put_rw(struct sim_op *op, uint8_t opcode, uint32_t lba, uint32_t n)
{
    op->lba = lba;
    op->n = n;
    op->cdb[0] = opcode;
    be32_put(op->cdb + 2, lba);
    be16_put(op->cdb + 7, (uint16_t)n);
}

struct sim_op *sim_read(struct sim_ini *ini, uint32_t lba, uint32_t n)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_READ);
    put_rw(op, 0x28, lba, n);
    op->in_len = n * SIM_BLOCK;
    send_command(op);
    return op;
}

static void make_out(struct sim_op *op, uint32_t len)
{
    op->out_len = len;
    op->out = malloc(len);
    if (!op->out)
        abort();
}

struct sim_op *sim_write(struct sim_ini *ini, uint32_t lba, uint32_t n)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_WRITE);
    put_rw(op, 0x2a, lba, n);
    op->version = sim_write_begin(ini->sim, ini->index, op->attr, lba, n);
    if (sim_rand(ini->sim, 4) == 0)
        op->cdb[1] = 0x08; /* FUA */
    make_out(op, n * SIM_BLOCK);
    for (uint32_t i = 0; i < n; i++)
        sim_fill(op->out + i * SIM_BLOCK, lba + i, op->version);
    send_command(op);
    return op;
}

struct sim_op *sim_caw(struct sim_ini *ini, uint32_t lba, uint32_t expect)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_CAW);
    op->version = sim_write_begin(ini->sim, ini->index, op->attr, lba, 1);
    op->expect = expect;
    op->lba = lba;
    op->n = 1;
    op->cdb[0] = 0x89;
    be64_put(op->cdb + 2, lba);
    op->cdb[13] = 1;
    make_out(op, 2 * SIM_BLOCK);
    sim_content(ini->sim, op->out, lba, expect);
    sim_fill(op->out + SIM_BLOCK, lba, op->version);
    send_command(op);
    return op;
}

struct sim_op *sim_write_same(struct sim_ini *ini, uint32_t lba, uint32_t n, bool zero)
{
    struct sim *sim = ini->sim;
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_WRITE);
    op->lba = lba;
    op->n = n;
    op->cdb[0] = 0x93;
    op->cdb[1] = (uint8_t)((zero ? 0x01 : 0) | (sim_rand(sim, 2) && zero ? 0x08 : 0)); /* UNMAP */
    be64_put(op->cdb + 2, lba);
    be32_put(op->cdb + 10, n);
    if (zero) {
        op->version = sim_zero_begin(sim, ini->index, op->attr, lba, n);
        sim->stats.zeroes++;
    } else {
        op->version = sim_write_begin(sim, ini->index, op->attr, lba, n);
        sim->same[op->version] = (uint8_t)(1 + lba);
        make_out(op, SIM_BLOCK);
        sim_fill(op->out, lba, op->version);
    }
    send_command(op);
    return op;
}

struct sim_op *sim_unmap(struct sim_ini *ini, uint32_t lba, uint32_t n)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_WRITE);
    op->lba = lba;
    op->n = n;
    op->version = sim_zero_begin(ini->sim, ini->index, op->attr, lba, n);
    op->cdb[0] = 0x42;
    make_out(op, 8 + 16);
    memset(op->out, 0, 8 + 16);
    be16_put(op->cdb + 7, 8 + 16);
    be16_put(op->out, 6 + 16);
    be16_put(op->out + 2, 16);
    be64_put(op->out + 8, lba);
    be32_put(op->out + 16, n);
    ini->sim->stats.zeroes++;
    send_command(op);
    return op;
}

struct sim_op *sim_wipe(struct sim_ini *ini, bool format, bool immed)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_WRITE);
    op->wipe = true;
    op->n = SIM_BLOCKS;
    op->version = sim_zero_begin(ini->sim, ini->index, op->attr, 0, SIM_BLOCKS);
    ini->sim->goes_on[op->version] = true;
    if (!sim_wiping(ini->sim))
        ini->sim->was_shrunk = ini->sim->shrunk;
    if (format) {
        op->cdb[0] = 0x04;
    } else {
        op->cdb[0] = 0x48;
        op->cdb[1] = immed ? 0x82 : 0x02; /* BLOCK ERASE */
    }
    send_command(op);
    return op;
}

struct sim_op *sim_cdb(struct sim_ini *ini, const uint8_t *cdb, const void *out, uint32_t out_len,
                       uint32_t in_len)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_CDB);
    memcpy(op->cdb, cdb, 16);
    if (out_len) {
        make_out(op, out_len);
        memcpy(op->out, out, out_len);
    }
    op->in_len = in_len;
    send_command(op);
    return op;
}

static void may_vanish(struct sim_op *op)
{
    op->vanishes = true;
    op->ini->sim->vanishing++;
}

struct sim_op *sim_pr_out(struct sim_ini *ini, uint8_t action, uint8_t type, uint64_t key,
                          uint64_t new_key)
{
    uint8_t cdb[16] = { 0x5f, action, type }, list[24] = { 0 };
    cdb[8] = sizeof(list);
    be64_put(list, key);
    be64_put(list + 8, new_key);
    struct sim *sim = ini->sim;
    struct sim_op *op = sim_cdb(ini, cdb, list, sizeof(list), 0);
    if (!op)
        return NULL;
    if (action == 5) /* PREEMPT AND ABORT */
        may_vanish(op);
    sim->excluded = -1;
    sim->pr_sent++;
    sim->pr_open++;
    op->pr_pending = true;
    if (action == 1 && (type == 1 || type == 3) && sim->pr_open == 1)
        op->excludes = sim->pr_sent;
    return op;
}

/* RESERVE for one's own use has succeeded, and nobody has touched reservations since it was sent:
 * no write of the other initiator takes effect from here on, not even one that was waiting for its
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
        sim->excluded = (int)op->ini->index ^ 1;
        sim->excluded_since = sim->steps;
        sim->stats.excluded++;
    }
}

struct sim_op *sim_tmf(struct sim_ini *ini, uint8_t function, struct sim_op *ref)
{
    if (ini->state != SIM_INI_UP)
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_TMF);
    uint8_t bhs[ISCSI_BHS_LEN] = { ISCSI_OP_TMF_REQUEST | 0x40, (uint8_t)(0x80 | function) };
    op->function = function;
    op->ref = ref;
    be32_put(bhs + 16, op->itt);
    be32_put(bhs + 20, ref ? ref->itt : ISCSI_TAG_NONE);
    be32_put(bhs + 24, ini->cmd_sn);
    if (ref)
        be32_put(bhs + 32, ref->cmd_sn);
    if (function == TMF_LU_RESET)
        may_vanish(op);
    sim_ini_send(ini, bhs, NULL, 0);
    ini->sim->stats.tmfs++;
    return op;
}

struct sim_op *sim_nop(struct sim_ini *ini)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_NOP);
    uint8_t bhs[ISCSI_BHS_LEN] = { ISCSI_OP_NOP_OUT, 0x80 };
    make_out(op, 100);
    memset(op->out, (int)(op->itt & 0xff), 100);
    be32_put(bhs + 16, op->itt);
    be32_put(bhs + 20, ISCSI_TAG_NONE);
    be32_put(bhs + 24, ini->cmd_sn++);
    sim_ini_send(ini, bhs, op->out, 100);
    return op;
}

struct sim_op *sim_logout(struct sim_ini *ini)
{
    if (!sim_ini_ready(ini))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_LOGOUT);
    uint8_t bhs[ISCSI_BHS_LEN] = { ISCSI_OP_LOGOUT_REQUEST, 0x80 };
    be32_put(bhs + 16, op->itt);
    be32_put(bhs + 24, ini->cmd_sn++);
    sim_ini_send(ini, bhs, NULL, 0);
    return op;
}

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
    for (unsigned i = 0; i < SIM_INIS; i++) {
        list_for_each (&sim->inis[i]->ops, pos) {
            struct sim_op *op = list_entry(pos, struct sim_op, node);
            if (op->settle_late)
                wipe_settle(op);
        }
    }
}

void sim_op_end(struct sim_op *op)
{
    op->done = true;
    op->ini->open--;
    sim_event_cancel(&op->tx);
}

static void op_lost(struct sim_op *op)
{
    op->lost = true;
    op->ini->sim->stats.lost++;
    sim_op_end(op);
}

void sim_ops_lost(struct sim_ini *ini)
{
    list_for_each (&ini->ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, node);
        if (!op->done)
            op_lost(op);
    }
}

void sim_ops_settle(struct sim_ini *ini)
{
    list_for_each (&ini->ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, node);
        if (op->lost)
            settle(op, SIM_MAYBE);
    }
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
    return SIM_NEVER;
}

static void command_ended(struct sim_op *op)
{
    struct sim *sim = op->ini->sim;
    sim_op_end(op);
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
    settle(op, fate_of(op));
    if (op->kind != SIM_OP_READ || op->status != SCSI_STATUS_GOOD)
        return;
    if (op->in_got != op->in_len)
        sim_violation(sim, "READ of %u bytes gave %u", op->in_len, op->in_got);
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

/* The function is complete: what it aborted has no answer, and no effect from now on. */
static void tmf_ended(struct sim_op *tmf)
{
    struct sim *sim = tmf->ini->sim;
    sim_op_end(tmf);
    settle(tmf, SIM_DONE);
    if (tmf->function == TMF_ABORT_TASK && tmf->response <= 1) {
        struct sim_op *op = tmf->ref;
        if (!op->done && tmf->response == 1 && op->start_step > sim->vanish_step &&
            !sim->vanishing && !aborting(tmf->ini))
            sim_violation(sim, "ABORT TASK: itt %x is unknown, and had no answer", op->itt);
        if (!op->done) {
            op_lost(op);
            settle(op, SIM_MAYBE);
        }
        return;
    }
    if (tmf->response != 0) {
        sim_violation(sim, "task management function %u: response %u", tmf->function,
                      tmf->response);
        return;
    }
    list_for_each (&tmf->ini->ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, node);
        bool command = op->kind != SIM_OP_TMF && op->kind != SIM_OP_NOP;
        if (op == tmf)
            break;
        if (op->done || !command || op->kind == SIM_OP_LOGOUT)
            continue;
        op_lost(op);
        settle(op, SIM_MAYBE);
    }
}

static struct sim_op *find(const struct sim_ini *ini, uint32_t itt)
{
    for (struct list *pos = ini->ops.prev; pos != &ini->ops; pos = pos->prev) {
        struct sim_op *op = list_entry(pos, struct sim_op, node);
        if (op->itt == itt)
            return op;
    }
    return NULL;
}

/* ---- answers ---- */

static void data_in(struct sim_op *op, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    struct sim *sim = op->ini->sim;
    if (be32_get(bhs + 36) != op->data_sn || be32_get(bhs + 40) != op->in_got ||
        len > op->in_len - op->in_got) {
        sim_violation(sim, "Data-In of itt %x: DataSN %u, offset %u, %u bytes after %u", op->itt,
                      be32_get(bhs + 36), be32_get(bhs + 40), len, op->in_got);
        return;
    }
    op->data_sn++;
    if (len)
        memcpy(op->in + op->in_got, data, len);
    op->in_got += len;
    if (bhs[1] & PDU_DATA_IN_STATUS) {
        op->status = bhs[3];
        command_ended(op);
    }
}

static void response(struct sim_op *op, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    struct sim *sim = op->ini->sim;
    if (be32_get(bhs + 36) != op->data_sn + op->r2t_sn)
        sim_violation(sim, "itt %x: ExpDataSN %u after %u", op->itt, be32_get(bhs + 36),
                      op->data_sn + op->r2t_sn);
    if (bhs[2])
        sim_violation(sim, "itt %x: iSCSI response %02x", op->itt, bhs[2]);
    op->status = bhs[3];
    if (len > 2 && be16_get(data) <= len - 2 && be16_get(data) <= SCSI_SENSE_MAX) {
        op->sense_len = be16_get(data);
        memcpy(op->sense, data + 2, op->sense_len);
    }
    if (op->status == SCSI_STATUS_CHECK_CONDITION && op->sense_len < 14)
        sim_violation(sim, "itt %x: CHECK CONDITION with %u bytes of sense", op->itt,
                      op->sense_len);
    if (op->status == SCSI_STATUS_GOOD && op->kind != SIM_OP_CDB && (bhs[1] & 0x1e))
        sim_violation(sim, "itt %x: GOOD with a residual, flags %02x", op->itt, bhs[1]);
    sim_trace(sim, "itt %x status %02x sense %06x", op->itt, op->status, sim_op_kaq(op));
    command_ended(op);
}

static void r2t(struct sim_op *op, const uint8_t *bhs)
{
    struct sim *sim = op->ini->sim;
    uint32_t off = be32_get(bhs + 40), len = be32_get(bhs + 44);
    if (be32_get(bhs + 36) != op->r2t_sn || off > op->out_len || len > op->out_len - off ||
        len == 0 || len > sim->opt.max_burst) {
        sim_violation(sim, "R2T of itt %x: R2TSN %u after %u, offset %u, %u bytes of %u", op->itt,
                      be32_get(bhs + 36), op->r2t_sn, off, len, op->out_len);
        return;
    }
    op->r2t_sn++;
    add_burst(op, bhs_ttt(bhs), off, len);
}

static void rejected(struct sim_ini *ini, const uint8_t *bhs)
{
    struct sim_op *op = find(ini, bhs_itt(bhs));
    if (!op || op->done || bhs_opcode(bhs) == ISCSI_OP_DATA_OUT)
        return;
    op->status = 0xff;
    sim_op_end(op);
    settle(op, SIM_NEVER);
}

void sim_op_pdu(struct sim_ini *ini, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    struct sim *sim = ini->sim;
    uint8_t code = bhs_opcode(bhs);
    if (code == ISCSI_OP_REJECT) {
        rejected(ini, data);
        return;
    }
    struct sim_op *op = find(ini, bhs_itt(bhs));
    if (!op || op->done) {
        sim_violation(sim, "op %02x for itt %x, which %s", code, bhs_itt(bhs),
                      op ? "has ended" : "is none of ours");
        return;
    }
    bool command = op->kind != SIM_OP_TMF && op->kind != SIM_OP_NOP && op->kind != SIM_OP_LOGOUT;
    if (code == ISCSI_OP_DATA_IN && command) {
        data_in(op, bhs, data, len);
    } else if (code == ISCSI_OP_SCSI_RESPONSE && command) {
        response(op, bhs, data, len);
    } else if (code == ISCSI_OP_R2T && command) {
        r2t(op, bhs);
    } else if (code == ISCSI_OP_TMF_RESPONSE && op->kind == SIM_OP_TMF) {
        op->response = bhs[2];
        tmf_ended(op);
    } else if (code == ISCSI_OP_NOP_IN && op->kind == SIM_OP_NOP) {
        if (len != op->out_len || memcmp(data, op->out, len) != 0)
            sim_violation(sim, "NOP-In with other data");
        sim_op_end(op);
        settle(op, SIM_DONE);
    } else if (code == ISCSI_OP_LOGOUT_RESPONSE && op->kind == SIM_OP_LOGOUT) {
        ini->state = SIM_INI_LOGOUT;
        sim_op_end(op);
        settle(op, SIM_DONE);
    } else {
        sim_violation(sim, "op %02x does not answer itt %x", code, op->itt);
    }
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
