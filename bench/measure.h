/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the measuring tools share: clocks, the processor time of another process, a latency
 * histogram. The tools end the process on any error (bench_die): they have no caller to tell.
 */
#ifndef USAN_BENCH_MEASURE_H
#define USAN_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Monotonic time, ns. */
uint64_t bench_now_ns(void);
/* Processor time of this process, ns. */
uint64_t bench_cpu_self_ns(void);
/* User and system time of all threads of a process, ns; 0 when pid <= 0 or it is gone. */
uint64_t bench_cpu_of_ns(pid_t pid);
/* Bind the calling thread to a processor; cpu < 0: leave it free. */
void bench_pin(int cpu);
/* Print "what: why" (why from errno unless it is 0) and exit with 1. */
__attribute__((noreturn)) void bench_die(const char *what);
/* Memory of whole pages, filled with a byte; ends the process when there is none. */
void *bench_pages(size_t bytes, int fill);

/* Numbers of options; text that is no number in [min, max] ends the process with 2. */
uint64_t bench_number(const char *text, uint64_t min, uint64_t max);
double bench_seconds(const char *text);

/* Log-linear histogram: 32 buckets for each power of two, so 3 % error at most. */
#define HIST_SUB_BITS 5
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS) << HIST_SUB_BITS)

struct hist {
    uint64_t count, max;
    uint64_t bucket[HIST_BUCKETS];
};

void hist_clear(struct hist *h);
void hist_add(struct hist *h, uint64_t value);
/* The value below which `percent` of all values lie; ns in, microseconds out. */
double hist_percentile_us(const struct hist *h, double percent);

/* Next number of a xorshift generator; *state must not be 0. */
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

#endif
