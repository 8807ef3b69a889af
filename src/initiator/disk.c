/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/disk_priv.h"

#include "initiator/disk_capacity.h"
#include "initiator/disk_ghost.h"
#include "initiator/session_task.h"
#include "initiator/status.h"

#include <assert.h>
#include <stdlib.h>

#define BUSY_FIRST_NS (1 * NS_PER_MS)
#define POLL_NS       (50 * NS_PER_MS)
#define BUSY_SHIFT    7 /* the longest wait is this many times doubled */

static void cmd_done(struct ini_cmd *cmd);
static void granted(struct ini_range *r);

/* ---- requests and their memory ---- */

static struct ini_io *io_get(struct ini_disk *d)
{
    struct list *node = list_pop_front(&d->spare);
    struct ini_io *io = node ? list_entry(node, struct ini_io, node) : calloc(1, sizeof(*io));
    if (!io)
        return NULL;
    if (!node) { /* what never changes */
        io->disk = d;
        io->cmd.done = cmd_done;
        io->cmd.scsi.lun = d->lun;
        io->cmd.scsi.cdb = io->cdb;
        io->cmd.scsi.attr = 1; /* SIMPLE */
        io->cmd.scsi.sense = io->sense;
        io->cmd.scsi.sense_cap = sizeof(io->sense);
        list_init(&io->node);
        list_init(&io->held_node);
        list_init(&io->range.node);
        io->range.loop = d->loop;
        io->range.granted = granted;
    }
    io->pos = 0;
    io->ghosts = 0;
    io->attentions = io->busy = 0;
    io->flush = io->canceled = false;
    io->cmd.scsi.err = 0; /* nothing was sent as yet */
    io->cmd.scsi.sent = io->cmd.seen = io->cmd.dead = false;
    return io;
}

/* ---- going on ---- */

static void io_end(struct ini_io *io, int err);

static void io_send(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    if (ini_capacity_pause(d, io))
        return;
    if (d->failed) {
        assert(io->bio);
        io->bio->err_off = io->bio->off + io->pos;
        io_end(io, USAN_EIO);
        return;
    }
    d->stats.commands++;
    ini_disk_send(d, &io->cmd);
}

static void io_next(struct ini_io *io)
{
    int err = ini_io_build(&io->disk->info, io);
    io->busy = 0;
    if (err)
        io_end(io, err);
    else
        io_send(io);
}

/* ---- blocks ---- */

static struct ini_io *io_of(struct list *node)
{
    return list_entry(node, struct ini_io, range.node);
}

static void start_granted(struct ini_io *io)
{
    list_del(&io->held_node);
    if (io->canceled)
        io_end(io, USAN_ECANCELED);
    else
        io_next(io);
}

/* A write is over: those that waited for it go, in their order. */
static void start_all(struct list *go)
{
    while (!list_empty(go))
        start_granted(io_of(list_pop_front(go)));
}

static void granted(struct ini_range *r)
{
    start_granted(list_entry(r, struct ini_io, range));
}

/* Blocks may be closed for a time, of which nobody tells the end. */
static void poll_fired(struct loop_timer *t)
{
    struct ini_disk *d = list_entry(t, struct ini_disk, poll);
    struct list go;
    list_init(&go);
    if (ini_ranges_orphans(d->ranges))
        ini_ranges_poll(d->ranges, d->loop, &go);
    start_all(&go);
    if (!list_empty(&d->held))
        (void)!loop_timer_set(d->loop, &d->poll, loop_now(d->loop) + POLL_NS);
}

static void io_put(struct ini_io *io, struct list *go)
{
    struct ini_disk *d = io->disk;
    if (io->writes)
        ini_ranges_release(d->ranges, &io->range, go);
    list_push_front(&d->spare, &io->node);
}

void ini_disk_release(struct ini_io *io)
{
    struct list go;
    list_init(&go);
    list_del(&io->node);
    io_put(io, &go);
    start_all(&go);
}

