/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/lib.h"

#include "initiator/iscsi_store.h"
#include "initiator/mpath_store.h"
#include "io/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Set while a thread works for a reactor. */
static _Thread_local struct reactor *here;
/* Set while a thread is in usan_ctx_process(), mode USAN_QUEUE. */
static _Thread_local const struct usan_ctx *delivering;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_err;

static void add_stores(void)
{
    static const struct store_ops *const all[] = { &iscsi_store_ops, &mpath_store_ops };
    for (size_t i = 0; !once_err && i < sizeof(all) / sizeof(all[0]); i++)
        once_err = store_registry_add(all[i]);
}

struct reactor *reactor_here(void)
{
    return here;
}

bool ctx_is_inside(const struct usan_ctx *ctx)
{
    if (ctx->mode == USAN_LOOP)
        return ctx->inside;
    return delivering == ctx || (here && here->ctx == ctx);
}

/* ---- what the caller is told ---- */

void ctx_notify(struct usan_ctx *ctx, struct notice *n)
{
    if (ctx->mode != USAN_QUEUE) {
        if (ctx->mode == USAN_LOOP)
            ctx->delivered++;
        n->deliver(n);
        return;
    }
    ctx_lock(ctx);
    notice_push(ctx, n);
    ctx_unlock(ctx);
}

void notice_push(struct usan_ctx *ctx, struct notice *n)
{
    uint64_t value = 1;
    list_push_back(&ctx->notices, &n->node);
    if (ctx->notice_count++ == 0 && write(ctx->notice_fd, &value, sizeof(value)) < 0)
        abort(); /* a counter that is 0 or 1 has room */
}

bool notice_take_back(struct usan_ctx *ctx, struct notice *n)
{
    if (list_empty(&n->node))
        return false;
    list_del(&n->node);
    ctx->notice_count--;
    return true;
}

/* The next one; `left` of those that were there at first. */
static struct notice *next_notice(struct usan_ctx *ctx, unsigned left)
{
    struct list *node = NULL;
    uint64_t value = 1;
    ctx_lock(ctx);
    if (left && (node = list_pop_front(&ctx->notices)))
        ctx->notice_count--;
    else if (ctx->notice_count && write(ctx->notice_fd, &value, sizeof(value)) < 0)
        abort(); /* those that came meanwhile are for the next time */
    ctx_unlock(ctx);
    return node ? list_entry(node, struct notice, node) : NULL;
}

static int deliver_notices(struct usan_ctx *ctx)
{
    uint64_t value;
    int n = 0;
    ctx_lock(ctx);
    (void)!read(ctx->notice_fd, &value, sizeof(value)); /* EAGAIN: there are none */
    unsigned left = ctx->notice_count;
    ctx_unlock(ctx);
    for (struct notice *notice; (notice = next_notice(ctx, left)); left--, n++)
        notice->deliver(notice);
    return n;
}

/* ---- reactors ---- */

static void reactor_run(void *arg)
{
    struct reactor *r = arg;
    here = r;
    loop_run(r->loop);
    here = NULL;
}

static void stop_loop(struct loop_msg *m)
{
    loop_stop(list_entry(m, struct reactor, stop_msg)->loop);
}

static void reactor_fini(struct reactor *r)
{
    if (r->thread.started) {
        r->stop_msg.deliver = stop_loop;
        loop_post(r->loop, &r->stop_msg);
        thread_join(&r->thread);
    }
    if (!r->loop)
        return;
    loop_timer_cancel(r->loop, &r->again_timer);
    if (r->ctx->mode == USAN_LOOP)
        loop_step_end(r->loop);
    loop_free(r->loop);
}

