/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        { "0", 0 },
        { "4096", 4096 },
        { "512B", 512 },
        { "1K", 1024 },
        { "1k", 1024 },
        { "64M", 67108864 },
        { "64MiB", 67108864 },
        { "64MB", 67108864 },
        { "1GiB", 1073741824 },
        { "10T", 10995116277760 },
        { "2P", 2251799813685248 },
        { "18446744073709551615", UINT64_MAX },
        { "16383P", 16383ull << 50 },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t v = 1;
        assert_int_equal(num_parse_size(good[i].text, &v), 0);
        assert_int_equal(v, good[i].bytes);
    }
    static const struct {
        const char *text;
        int err;
    } bad[] = {
        { "", USAN_EINVAL },
        { "M", USAN_EINVAL },
        { "-1", USAN_EINVAL },
        { "1X", USAN_EINVAL },
        { "1 M", USAN_EINVAL },
        { "1MX", USAN_EINVAL },
        { "1Mi", USAN_EINVAL },
        { "1.5G", USAN_EINVAL },
        { "0x10", USAN_EINVAL },
        { "16384P", USAN_ERANGE },
        { "18446744073709551616", USAN_ERANGE },
        { "99999999999999999999999", USAN_ERANGE },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t v = 42;
        assert_int_equal(num_parse_size(bad[i].text, &v), bad[i].err);
        assert_int_equal(v, 42); /* never written on failure */
    }
}

static void sizes_as_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0" },
        { 513, "513" },
        { 1024, "1K" },
        { 1536, "1536" },
        { 16 << 20, "16M" },
        { 1ull << 50, "1P" },
        { 8192ull << 50, "8192P" },
        { UINT64_MAX, "18446744073709551615" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(num_size_text(rows[i].bytes).s, rows[i].text);
}

static void numbers(void **state)
{
    (void)state;
    uint64_t v = 0;
    assert_int_equal(num_parse_uint("17", 1, 20, &v), 0);
    assert_int_equal(v, 17);
    assert_int_equal(num_parse_uint("21", 1, 20, &v), USAN_ERANGE);
    assert_int_equal(num_parse_uint("0", 1, 20, &v), USAN_ERANGE);
    assert_int_equal(num_parse_uint("17k", 1, 20, &v), USAN_EINVAL);
    assert_int_equal(num_parse_uint("", 1, 20, &v), USAN_EINVAL);
    assert_int_equal(v, 17);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        { "0", 0 },      { "15", 15000000000 },    { "15s", 15000000000 }, { "500ms", 500000000 },
        { "7us", 7000 }, { "2min", 120000000000 }, { "2m", 120000000000 }, { "1h", 3600000000000 },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t v = 1;
        assert_int_equal(num_parse_time(good[i].text, &v), 0);
        assert_int_equal(v, good[i].ns);
    }
    uint64_t v = 42;
    assert_int_equal(num_parse_time("1d", &v), USAN_EINVAL);
    assert_int_equal(num_parse_time("s", &v), USAN_EINVAL);
    assert_int_equal(num_parse_time("18446744073709551615s", &v), USAN_ERANGE);
    assert_int_equal(v, 42);
}

static void bools(void **state)
{
    (void)state;
    bool v = false;
    assert_int_equal(num_parse_bool("Yes", &v), 0);
    assert_true(v);
    assert_int_equal(num_parse_bool("off", &v), 0);
    assert_false(v);
    assert_int_equal(num_parse_bool("1", &v), USAN_EINVAL);
    assert_int_equal(num_parse_bool("", &v), USAN_EINVAL);
}

static void time_texts(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } all[] = { { 0, "0s" },
                { 1, "1ns" },
                { 1500, "1500ns" },
                { 80000, "80us" },
                { 500000000, "500ms" },
                { 15000000000, "15s" },
                { 90000000000, "90s" },
                { 120000000000, "2min" },
                { 7200000000000, "2h" } };
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_string_equal(num_time_text(all[i].ns).s, all[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_texts), cmocka_unit_test(sizes), cmocka_unit_test(sizes_as_text),
        cmocka_unit_test(numbers),    cmocka_unit_test(times), cmocka_unit_test(bools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
