/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store mounted as a directory with one file. */
#ifndef USAN_FUSE_DISK_H
#define USAN_FUSE_DISK_H

#include "fuse/state.h"

struct fuse_disk_config {
    const char *dir;  /* exists */
    const char *file; /* name of the file in it */
    bool read_only;
    mode_t mode; /* of the file */
    void (*unmounted)(struct fuse_disk *d);
    void *owner;
};

/* What can be said without touching anything: the name. */
USAN_MUST_CHECK
int fuse_disk_check(const char *dir, const char *file, struct err_text *e);
/* Mount. Whoever looks into the directory waits until a port is started. info is that of the
 * store, borrowed; the strings of how are copied. */
USAN_MUST_CHECK
int fuse_disk_mount(struct fuse_disk *d, const struct front_config *cfg,
                    const struct store_info *info, const struct fuse_disk_config *how,
                    struct err_text *e);
/* It is about to be unmounted by somebody on our behalf; false: it is gone already. */
bool fuse_disk_parting(struct fuse_disk *d);
/* That was done; lazily: its users lose it when the ports are closed. */
void fuse_disk_parted(struct fuse_disk *d, bool lazily);
/* Unmount it if nobody has; its ports are closed. d may be half-opened, or zero. */
void fuse_disk_free(struct fuse_disk *d);

#endif
