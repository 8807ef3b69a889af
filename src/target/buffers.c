/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/buffers.h"

#include <assert.h>
#include <stdlib.h>

bool tgt_memory_take(struct tgt_memory *m, uint64_t bytes)
{
    uint64_t now = atomic_load_explicit(&m->taken_bytes, memory_order_relaxed);
    do {
        if (bytes > m->max_bytes || now > m->max_bytes - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&m->taken_bytes, &now, now + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void tgt_memory_give(struct tgt_memory *m, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&m->taken_bytes, bytes, memory_order_relaxed);
    assert(before >= bytes);
    (void)before;
}

void tgt_buffers_init(struct tgt_buffers *b, struct tgt_memory *memory, uint64_t cached_max)
{
    *b = (struct tgt_buffers){ .memory = memory, .cached_max = cached_max };
}

static size_t class_bytes(unsigned cls)
{
    return (size_t)1 << (cls + TGT_BUFFERS_MIN_SHIFT);
}

static unsigned class_of(size_t bytes)
{
    if (bytes <= (size_t)1 << TGT_BUFFERS_MIN_SHIFT)
        return 0;
    unsigned shift = 64u - (unsigned)__builtin_clzll((unsigned long long)bytes - 1);
    return shift - TGT_BUFFERS_MIN_SHIFT;
}

/* The free list runs through the first word of each buffer. */
static void *pop(struct tgt_buffers *b, unsigned cls)
{
    void *buf = b->free[cls];
    if (buf) {
        b->free[cls] = *(void **)buf;
        b->cached_bytes -= class_bytes(cls);
    }
    return buf;
}

static void release(struct tgt_buffers *b, void *buf, unsigned cls)
{
    free(buf);
    tgt_memory_give(b->memory, class_bytes(cls));
}

/* Give kept buffers back until `bytes` were given, the largest first. */
static void trim(struct tgt_buffers *b, uint64_t bytes)
{
    uint64_t given = 0;
    for (unsigned cls = TGT_BUFFERS_CLASSES; cls-- > 0 && given < bytes;) {
        void *buf;
        while (given < bytes && (buf = pop(b, cls))) {
            release(b, buf, cls);
            given += class_bytes(cls);
        }
    }
}

void tgt_buffers_fini(struct tgt_buffers *b)
{
    assert(b->used_bytes == 0);
    trim(b, UINT64_MAX);
    assert(b->cached_bytes == 0);
}

static void *take_new(struct tgt_buffers *b, unsigned cls)
{
    size_t cap = class_bytes(cls);
    if (!tgt_memory_take(b->memory, cap)) {
        trim(b, cap);
        if (!tgt_memory_take(b->memory, cap))
            return NULL;
    }
    void *buf = aligned_alloc((size_t)1 << TGT_BUFFERS_MIN_SHIFT, cap);
    if (!buf)
        tgt_memory_give(b->memory, cap);
    return buf;
}

void *tgt_buffers_get(struct tgt_buffers *b, size_t bytes, size_t *ret_cap)
{
    if (bytes > (size_t)1 << TGT_BUFFERS_MAX_SHIFT)
        return NULL;
    unsigned cls = class_of(bytes);
    void *buf = pop(b, cls);
    if (!buf)
        buf = take_new(b, cls);
    if (!buf)
        return NULL;
    b->used_bytes += class_bytes(cls);
    *ret_cap = class_bytes(cls);
    return buf;
}

void tgt_buffers_put(struct tgt_buffers *b, void *buf, size_t cap)
{
    if (!buf)
        return;
    unsigned cls = class_of(cap);
    assert(cap == class_bytes(cls) && b->used_bytes >= cap);
    b->used_bytes -= cap;
    if (b->cached_bytes + cap > b->cached_max) {
        release(b, buf, cls);
        return;
    }
    *(void **)buf = b->free[cls];
    b->free[cls] = buf;
    b->cached_bytes += cap;
}
