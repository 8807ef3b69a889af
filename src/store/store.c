/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only caller of the ops. What every back end would otherwise check, emulate or hand back by
 * itself is here once; the requests that nothing has to be done for take the short way through.
 */
#include "store/store.h"

#include "store/opt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Length of the writes that stand for a WRITE_ZEROES. */
#define ZERO_CHUNK_BYTES ((size_t)1 << 20)

/* Never written to: a process that only reads it pays for one page of the kernel's zeroes. */
static uint8_t zeroes[ZERO_CHUNK_BYTES] __attribute__((aligned(4096)));

/*
 * A request that needs more than one call of the back end: `bio` is what the back end sees, `up`
 * what the submitter waits for. Records are kept for the next time when they are done with.
 */
struct store_emu {
    struct bio bio;
    struct bio *up;
    struct store_channel *ch;
    struct store_emu *next;
    uint64_t pos; /* WRITE_ZEROES by writes: bytes done */
    struct iovec iov;
    bool flush_after; /* FUA was asked for and the back end has none */
};

/* ---- completion ---- */

/* A done function may submit (which queues new work) and, as the very last one, close the channel:
 * hence the local list, and no use of ch after the last call. */
static void run_done(struct loop_work *w)
{
    struct store_channel *ch = list_entry(w, struct store_channel, done_work);
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &ch->done);
    while (!list_empty(&batch)) {
        struct bio *bio = list_entry(list_pop_front(&batch), struct bio, node);
        assert(ch->in_flight > 0);
        ch->in_flight--;
        bio->done(bio);
    }
}

void store_complete(struct store_channel *ch, struct bio *bio, int err)
{
    bio->err = err;
    bio->by = NULL;
    if (bio->op == BIO_READ && bio->lent)
        ch->held++;
    if (list_empty(&ch->done))
        loop_work_queue(ch->loop, &ch->done_work);
    list_push_back(&ch->done, &bio->node);
}

/* ---- emulation ---- */

static struct store_emu *emu_get(struct store_channel *ch, struct bio *up)
{
    struct store_emu *emu = ch->spare;
    if (emu)
        ch->spare = emu->next;
    else
        emu = malloc(sizeof *emu);
    if (!emu)
        return NULL;
    *emu = (struct store_emu){ .bio = *up, .up = up, .ch = ch };
    if (up->iov == &up->one)
        emu->bio.iov = &emu->bio.one;
    up->lent = NULL; /* a grant goes with the copy */
    up->by = &emu->bio;
    up->emulated = true;
    return emu;
}

static void emu_finish(struct store_emu *emu, int err)
{
    struct store_channel *ch = emu->ch;
    struct bio *up = emu->up;
    up->err_off = emu->bio.err_off;
    emu->next = ch->spare;
    ch->spare = emu;
    store_complete(ch, up, err);
}

static void emu_start(struct store_emu *emu, void (*done)(struct bio *bio))
{
    emu->bio.done = done;
    emu->bio.err = 0;
    emu->ch->in_flight++;
    emu->ch->ops->submit(emu->ch, &emu->bio);
}

static void flush_done(struct bio *bio)
{
    emu_finish(list_entry(bio, struct store_emu, bio), bio->err);
}

/* The data is in the store; make it durable if that was asked for. */
static void emu_written(struct store_emu *emu)
{
    if (!emu->flush_after) {
        emu_finish(emu, 0);
        return;
    }
    emu->bio = (struct bio){ .op = BIO_FLUSH };
    emu_start(emu, flush_done);
}

static void zero_chunk_done(struct bio *bio);

static void zero_chunk(struct store_emu *emu)
{
    const struct store_info *info = &emu->ch->store->info;
    uint64_t len = emu->up->len - emu->pos;
    if (len > sizeof zeroes)
        len = sizeof zeroes;
    if (info->max_io_bytes && len > info->max_io_bytes)
        len = info->max_io_bytes;
    emu->iov = (struct iovec){ .iov_base = zeroes, .iov_len = (size_t)len };
    emu->bio = (struct bio){ .op = BIO_WRITE,
                             .flags = emu->bio.flags & BIO_F_FUA,
                             .off = emu->up->off + emu->pos,
                             .len = len,
                             .iov = &emu->iov,
                             .iovcnt = 1 };
    emu_start(emu, zero_chunk_done);
}

static void zero_chunk_done(struct bio *bio)
{
    struct store_emu *emu = list_entry(bio, struct store_emu, bio);
    if (bio->err) {
        emu_finish(emu, bio->err);
        return;
    }
    emu->pos += bio->len;
    if (emu->pos < emu->up->len)
        zero_chunk(emu);
    else
        emu_written(emu);
}

static void first_step_done(struct bio *bio)
{
    struct store_emu *emu = list_entry(bio, struct store_emu, bio);
    if (bio->op == BIO_WRITE_ZEROES && bio->err == USAN_ENOTSUP && !(bio->flags & BIO_F_FAST_ZERO))
        zero_chunk(emu);
    else if (bio->err)
        emu_finish(emu, bio->err);
    else
        emu_written(emu);
}

