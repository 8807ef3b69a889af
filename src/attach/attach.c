/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/attach.h"

#include "attach/stop.h"
#include "io/clock.h"
#include "nbd/proto.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS NS_PER_SEC

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

/* ---- front ends ---- */

static const char fuse_kind[] = "fuse:";

/* The directory of "fuse:DIR"; NULL = another front end. */
static const char *fuse_dir(const char *front)
{
    size_t n = sizeof(fuse_kind) - 1;
    return strncmp(front, fuse_kind, n) == 0 ? front + n : NULL;
}

static void unmounted(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, unmounted_msg);
    front_report(&a->cfg->front, FRONT_WARN, "unmounted", "why=\"by somebody else\"");
    if (a->cfg->front_count == 1 && !a->stopping) /* nobody is left to be served */
        attach_stop_begin(a);
}

static void on_unmounted(void *arg)
{
    struct attach *a = arg;
    loop_post(a->control, &a->unmounted_msg);
}

static int open_front(struct attach *a, const char *front, struct err_text *e)
{
    const char *dir = fuse_dir(front);
    if (!dir) {
        a->listener_count++; /* a half-opened one is closed too */
        return attach_listener_open(&a->listeners[a->listener_count - 1], a->cfg, front, e);
    }
    a->unmounted_msg.deliver = unmounted;
    int err = attach_mount_new(a->cfg, dir, a->reactors, a->reactor_count, on_unmounted, a,
                               &a->mounts[a->mount_count], e);
    a->mount_count += err ? 0 : 1;
    return err;
}

static int open_fronts(struct attach *a, struct err_text *e)
{
    a->listeners = calloc(a->cfg->front_count, sizeof(*a->listeners));
    a->mounts = calloc(a->cfg->front_count, sizeof(struct attach_mount *));
    if (!a->listeners || !a->mounts)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (size_t i = 0; i < a->cfg->front_count; i++) {
        int err = open_front(a, a->cfg->fronts[i], e);
        if (err)
            return err;
    }
    return 0;
}

static int check_front(const struct attach_config *cfg, const char *front, struct err_text *e)
{
    const char *dir = fuse_dir(front);
    if (dir)
        return attach_mount_check(cfg, dir, e);
    return attach_listener_check(front, e);
}

int attach_check(const struct attach_config *cfg, struct err_text *e)
{
    bool mounts = false;
    if (cfg->front_count == 0)
        return err_set(e, USAN_EINVAL, "nothing to attach it as; say --as nbd:unix:PATH");
    if (strlen(cfg->front.name) > NBD_STRING_MAX)
        return err_set(e, USAN_EINVAL, "the name of an export has at most %d bytes",
                       NBD_STRING_MAX);
    for (size_t i = 0; i < cfg->front_count; i++) {
        int err = check_front(cfg, cfg->fronts[i], e);
        if (err)
            return err;
        mounts |= fuse_dir(cfg->fronts[i]) != NULL;
    }
    if (cfg->loop && !mounts)
        return err_set(e, USAN_EINVAL, "--loop makes a device of a file: add --as fuse:DIR");
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
    a->record.fd = -1;
    attach_control_init(&a->socket);
    a->limit.max_bytes = cfg->memory_bytes;
    int err = open_control(a, e);
    if (!err)
        err = open_store(a, e);
    if (!err)
        err = open_reactors(a, e);
    if (!err)
        err = open_fronts(a, e);
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
    for (size_t i = 0; i < a->listener_count; i++)
        attach_listener_free(&a->listeners[i]);
    for (size_t i = 0; i < a->mount_count; i++)
        attach_mount_free(a->mounts[i]);
    for (unsigned i = 0; a->reactors && i < a->reactor_count; i++)
        attach_reactor_free(a->reactors[i]);
    store_close(a->store);
    if (a->signals.fd >= 0)
        close(a->signals.fd);
    attach_control_close(&a->socket);
    attach_record_remove(&a->record);
    attach_control_end(&a->socket, *a->result.text ? a->result.text : NULL);
    if (a->control)
        loop_free(a->control);
    assert(atomic_load(&a->limit.taken_bytes) == 0);
    for (size_t i = 0; i < a->uri_count; i++)
        free(a->uris[i]);
    free(a->listeners);
    free(a->mounts);
    free(a->reactors);
    free(a);
}

