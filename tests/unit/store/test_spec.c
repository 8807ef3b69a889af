/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Specifications: what stack they give, and what is said about each mistake. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Names of the layers, outermost first. */
static void stack(const struct store *s, char *buf, size_t size)
{
    size_t len = 0;
    buf[0] = '\0';
    for (; s; s = s->lower)
        len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", s->ops->name);
}

static void stacks(void **state)
{
    static const struct {
        const char *spec, *layers;
        uint64_t size;
    } t[] = {
        { "ram:64M", "ram", 64u << 20 },
        { "null:10T", "null", 10ull << 40 },
        { "ram:1M?page=64K&huge=0", "ram", 1u << 20 },
        { "ram:1M?huge", "ram", 1u << 20 },
        { "ram:1M?", "ram", 1u << 20 },
        { "stats+ram:1M", "stats ram", 1u << 20 },
        { "stats()+ram:1M", "stats ram", 1u << 20 },
        { "stats,delay+ram:1M", "stats delay ram", 1u << 20 },
        { "stats+delay(time=5us,jitter=1us)+error(rate=0)+null:1G", "stats delay error null",
          1u << 30 },
        { "ratelimit(iops=1000),stats(name=x)+crash+ram:1GiB", "ratelimit stats crash ram",
          1u << 30 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err_text e = { "" };
        struct store *s = NULL;
        char layers[128];
        print_message("# %s\n", t[i].spec);
        if (store_check_spec(t[i].spec, &e) || store_open_spec(t[i].spec, false, &s, &e))
            fail_msg("%s", e.text);
        assert_non_null(s);
        if (!s)
            return;
        stack(s, layers, sizeof layers);
        assert_string_equal(layers, t[i].layers);
        assert_int_equal(s->info.size_bytes, t[i].size);
        assert_false(s->info.read_only);
        store_close(s);
    }
}

static void read_only(void **state)
{
    struct store *s = NULL;
    (void)state;
    assert_int_equal(store_open_spec("stats+ram:1M", true, &s, NULL), 0);
    assert_true(s->info.read_only);
    assert_true(s->lower->info.read_only);
    store_close(s);
}

#define SIZES ", such as 4096, 64M or 10GiB; the largest is 8191P"

static void mistakes(void **state)
{
    static const struct {
        const char *spec;
        int err;
        const char *text;
    } t[] = {
        { "", USAN_EINVAL, "the specification is empty" },
        { "disk", USAN_ENOENT,
          "unknown back end 'disk' (there are: file, ram, null; a path begins with / or ./)" },
        { "tape:1G", USAN_ENOENT,
          "unknown back end 'tape' (there are: file, ram, null; a path begins with / or ./)" },
        { "some disk.img", USAN_EINVAL,
          "'some disk.img' is neither NAME:TARGET nor a path that begins with / or ./" },
        { "RAM:1G", USAN_EINVAL,
          "'RAM:1G' is neither NAME:TARGET nor a path that begins with / or ./" },
        { "stats+ISCSI://alice%hunter2@h/t/0", USAN_EINVAL,
          "'ISCSI://alice@h/t/0' is neither NAME:TARGET nor a path that begins with / or ./" },
        { "cache+ram:1M", USAN_ENOENT,
          "unknown filter 'cache' (there are: stats, ratelimit, delay, error, crash; a path begins "
          "with / or ./)" },
        { "ram+ram:1M", USAN_EINVAL, "'ram' is not a filter: it goes last, as ram:TARGET" },
        { "stats:1M", USAN_EINVAL, "filter 'stats' needs a store behind it: stats+NAME:TARGET" },
        { "stats", USAN_EINVAL, "filter 'stats' needs a store behind it: stats+NAME:TARGET" },
        { "stats+", USAN_EINVAL, "a store is missing behind the last filter" },
        { "stats(name=a", USAN_EINVAL, "stats: ')' is missing" },
        { "stats(name=a)", USAN_EINVAL, "stats: '+' and a store are missing after stats(...)" },
        { "stats(name=a)ram:1M", USAN_EINVAL,
          "stats: '+' and a store are missing after stats(...)" },
        { "stats(=a)+ram:1M", USAN_EINVAL, "stats: an option has no name" },
        { "delay(time=1ms,)+ram:1M", USAN_EINVAL, "delay: an option is missing after ','" },
        { "ram:1M?page=4K&", USAN_EINVAL, "ram: an option is missing after '&'" },
        { "ram:1M?page=4K&&huge=1", USAN_EINVAL, "ram: an option has no name" },
        { "ram:1M?block=512", USAN_EINVAL,
          "ram: unknown option 'block' (it has: page, mem, huge)" },
        { "ram:1M?page=x", USAN_EINVAL,
          "ram: option 'page': 'x' is not a size such as 4096, 64K, 10GiB" },
        { "null:1M?x=1", USAN_EINVAL, "null: unknown option 'x' (it has no options)" },
        { "ram:1M?page=4K&page=8K", USAN_EINVAL, "ram: option 'page' is given twice" },
        { "ram:", USAN_EINVAL, "ram: has no size; write it behind the colon, such as 64M" },
        { "ram", USAN_EINVAL, "ram: has no size; write it behind the colon, such as 64M" },
        { "ram?page=4K", USAN_EINVAL, "ram: has no size; write it behind the colon, such as 64M" },
        { "ram:0", USAN_EINVAL, "ram: '0' is not a size in whole blocks of 512 bytes" SIZES },
        { "ram:1000", USAN_EINVAL, "ram: '1000' is not a size in whole blocks of 512 bytes" SIZES },
        { "ram:16000P", USAN_EINVAL,
          "ram: '16000P' is not a size in whole blocks of 512 bytes" SIZES },
        { "null:x", USAN_EINVAL, "null: 'x' is not a size in whole blocks of 512 bytes" SIZES },
        { "ram:1M?page=5K", USAN_EINVAL, "ram: option 'page': not a power of two from 4K to 1M" },
        { "ram:1M?page=2M", USAN_EINVAL, "ram: option 'page': not a power of two from 4K to 1M" },
        { "stats(name=)+ram:1M", USAN_EINVAL,
          "stats: option 'name': 1 to 31 letters, digits, _ and -" },
        { "stats(name=a b)+ram:1M", USAN_EINVAL,
          "stats: option 'name': 1 to 31 letters, digits, _ and -" },
        { "ratelimit+ram:1M", USAN_EINVAL, "ratelimit: neither 'iops' nor 'bps' is given" },
        { "delay(dist=normal)+ram:1M", USAN_EINVAL,
          "delay: option 'dist': 'normal' is not uniform or exponential" },
        { "delay(op=read/)+ram:1M", USAN_EINVAL,
          "delay: option 'op': 'read/' is not all, or of "
          "read/write/flush/unmap/zero/compare/status" },
        { "error(err=bad)+ram:1M", USAN_EINVAL,
          "error: option 'err': 'bad' is not the name of an error" },
        { "error(op=reads)+ram:1M", USAN_EINVAL,
          "error: option 'op': 'reads' is not all, or of "
          "read/write/flush/unmap/zero/compare/status" },
        { "error(when=never)+ram:1M", USAN_EINVAL,
          "error: option 'when': 'never' is not before or after" },
        { "crash(mode=melt)+ram:1M", USAN_EINVAL,
          "crash: option 'mode': 'melt' is not drop, keep, tear, garble or random" },
        { "crash(sector=1000)+ram:1M", USAN_EINVAL,
          "crash: option 'sector': not a multiple of 512 up to 1M" },
        { "/nonexistent/x?create=100", USAN_EINVAL,
          "file: /nonexistent/x: option 'create': less than a block of 512 bytes" },
        { "file:", USAN_EINVAL, "file: the path is missing: file:/path/to/it" },
        { "/nonexistent/x", USAN_ENOENT,
          "file: /nonexistent/x: No such file or directory ('/nonexistent/x?create=1G' makes a new "
          "one)" },
        { "file:/nonexistent/x%zz", USAN_EINVAL,
          "file: '%zz' in '/nonexistent/x%zz' is not % and two hexadecimal digits (%25 stands for "
          "%)" },
        { "/x%00y", USAN_EINVAL,
          "file: '%00' in '/x%00y' is not % and two hexadecimal digits (%25 stands for %)" },
        { "/x%4", USAN_EINVAL,
          "file: '%4' in '/x%4' is not % and two hexadecimal digits (%25 stands for %)" },
        { "/dev", USAN_EINVAL,
          "file: /dev: neither a regular file nor a block device but a directory; name a file in "
          "it" },
        { "/dev/null", USAN_EINVAL, "file: /dev/null: neither a regular file nor a block device" },
        { "/tmp/a?b", USAN_EINVAL, "file: unknown option 'b' (it has: direct, create, lock)" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err_text e = { "" };
        struct store *s = NULL;
        print_message("# %s\n", t[i].spec);
        assert_int_equal(store_open_spec(t[i].spec, false, &s, &e), t[i].err);
        assert_string_equal(e.text, t[i].text);
        assert_null(s);
        /* All but how things are is found without opening, and said in the same words. */
        e.text[0] = '\0';
        bool open_only = !strncmp(t[i].spec, "/dev", 4) || !strcmp(t[i].spec, "/nonexistent/x");
        assert_int_equal(store_check_spec(t[i].spec, &e), open_only ? 0 : t[i].err);
        assert_string_equal(e.text, open_only ? "" : t[i].text);
    }
}

static void limits(void **state)
{
    struct err_text e = { "" };
    struct store *s = NULL;
    char spec[8192] = "";
    (void)state;
    for (int i = 0; i < 16; i++)
        (void)snprintf(spec + strlen(spec), sizeof spec - strlen(spec), "stats+");
    (void)snprintf(spec + strlen(spec), sizeof spec - strlen(spec), "ram:1M");
    assert_int_equal(store_open_spec(spec, false, &s, &e), USAN_ELIMIT);
    assert_string_equal(e.text, "more than 15 filters");
    assert_int_equal(store_open_spec(spec + strlen("stats+"), false, &s, &e), 0);
    store_close(s);
    s = NULL;

    (void)snprintf(spec, sizeof spec, "ram:1M?a");
    for (int i = 0; i < 32; i++)
        (void)snprintf(spec + strlen(spec), sizeof spec - strlen(spec), "&a");
    assert_int_equal(store_open_spec(spec, false, &s, &e), USAN_ELIMIT);
    assert_string_equal(e.text, "ram: more than 32 options");

    memset(spec, '/', 4096);
    spec[4096] = '\0';
    assert_int_equal(store_open_spec(spec, false, &s, &e), USAN_ELIMIT);
    assert_string_equal(e.text, "the specification is longer than 4095 bytes");
    assert_null(s);
}

static void paths(void **state)
{
    static const struct {
        const char *name, *in_spec, *opts;
    } t[] = {
        { "plain.img", "plain.img", "" },
        { "a+b,c(d)=e:f", "a+b,c(d)=e:f", "?direct=no" },
        { "what?.img", "what%3f.img", "?direct=no" },
        { "100%.img", "100%25.img", "" },
        { "with space", "with space", "" },
    };
    char dir[] = "/tmp/usan-spec-XXXXXX", path[256], spec[512];
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err_text e = { "" };
        struct store *s = NULL;
        (void)snprintf(path, sizeof path, "%s/%s", dir, t[i].name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(ftruncate(fileno(f), 4096), 0);
        assert_int_equal(fclose(f), 0);
        for (int prefix = 0; prefix < 2; prefix++) {
            (void)snprintf(spec, sizeof spec, "%s%s/%s%s", prefix ? "stats+file:" : "", dir,
                           t[i].in_spec, t[i].opts);
            print_message("# %s\n", spec);
            if (store_open_spec(spec, false, &s, &e))
                fail_msg("%s", e.text);
            assert_int_equal(s->info.size_bytes, 4096);
            store_close(s);
        }
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* What logs show of a specification. */
static void no_secrets(void **state)
{
    static const struct {
        const char *spec, *shown;
    } cases[] = {
        { "", "" },
        { "/srv/a%20b.img?direct=1", "/srv/a%20b.img?direct=1" },
        { "ram:1G", "ram:1G" },
        { "iscsi://h/t/0", "iscsi://h/t/0" },
        { "iscsi://alice@h/t%3ax/0", "iscsi://alice@h/t%3ax/0" },
        { "iscsi://alice%hunter2@h/t/0?x=1", "iscsi://alice@h/t/0?x=1" },
        { "stats+iscsi:iscsi://a%hunter%2f2@h/t/0", "stats+iscsi:iscsi://a@h/t/0" },
        { "iscsi://a%hunt/er2@h/t/0", "iscsi://a@h/t/0" },
        { "iscsi://a%hunter2", "iscsi://a" },
        { "iscsi://a%hunter2/t/0", "iscsi://a/t/0" },
        { "iscsi://h/t/0?password=hunter2", "iscsi://h/t/0?password=..." },
        { "iscsi://h/t/0?target_password=hunter2&user=a&password=hunter2&x=1",
          "iscsi://h/t/0?target_password=...&user=a&password=...&x=1" },
        { "iscsi://h/t/0?password_file=/etc/x", "iscsi://h/t/0?password_file=/etc/x" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(store_spec_text(cases[i].spec).s, cases[i].shown);
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(strlen(store_spec_text(longer).s), sizeof(struct store_spec_text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks), cmocka_unit_test(read_only), cmocka_unit_test(mistakes),
        cmocka_unit_test(limits), cmocka_unit_test(paths),     cmocka_unit_test(no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
