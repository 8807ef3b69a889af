/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk's channels are opened and closed one after the other, each on the thread of its reactor:
 * walk_msg goes from reactor to reactor.
 */
#include "lib/lib.h"

#include "initiator/iscsi_store.h"
#include "initiator/mpath_store.h"
#include "initiator/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- why requests fail ---- */

static void bad(const struct bio *bio, const struct iscsi_icmd *cmd, void *user)
{
    struct channel *c = user;
    char words[200];
    if (!c->bads && !(c->bads = calloc(BADS, sizeof(*c->bads))))
        return;
    struct bad *b = &c->bads[c->next_bad++ % BADS];
    b->bio = bio;
    b->off = bio->off;
    ini_scsi_words(cmd, words, sizeof(words));
    failure_set(&b->failure, USAN_EIO, "%s", words);
    failure_set_command(&b->failure, cmd);
}

/* A filter or store.c may have made a bio of its own: then the place says whose it was. */
static bool meant(const struct bad *b, const struct bio *bio)
{
    return b->failure.e.code &&
           (b->bio == bio || (b->off >= bio->off && b->off - bio->off < bio->len));
}

const struct failure *channel_take_bad(struct channel *c, const struct bio *bio)
{
    for (unsigned i = 0; c->bads && i < BADS; i++) {
        struct bad *b = &c->bads[i];
        if (!meant(b, bio))
            continue;
        b->failure.e.code = 0;
        return &b->failure;
    }
    return NULL;
}

/* ---- events ---- */

static void tell(struct usan_disk *disk, enum usan_event event, const char *why)
{
    ctx_lock(disk->ctx);
    bool closing = disk->closing;
    ctx_unlock(disk->ctx);
    if (!closing && atomic_load(&disk->known))
        disk->event(disk->event_user, disk, event, why);
}

static void deliver_events(struct notice *n)
{
    struct usan_disk *disk = list_entry(n, struct usan_disk, event_notice);
    char why[sizeof(disk->why)];
    ctx_lock(disk->ctx);
    unsigned events = disk->events;
    disk->events = 0;
    memcpy(why, disk->why, sizeof(why));
    ctx_unlock(disk->ctx);
    for (unsigned e = USAN_EVENT_LOST; e <= USAN_EVENT_PATH; e++) {
        if (events & 1u << e)
            tell(disk, (enum usan_event)e, why);
    }
    disk_request_over(disk);
}

static void happened(struct usan_disk *disk, enum usan_event event, const char *why)
{
    if (!disk->event)
        return;
    if (disk->ctx->mode != USAN_QUEUE) {
        tell(disk, event, why);
        return;
    }
    ctx_lock(disk->ctx);
    bool first = disk->events == 0 && !disk->closing;
    disk->events |= disk->closing ? 0 : 1u << event;
    (void)snprintf(disk->why, sizeof(disk->why), "%s", why);
    if (first) {
        disk->event_notice.deliver = deliver_events;
        disk->in_flight++;
        notice_push(disk->ctx, &disk->event_notice);
    }
    ctx_unlock(disk->ctx);
}

static void failed(const char *why, void *user)
{
    struct channel *c = user;
    if (!atomic_exchange(&c->disk->failed, true))
        happened(c->disk, USAN_EVENT_FAILED, why);
}

static void changed(enum ini_change change, const char *why, void *user)
{
    struct channel *c = user;
    bool lost = c->lost;
    switch (change) {
    case INI_LOST:
        c->lost = true;
        if (!lost && atomic_fetch_add(&c->disk->lost, 1) == 0)
            happened(c->disk, USAN_EVENT_LOST, why);
        break;
    case INI_LOGGED_IN:
        c->lost = false;
        if (lost && atomic_fetch_sub(&c->disk->lost, 1) == 1)
            happened(c->disk, USAN_EVENT_BACK, "the session is there again");
        break;
    case INI_TIMED_OUT:
        happened(c->disk, USAN_EVENT_GAVE_UP, why);
        break;
    case INI_FAILED: /* it is another unit */
        failed(why, c);
        break;
    }
}

