/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the words of `usan serve` mean: their stores, and the names of their targets. */
#include "cmocka_all.h"

#include "cli/name.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void short_names(void **state)
{
    (void)state;
    static const struct {
        const char *word, *name;
    } t[] = {
        { "/srv/Disk 1.img", "disk-1.img" },
        { "./disk.img?direct=1", "disk.img" },
        { "new.img", "new.img" },
        { "new.img?create=16M", "new.img" },
        { "file:new.img?create=16M", "new.img" },
        { "file:/a/b/new.img", "new.img" },
        { "stats+file:disk.img?direct=1", "disk.img" },
        { "stats+ratelimit(iops=1000,bps=64M)+file:/a/disk.img?direct=1&lock=no", "disk.img" },
        { "stats,/a/disk.img", "disk.img" },
        { "/dev/vg/a/", "a" },
        { "ram:64M", "ram" },
        { "stats+ram:64M?page=64K", "ram" },
        { "delay(time=1ms)+null:1T", "null" },
        { "/", "-" },
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char buf[64];
        cli_short_name(t[i].word, buf, sizeof(buf));
        assert_string_equal(buf, t[i].name);
    }
    char small[5];
    cli_short_name("/srv/disk.img", small, sizeof(small));
    assert_string_equal(small, "disk");
}

static void expect_spec(const char *word, const char *want)
{
    char *spec = cli_make_spec(word);
    assert_string_equal(spec, want);
    free(spec);
}

static void specifications(void **state)
{
    (void)state;
    expect_spec("missing.img", "./missing.img");
    expect_spec("missing.img?create=1G", "./missing.img?create=1G");
    expect_spec("/a/missing?direct=1", "/a/missing?direct=1");
    expect_spec("ram:64M", "ram:64M");
    expect_spec("stats+/a/b", "stats+/a/b");
}

static void meant(void **state)
{
    (void)state;
    assert_string_equal(cli_meant("ram"), "ram:SIZE");
    assert_string_equal(cli_meant("null"), "null:SIZE");
    assert_null(cli_meant("disk"));
    assert_null(cli_meant("ram:1M"));
}

/* A word that names a file is that file. */
static void files(void **state)
{
    (void)state;
    char dir[] = "/tmp/usan-name-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    static const char *const names[] = { "a:b", "c?d%e+f", "plain" };
    for (size_t i = 0; i < 3; i++) {
        int fd = open(names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(symlink("plain", "link"), 0);
    char buf[64];
    expect_spec("a:b", "./a:b");
    cli_short_name("a:b", buf, sizeof(buf));
    assert_string_equal(buf, "a-b");
    expect_spec("c?d%e+f", "./c%3fd%25e+f");
    cli_short_name("c?d%e+f", buf, sizeof(buf));
    assert_string_equal(buf, "c-d-e-f");
    assert_true(cli_same_file("plain", "./plain"));
    assert_true(cli_same_file("plain", "link"));
    assert_false(cli_same_file("plain", "a:b"));
    assert_false(cli_same_file("ram:1M", "ram:1M"));
    assert_int_equal(unlink("link"), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(unlink(names[i]), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_names),
        cmocka_unit_test(specifications),
        cmocka_unit_test(meant),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
