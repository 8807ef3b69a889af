/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/status.h"

#include "attach/label.h"
#include "attach/stop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

void attach_status_report(struct attach *a)
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

/* The session of an iSCSI store, as its statistics begin. */
struct session {
    char state[ATTACH_STATE_BYTES];
    long long down_since;
};

static void find_session(void *arg, const char *what, const char *values)
{
    static const char state[] = "state=", since[] = " down_since=";
    struct session *s = arg;
    if (strcmp(what, "iscsi") != 0 || strncmp(values, state, strlen(state)) != 0)
        return;
    values += strlen(state);
    size_t len = strcspn(values, " ");
    (void)snprintf(s->state, sizeof(s->state), "%.*s", (int)len, values);
    if (strncmp(values + len, since, strlen(since)) == 0)
        s->down_since = strtoll(values + len + strlen(since), NULL, 10);
}

static void show_state(const struct attach *a, FILE *out)
{
    struct session s = { .state = "up" };
    store_report(a->store, find_session, &s);
    bool up = strcmp(s.state, "up") == 0;
    fprintf(out, "state=%s\n", a->stopping ? "stopping" : up ? "attached" : s.state);
    if (s.down_since)
        fprintf(out, "down_since=%lld\n", s.down_since);
}

static void show(struct attach_control *c, FILE *out)
{
    struct attach *a = list_entry(c, struct attach, socket);
    const struct store_info *info = &a->store->info;
    bool busy = false;
    for (size_t i = 0; i < a->mount_count; i++)
        busy |= !a->stopping && attach_mount_busy(a->mounts[i]);
    show_state(a, out);
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

void attach_status_enlist(struct attach *a)
{
    struct err_text e = { "" };
    int err = attach_record_create(&a->record, attach_label(a->cfg).s, &e);
    if (!err)
        err = write_record(a, &e);
    a->socket.show = show;
    a->socket.detach = detach;
    if (!err)
        err = attach_control_open(&a->socket, a->control.loop, &a->record.sock, &e);
    if (err) {
        attach_record_remove(&a->record);
        front_report(&a->cfg->front, FRONT_WARN, "not-listed", "why=\"%s\"", e.text);
    }
}
