/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for the data of requests, by size class (powers of two), with one limit for the whole
 * program. A pool belongs to one reactor; what is put back is kept for the next request, up to a
 * bound. Who gets nothing waits: nothing here fails a request.
 */
#ifndef USAN_FRONT_PAYLOAD_H
#define USAN_FRONT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAYLOAD_MIN_SHIFT = 12, /* smallest class: a page */
    PAYLOAD_MAX_SHIFT = 25, /* largest: NBD_PAYLOAD_MAX */
    PAYLOAD_CLASSES = PAYLOAD_MAX_SHIFT - PAYLOAD_MIN_SHIFT + 1,
};

/* Shared by the pools of all reactors. */
struct payload_limit {
    uint64_t max_bytes;           /* constant */
    _Atomic uint64_t taken_bytes; /* from the system, what the pools keep included */
};

struct payload_pool {
    struct payload_limit *limit; /* borrowed */
    void *free[PAYLOAD_CLASSES];
    uint64_t used_bytes, kept_bytes;
    uint64_t keep_max;
};

void payload_pool_init(struct payload_pool *p, struct payload_limit *limit, uint64_t keep_max);
/* Asserts that everything was put back. */
void payload_pool_fini(struct payload_pool *p);
/* At least `bytes` (at most the largest class), aligned to a page; NULL when there is none now.
 * *ret_cap is what to put it with. */
void *payload_get(struct payload_pool *p, size_t bytes, size_t *ret_cap);
/* buf may be NULL. */
void payload_put(struct payload_pool *p, void *buf, size_t cap);

#endif
