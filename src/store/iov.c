/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/iov.h"

#include "base/err.h"

#include <assert.h>
#include <stdlib.h>

/* What stands in front of the iovecs of an array. */
struct iov_array {
    struct iov_array *next;
    size_t order;
    struct iovec v[];
};

/* Made in advance: arrays for 512 KiB in pages of 4 KiB that lie one by one, unaligned. */
enum { PREPARED_ORDER = 8, PREPARED_COUNT = 32 };

static struct iov_array *array_new(size_t order)
{
    struct iov_array *a = malloc(sizeof *a + ((size_t)1 << order) * sizeof(struct iovec));
    if (a)
        a->order = order;
    return a;
}

int iov_pool_init(struct iov_pool *pool)
{
    *pool = (struct iov_pool){ 0 };
    for (int i = 0; i < PREPARED_COUNT; i++) {
        struct iov_array *a = array_new(PREPARED_ORDER);
        if (!a) {
            iov_pool_fini(pool);
            return USAN_ENOMEM;
        }
        a->next = pool->free[PREPARED_ORDER];
        pool->free[PREPARED_ORDER] = a;
    }
    return 0;
}

void iov_pool_fini(struct iov_pool *pool)
{
    for (size_t i = 0; i < IOV_POOL_CLASSES; i++) {
        struct iov_array *next;
        for (struct iov_array *a = pool->free[i]; a; a = next) {
            next = a->next;
            free(a);
        }
        pool->free[i] = NULL;
    }
}

struct iovec *iov_pool_get(struct iov_pool *pool, size_t n)
{
    /* Short ones share the prepared class: less memory is in use than with many classes. */
    size_t order = PREPARED_ORDER;
    while (((size_t)1 << order) < n)
        order++;
    if (order >= IOV_POOL_CLASSES)
        return NULL;
    struct iov_array *a = pool->free[order];
    if (a)
        pool->free[order] = a->next;
    else
        a = array_new(order);
    return a ? a->v : NULL;
}

void iov_pool_put(struct iov_pool *pool, struct iovec *v)
{
    struct iov_array *a = (struct iov_array *)(void *)((char *)v - offsetof(struct iov_array, v));
    assert(a->order < IOV_POOL_CLASSES);
    a->next = pool->free[a->order];
    pool->free[a->order] = a;
}
