/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Load on a store, measured: so many requests at a time for so long, on a few threads. */
#ifndef USAN_TOOLS_BENCH_H
#define USAN_TOOLS_BENCH_H

#include "base/err.h"
#include "io/loop.h"
#include "store/store.h"
#include "tools/hist.h"

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_CHANNELS_MAX = 256, BENCH_DEPTH_MAX = 4096 };
#define BENCH_BLOCK_MAX  (64ull << 20)
#define BENCH_MEMORY_MAX (8ull << 30)

struct bench_config {
    struct store *store; /* borrowed */
    uint32_t channels, threads, depth;
    uint64_t block_bytes;  /* of a request: whole blocks of the store */
    uint64_t range_bytes;  /* from the store's start; at least block_bytes */
    uint32_t read_percent; /* 0: writes only */
    bool sequential;
    uint64_t seed;
    struct loop_config loop;
};

enum bench_kind { BENCH_READ, BENCH_WRITE, BENCH_KINDS };

struct bench_result {
    struct hist latency[BENCH_KINDS];
    uint64_t ns;     /* how long it was measured; 0: it was not */
    uint64_t cpu_ns; /* processor time of this process meanwhile, user and system */
};

struct bench;

USAN_MUST_CHECK
int bench_new(const struct bench_config *cfg, struct bench **ret_bench, struct err_text *e);
/* The requests begin; nothing is measured yet. */
void bench_start(struct bench *b);
/* The measurement begins, with the requests submitted from now on. */
void bench_measure(struct bench *b);
/* Requests that ended up to now; from any thread. */
uint64_t bench_ops(const struct bench *b);
/* The measurement ends here; bench_fd() becomes readable when all requests have come back. It does
 * so without that when one fails. */
void bench_stop(struct bench *b);
int bench_fd(const struct bench *b);
/* Nothing is under way. Fails as the first request did that failed. */
USAN_MUST_CHECK
int bench_end(struct bench *b, struct bench_result *ret, struct err_text *e);
/* Nothing is under way, or it was never started. b may be NULL. */
void bench_free(struct bench *b);

#endif
