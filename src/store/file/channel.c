/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of a file store. A transfer is repeated until all of it is through: the kernel may
 * stop early at any place. Direct transfers whose memory does not suit the disk go through
 * buffers of the channel, in pieces.
 */
#include "store/file/file.h"
#include "store/iov.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOUNCE_BYTES ((size_t)256 << 10)
#define BOUNCE_ALIGN 4096u
/* Of one channel; further requests wait. */
#define BOUNCE_MAX 32
/* Copying more than that would keep the loop from its other work. */
#define HERE_BYTES_MAX ((uint64_t)1 << 20)
/* Iovecs of a transfer that goes on in the middle of the bio's. */
#define REST_IOV_MAX 32

struct file_channel;

struct file_req {
    struct loop_file_req io;
    struct file_channel *c;
    struct bio *bio;
    struct file_req *next; /* while it is free */
    struct list waiting;   /* for a bounce buffer */
    uint8_t *bounce;
    uint64_t pos; /* bytes of the bio that are through */
    struct iovec rest[REST_IOV_MAX];
};

struct file_channel {
    struct store_channel ch;
    struct file_store *f;
    struct file_req *spare;
    uint8_t *bounce[BOUNCE_MAX]; /* those that are free */
    unsigned bounce_free, bounce_made;
    struct list waiting;
};

int file_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    (void)loop;
    struct file_channel *c = calloc(1, sizeof *c);
    if (!c)
        return USAN_ENOMEM;
    c->f = list_entry(s, struct file_store, store);
    list_init(&c->waiting);
    *ret_ch = &c->ch;
    return 0;
}

void file_channel_close(struct store_channel *ch)
{
    struct file_channel *c = list_entry(ch, struct file_channel, ch);
    assert(list_empty(&c->waiting) && c->bounce_free == c->bounce_made);
    while (c->bounce_free)
        free(c->bounce[--c->bounce_free]);
    struct file_req *next;
    for (struct file_req *r = c->spare; r; r = next) {
        next = r->next;
        free(r);
    }
    free(c);
}

static void transfer(struct file_req *r);

static struct file_req *req_get(struct file_channel *c, struct bio *bio)
{
    struct file_req *r = c->spare;
    if (r)
        c->spare = r->next;
    else
        r = malloc(sizeof *r);
    if (!r)
        return NULL;
    r->io = (struct loop_file_req){ .fd = c->f->fd };
    r->c = c;
    r->bio = bio;
    r->bounce = NULL;
    r->pos = 0;
    return r;
}

/* A buffer that comes back goes on to the one that has waited longest. */
static void bounce_put(struct file_channel *c, uint8_t *buf)
{
    struct list *node = list_pop_front(&c->waiting);
    if (!node) {
        c->bounce[c->bounce_free++] = buf;
        return;
    }
    struct file_req *r = list_entry(node, struct file_req, waiting);
    r->bounce = buf;
    transfer(r);
}

static void finish(struct file_req *r, int err)
{
    struct file_channel *c = r->c;
    uint8_t *bounce = r->bounce;
    if (err == USAN_EIO)
        r->bio->err_off = r->bio->off + r->pos;
    store_complete(&c->ch, r->bio, err);
    r->next = c->spare;
    c->spare = r;
    if (bounce)
        bounce_put(c, bounce);
}

/* What the initiator is told; any fault that is not about space is the medium's. */
static int medium_error(int64_t res)
{
    switch (-res) {
    case ENOSPC:
    case EDQUOT:
        return USAN_ENOSPC;
    case ENOMEM:
        return USAN_ENOMEM;
    case EOPNOTSUPP:
        return USAN_ENOTSUP;
    default:
        return USAN_EIO;
    }
}

static void remember_sync_err(struct file_channel *c, int err)
{
    int none = 0;
    (void)__atomic_compare_exchange_n(&c->f->sync_err, &none, err, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED);
}

static int sync_err(const struct file_channel *c)
{
    return __atomic_load_n(&c->f->sync_err, __ATOMIC_RELAXED);
}

/* ---- READ and WRITE ---- */

