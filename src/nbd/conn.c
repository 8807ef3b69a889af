/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd/conn.h"

#include "base/alloc_heap.h"
#include "io/clock.h"
#include "io/stream.h"
#include "nbd/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A client whose machine is gone is noticed after two minutes without traffic. */
enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTVL_S = 15, KEEPALIVE_COUNT = 4 };

/* What a Unix socket takes at once: the longest usual request. The system may allow less. */
enum { UNIX_SEND_BYTES = 1 << 20 };

/* ---- events ---- */

static void on_close(struct nbd_conn *conn, const struct nbd_event *ev)
{
    conn->close_flushed = true;
    conn->abrupt = ev->err == USAN_ETIMEOUT;
    if (!conn->why)
        conn->why = ev->err ? ev->why : "the client is done";
    nbd_io_cancel_waiting(conn);
}

static void on_event(struct nbd_conn *conn, const struct nbd_event *ev)
{
    switch (ev->type) {
    case NBD_EV_REQUEST:
        nbd_io_start(conn, ev->req);
        break;
    case NBD_EV_DATA:
        nbd_io_data(ev->req);
        break;
    case NBD_EV_OVER:
        nbd_io_over(ev->req);
        break;
    case NBD_EV_OPENED:
        conn->opened = true;
        front_report(conn->front->cfg, FRONT_INFO, "client-connected", "peer=%s reactor=%u",
                     conn->peer, conn->front->index);
        break;
    case NBD_EV_CLOSE:
        on_close(conn, ev);
        break;
    }
}

static void take_events(struct nbd_conn *conn)
{
    struct nbd_event ev;
    while (nbd_proto_next(conn->proto, &ev))
        on_event(conn, &ev);
}

/* The timer only ever moves ahead here: one that fires too early looks again and is set anew. */
static void arm_timer(struct nbd_conn *conn)
{
    uint64_t at = nbd_proto_deadline(conn->proto);
    if (at >= conn->timer.deadline_ns)
        return;
    if (loop_timer_set(conn->front->loop, &conn->timer, at))
        nbd_conn_close(conn, "out of memory for a timer");
}

static void pump(struct nbd_conn *conn)
{
    take_events(conn);
    if (conn->closed)
        return;
    if (nbd_proto_tx_pending(conn->proto) || conn->close_flushed)
        nbd_conn_want_flush(conn);
    if (conn->paused && !conn->deaf) /* perhaps it goes on */
        loop_work_queue(conn->front->loop, &conn->rest);
    arm_timer(conn);
}

/* ---- the socket ---- */

static void watch(struct nbd_conn *conn, uint32_t events)
{
    if (conn->lfd.events == events)
        return;
    conn->lfd.events = events;
    loop_fd_update(&conn->lfd);
}

static void socket_failed(struct nbd_conn *conn, int errnum)
{
    nbd_conn_close(conn, errnum == ECONNRESET || errnum == EPIPE ? "connection reset by the client"
                                                                 : "connection failed");
}

/* Nothing is taken in for now. */
static void pause_reading(struct nbd_conn *conn)
{
    conn->paused = true;
    watch(conn, conn->lfd.events & LOOP_OUT);
    take_events(conn); /* it may have found out that it has to end */
    if (conn->close_flushed)
        nbd_conn_want_flush(conn);
}

/* One receive call. Returns 1 if there may be more at once, 0 if not, -1 if nothing came. */
static int receive(struct nbd_conn *conn)
{
    struct front *f = conn->front;
    struct iovec iov[NBD_RX_IOV_MAX];
    int n = nbd_proto_rx_space(conn->proto, f->rx_buf, FRONT_RX_BYTES, iov);
    if (n == 0) {
        pause_reading(conn);
        return -1;
    }
    if (conn->paused) {
        conn->paused = false;
        watch(conn, conn->lfd.events | LOOP_IN);
    }
    bool more;
    ssize_t got = stream_recv(conn->lfd.fd, iov, n, &more);
    if (got < 0) {
        if (got != -EAGAIN)
            socket_failed(conn, (int)-got);
        return -1;
    }
    if (got == 0)
        nbd_proto_rx_eof(conn->proto);
    else
        nbd_proto_rx(conn->proto, (size_t)got);
    pump(conn);
    return more && !conn->closed;
}

/* What came first is answered before the rest is taken in. */
static void receive_rest(struct loop_work *w)
{
    struct nbd_conn *conn = list_entry(w, struct nbd_conn, rest);
    if (!conn->deaf && receive(conn) > 0)
        loop_work_queue(conn->front->loop, &conn->rest);
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct nbd_conn *conn = list_entry(lfd, struct nbd_conn, lfd);
    bool did = false;
    if ((events & (LOOP_IN | LOOP_HUP)) && !conn->deaf) {
        int more = receive(conn);
        did = more >= 0;
        if (more > 0)
            loop_work_queue(conn->front->loop, &conn->rest);
    }
    if (conn->closed)
        return true;
    if (events & LOOP_OUT) {
        nbd_conn_want_flush(conn);
        did = true;
    } else if ((events & LOOP_HUP) && !did) {
        /* Both directions are shut, and nothing is left to read or nobody to answer. */
        nbd_conn_close(conn, "the client closed the connection");
        did = true;
    }
    return did;
}

/* Send until nothing is left or the socket is full; true: it is full. */
static bool send_all(struct nbd_conn *conn)
{
    struct front *f = conn->front;
    for (;;) {
        int n = nbd_proto_tx(conn->proto, f->tx_iov, FRONT_TX_IOV);
        if (n == 0)
            return false;
        bool full;
        ssize_t sent = stream_send(conn->lfd.fd, f->tx_iov, n, FRONT_TX_IOV, &full);
        if (sent == -EAGAIN)
            return true;
        if (sent < 0) {
            socket_failed(conn, (int)-sent);
            return false;
        }
        nbd_proto_tx_done(conn->proto, (size_t)sent);
        take_events(conn);
        if (conn->closed || !nbd_proto_tx_pending(conn->proto))
            return false;
        if (full)
            return true;
    }
}

