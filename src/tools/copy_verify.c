/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what was written, and comparing it with the source or with digests of what came. */
#include "tools/copy_priv.h"

#include "base/crc32c.h"
#include "tools/zero.h"

#include <stdlib.h>

int copy_remember(struct copy *c, const struct copy_slot *s)
{
    size_t at = (size_t)(s->off / c->cfg.chunk);
    uint32_t digest = crc32c(s->buf, (size_t)s->len);
    int err = 0;
    pthread_mutex_lock(&c->lock);
    if (at >= c->digest_count) {
        size_t count = at * 2 + 64;
        uint32_t *v = reallocarray(c->digests, count, sizeof(*v));
        if (v) {
            c->digests = v;
            c->digest_count = count;
        } else {
            err = USAN_ENOMEM;
        }
    }
    if (!err)
        c->digests[at] = digest;
    pthread_mutex_unlock(&c->lock);
    return err;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The first of all counts; nothing behind it is looked at any more. */
static void differs(struct copy *c, uint64_t off)
{
    pthread_mutex_lock(&c->lock);
    if (off < c->differs)
        c->differs = off;
    pthread_mutex_unlock(&c->lock);
    cursor_cut(&c->cursor, off);
}

static bool through(struct copy_slot *s)
{
    atomic_fetch_add(&s->w->copy->done, s->len);
    s->next = copy_slot_take;
    return true;
}

/* No address: the digest of a whole piece. */
static bool compare_digest(struct copy_slot *s)
{
    struct copy *c = s->w->copy;
    if (crc32c(s->cmp, (size_t)s->len) != c->digests[s->off / c->cfg.chunk])
        differs(c, s->off);
    return through(s);
}

static bool compare(struct copy_slot *s)
{
    size_t len = (size_t)s->len;
    if (s->w->copy->in)
        return compare_digest(s);
    size_t at = zero_differ(s->buf, s->cmp, len);
    if (at < len)
        differs(s->w->copy, s->off + at);
    return through(s);
}

static bool read_back(struct copy_slot *s)
{
    return copy_slot_submit(s, s->w->to, BIO_READ, s->cmp, s->padded, compare);
}

/* ---- holes: much longer than a chunk, perhaps ---- */

static bool hole_next(struct copy_slot *s);

static bool hole_read(struct copy_slot *s)
{
    uint64_t real = s->pos + s->piece <= s->len ? s->piece : s->len - s->pos;
    if (!zero_all(s->cmp, (size_t)real)) {
        size_t at = 0;
        while (!s->cmp[at])
            at++;
        differs(s->w->copy, s->off + s->pos + at);
        return through(s);
    }
    s->pos += s->piece;
    s->next = hole_next;
    return true;
}

static bool hole_piece(struct copy_slot *s, uint64_t most)
{
    uint64_t chunk = s->w->copy->cfg.chunk, left = s->padded - s->pos;
    s->piece = least(least(chunk, left), most);
    return copy_slot_submit(s, s->w->to, BIO_READ, s->cmp, s->piece, hole_read);
}

/* A hole in both is no work. */
static bool hole_asked(struct copy_slot *s)
{
    if (s->bio.mapped)
        return hole_piece(s, s->bio.run_len);
    s->pos += s->bio.run_len;
    s->next = hole_next;
    return true;
}

static bool hole_next(struct copy_slot *s)
{
    const struct copy *c = s->w->copy;
    const struct store_info *info = &c->cfg.to->info;
    if (s->pos >= s->len)
        return through(s);
    if (atomic_load_explicit(&c->halted, memory_order_relaxed)) {
        s->next = copy_slot_idle;
        return true;
    }
    if (info->can_map_status && info->unmap_zeroes)
        return copy_slot_submit(s, s->w->to, BIO_MAP_STATUS, NULL, s->padded - s->pos, hole_asked);
    return hole_piece(s, UINT64_MAX);
}

bool copy_slot_compare(struct copy_slot *s)
{
    return s->hole && !s->w->copy->in ? hole_next(s) : read_back(s);
}
