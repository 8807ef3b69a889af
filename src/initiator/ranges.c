/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All ranges that were claimed and not released stand in the table, those that wait as well. One
 * waits as long as there are others that it overlaps and that came before it, and counts them.
 *
 * A level cuts the disk into stretches of one length, found through a hash. A range is on the first
 * level where it touches two of them at most. Who looks for overlaps goes through the stretches
 * that he touches on each level, or through all ranges of a level if they are fewer.
 */
#include "initiator/ranges.h"

#include <assert.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LEVELS = 4, HASH_BITS = 8 };

/* Bytes of a stretch, as a power of two: short requests, long ones, whole regions, all. */
static const uint8_t shifts[LEVELS] = { 16, 21, 28, 63 };

struct level {
    struct list all; /* ini_range.level_node */
    unsigned count;
    struct list heads[1 << HASH_BITS]; /* ini_range_place.node */
};

/* ALONE: one thread uses it, and takes no lock. */
enum mode { ALONE, SHARED };

struct ini_ranges {
    pthread_mutex_t join_lock;
    unsigned users;    /* under it */
    bool can_be_alone; /* this process has barrier() */
    _Atomic enum mode mode;
    atomic_bool inside;   /* of the one that is alone: it is changing something */
    pthread_mutex_t lock; /* if SHARED, of all that follows */
    struct level levels[LEVELS];
    uint64_t number;
    unsigned waiting;    /* ranges */
    struct list orphans; /* ini_range.node */
    atomic_uint orphan_count;
};

/* ---- one thread or several ---- */

/* A barrier in every thread of the process, so that the one that uses the table alone needs none.
 */
static bool barrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* True: with the lock. */
static bool enter(struct ini_ranges *t)
{
    if (atomic_load_explicit(&t->mode, memory_order_acquire) == ALONE) {
        atomic_store_explicit(&t->inside, true, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* with barrier() of the other: a full one */
        if (atomic_load_explicit(&t->mode, memory_order_acquire) == ALONE)
            return false;
        atomic_store_explicit(&t->inside, false, memory_order_release);
    }
    pthread_mutex_lock(&t->lock);
    return true;
}

static void leave(struct ini_ranges *t, bool locked)
{
    if (locked)
        pthread_mutex_unlock(&t->lock);
    else
        atomic_store_explicit(&t->inside, false, memory_order_release);
}

/* The one that has been alone takes the lock from its next call on. */
static void end_alone(struct ini_ranges *t)
{
    atomic_store(&t->mode, SHARED);
    bool all = barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    assert(all);
    (void)all;
    while (atomic_load_explicit(&t->inside, memory_order_acquire))
        (void)sched_yield();
}

void ini_ranges_join(struct ini_ranges *t)
{
    pthread_mutex_lock(&t->join_lock);
    if (t->users++ == 0)
        atomic_store(&t->mode, t->can_be_alone ? ALONE : SHARED);
    else if (atomic_load(&t->mode) == ALONE)
        end_alone(t);
    pthread_mutex_unlock(&t->join_lock);
}

void ini_ranges_part(struct ini_ranges *t)
{
    pthread_mutex_lock(&t->join_lock);
    assert(t->users > 0);
    t->users--;
    pthread_mutex_unlock(&t->join_lock);
}

/* ---- the table ---- */

static uint64_t first_of(const struct ini_range *r, unsigned level)
{
    return r->off >> shifts[level];
}

/* An empty range touches the stretch where it would begin, and overlaps nothing. */
static uint64_t last_of(const struct ini_range *r, unsigned level)
{
    return (r->end > r->off ? r->end - 1 : r->off) >> shifts[level];
}

static struct list *head_of(struct level *l, uint64_t stretch)
{
    return &l->heads[stretch * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS)];
}

static void put_in(struct ini_ranges *t, struct ini_range *r)
{
    unsigned level = 0;
    while (last_of(r, level) - first_of(r, level) > 1)
        level++; /* ends: the last level has two stretches at most */
    struct level *l = &t->levels[level];
    uint64_t first = first_of(r, level);
    r->level = (uint8_t)level;
    for (unsigned i = 0; i < 2; i++) {
        struct ini_range_place *p = &r->places[i];
        p->r = r;
        p->stretch = first + i;
        list_init(&p->node);
        if (p->stretch <= last_of(r, level))
            list_push_back(head_of(l, p->stretch), &p->node);
    }
    list_push_back(&l->all, &r->level_node);
    l->count++;
}

static void take_out(struct ini_ranges *t, struct ini_range *r)
{
    list_del(&r->places[0].node);
    list_del(&r->places[1].node);
    list_del(&r->level_node);
    t->levels[r->level].count--;
}

static bool overlap(const struct ini_range *a, const struct ini_range *b)
{
    return a->off < b->end && b->off < a->end;
}

typedef void found_fn(struct ini_range *other, void *arg);

/* Those of one level that overlap r, each once: those that both touch two stretches meet in the
 * first one only. */
static void search_level(struct ini_ranges *t, unsigned level, const struct ini_range *r,
                         found_fn *found, void *arg)
{
    struct level *l = &t->levels[level];
    uint64_t first = first_of(r, level), last = last_of(r, level);
    if (last - first >= l->count) {
        list_for_each (&l->all, pos) {
            struct ini_range *other = list_entry(pos, struct ini_range, level_node);
            if (overlap(other, r))
                found(other, arg);
        }
        return;
    }
    for (uint64_t at = first; at <= last; at++) {
        list_for_each (head_of(l, at), pos) {
            struct ini_range_place *p = list_entry(pos, struct ini_range_place, node);
            uint64_t theirs = first_of(p->r, level);
            if (p->stretch == at && at == (theirs > first ? theirs : first) && overlap(p->r, r))
                found(p->r, arg);
        }
    }
}

