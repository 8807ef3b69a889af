/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes from other threads and from signals, and what an idle loop costs. */
#include "io/thread.h"
#include "loop_fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SENDERS  4
#define MESSAGES 20000

struct note {
    struct loop_msg m;
    struct box *box;
    int sender, number;
};

struct box {
    struct fixture *f;
    int next[SENDERS]; /* expected number of each sender */
    int total, disorder;
};

struct sender {
    struct thread thread;
    struct box *box;
    struct note *notes;
    int id;
};

static void note_deliver(struct loop_msg *m)
{
    struct note *n = list_entry(m, struct note, m);
    struct box *b = n->box;
    b->disorder += n->number != b->next[n->sender];
    b->next[n->sender] = n->number + 1;
    if (++b->total == SENDERS * MESSAGES)
        loop_stop(b->f->loop);
}

static void sender_run(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < MESSAGES; i++) {
        s->notes[i] = (struct note){
            .m = { .deliver = note_deliver }, .box = s->box, .sender = s->id, .number = i
        };
        loop_post(s->box->f->loop, &s->notes[i].m);
        /* Let the receiver fall asleep now and then: the wake-up is what is worth testing. */
        if (i % 5000 == 4999)
            (void)usleep(300);
    }
}

static void messages_of_four_threads(void **state)
{
    struct fixture *f = fixture_get(state);
    struct box b = { .f = f };
    struct sender s[SENDERS];
    memset(s, 0, sizeof s);
    for (int i = 0; i < SENDERS; i++) {
        s[i].box = &b;
        s[i].id = i;
        s[i].notes = test_calloc(MESSAGES, sizeof(struct note));
        assert_int_equal(thread_start(&s[i].thread, "sender", sender_run, &s[i], NULL), 0);
    }
    loop_run(f->loop);
    for (int i = 0; i < SENDERS; i++) {
        thread_join(&s[i].thread);
        test_free(s[i].notes);
        assert_int_equal(b.next[i], MESSAGES);
    }
    assert_int_equal(b.total, SENDERS * MESSAGES);
    assert_int_equal(b.disorder, 0);
}

/* ---- ping-pong between two reactors ---- */

#define ROUNDS 2000

struct ball {
    struct loop_msg m;
    struct loop *here, *there;
    int rounds;
};

static void ball_deliver(struct loop_msg *m)
{
    struct ball *b = list_entry(m, struct ball, m);
    struct loop *from = b->here;
    if (b->rounds-- == 0) {
        loop_stop(from);
        loop_stop(b->there);
        return;
    }
    b->here = b->there;
    b->there = from;
    loop_post(b->here, m);
}

static void two_reactors_play_ping_pong(void **state)
{
    struct fixture *f = fixture_get(state);
    struct loop *other = fixture_loop_new(f);
    struct thread t = { 0 };
    struct ball b = { .m = { .deliver = ball_deliver }, .here = f->loop, .there = other };
    b.rounds = ROUNDS;
    loop_post(f->loop, &b.m);
    assert_int_equal(thread_start_loop(&t, "other", other, NULL), 0);
    loop_run(f->loop);
    thread_join(&t);
    loop_free(other);
    assert_int_equal(b.rounds, -1);
}

/* ---- delivery keeps to "now" ---- */

struct chain {
    struct loop_msg m;
    struct fixture *f;
    struct loop_timer t;
    int delivered;
    bool timer_fired;
};

static void chain_fire(struct loop_timer *t)
{
    struct chain *c = list_entry(t, struct chain, t);
    c->timer_fired = true;
    loop_stop(c->f->loop);
}

static void chain_deliver(struct loop_msg *m)
{
    struct chain *c = list_entry(m, struct chain, m);
    c->delivered++;
    if (!c->timer_fired)
        loop_post(c->f->loop, m);
}

/* A message that posts itself again for ever does not keep timers from firing. */
static void endless_messages_let_timers_fire(void **state)
{
    struct fixture *f = fixture_get(state);
    struct chain c = { .m = { .deliver = chain_deliver }, .f = f };
    loop_timer_init(&c.t, chain_fire);
    assert_int_equal(loop_timer_set(f->loop, &c.t, clock_now_ns() + 2 * NS_PER_MS), 0);
    loop_post(f->loop, &c.m);
    loop_run(f->loop);
    assert_true(c.delivered > 10);
    assert_true(c.timer_fired);
}

/* ---- stop ---- */

static void stop_before_run_returns_at_once(void **state)
{
    struct fixture *f = fixture_get(state);
    loop_stop(f->loop);
    loop_run(f->loop); /* else the guard timer fails the test */
}

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

static struct loop *signal_loop;
static volatile sig_atomic_t signal_seen;

static void on_signal(int sig)
{
    (void)sig;
    if (signal_seen)
        return;
    signal_seen = 1;
    loop_stop(signal_loop);
}

