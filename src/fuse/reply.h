/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The port whose descriptor libfuse answers on: one per thread at a time. */
#ifndef USAN_FUSE_REPLY_H
#define USAN_FUSE_REPLY_H

#include "fuse/state.h"

/* Before libfuse is called with a request of this port, or to answer one. */
void fuse_port_enter(struct fuse_port *p);
/* The one that was entered last in this thread. */
struct fuse_port *fuse_port_current(void);
extern const struct fuse_custom_io fuse_port_io;

#endif
