/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "measure.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t))
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_self_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_cpu_of_ns(pid_t pid)
{
    clockid_t id;
    if (pid <= 0 || clock_getcpuclockid(pid, &id))
        return 0;
    return clock_ns(id);
}

void bench_pin(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        bench_die("sched_setaffinity");
}

void bench_die(const char *what)
{
    if (errno)
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
    else
        fprintf(stderr, "%s\n", what);
    exit(1);
}

void *bench_pages(size_t bytes, int fill)
{
    size_t whole = (bytes + 4095) & ~(size_t)4095;
    void *p = aligned_alloc(4096, whole);
    if (!p)
        bench_die("aligned_alloc");
    memset(p, fill, whole);
    return p;
}

uint64_t bench_number(const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 0);
    if (errno || *end || end == text || v < min || v > max) {
        fprintf(stderr, "'%s' is not a number from %llu to %llu\n", text, (unsigned long long)min,
                (unsigned long long)max);
        exit(2);
    }
    return v;
}

double bench_seconds(const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (*end || end == text || !(v >= 0 && v < 1e6)) {
        fprintf(stderr, "'%s' is not a time in seconds\n", text);
        exit(2);
    }
    return v;
}

void hist_clear(struct hist *h)
{
    memset(h, 0, sizeof(*h));
}

static unsigned hist_index(uint64_t v)
{
    if (v < 1u << HIST_SUB_BITS)
        return (unsigned)v;
    unsigned e = 63u - (unsigned)__builtin_clzll(v);
    unsigned sub = (unsigned)(v >> (e - HIST_SUB_BITS)) & ((1u << HIST_SUB_BITS) - 1);
    return ((e - HIST_SUB_BITS + 1) << HIST_SUB_BITS) | sub;
}

static uint64_t hist_value(unsigned i)
{
    unsigned group = i >> HIST_SUB_BITS;
    uint64_t sub = i & ((1u << HIST_SUB_BITS) - 1);
    return group == 0 ? sub : (sub + (1u << HIST_SUB_BITS)) << (group - 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    h->bucket[hist_index(value)]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

double hist_percentile_us(const struct hist *h, double percent)
{
    uint64_t want = (uint64_t)(percent / 100 * (double)h->count), seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > want)
            return (double)hist_value(i) / 1000;
    }
    return (double)h->max / 1000;
}
