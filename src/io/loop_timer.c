/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Timers of a loop: a binary heap of pointers ordered by deadline. */
#include "io/loop_priv.h"

#include <assert.h>
#include <stdlib.h>

#define NOT_IN_HEAP SIZE_MAX

static void place(struct loop_timers *h, size_t i, struct loop_timer *t)
{
    h->heap[i] = t;
    t->heap_index = i;
}

static void sift_up(struct loop_timers *h, size_t i, struct loop_timer *t)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->heap[parent]->deadline_ns <= t->deadline_ns)
            break;
        place(h, i, h->heap[parent]);
        i = parent;
    }
    place(h, i, t);
}

static void sift_down(struct loop_timers *h, size_t i, struct loop_timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->heap[child + 1]->deadline_ns < h->heap[child]->deadline_ns)
            child++;
        if (t->deadline_ns <= h->heap[child]->deadline_ns)
            break;
        place(h, i, h->heap[child]);
        i = child;
    }
    place(h, i, t);
}

static void remove_at(struct loop_timers *h, size_t i)
{
    h->heap[i]->heap_index = NOT_IN_HEAP;
    struct loop_timer *last = h->heap[--h->count];
    if (i == h->count)
        return;
    if (i > 0 && last->deadline_ns < h->heap[(i - 1) / 2]->deadline_ns)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

static int grow(struct loop_timers *h)
{
    size_t cap = h->cap ? h->cap * 2 : 64;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
    struct loop_timer **heap = reallocarray(h->heap, cap, sizeof *heap);
    if (!heap)
        return USAN_ENOMEM;
    h->heap = heap;
    h->cap = cap;
    return 0;
}

void loop_timers_fini(struct loop *loop)
{
    assert(loop->timers.count == 0);
    free(loop->timers.heap);
}

unsigned loop_timers_run(struct loop *loop)
{
    struct loop_timers *h = &loop->timers;
    /* A timer that sets itself to "now" must not keep the loop here. */
    size_t most = h->count;
    unsigned fired = 0;
    while (h->count && fired < most && h->heap[0]->deadline_ns <= loop->now_ns) {
        struct loop_timer *t = h->heap[0];
        remove_at(h, 0);
        t->deadline_ns = TIME_NEVER;
        fired++;
        t->fire(t);
    }
    return fired;
}

uint64_t loop_timers_next(const struct loop *loop)
{
    return loop->timers.count ? loop->timers.heap[0]->deadline_ns : TIME_NEVER;
}

void loop_timer_init(struct loop_timer *t, void (*fire)(struct loop_timer *t))
{
    *t = (struct loop_timer){ .deadline_ns = TIME_NEVER, .fire = fire, .heap_index = NOT_IN_HEAP };
}

int loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t deadline_ns)
{
    struct loop_timers *h = &loop->timers;
    uint64_t old = t->deadline_ns;
    if (deadline_ns == old)
        return 0;
    if (deadline_ns == TIME_NEVER) {
        loop_timer_cancel(loop, t);
        return 0;
    }
    if (t->heap_index == NOT_IN_HEAP) {
        if (h->count == h->cap) {
            int rc = grow(h);
            if (rc)
                return rc;
        }
        t->deadline_ns = deadline_ns;
        sift_up(h, h->count++, t);
        return 0;
    }
    t->deadline_ns = deadline_ns;
    if (deadline_ns < old)
        sift_up(h, t->heap_index, t);
    else
        sift_down(h, t->heap_index, t);
    return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
    if (t->heap_index == NOT_IN_HEAP)
        return;
    assert(loop->timers.heap[t->heap_index] == t);
    remove_at(&loop->timers, t->heap_index);
    t->deadline_ns = TIME_NEVER;
}
