/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd/io.h"

#include <stdlib.h>

enum {
    CACHE_BYTES = 1 << 20,    /* a CACHE reads that much at a time */
    STATUS_QUERIES_MAX = 8192 /* questions to the store for one BLOCK_STATUS */
};

static struct nbd_io *io_of(const struct nbd_req *req)
{
    return req->priv;
}

static const struct store_info *info_of(const struct nbd_io *io)
{
    return &io->conn->front->store->info;
}

struct nbd_export nbd_io_export(const struct front *f)
{
    const struct store_info *info = &f->store->info;
    uint32_t preferred = info->phys_block_bytes > 4096 ? info->phys_block_bytes : 4096;
    if (preferred & (preferred - 1) || preferred > NBD_PAYLOAD_MAX)
        preferred = info->block_bytes > 4096 ? info->block_bytes : 4096;
    return (struct nbd_export){
        .name = f->cfg->name,
        .size_bytes = __atomic_load_n(&info->size_bytes, __ATOMIC_RELAXED),
        .min_block = info->block_bytes,
        .preferred_block = preferred,
        .read_only = info->read_only,
        .rotational = info->rotational,
        .trim = info->unmap_gran_bytes != 0,
        .allocation = info->can_map_status,
    };
}

/* ---- the end of a request ---- */

static void finish(struct nbd_io *io, int err, uint64_t err_off)
{
    struct nbd_req *req = io->req;
    if (err)
        nbd_req_fail(req, err, err_off);
    else if (req->cmd == NBD_CMD_BLOCK_STATUS)
        nbd_req_reply_extents(req, io->buf, io->extents);
    else if (io->lent)
        nbd_req_reply(req, io->x.bio.iov, io->x.bio.iovcnt);
    else
        nbd_req_reply(req, &io->iov, 1);
    nbd_conn_want_flush(io->conn);
}

void nbd_io_over(struct nbd_req *req)
{
    struct nbd_io *io = io_of(req);
    struct front *f = io->conn->front;
    front_forget(&io->waiter);
    if (io->lent)
        store_lend_end(f->ch, &io->x.bio);
    if (io->granted)
        store_write_revoke(f->ch, &io->x.bio);
    front_put(f, io->buf, io->cap);
    io->lent = io->granted = false;
    io->buf = NULL;
}

/* ---- the store ---- */

static void io_done(struct bio *bio);
static void transferred(struct front_xfer *x, int err, uint64_t err_off);
static void status_done(struct bio *bio);

static void submit(struct nbd_io *io)
{
    io->x.bio.done = io_done;
    store_submit(io->conn->front->ch, &io->x.bio);
}

static uint32_t bio_flags(const struct nbd_req *req)
{
    uint32_t f = 0;
    if (req->cmd == NBD_CMD_READ || req->cmd == NBD_CMD_CACHE)
        return 0;
    if (req->flags & NBD_CMD_FLAG_FUA)
        f |= BIO_F_FUA;
    if (req->cmd == NBD_CMD_WRITE_ZEROES) {
        if (!(req->flags & NBD_CMD_FLAG_NO_HOLE))
            f |= BIO_F_MAY_UNMAP;
        if (req->flags & NBD_CMD_FLAG_FAST_ZERO)
            f |= BIO_F_FAST_ZERO;
    }
    return f;
}

/* Memory of the store's own, or nothing: one request of it. */
static void io_done(struct bio *bio)
{
    struct nbd_io *io = list_entry(bio, struct nbd_io, x.bio);
    if (io->lent && bio->err)
        io->lent = false; /* nothing was lent */
    finish(io, bio->err, bio->err == USAN_EIO ? bio->err_off : UINT64_MAX);
}

