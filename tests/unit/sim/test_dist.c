/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "base/clock.h"
#include "sim/random.h"

#include <string.h>

enum { DRAWS = 200000 };

static void streams(void **state)
{
    struct sim_random a, b, c, d;
    (void)state;
    sim_random_init(&a, 5, SIM_STREAM_LOAD, 0);
    sim_random_init(&b, 5, SIM_STREAM_LOAD, 0);
    sim_random_init(&c, 5, SIM_STREAM_DISK, 0);
    sim_random_init(&d, 5, SIM_STREAM_LOAD, 1);
    for (int i = 0; i < 100; i++) {
        uint64_t v = sim_random_64(&a);
        assert_int_equal(v, sim_random_64(&b));
        assert_int_not_equal(v, sim_random_64(&c));
        assert_int_not_equal(v, sim_random_64(&d));
        assert_in_range(sim_random_below(&c, 7), 0, 6);
    }
    assert_int_equal(sim_random_below(&c, 0), 0);
}

static void texts(void **state)
{
    static const struct {
        const char *text;
        struct sim_dist d;
    } good[] = {
        { "80us", { SIM_DIST_CONSTANT, 80000, 0 } },
        { "0", { SIM_DIST_CONSTANT, 0, 0 } },
        { "uniform 50us 2ms", { SIM_DIST_UNIFORM, 50000, 2000000 } },
        { "exponential 1ms", { SIM_DIST_EXPONENTIAL, 1000000, 0 } },
        { "lognormal 80us  1ms", { SIM_DIST_LOGNORMAL, 80000, 1000000 } },
    };
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "is not a time like" },
        { "fast", "is not a time like" },
        { "uniform 50us", "is not a time like" },
        { "uniform 2ms 50us", "the second time is the longer one" },
        { "exponential 1ms 2ms", "is not a time like" },
        { "lognormal 0 1ms", "the first time is more than 0" },
        { "exponential 61s", "is too long, 60 s are the most" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sim_dist d;
        assert_int_equal(sim_dist_parse(good[i].text, &d, NULL), 0);
        assert_int_equal(d.kind, good[i].d.kind);
        assert_int_equal(d.a_ns, good[i].d.a_ns);
        assert_int_equal(d.b_ns, good[i].d.b_ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sim_dist d = { .a_ns = 9 };
        struct err_text why = { "" };
        assert_int_equal(sim_dist_parse(bad[i].text, &d, &why), USAN_EINVAL);
        assert_non_null(strstr(why.text, bad[i].why));
        assert_int_equal(d.a_ns, 9);
    }
}

/* Share of draws up to a limit, and their mean. */
static double draw(const char *text, uint64_t limit, double *ret_mean)
{
    struct sim_dist d;
    struct sim_random r;
    unsigned below = 0;
    double sum = 0;
    assert_int_equal(sim_dist_parse(text, &d, NULL), 0);
    sim_random_init(&r, 1, SIM_STREAM_DISK, 0);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t v = sim_dist_draw(&d, &r);
        below += v <= limit;
        sum += (double)v;
    }
    *ret_mean = sum / DRAWS;
    return (double)below / DRAWS;
}

/* Values that follow from the definitions; 200,000 draws of one seed. */
static void shapes(void **state)
{
    double mean, share;
    (void)state;
    share = draw("80us", 80000, &mean);
    assert_true(share == 1 && mean == 80000);
    share = draw("uniform 100us 300us", 150000, &mean);
    assert_true(share > 0.245 && share < 0.255 && mean > 199e3 && mean < 201e3);
    share = draw("exponential 100us", 100000, &mean); /* 1 - 1/e */
    assert_true(share > 0.627 && share < 0.637 && mean > 99e3 && mean < 101e3);
    share = draw("lognormal 100us 1ms", 100000, &mean);
    assert_true(share > 0.495 && share < 0.505);
    share = draw("lognormal 100us 1ms", 1000000, &mean);
    assert_true(share > 0.989 && share < 0.991);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
        cmocka_unit_test(texts),
        cmocka_unit_test(shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
