/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/stream.h"

#include <errno.h>
#include <sys/socket.h>

static size_t bytes_of(const struct iovec *iov, int n)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

ssize_t stream_recv(int fd, struct iovec *iov, int n, bool *ret_more)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t got = n == 1 ? recv(fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT)
                         : recvmsg(fd, &msg, MSG_DONTWAIT);
    if (got < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    *ret_more = got > 0 && (size_t)got == bytes_of(iov, n);
    return got;
}

ssize_t stream_send(int fd, struct iovec *iov, int n, int max, bool *ret_full)
{
    /* The kernel may hold bytes back that come with MSG_MORE, so it is given only while more is
     * sure to follow. */
    int more = n == max ? MSG_MORE : 0;
    n -= more ? 1 : 0;
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return -errno;
    *ret_full = (size_t)sent < bytes_of(iov, n);
    return sent;
}
