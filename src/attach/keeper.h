/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process beside the program that holds a loop device and unmounts. What the kernel does for
 * those waits for answers of the program, so a thread of its own must never be in there: one that
 * waits for its own process can not be killed, and what it has open is never closed. When the
 * program is gone, the keeper lets go of the device and of what is left of the mount.
 */
#ifndef USAN_ATTACH_KEEPER_H
#define USAN_ATTACH_KEEPER_H

#include "attach/loopdev.h"
#include "base/err.h"

#include <sys/types.h>

struct keeper {
    pid_t pid; /* 0: none */
    int fd;
};

/* Fork, before there are threads, loops and mounts. */
USAN_MUST_CHECK
int keeper_start(struct keeper *k, struct err_text *e);
/* dir is mounted: to be cleared when the program is gone. */
void keeper_mounted(const struct keeper *k, const char *dir);
/* As loopdev_open(); *ret_path is the device. The program serves the file meanwhile. */
USAN_MUST_CHECK
int keeper_open_loop(const struct keeper *k, const char *file, uint32_t block_bytes, bool read_only,
                     char ret_path[LOOPDEV_PATH_BYTES], struct err_text *e);
/* The file has another size. Does not wait. */
void keeper_resized(const struct keeper *k);
/* Write what is in the kernel's cache of the device, let go of it, unmount: waits for that.
 * *ret_lazily: somebody used the mount. USAN_EIO: not all was written; USAN_ECLOSED: there is no
 * keeper any more, and nothing was unmounted. */
USAN_MUST_CHECK
int keeper_stop(const struct keeper *k, bool *ret_lazily);
/* End it. No effect on none. */
void keeper_end(struct keeper *k);

#endif
