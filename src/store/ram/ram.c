/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store in memory. Reads are answered with the pages themselves and writes are built in the
 * pages that will hold them, so data is copied only where a request does not cover whole pages.
 */
#include "store/iov.h"
#include "store/opt.h"
#include "store/ram/table.h"
#include "store/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_BYTES 512u
/* What is lent for holes, again and again if need be. At least one page of any size. */
#define ZERO_BYTES ((size_t)1 << RAM_PAGE_SHIFT_MAX)
/* The table has room for stores of this size, so that a small one can grow. */
#define GROW_BYTES ((uint64_t)16 << 40)

enum {
    /* Pages that UNMAP and WRITE_ZEROES handle before others get their turn. */
    STEP_PAGES = 2048,
    /* Table entries looked at by one MAP_STATUS. */
    STATUS_ENTRIES = 1 << 18,
};

struct ram_store {
    struct store store;
    struct ram_table table;
    uint8_t *zeroes;  /* not writable */
    bool mem_is_size; /* no limit of its own: it follows the size */
};

struct ram_channel {
    struct store_channel ch;
    struct ram_table *table;
    struct ram_cache cache;
    struct iov_pool iovs;
    struct list slow; /* UNMAP and WRITE_ZEROES that are not through */
    struct loop_work slow_work;
};

/* ---- lending ---- */

/* Iovecs under construction; what lies side by side in memory becomes one. */
struct lending {
    struct iovec *v;
    uint32_t count;
    bool last_is_hole;
};

static inline void lend_page(struct lending *l, uint8_t *p, size_t len)
{
    struct iovec *end = l->v + l->count;
    if (l->count && !l->last_is_hole && (uint8_t *)end[-1].iov_base + end[-1].iov_len == p) {
        end[-1].iov_len += len;
        return;
    }
    *end = (struct iovec){ .iov_base = p, .iov_len = len };
    l->count++;
    l->last_is_hole = false;
}

static void lend_hole(struct lending *l, uint8_t *zeroes, size_t len)
{
    if (l->count && l->last_is_hole) {
        struct iovec *last = &l->v[l->count - 1];
        size_t room = ZERO_BYTES - last->iov_len;
        size_t add = len < room ? len : room;
        last->iov_len += add;
        len -= add;
    }
    while (len) {
        size_t add = len < ZERO_BYTES ? len : ZERO_BYTES;
        l->v[l->count++] = (struct iovec){ .iov_base = zeroes, .iov_len = add };
        l->last_is_hole = true;
        len -= add;
    }
}

/* The part of the store that one leaf covers: [off, off+len). */
static void lend_leaf(struct ram_channel *c, struct lending *l, uint64_t off, size_t len)
{
    struct ram_table *t = c->table;
    uint8_t *zeroes = list_entry(t, struct ram_store, table)->zeroes;
    struct ram_leaf *leaf = ram_leaf_find(t, off >> t->pool.page_shift >> RAM_LEAF_SHIFT);
    if (!leaf) {
        lend_hole(l, zeroes, len);
        return;
    }
    size_t size = (size_t)1 << t->pool.page_shift;
    size_t in = off & (size - 1);
    uint32_t at = (off >> t->pool.page_shift) & (RAM_LEAF_PAGES - 1);
    ram_leaf_lock(leaf);
    for (; len; at++, in = 0) {
        size_t n = size - in < len ? size - in : len;
        uint32_t have = leaf->page[at];
        if (have) {
            t->pool.refs[have - 1]++;
            lend_page(l, ram_page(&t->pool, have - 1) + in, n);
        } else {
            lend_hole(l, zeroes, n);
        }
        len -= n;
    }
    ram_leaf_unlock(leaf);
}

/* Bytes of [off, off+len) that lie in the leaf of off. */
static inline size_t leaf_piece(const struct ram_table *t, uint64_t off, uint64_t len)
{
    uint64_t leaf_bytes = (uint64_t)RAM_LEAF_PAGES << t->pool.page_shift;
    uint64_t left = leaf_bytes - (off & (leaf_bytes - 1));
    return (size_t)(left < len ? left : len);
}

