/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of a memory store. A page has a number; its address and its reference count follow from
 * the number, so that whoever holds an address finds both without a lookup.
 *
 * Pages come in slabs of 2 MiB (a huge page of the processor) out of one reserved range of
 * addresses. Each channel keeps free pages of its own as runs of consecutive numbers: a long
 * request gets pages that lie side by side and costs one iovec, and the lock of the pool is only
 * taken when a cache runs empty or over.
 */
#ifndef USAN_STORE_RAM_POOL_H
#define USAN_STORE_RAM_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAM_SLAB_SHIFT     21
#define RAM_SLAB_BYTES     ((size_t)1 << RAM_SLAB_SHIFT)
#define RAM_PAGE_SHIFT_MIN 12
#define RAM_PAGE_SHIFT_MAX 20
/* Free pages of a channel, as runs. */
#define RAM_CACHE_RUNS 128

struct ram_slab; /* pool.c */

struct ram_pool {
    uint8_t *base; /* page 0 */
    unsigned page_shift;
    uint32_t page_max; /* numbers that are reserved */
    bool huge;
    /* One for each page; guarded by the lock of the place in the table that the page belongs to.
     * Being in the table counts as a reference. */
    uint32_t *refs;

    pthread_mutex_t lock; /* for what follows */
    struct ram_slab *slabs;
    uint32_t slab_max;
    uint32_t slab_ready;     /* slabs that may be touched */
    uint32_t avail;          /* first slab with free pages, as number + 1 */
    uint32_t whole_resident; /* slabs without a page in use whose memory the kernel has not got */
    uint64_t free_pages;
};

struct ram_run {
    uint32_t first, count;
};

struct ram_cache {
    struct ram_pool *pool;
    struct ram_run runs[RAM_CACHE_RUNS]; /* the last one is used first: it is warm */
    uint32_t run_count;
    uint32_t page_count;
    uint32_t no_long_run; /* requests to let pass before the pool is asked for a long run again */
};

/* Reserves addresses for page_max pages; nothing of it is memory yet. ENOMEM. */
int ram_pool_init(struct ram_pool *pool, unsigned page_shift, uint64_t page_max, bool huge);
void ram_pool_fini(struct ram_pool *pool);

void ram_cache_init(struct ram_cache *cache, struct ram_pool *pool);
/* Gives all pages back. */
void ram_cache_fini(struct ram_cache *cache);
/* A run of 1 to `want` pages; count 0 when there is no memory. Contents are undefined. */
struct ram_run ram_cache_take_run(struct ram_cache *cache, uint32_t want);
void ram_cache_spill(struct ram_cache *cache);

static inline uint8_t *ram_page(const struct ram_pool *pool, uint32_t page)
{
    return pool->base + ((size_t)page << pool->page_shift);
}

/* Is p in a page of the pool? (Else in the zeroes.) */
static inline bool ram_in_pool(const struct ram_pool *pool, const void *p)
{
    return (size_t)((const uint8_t *)p - pool->base) >> pool->page_shift < pool->page_max;
}

static inline uint32_t ram_page_of(const struct ram_pool *pool, const void *p)
{
    return (uint32_t)((size_t)((const uint8_t *)p - pool->base) >> pool->page_shift);
}

/* One page. False when there is no memory. */
static inline bool ram_cache_take(struct ram_cache *cache, uint32_t *ret_page)
{
    if (__builtin_expect(!cache->run_count, 0)) {
        struct ram_run run = ram_cache_take_run(cache, 1);
        *ret_page = run.first;
        return run.count != 0;
    }
    struct ram_run *top = &cache->runs[cache->run_count - 1];
    *ret_page = top->first++;
    cache->page_count--;
    if (!--top->count)
        cache->run_count--;
    return true;
}

static inline void ram_cache_put(struct ram_cache *cache, uint32_t page)
{
    struct ram_run *top = cache->runs + cache->run_count;
    if (cache->run_count && top[-1].first + top[-1].count == page) {
        top[-1].count++;
    } else if (cache->run_count && top[-1].first == page + 1) {
        top[-1].first--;
        top[-1].count++;
    } else {
        if (cache->run_count == RAM_CACHE_RUNS)
            ram_cache_spill(cache);
        cache->runs[cache->run_count++] = (struct ram_run){ page, 1 };
    }
    if (++cache->page_count > RAM_SLAB_BYTES * 8 >> cache->pool->page_shift)
        ram_cache_spill(cache);
}

#endif
