/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The wrapper, over a back end that writes down what it is asked: which requests get that far,
 * what is made of them, and when done is called.
 */
#include "fake_loop.h"
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#define SIZE ((uint64_t)8 << 20)

/* The scripted back end. */
struct mock {
    struct store store;
    char log[4096]; /* "WRITE 0+512 FUA; FLUSH 0+0; " */
    int fail_at;    /* this request, counted from 0, fails with fail_err; -1: none */
    int fail_err;
    int count;
    bool keep; /* complete later, with mock_complete */
    struct bio *kept;
    int closed, lends, grants;
};

static struct mock *mock; /* of the running test */

static void mock_close(struct store *s)
{
    list_entry(s, struct mock, store)->closed++;
}

static int mock_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    (void)s;
    (void)loop;
    *ret_ch = calloc(1, sizeof **ret_ch);
    return *ret_ch ? 0 : USAN_ENOMEM;
}

static void mock_channel_close(struct store_channel *ch)
{
    free(ch);
}

static void mock_submit(struct store_channel *ch, struct bio *bio)
{
    static const char *const names[] = { "READ", "WRITE", "FLUSH", "UNMAP", "ZERO", "CAW", "MAP" };
    struct mock *m = list_entry(ch->store, struct mock, store);
    size_t len = strlen(m->log);
    (void)snprintf(m->log + len, sizeof m->log - len, "%s %llu+%llu%s%s%s; ", names[bio->op],
                   (unsigned long long)bio->off, (unsigned long long)bio->len,
                   bio->flags & BIO_F_FUA ? " FUA" : "", bio->flags & BIO_F_MAY_UNMAP ? " U" : "",
                   bio->lent ? " granted" : "");
    if (bio->op == BIO_WRITE && !bio->lent && bio->iov->iov_base == NULL)
        fail_msg("a write without memory");
    if (bio->op == BIO_WRITE && bio->lent) {
        m->grants--;
        bio->lent = NULL;
    }
    if (bio->op == BIO_READ && !bio->iovcnt) {
        bio->one = (struct iovec){ .iov_base = m, .iov_len = (size_t)bio->len };
        bio->iov = &bio->one;
        bio->iovcnt = 1;
        bio->lent = m;
        m->lends++;
    }
    bool fails = m->count++ == m->fail_at;
    if (m->keep)
        m->kept = bio;
    else
        store_complete(ch, bio, fails ? m->fail_err : 0);
}

static void mock_lend_end(struct store_channel *ch, struct bio *bio)
{
    (void)bio;
    list_entry(ch->store, struct mock, store)->lends--;
}

static int mock_write_grant(struct store_channel *ch, struct bio *bio)
{
    static uint8_t memory[65536];
    struct mock *m = list_entry(ch->store, struct mock, store);
    if (bio->len > sizeof memory)
        return USAN_ENOMEM;
    bio->one = (struct iovec){ .iov_base = memory, .iov_len = (size_t)bio->len };
    bio->iov = &bio->one;
    bio->iovcnt = 1;
    bio->lent = m;
    m->grants++;
    return 0;
}

static void mock_write_revoke(struct store_channel *ch, struct bio *bio)
{
    (void)bio;
    list_entry(ch->store, struct mock, store)->grants--;
}

static const struct store_opt_desc no_opts[] = { { .key = NULL } };

static int mock_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    (void)e;
    mock->store.info.read_only = how->read_only;
    *ret_store = &mock->store;
    return 0;
}

static const struct store_ops mock_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "mock",
    .help = "-",
    .opts = no_opts,
    .open = mock_open,
    .close = mock_close,
    .channel_open = mock_channel_open,
    .channel_close = mock_channel_close,
    .submit = mock_submit,
    .lend_end = mock_lend_end,
    .write_grant = mock_write_grant,
    .write_revoke = mock_write_revoke,
};

struct fixture {
    struct mock mock;
    struct rig rig;
};

/* A back end that can do everything but compare and write, without a cache. */
static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    const struct store_open how = { .target = "" };
    struct store *s;
    mock = &f->mock;
    mock->fail_at = -1;
    mock->store.info = (struct store_info){
        .size_bytes = SIZE,
        .block_bytes = 4096,
        .phys_block_bytes = 4096,
        .unmap_gran_bytes = 4096,
        .unmap_zeroes = true,
        .can_map_status = true,
        .can_write_zeroes = true,
        .can_fua = true,
        .can_lend = true,
        .can_grant = true,
    };
    assert_int_equal(store_open_one(&mock_ops, &how, &s, NULL), 0);
    rig_open_on(&f->rig, s, LOOP_ENGINE_AUTO);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rig_close(&f->rig);
    assert_int_equal(f->mock.closed, 1);
    assert_int_equal(f->mock.lends, 0);
    assert_int_equal(f->mock.grants, 0);
    test_free(f);
    return 0;
}