static void io_end(struct ini_io *io, int err)
{
    struct ini_disk *d = io->disk;
    struct bio *bio = io->bio;
    struct list go;
    assert(bio);
    list_init(&go);
    io->bio = NULL;
    bio->store_priv[0] = NULL;
    if (io->ghosts || ini_ghost_left(io)) /* its blocks stay closed */
        ini_ghost_keep(io);
    else
        io_put(io, &go);
    d->in_flight--;
    d->ops->complete(bio, err, d->user);
    start_all(&go);
}

/* ---- answers ---- */

/* The earliest time of those that wait. */
static void arm(struct ini_disk *d)
{
    uint64_t at = TIME_NEVER;
    list_for_each (&d->later, pos)
        at = time_min(at, list_entry(pos, struct ini_io, node)->at_ns);
    if (loop_timer_set(d->loop, &d->timer, at)) { /* no memory for a timer: at once, then */
        while (!list_empty(&d->later))
            io_send(list_entry(list_pop_front(&d->later), struct ini_io, node));
    }
}

static void timer_fired(struct loop_timer *t)
{
    struct ini_disk *d = list_entry(t, struct ini_disk, timer);
    uint64_t now = loop_now(d->loop);
    list_for_each_safe (&d->later, pos) {
        struct ini_io *io = list_entry(pos, struct ini_io, node);
        if (io->at_ns > now)
            continue;
        list_del(&io->node);
        io_send(io);
    }
    arm(d);
}

/* False: it was busy for too long. */
static bool try_later(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    uint64_t now = loop_now(d->loop);
    if (io->busy++ == 0)
        io->busy_until_ns = now + d->busy_timeout_ns;
    else if (now >= io->busy_until_ns)
        return false;
    d->stats.busy++;
    unsigned shift = io->busy - 1 < BUSY_SHIFT ? io->busy - 1 : BUSY_SHIFT;
    io->at_ns = now + (BUSY_FIRST_NS << shift);
    list_push_back(&d->later, &io->node);
    arm(d);
    return true;
}

/* Where it went wrong. INFORMATION is the LBA of a medium error (SBC-4 4.18.1) or, in a COMPARE AND
 * WRITE that miscompared, the offset of the first byte that differs (SBC-4 5.3). */
static uint64_t error_offset(const struct ini_io *io, int err)
{
    const struct iscsi_icmd *c = &io->cmd.scsi;
    uint64_t off = io->bio->off + io->pos;
    struct ini_sense s = { .valid = false };
    if (!c->err && c->status == 0x02)
        s = ini_sense_parse(c->sense, c->sense_len);
    if (!s.valid || s.deferred || !s.has_information) /* deferred: of another command */
        return off;
    uint64_t at =
        err == USAN_EMISCOMPARE ? off + s.information : s.information * io->disk->info.block_bytes;
    return at >= off && at < off + io->piece ? at : off;
}

/* A unit that has no GET LBA STATUS is asked once; all of it counts as mapped. */
static void status_unknown(struct ini_io *io)
{
    io->disk->info.lba_status = false;
    io->bio->mapped = true;
    io->bio->run_len = io->bio->len;
    io_end(io, 0);
}

static void io_failed(struct ini_io *io, int err)
{
    if (io->bio->op == BIO_MAP_STATUS && (err == USAN_ENOTSUP || err == USAN_EINVAL)) {
        status_unknown(io);
        return;
    }
    io->bio->err_off = error_offset(io, err);
    if (io->disk->ops->bad)
        io->disk->ops->bad(io->bio, &io->cmd.scsi, io->disk->user);
    io_end(io, err);
}

/* GOOD, but was all of the data moved? */
static bool moved_all(const struct ini_io *io)
{
    const struct iscsi_icmd *c = &io->cmd.scsi;
    if (c->in_len)
        return c->in_got == c->in_len;
    return c->resid == ISCSI_RESID_NONE;
}

