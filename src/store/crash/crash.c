/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of a crash filter. Reads and plain writes are answered from and into the cache. What
 * changes the store below (FLUSH, FUA, UNMAP, WRITE_ZEROES, a full cache) is done by one request
 * at a time, in turn, whatever channel it came by: so the order of writes to one place is the
 * order in which they were cached. The first one to get its turn after a crash sees to what the
 * crash has left.
 */
#include "store/crash/crash.h"

#include "store/crash/cache.h"
#include "store/filter.h"
#include "store/iov.h"
#include "store/opt.h"
#include "store/registry.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct crash_store {
    struct store store;
    enum crash_mode mode;
    uint64_t cache_max;
    uint64_t after; /* crash with this write; 0 = never */
    bool restart;   /* at once */

    pthread_mutex_t lock; /* for what follows */
    struct crash_cache cache;
    uint64_t random;
    uint64_t writes;   /* seen so far */
    uint64_t crashes;  /* a turn that began before the last one fails */
    bool down;         /* until it is switched on */
    bool unsettled;    /* it is open what survives, and not in the store below */
    bool busy;         /* somebody has the turn */
    struct list turns; /* crash_turn.node, waiting */
    struct crash_toll toll;
};

struct crash_channel {
    struct filter_channel fc;
    struct crash_turn *spare;
};

/* A request that has to wait for its turn. */
struct crash_turn {
    struct bio bio; /* for the store below */
    struct bio *up;
    struct crash_channel *c;
    struct list node;
    struct loop_msg msg;
    struct crash_turn *next; /* while it is spare */
    uint64_t crashes;        /* when it came */
    uint64_t seq;            /* of the youngest write that is drained or replaced */
    uint64_t pos;            /* bytes of the oldest write that are drained */
    bool settling;
    bool doomed;
    struct iovec iov;
    void (*drained)(struct crash_turn *t, int err);
};

/* Cached blocks to be laid over a read, as they were when it came. */
struct overlay {
    uint8_t *have; /* one byte a block */
    uint8_t data[];
};

static void lock(struct crash_store *s)
{
    (void)pthread_mutex_lock(&s->lock);
}

static void unlock(struct crash_store *s)
{
    (void)pthread_mutex_unlock(&s->lock);
}

static struct crash_store *store_of(const struct crash_channel *c)
{
    return list_entry(c->fc.ch.store, struct crash_store, store);
}

/* ---- the crash ---- */

/* The lock is held. */
static void crash(struct crash_store *s)
{
    if (s->down)
        return;
    s->crashes++;
    s->down = !s->restart;
    s->unsettled = true;
}

static struct crash_store *find(struct store *s)
{
    while (s && s->ops != &crash_ops)
        s = s->lower;
    assert(s);
    return list_entry(s, struct crash_store, store);
}

void store_crash_now(struct store *store)
{
    struct crash_store *s = find(store);
    lock(s);
    crash(s);
    unlock(s);
}

void store_crash_restart(struct store *store)
{
    struct crash_store *s = find(store);
    lock(s);
    s->down = false;
    unlock(s);
}

bool store_crash_is_down(struct store *store)
{
    struct crash_store *s = find(store);
    lock(s);
    bool down = s->down;
    unlock(s);
    return down;
}

/* ---- turns ---- */

static void turn_run(struct crash_turn *t);

/* On the loop of the channel. */
static void turn_comes(struct loop_msg *m)
{
    turn_run(list_entry(m, struct crash_turn, msg));
}

static void turn_pass_on(struct crash_store *s)
{
    lock(s);
    struct list *node = list_pop_front(&s->turns);
    s->busy = node != NULL;
    unlock(s);
    if (!node)
        return;
    struct crash_turn *t = list_entry(node, struct crash_turn, node);
    t->msg.deliver = turn_comes;
    loop_post(t->c->fc.ch.loop, &t->msg);
}

static void turn_put(struct crash_turn *t)
{
    t->next = t->c->spare;
    t->c->spare = t;
}

static void turn_finish(struct crash_turn *t, int err)
{
    struct crash_channel *c = t->c;
    struct bio *up = t->up;
    up->err_off = t->bio.err_off;
    turn_put(t);
    turn_pass_on(store_of(c));
    store_complete(&c->fc.ch, up, err);
}

/* The lock is held; released here. A doomed request only sees to the crash it was hit by. */
static void turn_start(struct crash_channel *c, struct bio *up, bool doomed)
{
    struct crash_store *s = store_of(c);
    struct crash_turn *t = c->spare;
    if (t)
        c->spare = t->next;
    else
        t = malloc(sizeof *t);
    if (!t) {
        unlock(s);
        store_complete(&c->fc.ch, up, USAN_ENOMEM);
        return;
    }
    *t = (struct crash_turn){ .up = up, .c = c, .crashes = s->crashes, .doomed = doomed };
    bool now = !s->busy;
    s->busy = true;
    if (!now)
        list_push_back(&s->turns, &t->node);
    unlock(s);
    if (now)
        turn_run(t);
}