static int reactor_init(struct usan_ctx *ctx, struct reactor *r, unsigned i,
                        enum usan_engine engine, struct err_text *e)
{
    static const enum loop_engine_kind kinds[] = { LOOP_ENGINE_AUTO, LOOP_ENGINE_URING,
                                                   LOOP_ENGINE_EPOLL };
    const struct loop_config lc = {
        .engine = kinds[engine],
        .poll = ctx->mode == USAN_LOOP ? LOOP_POLL_NEVER : LOOP_POLL_AUTO,
        .cpu = -1,
    };
    char name[16];
    r->ctx = ctx;
    requests_init(r);
    int err = loop_new(&lc, &r->loop, e);
    if (err || ctx->mode == USAN_LOOP)
        return err;
    (void)snprintf(name, sizeof(name), "usan-%u", i);
    return thread_start(&r->thread, name, reactor_run, r, e);
}

/* ---- life ---- */

static void ctx_release(struct usan_ctx *ctx)
{
    for (unsigned i = 0; i < ctx->reactor_count; i++)
        reactor_fini(&ctx->reactors[i]);
    requests_fini(ctx);
    if (ctx->notice_fd >= 0)
        (void)close(ctx->notice_fd);
    (void)pthread_cond_destroy(&ctx->idle);
    (void)pthread_mutex_destroy(&ctx->lock);
    free(ctx->reactors);
    free(ctx);
}

static int check_options(struct usan_ctx_options *o)
{
    if ((unsigned)o->mode > USAN_REACTORS || (unsigned)o->engine > USAN_ENGINE_EPOLL)
        return fail(USAN_EINVAL, "usan_ctx_new: there is no such mode or engine");
    if (o->reactors > USAN_REACTORS_MAX || o->requests_max > INT32_MAX)
        return fail(USAN_ERANGE, "usan_ctx_new: too many reactors or requests");
    if (o->mode == USAN_LOOP && o->engine == USAN_ENGINE_URING)
        return fail(USAN_ENOTSUP, "usan_ctx_new: mode USAN_LOOP needs epoll");
    if (o->mode == USAN_LOOP)
        o->engine = USAN_ENGINE_EPOLL;
    if (!o->requests_max)
        o->requests_max = REQUESTS_DEFAULT;
    if (!o->reactors || o->mode == USAN_LOOP)
        o->reactors = 1;
    return 0;
}