static int lend(struct ram_channel *c, struct bio *bio)
{
    const struct ram_table *t = c->table;
    uint64_t end = bio->off + bio->len;
    uint64_t pages = ((end - 1) >> t->pool.page_shift) - (bio->off >> t->pool.page_shift) + 1;
    struct lending l = { .v = &bio->one };
    if (pages > 1)
        l.v = iov_pool_get(&c->iovs, (size_t)pages);
    if (!l.v)
        return USAN_ENOMEM;
    size_t piece;
    for (uint64_t off = bio->off; off < end; off += piece) {
        piece = leaf_piece(t, off, end - off);
        lend_leaf(c, &l, off, piece);
    }
    bio->iovcnt = (int)l.count;
    bio->iov = l.v;
    if (l.count == 1 && l.v != &bio->one) {
        bio->one = *l.v;
        bio->iov = &bio->one;
        iov_pool_put(&c->iovs, l.v);
    }
    bio->lent = c;
    return 0;
}

static void ram_lend_end(struct store_channel *ch, struct bio *bio)
{
    struct ram_channel *c = list_entry(ch, struct ram_channel, ch);
    struct ram_table *t = c->table;
    uint64_t off = bio->off;
    for (int i = 0; i < bio->iovcnt; i++) {
        uint8_t *p = bio->iov[i].iov_base;
        size_t left = bio->iov[i].iov_len;
        if (!ram_in_pool(&t->pool, p)) {
            off += left;
            continue;
        }
        uint32_t page = ram_page_of(&t->pool, p);
        while (left) {
            size_t n = leaf_piece(t, off, left);
            uint64_t pages = ((off + n - 1) >> t->pool.page_shift) - (off >> t->pool.page_shift);
            struct ram_leaf *leaf = ram_leaf_find(t, off >> t->pool.page_shift >> RAM_LEAF_SHIFT);
            struct ram_dead dead;
            dead.count = 0;
            ram_leaf_lock(leaf);
            for (uint64_t k = 0; k <= pages; k++)
                ram_unref(t, page++, &dead);
            ram_leaf_unlock(leaf);
            ram_bury(&c->cache, &dead);
            off += n;
            left -= n;
        }
    }
    if (bio->iovcnt > 1)
        iov_pool_put(&c->iovs, bio->iov);
}

/* ---- granting ---- */

static void free_pages(struct ram_channel *c, const struct iovec *v, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t page = ram_page_of(&c->table->pool, v[i].iov_base);
        for (size_t n = v[i].iov_len >> c->table->pool.page_shift; n; n--)
            ram_cache_put(&c->cache, page++);
    }
}

/* Only for whole pages: the rest of a page would have to be copied in. */
static int ram_write_grant(struct store_channel *ch, struct bio *bio)
{
    struct ram_channel *c = list_entry(ch, struct ram_channel, ch);
    const struct ram_pool *pool = &c->table->pool;
    if ((bio->off | bio->len) & (((uint64_t)1 << pool->page_shift) - 1))
        return USAN_ENOTSUP;
    uint64_t pages = bio->len >> pool->page_shift;
    if (pages > pool->page_max)
        return USAN_ENOMEM;
    struct iovec *v = &bio->one;
    if (pages > 1)
        v = iov_pool_get(&c->iovs, (size_t)pages);
    if (!v)
        return USAN_ENOMEM;
    struct lending l = { .v = v };
    bool one_run = pages > 1;
    for (uint32_t left = (uint32_t)pages; left;) {
        struct ram_run run = { 0, 1 };
        if (one_run)
            run = ram_cache_take_run(&c->cache, left);
        else if (!ram_cache_take(&c->cache, &run.first))
            run.count = 0;
        one_run = false; /* there is none: one page after the other, neighbours still meet */
        if (!run.count) {
            free_pages(c, v, (int)l.count);
            if (v != &bio->one)
                iov_pool_put(&c->iovs, v);
            return USAN_ENOMEM;
        }
        lend_page(&l, ram_page(pool, run.first), (size_t)run.count << pool->page_shift);
        left -= run.count;
    }
    bio->iov = v;
    bio->iovcnt = (int)l.count;
    if (l.count == 1 && v != &bio->one) {
        bio->one = *v;
        bio->iov = &bio->one;
        iov_pool_put(&c->iovs, v);
    }
    bio->lent = c;
    return 0;
}

static void ram_write_revoke(struct store_channel *ch, struct bio *bio)
{
    struct ram_channel *c = list_entry(ch, struct ram_channel, ch);
    free_pages(c, bio->iov, bio->iovcnt);
    if (bio->iovcnt > 1)
        iov_pool_put(&c->iovs, bio->iov);
}

