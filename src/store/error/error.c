/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests fail: some, those of a kind, those that touch a range, or a given number of them. */
#include "store/filter.h"
#include "store/opt.h"
#include "store/registry.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct error_store {
    struct store store;
    uint32_t ops;
    uint32_t rate_ppb;
    uint64_t off, len;     /* len 0: to the end */
    uint64_t after, count; /* count 0: no limit */
    int err;
    bool carry_out; /* fail only after the store below has done it */
    /* atomic */
    uint64_t random;
    uint64_t seen;   /* requests that op and range fit */
    uint64_t failed; /* requests failed, and attempts beyond the limit */
};

static const struct store_opt_desc error_opts[] = {
    { "err", "text", "io", "how: io, nospc, rdonly, miscompare, nomem, closed ..." },
    { "op", "text", "all", "which requests: " FILTER_OPS_HELP },
    { "off", "size", "0", "only requests that touch the range from this byte on" },
    { "len", "size", "0", "length of that range; 0 = to the end" },
    { "after", "uint", "0", "let so many of them pass first" },
    { "rate", "ratio", "1", "share of them that fails" },
    { "count", "uint", "0", "fail so many at most; 0 = no limit" },
    { "when", "text", "before", "fail before or after the store below has carried it out" },
    { "seed", "uint", "1", "start of the random sequence" },
    { .key = NULL },
};

static int parse_err(const char *text)
{
    static const struct {
        const char *name;
        int err;
    } errors[] = {
#define X(name, num, text) { #name, USAN_E##name },
        USAN_ERR_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (!strcasecmp(errors[i].name, text))
            return errors[i].err;
    }
    return 0;
}

static int read_options(const struct store_open *how, struct error_store *x, struct err_text *e)
{
    const char *err = opt_text(&error_ops, how, "err");
    const char *op = opt_text(&error_ops, how, "op");
    const char *when = opt_text(&error_ops, how, "when");
    *x = (struct error_store){
        .err = parse_err(err),
        .off = opt_size(&error_ops, how, "off"),
        .len = opt_size(&error_ops, how, "len"),
        .after = opt_uint(&error_ops, how, "after"),
        .rate_ppb = opt_ratio(&error_ops, how, "rate"),
        .count = opt_uint(&error_ops, how, "count"),
        .carry_out = !strcmp(when, "after"),
        .random = opt_uint(&error_ops, how, "seed"),
    };
    if (!x->err)
        return err_set(e, USAN_EINVAL, "option 'err': '%s' is not the name of an error", err);
    if (filter_parse_ops(op, &x->ops))
        return err_set(e, USAN_EINVAL, "option 'op': '%s' is not " FILTER_OPS_HELP, op);
    if (!x->carry_out && strcmp(when, "before") != 0)
        return err_set(e, USAN_EINVAL, "option 'when': '%s' is not before or after", when);
    return 0;
}

static int error_check(const struct store_open *how, struct err_text *e)
{
    struct error_store x;
    return read_options(how, &x, e);
}

static int error_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    struct error_store x;
    int err = read_options(how, &x, e);
    if (err)
        return err;
    struct error_store *s = malloc(sizeof *s);
    if (!s)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    *s = x;
    s->store.info = filter_info(how->lower);
    /* Or else no FLUSH would come this way. */
    if (s->ops & 1u << BIO_FLUSH)
        s->store.info.volatile_cache = true;
    *ret_store = &s->store;
    return 0;
}

/* FLUSH has no range: it touches everything. */
static bool touches(const struct error_store *x, const struct bio *bio)
{
    uint64_t end = x->len && x->len <= UINT64_MAX - x->off ? x->off + x->len : UINT64_MAX;
    return bio->op == BIO_FLUSH || (bio->off < end && bio->off + bio->len > x->off);
}

static bool hit(struct error_store *x, const struct bio *bio)
{
    if (!(x->ops & 1u << bio->op) || !touches(x, bio))
        return false;
    if (__atomic_fetch_add(&x->seen, 1, __ATOMIC_RELAXED) < x->after)
        return false;
    if (!filter_chance(&x->random, x->rate_ppb))
        return false;
    return __atomic_fetch_add(&x->failed, 1, __ATOMIC_RELAXED) < x->count || !x->count;
}

static uint64_t first_bad(const struct error_store *x, const struct bio *bio)
{
    return bio->off > x->off ? bio->off : x->off;
}

static void carried_out(struct bio *bio)
{
    struct filter_req *req = list_entry(bio, struct filter_req, bio);
    const struct error_store *x = list_entry(req->fc->ch.store, struct error_store, store);
    if (bio->op == BIO_READ)
        store_lend_end(req->fc->ch.lower, bio);
    if (!bio->err)
        bio->err_off = first_bad(x, bio);
    filter_finish(req, bio->err ? bio->err : x->err);
}

static void error_submit(struct store_channel *ch, struct bio *bio)
{
    struct error_store *x = list_entry(ch->store, struct error_store, store);
    bool fails = hit(x, bio);
    if (fails && !x->carry_out) {
        bio->err_off = first_bad(x, bio);
        filter_refuse(ch, bio, x->err);
        return;
    }
    struct filter_req *req = filter_req_get(ch, bio);
    if (!req) {
        filter_refuse(ch, bio, USAN_ENOMEM);
        return;
    }
    filter_send(req, fails ? carried_out : filter_passed);
}

static void error_stats(struct store *s, FILE *out)
{
    const struct error_store *x = list_entry(s, struct error_store, store);
    uint64_t failed = __atomic_load_n(&x->failed, __ATOMIC_RELAXED);
    if (x->count && failed > x->count)
        failed = x->count;
    fprintf(out, "error.seen %llu\n",
            (unsigned long long)__atomic_load_n(&x->seen, __ATOMIC_RELAXED));
    fprintf(out, "error.failed %llu\n", (unsigned long long)failed);
}

const struct store_ops error_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "error",
    .help = "requests fail, by chance, kind, place or number",
    .opts = error_opts,
    .is_filter = true,
    .check = error_check,
    .open = error_open,
    .close = filter_close,
    .channel_open = filter_channel_open,
    .channel_close = filter_channel_close,
    .submit = error_submit,
    .cancel = filter_cancel,
    .lend_end = filter_lend_end,
    .write_grant = filter_write_grant,
    .write_revoke = filter_write_revoke,
    .stats = error_stats,
};
