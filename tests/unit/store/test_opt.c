/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values of options, and options against the table of a back end. */
#include "store/opt.h"
#include "store/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct value {
    const char *text;
    int err;
    uint64_t value;
};

static void sizes(void **state)
{
    static const struct value t[] = {
        { "0", 0, 0 },
        { "512", 0, 512 },
        { "1K", 0, 1024 },
        { "1k", 0, 1024 },
        { "64M", 0, 67108864 },
        { "1GiB", 0, 1073741824 },
        { "10T", 0, 10995116277760 },
        { "3PiB", 0, 3377699720527872 },
        { "16383P", 0, 18445618173802708992u },
        { "16384P", USAN_ERANGE, 0 },
        { "18446744073709551615", 0, UINT64_MAX },
        { "18446744073709551616", USAN_ERANGE, 0 },
        { "99999999999999999999999", USAN_ERANGE, 0 },
        { "", USAN_EINVAL, 0 },
        { "M", USAN_EINVAL, 0 },
        { "-1", USAN_EINVAL, 0 },
        { "1MB", USAN_EINVAL, 0 },
        { "1Mi", USAN_EINVAL, 0 },
        { "1 M", USAN_EINVAL, 0 },
        { "1m", USAN_EINVAL, 0 },
        { "1.5G", USAN_EINVAL, 0 },
        { "0x10", USAN_EINVAL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint64_t v = 77;
        print_message("# '%s'\n", t[i].text);
        assert_int_equal(opt_parse_size(t[i].text, &v), t[i].err);
        assert_int_equal(v, t[i].err ? 77 : t[i].value);
    }
}

static void numbers(void **state)
{
    uint64_t v = 0;
    (void)state;
    assert_int_equal(opt_parse_uint("4711", &v), 0);
    assert_int_equal(v, 4711);
    assert_int_equal(opt_parse_uint("4711K", &v), USAN_EINVAL);
    assert_int_equal(opt_parse_uint(" 1", &v), USAN_EINVAL);
    assert_int_equal(opt_parse_uint("", &v), USAN_EINVAL);
    assert_int_equal(opt_parse_uint("18446744073709551616", &v), USAN_ERANGE);
    assert_int_equal(v, 4711);
}

static void truths(void **state)
{
    static const char *const yes[] = { "1", "yes", "true", "on" };
    static const char *const no[] = { "0", "no", "false", "off" };
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool v = false;
        assert_int_equal(opt_parse_bool(yes[i], &v), 0);
        assert_true(v);
        assert_int_equal(opt_parse_bool(no[i], &v), 0);
        assert_false(v);
    }
    bool v;
    assert_int_equal(opt_parse_bool("2", &v), USAN_EINVAL);
    assert_int_equal(opt_parse_bool("", &v), USAN_EINVAL);
    assert_int_equal(opt_parse_bool("Yes", &v), USAN_EINVAL);
}