/* ---- status ---- */

static void report_stats(void *arg, const char *what, const char *values)
{
    const struct attach *a = arg;
    front_report(&a->cfg->front, FRONT_STATUS, "store", "store=\"%s\" what=%s %s",
                 store_spec_text(a->cfg->store).s, what, values);
}

static unsigned connections(const struct attach *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < a->reactor_count; i++)
        n += atomic_load(&a->reactors[i]->nbd.conn_count);
    return n;
}

static void report_status(struct attach *a)
{
    front_report(&a->cfg->front, FRONT_STATUS, "status",
                 "connections=%u memory_taken=%llu memory_limit=%llu engine=%s", connections(a),
                 (unsigned long long)atomic_load(&a->limit.taken_bytes),
                 (unsigned long long)a->limit.max_bytes,
                 loop_engine_name(a->reactors[0]->front.loop));
    store_report(a->store, report_stats, a);
}

static void show_stats(void *arg, const char *what, const char *values)
{
    fprintf(arg, "stats.%s=%s\n", what, values);
}

static void show(struct attach_control *c, FILE *out)
{
    struct attach *a = list_entry(c, struct attach, socket);
    const struct store_info *info = &a->store->info;
    bool busy = false;
    for (size_t i = 0; i < a->mount_count; i++)
        busy |= !a->stopping && attach_mount_busy(a->mounts[i]);
    fprintf(out, "state=%s\n", a->stopping ? "stopping" : "attached");
    fprintf(out, "size_bytes=%llu\n",
            (unsigned long long)__atomic_load_n(&info->size_bytes, __ATOMIC_RELAXED));
    fprintf(out, "block_bytes=%u\nread_only=%s\nin_use=%s\n", info->block_bytes,
            info->read_only ? "yes" : "no", busy || connections(a) ? "yes" : "no");
    fprintf(out, "connections=%u\nreactors=%u\nengine=%s\n", connections(a), a->reactor_count,
            loop_engine_name(a->reactors[0]->front.loop));
    fprintf(out, "memory_taken_bytes=%llu\nmemory_limit_bytes=%llu\n",
            (unsigned long long)atomic_load(&a->limit.taken_bytes),
            (unsigned long long)a->limit.max_bytes);
    store_report(a->store, show_stats, out);
}

static bool detach(struct attach_control *c, bool force, struct err_text *e)
{
    struct attach *a = list_entry(c, struct attach, socket);
    for (size_t i = 0; i < a->mount_count && !force && !a->stopping; i++) {
        if (!attach_mount_busy(a->mounts[i]))
            continue;
        const char *device = attach_mount_loop(a->mounts[i]);
        (void)err_set(e, USAN_EBUSY, "%s is in use; unmount it and close it first, or say --force",
                      device ? device : attach_mount_file(a->mounts[i]));
        return false;
    }
    if (!a->stopping)
        attach_stop_begin(a);
    return true;
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
        attach_stop_begin(a);
    return true;
}

/* ---- the start ---- */

static void look(struct loop_timer *t)
{
    struct attach *a = list_entry(t, struct attach, look);
    if (a->stopping)
        return;
    for (size_t i = 0; i < a->mount_count; i++)
        attach_mount_look(a->mounts[i]);
    if (loop_timer_set(a->control, t, loop_now(a->control) + LOOK_NS))
        front_report(&a->cfg->front, FRONT_ERROR, "size-not-watched", "why=\"out of memory\"");
}

