/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum tgt_log_level max_level = TGT_LOG_WARN;

static const char *const level_names[] = {
    [TGT_LOG_STATUS] = "info", [TGT_LOG_ERROR] = "error", [TGT_LOG_WARN] = "warn",
    [TGT_LOG_INFO] = "info",   [TGT_LOG_DEBUG] = "debug",
};

void tgt_log_set_level(enum tgt_log_level level)
{
    max_level = level;
}

enum tgt_log_level tgt_log_get_level(void)
{
    return max_level;
}

void tgt_log(enum tgt_log_level level, const char *event, const char *fmt, ...)
{
    if (level > max_level)
        return;
    char line[2048];
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    struct tm tm;
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof(line), "time=%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ level=%s event=%s ",
                          ts.tv_nsec / 1000000, level_names[level], event);
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
    va_end(ap);
    if (more > 0)
        n += (size_t)more;
    if (n > sizeof(line) - 1) /* cut, but still a line */
        n = sizeof(line) - 1;
    line[n++] = '\n';
    /* A log that can not be written is no reason to stop serving. */
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}

static bool harmless(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

struct tgt_log_text tgt_log_quote(const char *text)
{
    struct tgt_log_text out;
    if (!text)
        return (struct tgt_log_text){ "-" };
    bool plain = *text != 0;
    size_t len = 0;
    for (; text[len]; len++)
        plain = plain && harmless((unsigned char)text[len]);
    if (plain && len < sizeof(out.s)) {
        memcpy(out.s, text, len + 1);
        return out;
    }
    size_t n = 0;
    out.s[n++] = '"';
    for (; *text && n < sizeof(out.s) - 6; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out.s[n++] = '\\';
            out.s[n++] = (char)c;
        } else if (c < ' ' || c == 0x7f) {
            n += (size_t)snprintf(out.s + n, sizeof(out.s) - n, "\\x%02x", c);
        } else {
            out.s[n++] = (char)c;
        }
    }
    out.s[n++] = '"';
    out.s[n] = 0;
    return out;
}