/* Bytes that this call moved and that count: a direct transfer can only go on at a block. */
static uint64_t progress(const struct file_req *r)
{
    uint64_t n = (uint64_t)r->io.res;
    if (r->c->f->direct && r->pos + n < r->bio->len)
        n -= n % r->c->f->store.info.block_bytes;
    return n;
}

static void transfer_done(struct loop_file_req *io)
{
    struct file_req *r = list_entry(io, struct file_req, io);
    struct bio *bio = r->bio;
    if (io->res == -EINTR) {
        transfer(r);
        return;
    }
    if (io->res < 0) {
        int err = medium_error(io->res);
        /* It may have been the report about earlier data, which is made only once. */
        if (bio->op == BIO_WRITE && bio->flags & BIO_F_FUA && err == USAN_EIO)
            remember_sync_err(r->c, err);
        finish(r, err);
        return;
    }
    uint64_t n = progress(r);
    if (!n) { /* the file is shorter than when it was opened */
        finish(r, USAN_EIO);
        return;
    }
    if (bio->op == BIO_READ && r->bounce) {
        struct iov_cur cur = { .v = bio->iov };
        iov_cur_skip(&cur, (size_t)r->pos);
        iov_cur_write(&cur, r->bounce, (size_t)n);
    }
    r->pos += n;
    if (r->pos < bio->len)
        transfer(r);
    else
        finish(r, 0);
}

/* The iovecs from r->pos on, as many as fit. */
static void set_rest(struct file_req *r)
{
    struct iov_cur cur = { .v = r->bio->iov };
    uint64_t left = r->bio->len - r->pos;
    int n = 0;
    iov_cur_skip(&cur, (size_t)r->pos);
    while (left && n < REST_IOV_MAX) {
        uint8_t *p;
        size_t piece = iov_cur_piece(&cur, &p);
        r->rest[n++] = (struct iovec){ .iov_base = p, .iov_len = piece };
        cur.in += piece;
        left -= piece;
    }
    r->io.iov = r->rest;
    r->io.iovcnt = n;
}

static void set_bounce(struct file_req *r)
{
    uint64_t left = r->bio->len - r->pos;
    size_t n = left < BOUNCE_BYTES ? (size_t)left : BOUNCE_BYTES;
    if (r->bio->op == BIO_WRITE) {
        struct iov_cur cur = { .v = r->bio->iov };
        iov_cur_skip(&cur, (size_t)r->pos);
        iov_cur_read(&cur, r->bounce, n);
    }
    r->rest[0] = (struct iovec){ .iov_base = r->bounce, .iov_len = n };
    r->io.iov = r->rest;
    r->io.iovcnt = 1;
}

static void transfer(struct file_req *r)
{
    const struct bio *bio = r->bio;
    r->io.op = bio->op == BIO_READ ? LOOP_FILE_READV : LOOP_FILE_WRITEV;
    r->io.flags = bio->op == BIO_WRITE && bio->flags & BIO_F_FUA ? RWF_DSYNC : 0;
    r->io.here = r->c->f->facts.in_memory && bio->len <= HERE_BYTES_MAX;
    r->io.off = bio->off + r->pos;
    r->io.done = transfer_done;
    if (r->bounce) {
        set_bounce(r);
    } else if (r->pos) {
        set_rest(r);
    } else {
        r->io.iov = bio->iov;
        r->io.iovcnt = bio->iovcnt;
    }
    loop_file_submit(r->c->ch.loop, &r->io);
}

static bool needs_bounce(const struct file_store *f, const struct bio *bio)
{
    if (!f->direct)
        return false;
    for (int i = 0; i < bio->iovcnt; i++) {
        if ((uintptr_t)bio->iov[i].iov_base % f->facts.mem_align ||
            bio->iov[i].iov_len % f->store.info.block_bytes)
            return true;
    }
    return false;
}

static void transfer_start(struct file_req *r)
{
    struct file_channel *c = r->c;
    if (!needs_bounce(c->f, r->bio)) {
        transfer(r);
        return;
    }
    if (c->bounce_free) {
        r->bounce = c->bounce[--c->bounce_free];
    } else {
        void *buf;
        if (c->bounce_made == BOUNCE_MAX || posix_memalign(&buf, BOUNCE_ALIGN, BOUNCE_BYTES)) {
            if (c->bounce_made)
                list_push_back(&c->waiting, &r->waiting);
            else
                finish(r, USAN_ENOMEM);
            return;
        }
        c->bounce_made++;
        r->bounce = buf;
    }
    transfer(r);
}

