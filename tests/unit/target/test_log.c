/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void quoting(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        { NULL, "-" },
        { "", "\"\"" },
        { "iqn.2025-01.com.example:disk", "iqn.2025-01.com.example:disk" },
        { "two words", "\"two words\"" },
        { "a=b", "\"a=b\"" },
        { "say \"x\"", "\"say \\\"x\\\"\"" },
        { "back\\slash", "\"back\\\\slash\"" },
        { "line\nlevel=error", "\"line\\x0alevel=error\"" },
        { "\x1b[31m", "\"\\x1b[31m\"" },
        { "\x7f", "\"\\x7f\"" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(tgt_log_quote(rows[i].in).s, rows[i].out);
}

static void long_text_is_cut_and_closed(void **state)
{
    (void)state;
    char big[1000];
    memset(big, '\n', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    struct tgt_log_text t = tgt_log_quote(big);
    size_t len = strlen(t.s);
    assert_in_range(len, 290, sizeof(t.s) - 1);
    assert_int_equal(t.s[0], '"');
    assert_int_equal(t.s[len - 1], '"');
}

/* What tgt_log writes to standard error. */
static size_t capture(char *buf, size_t cap, enum tgt_log_level level, const char *text)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    tgt_log(level, "some-event", "key=%s", text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t n = read(fds[0], buf, cap - 1);
    close(saved);
    close(fds[0]);
    close(fds[1]);
    buf[n < 0 ? 0 : n] = 0;
    return n < 0 ? 0 : (size_t)n;
}

static void one_line_with_its_fields(void **state)
{
    (void)state;
    char line[4096];
    tgt_log_set_level(TGT_LOG_WARN);
    size_t n = capture(line, sizeof(line), TGT_LOG_ERROR, "value");
    assert_memory_equal(line, "time=20", 7);
    assert_string_equal(strstr(line, " level="), " level=error event=some-event key=value\n");
    assert_int_equal(strlen(line), n);
    assert_int_equal(capture(line, sizeof(line), TGT_LOG_INFO, "value"), 0);
    assert_int_not_equal(capture(line, sizeof(line), TGT_LOG_STATUS, "value"), 0);
    assert_non_null(strstr(line, " level=info "));
    tgt_log_set_level(TGT_LOG_INFO);
    assert_int_not_equal(capture(line, sizeof(line), TGT_LOG_INFO, "value"), 0);
}

static void longest_line_still_ends(void **state)
{
    (void)state;
    char line[4096], big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    size_t n = capture(line, sizeof(line), TGT_LOG_ERROR, big);
    assert_int_equal(n, 2048);
    assert_int_equal(line[n - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), &line[n - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoting),
        cmocka_unit_test(long_text_is_cut_and_closed),
        cmocka_unit_test(one_line_with_its_fields),
        cmocka_unit_test(longest_line_still_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
