/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An allocator that knows how many blocks are out, and can be made to fail once. */
#ifndef TESTS_COUNTED_ALLOC_H
#define TESTS_COUNTED_ALLOC_H

#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>

struct counted_alloc {
    struct alloc a;
    unsigned live; /* blocks handed out */
    uint64_t calls;
    uint64_t fail_at; /* this call fails, 0 = none */
};

static inline void *counted_get(void *ctx, size_t bytes)
{
    struct counted_alloc *c = ctx;
    if (++c->calls == c->fail_at)
        return NULL;
    c->live++;
    return malloc(bytes);
}

static inline void counted_put(void *ctx, void *ptr)
{
    struct counted_alloc *c = ctx;
    if (ptr)
        c->live--;
    free(ptr);
}

/* c stays where it is as long as it is used. */
static inline void counted_alloc_init(struct counted_alloc *c)
{
    *c = (struct counted_alloc){ .a = { .get = counted_get, .put = counted_put, .ctx = c } };
}

#endif