static void below(struct crash_turn *t, struct bio bio, void (*done)(struct bio *bio))
{
    t->bio = bio;
    t->bio.done = done;
    store_submit(t->c->fc.ch.lower, &t->bio);
}

/* Has the power failed since the request came? The lock is held. */
static bool turn_lost(const struct crash_store *s, const struct crash_turn *t)
{
    return t->doomed || s->down || s->crashes != t->crashes;
}

/* ---- writing the cache down, oldest write first ---- */

static void drain(struct crash_turn *t);

static void drain_done(struct bio *bio)
{
    struct crash_turn *t = list_entry(bio, struct crash_turn, bio);
    t->pos += bio->len;
    if (bio->err)
        t->drained(t, bio->err);
    else
        drain(t);
}

/* The write that is being drained stays as it is: only who has the turn removes or kills. */
static void drain(struct crash_turn *t)
{
    struct crash_store *s = store_of(t->c);
    struct crash_write *w = NULL;
    uint64_t off = 0, len = 0;
    lock(s);
    int err = !t->settling && turn_lost(s, t) ? USAN_ECLOSED : 0;
    while (!err && (w = crash_cache_oldest(&s->cache)) && w->seq <= t->seq) {
        if (crash_write_live(&s->cache, w, &t->pos, &len))
            break;
        crash_cache_remove(&s->cache, w);
        t->pos = 0;
    }
    if (w && len) {
        t->iov = (struct iovec){ .iov_base = w->data + t->pos, .iov_len = (size_t)len };
        off = w->off + t->pos;
    }
    unlock(s);
    if (!len)
        t->drained(t, err);
    else
        below(t,
              (struct bio){ .op = BIO_WRITE, .off = off, .len = len, .iov = &t->iov, .iovcnt = 1 },
              drain_done);
}

/* The lock is held; released here. */
static void drain_start(struct crash_turn *t, void (*drained)(struct crash_turn *t, int err))
{
    struct crash_store *s = store_of(t->c);
    t->seq = s->cache.last_seq;
    t->pos = 0;
    t->drained = drained;
    unlock(s);
    drain(t);
}

/* ---- after a crash ---- */

static void settled(struct bio *bio)
{
    struct crash_turn *t = list_entry(bio, struct crash_turn, bio);
    struct crash_store *s = store_of(t->c);
    lock(s);
    s->unsettled = false;
    t->settling = false;
    unlock(s);
    turn_run(t);
}

/* What the store below has refused is lost like the rest. */
static void survivors_written(struct crash_turn *t, int err)
{
    struct crash_store *s = store_of(t->c);
    (void)err;
    lock(s);
    crash_cache_fini(&s->cache);
    unlock(s);
    below(t, (struct bio){ .op = BIO_FLUSH }, settled);
}

/* The dice fall when nobody else is at work on the cache. The lock is held; released here. */
static void settle(struct crash_turn *t)
{
    struct crash_store *s = store_of(t->c);
    t->settling = true;
    crash_cache_strike(&s->cache, s->mode, &s->random, &s->toll);
    drain_start(t, survivors_written);
}

/* ---- requests that have the turn ---- */

static void flushed(struct bio *bio)
{
    turn_finish(list_entry(bio, struct crash_turn, bio), bio->err);
}

static void flush_drained(struct crash_turn *t, int err)
{
    if (err)
        turn_finish(t, err);
    else
        below(t, (struct bio){ .op = BIO_FLUSH }, flushed);
}

static void room_drained(struct crash_turn *t, int err)
{
    struct crash_store *s = store_of(t->c);
    lock(s);
    if (!err)
        err = turn_lost(s, t) ? USAN_ECLOSED : crash_cache_add(&s->cache, t->up);
    unlock(s);
    turn_finish(t, err);
}

/* Older cached data of that range must not come back. */
static void went_through(struct bio *bio)
{
    struct crash_turn *t = list_entry(bio, struct crash_turn, bio);
    struct crash_store *s = store_of(t->c);
    int err = bio->err;
    lock(s);
    if (!err)
        crash_cache_kill(&s->cache, bio->off, bio->len, t->seq);
    if (!err && turn_lost(s, t))
        err = USAN_ECLOSED;
    unlock(s);
    turn_finish(t, err);
}

static void answer(struct crash_channel *c, struct bio *up);

