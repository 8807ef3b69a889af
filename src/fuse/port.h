/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A reactor's part of a mounted store. */
#ifndef USAN_FUSE_PORT_H
#define USAN_FUSE_PORT_H

#include "fuse/state.h"

/* On a descriptor that requests are read from, one a read, and answers written to; it is taken
 * over. Nothing is read yet. d and f are borrowed. */
void fuse_port_init(struct fuse_port *p, struct fuse_disk *d, struct front *f, int fd);
/* The same with a descriptor of its own of the mount. */
USAN_MUST_CHECK
int fuse_port_open(struct fuse_port *p, struct fuse_disk *d, struct front *f, struct err_text *e);
/* Read requests; the reactor does not run yet. */
USAN_MUST_CHECK
int fuse_port_start(struct fuse_port *p);
/* It is drained, and the loop does not run. No effect on one that was never opened. */
void fuse_port_close(struct fuse_port *p);

#endif
