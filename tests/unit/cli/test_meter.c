/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes, times and the line that shows how far a command has come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/meter.h"

static void sizes(void **state)
{
    (void)state;
    assert_string_equal(meter_size(0).s, "0");
    assert_string_equal(meter_size(999).s, "999");
    assert_string_equal(meter_size(1000).s, "1.0K");
    assert_string_equal(meter_size(1024 * 10).s, "10K");
    assert_string_equal(meter_size(1024 * 1.5).s, "1.5K");
    assert_string_equal(meter_size(1024.0 * 1024 * 999.7).s, "1.0G");
    assert_string_equal(meter_size(1024.0 * 1024 * 1024 * 1024 * 3).s, "3.0T");
    assert_string_equal(meter_size(18446744073709551615.0).s, "16E");
}

static void times(void **state)
{
    (void)state;
    assert_string_equal(meter_time(0).s, "0s");
    assert_string_equal(meter_time(59.4).s, "59s");
    assert_string_equal(meter_time(59.6).s, "1m00s");
    assert_string_equal(meter_time(3599).s, "59m59s");
    assert_string_equal(meter_time(3600 * 3 + 300).s, "3h05m");
    assert_string_equal(meter_time(-1).s, "0s");
}

static char *text;
static size_t text_len;

/* 1 GiB, 10 MiB a second; what stands there at the end of each second. */
static void rate(void **state)
{
    (void)state;
    struct meter m;
    char line[128];
    FILE *f = open_memstream(&text, &text_len);
    assert_non_null(f);
    meter_init(&m, f, false, 1ull << 30, 5 * NS_PER_SEC);
    meter_line(&m, 0, line, sizeof(line));
    assert_string_equal(line, "0%  0 of 1.0G  0/s"); /* nobody knows yet */
    for (uint64_t s = 1; s <= 12; s++)
        meter_show(&m, "", s * (10 << 20), (5 + s) * NS_PER_SEC);
    meter_line(&m, 512 << 20, line, sizeof(line));
    assert_string_equal(line, "50%  512M of 1.0G  10M/s  51s left");
    meter_clear(&m);
    fclose(f);
    /* No terminal: one line after ten seconds, and no other. */
    assert_string_equal(text, "10%  100M of 1.0G  10M/s  1m32s left\n");
    free(text);
}

static void quiet(void **state)
{
    (void)state;
    struct meter m;
    char line[128];
    FILE *f = open_memstream(&text, &text_len);
    assert_non_null(f);
    meter_init(&m, f, true, 0, 0);
    meter_show(&m, "", 10 << 20, 60 * NS_PER_SEC);
    meter_clear(&m);
    meter_line(&m, 10 << 20, line, sizeof(line));
    assert_string_equal(line, "10M  171K/s"); /* a stream: nobody knows the end */
    fclose(f);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(times),
        cmocka_unit_test(rate),
        cmocka_unit_test(quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
