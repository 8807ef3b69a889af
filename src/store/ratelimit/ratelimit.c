/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * At most so many requests and bytes a second. The limit holds for all channels together.
 *
 * A token bucket kept as one number, the time at which it is full again: each request moves that
 * time on by what it costs, and may start when the time is no further away than the burst. So the
 * start of every request is known on arrival, and a channel waits for the first of its own queue
 * only.
 */
#include "store/filter.h"
#include "store/opt.h"
#include "store/registry.h"

#include <pthread.h>
#include <stdlib.h>

struct bucket {
    uint64_t per_sec; /* 0 = no limit */
    uint64_t full_ns;
};

struct ratelimit_store {
    struct store store;
    uint64_t burst_ns;
    pthread_mutex_t lock; /* for what follows */
    struct bucket ios, bytes;
    uint64_t delayed; /* requests that had to wait */
};

struct ratelimit_channel {
    struct filter_channel fc;
    struct list queue; /* in the order of req->ns, when they start */
    struct loop_timer timer;
};

static const struct store_opt_desc ratelimit_opts[] = {
    { "iops", "uint", "0", "requests a second; 0 = no limit" },
    { "bps", "size", "0", "bytes read and written a second; 0 = no limit" },
    { "burst", "time", "10ms", "unused rate that may be caught up on, as time" },
    { .key = NULL },
};

static int ratelimit_check(const struct store_open *how, struct err_text *e)
{
    if (!opt_uint(&ratelimit_ops, how, "iops") && !opt_size(&ratelimit_ops, how, "bps"))
        return err_set(e, USAN_EINVAL, "neither 'iops' nor 'bps' is given");
    return 0;
}

static int ratelimit_open(const struct store_open *how, struct store **ret_store,
                          struct err_text *e)
{
    uint64_t iops = opt_uint(&ratelimit_ops, how, "iops");
    uint64_t bps = opt_size(&ratelimit_ops, how, "bps");
    struct ratelimit_store *s = calloc(1, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL)) {
        free(s);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    s->burst_ns = opt_time(&ratelimit_ops, how, "burst");
    s->ios.per_sec = iops;
    s->bytes.per_sec = bps;
    s->store.info = filter_info(how->lower);
    *ret_store = &s->store;
    return 0;
}

static void ratelimit_close(struct store *s)
{
    struct ratelimit_store *r = list_entry(s, struct ratelimit_store, store);
    (void)pthread_mutex_destroy(&r->lock);
    filter_close(s);
}

/* ---- buckets ---- */

static uint64_t bucket_start(const struct bucket *b, uint64_t burst_ns, uint64_t now_ns)
{
    return b->per_sec && b->full_ns > now_ns + burst_ns ? b->full_ns - burst_ns : now_ns;
}

static void bucket_take(struct bucket *b, uint64_t n, uint64_t start_ns)
{
    if (!b->per_sec)
        return;
    if (b->full_ns < start_ns)
        b->full_ns = start_ns;
    b->full_ns += (uint64_t)((unsigned __int128)n * NS_PER_SEC / b->per_sec);
}

static bool moves_data(enum bio_op op)
{
    return op == BIO_READ || op == BIO_WRITE || op == BIO_COMPARE_AND_WRITE;
}

static uint64_t reserve(struct ratelimit_store *r, const struct bio *bio, uint64_t now_ns)
{
    uint64_t bytes = moves_data(bio->op) ? bio->len : 0;
    (void)pthread_mutex_lock(&r->lock);
    uint64_t start = bucket_start(&r->ios, r->burst_ns, now_ns);
    uint64_t start_bytes = bytes ? bucket_start(&r->bytes, r->burst_ns, now_ns) : 0;
    if (start < start_bytes)
        start = start_bytes;
    bucket_take(&r->ios, 1, start);
    bucket_take(&r->bytes, bytes, start);
    r->delayed += start > now_ns;
    (void)pthread_mutex_unlock(&r->lock);
    return start;
}

/* ---- requests ---- */

/* The loop has no memory for the timer: better too fast than never. */
static void set_timer(struct ratelimit_channel *c)
{
    struct list *node;
    const struct filter_req *first = list_entry(c->queue.next, struct filter_req, node);
    if (list_empty(&c->queue) || !loop_timer_set(c->fc.ch.loop, &c->timer, first->ns))
        return;
    while ((node = list_pop_front(&c->queue)))
        filter_send(list_entry(node, struct filter_req, node), filter_passed);
}

static void due(struct loop_timer *t)
{
    struct ratelimit_channel *c = list_entry(t, struct ratelimit_channel, timer);
    uint64_t now = loop_now(c->fc.ch.loop);
    while (!list_empty(&c->queue)) {
        struct filter_req *req = list_entry(c->queue.next, struct filter_req, node);
        if (req->ns > now)
            break;
        list_del(&req->node);
        filter_send(req, filter_passed);
    }
    set_timer(c);
}

static int ratelimit_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct ratelimit_channel *c = calloc(1, sizeof *c);
    int err = c ? filter_channel_init(&c->fc, s, loop) : USAN_ENOMEM;
    if (err) {
        free(c);
        return err;
    }
    list_init(&c->queue);
    loop_timer_init(&c->timer, due);
    *ret_ch = &c->fc.ch;
    return 0;
}

static void ratelimit_channel_close(struct store_channel *ch)
{
    struct ratelimit_channel *c = list_entry(ch, struct ratelimit_channel, fc.ch);
    loop_timer_cancel(ch->loop, &c->timer);
    filter_channel_fini(&c->fc);
    free(c);
}

static void ratelimit_submit(struct store_channel *ch, struct bio *bio)
{
    struct ratelimit_channel *c = list_entry(ch, struct ratelimit_channel, fc.ch);
    struct ratelimit_store *r = list_entry(ch->store, struct ratelimit_store, store);
    struct filter_req *req = filter_req_get(ch, bio);
    if (!req) {
        filter_refuse(ch, bio, USAN_ENOMEM);
        return;
    }
    uint64_t now = loop_now(ch->loop);
    bool counts = bio->op != BIO_FLUSH && bio->op != BIO_MAP_STATUS;
    req->ns = counts ? reserve(r, bio, now) : now;
    if (!counts || (req->ns <= now && list_empty(&c->queue))) {
        filter_send(req, filter_passed);
        return;
    }
    list_push_back(&c->queue, &req->node);
    set_timer(c);
}

static void ratelimit_stats(struct store *s, FILE *out)
{
    struct ratelimit_store *r = list_entry(s, struct ratelimit_store, store);
    (void)pthread_mutex_lock(&r->lock);
    uint64_t delayed = r->delayed;
    (void)pthread_mutex_unlock(&r->lock);
    fprintf(out, "ratelimit.delayed %llu\n", (unsigned long long)delayed);
}

const struct store_ops ratelimit_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "ratelimit",
    .help = "at most so many requests or bytes a second",
    .opts = ratelimit_opts,
    .is_filter = true,
    .check = ratelimit_check,
    .open = ratelimit_open,
    .close = ratelimit_close,
    .channel_open = ratelimit_channel_open,
    .channel_close = ratelimit_channel_close,
    .submit = ratelimit_submit,
    .cancel = filter_cancel,
    .lend_end = filter_lend_end,
    .write_grant = filter_write_grant,
    .write_revoke = filter_write_revoke,
    .stats = ratelimit_stats,
};