/* WRITE_ZEROES, whose support only shows when it is tried, and FUA without FUA. */
static void emulate(struct store_channel *ch, struct bio *bio)
{
    const struct store_info *info = &ch->store->info;
    if (bio->op == BIO_WRITE_ZEROES && bio->flags & BIO_F_FAST_ZERO && !info->can_write_zeroes) {
        store_complete(ch, bio, USAN_ENOTSUP);
        return;
    }
    struct store_emu *emu = emu_get(ch, bio);
    if (!emu) {
        if (bio->op == BIO_WRITE && bio->lent) {
            ch->ops->write_revoke(ch, bio);
            bio->lent = NULL;
        }
        store_complete(ch, bio, USAN_ENOMEM);
        return;
    }
    emu->flush_after = bio->flags & BIO_F_FUA && info->volatile_cache && !info->can_fua;
    if (emu->flush_after || !info->volatile_cache)
        emu->bio.flags &= ~(uint32_t)BIO_F_FUA;
    if (bio->op == BIO_WRITE_ZEROES && !info->can_write_zeroes)
        zero_chunk(emu);
    else
        emu_start(emu, first_step_done);
}

/* ---- submission ---- */

static int check_range(const struct store_info *info, const struct bio *bio)
{
    uint64_t size = __atomic_load_n(&info->size_bytes, __ATOMIC_RELAXED);
    if (bio->len > size || bio->off > size - bio->len)
        return USAN_ERANGE;
    if ((bio->off | bio->len) & (info->block_bytes - 1))
        return USAN_EINVAL;
    return 0;
}

static uint64_t iov_bytes(const struct bio *bio)
{
    uint64_t sum = 0;
    for (int i = 0; i < bio->iovcnt; i++)
        sum += bio->iov[i].iov_len;
    return sum;
}

static int check_transfer(const struct store_info *info, const struct bio *bio)
{
    int err = check_range(info, bio);
    if (err)
        return err;
    if (info->max_io_bytes && bio->len > info->max_io_bytes)
        return USAN_EINVAL;
    if (bio->op == BIO_READ && bio->flags & BIO_F_LEND && bio->iovcnt == 0)
        return info->can_lend ? 0 : USAN_ENOTSUP;
    assert(iov_bytes(bio) == bio->len * (bio->op == BIO_COMPARE_AND_WRITE ? 2 : 1));
    return 0;
}

static int check(const struct store_info *info, const struct bio *bio)
{
    switch (bio->op) {
    case BIO_READ:
        return check_transfer(info, bio);
    case BIO_WRITE:
        return info->read_only ? USAN_ERDONLY : check_transfer(info, bio);
    case BIO_COMPARE_AND_WRITE:
        if (!info->can_compare_and_write)
            return USAN_ENOTSUP;
        return info->read_only ? USAN_ERDONLY : check_transfer(info, bio);
    case BIO_UNMAP:
        if (!info->unmap_gran_bytes)
            return USAN_ENOTSUP;
        return info->read_only ? USAN_ERDONLY : check_range(info, bio);
    case BIO_WRITE_ZEROES:
        return info->read_only ? USAN_ERDONLY : check_range(info, bio);
    case BIO_MAP_STATUS:
        return bio->len ? check_range(info, bio) : USAN_EINVAL;
    case BIO_FLUSH:
        return 0;
    case BIO_OP_COUNT:
        break;
    }
    return USAN_EINVAL;
}

/* What can be answered without the back end. */
static bool answer_here(struct store_channel *ch, struct bio *bio)
{
    const struct store_info *info = &ch->store->info;
    if (bio->op == BIO_FLUSH) {
        if (info->volatile_cache)
            return false;
    } else if (bio->op == BIO_MAP_STATUS) {
        if (info->can_map_status)
            return false;
        bio->mapped = true;
        bio->run_len = bio->len;
    } else if (bio->len) {
        return false;
    }
    store_complete(ch, bio, 0);
    return true;
}

void store_submit(struct store_channel *ch, struct bio *bio)
{
    const struct store_info *info = &ch->store->info;
    bool granted = bio->op == BIO_WRITE && bio->lent;
    bio->by = NULL;
    bio->emulated = false;
    ch->in_flight++;
    if (granted)
        ch->held--;
    else
        bio->lent = NULL;
    int err = check(info, bio);
    if (err) {
        if (granted) {
            ch->ops->write_revoke(ch, bio);
            bio->lent = NULL;
        }
        store_complete(ch, bio, err);
        return;
    }
    if (answer_here(ch, bio))
        return;
    if (bio->op == BIO_WRITE_ZEROES ||
        (bio->flags & BIO_F_FUA && info->volatile_cache && !info->can_fua))
        emulate(ch, bio);
    else
        ch->ops->submit(ch, bio);
}

int store_cancel(struct store_channel *ch, struct bio *bio)
{
    if (!ch->ops->cancel)
        return USAN_ENOTSUP;
    return ch->ops->cancel(ch, bio->by && bio->emulated ? bio->by : bio);
}

void store_lend_end(struct store_channel *ch, struct bio *bio)
{
    if (!bio->lent)
        return;
    assert(ch->held > 0);
    ch->held--;
    ch->ops->lend_end(ch, bio);
    bio->lent = NULL;
}

