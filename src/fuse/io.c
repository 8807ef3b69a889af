/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/io.h"

#include "fuse/reply.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct store_info *info_of(const struct fuse_port *p)
{
    return &p->front->store->info;
}

int fuse_io_errno(int err)
{
    switch (err) {
    case 0:
        return 0;
    case USAN_EINVAL:
        return EINVAL;
    case USAN_ERANGE: /* it shrank: as at the end of a block device */
    case USAN_ENOSPC:
        return ENOSPC;
    case USAN_ERDONLY:
        return EROFS;
    case USAN_ENOTSUP:
        return EOPNOTSUPP;
    case USAN_ENOMEM:
        return ENOMEM;
    case USAN_ECLOSED:
        return ENODEV;
    default:
        return EIO;
    }
}

/* ---- life ---- */

static struct fuse_io *get(struct fuse_port *p, fuse_req_t req)
{
    struct fuse_io *io = p->idle;
    if (io)
        p->idle = io->next;
    else
        io = malloc(sizeof(*io));
    if (!io) {
        fuse_port_enter(p);
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    *io = (struct fuse_io){ .port = p, .req = req, .x.front = p->front };
    p->in_hand++;
    return io;
}

/* It was answered. */
static void put(struct fuse_io *io)
{
    struct fuse_port *p = io->port;
    if (io->lent)
        store_lend_end(p->front->ch, &io->x.bio);
    front_put(p->front, io->buf, io->cap);
    if (io->rx && !p->rx && !p->want.waits) {
        p->rx = io->rx;
        p->rx_cap = io->rx_cap;
    } else {
        front_put(p->front, io->rx, io->rx_cap);
    }
    io->next = p->idle;
    p->idle = io;
    p->in_hand--;
    if (p->paused)
        loop_work_queue(p->front->loop, &p->more);
}

void fuse_io_free_idle(struct fuse_port *p)
{
    struct fuse_io *io;
    while ((io = p->idle)) {
        p->idle = io->next;
        free(io);
    }
}

static void fail(struct fuse_io *io, int errnum)
{
    fuse_port_enter(io->port);
    fuse_reply_err(io->req, errnum);
    put(io);
}

/* What has no data. */
static void plain_done(struct bio *bio)
{
    struct fuse_io *io = list_entry(bio, struct fuse_io, x.bio);
    fail(io, fuse_io_errno(bio->err));
}

static void start_plain(struct fuse_io *io, enum bio_op op, uint32_t flags, uint64_t off,
                        uint64_t len)
{
    io->x.bio =
        (struct bio){ .op = op, .flags = flags, .off = off, .len = len, .done = plain_done };
    store_submit(io->port->front->ch, &io->x.bio);
}

/* Whole blocks around off and size, which lie in the store. */
static void set_range(struct fuse_io *io, uint64_t off, uint32_t size)
{
    uint64_t mask = info_of(io->port)->block_bytes - 1;
    io->off = off;
    io->size = size;
    io->first = off & ~mask;
    io->span = (uint32_t)(((off + size + mask) & ~mask) - io->first);
}

static bool in_blocks(const struct fuse_io *io)
{
    return io->span == io->size;
}

/* Can the memory of the store be used? Only for one request of the store. */
static bool in_one(const struct fuse_io *io)
{
    uint64_t most = info_of(io->port)->max_io_bytes;
    return in_blocks(io) && (!most || io->size <= most);
}

/* ---- READ ---- */

static void read_lent(struct bio *bio)
{
    struct fuse_io *io = list_entry(bio, struct fuse_io, x.bio);
    if (bio->err) {
        fail(io, fuse_io_errno(bio->err));
        return;
    }
    io->lent = true;
    fuse_port_enter(io->port);
    fuse_reply_iov(io->req, bio->iov, bio->iovcnt);
    put(io);
}

static void read_done(struct front_xfer *x, int err, uint64_t err_off)
{
    struct fuse_io *io = list_entry(x, struct fuse_io, x);
    (void)err_off;
    if (err) {
        fail(io, fuse_io_errno(err));
        return;
    }
    fuse_port_enter(io->port);
    fuse_reply_buf(io->req, (const char *)io->buf + (io->off - io->first), io->size);
    put(io);
}

static void read_with_memory(struct fuse_io *io)
{
    io->x.done = read_done;
    front_xfer_start(&io->x, BIO_READ, 0, io->first, io->buf, io->span);
}

static void read_got(struct front_waiter *w, void *buf, size_t cap)
{
    struct fuse_io *io = list_entry(w, struct fuse_io, waiter);
    io->buf = buf;
    io->cap = cap;
    read_with_memory(io);
}

void fuse_io_read(struct fuse_port *p, fuse_req_t req, uint64_t off, size_t size)
{
    uint64_t end = fuse_disk_size(p->disk);
    if (off >= end || size == 0) {
        fuse_port_enter(p);
        fuse_reply_buf(req, NULL, 0);
        return;
    }
    struct fuse_io *io = get(p, req);
    if (!io)
        return;
    set_range(io, off, (uint32_t)(end - off < size ? end - off : size));
    if (info_of(p)->can_lend && in_one(io)) {
        io->x.bio = (struct bio){ .op = BIO_READ,
                                  .flags = BIO_F_LEND,
                                  .off = io->first,
                                  .len = io->span,
                                  .done = read_lent };
        store_submit(p->front->ch, &io->x.bio);
        return;
    }
    io->waiter.got = read_got;
    io->buf = front_get(p->front, &io->waiter, io->span, &io->cap);
    if (io->buf)
        read_with_memory(io);
}

/* ---- WRITE ---- */

static void write_finished(struct fuse_io *io, int err)
{
    if (err) {
        fail(io, fuse_io_errno(err));
        return;
    }
    fuse_port_enter(io->port);
    fuse_reply_write(io->req, io->size);
    put(io);
}

static void write_done(struct front_xfer *x, int err, uint64_t err_off)
{
    (void)err_off;
    write_finished(list_entry(x, struct fuse_io, x), err);
}

static void grant_done(struct bio *bio)
{
    write_finished(list_entry(bio, struct fuse_io, x.bio), bio->err);
}

/* Straight into memory of the store, if it has such: there is one copy, and it is this. */
static bool write_granted(struct fuse_io *io)
{
    struct fuse_port *p = io->port;
    if (!info_of(p)->can_grant || !in_one(io))
        return false;
    io->x.bio = (struct bio){
        .op = BIO_WRITE, .flags = io->flags, .off = io->off, .len = io->size, .done = grant_done
    };
    if (store_write_grant(p->front->ch, &io->x.bio))
        return false;
    const uint8_t *from = io->data;
    for (int i = 0; i < io->x.bio.iovcnt; i++) {
        const struct iovec *v = &io->x.bio.iov[i];
        memcpy(v->iov_base, from, v->iov_len);
        from += v->iov_len;
    }
    store_submit(p->front->ch, &io->x.bio);
    return true;
}

/* The blocks have come of which a part is written. */
static void around_read(struct front_xfer *x, int err, uint64_t err_off)
{
    struct fuse_io *io = list_entry(x, struct fuse_io, x);
    (void)err_off;
    if (err) {
        fail(io, fuse_io_errno(err));
        return;
    }
    memcpy((uint8_t *)io->buf + (io->off - io->first), io->data, io->size);
    io->x.done = write_done;
    front_xfer_start(&io->x, BIO_WRITE, io->flags, io->first, io->buf, io->span);
}

static void around_got(struct front_waiter *w, void *buf, size_t cap)
{
    struct fuse_io *io = list_entry(w, struct fuse_io, waiter);
    io->buf = buf;
    io->cap = cap;
    io->x.done = around_read;
    front_xfer_start(&io->x, BIO_READ, 0, io->first, io->buf, io->span);
}

static void take_rx(struct fuse_io *io)
{
    struct fuse_port *p = io->port;
    assert(p->rx);
    io->rx = p->rx;
    io->rx_cap = p->rx_cap;
    p->rx = NULL;
}

/*
 * A part of a block: the kernel lets no other such write of the file in meanwhile, for it locks
 * the file for each write that is not of O_DIRECT.
 */
static void write_around(struct fuse_io *io)
{
    take_rx(io);
    io->waiter.got = around_got;
    void *buf = front_get(io->port->front, &io->waiter, io->span, &io->cap);
    if (buf)
        around_got(&io->waiter, buf, io->cap);
}

static void write_blocks(struct fuse_io *io)
{
    struct fuse_port *p = io->port;
    if (write_granted(io))
        return;
    if (io->size <= FUSE_PORT_COPY_MAX)
        io->buf = front_try(p->front, io->size, &io->cap);
    if (io->buf) {
        memcpy(io->buf, io->data, io->size);
        io->data = io->buf;
    } else {
        take_rx(io);
    }
    io->x.done = write_done;
    front_xfer_start(&io->x, BIO_WRITE, io->flags, io->off, io->data, io->size);
}

void fuse_io_write(struct fuse_port *p, fuse_req_t req, const void *data, uint64_t off, size_t size,
                   int flags)
{
    uint64_t end = fuse_disk_size(p->disk);
    uint64_t mask = info_of(p)->block_bytes - 1;
    bool direct = flags & O_DIRECT;
    int refused = p->disk->read_only              ? EROFS
                  : size && off >= end            ? ENOSPC
                  : direct && (off | size) & mask ? EINVAL
                                                  : 0;
    if (refused || size == 0) {
        fuse_port_enter(p);
        if (refused)
            fuse_reply_err(req, refused);
        else
            fuse_reply_write(req, 0);
        return;
    }
    struct fuse_io *io = get(p, req);
    if (!io)
        return;
    set_range(io, off, (uint32_t)(end - off < size ? end - off : size));
    assert((const uint8_t *)data >= p->rx && (const uint8_t *)data + size <= p->rx + p->rx_cap);
    io->flags = flags & O_DSYNC ? BIO_F_FUA : 0; /* which is a part of O_SYNC */
    io->data = p->rx + ((const uint8_t *)data - p->rx);
    if (in_blocks(io))
        write_blocks(io);
    else
        write_around(io);
}

/* ---- others ---- */

void fuse_io_flush(struct fuse_port *p, fuse_req_t req)
{
    struct fuse_io *io = get(p, req);
    if (io)
        start_plain(io, BIO_FLUSH, 0, 0, 0);
}

void fuse_io_zero(struct fuse_port *p, fuse_req_t req, uint64_t off, uint64_t len, bool unmap)
{
    uint64_t end = fuse_disk_size(p->disk), mask = info_of(p)->block_bytes - 1;
    int refused = p->disk->read_only               ? EROFS
                  : len == 0 || (off | len) & mask ? EINVAL
                  : off > end || len > end - off   ? ENOSPC
                                                   : 0;
    if (refused) {
        fuse_port_enter(p);
        fuse_reply_err(req, refused);
        return;
    }
    struct fuse_io *io = get(p, req);
    if (io)
        start_plain(io, BIO_WRITE_ZEROES, unmap ? BIO_F_MAY_UNMAP : 0, off, len);
}

/* ---- LSEEK ---- */

static void found(struct fuse_io *io, uint64_t at)
{
    fuse_port_enter(io->port);
    if (at >= fuse_disk_size(io->port->disk) && io->whence == SEEK_DATA)
        fuse_reply_err(io->req, ENXIO);
    else
        fuse_reply_lseek(io->req, (off_t)at);
    put(io);
}

static void seek_step(struct bio *bio);

static void ask(struct fuse_io *io, uint64_t at)
{
    uint64_t end = fuse_disk_size(io->port->disk);
    if (at >= end) { /* there is a hole behind the end */
        found(io, end);
        return;
    }
    io->x.bio = (struct bio){ .op = BIO_MAP_STATUS, .off = at, .len = end - at, .done = seek_step };
    store_submit(io->port->front->ch, &io->x.bio);
}

static void seek_step(struct bio *bio)
{
    struct fuse_io *io = list_entry(bio, struct fuse_io, x.bio);
    uint64_t block = info_of(io->port)->block_bytes;
    if (bio->err) {
        fail(io, fuse_io_errno(bio->err));
        return;
    }
    /* A block that is a hole in part only is none. */
    bool data = bio->mapped || bio->run_len < block;
    if (data == (io->whence == SEEK_DATA)) {
        found(io, bio->off < io->off ? io->off : bio->off);
        return;
    }
    /* The run may end within a block, which is data then. */
    uint64_t at = bio->off + bio->run_len;
    at = io->whence == SEEK_DATA ? at & ~(block - 1) : (at + block - 1) & ~(block - 1);
    ask(io, at);
}

void fuse_io_seek(struct fuse_port *p, fuse_req_t req, uint64_t off, int whence)
{
    uint64_t end = fuse_disk_size(p->disk);
    struct fuse_io *io = NULL;
    fuse_port_enter(p);
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        fuse_reply_err(req, EINVAL);
    else if (off >= end)
        fuse_reply_err(req, ENXIO);
    else if (!info_of(p)->can_map_status) /* all of it counts as data */
        fuse_reply_lseek(req, (off_t)(whence == SEEK_DATA ? off : end));
    else
        io = get(p, req);
    if (!io)
        return;
    io->off = off;
    io->whence = whence;
    ask(io, off & ~(uint64_t)(info_of(p)->block_bytes - 1));
}
