/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SendTargets, in a thread. */
#include "lib/lib.h"

#include "initiator/sync.h"

#include <stdlib.h>
#include <string.h>

struct discovering {
    struct job job;
    struct ini_url url;
    struct ini_targets found;
    struct usan_target *targets; /* points into found */
    struct usan_targets list;    /* the same */
    int err;
    struct err_text e;
};

static void discovering_free(struct discovering *d)
{
    ini_targets_fini(&d->found);
    ini_url_wipe(&d->url);
    free(d->targets);
    free(d);
}

static void work(struct job *job)
{
    struct discovering *d = list_entry(job, struct discovering, job);
    struct ini_sync *sync;
    d->err = ini_sync_open(&d->url, &sync, &d->e);
    if (d->err)
        return;
    d->err = ini_sync_targets(sync, &d->found, &d->e);
    ini_sync_close(sync);
    if (d->err)
        return;
    d->targets = calloc(d->found.count + 1, sizeof(*d->targets));
    if (!d->targets) {
        d->err = err_set(&d->e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
        return;
    }
    for (size_t i = 0; i < d->found.count; i++) {
        const struct ini_target *t = &d->found.v[i];
        d->targets[i] = (struct usan_target){ .name = t->name,
                                              .addresses = (const char *const *)t->addresses,
                                              .address_count = t->address_count };
    }
    d->list = (struct usan_targets){ .targets = d->targets, .count = d->found.count };
}

static void failed(struct job *job, int err, const struct err_text *e)
{
    struct discovering *d = list_entry(job, struct discovering, job);
    d->err = err;
    d->e = *e;
}

/* In mode USAN_QUEUE the result is looked at later: the request's done function comes first. */
static void give(void *user, const struct usan_result *result);

struct giving {
    struct discovering *d;
    usan_done_fn *done;
    void *user;
};

static void over(struct job *job)
{
    struct discovering *d = list_entry(job, struct discovering, job);
    struct request *r = job->request;
    struct giving *g = r ? malloc(sizeof(*g)) : NULL;
    if (r && !g)
        d->err = USAN_ENOMEM;
    if (r && d->err && request_failure(r))
        failure_set(r->failure, d->err, "%s", *d->e.text ? d->e.text : usan_strerror(d->err));
    job_end(job);
    if (!g) {
        int err = d->err;
        discovering_free(d);
        if (r)
            request_finish(r, err);
        return;
    }
    *g = (struct giving){ .d = d, .done = r->done, .user = r->user };
    r->targets = d->list.targets;
    r->target_count = d->list.count;
    r->done = give;
    r->user = g;
    request_finish(r, d->err);
}

static void give(void *user, const struct usan_result *result)
{
    struct giving *g = user;
    g->done(g->user, result);
    discovering_free(g->d);
    free(g);
}

/* NULL: failure_last() says why. */
static struct discovering *parse(const char *url)
{
    struct discovering *d = calloc(1, sizeof(*d));
    if (!d) {
        (void)fail(USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
        return NULL;
    }
    d->job.work = work;
    d->job.failed = failed;
    d->job.over = over;
    int err = ini_url_parse(url, &d->url, &d->e);
    if (err)
        (void)fail(err, "%s", d->e.text);
    else if (*d->url.target)
        err = fail(USAN_EINVAL, "the URL of a portal names no target");
    if (err) {
        discovering_free(d);
        return NULL;
    }
    return d;
}

int usan_discover(struct usan_ctx *ctx, const char *url, usan_done_fn *done, void *user,
                  uint64_t *ret_id)
{
    const struct begin b = { .kind = REQUEST_JOB, .done = done, .user = user, .ret_id = ret_id };
    struct request *r = NULL;
    struct discovering *d = parse(url);
    if (!d)
        return usan_last_error()->code;
    int err = request_begin(ctx, NULL, &b, &r);
    if (err)
        discovering_free(d);
    else
        job_start(&d->job, ctx, r);
    return err;
}

int usan_discover_wait(const char *url, struct usan_targets **ret_targets)
{
    struct discovering *d = parse(url);
    if (!d)
        return usan_last_error()->code;
    work(&d->job);
    if (d->err) {
        int err = fail(d->err, "%s", d->e.text);
        discovering_free(d);
        return err;
    }
    *ret_targets = &d->list;
    return 0;
}

void usan_targets_free(struct usan_targets *targets)
{
    if (targets)
        discovering_free(list_entry(targets, struct discovering, list));
}