static void turn_run(struct crash_turn *t)
{
    struct crash_channel *c = t->c;
    struct crash_store *s = store_of(c);
    struct bio *up = t->up;
    lock(s);
    if (s->unsettled) {
        settle(t);
        return;
    }
    if (turn_lost(s, t)) {
        unlock(s);
        turn_finish(t, USAN_ECLOSED);
        return;
    }
    if (up->op == BIO_FLUSH) {
        drain_start(t, flush_drained);
        return;
    }
    if (up->op == BIO_READ || up->op == BIO_MAP_STATUS) {
        /* It only waited for the crash to be settled. */
        unlock(s);
        turn_put(t);
        turn_pass_on(s);
        answer(c, up);
        return;
    }
    if (up->op == BIO_WRITE && !(up->flags & BIO_F_FUA)) {
        drain_start(t, room_drained);
        return;
    }
    t->seq = s->cache.last_seq;
    unlock(s);
    below(t,
          (struct bio){ .op = up->op,
                        .flags = up->flags,
                        .off = up->off,
                        .len = up->len,
                        .iov = up->iov,
                        .iovcnt = up->iovcnt },
          went_through);
}

/* ---- requests that need no turn ---- */

static void lay_over(struct bio *bio)
{
    struct filter_req *req = list_entry(bio, struct filter_req, bio);
    struct overlay *o = req->priv;
    const uint32_t block = req->fc->ch.store->info.block_bytes;
    struct iov_cur cur = { .v = bio->iov };
    for (uint64_t at = 0; !bio->err && at < bio->len; at += block) {
        if (o->have[at / block])
            iov_cur_write(&cur, o->data + at, block);
        else
            iov_cur_skip(&cur, block);
    }
    free(o);
    filter_finish(req, bio->err);
}

/* The lock is held. NULL in *ret when nothing is cached. */
static int snapshot(const struct crash_cache *cache, const struct bio *bio, struct overlay **ret)
{
    *ret = NULL;
    if (!crash_cache_touches(cache, bio->off, bio->len))
        return 0;
    size_t blocks = (size_t)(bio->len / cache->block_bytes);
    struct overlay *o = malloc(sizeof *o + (size_t)bio->len + blocks);
    if (!o)
        return USAN_ENOMEM;
    o->have = o->data + bio->len;
    memset(o->have, 0, blocks);
    crash_cache_read(cache, bio->off, bio->len, o->data, o->have);
    *ret = o;
    return 0;
}

/* READ and MAP_STATUS. */
static void answer(struct crash_channel *c, struct bio *up)
{
    struct crash_store *s = store_of(c);
    struct overlay *o = NULL;
    uint64_t run = up->len;
    int err = 0;
    bool cached = false;
    lock(s);
    if (up->op == BIO_READ)
        err = snapshot(&s->cache, up, &o);
    else
        cached = crash_cache_run(&s->cache, up->off, up->len, &run);
    unlock(s);
    if (cached) {
        up->mapped = true;
        up->run_len = run;
        store_complete(&c->fc.ch, up, 0);
        return;
    }
    struct filter_req *req = err ? NULL : filter_req_get(&c->fc.ch, up);
    if (!req) {
        free(o);
        store_complete(&c->fc.ch, up, USAN_ENOMEM);
        return;
    }
    req->priv = o;
    req->bio.len = run;
    filter_send(req, o ? lay_over : filter_passed);
}

/* The lock is held; released here. The write that the power fails with is one of those whose fate
 * is open; it takes a turn to see to the rest and fails in it. */
static void cache_write(struct crash_channel *c, struct bio *up)
{
    struct crash_store *s = store_of(c);
    bool last = ++s->writes == s->after;
    if (!last && (up->flags & BIO_F_FUA || s->cache.bytes + up->len > s->cache_max)) {
        turn_start(c, up, false);
        return;
    }
    int err = crash_cache_add(&s->cache, up);
    if (!last) {
        unlock(s);
        store_complete(&c->fc.ch, up, err);
        return;
    }
    crash(s);
    turn_start(c, up, true);
}

static void crash_submit(struct store_channel *ch, struct bio *bio)
{
    struct crash_channel *c = list_entry(ch, struct crash_channel, fc.ch);
    struct crash_store *s = store_of(c);
    lock(s);
    if (s->unsettled) {
        turn_start(c, bio, false);
    } else if (s->down) {
        unlock(s);
        store_complete(ch, bio, USAN_ECLOSED);
    } else if (bio->op == BIO_READ || bio->op == BIO_MAP_STATUS) {
        unlock(s);
        answer(c, bio);
    } else if (bio->op == BIO_WRITE) {
        cache_write(c, bio);
    } else {
        turn_start(c, bio, false);
    }
}

/* ---- stores and channels ---- */

