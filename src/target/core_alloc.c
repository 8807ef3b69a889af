/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/core_alloc.h"

#include <assert.h>
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

static void *get(void *ctx, size_t bytes)
{
    struct tgt_core_alloc *ca = ctx;
    bool large = bytes > TGT_CORE_SMALL_BYTES;
    size_t unit = large ? 4096 : 1;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + HEAD_BYTES + unit - 1) / unit * unit;
    if (!tgt_buffers_charge(ca->buffers, account_of(ca, large), bytes))
        return NULL;
    struct head *h = take(bytes, large);
    if (!h) {
        tgt_buffers_uncharge(ca->buffers, account_of(ca, large), bytes);
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
    tgt_buffers_uncharge(ca->buffers, account_of(ca, h->mapped), bytes);
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
