/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a disk: the store in a thread, its channels on the reactors. */
#include "lib/lib.h"

#include <stdlib.h>
#include <string.h>

struct opening {
    struct job job;
    char *spec; /* may hold a secret */
    struct usan_open_options options;
    struct store *store;
    int err;
    struct err_text e;
};

static void opening_free(struct opening *o)
{
    explicit_bzero(o->spec, strlen(o->spec));
    free(o->spec);
    free(o);
}

static void work(struct job *job)
{
    struct opening *o = list_entry(job, struct opening, job);
    bool read_only = o->options.flags & USAN_OPEN_READ_ONLY;
    o->err = store_open_spec(o->spec, read_only, &o->store, &o->e);
}

static void forgotten(void *user, const struct usan_result *result)
{
    struct opening *o = user;
    (void)result;
    job_end(&o->job);
    opening_free(o);
}

static void failed(struct job *job, int err, const struct err_text *e)
{
    struct opening *o = list_entry(job, struct opening, job);
    o->err = err;
    o->e = *e;
}

/* The request is over, if it is still there. */
static void end(struct opening *o, struct usan_disk *disk)
{
    struct usan_ctx *ctx = o->job.ctx;
    struct request *r = o->job.request;
    if (disk && !r) { /* cancelled: nobody wants it, and the context ends after it */
        disk_close(disk, forgotten, o, true);
        return;
    }
    if (disk) {
        disk->counted = true;
        ctx_lock(ctx);
        ctx->disks++;
        ctx_unlock(ctx);
    }
    if (r) {
        r->opened = disk;
        if (o->err && request_failure(r))
            failure_set(r->failure, o->err, "%s", *o->e.text ? o->e.text : usan_strerror(o->err));
        request_finish(r, o->err);
    }
    job_end(&o->job);
    opening_free(o);
}

static void opened(struct usan_disk *disk, int err, void *arg)
{
    struct opening *o = arg;
    o->err = err;
    if (err)
        (void)err_set(&o->e, err, "%s: %s", store_spec_text(o->spec).s, usan_strerror(err));
    end(o, disk);
}

static void over(struct job *job)
{
    struct opening *o = list_entry(job, struct opening, job);
    if (!o->err && !job->request) { /* cancelled: nobody wants it */
        store_close(o->store);
        end(o, NULL);
        return;
    }
    if (!o->err)
        o->err = disk_open_channels(job->ctx, o->store, o->spec, &o->options, opened, o);
    if (o->err)
        end(o, NULL);
}

static int read_options(const struct usan_open_options *options, struct usan_open_options *ret)
{
    struct usan_open_options o = { .size = sizeof(o) };
    if (options && (options->size < sizeof(o.size) || options->size > 4096))
        return fail(USAN_EINVAL, "usan_open: size is not set");
    if (options)
        memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
    if (o.flags & ~(unsigned)USAN_OPEN_READ_ONLY || o.channels > USAN_CHANNELS_MAX)
        return fail(USAN_EINVAL, "usan_open: flags or channels are out of range");
    *ret = o;
    return 0;
}

int open_begin(struct usan_ctx *ctx, const char *spec, const struct usan_open_options *options,
               const struct begin *b)
{
    struct opening *o = calloc(1, sizeof(*o));
    struct request *r = NULL;
    if (!o || !(o->spec = strdup(spec))) {
        free(o);
        return fail(USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    o->job.work = work;
    o->job.failed = failed;
    o->job.over = over;
    int err = read_options(options, &o->options);
    if (!err)
        err = request_begin(ctx, NULL, b, &r);
    if (err)
        opening_free(o);
    else
        job_start(&o->job, ctx, r);
    return err;
}

int usan_open(struct usan_ctx *ctx, const char *spec, const struct usan_open_options *options,
              usan_done_fn *done, void *user, uint64_t *ret_id)
{
    const struct begin b = { .kind = REQUEST_JOB, .done = done, .user = user, .ret_id = ret_id };
    return open_begin(ctx, spec, options, &b);
}