int store_write_grant(struct store_channel *ch, struct bio *bio)
{
    const struct store_info *info = &ch->store->info;
    bio->lent = NULL;
    if (!info->can_grant || info->read_only || !bio->len || check_range(info, bio))
        return USAN_ENOTSUP;
    int err = ch->ops->write_grant(ch, bio);
    if (err)
        return err;
    assert(bio->lent);
    ch->held++;
    return 0;
}

void store_write_revoke(struct store_channel *ch, struct bio *bio)
{
    if (!bio->lent)
        return;
    assert(ch->held > 0);
    ch->held--;
    ch->ops->write_revoke(ch, bio);
    bio->lent = NULL;
}

/* ---- stores and channels ---- */

static void check_info(const struct store *s)
{
    const struct store_info *info = &s->info;
    assert(info->block_bytes && !(info->block_bytes & (info->block_bytes - 1)));
    assert(info->phys_block_bytes >= info->block_bytes);
    assert(!info->can_lend || s->ops->lend_end);
    assert(!info->can_grant || (s->ops->write_grant && s->ops->write_revoke));
    (void)info;
}

int store_check_one(const struct store_ops *ops, const struct store_open *how, struct err_text *e)
{
    assert(ops->struct_bytes == sizeof(struct store_ops));
    int err = opt_check(ops, how->opts, how->opt_count, e);
    if (err || !ops->check)
        return err;
    err = ops->check(how, e);
    if (err)
        err_prefix(e, "%s", ops->name);
    return err;
}

int store_open_one(const struct store_ops *ops, const struct store_open *how,
                   struct store **ret_store, struct err_text *e)
{
    assert(ops->is_filter == (how->lower != NULL));
    int err = store_check_one(ops, how, e);
    if (err)
        return err;
    struct store *s = NULL;
    err = ops->open(how, &s, e);
    if (err) {
        err_prefix(e, "%s", ops->name);
        return err;
    }
    s->ops = ops;
    s->lower = how->lower;
    check_info(s);
    *ret_store = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

int store_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct store_channel *ch = NULL;
    int err = s->ops->channel_open(s, loop, &ch);
    if (err)
        return err;
    ch->ops = s->ops;
    ch->store = s;
    ch->loop = loop;
    ch->in_flight = 0;
    ch->held = 0;
    ch->spare = NULL;
    list_init(&ch->done);
    loop_work_init(&ch->done_work, run_done);
    *ret_ch = ch;
    return 0;
}

void store_channel_close(struct store_channel *ch)
{
    if (!ch)
        return;
    assert(ch->in_flight == 0 && ch->held == 0 && list_empty(&ch->done));
    struct store_emu *next;
    for (struct store_emu *emu = ch->spare; emu; emu = next) {
        next = emu->next;
        free(emu);
    }
    ch->ops->channel_close(ch);
}

/* ---- news ---- */

void store_watch(struct store *s, struct store_watcher *w)
{
    w->top = s;
    for (; s; s = s->lower)
        s->watcher = w;
}

void store_tell(struct store *s, enum store_news what, const char *text)
{
    struct store_watcher *w = s->watcher;
    uint64_t size = __atomic_load_n(&s->info.size_bytes, __ATOMIC_RELAXED);
    if (!w)
        return;
    for (struct store *f = w->top; what == STORE_NEWS_SIZE && f != s; f = f->lower) {
        if (!f->ops->resize)
            __atomic_store_n(&f->info.size_bytes, size, __ATOMIC_RELAXED);
    }
    w->news(w, what, text);
}

/* A filter that does not care about sizes follows the store below it. */
int store_resize(struct store *s, uint64_t size_bytes, struct err_text *e)
{
    if (s->info.read_only)
        return err_set(e, USAN_ERDONLY, "%s: is read-only", s->ops->name);
    if (!size_bytes || size_bytes % s->info.block_bytes)
        return err_set(e, USAN_EINVAL, "%s: the size has to be a multiple of %u bytes",
                       s->ops->name, s->info.block_bytes);
    if (s->ops->resize) {
        int err = s->ops->resize(s, size_bytes, e);
        if (err)
            err_prefix(e, "%s", s->ops->name);
        return err;
    }
    if (!s->lower)
        return err_set(e, USAN_ENOTSUP, "%s: cannot be resized", s->ops->name);
    int err = store_resize(s->lower, size_bytes, e);
    if (!err)
        __atomic_store_n(&s->info.size_bytes, s->lower->info.size_bytes, __ATOMIC_RELAXED);
    return err;
}

void store_space(struct store *s, struct store_space *ret_space)
{
    while (!s->ops->space && s->lower)
        s = s->lower;
    if (s->ops->space)
        s->ops->space(s, ret_space);
    else
        *ret_space =
            (struct store_space){ .used_bytes = s->info.size_bytes, .avail_bytes = UINT64_MAX };
}

void store_stats(struct store *s, FILE *out)
{
    for (; s; s = s->lower) {
        if (s->ops->stats)
            s->ops->stats(s, out);
    }
}