static uint8_t data[1 << 16];

static void ranges(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t off, len;
        int err;
    } t[] = {
        { 0, 4096, 0 },
        { SIZE - 4096, 4096, 0 },
        { SIZE, 0, 0 },
        { SIZE, 4096, USAN_ERANGE },
        { SIZE - 4096, 8192, USAN_ERANGE },
        { UINT64_MAX - 4095, 4096, USAN_ERANGE },
        { UINT64_MAX - 4095, 8192, USAN_ERANGE },
        { 512, 4096, USAN_EINVAL },
        { 0, 512, USAN_EINVAL },
    };
    static const enum bio_op ops[] = { BIO_READ, BIO_WRITE, BIO_UNMAP, BIO_WRITE_ZEROES,
                                       BIO_MAP_STATUS };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            struct io io = { .bio = { .op = ops[k], .off = t[i].off, .len = t[i].len } };
            io.iov = (struct iovec){ .iov_base = data, .iov_len = (size_t)t[i].len };
            io.bio.iov = &io.iov;
            io.bio.iovcnt = ops[k] <= BIO_WRITE;
            f->mock.log[0] = '\0';
            /* Nothing is done for no bytes; but they have no status either. */
            int want = ops[k] == BIO_MAP_STATUS && !t[i].len ? USAN_EINVAL : t[i].err;
            assert_int_equal(rig_do(&f->rig, &io), want);
            assert_int_equal(f->mock.log[0] != '\0', !want && t[i].len);
        }
    }
}

static void capabilities(void **state)
{
    struct fixture *f = *state;
    struct store_info *info = &f->mock.store.info;
    info->unmap_gran_bytes = 0;
    assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 0, 4096, 0), USAN_ENOTSUP);
    struct io io = { .bio = { .op = BIO_COMPARE_AND_WRITE, .len = 4096, .iovcnt = 1 },
                     .iov = { .iov_base = data, .iov_len = 8192 } };
    io.bio.iov = &io.iov;
    assert_int_equal(rig_do(&f->rig, &io), USAN_ENOTSUP);
    info->can_map_status = false;
    bool mapped = false;
    uint64_t run = 0;
    assert_int_equal(rig_status(&f->rig, 8192, 12288, &mapped, &run), 0);
    assert_true(mapped);
    assert_int_equal(run, 12288);
    info->can_lend = false;
    struct io lend = { .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .len = 4096 } };
    assert_int_equal(rig_do(&f->rig, &lend), USAN_ENOTSUP);
    store_lend_end(f->rig.ch, &lend.bio); /* allowed, does nothing */
    info->max_io_bytes = 8192;
    assert_int_equal(rig_read(&f->rig, 0, data, 12288), USAN_EINVAL);
    assert_int_equal(rig_read(&f->rig, 0, data, 8192), 0);
    assert_string_equal(f->mock.log, "READ 0+8192; ");
    info->can_compare_and_write = true;
    assert_int_equal(rig_do(&f->rig, &io), 0);
    assert_string_equal(f->mock.log, "READ 0+8192; CAW 0+4096; ");
}

static void read_only(void **state)
{
    struct fixture *f = *state;
    struct io io = { .bio = { .op = BIO_WRITE, .len = 4096 } };
    f->mock.store.info.read_only = true;
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, 0), USAN_ERDONLY);
    assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 0, 4096, 0), USAN_ERDONLY);
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 4096, 0), USAN_ERDONLY);
    assert_int_equal(store_write_grant(f->rig.ch, &io.bio), USAN_ENOTSUP);
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    assert_int_equal(rig_read(&f->rig, 0, data, 4096), 0);
    assert_string_equal(f->mock.log, "READ 0+4096; ");
    struct err_text e;
    assert_int_equal(store_resize(f->rig.store, SIZE * 2, &e), USAN_ERDONLY);
    assert_string_equal(e.text, "mock: is read-only");
}

/* Without a cache a flush has nothing to do and FUA means nothing. */
static void no_cache(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 4096, BIO_F_FUA), 0);
    assert_string_equal(f->mock.log, "WRITE 0+4096 FUA; ZERO 0+4096; ");
}

static void fua_native(void **state)
{
    struct fixture *f = *state;
    f->mock.store.info.volatile_cache = true;
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 0, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 4096, BIO_F_FUA | BIO_F_MAY_UNMAP), 0);
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    assert_string_equal(f->mock.log, "WRITE 0+4096 FUA; UNMAP 0+4096 FUA; ZERO 0+4096 FUA U; "
                                     "FLUSH 0+0; ");
}

