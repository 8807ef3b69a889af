/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of requests. An id is the index of a request and how many have used that place before,
 * so that one that is over is never taken for another.
 */
#include "lib/lib.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_NS (10 * NS_PER_MS)

static uint64_t id_of(const struct request *r)
{
    return (uint64_t)r->generation << 32 | ((uint64_t)r->index + 1);
}

/* [lock] */
static struct request *find(const struct usan_ctx *ctx, uint64_t id)
{
    uint64_t index = (id & UINT32_MAX) - 1;
    if (index / REQUEST_CHUNK >= ctx->chunk_count)
        return NULL;
    struct request *r = &ctx->chunks[index / REQUEST_CHUNK][index % REQUEST_CHUNK];
    return r->taken && id_of(r) == id ? r : NULL;
}

/* ---- places ---- */

/* [lock] */
static bool grow(struct usan_ctx *ctx)
{
    struct request **chunks = reallocarray(ctx->chunks, ctx->chunk_count + 1, sizeof(*ctx->chunks));
    if (!chunks)
        return false;
    ctx->chunks = chunks;
    struct request *chunk = calloc(REQUEST_CHUNK, sizeof(*chunk));
    if (!chunk)
        return false;
    for (unsigned i = 0; i < REQUEST_CHUNK; i++) {
        chunk[i].ctx = ctx;
        chunk[i].index = ctx->chunk_count * REQUEST_CHUNK + i;
        list_init(&chunk[i].again_node);
        list_init(&chunk[i].notice.node);
        chunk[i].next_spare = ctx->spare;
        ctx->spare = &chunk[i];
    }
    ctx->chunks[ctx->chunk_count++] = chunk;
    return true;
}

/* [lock] */
static void give_back(struct request *r)
{
    if (--r->holds)
        return;
    r->generation++;
    r->next_spare = r->ctx->spare;
    r->ctx->spare = r;
}

void requests_fini(struct usan_ctx *ctx)
{
    for (unsigned i = 0; i < ctx->chunk_count; i++) {
        for (unsigned j = 0; j < REQUEST_CHUNK; j++)
            free(ctx->chunks[i][j].more);
        free(ctx->chunks[i]);
    }
    free(ctx->chunks);
}

/* ---- begin ---- */

/* [lock] */
static int take(struct usan_ctx *ctx, struct usan_disk *disk, const struct begin *b,
                struct request **ret_request)
{
    if (disk && disk->closing)
        return USAN_ECLOSED;
    if (ctx->busy >= ctx->requests_max)
        return USAN_ELIMIT;
    if (!ctx->spare && !grow(ctx))
        return USAN_ENOMEM;
    struct request *r = ctx->spare;
    ctx->spare = r->next_spare;
    ctx->busy++;
    r->taken = true;
    r->holds = 1;
    r->channel = NULL;
    if (disk) {
        disk->in_flight++;
        unsigned i = b->kind == REQUEST_IO ? disk->next_channel++ % disk->channel_count : 0;
        r->channel = &disk->channels[i];
    }
    *ret_request = r;
    return 0;
}

int request_begin(struct usan_ctx *ctx, struct usan_disk *disk, const struct begin *b,
                  struct request **ret_request)
{
    struct request *r = NULL;
    if (!b->done)
        return fail(USAN_EINVAL, "done is not set");
    ctx_lock(ctx);
    int err = take(ctx, disk, b, &r);
    ctx_unlock(ctx);
    if (err)
        return fail(err, "%s",
                    err == USAN_ECLOSED  ? "the disk is being closed"
                    : err == USAN_ELIMIT ? "as many requests as the context may have are under way"
                                         : usan_strerror(err));
    r->reactor = r->channel ? r->channel->reactor : &ctx->reactors[0];
    r->kind = b->kind;
    r->done = b->done;
    r->user = b->user;
    r->direct = b->direct;
    r->disk = disk;
    r->canceling = r->finished = false;
    r->code = 0;
    r->extra = NULL;
    r->opened = NULL;
    r->scsi = NULL;
    r->targets = NULL;
    r->target_count = 0;
    r->tmf_response = 0;
    if (b->ret_id)
        *b->ret_id = id_of(r);
    *ret_request = r;
    return 0;
}

/* Its done function has returned, or will not be called. */
static void over(struct request *r)
{
    struct usan_ctx *ctx = r->ctx;
    struct usan_disk *disk = r->disk;
    if (r->kind == REQUEST_COMMAND || r->kind == REQUEST_TMF)
        command_over(r);
    free(r->failure);
    r->failure = NULL;
    ctx_lock(ctx);
    r->taken = false;
    ctx->busy--;
    give_back(r);
    ctx_unlock(ctx);
    if (disk)
        disk_request_over(disk);
}

