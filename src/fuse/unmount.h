/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unmounting, by whatever process. */
#ifndef USAN_FUSE_UNMOUNT_H
#define USAN_FUSE_UNMOUNT_H

#include "base/err.h"

#include <stdbool.h>

/* The errno value of an access means that the program of a mount is gone. */
bool fuse_means_dead(int errnum);
/* The directory only says that its program is gone. */
bool fuse_mount_is_dead(const char *dir);
/* Unmount. One that is in use is tried again for two seconds, for a loop device gives its file back
 * a moment after its own end, and is then taken out of sight only: false. */
bool fuse_unmount(const char *dir);
/* Unmount what is dead, whoever's it is. */
USAN_MUST_CHECK
int fuse_clear_mount(const char *dir, struct err_text *e);

#endif
