/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One end of the echo that measures the limit of a socket: sends fixed-size messages, batched
 * into as few calls as possible, and receives whatever is there.
 */
#ifndef USAN_BENCH_LIMIT_PEER_H
#define USAN_BENCH_LIMIT_PEER_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PEER_IOV_MAX    512
#define PEER_RECV_BYTES (1u << 20)

struct peer_config {
    bool uring;        /* recv and sendmsg submitted together; else epoll, recv, sendmsg */
    bool spin;         /* never sleep */
    bool one_by_one;   /* a call for each message: what batching saves */
    size_t send_bytes; /* of one message */
    size_t region;     /* take messages from, and land bytes in, that much memory; 0 = one buffer */
};

struct peer {
    struct peer_config cfg;
    int fd, ep;
    uint8_t *rx, *tx;
    size_t rx_off;
    uint64_t rng;
    struct iovec iov[PEER_IOV_MAX];
    struct msghdr msg;
    /* io_uring */
    struct io_uring ring;
    bool recv_armed, send_busy;
    size_t send_left;
};

/* Takes the connected socket. Ends the process on failure. */
void peer_init(struct peer *p, const struct peer_config *cfg, int fd);

/*
 * Send the *send_count messages that are due (fewer may be sent now; the rest stays counted),
 * then wait until bytes are there. Returns how many were received, 0 when the other end is gone.
 */
size_t peer_step(struct peer *p, uint64_t *send_count);

#endif