/* ---- FLUSH, UNMAP, WRITE_ZEROES ---- */

static void sync_done(struct loop_file_req *io)
{
    struct file_req *r = list_entry(io, struct file_req, io);
    int err = 0;
    if (io->res == -EINTR) {
        loop_file_submit(r->c->ch.loop, io);
        return;
    }
    if (io->res < 0) {
        err = medium_error(io->res);
        remember_sync_err(r->c, err);
    }
    finish(r, err ? err : sync_err(r->c));
}

static void sync_start(struct file_req *r)
{
    int err = sync_err(r->c);
    if (err) {
        finish(r, err);
        return;
    }
    r->io.op = LOOP_FILE_DATASYNC;
    r->io.flags = 0;
    r->io.here = r->c->f->facts.in_memory;
    r->io.done = sync_done;
    loop_file_submit(r->c->ch.loop, &r->io);
}

static void allocate(struct file_req *r, uint32_t mode);

static void allocate_done(struct loop_file_req *io)
{
    struct file_req *r = list_entry(io, struct file_req, io);
    const struct bio *bio = r->bio;
    if (io->res == -EINTR)
        loop_file_submit(r->c->ch.loop, io);
    else if (io->res == -EOPNOTSUPP && bio->op == BIO_WRITE_ZEROES &&
             io->flags & FALLOC_FL_PUNCH_HOLE)
        allocate(r, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
    else if (io->res < 0)
        finish(r, medium_error(io->res));
    else if (bio->flags & BIO_F_FUA)
        sync_start(r);
    else
        finish(r, 0);
}

static void allocate(struct file_req *r, uint32_t mode)
{
    r->io.op = LOOP_FILE_FALLOCATE;
    r->io.flags = mode;
    r->io.here = false;
    r->io.off = r->bio->off;
    r->io.len = r->bio->len;
    r->io.done = allocate_done;
    loop_file_submit(r->c->ch.loop, &r->io);
}

/* Only looks at what the file system has in memory anyway, so it is not worth a thread. */
static int map_status(struct file_channel *c, struct bio *bio)
{
    off_t off = (off_t)bio->off, next;
    off_t data = lseek(c->f->fd, off, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return medium_error(-errno);
    bio->mapped = data == off;
    if (bio->mapped)
        next = lseek(c->f->fd, off, SEEK_HOLE);
    else
        next = data;
    /* ENXIO: no data up to the end */
    uint64_t run = next > off ? (uint64_t)(next - off) : bio->len;
    run -= run % c->f->store.info.block_bytes;
    if (!run) { /* the state changes within a block: it counts as data */
        bio->mapped = true;
        run = c->f->store.info.block_bytes;
    }
    bio->run_len = run < bio->len ? run : bio->len;
    return 0;
}

void file_channel_submit(struct store_channel *ch, struct bio *bio)
{
    struct file_channel *c = list_entry(ch, struct file_channel, ch);
    if (bio->op == BIO_MAP_STATUS) {
        store_complete(ch, bio, map_status(c, bio));
        return;
    }
    int err = bio->flags & BIO_F_FUA ? sync_err(c) : 0;
    struct file_req *r = err ? NULL : req_get(c, bio);
    if (!r) {
        store_complete(ch, bio, err ? err : USAN_ENOMEM);
        return;
    }
    switch (bio->op) {
    case BIO_READ:
    case BIO_WRITE:
        transfer_start(r);
        break;
    case BIO_FLUSH:
        sync_start(r);
        break;
    case BIO_UNMAP:
        allocate(r, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
        break;
    case BIO_WRITE_ZEROES:
        allocate(r, bio->flags & BIO_F_MAY_UNMAP && c->f->facts.can_unmap
                        ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
                        : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
        break;
    case BIO_MAP_STATUS:
    case BIO_COMPARE_AND_WRITE:
    case BIO_OP_COUNT:
    default:
        finish(r, USAN_ENOTSUP);
        break;
    }
}