/* The granted pages of one leaf take their places. */
static int swap_leaf(struct ram_channel *c, uint64_t page, uint32_t count, uint32_t first)
{
    struct ram_table *t = c->table;
    struct ram_leaf *leaf = ram_leaf_make(t, page >> RAM_LEAF_SHIFT);
    if (!leaf)
        return USAN_ENOMEM;
    uint32_t at = page & (RAM_LEAF_PAGES - 1);
    struct ram_dead dead;
    dead.count = 0;
    uint32_t holes = 0;
    ram_leaf_lock(leaf);
    for (uint32_t i = 0; i < count; i++)
        holes += leaf->page[at + i] == 0;
    if (holes && !ram_table_reserve(t, holes)) {
        ram_leaf_unlock(leaf);
        return USAN_ENOSPC;
    }
    for (uint32_t i = 0; i < count; i++)
        ram_swap_in(t, leaf, at + i, first + i, &dead);
    ram_leaf_unlock(leaf);
    ram_bury(&c->cache, &dead);
    return 0;
}

static int write_granted(struct ram_channel *c, struct bio *bio)
{
    struct ram_table *t = c->table;
    unsigned shift = t->pool.page_shift;
    uint64_t page = bio->off >> shift;
    int err = 0;
    for (int i = 0; i < bio->iovcnt; i++) {
        uint32_t first = ram_page_of(&t->pool, bio->iov[i].iov_base);
        uint32_t left = (uint32_t)(bio->iov[i].iov_len >> shift);
        while (left && !err) {
            uint32_t n = RAM_LEAF_PAGES - (uint32_t)(page & (RAM_LEAF_PAGES - 1));
            if (n > left)
                n = left;
            err = swap_leaf(c, page, n, first);
            if (err)
                break;
            page += n;
            first += n;
            left -= n;
        }
        for (; left; left--)
            ram_cache_put(&c->cache, first++);
    }
    if (bio->iovcnt > 1)
        iov_pool_put(&c->iovs, bio->iov);
    bio->lent = NULL;
    return err;
}

/* ---- copying ---- */

static int copy(struct ram_channel *c, struct bio *bio)
{
    struct ram_table *t = c->table;
    size_t size = (size_t)1 << t->pool.page_shift;
    struct iov_cur cur = { .v = bio->iov };
    uint64_t off = bio->off, end = bio->off + bio->len;
    int err = 0;
    while (off < end && !err) {
        size_t in = off & (size - 1);
        size_t n = size - in < end - off ? size - in : (size_t)(end - off);
        uint64_t page = off >> t->pool.page_shift;
        if (bio->op == BIO_READ)
            ram_page_read(t, page, in, n, &cur);
        else
            err = ram_page_write(t, &c->cache, page, in, n, &cur);
        off += n;
    }
    return err;
}

/* ---- UNMAP and WRITE_ZEROES: in steps ---- */

static uint64_t slow_pos(const struct bio *bio)
{
    return (uint64_t)(uintptr_t)bio->store_priv[0];
}

/* Returns whether it is finished, with the result in *ret_err. */
static bool slow_step(struct ram_channel *c, struct bio *bio, int *ret_err)
{
    struct ram_table *t = c->table;
    uint64_t size = (uint64_t)1 << t->pool.page_shift;
    bool unmap = bio->op == BIO_UNMAP || bio->flags & BIO_F_MAY_UNMAP;
    uint64_t off = bio->off + slow_pos(bio), end = bio->off + bio->len;
    uint64_t budget = STEP_PAGES;
    *ret_err = 0;
    while (off < end && budget && !*ret_err) {
        uint64_t in = off & (size - 1), page = off >> t->pool.page_shift;
        if (unmap && !in && end - off >= size) {
            uint64_t n = (end - off) >> t->pool.page_shift;
            n = ram_pages_free(t, &c->cache, page, n, &budget);
            off += n << t->pool.page_shift;
            continue;
        }
        size_t n = (size_t)(size - in < end - off ? size - in : end - off);
        *ret_err = ram_page_zero(t, &c->cache, page, (size_t)in, n, unmap);
        off += n;
        budget--;
    }
    bio->store_priv[0] = (void *)(uintptr_t)(off - bio->off);
    return off >= end || *ret_err;
}

static void slow_run(struct loop_work *w)
{
    struct ram_channel *c = list_entry(w, struct ram_channel, slow_work);
    struct bio *bio = list_entry(list_pop_front(&c->slow), struct bio, node);
    int err;
    if (slow_step(c, bio, &err))
        store_complete(&c->ch, bio, err);
    else
        list_push_back(&c->slow, &bio->node);
    if (!list_empty(&c->slow))
        loop_work_queue(c->ch.loop, &c->slow_work);
}

static void slow_start(struct ram_channel *c, struct bio *bio)
{
    int err;
    bio->store_priv[0] = NULL;
    if (slow_step(c, bio, &err)) {
        store_complete(&c->ch, bio, err);
        return;
    }
    list_push_back(&c->slow, &bio->node);
    loop_work_queue(c->ch.loop, &c->slow_work);
}

