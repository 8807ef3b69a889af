/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices of the kernel (/dev/loopN, loop(4)) over a file. All of it may block. */
#ifndef USAN_ATTACH_LOOPDEV_H
#define USAN_ATTACH_LOOPDEV_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOOPDEV_PATH_BYTES = 24 };

struct loopdev {
    int fd; /* -1: none */
    char path[LOOPDEV_PATH_BYTES];
};

/*
 * Set one up over the file, which is opened; it goes with the last of its users: at the latest
 * when this program has ended, however that comes, and nothing is mounted on it.
 */
USAN_MUST_CHECK
int loopdev_open(struct loopdev *l, const char *file, uint32_t block_bytes, bool read_only,
                 struct err_text *e);
/* It is mounted, or something else has it for itself. */
bool loopdev_busy(const char *path);
/* The file has another size now. */
void loopdev_resized(const struct loopdev *l);
/* What is in the kernel's cache is written: 0 or USAN_EIO. No effect on none. */
USAN_MUST_CHECK
int loopdev_flush(const struct loopdev *l);
/* Let go of it. */
void loopdev_close(struct loopdev *l);

#endif