/* What the store has to tell by itself; on any thread. */
static void news(struct store_watcher *w, enum store_news what, const char *text)
{
    struct usan_disk *disk = list_entry(w, struct usan_disk, watcher);
    char why[64];
    if (what == STORE_NEWS_TEXT) {
        happened(disk, USAN_EVENT_PATH, text);
        return;
    }
    (void)snprintf(why, sizeof(why), "%llu bytes now", (unsigned long long)usan_disk_size(disk));
    happened(disk, USAN_EVENT_RESIZED, why);
}

static const struct iscsi_watch_ops watch_ops = { .changed = changed,
                                                  .failed = failed,
                                                  .bad = bad };

/* ---- from channel to channel ---- */

static void walk(struct usan_disk *disk, void (*deliver)(struct loop_msg *m), struct reactor *to)
{
    disk->walk_msg.deliver = deliver;
    loop_post(to->loop, &disk->walk_msg);
}

static void disk_free(struct usan_disk *disk)
{
    for (unsigned i = 0; disk->channels && i < disk->channel_count; i++)
        free(disk->channels[i].bads);
    free(disk->channels);
    free(disk->name);
    free(disk);
}

static void close_channel(struct channel *c)
{
    if (c->iscsi)
        iscsi_channel_watch(c->iscsi, NULL, NULL);
    if (c->mpath)
        mpath_channel_watch(c->mpath, NULL, NULL);
    store_channel_close(c->ch);
    c->ch = c->iscsi = c->mpath = NULL;
}

/* ---- opening ---- */

static void opening_ended(struct loop_msg *m)
{
    struct usan_disk *disk = list_entry(m, struct usan_disk, walk_msg);
    void (*opened)(struct usan_disk *, int, void *) = disk->opened;
    void *arg = disk->opened_arg;
    int err = disk->walk_err;
    if (err) {
        store_close(disk->store);
        disk_free(disk);
        disk = NULL;
    }
    opened(disk, err, arg);
}

/* Those that are open are closed again, last one first. */
static void undo_one(struct loop_msg *m)
{
    struct usan_disk *disk = list_entry(m, struct usan_disk, walk_msg);
    close_channel(&disk->channels[disk->walk_at]);
    if (disk->walk_at == 0)
        walk(disk, opening_ended, &disk->ctx->reactors[0]);
    else
        walk(disk, undo_one, disk->channels[--disk->walk_at].reactor);
}

static void open_one(struct loop_msg *m)
{
    struct usan_disk *disk = list_entry(m, struct usan_disk, walk_msg);
    struct channel *c = &disk->channels[disk->walk_at];
    disk->walk_err = store_channel_open(disk->store, c->reactor->loop, &c->ch);
    if (disk->walk_err) {
        walk(disk, undo_one, c->reactor);
        return;
    }
    c->iscsi = iscsi_channel_of(c->ch);
    if (c->iscsi)
        iscsi_channel_watch(c->iscsi, &watch_ops, c);
    c->mpath = mpath_channel_of(c->ch);
    if (c->mpath)
        mpath_channel_watch(c->mpath, bad, c);
    if (++disk->walk_at == disk->channel_count)
        walk(disk, opening_ended, &disk->ctx->reactors[0]);
    else
        walk(disk, open_one, disk->channels[disk->walk_at].reactor);
}

static struct usan_disk *disk_new(struct usan_ctx *ctx, const char *spec,
                                  const struct usan_open_options *options)
{
    unsigned n = options->channels ? options->channels : 1;
    struct usan_disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return NULL;
    disk->ctx = ctx;
    disk->name = strdup(store_spec_text(spec).s);
    disk->channels = calloc(n, sizeof(*disk->channels));
    if (!disk->name || !disk->channels) {
        disk_free(disk);
        return NULL;
    }
    disk->channel_count = n;
    disk->event = options->event;
    disk->event_user = options->event_user;
    list_init(&disk->event_notice.node);
    ctx_lock(ctx);
    unsigned first = ctx->next_reactor;
    ctx->next_reactor = (first + n) % ctx->reactor_count;
    ctx_unlock(ctx);
    for (unsigned i = 0; i < n; i++) {
        disk->channels[i].disk = disk;
        disk->channels[i].reactor = &ctx->reactors[(first + i) % ctx->reactor_count];
    }
    return disk;
}

