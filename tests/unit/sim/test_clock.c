/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "base/list.h"
#include "sim/clock.h"
#include "sim/random.h"

enum { TIMERS = 500 };

static struct sim_clock the_clock;
static struct rec {
    struct sim_timer timer;
    uint64_t order; /* when it was set */
} recs[TIMERS];
static unsigned fired[TIMERS], count;

static void note(struct sim_timer *t)
{
    fired[count++] = (unsigned)(list_entry(t, struct rec, timer) - recs);
}

static int setup(void **state)
{
    (void)state;
    the_clock = (struct sim_clock){ .now_ns = 0 };
    count = 0;
    for (unsigned i = 0; i < TIMERS; i++)
        sim_timer_init(&recs[i].timer, note);
    return 0;
}

static void run(void)
{
    while (sim_clock_next(&the_clock) != TIME_NEVER) {
        sim_clock_move(&the_clock, sim_clock_next(&the_clock));
        while (sim_clock_fire(&the_clock))
            ;
    }
}

static void one_instant_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        sim_timer_at(&the_clock, &recs[i].timer, 10);
    sim_timer_at(&the_clock, &recs[1].timer, 10); /* set again: behind the others */
    sim_timer_at(&the_clock, &recs[5].timer, 9);
    sim_timer_cancel(&the_clock, &recs[3].timer);
    run();
    const unsigned want[] = { 5, 0, 2, 4, 1 };
    assert_int_equal(count, 5);
    assert_memory_equal(fired, want, sizeof(want));
    assert_int_equal(the_clock.now_ns, 10);
    assert_int_equal(the_clock.fired, 5);
}

static void what_is_past_is_due_now(void **state)
{
    (void)state;
    sim_clock_move(&the_clock, 100);
    sim_timer_at(&the_clock, &recs[0].timer, 7);
    assert_int_equal(sim_clock_next(&the_clock), 100);
    sim_timer_at(&the_clock, &recs[0].timer, TIME_NEVER);
    assert_false(sim_timer_set(&recs[0].timer));
    assert_int_equal(sim_clock_next(&the_clock), TIME_NEVER);
    assert_false(sim_clock_fire(&the_clock));
    sim_timer_in(&the_clock, &recs[0].timer, 1);
    assert_false(sim_clock_fire(&the_clock)); /* not due yet */
}

static void count_call(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void hears_of_earlier_ones(void **state)
{
    unsigned calls = 0;
    (void)state;
    the_clock.earlier = count_call;
    the_clock.ctx = &calls;
    sim_timer_at(&the_clock, &recs[0].timer, 50);
    assert_int_equal(calls, 1);
    sim_timer_at(&the_clock, &recs[1].timer, 60);
    assert_int_equal(calls, 1);
    sim_timer_at(&the_clock, &recs[2].timer, 40);
    assert_int_equal(calls, 2);
}

/* Against what is plain: the least time, and of those the one that was set first. */
static void many(void **state)
{
    struct sim_random r;
    uint64_t order = 0;
    unsigned left = 0;
    (void)state;
    sim_random_init(&r, 1, SIM_STREAM_LOAD, 0);
    for (unsigned i = 0; i < 20000; i++) {
        struct rec *x = &recs[sim_random_below(&r, TIMERS)];
        if (sim_random_below(&r, 4) == 0) {
            sim_timer_cancel(&the_clock, &x->timer);
        } else {
            sim_timer_in(&the_clock, &x->timer, sim_random_below(&r, 300));
            x->order = ++order;
        }
        if (sim_random_below(&r, 3) || sim_clock_next(&the_clock) == TIME_NEVER)
            continue;
        const struct rec *want = NULL;
        for (unsigned k = 0; k < TIMERS; k++) {
            const struct rec *c = &recs[k];
            if (!sim_timer_set(&c->timer))
                continue;
            if (!want || c->timer.at_ns < want->timer.at_ns ||
                (c->timer.at_ns == want->timer.at_ns && c->order < want->order))
                want = c;
        }
        sim_clock_move(&the_clock, sim_clock_next(&the_clock));
        count = 0;
        assert_true(sim_clock_fire(&the_clock));
        assert_ptr_equal(&recs[fired[0]], want);
    }
    for (unsigned k = 0; k < TIMERS; k++)
        left += sim_timer_set(&recs[k].timer);
    count = 0;
    run();
    assert_int_equal(count, left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_instant_in_order, setup),
        cmocka_unit_test_setup(what_is_past_is_due_now, setup),
        cmocka_unit_test_setup(hears_of_earlier_ones, setup),
        cmocka_unit_test_setup(many, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
