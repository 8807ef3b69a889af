/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "front/front.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_NS (10 * NS_PER_MS)

void front_report(const struct front_config *cfg, enum front_level level, const char *event,
                  const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cfg->report(level, event, text);
}

/* ---- memory ---- */

/* A reactor hears of its own memory, but has to look for what others give back. */
static void look_later(struct front *f)
{
    if (loop_timer_set(f->loop, &f->retry_later, loop_now(f->loop) + RETRY_NS))
        loop_work_queue(f->loop, &f->retry);
}

void *front_try(struct front *f, size_t bytes, size_t *ret_cap)
{
    /* Not past those who wait already, or a large one would wait for ever. */
    return list_empty(&f->waiting) ? payload_get(&f->pool, bytes, ret_cap) : NULL;
}

void *front_get(struct front *f, struct front_waiter *w, size_t bytes, size_t *ret_cap)
{
    void *buf = front_try(f, bytes, ret_cap);
    if (buf)
        return buf;
    w->bytes = bytes;
    w->waits = true;
    list_push_back(&f->waiting, &w->node);
    look_later(f);
    return NULL;
}

void front_put(struct front *f, void *buf, size_t cap)
{
    if (!buf)
        return;
    payload_put(&f->pool, buf, cap);
    if (!list_empty(&f->waiting))
        loop_work_queue(f->loop, &f->retry);
}

void front_forget(struct front_waiter *w)
{
    if (!w->waits)
        return;
    w->waits = false;
    list_del(&w->node);
}

static void retry(struct front *f)
{
    while (!list_empty(&f->waiting)) {
        struct front_waiter *w = list_entry(f->waiting.next, struct front_waiter, node);
        size_t cap;
        void *buf = payload_get(&f->pool, w->bytes, &cap);
        if (!buf) {
            look_later(f);
            return;
        }
        front_forget(w);
        w->got(w, buf, cap);
    }
}

static void run_retry(struct loop_work *w)
{
    retry(list_entry(w, struct front, retry));
}

static void fire_retry(struct loop_timer *t)
{
    retry(list_entry(t, struct front, retry_later));
}

/* ---- life ---- */

int front_open(struct front *f, const struct front_config *cfg, struct store *store,
               const struct loop_config *lc, struct payload_limit *limit, unsigned index,
               unsigned count, struct err_text *e)
{
    *f = (struct front){ .cfg = cfg, .store = store, .index = index };
    list_init(&f->waiting);
    list_init(&f->parts);
    loop_work_init(&f->retry, run_retry);
    loop_timer_init(&f->retry_later, fire_retry);
    /* What the reactors keep for themselves is at most a quarter of the whole. */
    payload_pool_init(&f->pool, limit, limit->max_bytes / 4 / count);
    f->rx_buf = aligned_alloc(4096, FRONT_RX_BYTES);
    int err = f->rx_buf ? loop_new(lc, &f->loop, e) : err_set(e, USAN_ENOMEM, "out of memory");
    if (!err && store) {
        err = store_channel_open(store, f->loop, &f->ch);
        if (err)
            err_set(e, err, "cannot use the store: %s", usan_strerror(err));
    }
    if (err)
        front_close(f);
    return err;
}

void front_close(struct front *f)
{
    if (!f->rx_buf)
        return;
    assert(list_empty(&f->waiting));
    if (f->loop) {
        loop_timer_cancel(f->loop, &f->retry_later);
        store_channel_close(f->ch);
        loop_free(f->loop);
    }
    payload_pool_fini(&f->pool);
    free(f->rx_buf);
    f->rx_buf = NULL;
    f->loop = NULL;
    f->ch = NULL;
}