static void search(struct ini_ranges *t, const struct ini_range *r, found_fn *found, void *arg)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        if (t->levels[i].count)
            search_level(t, i, r, found, arg);
    }
}

/* ---- waiting ---- */

static void count_blocker(struct ini_range *other, void *arg)
{
    struct ini_range *r = arg;
    (void)other;
    r->blockers++;
}

static void deliver(struct loop_msg *m)
{
    struct ini_range *r = list_entry(m, struct ini_range, msg);
    r->granted(r);
}

/* What is freed, for whom. */
struct freed {
    struct ini_ranges *t;
    const struct ini_range *r;
    struct loop *loop; /* NULL: all are told by message */
    struct list *go;
};

/* Oldest first. */
static void push_in_order(struct list *go, struct ini_range *r)
{
    struct list *at = go->prev;
    while (at != go && list_entry(at, struct ini_range, node)->number > r->number)
        at = at->prev;
    list_insert_between(&r->node, at, at->next);
}

static void unblock(struct ini_range *other, void *arg)
{
    const struct freed *f = arg;
    if (other->number < f->r->number || --other->blockers)
        return;
    other->waiting = false;
    f->t->waiting--;
    if (other->loop == f->loop) {
        push_in_order(f->go, other);
    } else {
        other->msg.deliver = deliver;
        loop_post(other->loop, &other->msg);
    }
}

static void remove_range(struct ini_ranges *t, struct ini_range *r, struct loop *loop,
                         struct list *go)
{
    struct freed f = { .t = t, .r = r, .loop = loop, .go = go };
    take_out(t, r);
    if (t->waiting)
        search(t, r, unblock, &f);
}

static void bury_orphans(struct ini_ranges *t, uint64_t now, struct loop *loop, struct list *go)
{
    list_for_each_safe (&t->orphans, pos) {
        struct ini_range *r = list_entry(pos, struct ini_range, node);
        if (r->until_ns > now)
            continue;
        list_del(&r->node);
        atomic_fetch_sub(&t->orphan_count, 1);
        remove_range(t, r, loop, go);
        r->over(r);
    }
}

/* ---- calls ---- */

bool ini_ranges_claim(struct ini_ranges *t, struct ini_range *r)
{
    bool locked = enter(t);
    if (ini_ranges_orphans(t))
        bury_orphans(t, loop_now(r->loop), NULL, NULL);
    r->number = t->number++;
    r->blockers = 0;
    search(t, r, count_blocker, r);
    r->waiting = r->blockers > 0;
    bool has = !r->waiting;
    t->waiting += r->waiting;
    put_in(t, r);
    leave(t, locked);
    return has;
}

void ini_ranges_release(struct ini_ranges *t, struct ini_range *r, struct list *go)
{
    bool locked = enter(t);
    remove_range(t, r, r->loop, go);
    leave(t, locked);
}

bool ini_ranges_withdraw(struct ini_ranges *t, struct ini_range *r, struct list *go)
{
    bool locked = enter(t);
    bool waited = r->waiting;
    if (waited) {
        r->waiting = false;
        t->waiting--;
        remove_range(t, r, r->loop, go); /* others may have waited for this one */
    }
    leave(t, locked);
    return waited;
}

void ini_ranges_bequeath(struct ini_ranges *t, struct ini_range *r, uint64_t until_ns)
{
    bool locked = enter(t);
    assert(!r->waiting);
    r->until_ns = until_ns;
    list_push_back(&t->orphans, &r->node);
    atomic_fetch_add(&t->orphan_count, 1);
    leave(t, locked);
}

bool ini_ranges_orphans(const struct ini_ranges *t)
{
    return atomic_load_explicit(&t->orphan_count, memory_order_relaxed) > 0;
}

void ini_ranges_poll(struct ini_ranges *t, struct loop *loop, struct list *go)
{
    bool locked = enter(t);
    bury_orphans(t, loop_now(loop), loop, go);
    leave(t, locked);
}

/* ---- life ---- */

struct ini_ranges *ini_ranges_new(void)
{
    struct ini_ranges *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    (void)pthread_mutex_init(&t->join_lock, NULL); /* can not fail with default attributes */
    (void)pthread_mutex_init(&t->lock, NULL);
    t->can_be_alone = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    atomic_store(&t->mode, SHARED);
    list_init(&t->orphans);
    for (unsigned i = 0; i < LEVELS; i++) {
        list_init(&t->levels[i].all);
        for (unsigned k = 0; k < 1 << HASH_BITS; k++)
            list_init(&t->levels[i].heads[k]);
    }
    return t;
}

void ini_ranges_free(struct ini_ranges *t)
{
    if (!t)
        return;
    assert(t->users == 0);
    while (!list_empty(&t->orphans)) {
        struct ini_range *r = list_entry(list_pop_front(&t->orphans), struct ini_range, node);
        take_out(t, r);
        r->over(r);
    }
    for (unsigned i = 0; i < LEVELS; i++)
        assert(t->levels[i].count == 0);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->join_lock);
    free(t);
}
