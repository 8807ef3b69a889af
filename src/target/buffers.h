/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data buffers of a reactor, by size class (powers of two), with a hard limit for the whole
 * program.
 *
 * Getting and putting touch only the reactor's own lists. The shared limit counts every byte taken
 * from the system, buffers kept for reuse included; it is touched only when memory is really taken
 * or given back.
 */
#ifndef USAN_TARGET_BUFFERS_H
#define USAN_TARGET_BUFFERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TGT_BUFFERS_MIN_SHIFT = 12, /* smallest class: 4 KiB, one page */
    TGT_BUFFERS_MAX_SHIFT = 24, /* largest: 16 MiB, the longest transfer a LUN accepts */
    TGT_BUFFERS_CLASSES = TGT_BUFFERS_MAX_SHIFT - TGT_BUFFERS_MIN_SHIFT + 1,
};

/* Shared by all reactors; initialise with max_bytes and 0. */
struct tgt_memory {
    uint64_t max_bytes; /* constant */
    _Atomic uint64_t taken_bytes;
};

/* Count bytes in; false when that would exceed the limit. */
bool tgt_memory_take(struct tgt_memory *m, uint64_t bytes);
void tgt_memory_give(struct tgt_memory *m, uint64_t bytes);

struct tgt_buffers {
    struct tgt_memory *memory; /* borrowed */
    void *free[TGT_BUFFERS_CLASSES];
    uint64_t used_bytes;   /* handed out */
    uint64_t cached_bytes; /* in the free lists */
    uint64_t cached_max;   /* above this, a buffer put is given back to the system */
};

/* memory is borrowed; outlives the object. */
void tgt_buffers_init(struct tgt_buffers *b, struct tgt_memory *memory, uint64_t cached_max);
/* Asserts that every buffer was put. */
void tgt_buffers_fini(struct tgt_buffers *b);
/* At least `bytes` bytes, aligned to a page, content undefined; *ret_cap is what to put it with.
 * NULL when the limit is reached, the system has none, or it is more than the largest class. */
void *tgt_buffers_get(struct tgt_buffers *b, size_t bytes, size_t *ret_cap);
/* buf may be NULL. cap is what get returned. */
void tgt_buffers_put(struct tgt_buffers *b, void *buf, size_t cap);

#endif
