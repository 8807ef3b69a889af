/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request after the other: a piece is taken, read, looked through for zeroes, written. */
#include "tools/copy_priv.h"

#include "tools/zero.h"

#include <string.h>

#define ASK_MAX (1ull << 40) /* how far ahead a store is asked for holes */

void copy_slot_drive(struct copy_slot *s)
{
    while (s->next(s))
        ;
}

static bool halted(const struct copy_slot *s)
{
    return atomic_load_explicit(&s->w->copy->halted, memory_order_relaxed);
}

static bool go_on(struct copy_slot *s, bool (*next)(struct copy_slot *s))
{
    s->next = next;
    return true;
}

/* ---- requests ---- */

static void bio_done(struct bio *bio)
{
    struct copy_slot *s = list_entry(bio, struct copy_slot, bio);
    if (bio->err && bio->op == BIO_MAP_STATUS) {
        bio->mapped = true; /* it does not say: its data will */
        bio->run_len = bio->len;
    } else if (bio->err) {
        copy_failed(s->w->copy, bio->err, s->what, s->name, bio->off);
        s->next = copy_slot_idle;
    }
    copy_slot_drive(s);
}

static const char *verb(enum bio_op op)
{
    switch (op) {
    case BIO_READ:
        return "reading";
    case BIO_WRITE:
        return "writing";
    case BIO_WRITE_ZEROES:
        return "zeroing";
    case BIO_FLUSH:
        return "flushing";
    case BIO_UNMAP:
    case BIO_COMPARE_AND_WRITE:
    case BIO_MAP_STATUS:
    case BIO_OP_COUNT:
        break;
    }
    return "asking";
}

bool copy_slot_submit(struct copy_slot *s, struct store_channel *ch, enum bio_op op, uint8_t *buf,
                      uint64_t len, bool (*next)(struct copy_slot *s))
{
    const struct copy_config *cfg = &s->w->copy->cfg;
    bool flush = op == BIO_FLUSH;
    s->iov = (struct iovec){ .iov_base = buf, .iov_len = (size_t)len };
    s->bio = (struct bio){ .op = op,
                           .flags = op == BIO_WRITE_ZEROES ? BIO_F_MAY_UNMAP : 0,
                           .off = flush ? 0 : s->off + s->pos,
                           .len = len,
                           .iov = buf ? &s->iov : NULL,
                           .iovcnt = buf ? 1 : 0,
                           .done = bio_done };
    s->what = verb(op);
    s->name = ch == s->w->from ? cfg->from_name : cfg->to_name;
    s->next = next;
    store_submit(ch, &s->bio);
    return false;
}

void copy_slot_arrived(struct loop_msg *m)
{
    struct copy_slot *s = list_entry(m, struct copy_slot, stream.msg);
    if (s->stream.err) {
        /* Closed: it was cancelled, or another request has told what went wrong. */
        if (s->stream.err == USAN_ECLOSED)
            copy_cancel(s->w->copy);
        else
            copy_stream_failed(s->w->copy, &s->stream, s->what, s->name);
        s->next = copy_slot_idle;
    }
    copy_slot_drive(s);
}

static bool push(struct copy_slot *s, struct stream *to, bool (*next)(struct copy_slot *s))
{
    const struct copy *c = s->w->copy;
    s->what = to == c->in ? "reading" : "writing";
    s->name = to == c->in ? c->cfg.from_name : c->cfg.to_name;
    s->next = next;
    stream_push(to, &s->stream);
    return false;
}

/* ---- writing ---- */

static bool write_next(struct copy_slot *s);

static bool written(struct copy_slot *s)
{
    struct copy *c = s->w->copy;
    /* The last block may be longer than what there is to copy. */
    uint64_t left = s->pos < s->len ? s->len - s->pos : 0;
    uint64_t real = s->piece < left ? s->piece : left;
    atomic_fetch_add(s->same ? &c->same : s->zero ? &c->zeroes : &c->written, real);
    atomic_fetch_add(&c->done, real);
    s->pos += s->piece;
    return go_on(s, write_next);
}

/* A stream has every byte, and no blocks. */
static bool write_stream(struct copy_slot *s)
{
    s->piece = s->padded;
    s->zero = s->hole;
    s->stream.buf = s->hole ? NULL : s->buf;
    s->stream.off = s->off;
    s->stream.len = s->len;
    return push(s, s->w->copy->out, written);
}

static bool write_next(struct copy_slot *s)
{
    const struct copy_config *cfg = &s->w->copy->cfg;
    if (s->pos >= s->padded)
        return go_on(s, copy_slot_take);
    if (halted(s))
        return go_on(s, copy_slot_idle);
    if (!s->w->to)
        return write_stream(s);
    s->piece = s->padded - s->pos;
    s->zero = true;
    if (!s->hole)
        s->piece = zero_run(s->buf + s->pos, (size_t)s->piece, (size_t)cfg->sparse, &s->zero);
    s->same = cfg->differing && !s->hole &&
              memcmp(s->buf + s->pos, s->cmp + s->pos, (size_t)s->piece) == 0;
    if (s->same)
        return go_on(s, written);
    if (!s->zero)
        return copy_slot_submit(s, s->w->to, BIO_WRITE, s->buf + s->pos, s->piece, written);
    if (cfg->to_zero)
        return go_on(s, written);
    return copy_slot_submit(s, s->w->to, BIO_WRITE_ZEROES, NULL, s->piece, written);
}