static const struct store_opt_desc crash_opts[] = {
    { "mode", "text", "random", "fate of unflushed writes: drop, keep, tear, garble or random" },
    { "after", "uint", "0", "lose power with the write of this number; 0 = never" },
    { "restart", "bool", "no", "switch on again at once" },
    { "cache", "size", "64M", "most data that is held unflushed" },
    { "sector", "size", "", "what is never torn; default: the block size of the store below" },
    { "seed", "uint", "1", "start of the random sequence" },
    { .key = NULL },
};

static int parse_mode(const char *text, enum crash_mode *ret_mode)
{
    static const char *const names[] = {
        [CRASH_RANDOM] = "random", [CRASH_DROP] = "drop",     [CRASH_KEEP] = "keep",
        [CRASH_TEAR] = "tear",     [CRASH_GARBLE] = "garble",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(names[i], text)) {
            *ret_mode = (enum crash_mode)i;
            return 0;
        }
    }
    return USAN_EINVAL;
}

static int crash_check(const struct store_open *how, struct err_text *e)
{
    const char *mode_text = opt_text(&crash_ops, how, "mode");
    enum crash_mode mode;
    if (parse_mode(mode_text, &mode))
        return err_set(e, USAN_EINVAL,
                       "option 'mode': '%s' is not drop, keep, tear, garble or random", mode_text);
    uint64_t sector = opt_size(&crash_ops, how, "sector");
    if (sector % 512 || sector > 1u << 20)
        return err_set(e, USAN_EINVAL, "option 'sector': not a multiple of 512 up to 1M");
    return 0;
}

static int crash_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    const struct store_info *lower = &how->lower->info;
    uint64_t sector = opt_size(&crash_ops, how, "sector");
    enum crash_mode mode = CRASH_RANDOM;
    int err = parse_mode(opt_text(&crash_ops, how, "mode"), &mode);
    if (err)
        return err;
    if (!sector)
        sector = lower->block_bytes;
    if (sector % lower->block_bytes || sector > 1u << 20)
        return err_set(e, USAN_EINVAL, "option 'sector': not a multiple of %u up to 1M",
                       lower->block_bytes);
    struct crash_store *s = calloc(1, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL)) {
        free(s);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    s->mode = mode;
    s->cache_max = opt_size(&crash_ops, how, "cache");
    s->after = opt_uint(&crash_ops, how, "after");
    s->restart = opt_bool(&crash_ops, how, "restart");
    s->random = opt_uint(&crash_ops, how, "seed");
    crash_cache_init(&s->cache, lower->block_bytes, (uint32_t)sector);
    list_init(&s->turns);
    s->store.info = filter_info(how->lower);
    s->store.info.volatile_cache = true;
    s->store.info.can_compare_and_write = false;
    s->store.info.can_lend = false;
    s->store.info.can_grant = false;
    *ret_store = &s->store;
    return 0;
}

/* As with a real cache, closing is not flushing. */
static void crash_close(struct store *store)
{
    struct crash_store *s = list_entry(store, struct crash_store, store);
    crash_cache_fini(&s->cache);
    (void)pthread_mutex_destroy(&s->lock);
    filter_close(store);
}

static int crash_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct crash_channel *c = calloc(1, sizeof *c);
    int err = c ? filter_channel_init(&c->fc, s, loop) : USAN_ENOMEM;
    if (err) {
        free(c);
        return err;
    }
    *ret_ch = &c->fc.ch;
    return 0;
}

static void crash_channel_close(struct store_channel *ch)
{
    struct crash_channel *c = list_entry(ch, struct crash_channel, fc.ch);
    struct crash_turn *next;
    for (struct crash_turn *t = c->spare; t; t = next) {
        next = t->next;
        free(t);
    }
    filter_channel_fini(&c->fc);
    free(c);
}

static void crash_stats(struct store *store, FILE *out)
{
    struct crash_store *s = list_entry(store, struct crash_store, store);
    lock(s);
    uint64_t cached = s->cache.bytes, crashes = s->crashes;
    struct crash_toll toll = s->toll;
    unlock(s);
    fprintf(out, "crash.cached_bytes %llu\n", (unsigned long long)cached);
    fprintf(out, "crash.crashes %llu\n", (unsigned long long)crashes);
    fprintf(out, "crash.blocks_kept %llu\n", (unsigned long long)toll.kept);
    fprintf(out, "crash.blocks_lost %llu\n", (unsigned long long)toll.lost);
    fprintf(out, "crash.blocks_garbled %llu\n", (unsigned long long)toll.garbled);
}

const struct store_ops crash_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "crash",
    .help = "a volatile write cache that can lose power",
    .opts = crash_opts,
    .is_filter = true,
    .check = crash_check,
    .open = crash_open,
    .close = crash_close,
    .channel_open = crash_channel_open,
    .channel_close = crash_channel_close,
    .submit = crash_submit,
    .stats = crash_stats,
};
