/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests of a mounted store, carried out: each answers req once, now or later. */
#ifndef USAN_FUSE_IO_H
#define USAN_FUSE_IO_H

#include "fuse/state.h"

/* off + size may be past the end; neither has to be in whole blocks. */
void fuse_io_read(struct fuse_port *p, fuse_req_t req, uint64_t off, size_t size);
/* data stands in the port's receive buffer. flags are those of open(2) for this write: with
 * O_DIRECT what is not in whole blocks is refused, with O_DSYNC and O_SYNC it is answered when it
 * is durable: the kernel does not flush by itself. */
void fuse_io_write(struct fuse_port *p, fuse_req_t req, const void *data, uint64_t off, size_t size,
                   int flags);
void fuse_io_flush(struct fuse_port *p, fuse_req_t req);
/* Zeroes; unmap: they need not take room. */
void fuse_io_zero(struct fuse_port *p, fuse_req_t req, uint64_t off, uint64_t len, bool unmap);
/* lseek(2): SEEK_DATA, SEEK_HOLE. */
void fuse_io_seek(struct fuse_port *p, fuse_req_t req, uint64_t off, int whence);

/* A code of base/err.h as one of errno. */
int fuse_io_errno(int err);
/* Those that are kept for the next time. */
void fuse_io_free_idle(struct fuse_port *p);

#endif
