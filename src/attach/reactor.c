/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/reactor.h"

#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define DRAIN_STEP_NS (10 * NS_PER_MS)

/* ---- the stop ---- */

static void drain_step(struct loop_timer *t)
{
    struct attach_reactor *r = list_entry(t, struct attach_reactor, drain_timer);
    uint64_t now = clock_now_ns();
    bool all = true;
    list_for_each (&r->front.parts, pos) {
        struct front_part *p = list_entry(pos, struct front_part, node);
        all &= p->drained(p, now - r->drain_ns);
    }
    if (all) {
        r->drained(r);
        return;
    }
    if (loop_timer_set(r->front.loop, t, now + DRAIN_STEP_NS))
        front_report(r->front.cfg, FRONT_ERROR, "stop-stuck", "why=\"out of memory\"");
}

static void drain(struct loop_msg *m)
{
    struct attach_reactor *r = list_entry(m, struct attach_reactor, drain_msg);
    r->drain_ns = clock_now_ns();
    list_for_each (&r->front.parts, pos) {
        struct front_part *p = list_entry(pos, struct front_part, node);
        p->drain(p);
    }
    drain_step(&r->drain_timer);
}

void attach_reactor_drain(struct attach_reactor *r, void (*drained)(struct attach_reactor *r),
                          void *arg)
{
    r->drained = drained;
    r->drained_arg = arg;
    r->drain_msg.deliver = drain;
    loop_post(r->front.loop, &r->drain_msg);
}

/* ---- life ---- */

int attach_reactor_new(const struct front_config *cfg, struct store *store,
                       const struct loop_config *lc, struct payload_limit *limit, unsigned index,
                       unsigned count, struct attach_reactor **ret_r, struct err_text *e)
{
    struct attach_reactor *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, USAN_ENOMEM, "out of memory");
    loop_timer_init(&r->drain_timer, drain_step);
    int err = front_open(&r->front, cfg, store, lc, limit, index, count, e);
    if (err) {
        free(r);
        return err;
    }
    nbd_server_init(&r->nbd, &r->front);
    *ret_r = r;
    return 0;
}

void attach_reactor_free(struct attach_reactor *r)
{
    if (!r)
        return;
    if (r->front.loop)
        loop_timer_cancel(r->front.loop, &r->drain_timer);
    front_close(&r->front);
    free(r);
}

int attach_reactor_start(struct attach_reactor *r, struct err_text *e)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "reactor-%u", r->front.index);
    return thread_start_loop(&r->thread, name, r->front.loop, e);
}

static void stop_loop(struct loop_msg *m)
{
    loop_stop(list_entry(m, struct attach_reactor, stop_msg)->front.loop);
}

void attach_reactor_stop(struct attach_reactor *r)
{
    if (!r->thread.started)
        return;
    r->stop_msg.deliver = stop_loop;
    loop_post(r->front.loop, &r->stop_msg);
    thread_join(&r->thread);
}