static void stop_from_a_signal_handler(void **state)
{
    struct fixture *f = fixture_get(state);
    struct sigaction sa = { 0 }, old;
    sa.sa_handler = on_signal;
    assert_int_equal(sigaction(SIGALRM, &sa, &old), 0);
    signal_loop = f->loop;
    for (int i = 0; i < 20; i++) {
        signal_seen = 0;
        timer_t timer;
        struct sigevent ev = { 0 };
        ev.sigev_notify = SIGEV_SIGNAL;
        ev.sigev_signo = SIGALRM;
        assert_int_equal(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
        /* From long before the loop sleeps to well after. */
        struct itimerspec its = { .it_value = { .tv_nsec = 1000 + i * i * 5000 } };
        /* TSan holds a signal back until the thread calls something that it knows, which
         * io_uring_enter(2) is not: one that comes just before is heard of with the next. */
        if (UNDER_TSAN)
            its.it_interval.tv_nsec = 10 * 1000 * 1000;
        assert_int_equal(timer_settime(timer, 0, &its, NULL), 0);
        loop_run(f->loop);
        assert_int_equal(signal_seen, 1);
        assert_int_equal(timer_delete(timer), 0);
    }
    (void)clock_now_ns(); /* what TSan still holds back comes now */
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

/* ---- what waiting costs ---- */

static uint64_t thread_cpu_ns(void)
{
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

struct ticker {
    struct loop_timer t;
    struct fixture *f;
    uint64_t end_ns;
    uint64_t every_ns; /* 0 = only the end */
};

static void ticker_fire(struct loop_timer *t)
{
    struct ticker *k = list_entry(t, struct ticker, t);
    uint64_t now = loop_now(k->f->loop);
    if (now >= k->end_ns)
        loop_stop(k->f->loop);
    else
        assert_int_equal(loop_timer_set(k->f->loop, t, time_min(k->end_ns, now + k->every_ns)), 0);
}

static uint64_t cpu_of(struct fixture *f, uint64_t for_ns, uint64_t every_ns)
{
    struct ticker k = { .f = f, .every_ns = every_ns };
    loop_timer_init(&k.t, ticker_fire);
    uint64_t now = clock_now_ns();
    k.end_ns = now + for_ns;
    assert_int_equal(loop_timer_set(f->loop, &k.t, every_ns ? now + every_ns : k.end_ns), 0);
    uint64_t before = thread_cpu_ns();
    loop_run(f->loop);
    return thread_cpu_ns() - before;
}

/* The least of a few tries: interrupts and cold caches of a busy machine count as ours. */
static uint64_t least_cpu_of(struct fixture *f, uint64_t for_ns, uint64_t every_ns, uint64_t enough)
{
    uint64_t least = UINT64_MAX;
    for (int tries = 0; tries < 10 && least > enough; tries++)
        least = time_min(least, cpu_of(f, for_ns, every_ns));
    return least;
}

static void idle_costs_nothing(void **state)
{
    struct fixture *f = fixture_get(state);
    /* 0.5 % of a core, plus the first turns */
    assert_in_range(least_cpu_of(f, 300 * NS_PER_MS, 0, 2 * NS_PER_MS), 0, 2 * NS_PER_MS);
}

/* Work every 2 ms is too rare for spinning to pay. */
static void rare_work_does_not_make_it_spin(void **state)
{
    struct fixture *f = fixture_get(state);
    /* spinning costs 300 ms; 150 wake-ups on a slow machine less than 200 us each */
    uint64_t bound = 30 * NS_PER_MS;
    assert_in_range(least_cpu_of(f, 300 * NS_PER_MS, 2 * NS_PER_MS, bound), 0, bound);
}

static void always_never_sleeps(void **state)
{
    struct fixture *f = fixture_get(state);
    struct rusage before, after;
    uint64_t cpu = 0;
    long slept = 1;
    /* again when a loaded machine left nothing of the 50 ms to it, or it waited for a page */
    for (int tries = 0; tries < 50 && (cpu <= 2 * NS_PER_MS || slept); tries++) {
        assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
        cpu = cpu_of(f, 50 * NS_PER_MS, 0);
        assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
        slept = after.ru_nvcsw - before.ru_nvcsw;
    }
    assert_true(cpu > 2 * NS_PER_MS);
    assert_int_equal(slept, 0);
}

/* ---- creation ---- */

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    struct err_text e = { "" };
    struct loop *loop = NULL;
    struct loop_config cfg = { .cpu = 1000 };
    assert_int_equal(loop_new(&cfg, &loop, &e), USAN_ERANGE);
    assert_string_equal(e.text, "cpu 1000: this process may not run there");
    cfg.cpu = 100000;
    assert_int_equal(loop_new(&cfg, &loop, &e), USAN_ERANGE);
    assert_string_equal(e.text, "cpu 100000: no such processor");
    cfg.cpu = -1;
    cfg.engine = (enum loop_engine_kind)77;
    assert_int_equal(loop_new(&cfg, &loop, &e), USAN_EINVAL);
    assert_string_equal(e.text, "unknown event engine");
    assert_null(loop);
    loop_free(NULL);
}

static void engines_have_names(void **state)
{
    const struct fixture *f = fixture_get(state);
    assert_string_equal(loop_engine_name(f->loop),
                        f->cfg.engine == LOOP_ENGINE_URING ? "io_uring" : "epoll");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations_are_refused),
        ON_ALL(engines_have_names),
        ON_ALL(messages_of_four_threads),
        ON_ALL(two_reactors_play_ping_pong),
        ON_ALL(endless_messages_let_timers_fire),
        ON_ALL(stop_before_run_returns_at_once),
        ON_ALL(stop_from_a_signal_handler),
        ON_BOTH(idle_costs_nothing, NEVER, "never"),
        ON_BOTH(idle_costs_nothing, AUTO, "auto"),
        ON_BOTH(rare_work_does_not_make_it_spin, NEVER, "never"),
        ON_BOTH(rare_work_does_not_make_it_spin, AUTO, "auto"),
        ON_BOTH(always_never_sleeps, ALWAYS, "always"),
    };
    return cmocka_run_group_tests_name("io messages", tests, NULL, NULL);
}
