/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which page holds which part of the store: two levels, so that a huge store that is empty costs
 * address space only. A leaf covers 512 pages and has a lock, which also guards the reference
 * counts of the pages that are or were in that leaf: a page only ever belongs to one place between
 * being taken from a cache and going back.
 *
 * A page with more than the table's reference is lent and does not change: a write puts another
 * page into its place. The last one who lets go of a page frees it.
 */
#ifndef USAN_STORE_RAM_TABLE_H
#define USAN_STORE_RAM_TABLE_H

#include "store/ram/pool.h"

#define RAM_LEAF_SHIFT 9
#define RAM_LEAF_PAGES (1u << RAM_LEAF_SHIFT)

struct ram_leaf {
    uint32_t lock;
    uint32_t page[RAM_LEAF_PAGES]; /* number + 1; 0 = a hole */
    struct ram_leaf *next;         /* of all leaves; for ram_table_fini */
};

struct ram_table {
    struct ram_pool pool;
    struct ram_leaf **top;
    uint64_t leaf_max;
    struct ram_leaf *leaves; /* pool.lock */
    uint64_t mapped;         /* pages in the table; atomic */
    uint64_t mapped_max;
};

/* Pages taken out of the table, to be freed when the lock is released. */
struct ram_dead {
    uint32_t count;
    uint32_t page[RAM_LEAF_PAGES];
};

/* Addresses for leaf_max leaves and page_max pages. ENOMEM. */
int ram_table_init(struct ram_table *t, uint64_t leaf_max, uint64_t mapped_max, uint64_t page_max,
                   unsigned page_shift, bool huge);
void ram_table_fini(struct ram_table *t);

/* The leaf, made if there is none yet; NULL when out of memory. */
struct ram_leaf *ram_leaf_make(struct ram_table *t, uint64_t leaf);

/* NULL: all holes. */
static inline struct ram_leaf *ram_leaf_find(const struct ram_table *t, uint64_t leaf)
{
    return __atomic_load_n(&t->top[leaf], __ATOMIC_ACQUIRE);
}

/* Wait until the leaf looks unlocked. Its holder may have lost the processor: do not keep it from
 * getting one. */
void ram_leaf_wait(const struct ram_leaf *leaf);

static inline void ram_leaf_lock(struct ram_leaf *leaf)
{
    while (__builtin_expect(__atomic_exchange_n(&leaf->lock, 1, __ATOMIC_ACQUIRE), 0))
        ram_leaf_wait(leaf);
}

static inline void ram_leaf_unlock(struct ram_leaf *leaf)
{
    __atomic_store_n(&leaf->lock, 0, __ATOMIC_RELEASE);
}

/* ---- with the leaf locked ---- */

/* Drop a reference of a page that belongs here. */
static inline void ram_unref(struct ram_table *t, uint32_t page, struct ram_dead *dead)
{
    if (--t->pool.refs[page] == 0)
        dead->page[dead->count++] = page;
}

/* ---- without ---- */

static inline void ram_bury(struct ram_cache *cache, const struct ram_dead *dead)
{
    for (uint32_t i = 0; i < dead->count; i++)
        ram_cache_put(cache, dead->page[i]);
}

/* ---- whole operations; `page` counts pages from the start of the store ---- */

/* Room for n more pages in the table? Taken if so. Atomic. */
bool ram_table_reserve(struct ram_table *t, uint64_t n);

/* Put page_no in at `at`; the caller has filled it. With the leaf locked; a hole was reserved. */
void ram_swap_in(struct ram_table *t, struct ram_leaf *leaf, uint32_t at, uint32_t page_no,
                 struct ram_dead *dead);

/* Change `len` bytes at `in` of a page: what the callback writes. 0, ENOMEM or ENOSPC. */
struct iov_cur;
int ram_page_write(struct ram_table *t, struct ram_cache *cache, uint64_t page, size_t in,
                   size_t len, struct iov_cur *src);
/* Zeroes that keep the page; with skip_hole a hole stays one. */
int ram_page_zero(struct ram_table *t, struct ram_cache *cache, uint64_t page, size_t in,
                  size_t len, bool skip_hole);
void ram_page_read(struct ram_table *t, uint64_t page, size_t in, size_t len, struct iov_cur *dst);
/* Holes from page to the end of the leaf, at most n; returns how many pages it went on. What it
 * took, in pages that were freed or looked at, comes off the budget. */
uint64_t ram_pages_free(struct ram_table *t, struct ram_cache *cache, uint64_t page, uint64_t n,
                        uint64_t *budget);
/* How many of n pages from `page` on are in the same state (mapped or hole); looks at `budget`
 * entries at most. */
uint64_t ram_pages_alike(struct ram_table *t, uint64_t page, uint64_t n, uint64_t budget,
                         bool *ret_mapped);

#endif
