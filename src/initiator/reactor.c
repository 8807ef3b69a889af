/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/reactor.h"

#include "initiator/nbd_conn.h"
#include "initiator/nbd_io.h"
#include "io/clock.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the stop: until then clients are told that we go, then nothing is read any more, and in the
 * end the connections are cut; what the store works on is waited for in any case. */
#define DRAIN_DEAF_NS (300 * NS_PER_MS)
#define DRAIN_CUT_NS  (2000 * NS_PER_MS)
#define DRAIN_STEP_NS (10 * NS_PER_MS)

void attach_report(const struct attach_config *cfg, enum attach_level level, const char *event,
                   const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cfg->report(level, event, text);
}

/* ---- life ---- */

static void run_retry(struct loop_work *w)
{
    nbd_io_retry(list_entry(w, struct attach_reactor, retry));
}

static void fire_retry(struct loop_timer *t)
{
    nbd_io_retry(list_entry(t, struct attach_reactor, retry_later));
}

static void drain_step(struct loop_timer *t);

int attach_reactor_new(const struct attach_config *cfg, struct store *store,
                       struct payload_limit *limit, unsigned index, unsigned count,
                       struct attach_reactor **ret_r, struct err_text *e)
{
    struct attach_reactor *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, USAN_ENOMEM, "out of memory");
    r->cfg = cfg;
    r->store = store;
    r->index = index;
    list_init(&r->waiting);
    list_init(&r->conns);
    loop_work_init(&r->retry, run_retry);
    loop_timer_init(&r->retry_later, fire_retry);
    loop_timer_init(&r->drain_timer, drain_step);
    /* What the reactors keep for themselves is at most a quarter of the whole. */
    payload_pool_init(&r->pool, limit, limit->max_bytes / 4 / count);
    struct loop_config lc = { .engine = cfg->engine, .poll = cfg->poll, .cpu = -1 };
    r->rx_buf = aligned_alloc(4096, REACTOR_RX_BYTES);
    int err = r->rx_buf ? loop_new(&lc, &r->loop, e) : err_set(e, USAN_ENOMEM, "out of memory");
    if (!err) {
        err = store_channel_open(store, r->loop, &r->ch);
        if (err)
            err_set(e, err, "%s: %s", store_spec_text(cfg->store).s, usan_strerror(err));
    }
    if (err) {
        attach_reactor_free(r);
        return err;
    }
    *ret_r = r;
    return 0;
}

void attach_reactor_free(struct attach_reactor *r)
{
    if (!r)
        return;
    assert(list_empty(&r->conns) && list_empty(&r->waiting));
    if (r->loop) {
        loop_timer_cancel(r->loop, &r->retry_later);
        loop_timer_cancel(r->loop, &r->drain_timer);
        store_channel_close(r->ch);
        loop_free(r->loop);
    }
    payload_pool_fini(&r->pool);
    free(r->rx_buf);
    free(r);
}

int attach_reactor_start(struct attach_reactor *r, struct err_text *e)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "reactor-%u", r->index);
    return thread_start_loop(&r->thread, name, r->loop, e);
}

static void stop_loop(struct loop_msg *m)
{
    loop_stop(list_entry(m, struct attach_reactor, stop_msg)->loop);
}

void attach_reactor_stop(struct attach_reactor *r)
{
    if (!r->thread.started)
        return;
    r->stop_msg.deliver = stop_loop;
    loop_post(r->loop, &r->stop_msg);
    thread_join(&r->thread);
}

/* ---- connections ---- */

void attach_reactor_serve(struct attach_reactor *r, int fd)
{
    nbd_conn_open(r, fd);
}

/* ---- the stop ---- */

static void drain_conn(struct nbd_conn *conn, uint64_t age_ns)
{
    if (conn->closed)
        return;
    if (nbd_conn_idle(conn) || age_ns >= DRAIN_CUT_NS)
        nbd_conn_close(conn, "the program stops");
    else if (age_ns >= DRAIN_DEAF_NS)
        nbd_conn_deaf(conn);
}

static void drain_step(struct loop_timer *t)
{
    struct attach_reactor *r = list_entry(t, struct attach_reactor, drain_timer);
    uint64_t now = clock_now_ns();
    list_for_each_safe (&r->conns, pos)
        drain_conn(list_entry(pos, struct nbd_conn, node), now - r->drain_ns);
    if (list_empty(&r->conns) && atomic_load(&r->conn_count) == 0) {
        r->drained(r);
        return;
    }
    if (loop_timer_set(r->loop, t, now + DRAIN_STEP_NS))
        attach_report(r->cfg, ATTACH_ERROR, "stop-stuck", "why=\"out of memory\"");
}

static void drain(struct loop_msg *m)
{
    struct attach_reactor *r = list_entry(m, struct attach_reactor, drain_msg);
    r->draining = true;
    r->drain_ns = clock_now_ns();
    list_for_each (&r->conns, pos)
        nbd_conn_shutdown(list_entry(pos, struct nbd_conn, node));
    drain_step(&r->drain_timer);
}

void attach_reactor_drain(struct attach_reactor *r, void (*drained)(struct attach_reactor *r),
                          void *arg)
{
    r->drained = drained;
    r->drained_arg = arg;
    r->drain_msg.deliver = drain;
    loop_post(r->loop, &r->drain_msg);
}
