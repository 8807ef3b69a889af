/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far a long command has come: one line that is written over and over, or now and then one. */
#ifndef USAN_CLI_METER_H
#define USAN_CLI_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* "1.8G", "512K", "17": three digits at most. Use as meter_size(x).s inside the call. */
struct meter_text {
    char s[24];
};
struct meter_text meter_size(double bytes);
/* "4s", "1m20s", "3h05m" */
struct meter_text meter_time(double seconds);

struct meter {
    FILE *out;
    bool quiet;
    bool terminal; /* out is one */
    uint64_t total;
    uint64_t start_ns, shown_ns;
    bool shown; /* a line stands on the terminal */
    /* of the last seconds, so that the rate follows what happens */
    uint64_t mark_ns, mark_done;
    double rate;
};

enum { METER_AFTER_MS = 2000, METER_LINE_MS = 10000, METER_REDRAW_MS = 200 };

/* total 0: not known. */
void meter_init(struct meter *m, FILE *out, bool quiet, uint64_t total, uint64_t now_ns);
/* The line, for tests: "45%  1.8G of 4.0G  512M/s  4s left". */
void meter_line(const struct meter *m, uint64_t done, char *buf, size_t cap);
/* Show it if it is time to. what: "", or "verify ". */
void meter_show(struct meter *m, const char *what, uint64_t done, uint64_t now_ns);
/* The line goes away. */
void meter_clear(struct meter *m);

#endif
