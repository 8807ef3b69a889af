/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/filter.h"

#include "store/opt.h"

#include <stdlib.h>
#include <string.h>

/* The store below is reached through store.c, which adds what it has not got itself. */
struct store_info filter_info(const struct store *lower)
{
    struct store_info info = lower->info;
    info.can_fua = true;
    info.can_write_zeroes = true;
    return info;
}

int filter_channel_init(struct filter_channel *fc, struct store *s, struct loop *loop)
{
    return store_channel_open(s->lower, loop, &fc->ch.lower);
}

void filter_channel_fini(struct filter_channel *fc)
{
    struct filter_req *next;
    for (struct filter_req *r = fc->spare; r; r = next) {
        next = r->next;
        free(r);
    }
    store_channel_close(fc->ch.lower);
}

void filter_close(struct store *s)
{
    store_close(s->lower);
    free(s);
}

int filter_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct filter_channel *fc = calloc(1, sizeof *fc);
    int err = fc ? filter_channel_init(fc, s, loop) : USAN_ENOMEM;
    if (err) {
        free(fc);
        return err;
    }
    *ret_ch = &fc->ch;
    return 0;
}

void filter_channel_close(struct store_channel *ch)
{
    struct filter_channel *fc = list_entry(ch, struct filter_channel, ch);
    filter_channel_fini(fc);
    free(fc);
}

/* ---- the copy ---- */

/* Everything that describes memory lent or granted. A single iovec stands in the bio itself. */
static void move_memory(struct bio *to, struct bio *from)
{
    to->iov = from->iov;
    to->iovcnt = from->iovcnt;
    if (from->iov == &from->one) {
        to->one = from->one;
        to->iov = &to->one;
    }
    to->lent = from->lent;
    memcpy(to->store_priv, from->store_priv, sizeof to->store_priv);
    from->lent = NULL;
}

struct filter_req *filter_req_get(struct store_channel *ch, struct bio *up)
{
    struct filter_channel *fc = list_entry(ch, struct filter_channel, ch);
    struct filter_req *req = fc->spare;
    if (req)
        fc->spare = req->next;
    else
        req = malloc(sizeof *req);
    if (!req)
        return NULL;
    req->bio = (struct bio){ .op = up->op, .flags = up->flags, .off = up->off, .len = up->len };
    req->up = up;
    req->fc = fc;
    move_memory(&req->bio, up);
    return req;
}

void filter_send(struct filter_req *req, void (*done)(struct bio *bio))
{
    req->bio.done = done;
    req->up->by = &req->bio;
    store_submit(req->fc->ch.lower, &req->bio);
}

/* A request that is sent has to be one that can be canceled at some time, whatever it waits for. */
int filter_cancel(struct store_channel *ch, struct bio *up)
{
    if (up->by)
        return store_cancel(ch->lower, up->by);
    struct store_channel *bottom = ch->lower;
    while (bottom->lower)
        bottom = bottom->lower;
    return bottom->ops->cancel ? USAN_EAGAIN : USAN_ENOTSUP;
}

void filter_finish(struct filter_req *req, int err)
{
    struct filter_channel *fc = req->fc;
    struct bio *up = req->up, *bio = &req->bio;
    up->err_off = bio->err_off;
    up->mapped = bio->mapped;
    up->run_len = bio->run_len;
    if (bio->op == BIO_READ && bio->lent)
        move_memory(up, bio);
    req->next = fc->spare;
    fc->spare = req;
    store_complete(&fc->ch, up, err);
}

void filter_fail(struct filter_req *req, int err)
{
    if (req->bio.op == BIO_WRITE)
        store_write_revoke(req->fc->ch.lower, &req->bio);
    filter_finish(req, err);
}

void filter_refuse(struct store_channel *ch, struct bio *up, int err)
{
    if (up->op == BIO_WRITE && up->lent) {
        filter_write_revoke(ch, up);
        up->lent = NULL;
    }
    store_complete(ch, up, err);
}

void filter_passed(struct bio *bio)
{
    filter_finish(list_entry(bio, struct filter_req, bio), bio->err);
}

/* ---- lends and grants: the bio below is made for the moment of the call ---- */

static struct bio below(struct bio *bio)
{
    return (struct bio){ .op = bio->op, .flags = bio->flags, .off = bio->off, .len = bio->len };
}

void filter_lend_end(struct store_channel *ch, struct bio *bio)
{
    struct bio b = below(bio);
    move_memory(&b, bio);
    store_lend_end(ch->lower, &b);
}

int filter_write_grant(struct store_channel *ch, struct bio *bio)
{
    struct bio b = below(bio);
    int err = store_write_grant(ch->lower, &b);
    if (!err)
        move_memory(bio, &b);
    return err;
}

void filter_write_revoke(struct store_channel *ch, struct bio *bio)
{
    struct bio b = below(bio);
    move_memory(&b, bio);
    store_write_revoke(ch->lower, &b);
}

/* ---- options ---- */

static const char *const op_names[BIO_OP_COUNT] = {
    [BIO_READ] = "read",         [BIO_WRITE] = "write",       [BIO_FLUSH] = "flush",
    [BIO_UNMAP] = "unmap",       [BIO_WRITE_ZEROES] = "zero", [BIO_COMPARE_AND_WRITE] = "compare",
    [BIO_MAP_STATUS] = "status",
};

const char *filter_op_name(enum bio_op op)
{
    return op_names[op];
}

int filter_parse_ops(const char *text, uint32_t *ret_mask)
{
    uint32_t mask = 0;
    if (!strcmp(text, "all")) {
        *ret_mask = (1u << BIO_OP_COUNT) - 1;
        return 0;
    }
    for (;;) {
        size_t len = strcspn(text, "/");
        size_t op = 0;
        while (op < BIO_OP_COUNT &&
               (strlen(op_names[op]) != len || strncmp(op_names[op], text, len) != 0))
            op++;
        if (op == BIO_OP_COUNT)
            return USAN_EINVAL;
        mask |= 1u << op;
        if (!text[len])
            break;
        text += len + 1;
    }
    *ret_mask = mask;
    return 0;
}

/* ---- chance ---- */

/* A counter with a strong mixer behind it: each caller gets a number of its own without a lock. */
uint64_t filter_random(uint64_t *state)
{
    const uint64_t step = 0x9e3779b97f4a7c15u;
    uint64_t z = __atomic_add_fetch(state, step, __ATOMIC_RELAXED);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

bool filter_chance(uint64_t *state, uint32_t ppb)
{
    if (ppb == OPT_RATIO_ONE)
        return true;
    return ppb && filter_random(state) % OPT_RATIO_ONE < ppb;
}
