/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "sim/disk.h"

#include <string.h>

enum { REQUESTS = 6 };

static struct sim_clock the_clock;
static struct bio bios[REQUESTS];
static struct {
    unsigned which;
    uint64_t at_ns;
} ends[REQUESTS];
static unsigned count;

static void done(struct bio *bio)
{
    assert_int_equal(bio->err, 0);
    ends[count].which = (unsigned)(bio - bios);
    ends[count++].at_ns = the_clock.now_ns;
}

static int setup(void **state)
{
    (void)state;
    the_clock = (struct sim_clock){ .now_ns = 0 };
    count = 0;
    memset(bios, 0, sizeof(bios));
    for (unsigned i = 0; i < REQUESTS; i++)
        bios[i] = (struct bio){ .op = BIO_READ, .len = 4096, .done = done };
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

static void check_ends(const unsigned *which, const uint64_t *at_ns, unsigned n)
{
    assert_int_equal(count, n);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(ends[i].which, which[i]);
        assert_int_equal(ends[i].at_ns, at_ns[i]);
    }
}

/* Two at a time, in their order. */
static void depth(void **state)
{
    const struct sim_disk_config cfg = { .read = { .a_ns = 100 }, .queue_depth = 2 };
    struct sim_disk *d = sim_disk_new(&cfg, &the_clock, 1);
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        sim_disk_submit(d, &bios[i]);
    assert_int_equal(count, 0); /* never from inside the call */
    run();
    check_ends((const unsigned[]){ 0, 1, 2, 3, 4 }, (const uint64_t[]){ 100, 100, 200, 200, 300 },
               5);
    struct sim_disk_stats s = sim_disk_stats(d);
    assert_int_equal(s.reads, 5);
    assert_int_equal(s.busy_ns, 300);
    assert_int_equal(s.wait_ns, 100 + 100 + 200);
    sim_disk_free(d);
}

/* Latency in parallel, bytes one after the other: 4096 bytes at 4.096 GB/s are 1000 ns. */
static void channel(void **state)
{
    const struct sim_disk_config cfg = {
        .read = { .a_ns = 100 },
        .write = { .a_ns = 50 },
        .bandwidth_bps = 4096000000,
        .queue_depth = 8,
    };
    struct sim_disk *d = sim_disk_new(&cfg, &the_clock, 1);
    (void)state;
    bios[1].op = BIO_WRITE;
    bios[1].len = 8192;
    bios[2].op = BIO_FLUSH; /* has no bytes */
    bios[2].len = 0;
    for (unsigned i = 0; i < 4; i++)
        sim_disk_submit(d, &bios[i]);
    run();
    check_ends((const unsigned[]){ 2, 1, 0, 3 }, (const uint64_t[]){ 50, 2050, 3050, 4050 }, 4);
    struct sim_disk_stats s = sim_disk_stats(d);
    assert_int_equal(s.reads, 2);
    assert_int_equal(s.writes, 1);
    assert_int_equal(s.others, 1);
    assert_int_equal(s.bytes_busy_ns, 4000);
    sim_disk_free(d);
}

/* What is under way is forgotten with the disk. */
static void freed(void **state)
{
    const struct sim_disk_config cfg = { .read = { .a_ns = 100 }, .queue_depth = 1 };
    struct sim_disk *d = sim_disk_new(&cfg, &the_clock, 1);
    (void)state;
    sim_disk_submit(d, &bios[0]);
    sim_disk_submit(d, &bios[1]);
    sim_clock_move(&the_clock, 30);
    assert_int_equal(sim_disk_stats(d).busy_ns, 30);
    sim_disk_free(d);
    run();
    assert_int_equal(count, 0);
    sim_disk_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(depth, setup),
        cmocka_unit_test_setup(channel, setup),
        cmocka_unit_test_setup(freed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
