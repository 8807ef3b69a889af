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
    for (struct list *pos = ini->ops.prev; pos != &ini->ops; pos = pos->prev) {
        struct sim_op *op = list_entry(pos, struct sim_op, node);
        if (op->done || op->kind == SIM_OP_TMF || op->kind == SIM_OP_NOP)
            continue;
        last = op;
        if (skip-- == 0)
            break;
    }
    return last;
}

static void random_tmf(struct sim_ini *ini)
{
    switch (sim_rand(ini->sim, 5)) {
    case 0:
        (void)sim_tmf(ini, 2, NULL);
        break;
    case 1:
        (void)sim_tmf(ini, 4, NULL);
        break;
    case 2:
        (void)sim_tmf(ini, 5, NULL);
        break;
    default: {
        struct sim_op *op = random_open(ini);
        if (op)
            (void)sim_tmf(ini, 1, op);
    }
    }
}

static void random_pr(struct sim_ini *ini)
{
    /* Mostly one after the other, and a reservation is there for a while: else nobody could say
     * what is reserved, and the model would have nothing to look at. */
    if ((ini->sim->pr_open || ini->sim->excluded >= 0) && sim_rand(ini->sim, 5))
        return;
    static const uint8_t types[] = { 1, 3, 5, 6, 7, 8 };
    uint64_t mine = 0x1000 + ini->index, other = 0x1000 + (ini->index ^ 1);
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
        return 0;
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

static void random_op(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    /* a hot corner, so that requests meet */
    uint32_t span = sim_rand(sim, 2) ? SIM_BLOCKS : 8;
    uint32_t lba = sim_rand(sim, span), n = 1 + sim_rand(sim, SIM_OP_BLOCKS);
    if (n > SIM_BLOCKS - lba)
        n = SIM_BLOCKS - lba;
    uint32_t kind = sim_rand(sim, 100);
    if (kind < 38)
        (void)sim_write(ini, lba, n);
    else if (kind < 41)
        (void)sim_write_same(ini, lba, n, false);
    else if (kind < 43)
        (void)sim_write_same(ini, lba, n, true);
    else if (kind < 45)
        (void)sim_unmap(ini, lba, n);
    else if (kind < 80)
        (void)sim_read(ini, lba, n);
    else if (kind < 90)
        (void)sim_caw(ini, lba, likely_version(sim, lba));
    else if (kind < 93)
        (void)sim_cdb(ini, sync_cache, NULL, 0, 0);
    else if (kind < 97)
        (void)sim_cdb(ini, tur, NULL, 0, 0);
    else
        (void)sim_nop(ini);
}

/* A command without an answer for very long: only if somebody may have aborted it. */
static void look_for_stuck(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    struct sim_op *victim = NULL;
    if (ini->state == SIM_INI_LOGIN)
        return;
    list_for_each (&ini->ops, pos) {
        struct sim_op *op = list_entry(pos, struct sim_op, node);
        if (op->done || sim->now_ns - op->start_ns < STUCK_S * NS_PER_SEC)
            continue;
        bool command = op->kind != SIM_OP_TMF && op->kind != SIM_OP_NOP;
        if (!command || (op->start_step > sim->vanish_step && !sim->vanishing)) {
            sim_violation(sim, "itt %x has no answer: kind %d cdb %02x", op->itt, (int)op->kind,
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

static void random_cut(struct sim_ini *ini)
{
    struct sim_link *link = ini->link;
    if (link->cut_to_tgt != UINT64_MAX || link->cut_to_ini != UINT64_MAX)
        return; /* it is on its way */
    uint32_t more = sim_rand(ini->sim, 1 + sim_rand(ini->sim, 3000));
    ini->sim->stats.cuts++;
    if (sim_rand(ini->sim, 2))
        link->cut_to_tgt = link->to_tgt.total + more;
    else
        link->cut_to_ini = link->to_ini.total + more;
}

static void work(struct sim_event *ev)
{
    struct sim_ini *ini = list_entry(ev, struct sim_ini, work);
    struct sim *sim = ini->sim;
    const struct sim_options *o = &sim->opt;
    look_for_stuck(ini);
    if (ini->state == SIM_INI_DOWN && ini->to_do) {
        sim_ini_login(ini);
        if (sim_chance(sim, 5 * o->cut_permille))
            random_cut(ini); /* in the middle of it, or while the old session is ended */
    } else if (ini->state == SIM_INI_UP && ini->to_do) {
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
        if (sim_chance(sim, o->cut_permille))
            random_cut(ini);
        if (sim_chance(sim, o->alloc_permille))
            sim->alloc.fail_at = sim->alloc.calls + 1 + sim_rand(sim, 20);
    }
    bool busy = ini->to_do || ini->open;
    if (busy)
        sim_event_in(sim, &ini->work,
                     ini->to_do ? sim_rand64(sim, sim->opt.disk_ns) + 1 : NS_PER_SEC);
}

static bool all_quiet(const struct sim *sim)
{
    for (unsigned i = 0; i < SIM_INIS; i++) {
        if (sim->inis[i]->to_do || sim->inis[i]->open)
            return false;
    }
    return true;
}

void sim_verify(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    for (int tries = 0; tries < 50 && !sim->bad[0]; tries++) {
        if (!sim_ini_up(ini) || !sim_clear_ua(ini))
            continue;
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
    sim->opt.error_permille = sim->opt.no_buffer_permille = sim->opt.stall_permille = 0;
    sim->alloc.fail_at = 0;
    for (unsigned i = 0; i < SIM_INIS; i++) {
        if (sim->inis[i]->link)
            sim->inis[i]->link->cut_to_tgt = sim->inis[i]->link->cut_to_ini = UINT64_MAX;
    }
    sim_resize(sim, false);
    (void)sim_run(sim, 50 * NS_PER_MS); /* breaks that nobody has noticed */
    for (int tries = 0; tries < 50 && !sim->bad[0]; tries++) {
        if (!sim_ini_up(ini) || !sim_clear_ua(ini))
            continue;
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
    if (!sim_wait(sim, op) || op->status != SCSI_STATUS_GOOD || op->in_got != 16)
        return;
    uint8_t *list = sim->control_page;
    memcpy(list, op->in, 16);
    memset(list, 0, 4);
    list[4] &= 0x3f;
    if (!tas)
        return;
    list[4 + 5] |= 0x40;
    op = sim_cdb(ini, select, list, 16, 0);
    if (sim_wait(sim, op) && op->status != SCSI_STATUS_GOOD && !sim->opt.no_buffer_permille)
        sim_violation(sim, "TAS can not be set: sense %06x", sim_op_kaq(op));
}

void sim_load(struct sim *sim)
{
    if (sim->opt.tas || sim->opt.admin_permille)
        set_control(sim, sim->opt.tas);
    for (unsigned i = 0; i < SIM_INIS; i++) {
        struct sim_ini *ini = sim->inis[i];
        ini->reject_ok = sim->opt.alloc_permille != 0;
        ini->to_do = sim->opt.ops;
        sim_event_init(&ini->work, work);
        sim_event_in(sim, &ini->work, sim_rand64(sim, NS_PER_MS));
    }
    while (!all_quiet(sim) && sim_step(sim))
        ;
    if (!sim->bad[0] && !all_quiet(sim))
        sim_violation(sim, "nothing happens any more");
    make_peace(sim);
    for (unsigned i = 0; i < SIM_INIS; i++)
        sim_verify(sim->inis[i]);
    for (unsigned i = 0; i < SIM_INIS && !sim->bad[0]; i++) {
        struct sim_op *op = sim_logout(sim->inis[i]);
        if (!sim_wait(sim, op))
            sim_violation(sim, "ini %u: logout has no answer", i);
    }
}
