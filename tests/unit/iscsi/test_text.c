/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A text of this exact size in its own allocation's end, so that sanitizers see a read past it. */
static int parse_all(const void *text, size_t len, unsigned *ret_pairs)
{
    struct iscsi_pair pair;
    size_t pos = 0;
    int more;
    *ret_pairs = 0;
    while ((more = iscsi_text_next(text, len, &pos, &pair)) > 0) {
        assert_true(pair.key_len >= 1 && pair.key_len <= ISCSI_KEY_NAME_MAX);
        assert_int_equal(strlen(pair.value), pair.value_len);
        assert_true(pos <= len);
        (*ret_pairs)++;
    }
    if (!more)
        assert_int_equal(pos, len);
    return more;
}

static void pairs(void **st)
{
    (void)st;
    static const char text[] = "A=1\0Long.key-name+@_#=x=y\0\0\0Empty=";
    struct iscsi_pair pair;
    size_t pos = 0;
    assert_int_equal(iscsi_text_next(text, sizeof(text), &pos, &pair), 1);
    assert_true(iscsi_pair_is(&pair, "A"));
    assert_false(iscsi_pair_is(&pair, "AA"));
    assert_false(iscsi_pair_is(&pair, ""));
    assert_string_equal(pair.value, "1");
    assert_int_equal(iscsi_text_next(text, sizeof(text), &pos, &pair), 1);
    assert_true(iscsi_pair_is(&pair, "Long.key-name+@_#"));
    assert_string_equal(pair.value, "x=y");
    assert_int_equal(pair.value_len, 3);
    assert_int_equal(iscsi_text_next(text, sizeof(text), &pos, &pair), 1);
    assert_true(iscsi_pair_is(&pair, "Empty"));
    assert_int_equal(pair.value_len, 0);
    assert_int_equal(iscsi_text_next(text, sizeof(text), &pos, &pair), 0);
    assert_int_equal(iscsi_text_next(text, sizeof(text), &pos, &pair), 0);
    pos = 0;
    assert_int_equal(iscsi_text_next(NULL, 0, &pos, &pair), 0);
}

/* Cut anywhere, a text is whole only behind a NUL. */
static void truncated(void **st)
{
    (void)st;
    static const char text[] = "HeaderDigest=CRC32C,None\0MaxBurstLength=0x40000\0X=\0";
    size_t len = sizeof(text) - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        char *copy = test_malloc(cut + 1);
        memcpy(copy, text, cut);
        copy[cut] = '='; /* not a NUL */
        unsigned n, want = 0;
        for (size_t i = 0; i < cut; i++)
            want += !text[i];
        int rc = parse_all(copy, cut, &n);
        assert_int_equal(rc, cut && text[cut - 1] ? USAN_EPROTO : 0);
        assert_int_equal(n, want);
        test_free(copy);
    }
}

static void malformed(void **st)
{
    (void)st;
    static const char *const cases[] = { "=", "=x", "noequals", "a b=c", "k\xc3\xa4y=1", "k,=1" };
    unsigned n;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(parse_all(cases[i], strlen(cases[i]) + 1, &n), USAN_EPROTO);
}

static void length_limits(void **st)
{
    (void)st;
    static char text[ISCSI_VALUE_LONG_MAX + 200];
    unsigned n;
    memset(text, 'k', 63);
    memcpy(text + 63, "=", 2);
    assert_int_equal(parse_all(text, 65, &n), 0);
    assert_int_equal(n, 1);
    memset(text, 'k', 64);
    memcpy(text + 64, "=", 2);
    assert_int_equal(parse_all(text, 66, &n), USAN_EPROTO);

    memset(text, 'v', sizeof(text));
    memcpy(text, "K=", 2);
    text[2 + 8192] = '\0';
    assert_int_equal(parse_all(text, 2 + 8192 + 1, &n), 0);
    assert_int_equal(n, 1);
    text[2 + 8192] = 'v';
    text[2 + 8193] = '\0';
    assert_int_equal(parse_all(text, 2 + 8193 + 1, &n), USAN_EPROTO);
}

static void numbers(void **st)
{
    (void)st;
    static const struct {
        const char *in;
        uint64_t out;
    } good[] = {
        { "0", 0 },
        { "262144", 262144 },
        { "0x40000", 262144 },
        { "0X4aBc", 0x4abc },
        { "007", 7 },
        { "18446744073709551615", UINT64_MAX },
        { "0xffffffffffffffff", UINT64_MAX },
        { "0x0000000000000000001", 1 },
    };
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x",
        "0xg",
        "1a",
        "?",
        "18446744073709551616",
        "1e3",
        "0x10000000000000000",
        "0b01",
        "1,2",
        "99999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t n = 99;
        assert_int_equal(iscsi_text_number(good[i].in, &n), 0);
        assert_true(n == good[i].out);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t n = 99;
        assert_int_equal(iscsi_text_number(bad[i], &n), USAN_EINVAL);
        assert_int_equal(n, 99);
    }
}

