/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rate limit in real time, with many requests waiting: never faster than 95 % of the time it
 * should take. How slow it may be is the matter of test_filters, whose clock is not the machine's:
 * one that stops for longer than the burst slows us down, which is not the limit's fault. Here a
 * try within 5 % is looked for; ten seconds in the best of all tries is a defect all the same.
 */
#include "io/clock.h"
#include "rig.h"

#include <stdlib.h>

#define DEPTH 32
#define TRIES 10

struct flow {
    struct rig rig;
    struct bio bio[DEPTH];
    struct iovec iov;
    struct loop_work start;
    size_t len;
    unsigned todo, running;
    uint64_t begin_ns, end_ns;
};

static struct flow flow;

static void submit(struct bio *bio, void (*done)(struct bio *bio))
{
    *bio = (struct bio){
        .op = BIO_READ, .len = flow.len, .iov = &flow.iov, .iovcnt = 1, .done = done
    };
    flow.todo--;
    flow.running++;
    store_submit(flow.rig.ch, bio);
}

static void done(struct bio *bio)
{
    assert_int_equal(bio->err, 0);
    flow.running--;
    if (flow.todo) {
        submit(bio, done);
    } else if (!flow.running) {
        flow.end_ns = clock_now_ns();
        loop_stop(flow.rig.loop);
    }
}

static void start(struct loop_work *w)
{
    (void)w;
    flow.begin_ns = clock_now_ns();
    for (size_t i = 0; i < DEPTH; i++)
        submit(&flow.bio[i], done);
}

static uint64_t measure(const char *spec, size_t len, unsigned count, enum loop_engine_kind engine)
{
    flow = (struct flow){ .len = len, .todo = count };
    flow.iov = (struct iovec){ .iov_base = malloc(len), .iov_len = len };
    assert_non_null(flow.iov.iov_base);
    rig_open(&flow.rig, spec, engine);
    loop_work_init(&flow.start, start);
    loop_work_queue(flow.rig.loop, &flow.start);
    loop_run(flow.rig.loop);
    rig_close(&flow.rig);
    free(flow.iov.iov_base);
    return flow.end_ns - flow.begin_ns;
}

struct rate {
    const char *spec;
    size_t len;
    unsigned count; /* of which the burst is done at once */
    uint64_t want_ns;
    enum loop_engine_kind engine;
};

static void keeps_the_rate(void **state)
{
    const struct rate *t = *state;
    if (!rig_engine_works(t->engine)) {
        print_message("# skipped: io_uring is closed on this machine\n");
        skip();
    }
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < TRIES && best_ns > t->want_ns / 100 * 105; i++) {
        uint64_t ns = measure(t->spec, t->len, t->count, t->engine);
        print_message("# %s: %llu us, expected %llu\n", t->spec, (unsigned long long)ns / 1000,
                      (unsigned long long)t->want_ns / 1000);
        assert_true(ns >= t->want_ns / 100 * 95); /* never faster, in no try */
        best_ns = ns < best_ns ? ns : best_ns;
    }
    assert_true(best_ns <= 10 * NS_PER_SEC);
}

#define RATE(name, ...)                                                                            \
    {                                                                                              \
        name, keeps_the_rate, NULL, NULL, &(struct rate)                                           \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        RATE("requests, io_uring", "ratelimit(iops=2000,burst=50ms)+ram:4M", 4096, 1301,
             600 * NS_PER_MS, LOOP_ENGINE_URING),
        RATE("requests, epoll", "ratelimit(iops=2000,burst=50ms)+ram:4M", 4096, 1301,
             600 * NS_PER_MS, LOOP_ENGINE_EPOLL),
        RATE("many requests", "ratelimit(iops=50000,burst=50ms)+ram:4M", 512, 32501,
             600 * NS_PER_MS, LOOP_ENGINE_AUTO),
        RATE("bytes", "ratelimit(bps=64M,burst=50ms)+ram:4M", 65536, 666, 600 * NS_PER_MS,
             LOOP_ENGINE_AUTO),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
