/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong at random beside the disk: connections, memory, and what administrators do. */
#include "sim.h"

static struct sim_path *some_path(struct sim_ini *ini)
{
    struct sim_path *path = &ini->paths[sim_rand(ini->sim, ini->sim->opt.conns)];
    return path->link ? path : NULL;
}

static void cut(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    struct sim_path *path = some_path(ini);
    if (!path || path->link->cut_to_tgt != UINT64_MAX || path->link->cut_to_ini != UINT64_MAX)
        return; /* it is on its way */
    struct sim_link *link = path->link;
    uint32_t more = sim_rand(sim, 1 + sim_rand(sim, 3000));
    sim->stats.cuts++;
    if (sim_rand(sim, 2))
        link->cut_to_tgt = link->to_tgt.total + more;
    else
        link->cut_to_ini = link->to_ini.total + more;
    if (sim_chance(sim, sim->opt.half_permille)) {
        sim->stats.halves++;
        link->tgt_deaf = sim_rand(sim, 2);
        link->ini_deaf = !link->tgt_deaf || sim_rand(sim, 4) == 0;
    }
}

static void deny_memory(struct sim *sim)
{
    struct sim_alloc *a = sim_rand(sim, 2) ? &sim->alloc : &sim->ini_alloc;
    a->fail_at = a->calls + 1 + sim_rand(sim, 20);
}

static struct sim_session *some_session(struct sim *sim)
{
    uint32_t skip = sim_rand(sim, 4);
    struct sim_session *s = NULL;
    list_for_each (&sim->sessions, pos) {
        s = list_entry(pos, struct sim_session, node);
        if (skip-- == 0)
            break;
    }
    return s;
}

/* Async Messages 1 (please log out) and 3 (the session is dropped), or no word. */
static void kill_session(struct sim *sim)
{
    struct sim_session *s = some_session(sim);
    if (!s || s->closing)
        return;
    sim->stats.kills++;
    bool ask = sim_rand(sim, 2), tell = sim_rand(sim, 2);
    list_for_each (&s->conns, pos) {
        struct sim_conn *conn = list_entry(pos, struct sim_conn, of_session);
        if (ask)
            iscsi_tconn_ask_logout(conn->tconn, 1);
        else if (tell)
            iscsi_tconn_announce_drop(conn->tconn, true);
        sim_conn_wake(conn);
    }
    if (!ask)
        sim_session_end(s, false, "killed");
}

static void administrate(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    switch (sim_rand(sim, 6)) {
    case 0:
        sim_target_crash(sim, true);
        break;
    case 1:
        sim_target_crash(sim, false);
        break;
    case 2:
        sim_unit_remove(sim);
        break;
    case 3:
        sim_ini_die(ini);
        break;
    case 4: {
        struct sim_path *path = some_path(ini);
        /* The answer may come before the target has aborted what is under way on it. */
        if (path && path->up && !iscsi_iconn_load(path->conn) &&
            iscsi_iconn_logout(path->conn, sim->now_ns) == 0)
            sim_ini_pump(ini);
        break;
    }
    default:
        kill_session(sim);
        break;
    }
}

void sim_random_fault(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    const struct sim_options *o = &sim->opt;
    if (sim_chance(sim, ini->state == SIM_INI_LOGIN ? 5 * o->cut_permille : o->cut_permille))
        cut(ini); /* in the middle of a login, or while the old session is ended, as well */
    if (sim_chance(sim, o->alloc_permille))
        deny_memory(sim);
    if (sim_chance(sim, o->owner_permille))
        administrate(ini);
}

void sim_peace(struct sim *sim)
{
    sim->opt.error_permille = sim->opt.no_buffer_permille = sim->opt.stall_permille = 0;
    sim->opt.flip_bytes = 0;
    sim->alloc.fail_at = sim->ini_alloc.fail_at = 0;
    list_for_each (&sim->links, pos) {
        struct sim_link *link = list_entry(pos, struct sim_link, node);
        link->cut_to_tgt = link->cut_to_ini = link->to_tgt.flip = link->to_ini.flip = UINT64_MAX;
    }
    sim_resize(sim, false);
    (void)sim_run(sim, 50 * NS_PER_MS); /* breaks that nobody has noticed */
    while ((sim->down || sim->unit_gone) && sim_step(sim))
        ;
}
