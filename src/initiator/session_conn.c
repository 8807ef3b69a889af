/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_priv.h"

#include "initiator/session_task.h"
#include "io/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long a logout may take when a session is freed: the loop stands still meanwhile. */
#define LOGOUT_NS (200 * NS_PER_MS)

/* ---- events ---- */

static void on_done(struct ini_session *s, struct iscsi_icmd *scsi)
{
    struct ini_cmd *cmd = list_entry(scsi, struct ini_cmd, scsi);
    /* Answered by the target, with whatever; or lost with its connection. */
    if (scsi->err == 0 || scsi->response)
        cmd->done(cmd);
    else
        list_push_back(&s->lost, &cmd->node);
}

static void on_close(struct ini_session *s, const struct iscsi_ievent *ev)
{
    s->got_close = true;
    if (ev->status >> 8 == 1) /* redirected: all is said */
        return;
    if (ev->status)
        ini_session_set_error(s, ev->err ? ev->err : USAN_EIO, "%s",
                              iscsi_login_status_text(ev->status));
    else if (ev->err == USAN_ETIMEOUT && s->phase == INI_PHASE_CONNECTING)
        ini_session_set_error(s, USAN_ETIMEOUT, "cannot connect: no answer within %.3g s",
                              (double)s->url.login_timeout_ns / (double)NS_PER_SEC);
    else if (ev->err && s->phase != INI_PHASE_CONNECTING)
        ini_session_set_error(s, ev->err, "%s%s%s", ev->why, ev->key ? ": " : "",
                              ev->key ? ev->key : "");
}

static void tmf_done(struct iscsi_itmf *scsi)
{
    struct ini_tmf *tmf = list_entry(scsi, struct ini_tmf, scsi);
    tmf->done(tmf);
}

static void on_event(struct ini_session *s, const struct iscsi_ievent *ev)
{
    switch (ev->type) {
    case ISCSI_IEV_LOGGED_IN:
        ini_login_done(s);
        break;
    case ISCSI_IEV_REDIRECT:
        ini_login_redirected(s, ev->address, ev->permanent);
        break;
    case ISCSI_IEV_DONE:
        on_done(s, ev->cmd);
        break;
    case ISCSI_IEV_TARGET:
        if (s->ops && s->ops->target)
            s->ops->target(s, ev->target_name, ev->address, s->user);
        break;
    case ISCSI_IEV_TEXT_DONE:
        if (ev->err)
            ini_session_set_error(s, ev->err, "SendTargets: %s", ev->why);
        if (s->ops && s->ops->targets_done)
            s->ops->targets_done(s, ev->err, s->user);
        break;
    case ISCSI_IEV_CLOSE:
        on_close(s, ev);
        break;
    case ISCSI_IEV_SESSION_DOWN: /* CLOSE says the rest */
        s->time2wait = ev->time2wait;
        break;
    case ISCSI_IEV_TMF_DONE:
        tmf_done(ev->tmf);
        break;
    case ISCSI_IEV_ASYNC: /* the core has done what is to be done */
    case ISCSI_IEV_RECOVER:
    case ISCSI_IEV_RECOVERED:
        break;
    }
}

/* The connection is closed by the core: take it down and see what follows. */
static void conn_gone(struct ini_session *s)
{
    bool was_up = s->phase == INI_PHASE_UP;
    struct iscsi_ievent ev;
    loop_timer_cancel(s->loop, &s->timer);
    loop_work_cancel(&s->flush);
    loop_work_cancel(&s->rest);
    loop_fd_del(&s->lfd);
    (void)close(s->lfd.fd);
    s->lfd.fd = -1;
    iscsi_iconn_free(s->conn);
    s->conn = NULL;
    while (iscsi_isess_next(s->core, &ev))
        on_event(s, &ev);
    if (was_up)
        ini_login_lost(s);
    else
        ini_login_failed(s);
    ini_session_sort_lost(s);
}

