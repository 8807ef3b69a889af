/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an initiator asks for. */
#include "sim.h"

#include "base/err.h"

#include <stdlib.h>

/* Nobody else writes there, and nothing wipes the unit: such a write may be done twice. */
static bool is_own(const struct sim_ini *ini, uint32_t lba, uint32_t n)
{
    uint32_t first = SIM_SHARED + ini->index * SIM_OWN;
    return !ini->sim->opt.admin_permille && lba >= first && lba + n <= first + SIM_OWN;
}

static bool meets(const struct list *ops, uint32_t lba, uint32_t n)
{
    list_for_each (ops, pos) {
        const struct sim_op *op = list_entry(pos, struct sim_op, queue);
        if (op->version && lba < op->lba + op->n && op->lba < lba + n)
            return true;
    }
    return false;
}

bool sim_overlaps(const struct sim_ini *ini, uint32_t lba, uint32_t n)
{
    return meets(&ini->open_ops, lba, n) || meets(&ini->lost_ops, lba, n) ||
           meets(&ini->unsorted, lba, n);
}

static struct sim_op *op_new(struct sim_ini *ini, enum sim_op_kind kind)
{
    struct sim_op *op = calloc(1, sizeof(*op));
    if (!op)
        abort();
    op->ini = ini;
    op->kind = kind;
    op->itt = ++ini->itt;
    op->attr = SCSI_ATTR_SIMPLE;
    if (sim_chance(ini->sim, ini->sim->opt.attr_permille))
        op->attr = sim_rand(ini->sim, 3) ? SCSI_ATTR_ORDERED : SCSI_ATTR_HEAD_OF_QUEUE;
    list_push_back(&ini->ops, &op->node);
    list_push_back(&ini->open_ops, &op->queue);
    ini->open++;
    op->start_ns = ini->sim->now_ns;
    op->start_step = ++ini->sim->steps;
    return op;
}

/* The bytes in two pieces, where they are cut being of no importance. */
static void cut_in_two(struct sim_op *op, uint8_t *bytes, uint32_t len)
{
    uint32_t first = sim_rand(op->ini->sim, len + 1);
    op->iov[0] = (struct iovec){ bytes, first };
    op->iov[1] = (struct iovec){ bytes + first, len - first };
}

bool sim_op_submit(struct sim_op *op)
{
    struct sim_ini *ini = op->ini;
    int err = iscsi_isess_submit(ini->sess, &op->cmd);
    if (err) { /* a logout is under way */
        op->cmd.err = err;
        op->cmd.sent = false;
        sim_op_done(op);
    }
    sim_ini_pump(ini);
    return err == 0;
}

static void send_command(struct sim_op *op)
{
    struct sim_ini *ini = op->ini;
    struct iscsi_icmd *c = &op->cmd;
    c->cdb = op->cdb;
    c->cdb_len = 16;
    c->attr = op->attr;
    c->sense = op->sense;
    c->sense_cap = sizeof(op->sense);
    if (op->in_len) {
        op->in = malloc(op->in_len);
        if (!op->in)
            abort();
        memset(op->in, 0xee, op->in_len);
        cut_in_two(op, op->in, op->in_len);
        c->in = op->iov;
        c->in_cnt = 2;
        c->in_len = op->in_len;
    }
    if (op->out_len) {
        cut_in_two(op, op->out, op->out_len);
        c->out = op->iov;
        c->out_cnt = 2;
        c->out_len = op->out_len;
    }
    sim_trace(ini->sim, "ini %u op %x cdb %02x lba %u n %u version %u", ini->index, op->itt,
              op->cdb[0], op->lba, op->n, op->version);
    ini->sim->stats.ops++;
    (void)sim_op_submit(op);
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
    op->own = is_own(ini, lba, n);
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
        op->own = is_own(ini, lba, n);
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
    sim->holder = -1;
    sim->pr_sent++;
    sim->pr_open++;
    op->pr_pending = true;
    if (action == 1 && (type == 1 || type == 3) && sim->pr_open == 1)
        op->excludes = sim->pr_sent;
    return op;
}

struct sim_op *sim_tmf(struct sim_ini *ini, uint8_t function, struct sim_op *ref)
{
    struct sim *sim = ini->sim;
    if (ini->state != SIM_INI_UP || (ref && ref->done))
        return NULL;
    struct sim_op *op = op_new(ini, SIM_OP_TMF);
    op->function = function;
    op->ref = ref;
    if (ref)
        ref->abort_tasks++;
    op->tmf.function = (enum iscsi_tmf_function)function;
    op->tmf.cmd = ref ? &ref->cmd : NULL;
    if (function == ISCSI_TMF_LOGICAL_UNIT_RESET)
        may_vanish(op);
    sim_trace(sim, "ini %u tmf %u of op %x", ini->index, function, ref ? ref->itt : 0);
    sim->stats.tmfs++;
    int err = iscsi_isess_tmf(ini->sess, &op->tmf, sim->now_ns);
    if (err) {
        op->tmf.err = err;
        sim_tmf_done(op);
    }
    sim_ini_pump(ini);
    return op;
}

struct sim_op *sim_logout(struct sim_ini *ini)
{
    if (!sim_ini_ready(ini))
        return NULL;
    if (iscsi_isess_logout(ini->sess, ini->sim->now_ns)) {
        sim_ini_pump(ini); /* no memory: the connection ends */
        return NULL;
    }
    struct sim_op *op = op_new(ini, SIM_OP_LOGOUT);
    sim_trace(ini->sim, "ini %u logs out", ini->index);
    sim_ini_pump(ini);
    return op;
}
