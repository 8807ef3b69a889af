/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/hist.h"

#include <math.h>

/* The first 2 * HIST_SUB values have buckets of their own; from there on HIST_SUB for each power.
 */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < HIST_SUB)
        return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns); /* at least 5 */
    if (power >= HIST_POWERS)
        return HIST_BUCKETS - 1;
    return (power - 4) * HIST_SUB + (unsigned)((ns >> (power - 5)) & (HIST_SUB - 1));
}

/* The largest value of the bucket. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket < HIST_SUB)
        return bucket;
    unsigned power = bucket / HIST_SUB + 4;
    uint64_t sub = bucket % HIST_SUB;
    return ((HIST_SUB + sub + 1) << (power - 5)) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->buckets[bucket_of(ns)]++;
    if (!h->count || ns < h->min)
        h->min = ns;
    if (ns > h->max)
        h->max = ns;
    h->count++;
    h->sum += ns;
}

void hist_merge(struct hist *to, const struct hist *from)
{
    if (!from->count)
        return;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    if (!to->count || from->min < to->min)
        to->min = from->min;
    if (from->max > to->max)
        to->max = from->max;
    to->count += from->count;
    to->sum += from->sum;
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
    uint64_t want = (uint64_t)ceil((double)h->count * percent / 100), seen = 0;
    if (!h->count)
        return 0;
    if (want < 1)
        want = 1;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= want)
            return top_of(i) < h->max ? top_of(i) : h->max;
    }
    return h->max;
}

uint64_t hist_mean(const struct hist *h)
{
    return h->count ? h->sum / h->count : 0;
}
