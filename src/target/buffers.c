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

static uint64_t give_credit(struct tgt_buffers *b, uint64_t bytes)
{
    uint64_t n = bytes < b->credit_bytes ? bytes : b->credit_bytes;
    if (n == 0)
        return 0;
    b->credit_bytes -= n;
    b->cached_bytes -= n;
    tgt_memory_give(b->memory, n);
    return n;
}

/* Give back what is kept until `bytes` were given: the credit, then buffers, the largest first. */
static void trim(struct tgt_buffers *b, uint64_t bytes)
{
    uint64_t given = give_credit(b, bytes);
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

/* Count bytes against the shared limit, giving up what is kept here if need be. */
static bool take(struct tgt_buffers *b, uint64_t bytes)
{
    if (tgt_memory_take(b->memory, bytes))
        return true;
    trim(b, bytes);
    return tgt_memory_take(b->memory, bytes);
}

/* What other reactors keep for reuse is not free. */
static inline bool may_hold(const struct tgt_buffers *b, const struct tgt_account *account,
                            uint64_t bytes)
{
    if (!account)
        return true;
    uint64_t held = account->total ? atomic_load_explicit(account->total, memory_order_relaxed)
                                   : account->held_bytes;
    return tgt_memory_allows(b->memory, held, b->cached_bytes, bytes);
}

static void count(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes)
{
    b->used_bytes += bytes;
    if (!account)
        return;
    account->held_bytes += bytes;
    if (account->total)
        atomic_fetch_add_explicit(account->total, bytes, memory_order_relaxed);
}

static inline void uncount(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes)
{
    assert(b->used_bytes >= bytes && (!account || account->held_bytes >= bytes));
    b->used_bytes -= bytes;
    if (!account)
        return;
    account->held_bytes -= bytes;
    if (account->total)
        atomic_fetch_sub_explicit(account->total, bytes, memory_order_relaxed);
}

/* ---- buffers ---- */

static void *take_new(struct tgt_buffers *b, unsigned cls)
{
    size_t cap = class_bytes(cls);
    if (!take(b, cap))
        return NULL;
    void *buf = aligned_alloc((size_t)1 << TGT_BUFFERS_MIN_SHIFT, cap);
    if (!buf)
        tgt_memory_give(b->memory, cap);
    return buf;
}

void *tgt_buffers_get(struct tgt_buffers *b, struct tgt_account *account, size_t bytes,
                      size_t *ret_cap)
{
    if (bytes > (size_t)1 << TGT_BUFFERS_MAX_SHIFT)
        return NULL;
    unsigned cls = class_of(bytes);
    if (!may_hold(b, account, class_bytes(cls)))
        return NULL;
    void *buf = pop(b, cls);
    if (!buf)
        buf = take_new(b, cls);
    if (!buf)
        return NULL;
    count(b, account, class_bytes(cls));
    *ret_cap = class_bytes(cls);
    return buf;
}

void tgt_buffers_put(struct tgt_buffers *b, struct tgt_account *account, void *buf, size_t cap)
{
    if (!buf)
        return;
    unsigned cls = class_of(cap);
    assert(cap == class_bytes(cls));
    uncount(b, account, cap);
    if (b->cached_bytes + cap > b->cached_max) {
        release(b, buf, cls);
        return;
    }
    *(void **)buf = b->free[cls];
    b->free[cls] = buf;
    b->cached_bytes += cap;
}

/* ---- counted bytes ---- */

/* Take more than is asked for, as far as it may be kept, so that most charges stay in here. */
static bool take_credit(struct tgt_buffers *b, uint64_t bytes)
{
    uint64_t room = b->cached_max > b->cached_bytes ? b->cached_max - b->cached_bytes : 0;
    uint64_t more = room < TGT_BUFFERS_PIECE ? room : TGT_BUFFERS_PIECE;
    if (!tgt_memory_take(b->memory, bytes + more)) {
        more = 0;
        if (!take(b, bytes))
            return false;
    }
    b->credit_bytes += bytes + more;
    b->cached_bytes += bytes + more;
    return true;
}

bool tgt_buffers_charge(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes)
{
    if (bytes > b->memory->max_bytes || !may_hold(b, account, bytes))
        return false;
    if (b->credit_bytes < bytes && !take_credit(b, bytes))
        return false;
    b->credit_bytes -= bytes;
    b->cached_bytes -= bytes;
    count(b, account, bytes);
    return true;
}

void tgt_buffers_uncharge(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes)
{
    uncount(b, account, bytes);
    b->credit_bytes += bytes;
    b->cached_bytes += bytes;
    if (b->cached_bytes > b->cached_max)
        (void)give_credit(b, b->cached_bytes - b->cached_max);
    if (b->credit_bytes > TGT_BUFFERS_CREDIT_MAX)
        (void)give_credit(b, b->credit_bytes - TGT_BUFFERS_CREDIT_MAX);
}

void tgt_buffers_hand_over(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes)
{
    uncount(b, account, bytes);
}
