/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/attach.h"

#include "attach/listen.h"
#include "attach/reactor.h"
#include "io/clock.h"
#include "nbd/proto.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* timeout(1) and terminals signal a process and its group: so close together, it is one wish. */
#define STOP_REPEAT_NS (500 * NS_PER_MS)

struct attach {
    const struct attach_config *cfg;
    struct store *store;
    struct payload_limit limit;
    struct attach_reactor **reactors;
    unsigned reactor_count;
    struct attach_listener *listeners;
    size_t listener_count;

    /* The control thread: signals and the stop. */
    struct loop *control;
    struct loop_fd signals;
    struct loop_timer give_up;
    bool stopping;
    uint64_t stopping_ns;
    const char *incomplete; /* the stop was, and why */
    atomic_uint undrained;  /* reactors */
    struct bio flush_bio;
    int flush_err;
    struct loop_msg close_msg, flush_msg, stopped_msg;
};

/* ---- start ---- */

static int open_control(struct attach *a, struct err_text *e)
{
    /* It waits most of the time; an engine of its own for that would be wasted. */
    struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL, .poll = LOOP_POLL_NEVER, .cpu = -1 };
    int err = loop_new(&lc, &a->control, e);
    if (err)
        return err;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    a->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (a->signals.fd < 0)
        return err_set(e, usan_err_from_errno(errno), "signalfd: %s", strerror(errno));
    return 0;
}

static int open_store(struct attach *a, struct err_text *e)
{
    int err = store_open_spec(a->cfg->store, a->cfg->read_only, &a->store, e);
    if (err)
        return err;
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
    struct loop_config lc = { .engine = a->cfg->engine, .poll = a->cfg->poll, .cpu = -1 };
    for (unsigned i = 0; i < n; i++) {
        int err =
            attach_reactor_new(&a->cfg->front, a->store, &lc, &a->limit, i, n, &a->reactors[i], e);
        if (err)
            return err;
    }
    return 0;
}

static int open_listeners(struct attach *a, struct err_text *e)
{
    a->listeners = calloc(a->cfg->front_count, sizeof(*a->listeners));
    if (!a->listeners)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (size_t i = 0; i < a->cfg->front_count; i++) {
        a->listener_count++; /* a half-opened one is closed too */
        int err = attach_listener_open(&a->listeners[i], a->cfg, a->cfg->fronts[i], e);
        if (err)
            return err;
    }
    return 0;
}

int attach_check(const struct attach_config *cfg, struct err_text *e)
{
    if (cfg->front_count == 0)
        return err_set(e, USAN_EINVAL, "nothing to attach it as; say --as nbd:unix:PATH");
    if (strlen(cfg->front.name) > NBD_STRING_MAX)
        return err_set(e, USAN_EINVAL, "the name of an export has at most %d bytes",
                       NBD_STRING_MAX);
    for (size_t i = 0; i < cfg->front_count; i++) {
        int err = attach_listener_check(cfg->fronts[i], e);
        if (err)
            return err;
    }
    return store_check_spec(cfg->store, e);
}

int attach_new(const struct attach_config *cfg, struct attach **ret_a, struct err_text *e)
{
    assert(cfg->memory_bytes >= ATTACH_MEMORY_MIN);
    struct attach *a = calloc(1, sizeof(*a));
    if (!a)
        return err_set(e, USAN_ENOMEM, "out of memory");
    a->cfg = cfg;
    a->signals.fd = -1;
    a->limit.max_bytes = cfg->memory_bytes;
    int err = open_control(a, e);
    if (!err)
        err = open_store(a, e);
    if (!err)
        err = open_reactors(a, e);
    if (!err)
        err = open_listeners(a, e);
    if (err) {
        attach_free(a);
        return err;
    }
    *ret_a = a;
    return 0;
}

const char *attach_uri(const struct attach *a, size_t i)
{
    return i < a->listener_count ? a->listeners[i].uri : NULL;
}

void attach_free(struct attach *a)
{
    if (!a)
        return;
    for (unsigned i = 0; a->reactors && i < a->reactor_count; i++) {
        if (a->reactors[i])
            attach_reactor_stop(a->reactors[i]);
    }
    for (size_t i = 0; i < a->listener_count; i++)
        attach_listener_free(&a->listeners[i]);
    for (unsigned i = 0; a->reactors && i < a->reactor_count; i++)
        attach_reactor_free(a->reactors[i]);
    store_close(a->store);
    if (a->signals.fd >= 0)
        close(a->signals.fd);
    if (a->control)
        loop_free(a->control);
    assert(atomic_load(&a->limit.taken_bytes) == 0);
    free(a->listeners);
    free(a->reactors);
    free(a);
}

/* ---- stop: listeners closed, reactors drained, store flushed ---- */

static void end(struct attach *a)
{
    loop_timer_cancel(a->control, &a->give_up);
    loop_stop(a->control);
}

static void give_up_now(struct attach *a, const char *why)
{
    front_report(&a->cfg->front, FRONT_ERROR, "stop-incomplete", "why=\"%s\"", why);
    a->incomplete = why;
    end(a);
}

