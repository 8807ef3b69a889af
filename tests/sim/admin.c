/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the target's owner does on its own account: the device server's background tasks, and
 * another size of the unit. */
#include "sim.h"

#include "base/err.h"
#include "scsi/lu.h"

bool sim_wiping(const struct sim *sim)
{
    return sim->lu->busy_kind != SCSI_BUSY_NONE;
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
    sim_event_in(sim, &sim->admin, 0);
}

void sim_admin_init(struct sim *sim)
{
    sim_event_init(&sim->admin, resized);
}
