/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests wait a while before they go on to the store below. They may overtake each other. */
#include "store/filter.h"
#include "store/opt.h"
#include "store/registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An exponential distribution has no end; this many times the mean is where it is cut. */
#define EXPONENTIAL_MAX 20.0

struct delay_store {
    struct store store;
    uint32_t ops;
    uint64_t time_ns, jitter_ns;
    bool exponential;
    uint64_t random;
};

static const struct store_opt_desc delay_opts[] = {
    { "time", "time", "1ms", "how long every request waits" },
    { "jitter", "time", "0ms",
      "random time on top: the longest (uniform) or the mean (exponential)" },
    { "dist", "text", "uniform", "distribution of the jitter: uniform or exponential" },
    { "op", "text", "all", "which requests: " FILTER_OPS_HELP },
    { "seed", "uint", "1", "start of the random sequence" },
    { .key = NULL },
};

static int read_options(const struct store_open *how, struct delay_store *d, struct err_text *e)
{
    const char *dist = opt_text(&delay_ops, how, "dist");
    const char *op = opt_text(&delay_ops, how, "op");
    *d = (struct delay_store){
        .time_ns = opt_time(&delay_ops, how, "time"),
        .jitter_ns = opt_time(&delay_ops, how, "jitter"),
        .exponential = !strcmp(dist, "exponential"),
        .random = opt_uint(&delay_ops, how, "seed"),
    };
    if (!d->exponential && strcmp(dist, "uniform") != 0)
        return err_set(e, USAN_EINVAL, "option 'dist': '%s' is not uniform or exponential", dist);
    if (filter_parse_ops(op, &d->ops))
        return err_set(e, USAN_EINVAL, "option 'op': '%s' is not " FILTER_OPS_HELP, op);
    return 0;
}

static int delay_check(const struct store_open *how, struct err_text *e)
{
    struct delay_store d;
    return read_options(how, &d, e);
}

static int delay_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    struct delay_store d;
    int err = read_options(how, &d, e);
    if (err)
        return err;
    struct delay_store *s = malloc(sizeof *s);
    if (!s)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    *s = d;
    s->store.info = filter_info(how->lower);
    *ret_store = &s->store;
    return 0;
}

static uint64_t pick_delay(struct delay_store *d)
{
    uint64_t random = d->jitter_ns ? filter_random(&d->random) : 0;
    if (!d->jitter_ns)
        return d->time_ns;
    if (!d->exponential)
        return d->time_ns + random % (d->jitter_ns + 1);
    /* 53 bits, as many as a double holds; never 0 */
    double share = ((double)(random >> 11) + 0.5) / 9007199254740992.0;
    double times = -log(share);
    if (times > EXPONENTIAL_MAX)
        times = EXPONENTIAL_MAX;
    return d->time_ns + (uint64_t)(times * (double)d->jitter_ns);
}

static void waited(struct loop_timer *t)
{
    filter_send(list_entry(t, struct filter_req, timer), filter_passed);
}

static void delay_submit(struct store_channel *ch, struct bio *bio)
{
    struct delay_store *d = list_entry(ch->store, struct delay_store, store);
    struct filter_req *req = filter_req_get(ch, bio);
    if (!req) {
        filter_refuse(ch, bio, USAN_ENOMEM);
        return;
    }
    uint64_t ns = d->ops & 1u << bio->op ? pick_delay(d) : 0;
    if (!ns) {
        filter_send(req, filter_passed);
        return;
    }
    loop_timer_init(&req->timer, waited);
    int err = loop_timer_set(ch->loop, &req->timer, loop_now(ch->loop) + ns);
    if (err)
        filter_fail(req, err);
}

const struct store_ops delay_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "delay",
    .help = "requests take longer, by a fixed and a random time",
    .opts = delay_opts,
    .is_filter = true,
    .check = delay_check,
    .open = delay_open,
    .close = filter_close,
    .channel_open = filter_channel_open,
    .channel_close = filter_channel_close,
    .submit = delay_submit,
    .cancel = filter_cancel,
    .lend_end = filter_lend_end,
    .write_grant = filter_write_grant,
    .write_revoke = filter_write_revoke,
};
