/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/disk_priv.h"

#include "base/bytes.h"
#include "initiator/session_task.h"
#include "initiator/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_FIRST_NS (1 * NS_PER_MS)
#define BUSY_SHIFT    7 /* the longest wait is this many times doubled */

/* Blocks that a request is writing. */
struct range {
    uint64_t off, end; /* bytes */
    const struct ini_io *io;
};

struct ini_disk {
    struct loop *loop;
    struct ini_session *session;
    struct ini_disk_info info;
    uint64_t lun;
    uint64_t busy_timeout_ns;
    const struct ini_disk_ops *ops;
    void *user;

    struct range *ranges;
    unsigned range_count, range_cap;
    struct list held;  /* writes that overlap an earlier one, oldest first */
    struct list later; /* to be sent again when their time has come */
    struct loop_timer timer;
    struct list spare;
    unsigned in_flight;

    /* READ CAPACITY after the unit has said that it changed */
    struct ini_cmd capacity;
    bool asking, ask_again;
    struct list paused; /* to be sent when the answer is there */
    bool failed;        /* the unit is another one now */
    uint8_t capacity_cdb[16], capacity_data[32], capacity_sense[INI_IO_SENSE];
    struct iovec capacity_iov;
    unsigned capacity_tries;
    struct ini_disk_stats stats;
};

static void cmd_done(struct ini_cmd *cmd);

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
    }
    io->pos = 0;
    io->attentions = io->busy = 0;
    io->flush = io->canceled = false;
    return io;
}

/* Room for one more range. */
static bool range_room(struct ini_disk *d)
{
    if (d->range_count < d->range_cap)
        return true;
    unsigned cap = d->range_cap ? 2 * d->range_cap : 64;
    struct range *v = reallocarray(d->ranges, cap, sizeof(*v));
    if (!v)
        return false;
    d->ranges = v;
    d->range_cap = cap;
    return true;
}

static bool range_busy(const struct ini_disk *d, const struct bio *bio)
{
    uint64_t end = bio->off + bio->len;
    for (unsigned i = 0; i < d->range_count; i++) {
        if (bio->off < d->ranges[i].end && d->ranges[i].off < end)
            return true;
    }
    return false;
}

static bool held_before(const struct ini_disk *d, const struct ini_io *io)
{
    const struct bio *bio = io->bio;
    list_for_each (&d->held, pos) {
        const struct ini_io *other = list_entry(pos, struct ini_io, node);
        if (other == io)
            return false;
        if (bio->off < other->bio->off + other->bio->len && other->bio->off < bio->off + bio->len)
            return true;
    }
    return false;
}

static void range_remove(struct ini_disk *d, const struct ini_io *io)
{
    unsigned i = 0;
    while (d->ranges[i].io != io)
        i++;
    d->ranges[i] = d->ranges[--d->range_count];
}

/* ---- going on ---- */

static void io_end(struct ini_io *io, int err);