int disk_open_channels(struct usan_ctx *ctx, struct store *store, const char *spec,
                       const struct usan_open_options *options,
                       void (*opened)(struct usan_disk *disk, int err, void *arg), void *arg)
{
    struct usan_disk *disk = disk_new(ctx, spec, options);
    if (!disk) {
        store_close(store);
        return USAN_ENOMEM;
    }
    disk->store = store;
    disk->iscsi = iscsi_store_of(store);
    disk->mpath = mpath_store_of(store);
    disk->watcher.news = news;
    store_watch(store, &disk->watcher);
    disk->opened = opened;
    disk->opened_arg = arg;
    walk(disk, open_one, disk->channels[0].reactor);
    return 0;
}

/* ---- closing ---- */

static void closed(struct notice *n)
{
    struct request *r = list_entry(n, struct request, notice);
    struct usan_disk *disk = r->disk;
    struct usan_ctx *ctx = disk->ctx;
    const struct usan_result result = { .code = 0 };
    usan_done_fn *done = r->done;
    void *user = r->user;
    bool counted = disk->counted;
    disk_free(disk);
    ctx_lock(ctx);
    ctx->disks -= counted;
    ctx_unlock(ctx);
    if (done)
        done(user, &result);
}

static void close_one(struct loop_msg *m);

/* It has logged out, or had nothing to log out of. */
static void channel_ended(void *user)
{
    struct usan_disk *disk = user;
    close_channel(&disk->channels[disk->walk_at]);
    if (++disk->walk_at < disk->channel_count) {
        walk(disk, close_one, disk->channels[disk->walk_at].reactor);
        return;
    }
    store_close(disk->store);
    disk->close.notice.deliver = closed;
    if (disk->close.direct)
        closed(&disk->close.notice);
    else
        ctx_notify(disk->ctx, &disk->close.notice);
}

static void close_one(struct loop_msg *m)
{
    struct usan_disk *disk = list_entry(m, struct usan_disk, walk_msg);
    const struct channel *c = &disk->channels[disk->walk_at];
    if (c->iscsi)
        iscsi_channel_end(c->iscsi, channel_ended, disk);
    else if (c->mpath)
        mpath_channel_end(c->mpath, channel_ended, disk);
    else
        channel_ended(disk);
}

static void close_begin(struct usan_disk *disk)
{
    disk->walk_at = 0;
    walk(disk, close_one, disk->channels[0].reactor);
}

void disk_request_over(struct usan_disk *disk)
{
    ctx_lock(disk->ctx);
    assert(disk->in_flight > 0);
    bool last = --disk->in_flight == 0 && disk->closing;
    ctx_unlock(disk->ctx);
    if (last)
        close_begin(disk);
}

void disk_close(struct usan_disk *disk, usan_done_fn *done, void *user, bool direct)
{
    disk->close.disk = disk;
    disk->close.kind = REQUEST_CLOSE;
    disk->close.done = done;
    disk->close.user = user;
    disk->close.direct = direct;
    ctx_lock(disk->ctx);
    assert(!disk->closing);
    disk->closing = true;
    if (notice_take_back(disk->ctx, &disk->event_notice))
        disk->in_flight--;
    bool now = disk->in_flight == 0;
    ctx_unlock(disk->ctx);
    if (now)
        close_begin(disk);
}

void usan_close(struct usan_disk *disk, usan_done_fn *done, void *user)
{
    disk_close(disk, done, user, false);
}
