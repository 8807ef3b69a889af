/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/ram/pool.h"

#include "base/err.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SLAB_WORDS = (int)(RAM_SLAB_BYTES >> RAM_PAGE_SHIFT_MIN) / 64,
    /* How many slabs are looked at for a run of the wanted length. */
    SLAB_TRIES = 4,
    /* Slabs made accessible by one system call. */
    SLAB_STEP = 16,
    /* Whole free slabs that keep their memory for the next writes. */
    WHOLE_KEEP = 16,
    /* Pages fetched by a cache that ran empty. */
    REFILL_PAGES = 128,
    NO_LONG_RUN_PAUSE = 32,
};

struct ram_slab {
    uint64_t free[SLAB_WORDS];
    uint32_t free_count;
    uint32_t next, prev; /* in the list of slabs with free pages, as number + 1 */
    bool resident;       /* pages were handed out since the kernel got the memory back */
};

static uint32_t slab_pages(const struct ram_pool *pool)
{
    return 1u << (RAM_SLAB_SHIFT - pool->page_shift);
}

static void *reserve(size_t bytes, int prot)
{
    void *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Where the slabs begin is a multiple of their size, or huge pages could not hold them: one more
 * slab is reserved and what lies before and behind is given back. */
static uint8_t *reserve_aligned(size_t bytes)
{
    uint8_t *p = reserve(bytes + RAM_SLAB_BYTES, PROT_NONE);
    if (!p)
        return NULL;
    size_t before = (RAM_SLAB_BYTES - ((uintptr_t)p & (RAM_SLAB_BYTES - 1))) % RAM_SLAB_BYTES;
    if (before)
        (void)munmap(p, before);
    (void)munmap(p + before + bytes, RAM_SLAB_BYTES - before);
    return p + before;
}

int ram_pool_init(struct ram_pool *pool, unsigned page_shift, uint64_t page_max, bool huge)
{
    assert(page_shift >= RAM_PAGE_SHIFT_MIN && page_shift <= RAM_PAGE_SHIFT_MAX);
    unsigned per_slab_shift = RAM_SLAB_SHIFT - page_shift;
    uint64_t slabs = (page_max + (1u << per_slab_shift) - 1) >> per_slab_shift;
    /* A table entry is the number + 1 in 32 bits. */
    uint64_t slabs_limit = (UINT32_MAX >> per_slab_shift) - 1;
    if (slabs > slabs_limit)
        slabs = slabs_limit;
    *pool = (struct ram_pool){ .page_shift = page_shift,
                               .page_max = (uint32_t)(slabs << per_slab_shift),
                               .huge = huge,
                               .slab_max = (uint32_t)slabs };
    pool->base = reserve_aligned((size_t)slabs << RAM_SLAB_SHIFT);
    pool->refs = reserve(pool->page_max * sizeof *pool->refs, PROT_READ | PROT_WRITE);
    pool->slabs = reserve(pool->slab_max * sizeof *pool->slabs, PROT_READ | PROT_WRITE);
    if (!pool->base || !pool->refs || !pool->slabs || pthread_mutex_init(&pool->lock, NULL)) {
        ram_pool_fini(pool);
        return USAN_ENOMEM;
    }
    return 0;
}

void ram_pool_fini(struct ram_pool *pool)
{
    if (pool->base)
        (void)munmap(pool->base, (size_t)pool->slab_max << RAM_SLAB_SHIFT);
    if (pool->refs)
        (void)munmap(pool->refs, pool->page_max * sizeof *pool->refs);
    if (pool->slabs)
        (void)munmap(pool->slabs, pool->slab_max * sizeof *pool->slabs);
    if (pool->base && pool->refs && pool->slabs)
        (void)pthread_mutex_destroy(&pool->lock);
    *pool = (struct ram_pool){ 0 };
}

/* ---- slabs; the lock is held ---- */

static void avail_add(struct ram_pool *pool, uint32_t slab)
{
    struct ram_slab *s = &pool->slabs[slab];
    s->prev = 0;
    s->next = pool->avail;
    if (s->next)
        pool->slabs[s->next - 1].prev = slab + 1;
    pool->avail = slab + 1;
}

static void avail_del(struct ram_pool *pool, uint32_t slab)
{
    struct ram_slab *s = &pool->slabs[slab];
    if (s->prev)
        pool->slabs[s->prev - 1].next = s->next;
    else
        pool->avail = s->next;
    if (s->next)
        pool->slabs[s->next - 1].prev = s->prev;
}

/* More memory may be touched. False when the kernel does not allow it or all is in use. */
static bool grow(struct ram_pool *pool)
{
    uint32_t n = pool->slab_max - pool->slab_ready;
    if (n > SLAB_STEP)
        n = SLAB_STEP;
    if (!n)
        return false;
    uint8_t *p = pool->base + ((size_t)pool->slab_ready << RAM_SLAB_SHIFT);
    size_t bytes = (size_t)n << RAM_SLAB_SHIFT;
    if (mprotect(p, bytes, PROT_READ | PROT_WRITE))
        return false;
    /* Where the kernel has no huge pages small ones do. */
    if (pool->huge)
        (void)madvise(p, bytes, MADV_HUGEPAGE);
    uint32_t pages = slab_pages(pool);
    for (uint32_t i = pool->slab_ready + n; i-- > pool->slab_ready;) {
        struct ram_slab *s = &pool->slabs[i];
        for (uint32_t w = 0; w < SLAB_WORDS && w * 64 < pages; w++)
            s->free[w] = pages - w * 64 >= 64 ? UINT64_MAX : (1ull << (pages - w * 64)) - 1;
        s->free_count = pages;
        avail_add(pool, i);
    }
    pool->slab_ready += n;
    pool->free_pages += (uint64_t)n * pages;
    return true;
}

/* First bit at or after `from` that is `value`; `pages` when there is none. */
static uint32_t next_bit(const struct ram_slab *s, uint32_t from, bool value, uint32_t pages)
{
    while (from < pages) {
        uint64_t w = value ? s->free[from / 64] : ~s->free[from / 64];
        w >>= from % 64;
        if (w) {
            from += (uint32_t)__builtin_ctzll(w);
            break;
        }
        from = (from / 64 + 1) * 64;
    }
    return from < pages ? from : pages;
}

/* The first run of at least `want` free pages, else the longest one. */
static struct ram_run slab_best(const struct ram_slab *s, uint32_t pages, uint32_t want)
{
    struct ram_run best = { 0, 0 };
    uint32_t at = next_bit(s, 0, true, pages);
    while (at < pages && best.count < want) {
        uint32_t end = next_bit(s, at, false, pages);
        if (end - at > best.count)
            best = (struct ram_run){ at, end - at };
        at = next_bit(s, end, true, pages);
    }
    if (best.count > want)
        best.count = want;
    return best;
}

static void slab_mark(struct ram_slab *s, uint32_t at, uint32_t count, bool is_free)
{
    for (; count; count--, at++) {
        uint64_t bit = 1ull << (at % 64);
        assert(!(s->free[at / 64] & bit) == is_free);
        s->free[at / 64] ^= bit;
    }
}

static struct ram_run take(struct ram_pool *pool, uint32_t want)
{
    uint32_t pages = slab_pages(pool);
    struct ram_run best = { 0, 0 };
    uint32_t best_slab = 0;
    if (want > pages)
        want = pages;
    if (!pool->avail && !grow(pool))
        return best;
    uint32_t slab = pool->avail;
    for (int tries = 0; slab && tries < SLAB_TRIES && best.count < want; tries++) {
        struct ram_run run = slab_best(&pool->slabs[slab - 1], pages, want);
        if (run.count > best.count) {
            best = run;
            best_slab = slab - 1;
        }
        slab = pool->slabs[slab - 1].next;
    }
    struct ram_slab *s = &pool->slabs[best_slab];
    slab_mark(s, best.first, best.count, false);
    if (s->free_count == pages && s->resident)
        pool->whole_resident--;
    s->resident = true;
    s->free_count -= best.count;
    pool->free_pages -= best.count;
    if (!s->free_count)
        avail_del(pool, best_slab);
    best.first += best_slab * pages;
    return best;
}

static void give(struct ram_pool *pool, uint32_t slab, uint32_t at, uint32_t count)
{
    struct ram_slab *s = &pool->slabs[slab];
    if (!s->free_count)
        avail_add(pool, slab);
    slab_mark(s, at, count, true);
    s->free_count += count;
    pool->free_pages += count;
    if (s->free_count < slab_pages(pool))
        return;
    if (pool->whole_resident < WHOLE_KEEP) {
        pool->whole_resident++;
        return;
    }
    (void)madvise(pool->base + ((size_t)slab << RAM_SLAB_SHIFT), RAM_SLAB_BYTES, MADV_DONTNEED);
    s->resident = false;
}

/* A run may cross slabs: neighbours came together in a cache. */
static void give_run(struct ram_pool *pool, struct ram_run run)
{
    uint32_t pages = slab_pages(pool);
    while (run.count) {
        uint32_t at = run.first % pages;
        uint32_t n = pages - at < run.count ? pages - at : run.count;
        give(pool, run.first / pages, at, n);
        run.first += n;
        run.count -= n;
    }
}

/* ---- caches ---- */

void ram_cache_init(struct ram_cache *cache, struct ram_pool *pool)
{
    *cache = (struct ram_cache){ .pool = pool };
}

static void give_oldest(struct ram_cache *cache, uint32_t runs)
{
    (void)pthread_mutex_lock(&cache->pool->lock);
    for (uint32_t i = 0; i < runs; i++) {
        give_run(cache->pool, cache->runs[i]);
        cache->page_count -= cache->runs[i].count;
    }
    (void)pthread_mutex_unlock(&cache->pool->lock);
    cache->run_count -= runs;
    memmove(cache->runs, cache->runs + runs, cache->run_count * sizeof *cache->runs);
}

void ram_cache_fini(struct ram_cache *cache)
{
    give_oldest(cache, cache->run_count);
}

/* The colder half goes back to the pool. */
void ram_cache_spill(struct ram_cache *cache)
{
    uint32_t runs = 0, pages = 0;
    while (runs < cache->run_count - 1 &&
           (runs < cache->run_count / 2 || pages < cache->page_count / 2))
        pages += cache->runs[runs++].count;
    if (runs) {
        give_oldest(cache, runs);
        return;
    }
    struct ram_run *only = &cache->runs[0];
    struct ram_run half = { only->first, only->count / 2 };
    only->first += half.count;
    only->count -= half.count;
    cache->page_count -= half.count;
    (void)pthread_mutex_lock(&cache->pool->lock);
    give_run(cache->pool, half);
    (void)pthread_mutex_unlock(&cache->pool->lock);
}

/* Get pages from the pool, in one run if it has one of that length; false if it has none at all. */
static bool refill(struct ram_cache *cache, uint32_t want)
{
    if (want < REFILL_PAGES)
        want = REFILL_PAGES;
    if (cache->run_count == RAM_CACHE_RUNS)
        ram_cache_spill(cache);
    (void)pthread_mutex_lock(&cache->pool->lock);
    struct ram_run run = take(cache->pool, want);
    (void)pthread_mutex_unlock(&cache->pool->lock);
    if (!run.count)
        return false;
    cache->runs[cache->run_count++] = run;
    cache->page_count += run.count;
    return true;
}

static struct ram_run carve(struct ram_cache *cache, uint32_t index, uint32_t want)
{
    struct ram_run *r = &cache->runs[index];
    struct ram_run run = { r->first, r->count < want ? r->count : want };
    r->first += run.count;
    r->count -= run.count;
    cache->page_count -= run.count;
    if (!r->count) {
        cache->run_count--;
        memmove(r, r + 1, (cache->run_count - index) * sizeof *r);
    }
    return run;
}

/*
 * The newest run that is long enough; else a long one from the pool; else what there is. When the
 * pool had none it is left alone for a while: in a store full of scattered pages asking is in vain.
 */
struct ram_run ram_cache_take_run(struct ram_cache *cache, uint32_t want)
{
    for (uint32_t i = cache->run_count; i-- > 0 && cache->run_count - i <= 8;) {
        if (cache->runs[i].count >= want)
            return carve(cache, i, want);
    }
    if (cache->no_long_run && cache->run_count) {
        cache->no_long_run--;
    } else {
        bool got = refill(cache, want);
        if (got && cache->runs[cache->run_count - 1].count < want)
            cache->no_long_run = NO_LONG_RUN_PAUSE;
        if (!got && !cache->run_count)
            return (struct ram_run){ 0, 0 };
    }
    return carve(cache, cache->run_count - 1, want);
}