static void stopped(struct loop_msg *m)
{
    end(list_entry(m, struct attach, stopped_msg));
}

static void flushed(struct bio *bio)
{
    struct attach *a = list_entry(bio, struct attach, flush_bio);
    a->flush_err = bio->err;
    if (bio->err)
        front_report(&a->cfg->front, FRONT_ERROR, "flush-failed", "store=\"%s\" why=\"%s\"",
                     store_spec_text(a->cfg->store).s, usan_strerror(bio->err));
    a->stopped_msg.deliver = stopped;
    loop_post(a->control, &a->stopped_msg);
}

static void flush(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, flush_msg);
    a->flush_bio = (struct bio){ .op = BIO_FLUSH, .done = flushed };
    store_submit(a->reactors[0]->front.ch, &a->flush_bio);
}

static void drained(struct attach_reactor *r)
{
    struct attach *a = r->drained_arg;
    if (atomic_fetch_sub(&a->undrained, 1) > 1)
        return;
    a->flush_msg.deliver = flush;
    loop_post(a->reactors[0]->front.loop, &a->flush_msg);
}

static void close_listeners(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, close_msg);
    for (size_t i = 0; i < a->listener_count; i++)
        attach_listener_close(&a->listeners[i]);
    for (unsigned i = 0; i < a->reactor_count; i++)
        attach_reactor_drain(a->reactors[i], drained, a);
}

static void gave_up(struct loop_timer *t)
{
    give_up_now(list_entry(t, struct attach, give_up),
                "requests did not finish in the store in time");
}

static void begin_stop(struct attach *a)
{
    uint64_t now = clock_now_ns();
    if (a->stopping) {
        if (now - a->stopping_ns >= STOP_REPEAT_NS)
            give_up_now(a, "told to stop a second time");
        return;
    }
    a->stopping = true;
    a->stopping_ns = now;
    front_report(&a->cfg->front, FRONT_INFO, "stopping", "store=\"%s\"",
                 store_spec_text(a->cfg->store).s);
    if (loop_timer_set(a->control, &a->give_up, now + ATTACH_GIVE_UP_NS)) {
        give_up_now(a, "out of memory");
        return;
    }
    atomic_store(&a->undrained, a->reactor_count);
    a->close_msg.deliver = close_listeners;
    loop_post(a->reactors[0]->front.loop, &a->close_msg);
}

static void report_stats(void *arg, const char *what, const char *values)
{
    const struct attach *a = arg;
    front_report(&a->cfg->front, FRONT_STATUS, "store", "store=\"%s\" what=%s %s",
                 store_spec_text(a->cfg->store).s, what, values);
}

static void report_status(struct attach *a)
{
    unsigned conns = 0;
    for (unsigned i = 0; i < a->reactor_count; i++)
        conns += atomic_load(&a->reactors[i]->nbd.conn_count);
    front_report(&a->cfg->front, FRONT_STATUS, "status",
                 "connections=%u memory_taken=%llu memory_limit=%llu engine=%s", conns,
                 (unsigned long long)atomic_load(&a->limit.taken_bytes),
                 (unsigned long long)a->limit.max_bytes,
                 loop_engine_name(a->reactors[0]->front.loop));
    store_report(a->store, report_stats, a);
}

static bool on_signal(struct loop_fd *lfd, uint32_t events)
{
    struct attach *a = list_entry(lfd, struct attach, signals);
    (void)events;
    struct signalfd_siginfo si;
    if (read(lfd->fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
        return false;
    if (si.ssi_signo == SIGUSR1)
        report_status(a);
    else if (si.ssi_signo == SIGHUP)
        front_report(&a->cfg->front, FRONT_WARN, "hangup-ignored",
                     "why=\"there is nothing to reload\"");
    else
        begin_stop(a);
    return true;
}

/* ---- the control thread ---- */

/* The first reactor, which accepts, comes last: until then nothing can have happened. */
static int start(struct attach *a, struct err_text *e)
{
    loop_timer_init(&a->give_up, gave_up);
    a->signals.events = LOOP_IN;
    a->signals.ready = on_signal;
    int err = loop_fd_add(a->control, &a->signals);
    for (size_t i = 0; !err && i < a->listener_count; i++)
        err = attach_listener_start(&a->listeners[i], a->reactors, a->reactor_count);
    if (err)
        return err_set(e, err, "event loop: %s", usan_strerror(err));
    for (unsigned i = a->reactor_count; !err && i-- > 0;)
        err = attach_reactor_start(a->reactors[i], e);
    return err;
}

int attach_run(struct attach *a, struct err_text *e)
{
    int err = start(a, e);
    if (!err)
        loop_run(a->control);
    loop_fd_del(&a->signals);
    if (err)
        return err;
    if (a->incomplete)
        return err_set(e, USAN_ETIMEOUT, "stopped without finishing everything: %s", a->incomplete);
    front_report(&a->cfg->front, FRONT_INFO, "stopped", "flushed=%s", a->flush_err ? "no" : "yes");
    if (a->flush_err)
        return err_set(e, a->flush_err, "not all data could be made durable: %s",
                       usan_strerror(a->flush_err));
    return 0;
}
