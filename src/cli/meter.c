/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/meter.h"

#include "base/clock.h"

#include <unistd.h>

#define BAR_WIDTH 20

struct meter_text meter_size(double bytes)
{
    static const char units[] = "\0KMGTPE";
    struct meter_text t;
    size_t unit = 0;
    while (bytes >= 999.5 && unit < 6) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(t.s, sizeof(t.s), unit && bytes < 9.95 ? "%.1f" : "%.0f", bytes);
    size_t n = 0;
    while (t.s[n])
        n++;
    t.s[n] = units[unit];
    t.s[n + 1] = '\0';
    return t;
}

struct meter_text meter_time(double seconds)
{
    struct meter_text t;
    unsigned long s = seconds < 0     ? 0
                      : seconds > 1e9 ? 1000000000ul
                                      : (unsigned long)(seconds + .5);
    if (s < 60)
        (void)snprintf(t.s, sizeof(t.s), "%lus", s);
    else if (s < 3600)
        (void)snprintf(t.s, sizeof(t.s), "%lum%02lus", s / 60, s % 60);
    else
        (void)snprintf(t.s, sizeof(t.s), "%luh%02lum", s / 3600, s / 60 % 60);
    return t;
}

void meter_init(struct meter *m, FILE *out, bool quiet, uint64_t total, uint64_t now_ns)
{
    *m = (struct meter){ .out = out,
                         .quiet = quiet,
                         .terminal = isatty(fileno(out)) == 1,
                         .total = total,
                         .start_ns = now_ns,
                         .shown_ns = now_ns,
                         .mark_ns = now_ns };
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_SEC;
}

/* Half of what it was, half of what it is: some seconds of memory. */
static void measure(struct meter *m, uint64_t done, uint64_t now_ns)
{
    if (now_ns - m->mark_ns < NS_PER_SEC)
        return;
    double now = (double)(done - m->mark_done) / seconds(now_ns - m->mark_ns);
    m->rate = m->mark_ns == m->start_ns ? now : (m->rate + now) / 2;
    m->mark_ns = now_ns;
    m->mark_done = done;
}

static void bar(const struct meter *m, uint64_t done, char buf[BAR_WIDTH + 4])
{
    size_t full = (size_t)((double)done / (double)m->total * BAR_WIDTH);
    char *p = buf;
    *p++ = '[';
    for (size_t i = 0; i < BAR_WIDTH; i++)
        *p++ = i < full ? '=' : i == full ? '>' : ' ';
    *p++ = ']';
    *p++ = ' ';
    *p = '\0';
}

void meter_line(const struct meter *m, uint64_t done, char *buf, size_t cap)
{
    if (!m->total) {
        (void)snprintf(buf, cap, "%s  %s/s", meter_size((double)done).s, meter_size(m->rate).s);
        return;
    }
    char left[40] = "";
    if (m->rate > 0)
        (void)snprintf(left, sizeof(left), "  %s left",
                       meter_time((double)(m->total - done) / m->rate).s);
    (void)snprintf(buf, cap, "%.0f%%  %s of %s  %s/s%s", (double)done / (double)m->total * 100,
                   meter_size((double)done).s, meter_size((double)m->total).s,
                   meter_size(m->rate).s, left);
}

void meter_show(struct meter *m, const char *what, uint64_t done, uint64_t now_ns)
{
    uint64_t every = (m->terminal ? METER_REDRAW_MS : METER_LINE_MS) * NS_PER_MS;
    char line[128], picture[BAR_WIDTH + 4] = "";
    measure(m, done, now_ns);
    if (m->quiet || now_ns - m->start_ns < METER_AFTER_MS * NS_PER_MS ||
        now_ns - m->shown_ns < every)
        return;
    m->shown_ns = now_ns;
    meter_line(m, done, line, sizeof(line));
    if (m->terminal && m->total)
        bar(m, done, picture);
    fprintf(m->out, "%s%s%s%s%s", m->terminal ? "\r" : "", what, picture, line,
            m->terminal ? "\033[K" : "\n");
    fflush(m->out);
    m->shown = m->terminal;
}

void meter_clear(struct meter *m)
{
    if (m->shown)
        fputs("\r\033[K", m->out);
    fflush(m->out);
    m->shown = false;
}
