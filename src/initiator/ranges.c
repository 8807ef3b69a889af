/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/ranges.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROOM_FIRST = 64 };

struct entry {
    uint64_t off, end;
    const struct ini_range *r; /* NULL: an orphan */
    uint64_t until_ns;         /* of an orphan */
};

/* NEW: nobody has asked for anything. Then it belongs to one thread, or has a lock, for good. */
enum mode { NEW, ALONE, SHARED };

struct ini_ranges {
    _Atomic enum mode mode;
    pthread_mutex_t lock; /* if SHARED, of all that follows */
    struct entry *v;      /* in nobody's order */
    unsigned count, cap;
    struct list waiting; /* ini_range.node, oldest first */
    atomic_uint orphans;
};

static void lock(struct ini_ranges *t)
{
    if (atomic_load_explicit(&t->mode, memory_order_acquire) == SHARED)
        pthread_mutex_lock(&t->lock);
}

static void unlock(struct ini_ranges *t)
{
    if (atomic_load_explicit(&t->mode, memory_order_relaxed) == SHARED)
        pthread_mutex_unlock(&t->lock);
}

bool ini_ranges_share(struct ini_ranges *t)
{
    enum mode was = NEW;
    return atomic_compare_exchange_strong(&t->mode, &was, SHARED) || was == SHARED;
}

void ini_ranges_renew(struct ini_ranges *t)
{
    assert(t->count == atomic_load(&t->orphans) && list_empty(&t->waiting));
    atomic_store(&t->mode, NEW);
}

static bool room(struct ini_ranges *t)
{
    if (t->count < t->cap)
        return true;
    unsigned cap = t->cap ? 2 * t->cap : ROOM_FIRST;
    struct entry *v = reallocarray(t->v, cap, sizeof(*v));
    if (!v)
        return false;
    t->v = v;
    t->cap = cap;
    return true;
}

static void remove_at(struct ini_ranges *t, unsigned i)
{
    t->v[i] = t->v[--t->count];
}

static void bury_orphans(struct ini_ranges *t, uint64_t now)
{
    for (unsigned i = 0; i < t->count;) {
        if (!t->v[i].r && t->v[i].until_ns <= now) {
            remove_at(t, i);
            atomic_fetch_sub(&t->orphans, 1);
        } else {
            i++;
        }
    }
}

static bool overlap(uint64_t off, uint64_t end, const struct ini_range *r)
{
    return r->off < end && off < r->end;
}

/* Are its blocks being written, or did somebody ask for them before? */
static bool blocked(const struct ini_ranges *t, const struct ini_range *r)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (overlap(t->v[i].off, t->v[i].end, r))
            return true;
    }
    list_for_each (&t->waiting, pos) {
        const struct ini_range *other = list_entry(pos, struct ini_range, node);
        if (other == r)
            return false;
        if (overlap(other->off, other->end, r))
            return true;
    }
    return false;
}

static bool take(struct ini_ranges *t, const struct ini_range *r)
{
    /* There is always room for some: without memory for more it waits until one of them goes. */
    if (blocked(t, r) || !room(t))
        return false;
    t->v[t->count++] = (struct entry){ .off = r->off, .end = r->end, .r = r };
    return true;
}

static void deliver(struct loop_msg *m)
{
    struct ini_range *r = list_entry(m, struct ini_range, msg);
    r->granted(r);
}

/* Something has changed: those that may go now do, in their order. */
static void grant(struct ini_ranges *t, struct loop *loop, struct list *go)
{
    if (atomic_load(&t->orphans))
        bury_orphans(t, loop_now(loop));
    list_for_each_safe (&t->waiting, pos) {
        struct ini_range *r = list_entry(pos, struct ini_range, node);
        if (!take(t, r))
            continue;
        list_del(&r->node);
        r->waiting = false;
        if (r->loop == loop) {
            list_push_back(go, &r->node);
        } else {
            r->msg.deliver = deliver;
            loop_post(r->loop, &r->msg);
        }
    }
}

static unsigned find(const struct ini_ranges *t, const struct ini_range *r)
{
    unsigned i = 0;
    while (t->v[i].r != r) {
        i++;
        assert(i < t->count);
    }
    return i;
}

bool ini_ranges_claim(struct ini_ranges *t, struct ini_range *r)
{
    enum mode was = NEW;
    if (atomic_load_explicit(&t->mode, memory_order_relaxed) == NEW)
        (void)atomic_compare_exchange_strong(&t->mode, &was, ALONE);
    lock(t);
    if (atomic_load(&t->orphans))
        bury_orphans(t, loop_now(r->loop));
    bool has = take(t, r);
    r->waiting = !has;
    if (!has)
        list_push_back(&t->waiting, &r->node);
    unlock(t);
    return has;
}

void ini_ranges_release(struct ini_ranges *t, const struct ini_range *r, struct list *go)
{
    lock(t);
    remove_at(t, find(t, r));
    if (!list_empty(&t->waiting))
        grant(t, r->loop, go);
    unlock(t);
}

bool ini_ranges_withdraw(struct ini_ranges *t, struct ini_range *r, struct list *go)
{
    lock(t);
    bool waited = r->waiting;
    if (waited) {
        list_del(&r->node);
        r->waiting = false;
        grant(t, r->loop, go); /* others may have waited for this one */
    }
    unlock(t);
    return waited;
}

void ini_ranges_bequeath(struct ini_ranges *t, const struct ini_range *r, uint64_t until_ns)
{
    lock(t);
    struct entry *e = &t->v[find(t, r)];
    e->r = NULL;
    e->until_ns = until_ns;
    atomic_fetch_add(&t->orphans, 1);
    unlock(t);
}

bool ini_ranges_orphans(const struct ini_ranges *t)
{
    return atomic_load(&t->orphans) > 0;
}

void ini_ranges_poll(struct ini_ranges *t, struct loop *loop, struct list *go)
{
    lock(t);
    grant(t, loop, go);
    unlock(t);
}

struct ini_ranges *ini_ranges_new(bool shared)
{
    struct ini_ranges *t = calloc(1, sizeof(*t));
    if (!t || !room(t) || pthread_mutex_init(&t->lock, NULL)) {
        if (t)
            free(t->v);
        free(t);
        return NULL;
    }
    atomic_store(&t->mode, shared ? SHARED : NEW);
    list_init(&t->waiting);
    return t;
}

void ini_ranges_free(struct ini_ranges *t)
{
    if (!t)
        return;
    assert(list_empty(&t->waiting));
    pthread_mutex_destroy(&t->lock);
    free(t->v);
    free(t);
}
