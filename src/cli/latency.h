/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How commands tell of latencies. */
#ifndef USAN_CLI_LATENCY_H
#define USAN_CLI_LATENCY_H

#include "base/err.h"
#include "cli/report.h"
#include "tools/hist.h"

enum { LATENCY_SHARES_MAX = 16 };
#define LATENCY_SHARES "50,90,99,99.9,99.99"

/* Which percentiles are told. */
struct latency_shares {
    double v[LATENCY_SHARES_MAX];
    unsigned count;
};

/* "50,99,99.9"; the error is that of an option --percentiles. */
USAN_MUST_CHECK
int latency_parse(const char *text, struct latency_shares *ret, struct err_text *e);

/* Three digits or so, "9.5 us", "120 us", "3.20 ms". Use as latency_text(x).s inside the call. */
struct latency_text {
    char s[32];
};
struct latency_text latency_text(uint64_t ns);

/* Requests of one kind, of bytes each, that ended within so many seconds: their rate, least, mean
 * and longest latency, and a line for each percentile. */
void latency_print(const char *kind, const struct hist *h, uint64_t bytes, double seconds,
                   const struct latency_shares *shares);
/* The same as an object. */
void latency_json(struct report *r, const char *kind, const struct hist *h, uint64_t bytes,
                  double seconds, const struct latency_shares *shares);

#endif