/* Through a buffer; a CACHE reads piece after piece into the same. */
static void transfer(struct nbd_io *io)
{
    const struct nbd_req *req = io->req;
    uint64_t len = req->len - io->done;
    if (req->cmd == NBD_CMD_CACHE && len > io->cap)
        len = io->cap;
    io->piece = (uint32_t)len;
    io->x.done = transferred;
    front_xfer_start(&io->x, req->cmd == NBD_CMD_WRITE ? BIO_WRITE : BIO_READ, bio_flags(req),
                     req->off + io->done, io->buf, len);
}

static void transferred(struct front_xfer *x, int err, uint64_t err_off)
{
    struct nbd_io *io = list_entry(x, struct nbd_io, x);
    io->done += io->piece;
    if (!err && io->done < io->req->len) {
        transfer(io);
        return;
    }
    io->iov = (struct iovec){ io->buf, io->req->len };
    finish(io, err, err_off);
}

/* ---- BLOCK_STATUS ---- */

static void ask_status(struct nbd_io *io)
{
    const struct nbd_req *req = io->req;
    io->asked++;
    io->x.bio = (struct bio){ .op = BIO_MAP_STATUS,
                              .off = req->off + io->done,
                              .len = req->len - io->done,
                              .done = status_done };
    store_submit(io->conn->front->ch, &io->x.bio);
}

/* Whole blocks of one state: a block that is a hole in part only is none. */
static uint32_t run_of(const struct nbd_io *io, uint32_t *ret_state)
{
    const struct store_info *info = info_of(io);
    uint32_t block = info->block_bytes, left = io->req->len - io->done;
    uint64_t run = io->x.bio.run_len < left ? io->x.bio.run_len : left;
    bool mapped = io->x.bio.mapped || run < block;
    if (mapped)
        run = (run + block - 1) & ~(uint64_t)(block - 1);
    else
        run &= ~(uint64_t)(block - 1);
    *ret_state = mapped ? 0 : NBD_STATE_HOLE | (info->unmap_zeroes ? NBD_STATE_ZERO : 0u);
    return (uint32_t)run;
}

static void status_done(struct bio *bio)
{
    struct nbd_io *io = list_entry(bio, struct nbd_io, x.bio);
    uint32_t state, run;
    if (bio->err) {
        finish(io, bio->err, UINT64_MAX);
        return;
    }
    run = run_of(io, &state);
    unsigned most = io->req->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : NBD_EXTENTS_MAX;
    if (io->extents && state == io->state) {
        io->run += run;
    } else if (io->extents == most) {
        finish(io, 0, 0);
        return;
    } else {
        io->extents++;
        io->run = run;
        io->state = state;
    }
    nbd_extent_put(io->buf, io->extents - 1, io->run, io->state);
    io->done += run;
    if (io->done < io->req->len && io->asked < STATUS_QUERIES_MAX)
        ask_status(io);
    else
        finish(io, 0, 0);
}

/* ---- memory ---- */

static size_t memory_for(const struct nbd_req *req)
{
    if (req->cmd == NBD_CMD_BLOCK_STATUS)
        return (size_t)NBD_EXTENTS_MAX * NBD_EXTENT_BYTES;
    return req->cmd == NBD_CMD_CACHE && req->len > CACHE_BYTES ? CACHE_BYTES : req->len;
}

/* It has its memory. */
static void with_memory(struct nbd_io *io)
{
    switch (io->req->cmd) {
    case NBD_CMD_WRITE:
        io->iov = (struct iovec){ io->buf, io->req->len };
        nbd_req_want_data(io->req, &io->iov, 1);
        break;
    case NBD_CMD_BLOCK_STATUS:
        ask_status(io);
        break;
    case NBD_CMD_READ:
    case NBD_CMD_CACHE:
    case NBD_CMD_FLUSH:
    case NBD_CMD_TRIM:
    case NBD_CMD_WRITE_ZEROES:
    case NBD_CMD_DISC:
    case NBD_CMD_COUNT:
        transfer(io);
        break;
    }
}

