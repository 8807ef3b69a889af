/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For callers that wait. */
#include "lib/lib.h"

#include <string.h>

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool over; /* [lock] the rest is set */
    int code;
    uint32_t in_bytes;
    struct usan_disk *disk;
    struct failure failure;
};

static void waiter_init(struct waiter *w)
{
    memset(w, 0, sizeof(*w));
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->cond, NULL);
}

static void waiter_done(void *user, const struct usan_result *result)
{
    struct waiter *w = user;
    (void)pthread_mutex_lock(&w->lock);
    w->code = result->code;
    w->disk = result->disk;
    w->in_bytes = result->scsi ? result->scsi->in_bytes : 0;
    if (result->code)
        failure_copy(&w->failure, failure_last());
    w->over = true;
    (void)pthread_cond_signal(&w->cond);
    (void)pthread_mutex_unlock(&w->lock);
}

static void wait_on(struct usan_ctx *ctx, struct waiter *w)
{
    if (ctx->mode == USAN_LOOP) {
        while (!w->over)
            (void)usan_ctx_wait(ctx, -1);
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    while (!w->over)
        (void)pthread_cond_wait(&w->cond, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

/* begun: what the function that began the request returned. */
static int waiter_end(struct usan_ctx *ctx, struct waiter *w, int begun)
{
    if (!begun) {
        wait_on(ctx, w);
        begun = w->code;
        if (begun)
            failure_copy(failure_last(), &w->failure);
    }
    (void)pthread_cond_destroy(&w->cond);
    (void)pthread_mutex_destroy(&w->lock);
    return begun;
}

static struct begin begin_for(struct waiter *w, enum request_kind kind)
{
    return (struct begin){ .kind = kind, .done = waiter_done, .user = w, .direct = true };
}

static int not_inside(const struct usan_ctx *ctx)
{
    return ctx_is_inside(ctx) ? fail(USAN_EINVAL, "waiting inside of a callback") : 0;
}

/* ---- disks ---- */

static int open_in(struct usan_ctx *ctx, const char *spec, const struct usan_open_options *options,
                   struct usan_disk **ret_disk)
{
    struct waiter w;
    int err = not_inside(ctx);
    if (err)
        return err;
    waiter_init(&w);
    const struct begin b = begin_for(&w, REQUEST_JOB);
    err = waiter_end(ctx, &w, open_begin(ctx, spec, options, &b));
    if (!err)
        *ret_disk = w.disk;
    return err;
}

int usan_open_wait(struct usan_ctx *ctx, const char *spec, const struct usan_open_options *options,
                   struct usan_disk **ret_disk)
{
    const struct usan_ctx_options co = { .size = sizeof(co), .mode = USAN_REACTORS };
    struct usan_ctx *own = NULL;
    if (ctx)
        return open_in(ctx, spec, options, ret_disk);
    int err = usan_ctx_new(&co, &own);
    if (err)
        return err;
    err = open_in(own, spec, options, ret_disk);
    if (err) {
        struct failure f;
        failure_copy(&f, failure_last());
        (void)usan_ctx_free(own);
        failure_copy(failure_last(), &f);
        return err;
    }
    (*ret_disk)->own_ctx = true;
    return 0;
}

void usan_close_wait(struct usan_disk *disk)
{
    struct waiter w;
    if (!disk || not_inside(disk->ctx))
        return;
    struct usan_ctx *ctx = disk->ctx;
    bool own_ctx = disk->own_ctx;
    waiter_init(&w);
    disk_close(disk, waiter_done, &w, true);
    (void)waiter_end(ctx, &w, 0);
    if (own_ctx)
        (void)usan_ctx_free(ctx);
}

/* ---- requests ---- */

static int run(struct usan_disk *disk, const struct io *io)
{
    struct waiter w;
    int err = not_inside(disk->ctx);
    if (err)
        return err;
    waiter_init(&w);
    const struct begin b = begin_for(&w, REQUEST_IO);
    return waiter_end(disk->ctx, &w, io_begin(disk, io, &b));
}

int usan_preadv(struct usan_disk *disk, const struct iovec *iov, int iovcnt, uint64_t off)
{
    const struct io io = { .op = BIO_READ, .iov = iov, .iovcnt = iovcnt, .off = off };
    return run(disk, &io);
}

int usan_pwritev(struct usan_disk *disk, const struct iovec *iov, int iovcnt, uint64_t off,
                 unsigned flags)
{
    const struct io io = {
        .op = BIO_WRITE, .flags = flags, .iov = iov, .iovcnt = iovcnt, .off = off
    };
    return run(disk, &io);
}

int usan_pread(struct usan_disk *disk, void *buf, size_t len, uint64_t off)
{
    const struct iovec iov = { .iov_base = buf, .iov_len = len };
    return usan_preadv(disk, &iov, 1, off);
}

/* An iovec has no const; what is written is only read. */
static void *only_read(const void *p)
{
    union {
        const void *in;
        void *out;
    } u = { .in = p };
    return u.out;
}

int usan_pwrite(struct usan_disk *disk, const void *buf, size_t len, uint64_t off, unsigned flags)
{
    const struct iovec iov = { .iov_base = only_read(buf), .iov_len = len };
    return usan_pwritev(disk, &iov, 1, off, flags);
}

int usan_pflush(struct usan_disk *disk)
{
    const struct io io = { .op = BIO_FLUSH };
    return run(disk, &io);
}

int usan_ptrim(struct usan_disk *disk, uint64_t off, uint64_t len, unsigned flags)
{
    const struct io io = { .op = BIO_UNMAP, .flags = flags, .off = off, .len = len };
    return run(disk, &io);
}

int usan_pwrite_zeroes(struct usan_disk *disk, uint64_t off, uint64_t len, unsigned flags)
{
    const struct io io = { .op = BIO_WRITE_ZEROES, .flags = flags, .off = off, .len = len };
    return run(disk, &io);
}

int usan_pcompare_and_write(struct usan_disk *disk, const void *compare, const void *write,
                            size_t len, uint64_t off, unsigned flags)
{
    const struct iovec iov[] = { { .iov_base = only_read(compare), .iov_len = len },
                                 { .iov_base = only_read(write), .iov_len = len } };
    const struct io io = {
        .op = BIO_COMPARE_AND_WRITE, .flags = flags, .iov = iov, .iovcnt = 2, .off = off
    };
    return run(disk, &io);
}

ssize_t usan_scsi_wait(struct usan_disk *disk, const struct usan_scsi *command)
{
    struct waiter w;
    int err = not_inside(disk->ctx);
    if (err)
        return err;
    waiter_init(&w);
    const struct begin b = begin_for(&w, REQUEST_COMMAND);
    err = waiter_end(disk->ctx, &w, command_begin(disk, command, &b));
    return err ? err : (ssize_t)w.in_bytes;
}

int usan_tmf_wait(struct usan_disk *disk, enum usan_tmf function)
{
    struct waiter w;
    int err = not_inside(disk->ctx);
    if (err)
        return err;
    waiter_init(&w);
    const struct begin b = begin_for(&w, REQUEST_TMF);
    return waiter_end(disk->ctx, &w, management_begin(disk, function, &b));
}
