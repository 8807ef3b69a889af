/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The allocator a core is given at creation. Cores never call malloc themselves, so a test can
 * make the Nth allocation fail and a program can account for every byte.
 */
#ifndef USAN_BASE_ALLOC_H
#define USAN_BASE_ALLOC_H

#include <stddef.h>

struct alloc {
    /* Returns at least `bytes` bytes aligned for any type, or NULL. */
    void *(*get)(void *ctx, size_t bytes);
    /* ptr may be NULL. */
    void (*put)(void *ctx, void *ptr);
    void *ctx; /* borrowed; outlives every object made with this allocator */
};

static inline void *alloc_get(const struct alloc *a, size_t bytes)
{
    return a->get(a->ctx, bytes);
}

static inline void alloc_put(const struct alloc *a, void *ptr)
{
    a->put(a->ctx, ptr);
}

/* As alloc_get, zero-filled. */
void *alloc_zero(const struct alloc *a, size_t bytes);
/* A copy of the string; NULL when out of memory. */
char *alloc_strdup(const struct alloc *a, const char *s);

#endif
