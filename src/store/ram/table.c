/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/ram/table.h"

#include "base/err.h"
#include "store/iov.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int ram_table_init(struct ram_table *t, uint64_t leaf_max, uint64_t mapped_max, uint64_t page_max,
                   unsigned page_shift, bool huge)
{
    *t = (struct ram_table){ .leaf_max = leaf_max, .mapped_max = mapped_max };
    if (leaf_max > SIZE_MAX / sizeof *t->top)
        return USAN_ENOMEM;
    int err = ram_pool_init(&t->pool, page_shift, page_max, huge);
    if (err)
        return err;
    t->top = mmap(NULL, (size_t)leaf_max * sizeof *t->top, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->top == MAP_FAILED) {
        ram_pool_fini(&t->pool);
        return USAN_ENOMEM;
    }
    return 0;
}

void ram_table_fini(struct ram_table *t)
{
    struct ram_leaf *next;
    for (struct ram_leaf *leaf = t->leaves; leaf; leaf = next) {
        next = leaf->next;
        free(leaf);
    }
    (void)munmap(t->top, (size_t)t->leaf_max * sizeof *t->top);
    ram_pool_fini(&t->pool);
}

void ram_leaf_wait(const struct ram_leaf *leaf)
{
    for (int spins = 0; __atomic_load_n(&leaf->lock, __ATOMIC_RELAXED); spins++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
        if (spins == 1000) {
            (void)sched_yield();
            spins = 0;
        }
    }
}

/* Two threads may make the same leaf: the first one to enter it wins. */
struct ram_leaf *ram_leaf_make(struct ram_table *t, uint64_t leaf)
{
    struct ram_leaf *have = ram_leaf_find(t, leaf);
    if (have)
        return have;
    struct ram_leaf *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    (void)pthread_mutex_lock(&t->pool.lock);
    have = ram_leaf_find(t, leaf);
    if (have) {
        free(fresh);
    } else {
        fresh->next = t->leaves;
        t->leaves = fresh;
        __atomic_store_n(&t->top[leaf], fresh, __ATOMIC_RELEASE);
        have = fresh;
    }
    (void)pthread_mutex_unlock(&t->pool.lock);
    return have;
}

bool ram_table_reserve(struct ram_table *t, uint64_t n)
{
    uint64_t max = __atomic_load_n(&t->mapped_max, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&t->mapped, n, __ATOMIC_RELAXED) <= max)
        return true;
    (void)__atomic_sub_fetch(&t->mapped, n, __ATOMIC_RELAXED);
    return false;
}

void ram_swap_in(struct ram_table *t, struct ram_leaf *leaf, uint32_t at, uint32_t page_no,
                 struct ram_dead *dead)
{
    uint32_t old = leaf->page[at];
    leaf->page[at] = page_no + 1;
    t->pool.refs[page_no] = 1;
    if (old)
        ram_unref(t, old - 1, dead);
}

static void fill(uint8_t *to, struct iov_cur *src, size_t len)
{
    if (src)
        iov_cur_read(src, to, len);
    else
        memset(to, 0, len);
}

/* A page of ours takes the place of a hole or of a page that is lent, with the rest of its
 * content. The leaf is locked. */
static void replace(struct ram_table *t, struct ram_leaf *leaf, uint32_t at, uint32_t fresh,
                    size_t in, size_t len, struct iov_cur *src, struct ram_dead *dead)
{
    size_t size = (size_t)1 << t->pool.page_shift;
    uint8_t *to = ram_page(&t->pool, fresh);
    if (leaf->page[at]) {
        const uint8_t *from = ram_page(&t->pool, leaf->page[at] - 1);
        memcpy(to, from, in);
        memcpy(to + in + len, from + in + len, size - in - len);
    } else {
        memset(to, 0, in);
        memset(to + in + len, 0, size - in - len);
    }
    fill(to + in, src, len);
    ram_swap_in(t, leaf, at, fresh, dead);
}

/*
 * A page that nobody reads is changed in place. Otherwise a fresh page is needed, and as the
 * allocator is not called with the leaf locked, the second look may find that it is not any more.
 */