void request_withdraw(struct request *r)
{
    over(r);
}

/* ---- start ---- */

static void start(struct request *r)
{
    switch (r->kind) {
    case REQUEST_IO:
        io_start(r);
        break;
    case REQUEST_COMMAND:
        command_start(r);
        break;
    case REQUEST_TMF:
        management_start(r);
        break;
    case REQUEST_JOB:
    case REQUEST_CLOSE: /* have their own ways */
        break;
    }
}

static void start_posted(struct loop_msg *m)
{
    start(list_entry(m, struct request, start_msg));
}

void request_start(struct request *r)
{
    struct loop *loop = r->reactor->loop;
    if (reactor_here() == r->reactor) {
        start(r);
    } else if (r->ctx->mode == USAN_LOOP) {
        loop_step_enter(loop);
        start(r);
        loop_wake(loop);
    } else {
        r->start_msg.deliver = start_posted;
        loop_post(loop, &r->start_msg);
    }
}

/* ---- end ---- */

struct failure *request_failure(struct request *r)
{
    if (!r->failure)
        r->failure = malloc(sizeof(*r->failure));
    return r->failure;
}

static void deliver(struct notice *n)
{
    struct request *r = list_entry(n, struct request, notice);
    struct usan_result result = { .id = id_of(r),
                                  .code = r->code,
                                  .disk = r->opened,
                                  .scsi = r->scsi,
                                  .targets = r->targets,
                                  .target_count = r->target_count,
                                  .tmf_response = r->tmf_response };
    if (r->code) {
        if (r->failure)
            failure_copy(failure_last(), r->failure);
        else
            (void)fail(r->code, "%s", usan_strerror(r->code));
        result.error = usan_last_error();
    }
    if (r->opened)
        atomic_store(&r->opened->known, true);
    r->done(r->user, &result);
    over(r);
}

void request_finish(struct request *r, int code)
{
    assert(!r->finished);
    r->finished = true;
    r->code = code;
    list_del(&r->again_node);
    r->notice.deliver = deliver;
    if (r->direct)
        deliver(&r->notice);
    else
        ctx_notify(r->ctx, &r->notice);
}

static void finish_posted(struct loop_msg *m)
{
    struct request *r = list_entry(m, struct request, start_msg);
    request_finish(r, r->code);
}

void request_finish_later(struct request *r, int code)
{
    r->code = code;
    r->start_msg.deliver = finish_posted;
    loop_post(r->reactor->loop, &r->start_msg);
}

/* ---- cancellation ---- */

/* USAN_EAGAIN: no room for it now. */
static int cancel(struct request *r)
{
    if (r->finished)
        return 0;
    if (r->kind == REQUEST_IO) /* files and memory see it through */
        return store_cancel(r->channel->ch, &r->bio) == USAN_EAGAIN ? USAN_EAGAIN : 0;
    if (r->kind == REQUEST_COMMAND)
        return command_cancel(r);
    if (r->kind == REQUEST_JOB) { /* what its thread still does is of no interest any more */
        struct job *job = r->extra;
        job->request = NULL;
        request_finish(r, USAN_ECANCELED);
    }
    return 0;
}

static void try_cancel(struct request *r)
{
    struct reactor *at = r->reactor;
    if (cancel(r) == 0)
        return;
    list_push_back(&at->again, &r->again_node);
    if (loop_timer_set(at->loop, &at->again_timer, loop_now(at->loop) + AGAIN_NS))
        list_del(&r->again_node); /* out of memory: it runs on to its own end */
}

static void again_fired(struct loop_timer *t)
{
    struct reactor *at = list_entry(t, struct reactor, again_timer);
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &at->again);
    for (struct list *node; (node = list_pop_front(&batch));)
        try_cancel(list_entry(node, struct request, again_node));
}

void requests_init(struct reactor *r)
{
    list_init(&r->again);
    loop_timer_init(&r->again_timer, again_fired);
}

static void cancel_posted(struct loop_msg *m)
{
    struct request *r = list_entry(m, struct request, cancel_msg);
    struct usan_ctx *ctx = r->ctx;
    try_cancel(r);
    ctx_lock(ctx);
    give_back(r);
    ctx_unlock(ctx);
}

int usan_cancel(struct usan_ctx *ctx, uint64_t id)
{
    ctx_lock(ctx);
    struct request *r = find(ctx, id);
    bool first = r && !r->canceling;
    if (first) {
        r->canceling = true;
        r->holds++;
    }
    ctx_unlock(ctx);
    if (first) {
        r->cancel_msg.deliver = cancel_posted;
        loop_post(r->reactor->loop, &r->cancel_msg);
    }
    return r ? 0 : fail(USAN_ENOENT, "usan_cancel: there is no such request");
}
