/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/core_alloc.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

/* In front of every piece. */
struct head {
    size_t bytes; /* with this head */
    bool mapped;
};

enum {
    HEAD_BYTES = (sizeof(struct head) + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) *
                 _Alignof(max_align_t)
};

/*
 * Large pieces come from the system and go back to it: a send block that each of thousands of
 * connections had for a moment would stay behind as a hole in the heap.
 */
static struct head *take(size_t bytes, bool mapped)
{
    if (!mapped)
        return malloc(bytes);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct tgt_account *account_of(const struct tgt_core_alloc *ca, bool large)
{
    return large ? ca->account : NULL;
}

static bool count_shared(struct tgt_core_alloc *ca, bool large, uint64_t bytes)
{
    struct tgt_memory *m = ca->buffers->memory;
    _Atomic uint64_t *total = large && ca->account ? ca->account->total : NULL;
    if (total && !tgt_memory_allows(m, atomic_load(total), 0, bytes))
        return false;
    if (!tgt_memory_take(m, bytes))
        return false;
    if (total)
        atomic_fetch_add(total, bytes);
    return true;
}

static bool count(struct tgt_core_alloc *ca, bool large, uint64_t bytes)
{
    if (!(ca->shared ? count_shared(ca, large, bytes)
                     : tgt_buffers_charge(ca->buffers, account_of(ca, large), bytes)))
        return false;
    *(large ? &ca->large_bytes : &ca->small_bytes) += bytes;
    return true;
}

static void uncount(struct tgt_core_alloc *ca, bool large, uint64_t bytes)
{
    *(large ? &ca->large_bytes : &ca->small_bytes) -= bytes;
    if (!ca->shared) {
        tgt_buffers_uncharge(ca->buffers, account_of(ca, large), bytes);
        return;
    }
    if (large && ca->account)
        atomic_fetch_sub(ca->account->total, bytes);
    tgt_memory_give(ca->buffers->memory, bytes);
}

static void *get(void *ctx, size_t bytes)
{
    struct tgt_core_alloc *ca = ctx;
    bool large = bytes > TGT_CORE_SMALL_BYTES;
    size_t unit = large ? 4096 : 1;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + HEAD_BYTES + unit - 1) / unit * unit;
    if (!count(ca, large, bytes))
        return NULL;
    struct head *h = take(bytes, large);
    if (!h) {
        uncount(ca, large, bytes);
        return NULL;
    }
    *h = (struct head){ .bytes = bytes, .mapped = large };
    return (char *)h + HEAD_BYTES;
}

static void put(void *ctx, void *ptr)
{
    struct tgt_core_alloc *ca = ctx;
    if (!ptr)
        return;
    struct head *h = (struct head *)(void *)((char *)ptr - HEAD_BYTES);
    size_t bytes = h->bytes;
    uncount(ca, h->mapped, bytes);
    if (!h->mapped) {
        free(h);
        return;
    }
    int err = munmap(h, bytes);
    assert(err == 0);
    (void)err;
}

void tgt_core_alloc_init(struct tgt_core_alloc *ca, struct tgt_buffers *buffers,
                         struct tgt_account *account)
{
    *ca = (struct tgt_core_alloc){
        .alloc = { .get = get, .put = put, .ctx = ca },
        .buffers = buffers,
        .account = account,
    };
}

void tgt_core_alloc_share(struct tgt_core_alloc *ca)
{
    if (ca->shared)
        return;
    ca->shared = true;
    tgt_buffers_hand_over(ca->buffers, NULL, ca->small_bytes);
    tgt_buffers_hand_over(ca->buffers, ca->account, ca->large_bytes);
    if (ca->account)
        atomic_fetch_add(ca->account->total, ca->large_bytes);
}