static void flush(struct loop_work *w)
{
    struct nbd_conn *conn = list_entry(w, struct nbd_conn, flush);
    bool full = send_all(conn);
    if (conn->closed)
        return;
    if (!full) {
        pump(conn);
        if (conn->closed)
            return;
        if (conn->close_flushed && !nbd_proto_tx_pending(conn->proto)) {
            nbd_conn_close(conn, NULL);
            return;
        }
    } else {
        arm_timer(conn);
    }
    if (!conn->closed)
        watch(conn, (conn->lfd.events & LOOP_IN) | (full ? LOOP_OUT : 0u));
}

static void timer_fired(struct loop_timer *t)
{
    struct nbd_conn *conn = list_entry(t, struct nbd_conn, timer);
    nbd_proto_tick(conn->proto, loop_now(conn->front->loop));
    pump(conn);
}

/* ---- life ---- */

/* Closed: nothing is sent any more; what the store still works on is waited for. */
static void reap(struct loop_work *w)
{
    struct nbd_conn *conn = list_entry(w, struct nbd_conn, reap);
    take_events(conn);
    if (nbd_proto_busy(conn->proto))
        return;
    loop_work_cancel(&conn->reap);
    list_del(&conn->node);
    atomic_fetch_sub(&conn->server->conn_count, 1);
    nbd_proto_free(conn->proto);
    free(conn);
}

static void set_socket(struct nbd_conn *conn, int fd)
{
    struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(ss);
    (void)getsockname(fd, (struct sockaddr *)&ss, &len);
    if (ss.ss_family == AF_UNIX) {
        int bytes = UNIX_SEND_BYTES;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        memcpy(conn->peer, "unix", sizeof("unix"));
        return;
    }
    const struct sock_options options = { .nodelay = true,
                                          .keepalive_idle_s = KEEPALIVE_IDLE_S,
                                          .keepalive_intvl_s = KEEPALIVE_INTVL_S,
                                          .keepalive_count = KEEPALIVE_COUNT };
    struct err_text e = { "" };
    if (sock_set_options(fd, &options, &e)) /* slower, not wrong */
        front_report(conn->front->cfg, FRONT_WARN, "socket-options", "why=\"%s\"", e.text);
    sock_peer_addr(fd, conn->peer, sizeof(conn->peer));
}

static struct nbd_conn *make(struct nbd_server *s, int fd)
{
    struct nbd_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->server = s;
    conn->front = s->front;
    conn->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    loop_work_init(&conn->rest, receive_rest);
    loop_work_init(&conn->flush, flush);
    loop_work_init(&conn->reap, reap);
    loop_timer_init(&conn->timer, timer_fired);
    set_socket(conn, fd);
    const struct nbd_proto_config cfg = {
        .export = nbd_io_export(s->front),
        .queue_depth = s->front->cfg->queue_depth,
        .priv_bytes = sizeof(struct nbd_io),
        .handshake_timeout_ns = s->front->cfg->handshake_timeout_ns,
        .stall_timeout_ns = s->front->cfg->stall_timeout_ns,
    };
    conn->proto = nbd_proto_new(&cfg, &alloc_heap, clock_now_ns());
    if (!conn->proto || loop_fd_add(s->front->loop, &conn->lfd)) {
        nbd_proto_free(conn->proto);
        free(conn);
        return NULL;
    }
    return conn;
}

void nbd_conn_open(struct nbd_server *s, int fd)
{
    struct nbd_conn *conn = s->draining ? NULL : make(s, fd);
    if (!conn) {
        if (!s->draining)
            front_report(s->front->cfg, FRONT_ERROR, "connection-refused", "why=\"out of memory\"");
        close(fd);
        atomic_fetch_sub(&s->conn_count, 1);
        return;
    }
    list_push_back(&s->conns, &conn->node);
    pump(conn); /* the server speaks first */
}

static void report_end(const struct nbd_conn *conn)
{
    front_report(conn->front->cfg, conn->opened ? FRONT_INFO : FRONT_DEBUG,
                 conn->opened ? "client-gone" : "handshake-ended", "peer=%s why=\"%s\"", conn->peer,
                 conn->why);
}

void nbd_conn_close(struct nbd_conn *conn, const char *why)
{
    if (conn->closed)
        return;
    struct loop *loop = conn->front->loop;
    conn->closed = true;
    if (!conn->why)
        conn->why = why;
    loop_timer_cancel(loop, &conn->timer);
    loop_work_cancel(&conn->flush);
    loop_work_cancel(&conn->rest);
    loop_fd_del(&conn->lfd);
    if (conn->abrupt) { /* or the kernel would keep what it does not take in */
        const struct linger now = { .l_onoff = 1 };
        (void)setsockopt(conn->lfd.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(conn->lfd.fd);
    report_end(conn);
    nbd_proto_rx_eof(conn->proto);
    nbd_io_cancel_waiting(conn);
    loop_work_queue(loop, &conn->reap);
}

void nbd_conn_shutdown(struct nbd_conn *conn)
{
    nbd_proto_shutdown(conn->proto);
}

void nbd_conn_deaf(struct nbd_conn *conn)
{
    if (conn->closed || conn->deaf)
        return;
    conn->deaf = true;
    watch(conn, conn->lfd.events & LOOP_OUT);
}

bool nbd_conn_idle(const struct nbd_conn *conn)
{
    return nbd_proto_busy(conn->proto) == 0 && !nbd_proto_tx_pending(conn->proto);
}
