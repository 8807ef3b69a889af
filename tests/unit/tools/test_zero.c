/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Zeroes in data, and where data differs: every length and place around the steps of the search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/zero.h"

static void all(void **state)
{
    (void)state;
    uint8_t buf[80] = { 0 };
    for (size_t len = 0; len <= 70; len++) {
        buf[len] = 1; /* behind the end */
        assert_true(zero_all(buf, len));
        buf[len] = 0;
        for (size_t at = 0; at < len; at++) {
            buf[at] = 0x80;
            assert_false(zero_all(buf, len));
            buf[at] = 0;
        }
    }
}

static void run_is(const uint8_t *p, size_t len, size_t unit, bool zero, size_t n)
{
    bool z = !zero;
    assert_int_equal(zero_run(p, len, unit, &z), n);
    assert_int_equal(z, zero);
}

static void runs(void **state)
{
    (void)state;
    uint8_t buf[1000] = { 0 };
    run_is(buf, 1000, 100, true, 1000);
    run_is(buf, 1000, 0, false, 1000); /* no looking */
    buf[250] = 1;
    run_is(buf, 1000, 100, true, 200);
    run_is(buf + 200, 800, 100, false, 100);
    run_is(buf + 300, 700, 100, true, 700);
    run_is(buf, 1000, 512, false, 512); /* units that hold it */
    run_is(buf + 512, 488, 512, true, 488);
    buf[350] = buf[999] = 1;
    run_is(buf + 200, 800, 100, false, 200);
    run_is(buf + 960, 40, 100, false, 40); /* less than a unit */
}

static void differ(void **state)
{
    (void)state;
    static uint8_t a[10000], b[10000];
    static const size_t at[] = { 0, 1, 4095, 4096, 8191, 8192, 9998, 9999 };
    for (size_t i = 0; i < sizeof(a); i++)
        a[i] = b[i] = (uint8_t)(i * 7);
    assert_int_equal(zero_differ(a, b, sizeof(a)), sizeof(a));
    assert_int_equal(zero_differ(a, b, 0), 0);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        b[at[i]] ^= 1;
        assert_int_equal(zero_differ(a, b, sizeof(a)), at[i]);
        b[at[i]] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all),
        cmocka_unit_test(runs),
        cmocka_unit_test(differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