static void got_memory(struct front_waiter *w, void *buf, size_t cap)
{
    struct nbd_io *io = list_entry(w, struct nbd_io, waiter);
    io->buf = buf;
    io->cap = cap;
    with_memory(io);
    nbd_conn_want_flush(io->conn); /* which goes on receiving */
}

static void get_memory(struct nbd_io *io)
{
    io->waiter.got = got_memory;
    io->buf = front_get(io->conn->front, &io->waiter, memory_for(io->req), &io->cap);
    if (io->buf)
        with_memory(io);
}

void nbd_io_cancel_waiting(struct nbd_conn *conn)
{
    list_for_each_safe (&conn->front->waiting, pos) {
        struct front_waiter *w = list_entry(pos, struct front_waiter, node);
        struct nbd_io *io = list_entry(w, struct nbd_io, waiter);
        if (w->got != got_memory || io->conn != conn)
            continue;
        front_forget(w);
        nbd_req_fail(io->req, USAN_ECLOSED, UINT64_MAX);
    }
}

/* ---- requests ---- */

/* Can the memory of the store itself be used? Only for one request of the store. */
static bool in_one(const struct nbd_io *io)
{
    uint64_t most = info_of(io)->max_io_bytes;
    return !most || io->req->len <= most;
}

static bool get_grant(struct nbd_io *io)
{
    const struct nbd_req *req = io->req;
    if (!info_of(io)->can_grant || !in_one(io))
        return false;
    io->x.bio =
        (struct bio){ .op = BIO_WRITE, .flags = bio_flags(req), .off = req->off, .len = req->len };
    if (store_write_grant(io->conn->front->ch, &io->x.bio))
        return false;
    io->granted = true;
    return true;
}

static void start_read(struct nbd_io *io)
{
    const struct nbd_req *req = io->req;
    if (!info_of(io)->can_lend || !in_one(io)) {
        get_memory(io);
        return;
    }
    io->lent = true;
    io->x.bio =
        (struct bio){ .op = BIO_READ, .flags = BIO_F_LEND, .off = req->off, .len = req->len };
    submit(io);
}

static void start_plain(struct nbd_io *io, enum bio_op op)
{
    const struct nbd_req *req = io->req;
    io->x.bio = (struct bio){ .op = op, .flags = bio_flags(req), .off = req->off, .len = req->len };
    if (op == BIO_FLUSH)
        io->x.bio.flags = 0;
    submit(io);
}

void nbd_io_start(struct nbd_conn *conn, struct nbd_req *req)
{
    struct nbd_io *io = io_of(req);
    io->req = req;
    io->conn = conn;
    io->x.front = conn->front;
    io->done = 0;
    io->extents = io->asked = 0;
    switch (req->cmd) {
    case NBD_CMD_READ:
        start_read(io);
        break;
    case NBD_CMD_WRITE:
        if (get_grant(io))
            nbd_req_want_data(req, io->x.bio.iov, io->x.bio.iovcnt);
        else
            get_memory(io);
        break;
    case NBD_CMD_FLUSH:
        start_plain(io, BIO_FLUSH);
        break;
    case NBD_CMD_TRIM:
        start_plain(io, BIO_UNMAP);
        break;
    case NBD_CMD_WRITE_ZEROES:
        start_plain(io, BIO_WRITE_ZEROES);
        break;
    case NBD_CMD_CACHE: /* what lends its memory has everything in memory */
        if (info_of(io)->can_lend)
            finish(io, 0, 0);
        else
            get_memory(io);
        break;
    case NBD_CMD_BLOCK_STATUS:
        get_memory(io);
        break;
    case NBD_CMD_DISC:
    case NBD_CMD_COUNT:
        abort(); /* the core never shows these */
    }
}

void nbd_io_data(struct nbd_req *req)
{
    struct nbd_io *io = io_of(req);
    if (io->granted) {
        io->granted = false; /* the write takes it */
        submit(io);
    } else {
        transfer(io);
    }
}
