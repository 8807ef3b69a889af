/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/latency.h"

#include "cli/meter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int latency_parse(const char *text, struct latency_shares *ret, struct err_text *e)
{
    const char *p = text;
    struct latency_shares list = { .count = 0 };
    do {
        char *end;
        double v = strtod(p, &end);
        if (end == p || (*end && *end != ',') || !(v >= 0 && v <= 100))
            return err_set(e, USAN_EINVAL, "--percentiles %s: is not a list like 50,99,99.9", text);
        if (list.count == LATENCY_SHARES_MAX)
            return err_set(e, USAN_EINVAL, "--percentiles: at most %d", LATENCY_SHARES_MAX);
        list.v[list.count++] = v;
        p = *end ? end + 1 : end;
    } while (*p);
    *ret = list;
    return 0;
}

struct latency_text latency_text(uint64_t ns)
{
    struct latency_text text;
    double v = (double)ns / 1000;
    if (v < 1000)
        (void)snprintf(text.s, sizeof(text.s), v < 10 ? "%.1f us" : "%.0f us", v);
    else if (v < 1e6)
        (void)snprintf(text.s, sizeof(text.s), "%.2f ms", v / 1e3);
    else
        (void)snprintf(text.s, sizeof(text.s), "%.2f s", v / 1e6);
    return text;
}

void latency_print(const char *kind, const struct hist *h, uint64_t bytes, double seconds,
                   const struct latency_shares *shares)
{
    double rate = (double)h->count / seconds;
    printf("%-6s %.0f IOPS  %s/s\n", kind, rate, meter_size(rate * (double)bytes).s);
    printf("       latency: min %s  mean %s  max %s\n", latency_text(h->min).s,
           latency_text(hist_mean(h)).s, latency_text(h->max).s);
    for (unsigned i = 0; i < shares->count; i++)
        printf("       %6g %%  %s\n", shares->v[i],
               latency_text(hist_percentile(h, shares->v[i])).s);
}

void latency_json(struct report *r, const char *kind, const struct hist *h, uint64_t bytes,
                  double seconds, const struct latency_shares *shares)
{
    double rate = (double)h->count / seconds;
    report_begin(r, kind, NULL);
    report_number(r, "ops", NULL, h->count, NULL);
    report_number(r, "iops", NULL, (uint64_t)llround(rate), NULL);
    report_number(r, "bytes_per_second", NULL, (uint64_t)llround(rate * (double)bytes), NULL);
    report_begin(r, "latency_ns", NULL);
    report_number(r, "min", NULL, h->min, NULL);
    report_number(r, "mean", NULL, hist_mean(h), NULL);
    report_number(r, "max", NULL, h->max, NULL);
    report_begin(r, "percentiles", NULL);
    for (unsigned i = 0; i < shares->count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "%g", shares->v[i]);
        report_number(r, key, NULL, hist_percentile(h, shares->v[i]), NULL);
    }
    report_end(r);
    report_end(r);
    report_end(r);
}