static void piece_done(struct ini_io *io)
{
    const struct bio *bio = io->bio;
    if (bio->op == BIO_MAP_STATUS) {
        ini_io_read_status(&io->disk->info, io, io->cmd.scsi.in_got);
        io_end(io, 0);
        return;
    }
    if (!moved_all(io)) {
        io_failed(io, USAN_EIO);
        return;
    }
    io->pos += io->piece;
    io->attentions = 0;
    if (io->pos < bio->len) {
        if (io->canceled)
            io_end(io, USAN_ECANCELED);
        else
            io_next(io);
    } else if (!io->flush && bio->flags & BIO_F_FUA &&
               (bio->op == BIO_UNMAP || bio->op == BIO_WRITE_ZEROES)) {
        ini_io_build_flush(io); /* these have no FUA bit */
        io_send(io);
    } else {
        io_end(io, 0);
    }
}

static void cmd_done(struct ini_cmd *cmd)
{
    struct ini_io *io = list_entry(cmd, struct ini_io, cmd);
    struct ini_disk *d = io->disk;
    int err = USAN_EIO;
    if (ini_scsi_capacity_changed(&cmd->scsi))
        ini_capacity_ask(d);
    enum ini_verdict v = ini_scsi_judge(&cmd->scsi, cmd->again != INI_AGAIN_NEVER, &err);
    if (io->canceled && v != INI_GOOD) {
        io_failed(io, v == INI_BAD ? err : USAN_ECANCELED);
        return;
    }
    switch (v) {
    case INI_GOOD:
        piece_done(io);
        return;
    case INI_RETRY:
        d->stats.attentions++;
        if (io->attentions++ < INI_ATTENTIONS_MAX) {
            d->stats.retries++;
            io_send(io);
            return;
        }
        break;
    case INI_RETRY_LATER:
        d->stats.retries++;
        if (try_later(io))
            return;
        break;
    case INI_BAD:
        break;
    }
    io_failed(io, err);
}

/* ---- from outside ---- */

static bool changes(enum bio_op op)
{
    return op == BIO_WRITE || op == BIO_UNMAP || op == BIO_WRITE_ZEROES ||
           op == BIO_COMPARE_AND_WRITE;
}

/* One that waits for blocks ends; false: it does not wait, or has just got them. */
static bool end_held(struct ini_io *io, int err)
{
    struct list go;
    list_init(&go);
    if (list_empty(&io->held_node) || !ini_ranges_withdraw(io->disk->ranges, &io->range, &go))
        return false;
    list_del(&io->held_node);
    io->writes = false; /* nothing is to be given back */
    io->cmd.scsi.err = err;
    io->cmd.scsi.why = io->disk->unreachable_why;
    if (err == USAN_ECANCELED) {
        io->bio->err_off = io->bio->off + io->pos;
        io_end(io, err);
    } else {
        io_failed(io, err);
    }
    start_all(&go);
    return true;
}

/* Others write to its blocks, or may still do so. */
static void hold(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    d->stats.held++;
    list_push_back(&d->held, &io->held_node);
    if (d->unreachable && end_held(io, d->unreachable))
        return;
    if (d->poll.deadline_ns == TIME_NEVER)
        (void)!loop_timer_set(d->loop, &d->poll, loop_now(d->loop) + POLL_NS);
}

void ini_disk_unreachable(struct ini_disk *d, int err, const char *why)
{
    d->unreachable = err;
    d->unreachable_why = why;
    struct list all;
    list_init(&all);
    list_splice_back(&all, &d->held);
    while (!list_empty(&all)) { /* complete() may bring new ones, and cancel others */
        struct list *node = list_pop_front(&all);
        list_push_back(&d->held, node);
        (void)end_held(list_entry(node, struct ini_io, held_node), err);
    }
}

void ini_disk_reachable(struct ini_disk *d)
{
    d->unreachable = 0;
}

