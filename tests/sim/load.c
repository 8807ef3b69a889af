/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random work, random faults; then quiet, and everything is read. */
#include "sim.h"

enum { STUCK_S = 200 };

static const uint8_t tur[16] = { 0 };
static const uint8_t sync_cache[16] = { 0x35 };

static struct sim_op *random_open(struct sim_ini *ini)
{
    uint32_t skip = sim_rand(ini->sim, SIM_DEPTH);
    struct sim_op *last = NULL;
    for (struct list *pos = ini->open_ops.prev; pos != &ini->open_ops; pos = pos->prev) {
        struct sim_op *op = list_entry(pos, struct sim_op, queue);
        if (op->kind == SIM_OP_TMF || op->kind == SIM_OP_LOGOUT)
            continue;
        last = op;
        if (skip-- == 0)
            break;
    }
    return last;
}

/* Of a session with several connections only ABORT TASK: the response to a function that ends many
 * tasks may overtake answers on other connections, as the target role has no response fence
 * (RFC 7143 4.2.2.3.3). */
static void random_tmf(struct sim_ini *ini)
{
    static const uint8_t functions[] = { ISCSI_TMF_ABORT_TASK_SET, ISCSI_TMF_CLEAR_TASK_SET,
                                         ISCSI_TMF_LOGICAL_UNIT_RESET };
    uint32_t which = sim_rand(ini->sim, 5);
    if (which < 3 && ini->sim->opt.conns == 1) {
        (void)sim_tmf(ini, functions[which], NULL);
        return;
    }
    struct sim_op *op = random_open(ini);
    if (op)
        (void)sim_tmf(ini, ISCSI_TMF_ABORT_TASK, op);
}

static void random_pr(struct sim_ini *ini)
{
    /* Mostly one after the other, and a reservation is there for a while: else nobody could say
     * what is reserved, and the model would have nothing to look at. */
    if ((ini->sim->pr_open || ini->sim->holder >= 0) && sim_rand(ini->sim, 5))
        return;
    static const uint8_t types[] = { 1, 3, 5, 6, 7, 8 };
    uint64_t mine = 0x1000 + ini->index;
    uint64_t other = 0x1000 + (ini->index + 1 + sim_rand(ini->sim, 2)) % SIM_INIS;
    uint8_t type = types[sim_rand(ini->sim, sim_rand(ini->sim, 2) ? 6 : 2)];
    switch (sim_rand(ini->sim, 11)) {
    case 0:
    case 6:
    case 7:
    case 8:
        (void)sim_pr_out(ini, 1, type, mine, 0); /* RESERVE */
        break;
    case 1:
        (void)sim_pr_out(ini, 2, type, mine, 0); /* RELEASE */
        break;
    case 2:
        (void)sim_pr_out(ini, 3, 0, mine, 0); /* CLEAR */
        break;
    case 3:
        (void)sim_pr_out(ini, 4, type, mine, other); /* PREEMPT */
        break;
    case 4:
        (void)sim_pr_out(ini, 5, type, mine, other); /* PREEMPT AND ABORT */
        ini->sim->stats.preempts++;
        break;
    default:
        (void)sim_pr_out(ini, 6, 0, 0, mine); /* REGISTER AND IGNORE EXISTING KEY */
        break;
    }
}

/* A version that this block has or had, rather the newest. */
static uint32_t likely_version(struct sim *sim, uint32_t lba)
{
    const struct sim_block *b = &sim->blocks[lba];
    if (b->count == 0)
        return be32_get(sim->disk.data + lba * SIM_BLOCK);
    size_t back = sim_rand(sim, b->count < 3 ? (uint32_t)b->count : 3);
    return b->w[b->count - 1 - back].version;
}

/* Software write protection on or off: all of the unit's pages but SWP stay as they are. */
static struct sim_op *protect(struct sim_ini *ini, bool on)
{
    static const uint8_t select[16] = { 0x15, 0x10, 0, 0, 16 };
    uint8_t *list = ini->sim->control_page;
    if (list[4] != 0x0a)
        return NULL; /* it could not be read */
    list[4 + 4] = (uint8_t)((list[4 + 4] & ~0x08) | (on ? 0x08 : 0));
    ini->sim->stats.protects++;
    return sim_cdb(ini, select, list, 16, 0);
}

static void random_admin(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    switch (sim_rand(sim, 4)) {
    case 0:
        if (!sim_wiping(sim))
            sim_resize(sim, !sim->shrunk);
        break;
    case 1:
        (void)protect(ini, sim_rand(sim, 2));
        break;
    default: {
        bool format = sim_rand(sim, 2);
        if (!sim->shrunk && !sim_event_set(&sim->admin))
            (void)sim_wipe(ini, format, sim_rand(sim, 2));
    }
    }
}