static void fua_by_flush(void **state)
{
    struct fixture *f = *state;
    f->mock.store.info.volatile_cache = true;
    f->mock.store.info.can_fua = false;
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 4096, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 8192, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, 0), 0);
    assert_string_equal(f->mock.log, "WRITE 0+4096; FLUSH 0+0; UNMAP 4096+4096; FLUSH 0+0; "
                                     "ZERO 8192+4096; FLUSH 0+0; WRITE 0+4096; ");
    /* the write fails: no flush; the flush fails: nor does the write succeed */
    f->mock.log[0] = '\0';
    f->mock.fail_at = f->mock.count;
    f->mock.fail_err = USAN_ENOSPC;
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, BIO_F_FUA), USAN_ENOSPC);
    f->mock.fail_at = f->mock.count + 1;
    f->mock.fail_err = USAN_EIO;
    assert_int_equal(rig_write(&f->rig, 0, data, 4096, BIO_F_FUA), USAN_EIO);
    assert_string_equal(f->mock.log, "WRITE 0+4096; WRITE 0+4096; FLUSH 0+0; ");
}

static void zeroes_by_writes(void **state)
{
    struct fixture *f = *state;
    f->mock.store.info.can_write_zeroes = false;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 4096, (2 << 20) + 8192, 0), 0);
    assert_string_equal(f->mock.log,
                        "WRITE 4096+1048576; WRITE 1052672+1048576; WRITE 2101248+8192; ");
    f->mock.log[0] = '\0';
    f->mock.store.info.max_io_bytes = 65536;
    f->mock.store.info.volatile_cache = true;
    f->mock.store.info.can_fua = false;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 131072, BIO_F_FUA), 0);
    assert_string_equal(f->mock.log, "WRITE 0+65536; WRITE 65536+65536; FLUSH 0+0; ");
    f->mock.log[0] = '\0';
    f->mock.store.info.can_fua = true;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 65536, BIO_F_FUA), 0);
    assert_string_equal(f->mock.log, "WRITE 0+65536 FUA; ");
    f->mock.log[0] = '\0';
    f->mock.fail_at = f->mock.count + 1;
    f->mock.fail_err = USAN_ENOSPC;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 65536 * 3, 0), USAN_ENOSPC);
    assert_string_equal(f->mock.log, "WRITE 0+65536; WRITE 65536+65536; ");
}

/* A back end may find out that it cannot only when it tries. */
static void zeroes_after_refusal(void **state)
{
    struct fixture *f = *state;
    f->mock.fail_at = 0;
    f->mock.fail_err = USAN_ENOTSUP;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 8192, BIO_F_MAY_UNMAP), 0);
    assert_string_equal(f->mock.log, "ZERO 0+8192 U; WRITE 0+8192; ");
    f->mock.fail_at = f->mock.count;
    f->mock.fail_err = USAN_EIO;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 8192, 0), USAN_EIO);
}

/* One who wants zeroes only if they are fast is refused instead, and nothing is written. */
static void zeroes_if_fast(void **state)
{
    struct fixture *f = *state;
    const uint32_t flags = BIO_F_FAST_ZERO | BIO_F_MAY_UNMAP;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 8192, flags), 0);
    assert_string_equal(f->mock.log, "ZERO 0+8192 U; ");
    f->mock.log[0] = '\0';
    f->mock.fail_at = f->mock.count;
    f->mock.fail_err = USAN_ENOTSUP;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 8192, flags), USAN_ENOTSUP);
    assert_string_equal(f->mock.log, "ZERO 0+8192 U; ");
    f->mock.log[0] = '\0';
    f->mock.store.info.can_write_zeroes = false;
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 0, 8192, BIO_F_FAST_ZERO), USAN_ENOTSUP);
    assert_string_equal(f->mock.log, "");
}

static void grant(struct fixture *f, struct io *io, uint64_t len)
{
    *io = (struct io){ .bio = { .op = BIO_WRITE, .len = len } };
    assert_int_equal(store_write_grant(f->rig.ch, &io->bio), 0);
    assert_int_equal(f->mock.grants, 1);
}