void ini_disk_submit(struct ini_disk *d, struct bio *bio)
{
    struct ini_io *io = io_get(d);
    if (!io) {
        d->ops->complete(bio, USAN_ENOMEM, d->user);
        return;
    }
    io->bio = bio;
    bio->store_priv[0] = io;
    io->writes = changes(bio->op);
    d->in_flight++;
    if (bio->op == BIO_MAP_STATUS && !d->info.lba_status) {
        status_unknown(io);
        return;
    }
    if (!io->writes) {
        io_next(io);
        return;
    }
    io->range.off = bio->off;
    io->range.end = bio->off + bio->len;
    if (ini_ranges_claim(d->ranges, &io->range)) {
        io_next(io);
        return;
    }
    hold(io);
}

int ini_disk_cancel(struct ini_disk *d, struct bio *bio)
{
    struct ini_io *io = bio->store_priv[0];
    if (!io) /* another request of store.c carries it out */
        return 0;
    if (end_held(io, USAN_ECANCELED))
        return 0;
    if (!list_empty(&io->node)) { /* it waits for its time */
        list_del(&io->node);
        bio->err_off = bio->off + io->pos;
        io_end(io, USAN_ECANCELED);
        return 0;
    }
    io->canceled = true;
    int err =
        d->way ? d->way->cancel(&io->cmd, d->way_user) : ini_session_cancel(d->session, &io->cmd);
    if (err)
        io->canceled = false;
    return err;
}

struct ini_disk *ini_disk_new(struct loop *loop, const struct ini_disk_config *cfg)
{
    struct ini_disk *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->loop = loop;
    d->session = cfg->session;
    d->way = cfg->way;
    d->way_user = cfg->way_user;
    d->info = *cfg->info;
    d->lun = ini_lun_field(cfg->lun);
    d->lun_number = cfg->lun;
    d->busy_timeout_ns = cfg->busy_timeout_ns;
    d->ghost_timeout_ns = cfg->ghost_timeout_ns;
    d->ops = cfg->ops;
    d->user = cfg->user;
    list_init(&d->held);
    list_init(&d->later);
    list_init(&d->paused);
    list_init(&d->spare);
    loop_timer_init(&d->timer, timer_fired);
    loop_timer_init(&d->poll, poll_fired);
    ini_ghosts_init(d);
    d->own_ranges = !cfg->ranges;
    d->ranges = cfg->ranges ? cfg->ranges : ini_ranges_new();
    if (d->ranges)
        ini_ranges_join(d->ranges);
    if (!d->ranges || ini_capacity_init(d)) {
        ini_disk_free(d);
        return NULL;
    }
    return d;
}

void ini_disk_set_ghost_timeout(struct ini_disk *d, uint64_t ghost_timeout_ns)
{
    d->ghost_timeout_ns = ghost_timeout_ns;
}

void ini_disk_free(struct ini_disk *d)
{
    if (!d)
        return;
    assert(d->in_flight == 0);
    loop_timer_cancel(d->loop, &d->timer);
    loop_timer_cancel(d->loop, &d->poll);
    ini_capacity_fini(d);
    ini_ghosts_fini(d);
    while (!list_empty(&d->spare)) {
        struct ini_io *io = list_entry(list_pop_front(&d->spare), struct ini_io, node);
        free(io->iov);
        free(io);
    }
    if (d->ranges)
        ini_ranges_part(d->ranges);
    if (d->own_ranges)
        ini_ranges_free(d->ranges);
    free(d);
}

void ini_disk_resume(struct ini_io *io)
{
    io_send(io);
}

void ini_disk_give_up(struct ini_io *io)
{
    io->bio->err_off = io->bio->off + io->pos;
    io_end(io, USAN_EIO);
}

const struct ini_disk_stats *ini_disk_stats(const struct ini_disk *d)
{
    return &d->stats;
}
