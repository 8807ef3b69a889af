/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Timers and deferred work: their order, and their order to each other. */
#include "loop_fixture.h"

#include <stdlib.h>

#define TIMERS 500

static uint64_t us(unsigned n)
{
    return n * NS_PER_US;
}

struct tick {
    struct loop_timer t;
    struct fixture *f;
    uint64_t wanted_ns;
    int id;
};

static int order[TIMERS * 2];
static size_t fired;

static void tick_fire(struct loop_timer *t)
{
    struct tick *k = list_entry(t, struct tick, t);
    assert_true(loop_now(k->f->loop) >= k->wanted_ns);
    assert_true(t->deadline_ns == TIME_NEVER);
    order[fired++] = k->id;
}

static void stop_fire(struct loop_timer *t)
{
    loop_stop(list_entry(t, struct tick, t)->f->loop);
}

static void tick_init(struct tick *k, struct fixture *f, int id, void (*fire)(struct loop_timer *))
{
    k->f = f;
    k->id = id;
    loop_timer_init(&k->t, fire);
}

static void tick_set(struct tick *k, uint64_t at_ns)
{
    k->wanted_ns = at_ns;
    assert_int_equal(loop_timer_set(k->f->loop, &k->t, at_ns), 0);
}

static void run_until(struct fixture *f, uint64_t at_ns)
{
    struct tick stop;
    tick_init(&stop, f, -1, stop_fire);
    tick_set(&stop, at_ns);
    loop_run(f->loop);
}

static void timers_fire_in_order(void **state)
{
    struct fixture *f = fixture_get(state);
    static struct tick k[TIMERS];
    uint64_t base = clock_now_ns() + 2 * NS_PER_MS;
    fired = 0;
    /* 7919 is prime to 500: every deadline once, in scattered order. */
    for (int i = 0; i < TIMERS; i++) {
        int slot = (i * 7919) % TIMERS;
        tick_init(&k[i], f, slot, tick_fire);
        tick_set(&k[i], base + us((unsigned)slot * 10));
    }
    run_until(f, base + 10 * NS_PER_MS);
    assert_int_equal(fired, TIMERS);
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(order[i], i);
}

static void timers_cancel_and_reset(void **state)
{
    struct fixture *f = fixture_get(state);
    struct tick k[5];
    uint64_t base = clock_now_ns() + 3 * NS_PER_MS;
    fired = 0;
    for (int i = 0; i < 5; i++) {
        tick_init(&k[i], f, i, tick_fire);
        tick_set(&k[i], base + us((unsigned)i * 1000));
    }
    loop_timer_cancel(f->loop, &k[1].t);
    loop_timer_cancel(f->loop, &k[1].t);   /* again: no effect */
    tick_set(&k[0], base + 6 * NS_PER_MS); /* later */
    tick_set(&k[4], base - NS_PER_MS);     /* earlier */
    tick_set(&k[3], TIME_NEVER);           /* the other way to cancel */
    tick_set(&k[2], k[2].wanted_ns);       /* unchanged */
    run_until(f, base + 8 * NS_PER_MS);
    assert_int_equal(fired, 3);
    assert_int_equal(order[0], 4);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 0);
    assert_true(k[1].t.deadline_ns == TIME_NEVER);
}

/* Random sets, moves and cancels against a plain array as the reference. */
static void timers_heap_agrees_with_model(void **state)
{
    struct fixture *f = fixture_get(state);
    static struct tick k[TIMERS];
    unsigned seed = 12345;
    uint64_t base = clock_now_ns();
    fired = 0;
    for (int i = 0; i < TIMERS; i++)
        tick_init(&k[i], f, i, tick_fire);
    for (int step = 0; step < 20000; step++) {
        struct tick *t = &k[rand_r(&seed) % TIMERS];
        if (rand_r(&seed) % 4 == 0) {
            loop_timer_cancel(f->loop, &t->t);
            t->wanted_ns = TIME_NEVER;
        } else {
            tick_set(t, base + 1 + us((unsigned)rand_r(&seed) % 1000));
        }
    }
    size_t live = 0;
    for (int i = 0; i < TIMERS; i++) {
        assert_true(k[i].t.deadline_ns == k[i].wanted_ns || k[i].wanted_ns == 0);
        live += k[i].t.deadline_ns != TIME_NEVER;
    }
    run_until(f, clock_now_ns() + 2 * NS_PER_MS);
    assert_int_equal(fired, live);
    for (size_t i = 1; i < fired; i++)
        assert_true(k[order[i - 1]].wanted_ns <= k[order[i]].wanted_ns);
}

