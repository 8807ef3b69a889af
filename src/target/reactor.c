/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/reactor.h"

#include "target/lun.h"
#include "target/session.h"
#include "target/target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void run_lanes(struct loop_work *w)
{
    struct tgt_reactor *r = list_entry(w, struct tgt_reactor, lanes_work);
    struct list *node;
    while ((node = list_pop_front(&r->dirty))) {
        struct tgt_lane *lane = list_entry(node, struct tgt_lane, dirty_node);
        lane->dirty = false;
        tgt_lane_pull(lane);
    }
}

int tgt_reactor_new(struct tgt *tgt, unsigned index, struct tgt_reactor **ret_r, struct err_text *e)
{
    struct tgt_reactor *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, USAN_ENOMEM, "out of memory");
    r->tgt = tgt;
    r->index = index;
    list_init(&r->dirty);
    list_init(&r->conns);
    list_init(&r->sessions);
    list_init(&r->parts);
    list_init(&r->lingering);
    loop_work_init(&r->lanes_work, run_lanes);

    const struct tgt_config *cfg = tgt_cfg(tgt);
    /* Each reactor's share of the memory; half of it in use narrows the windows, and what a
     * reactor keeps for reuse never takes more than a quarter away from the others. */
    uint64_t share = cfg->limits.memory_bytes / tgt_reactor_count(tgt);
    tgt_buffers_init(&r->buffers, tgt_memory(tgt), share / 4);
    r->shrink_above = share / 2;
    r->restore_below = share * 3 / 8;

    int err = USAN_ENOMEM;
    r->rx_buf = aligned_alloc(4096, TGT_RX_BYTES);
    if (!r->rx_buf) {
        err_set(e, err, "out of memory");
        goto fail;
    }
    struct loop_config lc = { .engine = cfg->engine, .poll = cfg->poll, .cpu = -1 };
    err = loop_new(&lc, &r->loop, e);
    if (err)
        goto fail;
    *ret_r = r;
    return 0;
fail:
    tgt_reactor_free(r);
    return err;
}

void tgt_reactor_free(struct tgt_reactor *r)
{
    if (!r)
        return;
    assert(list_empty(&r->conns) && list_empty(&r->sessions) && list_empty(&r->parts) &&
           list_empty(&r->lingering));
    tgt_buffers_fini(&r->buffers);
    if (r->loop)
        loop_free(r->loop);
    free(r->rx_buf);
    free(r);
}

int tgt_reactor_start(struct tgt_reactor *r, struct err_text *e)
{
    char name[16];
    snprintf(name, sizeof(name), "reactor-%u", r->index);
    return thread_start_loop(&r->thread, name, r->loop, e);
}

static void stop_loop(struct loop_msg *m)
{
    loop_stop(list_entry(m, struct tgt_reactor, stop_msg)->loop);
}

void tgt_reactor_stop(struct tgt_reactor *r)
{
    if (!r->thread.started)
        return;
    r->stop_msg.deliver = stop_loop;
    loop_post(r->loop, &r->stop_msg);
    thread_join(&r->thread);
}

/* ---- memory pressure ---- */

uint32_t tgt_reactor_window(const struct tgt_reactor *r)
{
    uint32_t depth = tgt_cfg(r->tgt)->limits.queue_depth;
    uint32_t narrow = depth / 8;
    if (!r->shrunk)
        return depth;
    return narrow ? narrow : 1;
}

static void set_windows(struct tgt_reactor *r)
{
    uint32_t n = tgt_reactor_window(r);
    list_for_each (&r->parts, pos)
        tgt_session_set_window(list_entry(pos, struct tgt_part, node)->session, n);
}

void tgt_reactor_watch_memory(struct tgt_reactor *r)
{
    uint64_t used = r->buffers.used_bytes;
    bool shrunk = r->shrunk ? used >= r->restore_below : used > r->shrink_above;
    if (shrunk == r->shrunk)
        return;
    r->shrunk = shrunk;
    set_windows(r);
}

/* ---- calls from other threads ---- */

struct call {
    struct loop_msg msg;
    struct tgt_reactor *r;
    void (*fn)(struct tgt_reactor *r, void *arg);
    void *arg;
};

static void run_call(struct loop_msg *m)
{
    struct call c = *list_entry(m, struct call, msg);
    free(list_entry(m, struct call, msg));
    c.fn(c.r, c.arg);
}

int tgt_reactor_call(struct tgt_reactor *r, void (*fn)(struct tgt_reactor *r, void *arg), void *arg)
{
    struct call *c = malloc(sizeof(*c));
    if (!c)
        return USAN_ENOMEM;
    *c = (struct call){ .msg = { .deliver = run_call }, .r = r, .fn = fn, .arg = arg };
    loop_post(r->loop, &c->msg);
    return 0;
}
