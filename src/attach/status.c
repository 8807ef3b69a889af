/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/status.h"

#include "attach/label.h"
#include "attach/stop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH_PREFIX "multipath.path"

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
    if (strncmp(what, PATH_PREFIX, sizeof(PATH_PREFIX) - 1) != 0) /* they have been shown */
        fprintf(arg, "stats.%s=%s\n", what, values);
}

/* What the sessions of a store are doing, as its statistics say, and where that is to be shown. */
struct links {
    FILE *out;
    char state[ATTACH_STATE_BYTES]; /* of the session; "" = it has none */
    long long down_since;
    unsigned paths, up;
    bool carries; /* the path whose lines come now has an ALUA state */
};

/* key is "0.state". While a path carries commands, or could, what is said of it is its state. */
static void see_path(struct links *l, const char *key, const char *value)
{
    const char *dot = strchr(key, '.');
    if (!dot)
        return;
    l->paths += strcmp(dot, ".url") == 0;
    if (strcmp(dot, ".state") == 0) {
        l->up += strcmp(value, "up") == 0;
        l->carries = strcmp(value, "up") == 0 || strcmp(value, "closed") == 0;
    }
    if (l->carries && strcmp(dot, ".why") == 0)
        fprintf(l->out, "path.%.*s.alua=%s\n", (int)(dot - key), key, value);
    else
        fprintf(l->out, "path.%s=%s\n", key, value);
}

static void see_line(struct links *l, const char *key, const char *value)
{
    if (strncmp(key, PATH_PREFIX, sizeof(PATH_PREFIX) - 1) == 0)
        see_path(l, key + sizeof(PATH_PREFIX) - 1, value);
    else if (strcmp(key, "iscsi.state") == 0)
        (void)snprintf(l->state, sizeof(l->state), "%s", value);
    else if (strcmp(key, "iscsi.down_since") == 0)
        l->down_since = strtoll(value, NULL, 10);
}

static void see_links(struct attach *a, struct links *l)
{
    char *text = NULL, *line;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return;
    store_stats(a->store, f);
    bool good = fclose(f) == 0;
    for (char *rest = text; good && (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, ' ');
        if (value) {
            *value++ = 0;
            see_line(l, line, value);
        }
    }
    free(text);
}

static void show_state(struct attach *a, FILE *out)
{
    struct links l = { .out = out };
    see_links(a, &l);
    const char *state = "attached";
    if (a->stopping)
        state = "stopping";
    else if (*l.state && strcmp(l.state, "up") != 0)
        state = l.state;
    else if (l.paths && !l.up)
        state = "lost";
    fprintf(out, "state=%s\n", state);
    if (l.down_since)
        fprintf(out, "down_since=%lld\n", l.down_since);
    if (*l.state)
        fprintf(out, "session=%s\n", l.state);
    if (l.paths)
        fprintf(out, "paths_up=%u\n", l.up);
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
