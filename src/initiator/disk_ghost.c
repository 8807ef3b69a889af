/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/disk_ghost.h"

#include <stdlib.h>

/* One thread writes, others may read. */
static void count(struct ini_disk *d, uint64_t ghosts)
{
    __atomic_store_n(&d->stats.ghosts, ghosts, __ATOMIC_RELAXED);
}

static void gone(struct ini_io *io)
{
    count(io->disk, io->disk->stats.ghosts - 1);
    ini_disk_release(io);
}

uint64_t ini_disk_ghosts(const struct ini_disk *d)
{
    return d ? __atomic_load_n(&d->stats.ghosts, __ATOMIC_RELAXED) : 0;
}

/* ---- of a session ---- */

bool ini_ghost_left(struct ini_io *io)
{
    const struct ini_cmd *cmd = &io->cmd;
    bool answered = cmd->scsi.err == 0 || cmd->scsi.response;
    if (io->disk->way || !io->writes || io->flush || answered || cmd->dead ||
        !(cmd->scsi.sent || cmd->seen))
        return false;
    io->ghosts++;
    return true;
}

/* Those whose time is over go. Without memory for a timer the next one's, or a login, has to do. */
static void look(struct ini_disk *d)
{
    uint64_t now = loop_now(d->loop), next = TIME_NEVER;
    list_for_each_safe (&d->haunted, pos) {
        struct ini_io *io = list_entry(pos, struct ini_io, node);
        if (io->at_ns > now) {
            next = time_min(next, io->at_ns);
            continue;
        }
        io->ghosts = 0;
        gone(io);
    }
    (void)!loop_timer_set(d->loop, &d->settle, next);
}

static void settled(struct loop_timer *t)
{
    look(list_entry(t, struct ini_disk, settle));
}

void ini_ghost_keep(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    list_push_back(&d->haunted, &io->node);
    count(d, d->stats.ghosts + 1);
    if (d->way) /* which knows when it is over */
        return;
    io->at_ns = loop_now(d->loop) + d->ghost_timeout_ns + d->keep_ns;
    (void)!loop_timer_set(d->loop, &d->settle, time_min(d->settle.deadline_ns, io->at_ns));
}

void ini_ghosts_login(struct ini_disk *d)
{
    const struct iscsi_params *p = ini_session_params(d->session);
    d->keep_ns = ((uint64_t)p->time2wait + p->time2retain) * NS_PER_SEC;
    if (!ini_session_reinstated(d->session))
        return;
    unsigned place = ini_session_place(d->session);
    list_for_each (&d->haunted, pos) {
        struct ini_io *io = list_entry(pos, struct ini_io, node);
        if (io->cmd.place == place)
            io->at_ns = 0;
    }
    look(d);
}

/* ---- of a way ---- */

void ini_disk_ghost(struct ini_cmd *cmd)
{
    list_entry(cmd, struct ini_io, cmd)->ghosts++;
}

void ini_disk_ghost_gone(struct ini_cmd *cmd)
{
    struct ini_io *io = list_entry(cmd, struct ini_io, cmd);
    if (--io->ghosts == 0 && !io->bio)
        gone(io);
}

/* ---- life ---- */

void ini_ghosts_init(struct ini_disk *d)
{
    list_init(&d->haunted);
    loop_timer_init(&d->settle, settled);
}

static void over(struct ini_range *r)
{
    struct ini_io *io = list_entry(r, struct ini_io, range);
    free(io->iov);
    free(io);
}

void ini_ghosts_fini(struct ini_disk *d)
{
    loop_timer_cancel(d->loop, &d->settle);
    while (!list_empty(&d->haunted)) {
        struct ini_io *io = list_entry(list_pop_front(&d->haunted), struct ini_io, node);
        io->range.over = over;
        ini_ranges_bequeath(d->ranges, &io->range,
                            d->way ? loop_now(d->loop) + d->ghost_timeout_ns : io->at_ns);
    }
}
