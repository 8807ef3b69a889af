/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding a byte in an array of iovecs, cheaply when the next one is near. */
#ifndef USAN_ISCSI_ICURSOR_H
#define USAN_ISCSI_ICURSOR_H

#include <stdint.h>
#include <sys/uio.h>

/* iov[i] begins with byte `base`. */
struct icursor {
    int i;
    uint64_t base;
};

/* Move to the iovec with byte off, which exists. */
static inline void icursor_seek(struct icursor *c, const struct iovec *iov, uint64_t off)
{
    if (off < c->base)
        *c = (struct icursor){ .i = 0 };
    while (off - c->base >= iov[c->i].iov_len)
        c->base += iov[c->i++].iov_len;
}

#endif
