/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/fronts.h"

#include "attach/stop.h"
#include "nbd/proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { NBD, FUSE, ISCSI, UBLK };

/* What it is, and what stands behind that. */
static enum kind kind_of(const char *front, const char **ret_place)
{
    static const struct {
        const char *word;
        enum kind kind;
    } kinds[] = { { "fuse:", FUSE }, { "iscsi:", ISCSI }, { "ublk", UBLK } };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t n = strlen(kinds[i].word);
        *ret_place = front + n;
        if (strncmp(front, kinds[i].word, n) == 0)
            return kinds[i].kind;
    }
    *ret_place = front;
    return NBD;
}

/* ---- checks ---- */

/* The kernel is asked by what it offers, not by its version. */
static int refuse_ublk(struct err_text *e)
{
    if (access("/dev/ublk-control", F_OK))
        return err_set(e, USAN_ENOTSUP,
                       "ublk: this kernel does not offer it (no /dev/ublk-control); use fuse:DIR "
                       "with --loop for a block device");
    return err_set(e, USAN_ENOTSUP,
                   "ublk: the kernel offers it, but usan does not serve it; use fuse:DIR with "
                   "--loop for a block device");
}

static int check_front(const struct attach_config *cfg, const char *front, struct err_text *e)
{
    const char *place;
    switch (kind_of(front, &place)) {
    case FUSE:
        return attach_mount_check(cfg, place, e);
    case ISCSI:
        return attach_portal_check(place, e);
    case UBLK:
        return refuse_ublk(e);
    case NBD:
        break;
    }
    return attach_listener_check(front, e);
}

int attach_fronts_check(const struct attach_config *cfg, struct err_text *e)
{
    bool mounts = false;
    if (cfg->front_count == 0)
        return err_set(e, USAN_EINVAL, "nothing to attach it as; say --as nbd:unix:PATH");
    if (strlen(cfg->front.name) > NBD_STRING_MAX)
        return err_set(e, USAN_EINVAL, "the name of an export has at most %d bytes",
                       NBD_STRING_MAX);
    for (size_t i = 0; i < cfg->front_count; i++) {
        const char *place;
        int err = check_front(cfg, cfg->fronts[i], e);
        if (err)
            return err;
        mounts |= kind_of(cfg->fronts[i], &place) == FUSE;
    }
    if (cfg->loop && !mounts)
        return err_set(e, USAN_EINVAL, "--loop makes a device of a file: add --as fuse:DIR");
    return 0;
}

bool attach_fronts_use_reactors(const struct attach_config *cfg)
{
    for (size_t i = 0; i < cfg->front_count; i++) {
        const char *place;
        if (kind_of(cfg->fronts[i], &place) != ISCSI)
            return true;
    }
    return false;
}

/* ---- life ---- */

static void unmounted(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, unmounted_msg);
    atomic_flag_clear(&a->unmounted_posted);
    front_report(&a->cfg->front, FRONT_WARN, "unmounted", "why=\"by somebody else\"");
    if (a->cfg->front_count == 1 && !a->stopping) /* nobody is left to be served */
        attach_stop_begin(a);
}

/* Several mounts may go at once; one message says it. */
static void on_unmounted(void *arg)
{
    struct attach *a = arg;
    if (!atomic_flag_test_and_set(&a->unmounted_posted))
        loop_post(a->control.loop, &a->unmounted_msg);
}

static int open_front(struct attach *a, const char *front, struct err_text *e)
{
    const char *place;
    int err;
    switch (kind_of(front, &place)) {
    case FUSE:
        a->mounts_open++;
        return attach_mount_open(a->mounts[a->mounts_open - 1], place, a->reactors,
                                 a->reactor_count, on_unmounted, a, e);
    case ISCSI:
        err = attach_portal_new(a->cfg, a->store, place, &a->portals[a->portal_count], e);
        a->portal_count += err ? 0 : 1;
        return err;
    case UBLK:
        return refuse_ublk(e);
    case NBD:
        break;
    }
    a->listener_count++; /* a half-opened one is closed too */
    return attach_listener_open(&a->listeners[a->listener_count - 1], a->cfg, front, e);
}

int attach_fronts_new(struct attach *a, struct err_text *e)
{
    size_t n = a->cfg->front_count;
    a->unmounted_msg.deliver = unmounted;
    a->listeners = calloc(n, sizeof(*a->listeners));
    a->mounts = calloc(n, sizeof(struct attach_mount *));
    a->portals = calloc(n, sizeof(struct attach_portal *));
    if (!a->listeners || !a->mounts || !a->portals)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *place;
        if (kind_of(a->cfg->fronts[i], &place) != FUSE)
            continue;
        int err = attach_mount_new(a->cfg, &a->mounts[a->mount_count], e);
        if (err)
            return err;
        a->mount_count++;
    }
    return 0;
}

int attach_fronts_open(struct attach *a, struct err_text *e)
{
    size_t n = a->cfg->front_count;
    for (size_t i = 0; i < n; i++) {
        int err = open_front(a, a->cfg->fronts[i], e);
        if (err)
            return err;
    }
    return 0;
}

int attach_fronts_listen(struct attach *a, struct err_text *e)
{
    for (size_t i = 0; i < a->listener_count; i++) {
        int err = attach_listener_start(&a->listeners[i], a->reactors, a->reactor_count);
        if (err)
            return err_set(e, err, "event loop: %s", usan_strerror(err));
    }
    return 0;
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
    size_t listener = 0, mount = 0, portal = 0;
    int err = 0;
    for (size_t i = 0; !err && i < a->cfg->front_count; i++) {
        const char *place;
        const struct attach_mount *m;
        switch (kind_of(a->cfg->fronts[i], &place)) {
        case FUSE:
            m = a->mounts[mount++];
            err = add_uri(a, attach_mount_file(m), e);
            if (!err && attach_mount_loop(m))
                err = add_uri(a, attach_mount_loop(m), e);
            break;
        case ISCSI:
            err = add_uri(a, attach_portal_uri(a->portals[portal++]), e);
            break;
        case UBLK:
        case NBD:
            err = add_uri(a, a->listeners[listener++].uri, e);
            break;
        }
    }
    return err;
}

int attach_fronts_start(struct attach *a, struct err_text *e)
{
    int err = 0;
    for (size_t i = 0; !err && i < a->mount_count; i++)
        err = attach_mount_start(a->mounts[i], e);
    for (size_t i = 0; !err && i < a->portal_count; i++)
        err = attach_portal_start(a->portals[i], e);
    return err ? err : collect_uris(a, e);
}

void attach_fronts_free(struct attach *a)
{
    for (size_t i = 0; i < a->listener_count; i++)
        attach_listener_free(&a->listeners[i]);
    for (size_t i = a->mount_count; i-- > 0;) /* each keeper has what was open when it began */
        attach_mount_free(a->mounts[i]);
    for (size_t i = 0; i < a->portal_count; i++)
        attach_portal_free(a->portals[i]);
    for (size_t i = 0; i < a->uri_count; i++)
        free(a->uris[i]);
    free(a->listeners);
    free(a->mounts);
    free(a->portals);
}
