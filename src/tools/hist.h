/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A histogram of times in memory of a fixed size: 32 buckets for each power of two, so that what is
 * told of it is at most 3 % too much. */
#ifndef USAN_TOOLS_HIST_H
#define USAN_TOOLS_HIST_H

#include <stdint.h>

/* Up to 2^HIST_POWERS ns, more than an hour; longer ones count as that. */
enum { HIST_SUB = 32, HIST_POWERS = 42, HIST_BUCKETS = (HIST_POWERS - 4) * HIST_SUB };

struct hist {
    uint64_t count, sum;
    uint64_t min, max; /* exact; 0 when there is none */
    uint64_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *to, const struct hist *from);
/* The time that this share (0 to 100 %) of them did not exceed; 0 when there is none. */
uint64_t hist_percentile(const struct hist *h, double percent);
uint64_t hist_mean(const struct hist *h);

#endif