/* Where the initiator may write: blocks of all, or its own, unless something may wipe all. */
static void choose_range(const struct sim_ini *ini, uint32_t *ret_lba, uint32_t *ret_n)
{
    struct sim *sim = ini->sim;
    uint32_t first = 0, end = sim->opt.admin_permille ? SIM_BLOCKS : SIM_SHARED;
    uint32_t n = 1 + sim_rand(sim, SIM_OP_BLOCKS);
    switch (sim_rand(sim, 4)) {
    case 0: /* a hot corner, so that requests meet */
        end = 8;
        n = 1 + sim_rand(sim, 8);
        break;
    case 1:
        if (sim->opt.admin_permille)
            break;
        first = SIM_SHARED + ini->index * SIM_OWN;
        end = first + SIM_OWN;
        n = 1 + sim_rand(sim, 4);
        break;
    default:
        break;
    }
    *ret_lba = first + sim_rand(sim, end - first);
    *ret_n = n < end - *ret_lba ? n : end - *ret_lba;
}

static void random_write(struct sim_ini *ini, uint32_t kind)
{
    struct sim *sim = ini->sim;
    uint32_t lba, n;
    choose_range(ini, &lba, &n);
    bool own = lba >= SIM_SHARED && !sim->opt.admin_permille;
    if (own && sim_overlaps(ini, lba, n))
        return; /* one that may be done twice holds others back */
    if (kind < 38)
        (void)sim_write(ini, lba, n);
    else if (kind < 41)
        (void)sim_write_same(ini, lba, n, false);
    else if (kind < 43)
        (void)sim_write_same(ini, lba, n, true);
    else if (kind < 45)
        (void)sim_unmap(ini, lba, n);
    else
        (void)sim_caw(ini, lba, likely_version(sim, lba));
}

static void random_op(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    uint32_t kind = sim_rand(sim, 100);
    if (kind < 55) {
        random_write(ini, kind);
    } else if (kind < 90) {
        uint32_t lba = sim_rand(sim, sim_rand(sim, 2) ? SIM_BLOCKS : 8);
        uint32_t n = 1 + sim_rand(sim, SIM_OP_BLOCKS);
        (void)sim_read(ini, lba, n < SIM_BLOCKS - lba ? n : SIM_BLOCKS - lba);
    } else if (kind < 95) {
        (void)sim_cdb(ini, sync_cache, NULL, 0, 0);
    } else {
        (void)sim_cdb(ini, tur, NULL, 0, 0);
    }
}

static bool is_command(const struct sim_op *op)
{
    return op->kind != SIM_OP_TMF && op->kind != SIM_OP_LOGOUT;
}

/* Somebody may have aborted it without a word. */
static bool may_be_gone(const struct sim_op *op)
{
    const struct sim *sim = op->ini->sim;
    return is_command(op) && (op->start_step <= sim->vanish_step || sim->vanishing);
}

/* Until it is asked for, that takes room in the window: what has not gone out may wait for it. */
static void pardon_unsent(struct sim_ini *ini)
{
    bool gone = false;
    list_for_each (&ini->open_ops, pos)
        gone = gone || may_be_gone(list_entry(pos, struct sim_op, queue));
    list_for_each (&ini->open_ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, queue);
        if (gone && is_command(op) && !may_be_gone(op) && !op->cmd.sent)
            op->start_ns = ini->sim->now_ns;
    }
}

/* A command without an answer for very long: only if somebody may have aborted it. */
static void look_for_stuck(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    struct sim_op *victim = NULL;
    if (ini->state != SIM_INI_UP)
        return;
    pardon_unsent(ini);
    list_for_each (&ini->open_ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, queue);
        if (sim->now_ns - op->start_ns < STUCK_S * NS_PER_SEC)
            continue;
        if (!may_be_gone(op)) {
            sim_violation(sim, "op %x has no answer: kind %d cdb %02x", op->itt, (int)op->kind,
                          op->cdb[0]);
            return;
        }
        if (!victim)
            victim = op;
    }
    if (victim) {
        victim->start_ns = sim->now_ns; /* ask again later */
        sim->stats.noticed_lost++;
        (void)sim_tmf(ini, 1, victim);
    }
}

static void some_work(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    const struct sim_options *o = &sim->opt;
    for (uint32_t i = sim_rand(sim, 6); i > 0 && ini->to_do && sim_ini_ready(ini); i--) {
        ini->to_do--;
        if (sim_chance(sim, o->tmf_permille))
            random_tmf(ini);
        else if (sim_chance(sim, o->pr_permille))
            random_pr(ini);
        else if (sim_chance(sim, o->admin_permille))
            random_admin(ini);
        else if (sim_chance(sim, o->logout_permille))
            (void)sim_logout(ini);
        else
            random_op(ini);
    }
}

static void work(struct sim_event *ev)
{
    struct sim_ini *ini = list_entry(ev, struct sim_ini, work);
    struct sim *sim = ini->sim;
    look_for_stuck(ini);
    bool busy = ini->to_do || ini->open;
    if (ini->state == SIM_INI_DOWN && busy)
        sim_ini_login(ini);
    else if (ini->state == SIM_INI_UP && ini->to_do)
        some_work(ini);
    if (busy)
        sim_random_fault(ini);
    if (!ini->to_do && !ini->open)
        return;
    uint64_t pause = ini->state == SIM_INI_UP ? sim->opt.disk_ns : 20 * NS_PER_MS;
    uint64_t least = sim_ini_ready(ini) ? 10 * NS_PER_US : NS_PER_MS; /* it may last */
    if (pause < least)
        pause = least;
    bool idle = ini->state == SIM_INI_UP && !ini->to_do;
    sim_event_in(sim, &ini->work, idle ? NS_PER_SEC : 1 + sim_rand64(sim, pause));
}

