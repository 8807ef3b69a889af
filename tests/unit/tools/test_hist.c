/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The histogram of times: no percentile is too low, none more than a bucket too high. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/hist.h"

static struct hist h;

static int clear(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    return 0;
}

static void empty(void **state)
{
    (void)state;
    assert_int_equal(hist_percentile(&h, 50), 0);
    assert_int_equal(hist_mean(&h), 0);
    assert_int_equal(h.max, 0);
}

/* Below 64 ns there is a bucket for each. */
static void small(void **state)
{
    (void)state;
    for (uint64_t v = 1; v <= 60; v++)
        hist_add(&h, v);
    assert_int_equal(hist_percentile(&h, 50), 30);
    assert_int_equal(hist_percentile(&h, 90), 54);
    assert_int_equal(hist_percentile(&h, 100), 60);
    assert_int_equal(hist_percentile(&h, 0), 1);
    assert_int_equal(hist_mean(&h), 30);
    assert_int_equal(h.min, 1);
    assert_int_equal(h.max, 60);
}

/* Each value by itself, with a larger one so that max does not cap it. */
static void error(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < 1ull << 40; v = v * 21 / 20 + 1) {
        memset(&h, 0, sizeof(h));
        hist_add(&h, v);
        hist_add(&h, UINT64_MAX / 4);
        uint64_t p = hist_percentile(&h, 50);
        assert_true(p >= v);
        assert_true(p - v <= v / 32);
    }
}

static void large(void **state)
{
    (void)state;
    hist_add(&h, 1ull << 41);
    hist_add(&h, 1ull << 50);
    hist_add(&h, UINT64_MAX / 2);
    assert_int_equal(h.max, UINT64_MAX / 2);
    assert_int_equal(h.count, 3);
    assert_true(hist_percentile(&h, 33) >= 1ull << 41);
    assert_true(hist_percentile(&h, 33) < (1ull << 41) + (1ull << 37));
    assert_true(hist_percentile(&h, 100) >= (1ull << 42) - 1);
}

static void merged(void **state)
{
    (void)state;
    static struct hist other, none;
    for (uint64_t v = 0; v < 100; v++) {
        hist_add(&h, 1000);
        hist_add(&other, 3000000);
    }
    hist_add(&other, 7);
    hist_merge(&h, &other);
    hist_merge(&h, &none);
    assert_int_equal(h.count, 201);
    assert_int_equal(h.min, 7);
    assert_int_equal(h.max, 3000000);
    assert_in_range(hist_percentile(&h, 50), 1000, 1031);
    assert_int_equal(hist_percentile(&h, 99), 3000000);
    assert_int_equal(hist_mean(&h), (100 * 1000 + 100 * 3000000ull + 7) / 201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(empty, clear),  cmocka_unit_test_setup(small, clear),
        cmocka_unit_test_setup(error, clear),  cmocka_unit_test_setup(large, clear),
        cmocka_unit_test_setup(merged, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
