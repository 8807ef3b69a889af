/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process heap as an allocator; apart from alloc.c so that the cores' archives do not pull
 * malloc in. */
#include "base/alloc_heap.h"

#include <stdlib.h>

static void *heap_get(void *ctx, size_t bytes)
{
    (void)ctx;
    return malloc(bytes);
}

static void heap_put(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

const struct alloc alloc_heap = { .get = heap_get, .put = heap_put, .ctx = NULL };
