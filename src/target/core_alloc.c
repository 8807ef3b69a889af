/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/core_alloc.h"

#include <malloc.h>
#include <stdlib.h>

static struct tgt_account *account_of(const struct tgt_core_alloc *ca, size_t bytes)
{
    return bytes > TGT_CORE_SMALL_BYTES ? ca->account : NULL;
}

/* The heap knows how long a piece is, so that nothing has to be kept in front of it. */
static void *get(void *ctx, size_t bytes)
{
    struct tgt_core_alloc *ca = ctx;
    void *p = malloc(bytes);
    if (!p)
        return NULL;
    size_t real = malloc_usable_size(p);
    if (!tgt_buffers_charge(ca->buffers, account_of(ca, real), real)) {
        free(p);
        return NULL;
    }
    return p;
}

static void put(void *ctx, void *ptr)
{
    struct tgt_core_alloc *ca = ctx;
    if (!ptr)
        return;
    size_t real = malloc_usable_size(ptr);
    tgt_buffers_uncharge(ca->buffers, account_of(ca, real), real);
    free(ptr);
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