struct again {
    struct loop_timer t;
    struct fixture *f;
    int count;
    int io_seen; /* how often a work got in between */
    struct loop_work w;
};

static void again_work(struct loop_work *w)
{
    list_entry(w, struct again, w)->io_seen++;
}

static void again_fire(struct loop_timer *t)
{
    struct again *a = list_entry(t, struct again, t);
    loop_work_queue(a->f->loop, &a->w);
    if (++a->count == 100)
        loop_stop(a->f->loop);
    else /* due at once */
        assert_int_equal(loop_timer_set(a->f->loop, t, 1), 0);
}

static void timer_that_is_always_due_lets_others_run(void **state)
{
    struct fixture *f = fixture_get(state);
    struct again a = { .f = f };
    loop_timer_init(&a.t, again_fire);
    loop_work_init(&a.w, again_work);
    assert_int_equal(loop_timer_set(f->loop, &a.t, 1), 0);
    loop_run(f->loop);
    assert_int_equal(a.count, 100);
    /* The guard timer is in the heap too, so that at most two shots go before works. */
    assert_true(a.io_seen >= 50);
}

/* ---- works ---- */

struct job {
    struct loop_work w;
    struct fixture *f;
    int id;
    int again;        /* queue itself so many times more */
    struct job *kill; /* cancel this one */
    bool stop;        /* the loop, when it does not queue itself again */
};

static void job_run(struct loop_work *w)
{
    struct job *j = list_entry(w, struct job, w);
    order[fired++] = j->id;
    if (j->kill)
        loop_work_cancel(&j->kill->w);
    if (j->again-- > 0)
        loop_work_queue(j->f->loop, w);
    else if (j->stop)
        loop_stop(j->f->loop);
}

static void job_init(struct job *j, struct fixture *f, int id)
{
    *j = (struct job){ .f = f, .id = id };
    loop_work_init(&j->w, job_run);
}

static void works_run_once_in_order(void **state)
{
    struct fixture *f = fixture_get(state);
    struct job j[4];
    fired = 0;
    for (int i = 0; i < 4; i++)
        job_init(&j[i], f, i);
    loop_work_queue(f->loop, &j[2].w);
    loop_work_queue(f->loop, &j[0].w);
    loop_work_queue(f->loop, &j[2].w); /* is queued: keeps its place */
    loop_work_queue(f->loop, &j[3].w);
    loop_work_queue(f->loop, &j[1].w);
    loop_work_cancel(&j[3].w);
    j[0].kill = &j[1]; /* from inside the very round */
    j[2].again = 1;
    run_until(f, clock_now_ns());
    const int want[] = { 2, 0, 2 };
    assert_int_equal(fired, 3);
    assert_memory_equal(order, want, sizeof want);
    assert_true(list_empty(&j[1].w.node));
}

static void works_all_run_before_the_loop_sleeps(void **state)
{
    struct fixture *f = fixture_get(state);
    struct job j;
    fired = 0;
    job_init(&j, f, 7);
    j.again = 200; /* more than the rounds of one iteration */
    j.stop = true;
    loop_work_queue(f->loop, &j.w);
    loop_run(f->loop); /* one that sleeps with a work left is ended by the guard timer */
    assert_int_equal(fired, 201);
}

struct slow {
    struct loop_work w;
    struct fixture *f;
    struct tick *due;
    bool timer_first;
};

static void slow_run(struct loop_work *w)
{
    struct slow *s = list_entry(w, struct slow, w);
    s->timer_first = fired > 0;
    loop_stop(s->f->loop);
}

static void timers_come_before_works(void **state)
{
    struct fixture *f = fixture_get(state);
    struct tick k;
    struct slow s = { .f = f };
    fired = 0;
    tick_init(&k, f, 1, tick_fire);
    tick_set(&k, clock_now_ns());
    loop_work_init(&s.w, slow_run);
    loop_work_queue(f->loop, &s.w);
    loop_run(f->loop);
    assert_true(s.timer_first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(timers_fire_in_order),
        ON_ALL(timers_cancel_and_reset),
        ON_BOTH(timers_heap_agrees_with_model, AUTO, "auto"),
        ON_ALL(timer_that_is_always_due_lets_others_run),
        ON_ALL(works_run_once_in_order),
        ON_ALL(works_all_run_before_the_loop_sleeps),
        ON_ALL(timers_come_before_works),
    };
    return cmocka_run_group_tests_name("io timers and works", tests, NULL, NULL);
}
