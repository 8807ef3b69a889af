/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/attach.h"

#include "attach/fronts.h"
#include "attach/status.h"
#include "attach/stop.h"
#include "target/log.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_NS NS_PER_SEC

/* ---- start ---- */

/* On the thread of any reactor. Loop devices look at the size by themselves. */
static void store_news(struct store_watcher *w, enum store_news what, const char *text)
{
    struct attach *a = list_entry(w, struct attach, watcher);
    if (what == STORE_NEWS_TEXT)
        front_report(&a->cfg->front, FRONT_WARN, "store", "store=%s what=%s",
                     tgt_log_quote(store_spec_text(a->cfg->store).s).s, tgt_log_quote(text).s);
    else
        front_report(
            &a->cfg->front, FRONT_WARN, "store", "store=%s what=size bytes=%llu",
            tgt_log_quote(store_spec_text(a->cfg->store).s).s,
            (unsigned long long)__atomic_load_n(&a->store->info.size_bytes, __ATOMIC_RELAXED));
}

static int open_store(struct attach *a, struct err_text *e)
{
    int err = store_open_spec(a->cfg->store, a->cfg->read_only, &a->store, e);
    if (err)
        return err;
    a->watcher.news = store_news;
    store_watch(a->store, &a->watcher);
    const struct store_info *info = &a->store->info;
    if (info->block_bytes > 65536)
        return err_set(e, USAN_ENOTSUP, "%s: NBD has no blocks of %u bytes, at most 65536",
                       store_spec_text(a->cfg->store).s, info->block_bytes);
    if (info->size_bytes < info->block_bytes)
        return err_set(e, USAN_EINVAL,
                       "%s: holds less than one block of %u bytes; give it a size first (truncate "
                       "-s SIZE)",
                       store_spec_text(a->cfg->store).s, info->block_bytes);
    if (info->max_io_bytes && info->max_io_bytes < info->block_bytes)
        return err_set(e, USAN_EINVAL, "%s: takes no whole block at once",
                       store_spec_text(a->cfg->store).s);
    return 0;
}

static int open_reactors(struct attach *a, struct err_text *e)
{
    unsigned n = a->cfg->cores;
    if (n == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online < 1 ? 1 : (unsigned)online;
    }
    if (n > ATTACH_REACTORS_MAX)
        n = ATTACH_REACTORS_MAX;
    a->reactors = calloc(n, sizeof(struct attach_reactor *));
    if (!a->reactors)
        return err_set(e, USAN_ENOMEM, "out of memory");
    a->reactor_count = n;
    /* A channel that nobody uses would be a session of an iSCSI store for nothing, and the second
     * channel makes the table that holds its overlapping writes back a shared one, under a lock. */
    struct store *used = attach_fronts_use_reactors(a->cfg) ? a->store : NULL;
    struct loop_config lc = { .engine = a->cfg->engine, .poll = a->cfg->poll, .cpu = -1 };
    for (unsigned i = 0; i < n; i++) {
        int err =
            attach_reactor_new(&a->cfg->front, used, &lc, &a->limit, i, n, &a->reactors[i], e);
        if (err)
            return err;
    }
    return 0;
}

int attach_check(const struct attach_config *cfg, struct err_text *e)
{
    int err = attach_fronts_check(cfg, e);
    return err ? err : store_check_spec(cfg->store, e);
}

int attach_new(const struct attach_config *cfg, struct attach **ret_a, struct err_text *e)
{
    assert(cfg->memory_bytes >= ATTACH_MEMORY_MIN);
    struct attach *a = calloc(1, sizeof(*a));
    if (!a)
        return err_set(e, USAN_ENOMEM, "out of memory");
    a->cfg = cfg;
    a->record.fd = -1;
    attach_control_init(&a->socket);
    a->limit.max_bytes = cfg->memory_bytes;
    int err = attach_fronts_new(a, e);
    if (!err)
        err = control_open(&a->control, true, e);
    if (!err)
        err = open_store(a, e);
    if (!err)
        err = open_reactors(a, e);
    if (!err)
        err = attach_fronts_open(a, e);
    if (err) {
        attach_free(a);
        return err;
    }
    *ret_a = a;
    return 0;
}