static void times(void **state)
{
    static const struct value t[] = {
        { "5ns", 0, 5 },
        { "7us", 0, 7000 },
        { "10ms", 0, 10000000 },
        { "2s", 0, 2000000000 },
        { "18446744073s", 0, 18446744073000000000u },
        { "18446744074s", USAN_ERANGE, 0 },
        { "10", USAN_EINVAL, 0 },
        { "1m", USAN_EINVAL, 0 },
        { "ms", USAN_EINVAL, 0 },
        { "1 ms", USAN_EINVAL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint64_t v = 77;
        print_message("# '%s'\n", t[i].text);
        assert_int_equal(opt_parse_time(t[i].text, &v), t[i].err);
        assert_int_equal(v, t[i].err ? 77 : t[i].value);
    }
}

static void ratios(void **state)
{
    static const struct value t[] = {
        { "0", 0, 0 },
        { "1", 0, 1000000000 },
        { "0.25", 0, 250000000 },
        { "0.000000001", 0, 1 },
        { "0.0000000001", USAN_EINVAL, 0 },
        { "1.0", 0, 1000000000 },
        { "1.000000001", USAN_ERANGE, 0 },
        { "2", USAN_ERANGE, 0 },
        { "100%", 0, 1000000000 },
        { "0.5%", 0, 5000000 },
        { "100.1%", USAN_ERANGE, 0 },
        { "101%", USAN_ERANGE, 0 },
        { "18446744073709551615", USAN_ERANGE, 0 },
        { "", USAN_EINVAL, 0 },
        { ".5", USAN_EINVAL, 0 },
        { "-0.1", USAN_EINVAL, 0 },
        { "50%%", USAN_EINVAL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint32_t v = 77;
        print_message("# '%s'\n", t[i].text);
        assert_int_equal(opt_parse_ratio(t[i].text, &v), t[i].err);
        assert_int_equal(v, t[i].err ? 77 : t[i].value);
    }
}

static const struct store_opt_desc descs[] = {
    { "depth", "uint", "32", "" },
    { "size", "size", "", "" },
    { "sync", "bool", "no", "" },
    { "wait", "time", "1ms", "" },
    { "rate", "ratio", "0", "" },
    { "name", "text", "nobody", "" },
    { .key = NULL },
};
static const struct store_ops ops = { .name = "thing", .opts = descs };
static const struct store_ops bare = { .name = "bare" };
static const struct store_opt_desc many_descs[] = {
    { "an_option_with_a_name_of_quite_some_length_1", "bool", "no", "a" },
    { "an_option_with_a_name_of_quite_some_length_2", "bool", "no", "b" },
    { "an_option_with_a_name_of_quite_some_length_3", "bool", "no", "c" },
    { .key = NULL },
};
static const struct store_ops many = { .name = "many", .opts = many_descs };

static void given_and_default(void **state)
{
    const struct store_opt opts[] = { { "size", "1K" }, { "sync", "1" }, { "rate", "50%" } };
    const struct store_open how = { .opts = opts, .opt_count = 3 };
    (void)state;
    assert_int_equal(opt_check(&ops, opts, 3, NULL), 0);
    assert_int_equal(opt_size(&ops, &how, "size"), 1024);
    assert_true(opt_bool(&ops, &how, "sync"));
    assert_int_equal(opt_ratio(&ops, &how, "rate"), OPT_RATIO_ONE / 2);
    assert_int_equal(opt_uint(&ops, &how, "depth"), 32);
    assert_int_equal(opt_time(&ops, &how, "wait"), NS_PER_MS);
    assert_string_equal(opt_text(&ops, &how, "name"), "nobody");
    assert_true(opt_given(&how, "size"));
    assert_false(opt_given(&how, "depth"));
    const struct store_open none = { .opts = NULL };
    assert_int_equal(opt_size(&ops, &none, "size"), 0);
    assert_false(opt_bool(&ops, &none, "sync"));
}

static void wrong_options(void **state)
{
    static const struct {
        const struct store_ops *ops;
        struct store_opt opts[2];
        size_t count;
        int err;
        const char *text;
    } t[] = {
        { &ops,
          { { "nosuch", "1" } },
          1,
          USAN_EINVAL,
          "thing: unknown option 'nosuch' (it has: depth, size, sync, wait, rate, name)" },
        { &bare, { { "x", "1" } }, 1, USAN_EINVAL, "bare: unknown option 'x' (it has no options)" },
        { &many,
          { { "x", "1" } },
          1,
          USAN_EINVAL,
          "many: unknown option 'x' (usan-discover(1) and doc/stores.md list what it has)" },
        { &ops,
          { { "depth", "1" }, { "depth", "2" } },
          2,
          USAN_EINVAL,
          "thing: option 'depth' is given twice" },
        { &ops,
          { { "depth", "x" } },
          1,
          USAN_EINVAL,
          "thing: option 'depth': 'x' is not a number" },
        { &ops,
          { { "size", "99999P" } },
          1,
          USAN_ERANGE,
          "thing: option 'size': '99999P' is too large for a size such as 4096, 64K, 10GiB" },
        { &ops,
          { { "sync", "maybe" } },
          1,
          USAN_EINVAL,
          "thing: option 'sync': 'maybe' is not yes or no" },
        { &ops,
          { { "wait", "5" } },
          1,
          USAN_EINVAL,
          "thing: option 'wait': '5' is not a time such as 500us, 10ms, 2s" },
        { &ops,
          { { "rate", "1.5" } },
          1,
          USAN_ERANGE,
          "thing: option 'rate': '1.5' is too large for a share such as 0.01 or 1%" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err_text e = { "" };
        assert_int_equal(opt_check(t[i].ops, t[i].opts, t[i].count, &e), t[i].err);
        assert_string_equal(e.text, t[i].text);
    }
}

/* Getters assert on a default that does not parse: ask for each one there is. */
static void tables_have_valid_defaults(void **state)
{
    const struct store_open none = { .opts = NULL };
    size_t count = 0;
    (void)state;
    for (const struct store_ops *const *o = store_registry; *o; o++) {
        assert_string_not_equal((*o)->help, "");
        for (const struct store_opt_desc *d = (*o)->opts; d->key; d++, count++) {
            struct store_opt as_given = { d->key, d->def };
            assert_string_not_equal(d->help, "");
            if (*d->def || !strcmp(d->type, "text"))
                assert_int_equal(opt_check(*o, &as_given, 1, NULL), 0);
            assert_ptr_equal(opt_text(*o, &none, d->key), d->def);
        }
    }
    assert_true(count > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),         cmocka_unit_test(numbers),
        cmocka_unit_test(truths),        cmocka_unit_test(times),
        cmocka_unit_test(ratios),        cmocka_unit_test(given_and_default),
        cmocka_unit_test(wrong_options), cmocka_unit_test(tables_have_valid_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
