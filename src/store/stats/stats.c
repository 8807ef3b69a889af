/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts requests, bytes and errors and measures how long the store below takes. */
#include "io/clock.h"
#include "store/filter.h"
#include "store/opt.h"
#include "store/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Times are counted in classes: less than 1 us, 2 us, 4 us ... and the rest. */
#define TIME_CLASSES   26

#define NAME_BYTES_MAX 32

struct op_counts {
    uint64_t ops, bytes, errors, ns_sum, ns_max;
    uint64_t times[TIME_CLASSES];
};

struct counts {
    struct op_counts op[BIO_OP_COUNT];
};

struct stats_store {
    struct store store;
    char name[NAME_BYTES_MAX];
    pthread_mutex_t lock;
    struct list channels;
    struct counts closed; /* of channels that are gone */
};

struct stats_channel {
    struct filter_channel fc;
    struct list node;
    struct counts counts; /* written by the channel's thread, read by any */
};

static const struct store_opt_desc stats_opts[] = {
    { "name", "text", "stats", "what the lines of this filter begin with" },
    { .key = NULL },
};

static int stats_check(const struct store_open *how, struct err_text *e)
{
    const char *name = opt_text(&stats_ops, how, "name");
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (!len || len >= NAME_BYTES_MAX || name[len])
        return err_set(e, USAN_EINVAL, "option 'name': 1 to %d letters, digits, _ and -",
                       NAME_BYTES_MAX - 1);
    return 0;
}

static int stats_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    const char *name = opt_text(&stats_ops, how, "name");
    struct stats_store *s = calloc(1, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL)) {
        free(s);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    memcpy(s->name, name, strlen(name) + 1);
    list_init(&s->channels);
    s->store.info = filter_info(how->lower);
    *ret_store = &s->store;
    return 0;
}

static void stats_close(struct store *s)
{
    struct stats_store *st = list_entry(s, struct stats_store, store);
    (void)pthread_mutex_destroy(&st->lock);
    filter_close(s);
}

/* ---- counting: one writer, so no read-modify-write has to be atomic ---- */

static uint64_t load(const uint64_t *v)
{
    return __atomic_load_n(v, __ATOMIC_RELAXED);
}

static void add(uint64_t *v, uint64_t n)
{
    __atomic_store_n(v, load(v) + n, __ATOMIC_RELAXED);
}

static void raise_to(uint64_t *v, uint64_t n)
{
    if (load(v) < n)
        __atomic_store_n(v, n, __ATOMIC_RELAXED);
}

static void sum(struct counts *to, const struct counts *from)
{
    for (size_t i = 0; i < BIO_OP_COUNT; i++) {
        struct op_counts *t = &to->op[i];
        const struct op_counts *f = &from->op[i];
        add(&t->ops, load(&f->ops));
        add(&t->bytes, load(&f->bytes));
        add(&t->errors, load(&f->errors));
        add(&t->ns_sum, load(&f->ns_sum));
        raise_to(&t->ns_max, load(&f->ns_max));
        for (size_t k = 0; k < TIME_CLASSES; k++)
            add(&t->times[k], load(&f->times[k]));
    }
}

static size_t time_class(uint64_t ns)
{
    uint64_t us = ns / NS_PER_US;
    size_t class = us ? (size_t)(64 - __builtin_clzll(us)) : 0;
    return class < TIME_CLASSES ? class : TIME_CLASSES - 1;
}

static void finished(struct bio *bio)
{
    struct filter_req *req = list_entry(bio, struct filter_req, bio);
    struct stats_channel *c = list_entry(req->fc, struct stats_channel, fc);
    struct op_counts *n = &c->counts.op[bio->op];
    uint64_t ns = clock_now_ns() - req->ns;
    add(&n->ops, 1);
    if (bio->err)
        add(&n->errors, 1);
    else
        add(&n->bytes, bio->len);
    add(&n->ns_sum, ns);
    raise_to(&n->ns_max, ns);
    add(&n->times[time_class(ns)], 1);
    filter_finish(req, bio->err);
}