/* The first reactor, which accepts, comes last: until then nothing can have happened. */
static int start_threads(struct attach *a, struct err_text *e)
{
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

static int add_uri(struct attach *a, const char *uri, struct err_text *e)
{
    char *copy = strdup(uri);
    if (!copy)
        return err_set(e, USAN_ENOMEM, "out of memory");
    a->uris[a->uri_count++] = copy;
    return 0;
}

/* In the order of the command line; a loop device stands behind its file. */
static int collect_uris(struct attach *a, struct err_text *e)
{
    size_t listener = 0, mount = 0;
    int err = 0;
    for (size_t i = 0; !err && i < a->cfg->front_count; i++) {
        if (!fuse_dir(a->cfg->fronts[i])) {
            err = add_uri(a, a->listeners[listener++].uri, e);
            continue;
        }
        const struct attach_mount *m = a->mounts[mount++];
        err = add_uri(a, attach_mount_file(m), e);
        if (!err && attach_mount_loop(m))
            err = add_uri(a, attach_mount_loop(m), e);
    }
    return err;
}

/* The last part of the store's path. */
static const char *wish(const struct attach *a, struct store_spec_text *spec)
{
    if (*a->cfg->front.name)
        return a->cfg->front.name;
    *spec = store_spec_text(a->cfg->store);
    spec->s[strcspn(spec->s, "?")] = 0;
    const char *slash = strrchr(spec->s, '/');
    return slash && slash[1] ? slash + 1 : spec->s;
}

static int write_record(struct attach *a, struct err_text *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return err_set(e, USAN_ENOMEM, "out of memory");
    fprintf(out, "pid=%ld\nsince=%lld\nstore=%s\n", (long)getpid(), (long long)time(NULL),
            store_spec_text(a->cfg->store).s);
    for (size_t i = 0; i < a->mount_count; i++)
        fprintf(out, "mount=%s\n", attach_mount_dir(a->mounts[i]));
    for (size_t i = 0; i < a->uri_count; i++)
        fprintf(out, "front=%s\n", a->uris[i]);
    int err = fclose(out) ? err_set(e, USAN_ENOMEM, "out of memory")
                          : attach_record_write(&a->record, text, e);
    free(text);
    return err;
}

/* Who cannot be listed serves all the same. */
static void enlist(struct attach *a)
{
    struct err_text e = { "" };
    struct store_spec_text spec;
    int err = attach_record_create(&a->record, wish(a, &spec), &e);
    if (!err)
        err = write_record(a, &e);
    a->socket.show = show;
    a->socket.detach = detach;
    if (!err)
        err = attach_control_open(&a->socket, a->control, &a->record.sock, &e);
    if (err) {
        attach_record_remove(&a->record);
        front_report(&a->cfg->front, FRONT_WARN, "not-listed", "why=\"%s\"", e.text);
    }
}

int attach_start(struct attach *a, struct err_text *e)
{
    loop_timer_init(&a->give_up, attach_stop_gave_up);
    loop_timer_init(&a->look, look);
    int err = start_threads(a, e);
    if (err)
        return err;
    for (size_t i = 0; !err && i < a->mount_count; i++)
        err = attach_mount_start(a->mounts[i], e);
    if (!err)
        err = collect_uris(a, e);
    if (err) { /* somebody may use it already */
        attach_stop_begin(a);
        loop_run(a->control);
        loop_fd_del(&a->signals);
        return err;
    }
    enlist(a);
    if (a->cfg->loop)
        look(&a->look);
    return 0;
}

int attach_run(struct attach *a, struct err_text *e)
{
    loop_run(a->control);
    loop_fd_del(&a->signals);
    loop_timer_cancel(a->control, &a->look);
    if (a->incomplete)
        return err_set(e, USAN_ETIMEOUT, "stopped without finishing everything: %s", a->incomplete);
    int err = a->flush_err ? a->flush_err : a->write_err;
    front_report(&a->cfg->front, FRONT_INFO, "stopped", "flushed=%s", err ? "no" : "yes");
    if (err)
        (void)err_set(&a->result, err, "not all data could be made durable: %s",
                      usan_strerror(err));
    *e = a->result;
    return err;
}
