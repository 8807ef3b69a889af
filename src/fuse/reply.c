/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/reply.h"

#include <errno.h>
#include <unistd.h>

static _Thread_local struct fuse_port *current;

void fuse_port_enter(struct fuse_port *p)
{
    current = p;
}

struct fuse_port *fuse_port_current(void)
{
    return current;
}

/* libfuse knows one descriptor of the session; the answer goes to the port's. */
static ssize_t answer(int fd, struct iovec *iov, int count, void *userdata)
{
    (void)fd;
    (void)userdata;
    return writev(current->lfd.fd, iov, count);
}

/* libfuse asks for it, but requests are read by the ports. */
static ssize_t no_read(int fd, void *buf, size_t len, void *userdata)
{
    (void)fd;
    (void)buf;
    (void)len;
    (void)userdata;
    errno = ENOSYS;
    return -1;
}

const struct fuse_custom_io fuse_port_io = { .writev = answer, .read = no_read };
