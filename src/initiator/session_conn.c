/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_conn.h"

#include "io/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- its end ---- */

static void close_socket(struct ini_conn *c)
{
    loop_timer_cancel(c->s->loop, &c->timer);
    loop_work_cancel(&c->flush);
    loop_work_cancel(&c->rest);
    loop_fd_del(&c->lfd);
    (void)close(c->lfd.fd);
    c->lfd.fd = -1;
}

static void reap(struct loop_work *w)
{
    struct ini_session *s = list_entry(w, struct ini_session, reap);
    while (!list_empty(&s->gone))
        free(list_entry(list_pop_front(&s->gone), struct ini_conn, node));
}

/* The core has closed it. What is below us on the stack still looks at c. */
static void conn_gone(struct ini_conn *c)
{
    struct ini_session *s = c->s;
    struct iscsi_ievent ev;
    close_socket(c);
    iscsi_iconn_free(c->core);
    c->core = NULL;
    list_del(&c->node);
    s->conn_count--;
    list_push_back(&s->gone, &c->node);
    loop_work_queue(s->loop, &s->reap);
    while (iscsi_isess_next(s->core, &ev))
        s->conn_ops->event(c, &ev);
    s->conn_ops->gone(c);
    ini_conns_kick(s); /* what was on it may go elsewhere; or all of them end */
}

/* ---- time and events ---- */

/* The timer only ever moves ahead here: one that fires too early looks again and is set anew. */
static void arm_timer(struct ini_conn *c)
{
    uint64_t at = iscsi_iconn_deadline(c->core);
    if (at < c->timer.deadline_ns && loop_timer_set(c->s->loop, &c->timer, at)) {
        ini_session_set_error(c->s, USAN_ENOMEM, "out of memory for a timer");
        ini_conn_drop(c, USAN_ENOMEM);
    }
}

void ini_conn_drop(struct ini_conn *c, int err)
{
    c->dropped = true;
    iscsi_iconn_lost(c->core, err);
    loop_work_queue(c->s->loop, &c->flush);
}

void ini_conns_drop_all(struct ini_session *s, int err)
{
    s->abandon = true;
    list_for_each (&s->conns, pos)
        ini_conn_drop(list_entry(pos, struct ini_conn, node), err);
    if (list_empty(&s->conns)) /* it waits for one */
        (void)!loop_timer_set(s->loop, &s->clock, loop_now(s->loop));
}

void ini_conn_pump(struct ini_conn *c)
{
    struct ini_session *s = c->s;
    struct iscsi_ievent ev;
    while (!c->got_close && iscsi_iconn_next(c->core, &ev))
        s->conn_ops->event(c, &ev);
    if (c->got_close) {
        conn_gone(c);
        return;
    }
    s->conn_ops->pulled(c);
    if (iscsi_iconn_tx_pending(c->core) && !(c->lfd.events & LOOP_OUT))
        loop_work_queue(s->loop, &c->flush);
    arm_timer(c);
    if (s->conn_count > 1)
        ini_conns_kick(s);
}

void ini_conns_kick(struct ini_session *s)
{
    list_for_each (&s->conns, pos) {
        struct ini_conn *c = list_entry(pos, struct ini_conn, node);
        bool due = iscsi_iconn_tx_pending(c->core) ? !(c->lfd.events & LOOP_OUT)
                                                   : iscsi_iconn_deadline(c->core) == 0;
        if (due)
            loop_work_queue(s->loop, &c->flush);
    }
}

void ini_conns_wake(struct ini_session *s)
{
    list_for_each (&s->conns, pos)
        loop_work_queue(s->loop, &list_entry(pos, struct ini_conn, node)->flush);
}

struct ini_conn *ini_conns_first(const struct ini_session *s)
{
    return list_empty(&s->conns) ? NULL : list_entry(s->conns.next, struct ini_conn, node);
}

/* ---- the socket ---- */

static void conn_lost(struct ini_conn *c, int errnum)
{
    iscsi_iconn_lost(c->core, errnum ? usan_err_from_errno(errnum) : USAN_ECLOSED);
    ini_conn_pump(c);
}

