/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/log.h"

#include "io/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

/* The text of at most cap - 1 characters was cut to fit. */
static size_t cut(int len, size_t cap)
{
    size_t n = len > 0 ? (size_t)len : 0;
    return n < cap ? n : cap - 1;
}

__attribute__((format(printf, 4, 0))) static void write_line(enum tgt_log_level level,
                                                             const char *event, uint64_t suppressed,
                                                             const char *fmt, va_list ap)
{
    char line[2048];
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    struct tm tm;
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof(line), "time=%Y-%m-%dT%H:%M:%S", &tm);
    n += cut(snprintf(line + n, sizeof(line) - n, ".%03ldZ level=%s event=%s ",
                      ts.tv_nsec / 1000000, level_names[level], event),
             sizeof(line) - n);
    n += cut(vsnprintf(line + n, sizeof(line) - n, fmt, ap), sizeof(line) - n);
    if (suppressed)
        n += cut(snprintf(line + n, sizeof(line) - n, " suppressed=%llu",
                          (unsigned long long)suppressed),
                 sizeof(line) - n);
    line[n++] = '\n';
    /* A log that can not be written is no reason to stop serving. */
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}

void tgt_log(enum tgt_log_level level, const char *event, const char *fmt, ...)
{
    if (level > max_level)
        return;
    va_list ap;
    va_start(ap, fmt);
    write_line(level, event, 0, fmt, ap);
    va_end(ap);
}

/* ---- floods ---- */

struct limit {
    const char *event;
    _Atomic uint64_t paid_ns; /* every line moves this on by a second; it may be ahead of now by
                                 as many as may come at once */
    _Atomic uint64_t suppressed;
};

static struct limit limits[TGT_LOG_PEER_EVENTS] = {
    [TGT_LOG_LOGIN_REFUSED] = { .event = "login-refused" },
    [TGT_LOG_CONNECTION_REFUSED] = { .event = "connection-refused" },
    [TGT_LOG_CONNECTION_CLOSED] = { .event = "connection-closed" },
    [TGT_LOG_IO_FAILED] = { .event = "io-failed" },
};

static bool may_write(struct limit *l)
{
    uint64_t now = clock_now_ns(), paid = atomic_load(&l->paid_ns), from;
    do {
        from = paid > now ? paid : now;
        if (from - now > (TGT_LOG_PEER_BURST - 1) * NS_PER_SEC) {
            atomic_fetch_add(&l->suppressed, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&l->paid_ns, &paid, from + NS_PER_SEC));
    return true;
}

void tgt_log_peer(enum tgt_log_level level, enum tgt_log_peer_event event, const char *fmt, ...)
{
    struct limit *l = &limits[event];
    if (level > max_level || !may_write(l))
        return;
    va_list ap;
    va_start(ap, fmt);
    write_line(level, l->event, atomic_exchange(&l->suppressed, 0), fmt, ap);
    va_end(ap);
}

/* ---- quoting ---- */

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
