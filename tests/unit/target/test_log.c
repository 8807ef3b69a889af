/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "io/clock.h"
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

/* What n lines of tgt_log_peer() leave on standard error, in buf. */
static void capture_peer(unsigned n, char *buf, size_t cap)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    for (unsigned i = 0; i < n; i++)
        tgt_log_peer(TGT_LOG_WARN, TGT_LOG_LOGIN_REFUSED, "number=%u", i);
    tgt_log_peer(TGT_LOG_DEBUG, TGT_LOG_LOGIN_REFUSED, "never=%u", 1);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t got = read(fds[0], buf, cap - 1);
    close(saved);
    close(fds[0]);
    close(fds[1]);
    buf[got < 0 ? 0 : got] = 0;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

/* Ten at once; then one for each second that passed, and it says how many there were meanwhile. */
static void floods_are_cut_short(void **state)
{
    (void)state;
    static char text[16384];
    tgt_log_set_level(TGT_LOG_WARN);
    uint64_t t0 = clock_now_ns();
    capture_peer(1000, text, sizeof(text));
    uint64_t seconds = (clock_now_ns() - t0) / NS_PER_SEC;
    assert_in_range(lines(text), 10, 11 + seconds);
    assert_non_null(strstr(text, " level=warn event=login-refused number=0\n"));
    assert_non_null(strstr(text, " number=9\n"));
    assert_null(strstr(text, "never="));
    unsigned dropped = 1000 - lines(text);
    usleep(1100 * 1000);
    capture_peer(1, text, sizeof(text));
    char want[64];
    snprintf(want, sizeof(want), " number=0 suppressed=%u\n", dropped);
    assert_int_equal(lines(text), 1);
    assert_non_null(strstr(text, want));
    usleep(1100 * 1000);
    capture_peer(1, text, sizeof(text));
    assert_non_null(strstr(text, " number=0\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoting),
        cmocka_unit_test(long_text_is_cut_and_closed),
        cmocka_unit_test(one_line_with_its_fields),
        cmocka_unit_test(longest_line_still_ends),
        cmocka_unit_test(floods_are_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