static bool all_quiet(const struct sim *sim)
{
    for (unsigned i = 0; i < sim->opt.inis; i++) {
        if (sim->inis[i]->to_do || sim->inis[i]->open)
            return false;
    }
    return true;
}

void sim_verify(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    for (int tries = 0; tries < 50 && !sim->bad[0]; tries++) {
        if (!sim_ini_up(ini) || !sim_clear_ua(ini)) {
            (void)sim_run(sim, 10 * NS_PER_MS);
            continue;
        }
        uint32_t lba = 0;
        while (lba < SIM_BLOCKS) {
            struct sim_op *op = sim_read(ini, lba, SIM_OP_BLOCKS);
            if (!sim_wait(sim, op))
                break;
            if (op->status == SCSI_STATUS_GOOD)
                lba += SIM_OP_BLOCKS;
            else if (sim_op_kaq(op) >> 16 != 6)
                break;
        }
        if (lba == SIM_BLOCKS)
            return;
    }
    sim_violation(sim, "ini %u can not read what was written", ini->index);
}

/* Reservations and faults out of the way. */
static void make_peace(struct sim *sim)
{
    struct sim_ini *ini = sim->inis[0];
    sim_peace(sim);
    for (int tries = 0; tries < 50 && !sim->bad[0]; tries++) {
        if (!sim_ini_up(ini) || !sim_clear_ua(ini)) {
            (void)sim_run(sim, 10 * NS_PER_MS);
            continue;
        }
        struct sim_op *op = sim_pr_out(ini, 6, 0, 0, 0x1000);
        if (!sim_wait(sim, op) || op->status)
            continue;
        op = sim_pr_out(ini, 3, 0, 0x1000, 0);
        if (!sim_wait(sim, op) || op->status)
            continue;
        op = protect(ini, false);
        if (!op || (sim_wait(sim, op) && op->status == SCSI_STATUS_GOOD))
            return;
    }
    sim_violation(sim, "the reservations can not be cleared");
}

/* The Control mode page, and TAS in it (SPC-6 7.5.10). */
static void set_control(struct sim *sim, bool tas)
{
    static const uint8_t sense[16] = { 0x1a, 0x08, 0x0a, 0, 16 };
    static const uint8_t select[16] = { 0x15, 0x10, 0, 0, 16 };
    struct sim_ini *ini = sim->inis[0];
    if (!sim_ini_up(ini) || !sim_clear_ua(ini))
        return;
    struct sim_op *op = sim_cdb(ini, sense, NULL, 0, 16);
    if (!sim_wait(sim, op) || op->status != SCSI_STATUS_GOOD || op->cmd.in_got != 16)
        return;
    uint8_t *list = sim->control_page;
    memcpy(list, op->in, 16);
    memset(list, 0, 4);
    list[4] &= 0x3f;
    if (!tas)
        return;
    list[4 + 5] |= 0x40;
    op = sim_cdb(ini, select, list, 16, 0);
    if (!sim_wait(sim, op) || op->status == SCSI_STATUS_GOOD || sim->opt.no_buffer_permille)
        return;
    bool damaged = sim->opt.flip_bytes && sim_op_kaq(op) == 0x0b4705; /* its data was */
    if (!damaged)
        sim_violation(sim, "TAS can not be set: sense %06x", sim_op_kaq(op));
}

void sim_load(struct sim *sim)
{
    if (sim->opt.tas || sim->opt.admin_permille)
        set_control(sim, sim->opt.tas);
    for (unsigned i = 0; i < sim->opt.inis; i++) {
        struct sim_ini *ini = sim->inis[i];
        ini->to_do = sim->opt.ops;
        sim_event_init(&ini->work, work);
        sim_event_in(sim, &ini->work, sim_rand64(sim, NS_PER_MS));
    }
    while (!all_quiet(sim) && sim_step(sim))
        ;
    if (!sim->bad[0] && !all_quiet(sim))
        sim_violation(sim, "nothing happens any more");
    make_peace(sim);
    for (unsigned i = 0; i < sim->opt.inis; i++)
        sim_verify(sim->inis[i]);
    for (unsigned i = 0; i < sim->opt.inis && !sim->bad[0]; i++) {
        bool out = false;
        for (int tries = 0; tries < 20 && !out && !sim->bad[0]; tries++) {
            out = sim_ini_up(sim->inis[i]) && sim_wait(sim, sim_logout(sim->inis[i]));
            if (!out)
                (void)sim_run(sim, 100 * NS_PER_MS); /* its connections are about to come back */
        }
        if (!out)
            sim_violation(sim, "ini %u: logout has no answer", i);
    }
}