static void grants_are_consumed(void **state)
{
    struct fixture *f = *state;
    struct io io;
    grant(f, &io, 4096);
    assert_int_equal(rig_do(&f->rig, &io), 0);
    assert_int_equal(f->mock.grants, 0);
    assert_null(io.bio.lent);
    assert_string_equal(f->mock.log, "WRITE 0+4096 granted; ");

    grant(f, &io, 4096);
    store_write_revoke(f->rig.ch, &io.bio);
    assert_int_equal(f->mock.grants, 0);
    store_write_revoke(f->rig.ch, &io.bio); /* allowed, does nothing */
    assert_int_equal(f->mock.grants, 0);

    /* refused before the back end sees it */
    grant(f, &io, 4096);
    f->mock.store.info.read_only = true;
    assert_int_equal(rig_do(&f->rig, &io), USAN_ERDONLY);
    assert_int_equal(f->mock.grants, 0);
    f->mock.store.info.read_only = false;

    /* through the emulation of FUA, with the iovec that stands in the bio */
    f->mock.store.info.volatile_cache = true;
    f->mock.store.info.can_fua = false;
    f->mock.log[0] = '\0';
    grant(f, &io, 4096);
    io.bio.flags = BIO_F_FUA;
    assert_int_equal(rig_do(&f->rig, &io), 0);
    assert_string_equal(f->mock.log, "WRITE 0+4096 granted; FLUSH 0+0; ");
    assert_null(io.bio.lent);

    struct io other = { .bio = { .op = BIO_WRITE, .off = SIZE, .len = 4096 } };
    assert_int_equal(store_write_grant(f->rig.ch, &other.bio), USAN_ENOTSUP);
    other.bio = (struct bio){ .op = BIO_WRITE, .off = 512, .len = 4096 };
    assert_int_equal(store_write_grant(f->rig.ch, &other.bio), USAN_ENOTSUP);
    other.bio = (struct bio){ .op = BIO_WRITE, .off = 0, .len = 0 };
    assert_int_equal(store_write_grant(f->rig.ch, &other.bio), USAN_ENOTSUP);
}

static void lends_end(void **state)
{
    struct fixture *f = *state;
    struct io io = { .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .len = 8192 } };
    assert_int_equal(rig_do(&f->rig, &io), 0);
    assert_ptr_equal(io.bio.iov->iov_base, &f->mock);
    assert_int_equal(f->mock.lends, 1);
    store_lend_end(f->rig.ch, &io.bio);
    store_lend_end(f->rig.ch, &io.bio);
    assert_int_equal(f->mock.lends, 0);
}

/* Each done submits the next one; then the last one closes the channel. */
struct chain {
    struct io io[4];
    struct store_channel *ch;
    struct loop *loop;
    int left, depth, deepest;
};
static struct chain chain;

static void chain_done(struct bio *bio)
{
    if (++chain.depth > chain.deepest)
        chain.deepest = chain.depth;
    if (chain.left > 0) {
        chain.left--;
        store_submit(chain.ch, bio);
    } else {
        store_channel_close(chain.ch);
        loop_stop(chain.loop);
    }
    chain.depth--;
}

static void done_may_submit_and_close(void **state)
{
    struct fixture *f = *state;
    chain = (struct chain){ .loop = f->rig.loop, .left = 1000 };
    assert_int_equal(store_channel_open(f->rig.store, f->rig.loop, &chain.ch), 0);
    struct io *io = &chain.io[0];
    *io = (struct io){ .bio = { .op = BIO_FLUSH, .done = chain_done } };
    store_submit(chain.ch, &io->bio);
    assert_int_equal(chain.deepest, 0);
    loop_run(f->rig.loop);
    assert_int_equal(chain.left, 0);
    assert_int_equal(chain.deepest, 1); /* never called from inside submit */
}

/* Completed outside of submit, in another order. */
static void later_and_out_of_order(void **state)
{
    struct fixture *f = *state;
    struct io a = { .bio = { .op = BIO_UNMAP, .len = 4096 } }, b = a;
    f->mock.keep = true;
    rig_submit(&f->rig, &a);
    struct bio *first = f->mock.kept;
    rig_submit(&f->rig, &b);
    struct bio *second = f->mock.kept;
    assert_ptr_not_equal(first, second);
    store_complete(f->rig.ch, second, USAN_EIO);
    store_complete(f->rig.ch, first, 0);
    assert_false(a.done || b.done);
    rig_wait(&f->rig);
    assert_int_equal(a.bio.err, 0);
    assert_int_equal(b.bio.err, USAN_EIO);
}

static void unknown_op(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rig_op(&f->rig, BIO_OP_COUNT, 0, 0, 0), USAN_EINVAL);
    assert_string_equal(f->mock.log, "");
}