/* The timer only ever moves ahead here: one that fires too early looks again and is set anew. */
static void arm_timer(struct ini_session *s)
{
    uint64_t at = iscsi_iconn_deadline(s->conn);
    if (at < s->timer.deadline_ns && loop_timer_set(s->loop, &s->timer, at))
        iscsi_iconn_lost(s->conn, USAN_ENOMEM);
}

void ini_conn_pump(struct ini_session *s)
{
    struct iscsi_ievent ev;
    while (!s->got_close && iscsi_iconn_next(s->conn, &ev))
        on_event(s, &ev);
    if (s->got_close) {
        conn_gone(s);
        return;
    }
    /* The connection goes on, so these ended by themselves. */
    while (!list_empty(&s->lost)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&s->lost), struct ini_cmd, node);
        cmd->done(cmd);
    }
    if (iscsi_iconn_tx_pending(s->conn) && !(s->lfd.events & LOOP_OUT))
        loop_work_queue(s->loop, &s->flush);
    arm_timer(s);
}

/* ---- the socket ---- */

static void conn_lost(struct ini_session *s, int errnum)
{
    iscsi_iconn_lost(s->conn, errnum ? usan_err_from_errno(errnum) : USAN_ECLOSED);
    ini_conn_pump(s);
}

static void wait_writable(struct ini_session *s, bool wait)
{
    uint32_t events = LOOP_IN | (wait ? LOOP_OUT : 0u);
    if (s->lfd.events == events)
        return;
    s->lfd.events = events;
    loop_fd_update(&s->lfd);
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* One receive call. 1: there may be more at once, 0: not, -1: nothing came. s->conn may be gone
 * afterwards. */
static int receive(struct ini_session *s)
{
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    int n = iscsi_iconn_rx_space(s->conn, s->rx_buf, INI_RX_BYTES, iov);
    if (n == 0) {
        ini_conn_pump(s);
        return -1;
    }
    size_t room = iov_bytes(iov, n);
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t got = recvmsg(s->lfd.fd, &msg, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    if (got <= 0) {
        conn_lost(s, got < 0 ? errno : 0);
        return -1;
    }
    iscsi_iconn_rx(s->conn, (size_t)got, loop_now(s->loop));
    ini_conn_pump(s);
    return (size_t)got == room && s->conn;
}

/* The rest after other connections had their turn. */
static void receive_rest(struct loop_work *w)
{
    struct ini_session *s = list_entry(w, struct ini_session, rest);
    if (receive(s) > 0)
        loop_work_queue(s->loop, &s->rest);
}

/* Send until nothing is left or the socket is full; true: it is full. */
static bool send_all(struct ini_session *s, int *ret_errno)
{
    *ret_errno = 0;
    for (;;) {
        int n = iscsi_iconn_tx(s->conn, s->tx_iov, INI_TX_IOV);
        if (n == 0)
            return false;
        struct msghdr msg = { .msg_iov = s->tx_iov, .msg_iovlen = (size_t)n };
        ssize_t sent = sendmsg(s->lfd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                *ret_errno = errno;
            return errno == EAGAIN;
        }
        bool part = (size_t)sent < iov_bytes(s->tx_iov, n);
        iscsi_iconn_tx_done(s->conn, (size_t)sent, loop_now(s->loop));
        if (part)
            return true;
    }
}

static void flush(struct loop_work *w)
{
    struct ini_session *s = list_entry(w, struct ini_session, flush);
    int errnum;
    if (s->phase == INI_PHASE_CONNECTING)
        return;
    bool full = send_all(s, &errnum);
    if (errnum) {
        conn_lost(s, errnum);
        return;
    }
    wait_writable(s, full);
    ini_conn_pump(s);
}

static void tcp_connected(struct ini_session *s)
{
    int rc = ini_portal_connected(s->lfd.fd);
    if (rc == EINPROGRESS)
        return;
    if (rc) {
        ini_session_set_error(s, usan_err_from_errno(rc), "cannot connect: %s", strerror(rc));
        conn_lost(s, rc);
        return;
    }
    s->phase = INI_PHASE_LOGIN;
    sock_peer_addr(s->lfd.fd, s->peer, sizeof(s->peer));
    iscsi_iconn_connected(s->conn, loop_now(s->loop));
    wait_writable(s, false);
    ini_conn_pump(s);
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct ini_session *s = list_entry(lfd, struct ini_session, lfd);
    if (s->phase == INI_PHASE_CONNECTING) {
        if (events & (LOOP_OUT | LOOP_HUP))
            tcp_connected(s);
        return s->phase != INI_PHASE_CONNECTING;
    }
    bool did = false;
    if (events & (LOOP_IN | LOOP_HUP)) {
        int more = receive(s);
        did = more >= 0;
        if (more > 0)
            loop_work_queue(s->loop, &s->rest);
    }
    if (!s->conn)
        return true;
    if (events & LOOP_OUT) {
        loop_work_queue(s->loop, &s->flush);
        did = true;
    }
    return did;
}

static void timer_fired(struct loop_timer *t)
{
    struct ini_session *s = list_entry(t, struct ini_session, timer);
    iscsi_iconn_tick(s->conn, loop_now(s->loop));
    ini_conn_pump(s);
}

/* ---- life ---- */

void ini_conn_init(struct ini_session *s)
{
    s->lfd.fd = -1;
    loop_work_init(&s->flush, flush);
    loop_work_init(&s->rest, receive_rest);
    loop_timer_init(&s->timer, timer_fired);
}

int ini_conn_open(struct ini_session *s, const struct sockaddr_storage *addr)
{
    int fd;
    int rc = ini_portal_connect(addr, &fd);
    if (rc)
        return rc;
    int err = iscsi_iconn_new(s->core, ++s->cid, loop_now(s->loop), &s->conn);
    s->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_OUT, .ready = ready };
    if (err || loop_fd_add(s->loop, &s->lfd)) {
        iscsi_iconn_free(s->conn);
        s->conn = NULL;
        (void)close(fd);
        return ENOMEM;
    }
    s->addr = *addr;
    s->got_close = false;
    s->phase = INI_PHASE_CONNECTING;
    arm_timer(s);
    return 0;
}

/* Events until the connection closes; false when it has. */
static bool drain_events(struct ini_session *s)
{
    struct iscsi_ievent ev;
    while (iscsi_iconn_next(s->conn, &ev)) {
        if (ev.type == ISCSI_IEV_CLOSE)
            return false;
    }
    return true;
}

static void log_out(struct ini_session *s)
{
    uint64_t end = clock_now_ns() + LOGOUT_NS;
    int errnum = 0;
    if (s->phase != INI_PHASE_UP || iscsi_isess_logout(s->core, clock_now_ns()))
        return;
    while (!errnum && drain_events(s)) {
        bool full = send_all(s, &errnum);
        uint64_t now = clock_now_ns();
        struct pollfd p = { .fd = s->lfd.fd, .events = (short)(POLLIN | (full ? POLLOUT : 0)) };
        if (errnum || now >= end || poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1) <= 0)
            return;
        struct iovec iov[ISCSI_IRX_IOV_MAX];
        int n = iscsi_iconn_rx_space(s->conn, s->rx_buf, INI_RX_BYTES, iov);
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t got = n ? recvmsg(s->lfd.fd, &msg, MSG_DONTWAIT) : 0;
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got <= 0)
            return;
        iscsi_iconn_rx(s->conn, (size_t)got, clock_now_ns());
    }
}

void ini_conn_shut(struct ini_session *s)
{
    loop_timer_cancel(s->loop, &s->timer);
    loop_work_cancel(&s->flush);
    loop_work_cancel(&s->rest);
    loop_fd_del(&s->lfd);
    log_out(s);
    (void)close(s->lfd.fd);
    iscsi_iconn_free(s->conn);
    s->conn = NULL;
}