static void booleans(void **st)
{
    (void)st;
    static const char *const bad[] = { "", "yes", "YES", "no", "1", "Yes ", "true", "?" };
    bool b = false;
    assert_int_equal(iscsi_text_bool("Yes", &b), 0);
    assert_true(b);
    assert_int_equal(iscsi_text_bool("No", &b), 0);
    assert_false(b);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(iscsi_text_bool(bad[i], &b), USAN_EINVAL);
}

static void binary(void **st)
{
    (void)st;
    static const struct {
        const char *in;
        size_t len;
        uint8_t out[6];
    } good[] = {
        { "0x00", 1, { 0 } },
        { "0XdeadBEEF", 4, { 0xde, 0xad, 0xbe, 0xef } },
        { "0x123", 2, { 0x01, 0x23 } },
        { "0x7", 1, { 0x07 } },
        /* RFC 4648 section 10 */
        { "0bZg==", 1, { 'f' } },
        { "0bZm8=", 2, { 'f', 'o' } },
        { "0BZm9v", 3, { 'f', 'o', 'o' } },
        { "0bZm9vYg==", 4, { 'f', 'o', 'o', 'b' } },
        { "0bZm9vYmE=", 5, { 'f', 'o', 'o', 'b', 'a' } },
        { "0bZm9vYmFy", 6, { 'f', 'o', 'o', 'b', 'a', 'r' } },
        { "0b+/+/", 3, { 0xfb, 0xff, 0xbf } },
    };
    static const char *const bad[] = {
        "",      "0",    "0x",     "0b",     "12",      "deadbeef", "0xzz",   "0x1 ",   "0bZ===",
        "0bZg=", "0bZg", "0b====", "0bZm=v", "0bZm9v=", "0bZh==",   "0bZm9=", "0b Zm9", "0bZm9vZ",
    };
    uint8_t buf[6];
    size_t len;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(iscsi_text_binary(good[i].in, buf, sizeof(buf), &len), 0);
        assert_int_equal(len, good[i].len);
        assert_memory_equal(buf, good[i].out, len);
        assert_int_equal(iscsi_text_binary(good[i].in, buf, len, &len), 0);
        assert_int_equal(iscsi_text_binary(good[i].in, buf, len - 1, &len), USAN_ERANGE);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(iscsi_text_binary(bad[i], buf, sizeof(buf), &len), USAN_EINVAL);
}

static void lists(void **st)
{
    (void)st;
    const char *list = "CRC32C,,None", *item;
    size_t len;
    assert_true(iscsi_text_item(&list, &item, &len));
    assert_true(iscsi_item_is(item, len, "CRC32C"));
    assert_false(iscsi_item_is(item, len, "CRC32"));
    assert_true(iscsi_text_item(&list, &item, &len));
    assert_int_equal(len, 0);
    assert_true(iscsi_text_item(&list, &item, &len));
    assert_true(iscsi_item_is(item, len, "None"));
    assert_false(iscsi_text_item(&list, &item, &len));
    list = "";
    assert_true(iscsi_text_item(&list, &item, &len));
    assert_int_equal(len, 0);
    assert_false(iscsi_text_item(&list, &item, &len));
}

static void put(void **st)
{
    (void)st;
    char buf[96];
    struct wr w = wr_init(buf, sizeof(buf));
    iscsi_text_put(&w, "A", "b");
    iscsi_text_put_n(&w, "Xyz", 1, "1");
    iscsi_text_put_number(&w, "N", 0);
    iscsi_text_put_number(&w, "M", UINT64_MAX);
    iscsi_text_put_binary(&w, "B", "\x00\xab\x7f", 3);
    static const char want[] = "A=b\0X=1\0N=0\0M=18446744073709551615\0B=0x00ab7f";
    assert_int_equal(w.len, sizeof(want));
    assert_memory_equal(buf, want, sizeof(want));
    w = wr_init(buf, 4);
    iscsi_text_put(&w, "A", "bc");
    assert_true(wr_truncated(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),   cmocka_unit_test(truncated),     cmocka_unit_test(malformed),
        cmocka_unit_test(numbers), cmocka_unit_test(length_limits), cmocka_unit_test(booleans),
        cmocka_unit_test(binary),  cmocka_unit_test(lists),         cmocka_unit_test(put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