static int page_change(struct ram_table *t, struct ram_cache *cache, uint64_t page, size_t in,
                       size_t len, struct iov_cur *src, bool skip_hole)
{
    struct ram_leaf *leaf = skip_hole ? ram_leaf_find(t, page >> RAM_LEAF_SHIFT)
                                      : ram_leaf_make(t, page >> RAM_LEAF_SHIFT);
    if (!leaf)
        return skip_hole ? 0 : USAN_ENOMEM;
    uint32_t at = page & (RAM_LEAF_PAGES - 1);
    uint32_t fresh = 0;
    bool have_fresh = false;
    int err = 0;
    struct ram_dead dead;
    dead.count = 0;
    for (;;) {
        ram_leaf_lock(leaf);
        uint32_t old = leaf->page[at];
        if (!old && skip_hole)
            break;
        if (old && t->pool.refs[old - 1] == 1) {
            fill(ram_page(&t->pool, old - 1) + in, src, len);
            break;
        }
        if (have_fresh) {
            if (old || ram_table_reserve(t, 1)) {
                replace(t, leaf, at, fresh, in, len, src, &dead);
                have_fresh = false;
            } else {
                err = USAN_ENOSPC;
            }
            break;
        }
        ram_leaf_unlock(leaf);
        if (!ram_cache_take(cache, &fresh))
            return USAN_ENOSPC;
        have_fresh = true;
    }
    ram_leaf_unlock(leaf);
    if (have_fresh)
        ram_cache_put(cache, fresh);
    ram_bury(cache, &dead);
    return err;
}

int ram_page_write(struct ram_table *t, struct ram_cache *cache, uint64_t page, size_t in,
                   size_t len, struct iov_cur *src)
{
    return page_change(t, cache, page, in, len, src, false);
}

int ram_page_zero(struct ram_table *t, struct ram_cache *cache, uint64_t page, size_t in,
                  size_t len, bool skip_hole)
{
    return page_change(t, cache, page, in, len, NULL, skip_hole);
}

void ram_page_read(struct ram_table *t, uint64_t page, size_t in, size_t len, struct iov_cur *dst)
{
    struct ram_leaf *leaf = ram_leaf_find(t, page >> RAM_LEAF_SHIFT);
    if (!leaf) {
        iov_cur_zero(dst, len);
        return;
    }
    ram_leaf_lock(leaf);
    uint32_t have = leaf->page[page & (RAM_LEAF_PAGES - 1)];
    if (have)
        iov_cur_write(dst, ram_page(&t->pool, have - 1) + in, len);
    ram_leaf_unlock(leaf);
    if (!have)
        iov_cur_zero(dst, len);
}

uint64_t ram_pages_free(struct ram_table *t, struct ram_cache *cache, uint64_t page, uint64_t n,
                        uint64_t *budget)
{
    uint32_t at = page & (RAM_LEAF_PAGES - 1);
    if (n > RAM_LEAF_PAGES - at)
        n = RAM_LEAF_PAGES - at;
    struct ram_leaf *leaf = ram_leaf_find(t, page >> RAM_LEAF_SHIFT);
    uint64_t cost = leaf ? n : 8;
    *budget -= cost < *budget ? cost : *budget;
    if (!leaf)
        return n;
    struct ram_dead dead;
    dead.count = 0;
    uint64_t gone = 0;
    ram_leaf_lock(leaf);
    for (uint32_t i = at; i < at + n; i++) {
        if (!leaf->page[i])
            continue;
        ram_unref(t, leaf->page[i] - 1, &dead);
        leaf->page[i] = 0;
        gone++;
    }
    ram_leaf_unlock(leaf);
    if (gone)
        (void)__atomic_sub_fetch(&t->mapped, gone, __ATOMIC_RELAXED);
    ram_bury(cache, &dead);
    return n;
}

uint64_t ram_pages_alike(struct ram_table *t, uint64_t page, uint64_t n, uint64_t budget,
                         bool *ret_mapped)
{
    uint64_t done = 0;
    bool mapped = false;
    while (done < n && budget) {
        uint32_t at = (page + done) & (RAM_LEAF_PAGES - 1);
        uint64_t here = n - done < RAM_LEAF_PAGES - at ? n - done : RAM_LEAF_PAGES - at;
        struct ram_leaf *leaf = ram_leaf_find(t, (page + done) >> RAM_LEAF_SHIFT);
        if (!leaf) {
            if (done && mapped)
                break;
            done += here;
            budget--;
            continue;
        }
        uint64_t i = 0;
        ram_leaf_lock(leaf);
        if (!done)
            mapped = leaf->page[at] != 0;
        while (i < here && (leaf->page[at + i] != 0) == mapped)
            i++;
        ram_leaf_unlock(leaf);
        done += i;
        if (i < here)
            break;
        budget -= budget < here ? budget : here;
    }
    *ret_mapped = mapped;
    return done;
}
