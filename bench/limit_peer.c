/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit_peer.h"

#include "measure.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { DONE_RECV = 1, DONE_SEND = 2 };

static void ring_init(struct io_uring *ring)
{
    unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init(64, ring, flags) == 0)
        return;
    int rc = io_uring_queue_init(64, ring, 0);
    if (rc < 0) {
        errno = -rc;
        bench_die("io_uring");
    }
}

void peer_init(struct peer *p, const struct peer_config *cfg, int fd)
{
    memset(p, 0, sizeof(*p));
    p->cfg = *cfg;
    p->fd = fd;
    p->ep = -1;
    p->rng = 88172645463325252u;
    size_t rx = cfg->region > PEER_RECV_BYTES ? cfg->region : PEER_RECV_BYTES;
    size_t tx = cfg->region > cfg->send_bytes ? cfg->region : cfg->send_bytes;
    p->rx = bench_pages(rx, 1);
    p->tx = bench_pages(tx, 0x5a);
    if (cfg->uring) {
        ring_init(&p->ring);
        return;
    }
    p->ep = epoll_create1(0);
    struct epoll_event e = { .events = EPOLLIN };
    if (p->ep < 0 || epoll_ctl(p->ep, EPOLL_CTL_ADD, fd, &e))
        bench_die("epoll");
}

static uint8_t *message(struct peer *p)
{
    if (!p->cfg.region)
        return p->tx;
    size_t places = (p->cfg.region - p->cfg.send_bytes) / 4096;
    return p->tx + (bench_random(&p->rng) % places) * 4096;
}

static uint8_t *landing(struct peer *p)
{
    if (!p->cfg.region)
        return p->rx;
    if (p->rx_off + PEER_RECV_BYTES > p->cfg.region)
        p->rx_off = 0;
    return p->rx + p->rx_off;
}

static size_t received(struct peer *p, size_t bytes)
{
    p->rx_off += (bytes + 63) & ~(size_t)63;
    return bytes;
}

/* Fill p->msg with as many messages as one call takes; returns their bytes. */
static size_t gather(struct peer *p, uint64_t *send_count)
{
    uint64_t n = *send_count < PEER_IOV_MAX ? *send_count : PEER_IOV_MAX;
    if (p->cfg.one_by_one)
        n = 1;
    for (uint64_t i = 0; i < n; i++)
        p->iov[i] = (struct iovec){ .iov_base = message(p), .iov_len = p->cfg.send_bytes };
    p->msg = (struct msghdr){ .msg_iov = p->iov, .msg_iovlen = n };
    *send_count -= n;
    return n * p->cfg.send_bytes;
}

/* After a short send. */
static void advance(struct msghdr *m, size_t sent)
{
    while (sent && m->msg_iovlen) {
        struct iovec *v = m->msg_iov;
        if (sent < v->iov_len) {
            v->iov_base = (uint8_t *)v->iov_base + sent;
            v->iov_len -= sent;
            return;
        }
        sent -= v->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
}

static bool send_all(struct peer *p, uint64_t *send_count)
{
    while (*send_count) {
        size_t left = gather(p, send_count);
        while (left) {
            ssize_t n = sendmsg(p->fd, &p->msg, MSG_NOSIGNAL);
            if (n < 0) {
                if (errno == EINTR)
                    continue;
                return false;
            }
            left -= (size_t)n;
            advance(&p->msg, (size_t)n);
        }
    }
    return true;
}

static size_t step_epoll(struct peer *p, uint64_t *send_count)
{
    if (!send_all(p, send_count))
        return 0;
    for (;;) {
        ssize_t n = recv(p->fd, landing(p), PEER_RECV_BYTES, MSG_DONTWAIT);
        if (n > 0)
            return received(p, (size_t)n);
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return 0;
        struct epoll_event e;
        if (!p->cfg.spin)
            (void)epoll_wait(p->ep, &e, 1, -1);
    }
}

/* Two requests at most are under way, so there is always room. */
static struct io_uring_sqe *next_sqe(struct peer *p)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&p->ring);
    errno = 0;
    if (!sqe)
        bench_die("the ring is full");
    return sqe;
}

static void queue_send(struct peer *p)
{
    struct io_uring_sqe *sqe = next_sqe(p);
    io_uring_prep_sendmsg(sqe, p->fd, &p->msg, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, DONE_SEND);
    p->send_busy = true;
}

static void queue_recv(struct peer *p)
{
    struct io_uring_sqe *sqe = next_sqe(p);
    io_uring_prep_recv(sqe, p->fd, landing(p), PEER_RECV_BYTES, 0);
    io_uring_sqe_set_data64(sqe, DONE_RECV);
    p->recv_armed = true;
}

/* Take the completions; false when the connection is gone. */
static bool reap(struct peer *p, size_t *ret_received)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    bool alive = true;
    io_uring_for_each_cqe(&p->ring, head, cqe)
    {
        count++;
        if (cqe->res <= 0) {
            alive = false;
        } else if (cqe->user_data == DONE_RECV) {
            p->recv_armed = false;
            *ret_received = received(p, (size_t)cqe->res);
        } else {
            p->send_busy = false;
            p->send_left -= (size_t)cqe->res;
            advance(&p->msg, (size_t)cqe->res);
            if (p->send_left)
                queue_send(p);
        }
    }
    io_uring_cq_advance(&p->ring, count);
    return alive;
}

static size_t step_uring(struct peer *p, uint64_t *send_count)
{
    for (;;) {
        if (!p->send_busy && *send_count) {
            p->send_left = gather(p, send_count);
            queue_send(p);
        }
        if (!p->recv_armed)
            queue_recv(p);
        int rc = p->cfg.spin ? io_uring_submit_and_get_events(&p->ring)
                             : io_uring_submit_and_wait(&p->ring, 1);
        size_t bytes = 0;
        if ((rc < 0 && rc != -EINTR) || !reap(p, &bytes))
            return 0;
        if (bytes)
            return bytes;
    }
}

size_t peer_step(struct peer *p, uint64_t *send_count)
{
    return p->cfg.uring ? step_uring(p, send_count) : step_epoll(p, send_count);
}