static int ctx_make(const struct usan_ctx_options *o, struct usan_ctx **ret_ctx, struct err_text *e)
{
    struct usan_ctx *ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return USAN_ENOMEM;
    ctx->mode = o->mode;
    ctx->requests_max = o->requests_max;
    ctx->notice_fd = -1;
    list_init(&ctx->notices);
    (void)pthread_mutex_init(&ctx->lock, NULL); /* the default kind of both needs nothing */
    (void)pthread_cond_init(&ctx->idle, NULL);
    ctx->reactors = calloc(o->reactors, sizeof(*ctx->reactors));
    int err = ctx->reactors ? 0 : USAN_ENOMEM;
    if (!err && ctx->mode == USAN_QUEUE &&
        (ctx->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        err = err_set(e, usan_err_from_errno(errno), "eventfd: %s", strerror(errno));
    for (unsigned i = 0; !err && i < o->reactors; i++) {
        ctx->reactor_count++;
        err = reactor_init(ctx, &ctx->reactors[i], i, o->engine, e);
    }
    if (err) {
        ctx_release(ctx);
        return err;
    }
    *ret_ctx = ctx;
    return 0;
}

int usan_ctx_new(const struct usan_ctx_options *options, struct usan_ctx **ret_ctx)
{
    struct usan_ctx_options o = { .size = sizeof(o) };
    struct err_text e = { "" };
    if (options && (options->size < sizeof(o.size) || options->size > 4096))
        return fail(USAN_EINVAL, "usan_ctx_new: size is not set");
    if (options)
        memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
    int err = check_options(&o);
    if (err)
        return err;
    (void)pthread_once(&once, add_stores);
    if (once_err)
        return fail(once_err, "usan_ctx_new: %s", usan_strerror(once_err));
    err = ctx_make(&o, ret_ctx, &e);
    if (err)
        return fail(err, "usan_ctx_new: %s", *e.text ? e.text : usan_strerror(err));
    if (o.mode == USAN_LOOP) /* from now on the descriptor tells */
        (void)loop_step((*ret_ctx)->reactors[0].loop, 0);
    return 0;
}

static bool ctx_idle(struct usan_ctx *ctx)
{
    if (ctx->mode == USAN_LOOP)
        return ctx->jobs == 0 && loop_step_deadline(ctx->reactors[0].loop) != 0;
    ctx_lock(ctx);
    while (ctx->jobs)
        (void)pthread_cond_wait(&ctx->idle, &ctx->lock);
    ctx_unlock(ctx);
    return true;
}

int usan_ctx_free(struct usan_ctx *ctx)
{
    if (!ctx)
        return 0;
    if (ctx_is_inside(ctx))
        return fail(USAN_EINVAL, "usan_ctx_free: from inside a callback");
    ctx_lock(ctx);
    unsigned disks = ctx->disks, busy = ctx->busy;
    ctx_unlock(ctx);
    if (disks || busy)
        return fail(USAN_EBUSY, "usan_ctx_free: %u disks are open, %u requests under way", disks,
                    busy);
    while (!ctx_idle(ctx))
        (void)usan_ctx_wait(ctx, -1);
    ctx_release(ctx);
    return 0;
}

/* ---- the caller's loop ---- */

int usan_ctx_fd(const struct usan_ctx *ctx)
{
    return ctx->mode == USAN_LOOP ? loop_step_fd(ctx->reactors[0].loop) : ctx->notice_fd;
}

uint64_t usan_ctx_deadline(const struct usan_ctx *ctx)
{
    return ctx->mode == USAN_LOOP ? loop_step_deadline(ctx->reactors[0].loop) : USAN_NEVER;
}

int usan_ctx_timeout_ms(const struct usan_ctx *ctx)
{
    uint64_t at = usan_ctx_deadline(ctx), now = at && at != USAN_NEVER ? clock_now_ns() : 0;
    if (at == USAN_NEVER)
        return -1;
    if (at <= now)
        return 0;
    uint64_t ms = (at - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static int not_here(const struct usan_ctx *ctx)
{
    if (ctx->mode == USAN_REACTORS)
        return fail(USAN_EINVAL, "usan_ctx_process: the context has nothing to process");
    return ctx_is_inside(ctx) ? fail(USAN_EINVAL, "usan_ctx_process: from inside a callback") : 0;
}

/* Another context's callback may be what calls these two. */
static int process_queue(struct usan_ctx *ctx)
{
    const struct usan_ctx *before = delivering;
    delivering = ctx;
    int n = deliver_notices(ctx);
    delivering = before;
    return n;
}

static int process_loop(struct usan_ctx *ctx, uint64_t max_wait_ns)
{
    struct reactor *before = here;
    here = &ctx->reactors[0];
    ctx->inside = true;
    ctx->delivered = 0;
    (void)loop_step(here->loop, max_wait_ns);
    ctx->inside = false;
    here = before;
    return ctx->delivered;
}

int usan_ctx_process(struct usan_ctx *ctx)
{
    int err = not_here(ctx);
    if (err)
        return err;
    return ctx->mode == USAN_QUEUE ? process_queue(ctx) : process_loop(ctx, 0);
}

int usan_ctx_wait(struct usan_ctx *ctx, int timeout_ms)
{
    int err = not_here(ctx);
    if (err)
        return err;
    if (ctx->mode == USAN_LOOP && timeout_ms < 0)
        return process_loop(ctx, TIME_NEVER);
    if (ctx->mode == USAN_LOOP)
        return process_loop(ctx, (unsigned)timeout_ms * NS_PER_MS);
    struct pollfd p = { .fd = ctx->notice_fd, .events = POLLIN };
    (void)poll(&p, 1, timeout_ms);
    return process_queue(ctx);
}