static void no_resize_and_plain_space(void **state)
{
    struct fixture *f = *state;
    struct err_text e;
    struct store_space space;
    assert_int_equal(store_resize(f->rig.store, SIZE * 2, &e), USAN_ENOTSUP);
    assert_string_equal(e.text, "mock: cannot be resized");
    assert_int_equal(store_resize(f->rig.store, 4097, &e), USAN_EINVAL);
    assert_string_equal(e.text, "mock: the size has to be a multiple of 4096 bytes");
    store_space(f->rig.store, &space);
    assert_int_equal(space.used_bytes, SIZE);
    assert_true(space.avail_bytes == UINT64_MAX);
}

/* The size of the stores above follows that of the one at the bottom. */
static void resize_below_filters(void **state)
{
    struct rig r;
    struct err_text e = { "" };
    (void)state;
    rig_open(&r, "stats+ratelimit(iops=1000000)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(rig_write(&r, 1 << 20, data, 512, 0), USAN_ERANGE);
    assert_int_equal(store_resize(r.store, 2 << 20, &e), 0);
    assert_int_equal(r.store->info.size_bytes, 2 << 20);
    assert_int_equal(r.store->lower->info.size_bytes, 2 << 20);
    assert_int_equal(r.store->lower->lower->info.size_bytes, 2 << 20);
    assert_int_equal(rig_write(&r, 1 << 20, data, 512, 0), 0);
    assert_int_equal(store_resize(r.store, 1 << 20, &e), 0);
    assert_int_equal(rig_write(&r, 1 << 20, data, 512, 0), USAN_ERANGE);
    assert_int_equal(store_resize(r.store, 1000, &e), USAN_EINVAL);
    struct store_space space;
    store_space(r.store, &space);
    assert_int_equal(space.used_bytes, 0); /* what the write used is cut off */
    assert_int_equal(space.avail_bytes, 1 << 20);
    rig_close(&r);
}

/* The null back end: zeroes, whatever is written. */
static void null_store(void **state)
{
    struct rig r;
    uint8_t *buf = malloc(3 << 20);
    (void)state;
    assert_non_null(buf);
    rig_open(&r, "null:10T", LOOP_ENGINE_AUTO);
    memset(buf, 0xee, 3 << 20);
    assert_int_equal(rig_write(&r, 5ull << 40, buf, 3 << 20, BIO_F_FUA), 0);
    assert_int_equal(rig_read(&r, 5ull << 40, buf, 3 << 20), 0);
    for (size_t i = 0; i < 3 << 20; i++)
        assert_int_equal(buf[i], 0);
    /* lent zeroes, granted scratch memory, in pieces of a megabyte */
    struct io io = { .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .len = (2 << 20) + 512 } };
    assert_int_equal(rig_do(&r, &io), 0);
    assert_int_equal(io.bio.iovcnt, 3);
    assert_int_equal(io.bio.iov[2].iov_len, 512);
    for (size_t i = 0; i < 1 << 20; i++)
        assert_int_equal(((uint8_t *)io.bio.iov[1].iov_base)[i], 0);
    store_lend_end(r.ch, &io.bio);
    io.bio = (struct bio){ .op = BIO_WRITE, .off = 512, .len = (1 << 20) + 512 };
    assert_int_equal(store_write_grant(r.ch, &io.bio), 0);
    assert_int_equal(io.bio.iovcnt, 2);
    memset(io.bio.iov[0].iov_base, 0xee, io.bio.iov[0].iov_len);
    assert_int_equal(rig_do(&r, &io), 0);
    assert_int_equal(rig_read(&r, 0, buf, 1 << 20), 0);
    for (size_t i = 0; i < 1 << 20; i++)
        assert_int_equal(buf[i], 0);
    bool mapped = true;
    uint64_t run = 0;
    assert_int_equal(rig_status(&r, 0, 10ull << 40, &mapped, &run), 0);
    assert_false(mapped);
    assert_true(run == 10ull << 40);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 0, 10ull << 40, 0), 0);
    assert_int_equal(rig_op(&r, BIO_WRITE_ZEROES, 0, 10ull << 40, 0), 0);
    assert_int_equal(store_resize(r.store, 1 << 20, NULL), 0);
    assert_int_equal(rig_read(&r, 1 << 20, buf, 512), USAN_ERANGE);
    rig_close(&r);
    free(buf);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ranges),
        T(capabilities),
        T(read_only),
        T(no_cache),
        T(fua_native),
        T(fua_by_flush),
        T(zeroes_by_writes),
        T(zeroes_after_refusal),
        T(zeroes_if_fast),
        T(grants_are_consumed),
        T(lends_end),
        T(done_may_submit_and_close),
        T(later_and_out_of_order),
        T(unknown_op),
        T(no_resize_and_plain_space),
        cmocka_unit_test(resize_below_filters),
        cmocka_unit_test(null_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