const char *attach_uri(const struct attach *a, size_t i)
{
    return i < a->uri_count ? a->uris[i] : NULL;
}

const char *attach_name(const struct attach *a)
{
    return a->record.fd >= 0 ? a->record.name : "";
}

void attach_free(struct attach *a)
{
    if (!a)
        return;
    for (unsigned i = 0; a->reactors && i < a->reactor_count; i++) {
        if (a->reactors[i])
            attach_reactor_stop(a->reactors[i]);
    }
    attach_fronts_free(a);
    for (unsigned i = 0; a->reactors && i < a->reactor_count; i++)
        attach_reactor_free(a->reactors[i]);
    store_close(a->store);
    attach_control_close(&a->socket);
    attach_record_remove(&a->record);
    attach_control_end(&a->socket, *a->result.text ? a->result.text : NULL);
    control_close(&a->control);
    assert(atomic_load(&a->limit.taken_bytes) == 0);
    free(a->reactors);
    free(a);
}

static void on_signal(struct control *c, int number)
{
    struct attach *a = list_entry(c, struct attach, control);
    if (number == SIGUSR1)
        attach_status_report(a);
    else if (number == SIGHUP)
        front_report(&a->cfg->front, FRONT_WARN, "hangup-ignored",
                     "why=\"there is nothing to reload\"");
    else
        attach_stop_begin(a);
}

/* ---- the start ---- */

static void look(struct loop_timer *t)
{
    struct attach *a = list_entry(t, struct attach, look);
    if (a->stopping)
        return;
    for (size_t i = 0; i < a->mount_count; i++)
        attach_mount_look(a->mounts[i]);
    if (loop_timer_set(a->control.loop, t, loop_now(a->control.loop) + LOOK_NS))
        front_report(&a->cfg->front, FRONT_ERROR, "size-not-watched", "why=\"out of memory\"");
}

/* The first reactor, which accepts, comes last: until then nothing can have happened. */
static int start_threads(struct attach *a, struct err_text *e)
{
    a->control.on_signal = on_signal;
    int err = control_start(&a->control, e);
    if (err)
        return err;
    err = attach_fronts_listen(a, e);
    for (unsigned i = a->reactor_count; !err && i-- > 0;)
        err = attach_reactor_start(a->reactors[i], e);
    return err;
}

int attach_start(struct attach *a, struct err_text *e)
{
    loop_timer_init(&a->give_up, attach_stop_gave_up);
    loop_timer_init(&a->look, look);
    int err = start_threads(a, e);
    if (err)
        return err;
    err = attach_fronts_start(a, e);
    if (err) { /* somebody may use it already */
        attach_stop_begin(a);
        loop_run(a->control.loop);
        control_end(&a->control);
        return a->incomplete ? USAN_ETIMEOUT : err;
    }
    attach_status_enlist(a);
    if (a->cfg->loop)
        look(&a->look);
    return 0;
}

int attach_run(struct attach *a, struct err_text *e)
{
    loop_run(a->control.loop);
    control_end(&a->control);
    loop_timer_cancel(a->control.loop, &a->look);
    if (a->incomplete)
        return err_set(e, USAN_ETIMEOUT, "stopped without finishing everything: %s", a->incomplete);
    int err = a->flush_err ? a->flush_err : a->write_err;
    front_report(&a->cfg->front, FRONT_INFO, "stopped", "flushed=%s", err ? "no" : "yes");
    if (err)
        (void)err_set(&a->result, err, "not all data could be made durable: %s",
                      usan_strerror(err));
    *e = a->result;
    return err == USAN_ETIMEOUT ? USAN_EIO : err; /* that would say that requests hang */
}

void attach_ask_to_stop(struct attach *a)
{
    attach_stop_begin(a);
}