/* ---- the rest ---- */

static void map_status(struct ram_channel *c, struct bio *bio)
{
    struct ram_table *t = c->table;
    unsigned shift = t->pool.page_shift;
    uint64_t first = bio->off >> shift, last = (bio->off + bio->len - 1) >> shift;
    uint64_t n = ram_pages_alike(t, first, last - first + 1, STATUS_ENTRIES, &bio->mapped);
    uint64_t run = ((first + n) << shift) - bio->off;
    bio->run_len = run < bio->len ? run : bio->len;
}

static void ram_submit(struct store_channel *ch, struct bio *bio)
{
    struct ram_channel *c = list_entry(ch, struct ram_channel, ch);
    int err = 0;
    switch (bio->op) {
    case BIO_READ:
        err = bio->iovcnt ? copy(c, bio) : lend(c, bio);
        break;
    case BIO_WRITE:
        err = bio->lent ? write_granted(c, bio) : copy(c, bio);
        break;
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
        slow_start(c, bio);
        return;
    case BIO_MAP_STATUS:
        map_status(c, bio);
        break;
    case BIO_FLUSH:
        break;
    case BIO_COMPARE_AND_WRITE:
    case BIO_OP_COUNT:
    default:
        err = USAN_ENOTSUP;
        break;
    }
    store_complete(ch, bio, err);
}

static int ram_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    (void)loop;
    struct ram_store *r = list_entry(s, struct ram_store, store);
    struct ram_channel *c = calloc(1, sizeof *c);
    if (!c)
        return USAN_ENOMEM;
    if (iov_pool_init(&c->iovs)) {
        free(c);
        return USAN_ENOMEM;
    }
    c->table = &r->table;
    ram_cache_init(&c->cache, &r->table.pool);
    list_init(&c->slow);
    loop_work_init(&c->slow_work, slow_run);
    *ret_ch = &c->ch;
    return 0;
}

static void ram_channel_close(struct store_channel *ch)
{
    struct ram_channel *c = list_entry(ch, struct ram_channel, ch);
    assert(list_empty(&c->slow));
    loop_work_cancel(&c->slow_work);
    ram_cache_fini(&c->cache);
    iov_pool_fini(&c->iovs);
    free(c);
}

static const struct store_opt_desc ram_opts[] = {
    { "page", "size", "4K", "unit of allocation: a power of two from 4K to 1M" },
    { "mem", "size", "", "most memory that data may take; default: the size of the store" },
    { "huge", "bool", "yes", "ask the kernel for huge pages" },
    { .key = NULL },
};

/* Twice what may be mapped, as lent pages and payloads under construction come on top, but not
 * more than the machine could ever hold. These are addresses, not memory. */
static uint64_t pool_bytes(uint64_t mem)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : GROW_BYTES;
    if (mem > machine)
        mem = machine;
    return 2 * mem + ((uint64_t)1 << 30);
}

static uint64_t pages_of(uint64_t bytes, unsigned shift)
{
    return (bytes >> shift) + ((bytes & (((uint64_t)1 << shift) - 1)) != 0);
}

static int ram_check(const struct store_open *how, struct err_text *e)
{
    uint64_t size, page = opt_size(&ram_ops, how, "page");
    int err = opt_target_size(how->target, &size, e);
    if (err)
        return err;
    if (page < 1u << RAM_PAGE_SHIFT_MIN || page > 1u << RAM_PAGE_SHIFT_MAX || page & (page - 1))
        return err_set(e, USAN_EINVAL, "option 'page': not a power of two from 4K to 1M");
    return 0;
}

static int ram_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    uint64_t size, page = opt_size(&ram_ops, how, "page"), mem = opt_size(&ram_ops, how, "mem");
    int err = opt_target_size(how->target, &size, e);
    if (err)
        return err;
    unsigned shift = (unsigned)__builtin_ctzll(page);
    uint64_t max = mem ? mem : size;
    uint64_t table = size > GROW_BYTES ? size : GROW_BYTES;
    struct ram_store *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    r->zeroes = mmap(NULL, ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->zeroes == MAP_FAILED ||
        ram_table_init(&r->table, pages_of(table, shift + RAM_LEAF_SHIFT), pages_of(max, shift),
                       pages_of(pool_bytes(max), shift), shift, opt_bool(&ram_ops, how, "huge"))) {
        if (r->zeroes != MAP_FAILED)
            (void)munmap(r->zeroes, ZERO_BYTES);
        free(r);
        return err_set(e, USAN_ENOMEM, "no addresses left for a store of %s", how->target);
    }
    r->mem_is_size = !mem;
    r->store.info = (struct store_info){
        .size_bytes = size,
        .block_bytes = BLOCK_BYTES,
        .phys_block_bytes = (uint32_t)page,
        .unmap_gran_bytes = (uint32_t)page,
        .unmap_zeroes = true,
        .read_only = how->read_only,
        .can_map_status = true,
        .can_write_zeroes = true,
        .can_fua = true,
        .can_lend = true,
        .can_grant = true,
    };
    *ret_store = &r->store;
    return 0;
}

