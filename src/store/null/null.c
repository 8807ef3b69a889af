/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads give zeroes, writes go nowhere: what is left is the cost of everything above the store. */
#include "store/iov.h"
#include "store/opt.h"
#include "store/registry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* One piece of the zeroes lent and of the scratch memory granted; longer requests repeat it. */
#define AREA_BYTES ((size_t)1 << 20)

struct null_store {
    struct store store;
    uint8_t *zeroes; /* not writable */
};

struct null_channel {
    struct store_channel ch;
    struct iov_pool iovs;
    uint8_t *scratch; /* payloads are built here, all over each other */
};

static const struct store_opt_desc null_opts[] = { { .key = NULL } };

static int null_check(const struct store_open *how, struct err_text *e)
{
    uint64_t size;
    return opt_target_size(how->target, &size, e);
}

static int null_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    uint64_t size;
    int err = opt_target_size(how->target, &size, e);
    if (err)
        return err;
    struct null_store *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    n->zeroes = mmap(NULL, AREA_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (n->zeroes == MAP_FAILED) {
        free(n);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    n->store.info = (struct store_info){
        .size_bytes = size,
        .block_bytes = 512,
        .phys_block_bytes = 4096,
        .unmap_gran_bytes = 512,
        .unmap_zeroes = true,
        .read_only = how->read_only,
        .can_map_status = true,
        .can_write_zeroes = true,
        .can_fua = true,
        .can_lend = true,
        .can_grant = true,
    };
    *ret_store = &n->store;
    return 0;
}

static void null_close(struct store *s)
{
    struct null_store *n = list_entry(s, struct null_store, store);
    (void)munmap(n->zeroes, AREA_BYTES);
    free(n);
}

static int null_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    (void)s;
    (void)loop;
    struct null_channel *c = calloc(1, sizeof *c);
    if (!c)
        return USAN_ENOMEM;
    c->scratch = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->scratch == MAP_FAILED || iov_pool_init(&c->iovs)) {
        if (c->scratch != MAP_FAILED)
            (void)munmap(c->scratch, AREA_BYTES);
        free(c);
        return USAN_ENOMEM;
    }
    *ret_ch = &c->ch;
    return 0;
}

static void null_channel_close(struct store_channel *ch)
{
    struct null_channel *c = list_entry(ch, struct null_channel, ch);
    iov_pool_fini(&c->iovs);
    (void)munmap(c->scratch, AREA_BYTES);
    free(c);
}

/* Describe bio->len bytes as repetitions of one area; bio->lent is the array or the bio's own. */
static int repeat(struct null_channel *c, struct bio *bio, uint8_t *area)
{
    size_t n = (size_t)((bio->len + AREA_BYTES - 1) / AREA_BYTES);
    struct iovec *v = n <= 1 ? &bio->one : iov_pool_get(&c->iovs, n);
    if (!v)
        return USAN_ENOMEM;
    for (size_t i = 0; i < n; i++)
        v[i] = (struct iovec){ .iov_base = area, .iov_len = AREA_BYTES };
    v[n - 1].iov_len = (size_t)(bio->len - (n - 1) * (uint64_t)AREA_BYTES);
    bio->iov = v;
    bio->iovcnt = (int)n;
    bio->lent = area;
    return 0;
}

static void give_back(struct store_channel *ch, struct bio *bio)
{
    struct null_channel *c = list_entry(ch, struct null_channel, ch);
    if (bio->iovcnt > 1)
        iov_pool_put(&c->iovs, bio->iov);
}

static void null_submit(struct store_channel *ch, struct bio *bio)
{
    struct null_channel *c = list_entry(ch, struct null_channel, ch);
    const struct null_store *n = list_entry(ch->store, struct null_store, store);
    int err = 0;
    switch (bio->op) {
    case BIO_READ:
        if (bio->iovcnt == 0) {
            err = repeat(c, bio, n->zeroes);
        } else {
            struct iov_cur cur = { .v = bio->iov };
            iov_cur_zero(&cur, (size_t)bio->len);
        }
        break;
    case BIO_WRITE:
        if (bio->lent) {
            give_back(ch, bio);
            bio->lent = NULL;
        }
        break;
    case BIO_MAP_STATUS:
        bio->mapped = false;
        bio->run_len = bio->len;
        break;
    case BIO_FLUSH:
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
        break;
    case BIO_COMPARE_AND_WRITE:
    case BIO_OP_COUNT:
    default:
        err = USAN_ENOTSUP;
        break;
    }
    store_complete(ch, bio, err);
}

static int null_write_grant(struct store_channel *ch, struct bio *bio)
{
    struct null_channel *c = list_entry(ch, struct null_channel, ch);
    return repeat(c, bio, c->scratch);
}

static int null_resize(struct store *s, uint64_t size_bytes, struct err_text *e)
{
    (void)e;
    __atomic_store_n(&s->info.size_bytes, size_bytes, __ATOMIC_RELAXED);
    return 0;
}

static void null_space(struct store *s, struct store_space *ret_space)
{
    *ret_space = (struct store_space){ .used_bytes = 0, .avail_bytes = s->info.size_bytes };
}

const struct store_ops null_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "null",
    .help = "reads give zeroes, writes are dropped; the target is the size",
    .opts = null_opts,
    .check = null_check,
    .open = null_open,
    .close = null_close,
    .channel_open = null_channel_open,
    .channel_close = null_channel_close,
    .submit = null_submit,
    .lend_end = give_back,
    .write_grant = null_write_grant,
    .write_revoke = give_back,
    .resize = null_resize,
    .space = null_space,
};
