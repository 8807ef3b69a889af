/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Read, write and the like, on the caller's memory. */
#include "lib/lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of enum bio_op: the name, and the flags that are allowed. */
static const struct {
    const char *name;
    unsigned flags;
    bool iovecs;
} ops[BIO_OP_COUNT] = {
    [BIO_READ] = { "read", USAN_DONTCACHE, true },
    [BIO_WRITE] = { "write", USAN_FUA | USAN_DONTCACHE, true },
    [BIO_FLUSH] = { "flush", 0, false },
    [BIO_UNMAP] = { "trim", USAN_FUA, false },
    [BIO_WRITE_ZEROES] = { "write zeroes", USAN_FUA | USAN_MAY_TRIM | USAN_FAST_ZERO, false },
    [BIO_COMPARE_AND_WRITE] = { "compare and write", USAN_FUA, true },
};

static uint32_t bio_flags(unsigned flags)
{
    static const uint32_t map[][2] = {
        { USAN_FUA, BIO_F_FUA },
        { USAN_DONTCACHE, BIO_F_DPO },
        { USAN_MAY_TRIM, BIO_F_MAY_UNMAP },
        { USAN_FAST_ZERO, BIO_F_FAST_ZERO },
    };
    uint32_t out = 0;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        out |= flags & map[i][0] ? map[i][1] : 0;
    return out;
}

/* ---- the end ---- */

static void explain(struct request *r)
{
    const struct bio *bio = &r->bio;
    const struct failure *bad = channel_take_bad(r->channel, bio);
    if (bio->err == USAN_ECANCELED)
        bad = NULL; /* what happened before is not why */
    struct failure *f = request_failure(r);
    if (!f)
        return;
    if (bad)
        failure_copy(f, bad);
    else
        failure_set(f, bio->err, "%s", "");
    struct usan_error e = f->e;
    char words[200];
    (void)snprintf(words, sizeof(words), "%.199s", bad ? bad->text : usan_strerror(bio->err));
    failure_set(f, bio->err, "%.120s: %s of %llu bytes at %llu: %s", r->disk->name,
                ops[bio->op].name, (unsigned long long)bio->len, (unsigned long long)bio->off,
                words);
    e.code = bio->err;
    e.offset = bio->err == USAN_EIO || bio->err == USAN_EMISCOMPARE ? bio->err_off : bio->off;
    f->e = e;
}

static void io_done(struct bio *bio)
{
    struct request *r = list_entry(bio, struct request, bio);
    if (bio->err)
        explain(r);
    request_finish(r, bio->err);
}

void io_start(struct request *r)
{
    store_submit(r->channel->ch, &r->bio);
}

/* ---- the beginning ---- */

/* Sum of the lengths; false: they are too many or too long. */
static bool iov_sum(const struct io *io, uint64_t *ret_sum)
{
    uint64_t sum = 0;
    if (io->iovcnt < 0 || io->iovcnt > USAN_IOV_MAX)
        return false;
    for (int i = 0; i < io->iovcnt; i++) {
        if (io->iov[i].iov_len > INT64_MAX - sum)
            return false;
        sum += io->iov[i].iov_len;
    }
    *ret_sum = sum;
    return true;
}

static int copy_iov(struct request *r, const struct io *io)
{
    struct iovec *to = r->iov;
    if (io->iovcnt > REQUEST_IOV) {
        if (io->iovcnt > r->more_cap) {
            free(r->more);
            r->more_cap = 0;
            r->more = calloc((size_t)io->iovcnt, sizeof(*r->more));
            if (!r->more)
                return USAN_ENOMEM;
            r->more_cap = io->iovcnt;
        }
        to = r->more;
    }
    if (io->iovcnt)
        memcpy(to, io->iov, (size_t)io->iovcnt * sizeof(*to));
    r->bio.iov = to;
    r->bio.iovcnt = io->iovcnt;
    return 0;
}

int io_begin(struct usan_disk *disk, const struct io *io, const struct begin *b)
{
    uint64_t len = io->len;
    struct request *r;
    if (io->flags & ~ops[io->op].flags)
        return fail(USAN_EINVAL, "%s: a flag that it does not have", ops[io->op].name);
    if (ops[io->op].iovecs && !iov_sum(io, &len))
        return fail(USAN_EINVAL, "%s: too many iovecs, or too long", ops[io->op].name);
    if (io->op == BIO_COMPARE_AND_WRITE) {
        if (len % 2)
            return fail(USAN_EINVAL, "compare and write: not as many bytes to write");
        len /= 2;
    }
    int err = request_begin(disk->ctx, disk, b, &r);
    if (err)
        return err;
    memset(&r->bio, 0, sizeof(r->bio));
    r->bio.op = io->op;
    r->bio.flags = bio_flags(io->flags);
    r->bio.off = io->off;
    r->bio.len = len;
    r->bio.done = io_done;
    if (copy_iov(r, io)) {
        request_withdraw(r);
        return fail(USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    request_start(r);
    return 0;
}

/* ---- the header ---- */

static int begin(struct usan_disk *disk, const struct io *io, usan_done_fn *done, void *user,
                 uint64_t *ret_id)
{
    const struct begin b = { .kind = REQUEST_IO, .done = done, .user = user, .ret_id = ret_id };
    return io_begin(disk, io, &b);
}

int usan_read(struct usan_disk *disk, const struct iovec *iov, int iovcnt, uint64_t off,
              unsigned flags, usan_done_fn *done, void *user, uint64_t *ret_id)
{
    const struct io io = {
        .op = BIO_READ, .flags = flags, .iov = iov, .iovcnt = iovcnt, .off = off
    };
    return begin(disk, &io, done, user, ret_id);
}

int usan_write(struct usan_disk *disk, const struct iovec *iov, int iovcnt, uint64_t off,
               unsigned flags, usan_done_fn *done, void *user, uint64_t *ret_id)
{
    const struct io io = {
        .op = BIO_WRITE, .flags = flags, .iov = iov, .iovcnt = iovcnt, .off = off
    };
    return begin(disk, &io, done, user, ret_id);
}

int usan_flush(struct usan_disk *disk, usan_done_fn *done, void *user, uint64_t *ret_id)
{
    const struct io io = { .op = BIO_FLUSH };
    return begin(disk, &io, done, user, ret_id);
}

int usan_trim(struct usan_disk *disk, uint64_t off, uint64_t len, unsigned flags,
              usan_done_fn *done, void *user, uint64_t *ret_id)
{
    const struct io io = { .op = BIO_UNMAP, .flags = flags, .off = off, .len = len };
    return begin(disk, &io, done, user, ret_id);
}

int usan_write_zeroes(struct usan_disk *disk, uint64_t off, uint64_t len, unsigned flags,
                      usan_done_fn *done, void *user, uint64_t *ret_id)
{
    const struct io io = { .op = BIO_WRITE_ZEROES, .flags = flags, .off = off, .len = len };
    return begin(disk, &io, done, user, ret_id);
}

int usan_compare_and_write(struct usan_disk *disk, const struct iovec *iov, int iovcnt,
                           uint64_t off, unsigned flags, usan_done_fn *done, void *user,
                           uint64_t *ret_id)
{
    const struct io io = {
        .op = BIO_COMPARE_AND_WRITE, .flags = flags, .iov = iov, .iovcnt = iovcnt, .off = off
    };
    return begin(disk, &io, done, user, ret_id);
}
