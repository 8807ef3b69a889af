/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files that keep reservations over a restart. */
#include "cmocka_all.h"

#include "target/lun.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/usan-test-state.XX"
                    "XX"
                    "XX";
static char path[64], tmp[64];

static size_t read_back(char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, buf, cap);
    close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

static void replaces_the_whole(void **state)
{
    (void)state;
    char buf[100];
    assert_int_equal(tgt_state_write(path, "first and longer", 16, NULL), 0);
    assert_int_equal(read_back(buf, sizeof(buf)), 16);
    assert_int_equal(tgt_state_write(path, "second", 6, NULL), 0);
    assert_int_equal(read_back(buf, sizeof(buf)), 6);
    assert_memory_equal(buf, "second", 6);
    assert_int_equal(access(tmp, F_OK), -1); /* nothing is left over */
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* keys of reservations are nobody else's */
}

static void failure_leaves_the_old_one(void **state)
{
    (void)state;
    char buf[100];
    struct err_text e = { "" };
    assert_int_equal(tgt_state_write(path, "good", 4, NULL), 0);
    assert_int_equal(mkdir(tmp, 0700), 0); /* in the way of the temporary file */
    assert_int_not_equal(tgt_state_write(path, "bad", 3, &e), 0);
    assert_non_null(strstr(e.text, tmp));
    rmdir(tmp);
    assert_int_equal(read_back(buf, sizeof(buf)), 4);
    assert_memory_equal(buf, "good", 4);
}

static void missing_directory_is_an_error(void **state)
{
    (void)state;
    struct err_text e = { "" };
    assert_int_equal(tgt_state_write("/nowhere/at/all.lu", "x", 1, &e), USAN_ENOENT);
    assert_string_equal(e.text, "/nowhere/at/all.lu.new: No such file or directory");
}

static int lun_open(struct tgt_lun **ret_lun, struct err_text *e)
{
    static char spec[] = "null:1G";
    static const struct tgt_config_lun cfg = { .store = spec };
    return tgt_lun_open(&cfg, "iqn.2025-01.com.example:t", 1, dir, ret_lun, e);
}

static void fresh_start_without_a_file(void **state)
{
    (void)state;
    struct tgt_lun *lun = NULL;
    assert_int_equal(lun_open(&lun, NULL), 0);
    assert_non_null(lun->state_path);
    assert_memory_equal(lun->state_path, dir, strlen(dir));
    tgt_lun_close(lun);
}

/* Starting without the reservations that keep two hosts apart would be worse than not starting. */
static void damaged_file_stops_the_start(void **state)
{
    (void)state;
    struct tgt_lun *lun = NULL;
    struct err_text e = { "" };
    assert_int_equal(lun_open(&lun, NULL), 0);
    char *file = strdup(lun->state_path);
    tgt_lun_close(lun);
    lun = NULL;
    assert_int_equal(tgt_state_write(file, "this is no state of a LUN", 25, NULL), 0);
    assert_int_equal(lun_open(&lun, &e), USAN_ECORRUPT);
    assert_null(lun);
    assert_memory_equal(e.text, file, strlen(file));
    unlink(file);
    free(file);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/x.lu", dir);
    snprintf(tmp, sizeof(tmp), "%s/x.lu.new", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_the_whole),
        cmocka_unit_test(failure_leaves_the_old_one),
        cmocka_unit_test(missing_directory_is_an_error),
        cmocka_unit_test(fresh_start_without_a_file),
        cmocka_unit_test(damaged_file_stops_the_start),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