static void wait_writable(struct ini_conn *c, bool wait)
{
    uint32_t events = LOOP_IN | (wait ? LOOP_OUT : 0u);
    if (c->lfd.events == events)
        return;
    c->lfd.events = events;
    loop_fd_update(&c->lfd);
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* One receive call. 1: there may be more at once, 0: not, -1: nothing came. c->core may be gone
 * afterwards. */
static int receive(struct ini_conn *c)
{
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    int n = iscsi_iconn_rx_space(c->core, c->s->rx_buf, INI_RX_BYTES, iov);
    if (n == 0) {
        ini_conn_pump(c);
        return -1;
    }
    size_t room = iov_bytes(iov, n);
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t got = recvmsg(c->lfd.fd, &msg, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    if (got <= 0) {
        conn_lost(c, got < 0 ? errno : 0);
        return -1;
    }
    iscsi_iconn_rx(c->core, (size_t)got, loop_now(c->s->loop));
    ini_conn_pump(c);
    return (size_t)got == room && c->core;
}

/* The rest after other connections had their turn. */
static void receive_rest(struct loop_work *w)
{
    struct ini_conn *c = list_entry(w, struct ini_conn, rest);
    if (receive(c) > 0)
        loop_work_queue(c->s->loop, &c->rest);
}

/* Send until nothing is left or the socket is full; true: it is full. */
static bool send_all(struct ini_conn *c, int *ret_errno)
{
    struct ini_session *s = c->s;
    *ret_errno = 0;
    for (;;) {
        int n = iscsi_iconn_tx(c->core, s->tx_iov, INI_TX_IOV);
        if (n == 0)
            return false;
        struct msghdr msg = { .msg_iov = s->tx_iov, .msg_iovlen = (size_t)n };
        ssize_t sent = sendmsg(c->lfd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                *ret_errno = errno;
            return errno == EAGAIN;
        }
        bool part = (size_t)sent < iov_bytes(s->tx_iov, n);
        iscsi_iconn_tx_done(c->core, (size_t)sent, loop_now(s->loop));
        if (part)
            return true;
    }
}

static void flush(struct loop_work *w)
{
    struct ini_conn *c = list_entry(w, struct ini_conn, flush);
    int errnum = 0;
    bool full = c->phase != INI_CONN_CONNECTING && send_all(c, &errnum);
    if (errnum) {
        conn_lost(c, errnum);
        return;
    }
    if (c->phase != INI_CONN_CONNECTING)
        wait_writable(c, full);
    ini_conn_pump(c);
}

static void tcp_connected(struct ini_conn *c)
{
    int rc = ini_portal_connected(c->lfd.fd);
    if (rc == EINPROGRESS)
        return;
    if (rc) {
        ini_session_set_error(c->s, usan_err_from_errno(rc), "cannot connect: %s", strerror(rc));
        conn_lost(c, rc);
        return;
    }
    c->phase = INI_CONN_LOGIN;
    iscsi_iconn_connected(c->core, loop_now(c->s->loop));
    wait_writable(c, false);
    ini_conn_pump(c);
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct ini_conn *c = list_entry(lfd, struct ini_conn, lfd);
    if (c->phase == INI_CONN_CONNECTING) {
        if (events & (LOOP_OUT | LOOP_HUP))
            tcp_connected(c);
        return c->phase != INI_CONN_CONNECTING || !c->core;
    }
    bool did = false;
    if (events & (LOOP_IN | LOOP_HUP)) {
        int more = receive(c);
        did = more >= 0;
        if (more > 0)
            loop_work_queue(c->s->loop, &c->rest);
    }
    if (!c->core)
        return true;
    if (events & LOOP_OUT) {
        loop_work_queue(c->s->loop, &c->flush);
        did = true;
    }
    return did;
}

static void timer_fired(struct loop_timer *t)
{
    struct ini_conn *c = list_entry(t, struct ini_conn, timer);
    iscsi_iconn_tick(c->core, loop_now(c->s->loop));
    ini_conn_pump(c);
}

/* ---- life ---- */

static int conn_start(struct ini_conn *c, int fd)
{
    struct ini_session *s = c->s;
    int err = iscsi_iconn_new(s->core, c->cid, loop_now(s->loop), &c->core);
    if (err)
        return err;
    c->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_OUT, .ready = ready };
    err = loop_fd_add(s->loop, &c->lfd);
    if (err)
        iscsi_iconn_free(c->core);
    return err;
}

int ini_conn_open_as(struct ini_session *s, const struct sockaddr_storage *addr, uint16_t cid)
{
    int fd;
    int rc = ini_portal_connect(addr, &fd);
    if (rc)
        return rc;
    struct ini_conn *c = calloc(1, sizeof(*c));
    if (c) {
        c->s = s;
        c->cid = cid;
        c->addr = *addr;
        c->leading = s->phase != INI_PHASE_UP;
        loop_work_init(&c->flush, flush);
        loop_work_init(&c->rest, receive_rest);
        loop_timer_init(&c->timer, timer_fired);
    }
    int err = c ? conn_start(c, fd) : USAN_ENOMEM;
    if (err) {
        free(c);
        (void)close(fd);
        return err == USAN_ENOMEM ? ENOMEM : EBUSY;
    }
    list_push_back(&s->conns, &c->node);
    s->conn_count++;
    arm_timer(c);
    return 0;
}

int ini_conn_open(struct ini_session *s, const struct sockaddr_storage *addr)
{
    return ini_conn_open_as(s, addr, ++s->cid);
}

void ini_conns_init(struct ini_session *s, const struct ini_conn_ops *ops)
{
    s->conn_ops = ops;
    list_init(&s->conns);
    list_init(&s->gone);
    loop_work_init(&s->reap, reap);
}

/* Events until the connection closes; false when it has. */
static bool drain_events(struct ini_conn *c)
{
    struct iscsi_ievent ev;
    while (iscsi_iconn_next(c->core, &ev)) {
        if (ev.type == ISCSI_IEV_CLOSE)
            return false;
    }
    return true;
}

/* The session's logout goes by this connection; the loop stands still meanwhile. */
static void log_out(struct ini_conn *c)
{
    uint64_t end = clock_now_ns() + INI_LOGOUT_NS;
    int errnum = 0;
    while (!errnum && drain_events(c)) {
        bool full = send_all(c, &errnum);
        uint64_t now = clock_now_ns();
        struct pollfd p = { .fd = c->lfd.fd, .events = (short)(POLLIN | (full ? POLLOUT : 0)) };
        if (errnum || now >= end || poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1) <= 0)
            return;
        struct iovec iov[ISCSI_IRX_IOV_MAX];
        int n = iscsi_iconn_rx_space(c->core, c->s->rx_buf, INI_RX_BYTES, iov);
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t got = n ? recvmsg(c->lfd.fd, &msg, MSG_DONTWAIT) : 0;
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got <= 0)
            return;
        iscsi_iconn_rx(c->core, (size_t)got, clock_now_ns());
    }
}

void ini_conns_fini(struct ini_session *s)
{
    bool up = s->phase == INI_PHASE_UP || s->phase == INI_PHASE_CHECK;
    if (up && !list_empty(&s->conns) && iscsi_isess_logout(s->core, clock_now_ns()) == 0) {
        list_for_each (&s->conns, pos) { /* the core chose one */
            struct ini_conn *c = list_entry(pos, struct ini_conn, node);
            if (iscsi_iconn_tx_pending(c->core)) {
                log_out(c);
                break;
            }
        }
    }
    while (!list_empty(&s->conns)) {
        struct ini_conn *c = list_entry(list_pop_front(&s->conns), struct ini_conn, node);
        close_socket(c);
        iscsi_iconn_free(c->core);
        free(c);
    }
    loop_work_cancel(&s->reap);
    reap(&s->reap);
}