static void ram_close(struct store *s)
{
    struct ram_store *r = list_entry(s, struct ram_store, store);
    ram_table_fini(&r->table);
    (void)munmap(r->zeroes, ZERO_BYTES);
    free(r);
}

/* What lies behind the new end is freed, so that it reads as zeroes if the store grows again. */
static void cut_off(struct ram_store *r, uint64_t size_bytes, uint64_t old_bytes)
{
    unsigned shift = r->table.pool.page_shift;
    size_t in = size_bytes & (((uint64_t)1 << shift) - 1);
    uint64_t end = pages_of(old_bytes, shift);
    struct ram_cache cache;
    ram_cache_init(&cache, &r->table.pool);
    if (in)
        (void)ram_page_zero(&r->table, &cache, size_bytes >> shift, in, ((size_t)1 << shift) - in,
                            true);
    uint64_t budget = UINT64_MAX;
    for (uint64_t page = pages_of(size_bytes, shift); page < end;)
        page += ram_pages_free(&r->table, &cache, page, end - page, &budget);
    ram_cache_fini(&cache);
}

static int ram_resize(struct store *s, uint64_t size_bytes, struct err_text *e)
{
    struct ram_store *r = list_entry(s, struct ram_store, store);
    unsigned shift = r->table.pool.page_shift;
    uint64_t old = s->info.size_bytes;
    if (pages_of(size_bytes, shift + RAM_LEAF_SHIFT) > r->table.leaf_max)
        return err_set(e, USAN_ERANGE, "cannot grow beyond %llu bytes while open",
                       (unsigned long long)r->table.leaf_max << (shift + RAM_LEAF_SHIFT));
    __atomic_store_n(&s->info.size_bytes, size_bytes, __ATOMIC_RELAXED);
    if (r->mem_is_size)
        __atomic_store_n(&r->table.mapped_max, pages_of(size_bytes, shift), __ATOMIC_RELAXED);
    if (size_bytes < old)
        cut_off(r, size_bytes, old);
    return 0;
}

static void ram_space(struct store *s, struct store_space *ret_space)
{
    struct ram_store *r = list_entry(s, struct ram_store, store);
    uint64_t used = __atomic_load_n(&r->table.mapped, __ATOMIC_RELAXED);
    uint64_t max = __atomic_load_n(&r->table.mapped_max, __ATOMIC_RELAXED);
    *ret_space = (struct store_space){ .used_bytes = used << r->table.pool.page_shift,
                                       .avail_bytes = (max > used ? max - used : 0)
                                                      << r->table.pool.page_shift };
}

static void ram_stats(struct store *s, FILE *out)
{
    struct ram_store *r = list_entry(s, struct ram_store, store);
    struct ram_pool *pool = &r->table.pool;
    (void)pthread_mutex_lock(&pool->lock);
    uint64_t idle = pool->free_pages;
    uint32_t slabs = pool->slab_ready;
    (void)pthread_mutex_unlock(&pool->lock);
    fprintf(out, "ram.mapped_bytes %llu\n",
            (unsigned long long)__atomic_load_n(&r->table.mapped, __ATOMIC_RELAXED)
                << pool->page_shift);
    fprintf(out, "ram.pool_bytes %llu\n", (unsigned long long)slabs << RAM_SLAB_SHIFT);
    fprintf(out, "ram.pool_free_bytes %llu\n", (unsigned long long)idle << pool->page_shift);
}

const struct store_ops ram_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "ram",
    .help = "memory, taken as it is written to; the target is the size",
    .opts = ram_opts,
    .check = ram_check,
    .open = ram_open,
    .close = ram_close,
    .channel_open = ram_channel_open,
    .channel_close = ram_channel_close,
    .submit = ram_submit,
    .lend_end = ram_lend_end,
    .write_grant = ram_write_grant,
    .write_revoke = ram_write_revoke,
    .resize = ram_resize,
    .space = ram_space,
    .stats = ram_stats,
};