/* The data is there, or it is a hole. */
static bool got(struct copy_slot *s)
{
    struct copy *c = s->w->copy;
    s->pos = 0;
    if (c->step == COPY_VERIFY)
        return go_on(s, copy_slot_compare);
    int err = c->in && c->cfg.verify ? copy_remember(c, s) : 0;
    if (err) {
        copy_failed(c, err, "remembering what came", c->cfg.from_name, s->off);
        return go_on(s, copy_slot_idle);
    }
    if (c->cfg.differing && !s->hole)
        return copy_slot_submit(s, s->w->to, BIO_READ, s->cmp, s->padded, write_next);
    return go_on(s, write_next);
}

/* ---- reading ---- */

/* len up to the end of a block of the destination. */
static void set_len(struct copy_slot *s, uint64_t len)
{
    const struct store *to = s->w->copy->cfg.to;
    uint64_t block = to ? to->info.block_bytes : 1;
    s->pos = 0;
    s->len = len;
    s->padded = (s->off + len + block - 1) / block * block - s->off;
}

/* What stands in no whole block of the source, and zeroes up to a whole one of the destination. */
static void add_tail(struct copy_slot *s)
{
    const struct copy_config *cfg = &s->w->copy->cfg;
    uint64_t end = s->off + s->len;
    uint64_t whole = cfg->from ? cfg->from->info.size_bytes : cfg->bytes;
    if (cfg->from && end > whole) {
        uint64_t at = s->off > whole ? s->off : whole;
        memcpy(s->buf + (at - s->off), cfg->tail + (at - whole), (size_t)(end - at));
    }
    memset(s->buf + s->len, 0, (size_t)(s->padded - s->len));
}

static bool read_done(struct copy_slot *s)
{
    add_tail(s);
    return go_on(s, got);
}

bool copy_slot_read(struct copy_slot *s)
{
    const struct store_info *info = &s->w->copy->cfg.from->info;
    uint64_t block = info->block_bytes, whole = info->size_bytes;
    /* Whole blocks, though not all of the last one may be wanted. */
    uint64_t len = (s->len + block - 1) / block * block;
    len = s->off >= whole ? 0 : s->off + len > whole ? whole - s->off : len;
    s->hole = false;
    if (!len)
        return go_on(s, read_done);
    return copy_slot_submit(s, s->w->from, BIO_READ, s->buf, len, read_done);
}

static bool came(struct copy_slot *s)
{
    struct copy *c = s->w->copy;
    s->off = s->stream.off;
    set_len(s, s->stream.len);
    s->hole = false;
    if (!s->len)
        return go_on(s, copy_slot_idle);
    pthread_mutex_lock(&c->lock);
    if (c->bytes == COPY_ENDLESS || s->off + s->len > c->bytes)
        c->bytes = s->off + s->len;
    pthread_mutex_unlock(&c->lock);
    if (c->cfg.to && s->off + s->padded > c->cfg.to->info.size_bytes) {
        copy_failed(c, USAN_ENOSPC, "more comes than it has room for", c->cfg.to_name,
                    c->cfg.to->info.size_bytes);
        return go_on(s, copy_slot_idle);
    }
    memset(s->buf + s->len, 0, (size_t)(s->padded - s->len));
    return go_on(s, got);
}

static bool take_stream(struct copy_slot *s)
{
    s->stream.buf = s->buf;
    s->stream.cap = s->w->copy->cfg.chunk;
    return push(s, s->w->copy->in, came);
}

static bool hole_known(struct copy_slot *s)
{
    s->hole = true;
    return go_on(s, got);
}

static bool status_known(struct copy_slot *s)
{
    const struct bio *b = &s->bio;
    cursor_learn(&s->w->copy->cursor, b->off, b->run_len, b->mapped);
    if (!b->mapped && b->run_len >= s->len)
        return go_on(s, hole_known);
    return go_on(s, copy_slot_read);
}

/* Once for a whole run, as far as it goes. One that can not tell is taken to be data. */
static bool ask(struct copy_slot *s)
{
    struct copy *c = s->w->copy;
    const struct store_info *info = &c->cfg.from->info;
    if (!info->can_map_status || !info->unmap_zeroes || s->off + s->len > info->size_bytes) {
        cursor_learn(&c->cursor, s->off, c->bytes - s->off, true);
        return go_on(s, copy_slot_read);
    }
    uint64_t len = info->size_bytes - s->off;
    return copy_slot_submit(s, s->w->from, BIO_MAP_STATUS, NULL, len < ASK_MAX ? len : ASK_MAX,
                            status_known);
}

bool copy_slot_take(struct copy_slot *s)
{
    struct copy *c = s->w->copy;
    struct cursor_piece p;
    if (halted(s))
        return go_on(s, copy_slot_idle);
    if (c->in && c->step == COPY_DATA)
        return take_stream(s);
    if (!cursor_take(&c->cursor, &p))
        return go_on(s, copy_slot_idle);
    s->off = p.off;
    set_len(s, p.len);
    s->hole = c->in != NULL; /* nothing to be read: there are digests */
    if (c->in)
        return go_on(s, got);
    switch (p.kind) {
    case CURSOR_UNKNOWN:
        return go_on(s, ask);
    case CURSOR_DATA:
        return go_on(s, copy_slot_read);
    case CURSOR_HOLE:
        return go_on(s, hole_known);
    }
    return go_on(s, copy_slot_read);
}

/* ---- the steps ---- */

bool copy_slot_begin(struct copy_slot *s)
{
    const struct copy *c = s->w->copy;
    s->pos = 0;
    if (c->step != COPY_FLUSH)
        return go_on(s, copy_slot_take);
    if (!s->w->to)
        return go_on(s, copy_slot_idle);
    return copy_slot_submit(s, s->w->to, BIO_FLUSH, NULL, 0, copy_slot_idle);
}
