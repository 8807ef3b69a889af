/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Built where there is no libfuse3. */
#include "attach/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/vfs.h>

int attach_mount_check(const struct attach_config *cfg, const char *dir, struct err_text *e)
{
    (void)cfg;
    return err_set(e, USAN_ENOTSUP, "fuse:%s: this usan was built without libfuse3", dir);
}

int attach_mount_new(const struct attach_config *cfg, struct attach_mount **ret_m,
                     struct err_text *e)
{
    (void)ret_m;
    return attach_mount_check(cfg, "", e);
}

/* There is none: what follows is never called with one. */

int attach_mount_open(struct attach_mount *m, const char *dir, struct attach_reactor **reactors,
                      unsigned count, void (*unmounted)(void *arg), void *arg, struct err_text *e)
{
    (void)m;
    (void)dir;
    (void)reactors;
    (void)count;
    (void)unmounted;
    (void)arg;
    (void)e;
    abort();
}

int attach_mount_start(struct attach_mount *m, struct err_text *e)
{
    (void)m;
    (void)e;
    abort();
}

const char *attach_mount_dir(const struct attach_mount *m)
{
    (void)m;
    abort();
}

const char *attach_mount_file(const struct attach_mount *m)
{
    (void)m;
    abort();
}

const char *attach_mount_loop(const struct attach_mount *m)
{
    (void)m;
    abort();
}

bool attach_mount_busy(const struct attach_mount *m)
{
    (void)m;
    abort();
}

void attach_mount_look(struct attach_mount *m)
{
    (void)m;
    abort();
}

int attach_mount_stop(struct attach_mount *m)
{
    (void)m;
    abort();
}

void attach_mount_free(struct attach_mount *m)
{
    (void)m;
}

bool attach_mount_is_dead(const char *dir)
{
    struct statfs fs;
    return statfs(dir, &fs) && (errno == ENOTCONN || errno == ECONNABORTED);
}

int attach_mount_clear(const char *dir, struct err_text *e)
{
    return err_set(e, USAN_ENOTSUP, "unmount %s by hand: this usan was built without libfuse3",
                   dir);
}
