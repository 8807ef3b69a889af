/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libfuse calls for each request; the session's user data is the struct fuse_disk. */
#ifndef USAN_FUSE_OPS_H
#define USAN_FUSE_OPS_H

#include "fuse/state.h"

extern const struct fuse_lowlevel_ops fuse_disk_ops;

#endif
