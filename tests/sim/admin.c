/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the target's owner does on its own account: the device server's background tasks, and
 * another size of the unit. */
#include "sim.h"

#include "base/err.h"
#include "scsi/lu.h"

bool sim_wiping(const struct sim *sim)
{
    return sim->lu && sim->lu->busy_kind != SCSI_BUSY_NONE;
}

void sim_background_done(struct bio *bio)
{
    struct scsi_task *t = list_entry(bio, struct scsi_task, bio);
    struct sim *sim = t->user;
    scsi_task_resume(t, bio->err);
    sim_background(sim, t);
}

static void ended(struct sim *sim, struct scsi_task *t)
{
    uint8_t *buf = t->buf;
    scsi_task_fini(t);
    sim_put(buf);
    sim->stats.wipes++;
    sim_wipes_settle(sim);
}

void sim_background(struct sim *sim, struct scsi_task *t)
{
    t->user = sim;
    for (unsigned i = 0; i < SIM_LANES; i++)
        sim->dirty[i] = true;
    for (;;) {
        switch (t->want) {
        case SCSI_WANT_BUF:
            t->buf = sim_get(sim, t->want_len);
            t->buf_len = t->want_len;
            scsi_task_resume(t, 0);
            break;
        case SCSI_WANT_IO:
            t->bio.done = sim_background_done;
            sim_disk_submit(sim, &t->bio);
            return;
        case SCSI_WANT_WAIT:
            return;
        case SCSI_DONE:
        case SCSI_ABORTED:
            ended(sim, t);
            return;
        case SCSI_WANT_DATA:
        case SCSI_WANT_SAVE:
            sim_violation(sim, "a background task wants %d", (int)t->want);
            return;
        }
    }
}

/* Until the size has taken effect. */
static void resized(struct sim_event *ev)
{
    struct sim *sim = list_entry(ev, struct sim, admin);
    scsi_lane_poll(sim->lanes[0]);
    sim->dirty[0] = true;
    if (scsi_lu_set_block_count(sim->lanes[0], sim->shrunk ? SIM_BLOCKS / 2 : SIM_BLOCKS) != 0)
        sim_event_in(sim, &sim->admin, sim->opt.disk_ns);
}

void sim_resize(struct sim *sim, bool smaller)
{
    if (smaller == sim->shrunk)
        return;
    sim->shrunk = smaller;
    sim->was_shrunk |= smaller;
    sim->stats.sizes++;
    if (sim->lu) /* else it is made with that size */
        sim_event_in(sim, &sim->admin, 0);
}

/* ---- the program ends and begins ---- */

static void soon(struct sim *sim, uint64_t most_ns)
{
    sim_event_in(sim, &sim->owner, 1 + sim_rand64(sim, most_ns));
}

void sim_target_crash(struct sim *sim, bool power)
{
    if (sim->down || sim->unit_gone || sim_wiping(sim))
        return;
    sim_trace(sim, "the target crashes%s", power ? ", without power" : "");
    sim->down = true;
    sim->stats.crashes++;
    sim->stats.power += power;
    sim->holder = -1; /* reservations are not kept (APTPL 0) */
    sim->steps++;
    sim_event_cancel(&sim->admin);
    list_for_each (&sim->sessions, pos)
        sim_session_end(list_entry(pos, struct sim_session, node), false, "crash");
    list_for_each (&sim->conns, pos) {
        struct sim_conn *conn = list_entry(pos, struct sim_conn, node);
        if (conn->link)
            sim_link_cut(conn->link);
        sim_conn_close(conn);
    }
    sim_disk_crash(sim, power);
    soon(sim, NS_PER_MS);
}

static void restart(struct sim *sim)
{
    if (!list_empty(&sim->sessions) || !list_empty(&sim->conns) || sim->disk.busy) {
        soon(sim, NS_PER_MS);
        return;
    }
    if (sim->lu) {
        sim_target_fini(sim);
        soon(sim, 300 * NS_PER_MS);
        return;
    }
    uint64_t fail_at = sim->alloc.fail_at;
    sim->alloc.fail_at = 0;
    if (!sim_target_init(sim))
        sim_violation(sim, "no logical unit");
    sim->alloc.fail_at = fail_at;
    sim->down = false;
    sim_trace(sim, "the target is back");
}

/* ---- the unit goes and comes ---- */

bool sim_unit_going(const struct sim *sim)
{
    return sim->unit_gone;
}

static void dirty_all(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_LANES; i++)
        sim->dirty[i] = true;
}

void sim_unit_remove(struct sim *sim)
{
    if (sim->down || sim->unit_gone || sim_wiping(sim))
        return;
    list_for_each (&sim->sessions, pos) {
        if (list_entry(pos, struct sim_session, node)->shared)
            return; /* its map of units is fixed */
    }
    sim_trace(sim, "the unit goes");
    sim->unit_gone = true;
    sim->stats.units++;
    list_for_each (&sim->sessions, pos) {
        struct sim_session *s = list_entry(pos, struct sim_session, node);
        if (!s->closing)
            scsi_nexus_abort(s->nexus, 0);
    }
    dirty_all(sim);
    soon(sim, NS_PER_MS);
}

/* True when no session has it any more. */
static bool unmap(struct sim *sim)
{
    bool all = true;
    list_for_each (&sim->sessions, pos) {
        struct sim_session *s = list_entry(pos, struct sim_session, node);
        if (s->mapped && scsi_nexus_tasks(s->nexus) == 0) {
            scsi_nexus_unmap(s->nexus, 0);
            s->mapped = false;
        }
        all = all && !s->mapped;
    }
    return all;
}

static void unit_back(struct sim *sim)
{
    sim_trace(sim, "the unit is back");
    sim->unit_gone = false;
    list_for_each (&sim->sessions, pos) {
        struct sim_session *s = list_entry(pos, struct sim_session, node);
        if (s->closing)
            continue;
        s->mapped = scsi_nexus_map(s->nexus, 0, sim->lanes[s->home], false) == 0;
        if (!s->mapped)
            sim_session_end(s, false, "no memory for its unit");
    }
    dirty_all(sim);
}

static void owner(struct sim_event *ev)
{
    struct sim *sim = list_entry(ev, struct sim, owner);
    if (sim->down) {
        restart(sim);
    } else if (sim->unit_gone) {
        if (unmap(sim) && sim_rand(sim, 3) == 0)
            unit_back(sim);
        else
            soon(sim, 5 * NS_PER_MS);
        dirty_all(sim);
    }
}

void sim_admin_init(struct sim *sim)
{
    sim_event_init(&sim->admin, resized);
    sim_event_init(&sim->owner, owner);
}
