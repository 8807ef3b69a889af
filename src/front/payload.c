/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "front/payload.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A buffer that is kept; the rest of it is not touched. */
struct kept {
    struct kept *next;
};

static unsigned class_of(size_t bytes)
{
    unsigned cls = 0;
    while (((size_t)1 << (cls + PAYLOAD_MIN_SHIFT)) < bytes)
        cls++;
    return cls;
}

static size_t bytes_of(unsigned cls)
{
    return (size_t)1 << (cls + PAYLOAD_MIN_SHIFT);
}

static bool reserve(struct payload_limit *l, uint64_t bytes)
{
    uint64_t taken = atomic_fetch_add_explicit(&l->taken_bytes, bytes, memory_order_relaxed);
    if (taken + bytes <= l->max_bytes)
        return true;
    atomic_fetch_sub_explicit(&l->taken_bytes, bytes, memory_order_relaxed);
    return false;
}

static void give_back(struct payload_pool *p, void *buf, unsigned cls)
{
    free(buf);
    atomic_fetch_sub_explicit(&p->limit->taken_bytes, bytes_of(cls), memory_order_relaxed);
}

static void *unkeep(struct payload_pool *p, unsigned cls)
{
    struct kept *k = p->free[cls];
    if (!k)
        return NULL;
    p->free[cls] = k->next;
    p->kept_bytes -= bytes_of(cls);
    return k;
}

static void drop_kept(struct payload_pool *p)
{
    for (unsigned cls = 0; cls < PAYLOAD_CLASSES; cls++) {
        void *buf;
        while ((buf = unkeep(p, cls)))
            give_back(p, buf, cls);
    }
}

void payload_pool_init(struct payload_pool *p, struct payload_limit *limit, uint64_t keep_max)
{
    *p = (struct payload_pool){ .limit = limit, .keep_max = keep_max };
}

void payload_pool_fini(struct payload_pool *p)
{
    assert(p->used_bytes == 0);
    drop_kept(p);
    assert(p->kept_bytes == 0);
}

void *payload_get(struct payload_pool *p, size_t bytes, size_t *ret_cap)
{
    unsigned cls = class_of(bytes);
    assert(cls < PAYLOAD_CLASSES);
    size_t cap = bytes_of(cls);
    void *buf = unkeep(p, cls);
    if (!buf) {
        if (!reserve(p->limit, cap)) {
            /* What is kept for other sizes may be what is missing. */
            drop_kept(p);
            if (!reserve(p->limit, cap))
                return NULL;
        }
        buf = aligned_alloc((size_t)1 << PAYLOAD_MIN_SHIFT, cap);
        if (!buf) {
            atomic_fetch_sub_explicit(&p->limit->taken_bytes, cap, memory_order_relaxed);
            return NULL;
        }
    }
    p->used_bytes += cap;
    *ret_cap = cap;
    return buf;
}

void payload_put(struct payload_pool *p, void *buf, size_t cap)
{
    if (!buf)
        return;
    unsigned cls = class_of(cap);
    assert(cap == bytes_of(cls) && p->used_bytes >= cap);
    p->used_bytes -= cap;
    if (p->kept_bytes + cap > p->keep_max) {
        give_back(p, buf, cls);
        return;
    }
    struct kept *k = buf;
    k->next = p->free[cls];
    p->free[cls] = k;
    p->kept_bytes += cap;
}
