/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of a connected, non-blocking stream socket, as its owner moves them between the socket and
 * a protocol core. */
#ifndef USAN_IO_STREAM_H
#define USAN_IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * One call. Returns bytes, 0 at the peer's end, or -errno: -EAGAIN when there is nothing.
 * *ret_more: there may be more at once; a short read has emptied the socket, and asking again would
 * only return EAGAIN.
 */
ssize_t stream_recv(int fd, struct iovec *iov, int n, bool *ret_more);
/*
 * One call, with what the core gave of at most max iovecs: n of them. Returns bytes or -errno:
 * -EAGAIN when the socket is full. *ret_full: not all went out, so it is full now. When n is max
 * there may be more than fitted, and the last iovec is left for the next call.
 */
ssize_t stream_send(int fd, struct iovec *iov, int n, int max, bool *ret_full);

#endif