static void io_send(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    if (d->asking) { /* until it is known that blocks are what they were */
        list_push_back(&d->paused, &io->node);
        return;
    }
    if (d->failed) {
        assert(io->bio);
        io->bio->err_off = io->bio->off + io->pos;
        io_end(io, USAN_EIO);
        return;
    }
    d->stats.commands++;
    ini_session_submit(d->session, &io->cmd);
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

static bool io_claim(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    if (range_busy(d, io->bio) || held_before(d, io) || !range_room(d))
        return false;
    d->ranges[d->range_count++] = (struct range){ io->bio->off, io->bio->off + io->bio->len, io };
    return true;
}

/* A write is over: those that waited for it may go, in their order. */
static void start_held(struct ini_disk *d)
{
    struct list go;
    list_init(&go);
    list_for_each_safe (&d->held, pos) {
        struct ini_io *io = list_entry(pos, struct ini_io, node);
        if (!io_claim(io))
            continue;
        list_del(&io->node);
        list_push_back(&go, &io->node);
    }
    while (!list_empty(&go))
        io_next(list_entry(list_pop_front(&go), struct ini_io, node));
}

static void io_end(struct ini_io *io, int err)
{
    struct ini_disk *d = io->disk;
    struct bio *bio = io->bio;
    bool wrote = io->writes;
    if (wrote)
        range_remove(d, io);
    io->bio = NULL;
    bio->store_priv[0] = NULL;
    list_push_front(&d->spare, &io->node);
    d->in_flight--;
    d->ops->complete(bio, err, d->user);
    if (wrote && !list_empty(&d->held))
        start_held(d);
}

/* ---- capacity ---- */

static void ask_capacity(struct ini_disk *d)
{
    if (d->asking) {
        d->ask_again = true;
        return;
    }
    d->asking = true;
    d->capacity_tries++;
    ini_session_submit(d->session, &d->capacity);
}

static void use_capacity(struct ini_disk *d)
{
    uint64_t blocks = be64_get(d->capacity_data) + 1;
    uint32_t block_bytes = be32_get(d->capacity_data + 8);
    char why[80];
    if (d->failed)
        return;
    if (block_bytes != d->info.block_bytes) {
        d->failed = true;
        (void)snprintf(why, sizeof(why), "blocks of %u bytes instead of %u: it is another disk",
                       block_bytes, d->info.block_bytes);
        if (d->ops->failed)
            d->ops->failed(why, d->user);
    } else if (blocks != d->info.blocks && ini_probe_size_ok(blocks, block_bytes)) {
        d->info.blocks = blocks;
        if (d->ops->resized)
            d->ops->resized(blocks, d->user);
    }
}

static void send_paused(struct ini_disk *d)
{
    struct list go;
    list_init(&go);
    while (!list_empty(&d->paused))
        list_push_back(&go, list_pop_front(&d->paused));
    while (!list_empty(&go))
        io_send(list_entry(list_pop_front(&go), struct ini_io, node));
}

static void capacity_done(struct ini_cmd *cmd)
{
    struct ini_disk *d = list_entry(cmd, struct ini_disk, capacity);
    int err;
    bool again = d->ask_again;
    d->asking = d->ask_again = false;
    enum ini_verdict v = ini_scsi_judge(&cmd->scsi, true, &err);
    if (v == INI_GOOD && cmd->scsi.in_got >= 12) {
        d->capacity_tries = 0;
        use_capacity(d);
    }
    if (again || (v == INI_RETRY && d->capacity_tries < INI_ATTENTIONS_MAX))
        ask_capacity(d);
    if (!d->asking)
        send_paused(d);
}

static void init_capacity(struct ini_disk *d)
{
    d->capacity_cdb[0] = 0x9e; /* READ CAPACITY(16) */
    d->capacity_cdb[1] = 0x10;
    d->capacity_cdb[13] = sizeof(d->capacity_data);
    d->capacity_iov = (struct iovec){ d->capacity_data, sizeof(d->capacity_data) };
    d->capacity = (struct ini_cmd){ .scsi = { .lun = d->lun,
                                              .cdb = d->capacity_cdb,
                                              .cdb_len = sizeof(d->capacity_cdb),
                                              .attr = 1,
                                              .in = &d->capacity_iov,
                                              .in_cnt = 1,
                                              .in_len = sizeof(d->capacity_data),
                                              .sense = d->capacity_sense,
                                              .sense_cap = sizeof(d->capacity_sense) },
                                    .again = INI_AGAIN,
                                    .done = capacity_done };
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

static void io_failed(struct ini_io *io, int err)
{
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
        ask_capacity(d);
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
    if (!io->writes || io_claim(io)) {
        io_next(io);
        return;
    }
    d->stats.held++;
    list_push_back(&d->held, &io->node);
}

/* It waits in one of the lists. */
static void cancel_waiting(struct ini_io *io)
{
    struct ini_disk *d = io->disk;
    bool held = false;
    list_for_each (&d->held, pos)
        held = held || pos == &io->node;
    list_del(&io->node);
    io->bio->err_off = io->bio->off + io->pos;
    if (held)
        io->writes = false; /* it has no range yet */
    io_end(io, USAN_ECANCELED);
    if (held)
        start_held(d); /* others may have waited for this one */
}

int ini_disk_cancel(struct ini_disk *d, struct bio *bio)
{
    struct ini_io *io = bio->store_priv[0];
    if (!io) /* another request of store.c carries it out */
        return 0;
    if (!list_empty(&io->node)) {
        cancel_waiting(io);
        return 0;
    }
    io->canceled = true;
    int err = ini_session_cancel(d->session, &io->cmd);
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
    d->info = *cfg->info;
    d->lun = ini_lun_field(cfg->lun);
    d->busy_timeout_ns = cfg->busy_timeout_ns;
    d->ops = cfg->ops;
    d->user = cfg->user;
    list_init(&d->held);
    list_init(&d->later);
    list_init(&d->paused);
    list_init(&d->spare);
    loop_timer_init(&d->timer, timer_fired);
    init_capacity(d);
    if (!range_room(d)) {
        free(d);
        return NULL;
    }
    return d;
}

void ini_disk_free(struct ini_disk *d)
{
    if (!d)
        return;
    assert(d->in_flight == 0);
    loop_timer_cancel(d->loop, &d->timer);
    while (!list_empty(&d->spare)) {
        struct ini_io *io = list_entry(list_pop_front(&d->spare), struct ini_io, node);
        free(io->iov);
        free(io);
    }
    free(d->ranges);
    free(d);
}

const struct ini_disk_stats *ini_disk_stats(const struct ini_disk *d)
{
    return &d->stats;
}