static void stats_submit(struct store_channel *ch, struct bio *bio)
{
    struct filter_req *req = filter_req_get(ch, bio);
    if (!req) {
        filter_refuse(ch, bio, USAN_ENOMEM);
        return;
    }
    req->ns = clock_now_ns();
    filter_send(req, finished);
}

/* ---- channels ---- */

static int stats_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct stats_store *st = list_entry(s, struct stats_store, store);
    struct stats_channel *c = calloc(1, sizeof *c);
    int err = c ? filter_channel_init(&c->fc, s, loop) : USAN_ENOMEM;
    if (err) {
        free(c);
        return err;
    }
    (void)pthread_mutex_lock(&st->lock);
    list_push_back(&st->channels, &c->node);
    (void)pthread_mutex_unlock(&st->lock);
    *ret_ch = &c->fc.ch;
    return 0;
}

static void stats_channel_close(struct store_channel *ch)
{
    struct stats_channel *c = list_entry(ch, struct stats_channel, fc.ch);
    struct stats_store *st = list_entry(ch->store, struct stats_store, store);
    (void)pthread_mutex_lock(&st->lock);
    list_del(&c->node);
    sum(&st->closed, &c->counts);
    (void)pthread_mutex_unlock(&st->lock);
    filter_channel_fini(&c->fc);
    free(c);
}

/* ---- output ---- */

/* Upper limit of the class in which the given share of the requests is reached. */
static uint64_t quantile_us(const struct op_counts *n, uint64_t per_mille)
{
    uint64_t want = (n->ops * per_mille + 999) / 1000, have = 0;
    size_t class = 0;
    while (class < TIME_CLASSES - 1 && (have += n->times[class]) < want)
        class ++;
    return 1ull << class;
}

static void stats_print(struct store *s, FILE *out)
{
    struct stats_store *st = list_entry(s, struct stats_store, store);
    (void)pthread_mutex_lock(&st->lock);
    struct counts all = st->closed;
    list_for_each (&st->channels, node)
        sum(&all, &list_entry(node, struct stats_channel, node)->counts);
    (void)pthread_mutex_unlock(&st->lock);
    for (size_t i = 0; i < BIO_OP_COUNT; i++) {
        const struct op_counts *n = &all.op[i];
        const char *op = filter_op_name((enum bio_op)i);
        if (!n->ops)
            continue;
        fprintf(out, "%s.%s.ops %llu\n", st->name, op, (unsigned long long)n->ops);
        fprintf(out, "%s.%s.bytes %llu\n", st->name, op, (unsigned long long)n->bytes);
        fprintf(out, "%s.%s.errors %llu\n", st->name, op, (unsigned long long)n->errors);
        fprintf(out, "%s.%s.ns_total %llu\n", st->name, op, (unsigned long long)n->ns_sum);
        fprintf(out, "%s.%s.ns_max %llu\n", st->name, op, (unsigned long long)n->ns_max);
        fprintf(out, "%s.%s.p50_us %llu\n", st->name, op, (unsigned long long)quantile_us(n, 500));
        fprintf(out, "%s.%s.p99_us %llu\n", st->name, op, (unsigned long long)quantile_us(n, 990));
    }
}

const struct store_ops stats_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "stats",
    .help = "counts requests, bytes and errors, measures times",
    .opts = stats_opts,
    .is_filter = true,
    .check = stats_check,
    .open = stats_open,
    .close = stats_close,
    .channel_open = stats_channel_open,
    .channel_close = stats_channel_close,
    .submit = stats_submit,
    .cancel = filter_cancel,
    .lend_end = filter_lend_end,
    .write_grant = filter_write_grant,
    .write_revoke = filter_write_revoke,
    .stats = stats_print,
};
