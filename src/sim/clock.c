/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/clock.h"

#include <assert.h>
#include <stddef.h>

void sim_timer_init(struct sim_timer *t, void (*fire)(struct sim_timer *t))
{
    *t = (struct sim_timer){ .fire = fire };
}

static bool before(const struct sim_timer *a, const struct sim_timer *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

/* The heap of two roots; each may be NULL. */
static struct sim_timer *merge(struct sim_timer *a, struct sim_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (before(b, a)) {
        struct sim_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next)
        b->next->link = &b->next;
    b->link = &a->child;
    a->child = b;
    return a;
}

/* The heap of a list of siblings: in pairs from left to right, and those from right to left. */
static struct sim_timer *merge_siblings(struct sim_timer *list)
{
    struct sim_timer *pairs = NULL, *root = NULL;
    while (list) {
        struct sim_timer *a = list, *b = a->next;
        list = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = merge(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct sim_timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = merge(root, a);
    }
    return root;
}

static void set_first(struct sim_clock *c, struct sim_timer *t)
{
    c->first = t;
    if (t) {
        t->next = NULL;
        t->link = &c->first;
    }
}

void sim_timer_cancel(struct sim_clock *c, struct sim_timer *t)
{
    if (!t->seq)
        return;
    struct sim_timer *rest = merge_siblings(t->child);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    set_first(c, merge(c->first, rest));
    t->seq = 0;
    t->child = t->next = NULL;
    t->link = NULL;
}

void sim_timer_at(struct sim_clock *c, struct sim_timer *t, uint64_t at_ns)
{
    sim_timer_cancel(c, t);
    if (at_ns == TIME_NEVER)
        return;
    t->at_ns = at_ns > c->now_ns ? at_ns : c->now_ns;
    t->seq = ++c->seq;
    set_first(c, merge(c->first, t));
    if (c->first == t && c->earlier)
        c->earlier(c->ctx);
}

uint64_t sim_clock_next(const struct sim_clock *c)
{
    return c->first ? c->first->at_ns : TIME_NEVER;
}

void sim_clock_move(struct sim_clock *c, uint64_t now_ns)
{
    assert(now_ns >= c->now_ns && now_ns <= sim_clock_next(c));
    c->now_ns = now_ns;
}

bool sim_clock_fire(struct sim_clock *c)
{
    struct sim_timer *t = c->first;
    if (!t || t->at_ns > c->now_ns)
        return false;
    sim_timer_cancel(c, t);
    c->fired++;
    t->fire(t);
    return true;
}
