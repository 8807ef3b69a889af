/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/conn.h"

#include "io/clock.h"
#include "target/access.h"
#include "target/command.h"
#include "target/linger.h"
#include "target/log.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/share.h"
#include "target/target.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- inside the session's lock, if it has one ---- */

static void enter(const struct tgt_conn *conn)
{
    if (conn->session)
        tgt_session_lock(conn->session);
}

static void leave(const struct tgt_conn *conn)
{
    if (conn->session)
        tgt_session_unlock(conn->session);
}

/* ---- events ---- */

/* Of a shared session: commands with something to do outside the lock. */
struct batch {
    struct tgt_cmd *first, **end;
};

static void later(struct batch *b, struct tgt_cmd *cmd, uint8_t event)
{
    cmd->event = event;
    cmd->next_event = NULL;
    *b->end = cmd;
    b->end = &cmd->next_event;
}

static void run(struct tgt_cmd *cmd, uint8_t event)
{
    if (event == TGT_NOTE_SENT)
        tgt_cmd_sent(cmd);
    else if (event == TGT_NOTE_DATA)
        tgt_cmd_data(cmd);
    else
        tgt_cmd_continue(cmd);
}

static void run_batch(const struct batch *b)
{
    struct tgt_cmd *next;
    for (struct tgt_cmd *cmd = b->first; cmd; cmd = next) {
        next = cmd->next_event;
        /* One that was aborted by a function in the same batch is handed out by its lane. */
        if (cmd->event || cmd->task.want != SCSI_ABORTED)
            run(cmd, cmd->event);
    }
}

static void on_close(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    conn->close_flushed = true;
    conn->retained = ev->retained;
    if (ev->status)
        tgt_conn_login_refused(conn, ev->status);
    if (!conn->why)
        conn->why = ev->why ? ev->why : usan_strerror(ev->err);
}

static void on_logged_in(struct tgt_conn *conn)
{
    struct tgt_session *s = conn->session;
    conn->logged_in = true;
    if (s->opened)
        tgt_log(TGT_LOG_INFO, "connection-added", "tsih=%u cid=%u peer=%s reactor=%u",
                s->entry.tsih, conn->cid, conn->peer, conn->reactor->index);
    else
        conn->report_opened = true; /* that takes the lock */
    s->opened = true;
}

/* b: NULL if there is no lock to be left first. */
static void on_begun(struct tgt_cmd *cmd, struct batch *b)
{
    if (cmd && b)
        later(b, cmd, 0);
    else if (cmd)
        tgt_cmd_continue(cmd);
}

static void on_task(struct tgt_conn *conn, const struct iscsi_task *it, uint8_t event,
                    struct batch *b)
{
    struct tgt_cmd *cmd = tgt_cmd_of(it);
    if (!cmd)
        return;
    if (cmd->part != conn->part)
        tgt_part_note(cmd, event);
    else if (b)
        later(b, cmd, event);
    else
        run(cmd, event);
}

static void on_event(struct tgt_conn *conn, const struct iscsi_event *ev, struct batch *b)
{
    switch (ev->type) {
    case ISCSI_EV_COMMAND:
        on_begun(tgt_cmd_admit(conn, ev->task), b);
        break;
    case ISCSI_EV_SENT:
        on_task(conn, ev->task, TGT_NOTE_SENT, b);
        break;
    case ISCSI_EV_DATA:
        on_task(conn, ev->task, TGT_NOTE_DATA, b);
        break;
    case ISCSI_EV_TMF:
        on_begun(tgt_tmf_admit(conn, ev->task), b);
        break;
    case ISCSI_EV_LOGIN_TARGET:
    case ISCSI_EV_LOGIN_USER:
    case ISCSI_EV_LOGIN_BIND:
    case ISCSI_EV_SEND_TARGETS:
        tgt_conn_login_event(conn, ev);
        break;
    case ISCSI_EV_LOGGED_IN:
        on_logged_in(conn);
        break;
    case ISCSI_EV_LOGOUT_OTHER:
        tgt_log(TGT_LOG_INFO, "connection-logout", "tsih=%u cid=%u of=%s peer=%s",
                conn->session->entry.tsih, ev->cid, ev->cid ? "connection" : "session", conn->peer);
        break;
    case ISCSI_EV_CLOSE:
        on_close(conn, ev);
        break;
    }
}

/* Take the events there are, and leave the lock; do what is to be done outside it. A login may
 * make the session in here, but not one that is shared. */
static void take_events(struct tgt_conn *conn)
{
    struct batch b = { .first = NULL };
    b.end = &b.first;
    bool shared = conn->session && conn->session->shared;
    struct iscsi_event ev;
    conn->pumping = true;
    while (iscsi_tconn_next(conn->tconn, &ev))
        on_event(conn, &ev, shared ? &b : NULL);
    conn->pumping = false;
    if (conn->session && conn->session->several)
        tgt_session_kicks(conn->session, conn->reactor);
    leave(conn);
    run_batch(&b);
    if (conn->report_opened) {
        conn->report_opened = false;
        tgt_session_report(conn->session, TGT_LOG_INFO, "session-opened");
    }
}

/* The timer only ever moves ahead here: one that fires too early looks again and is set anew. */
static void arm_timer(struct tgt_conn *conn, uint64_t at)
{
    if (at >= conn->timer.deadline_ns)
        return;
    if (loop_timer_set(conn->reactor->loop, &conn->timer, at))
        tgt_conn_close(conn, "out of memory for a timer");
}

/* After events were taken. */
static void look_after(struct tgt_conn *conn)
{
    if (conn->closed)
        return;
    enter(conn);
    bool pending = iscsi_tconn_tx_pending(conn->tconn);
    uint64_t deadline = iscsi_tconn_deadline(conn->tconn);
    leave(conn);
    if (pending || conn->close_flushed)
        tgt_conn_want_flush(conn);
    arm_timer(conn, deadline);
}

void tgt_conn_pump(struct tgt_conn *conn)
{
    enter(conn);
    take_events(conn);
    look_after(conn);
}

/* ---- the socket ---- */

static void socket_failed(struct tgt_conn *conn)
{
    conn->ended = true;
    tgt_conn_close(conn,
                   errno == ECONNRESET ? "connection reset by the initiator" : "connection failed");
}

static void wait_writable(struct tgt_conn *conn, bool wait)
{
    uint32_t events = (conn->deaf ? 0u : LOOP_IN) | (wait ? LOOP_OUT : 0u);
    if (conn->lfd.events == events)
        return;
    conn->lfd.events = events;
    loop_fd_update(&conn->lfd);
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* May others have the lock while bytes land there? Not if it is memory that they may free. */
static bool lands_safely(const struct tgt_conn *conn)
{
    bool stash;
    const struct iscsi_task *it = iscsi_tconn_rx_task(conn->tconn, &stash);
    if (!it)
        return true;
    const struct tgt_cmd *cmd = stash ? NULL : tgt_cmd_of(it);
    return cmd && cmd->part == conn->part;
}

static ssize_t receive_into(struct tgt_conn *conn, struct iovec *iov, int n)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    struct tgt_session *s = conn->session;
    bool apart = s && s->shared && (n == 1 || lands_safely(conn));
    if (apart) {
        iscsi_tconn_lend(conn->tconn, true);
        leave(conn);
    }
    ssize_t got = n == 1 ? recv(conn->lfd.fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT)
                         : recvmsg(conn->lfd.fd, &msg, MSG_DONTWAIT);
    int err = errno;
    if (apart) {
        enter(conn);
        iscsi_tconn_lend(conn->tconn, false);
    }
    errno = err;
    return got;
}

/* One receive call. Returns 1 if there may be more at once, 0 if not, -1 if nothing came. */
static int receive(struct tgt_conn *conn)
{
    struct tgt_reactor *r = conn->reactor;
    struct iovec iov[ISCSI_RX_IOV_MAX];
    enter(conn);
    int n = iscsi_tconn_rx_space(conn->tconn, r->rx_buf, TGT_RX_BYTES, iov);
    if (n == 0) { /* it is closing and takes no more: what still comes must not keep us awake */
        leave(conn);
        conn->deaf = true;
        wait_writable(conn, conn->lfd.events & LOOP_OUT);
        return -1;
    }
    size_t room = iov_bytes(iov, n);
    ssize_t got = receive_into(conn, iov, n);
    if (got < 0) {
        int err = errno;
        leave(conn);
        errno = err;
        if (errno != EAGAIN && errno != EINTR)
            socket_failed(conn);
        return -1;
    }
    conn->ended = got == 0;
    if (conn->ended)
        iscsi_tconn_rx_eof(conn->tconn);
    else
        iscsi_tconn_rx(conn->tconn, (size_t)got, loop_now(r->loop));
    take_events(conn);
    look_after(conn);
    /* A short read has emptied the socket: asking again would only return EAGAIN. */
    return got > 0 && (size_t)got == room && !conn->closed;
}

/* What came first is answered before the rest is taken in: an initiator that sends much at once
 * would otherwise wait for us, and then we for it. */
static void receive_rest(struct loop_work *w)
{
    struct tgt_conn *conn = list_entry(w, struct tgt_conn, rest);
    if (!conn->deaf && receive(conn) > 0)
        loop_work_queue(conn->reactor->loop, &conn->rest);
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct tgt_conn *conn = list_entry(lfd, struct tgt_conn, lfd);
    bool did = false;
    if ((events & (LOOP_IN | LOOP_HUP)) && !conn->deaf) {
        int more = receive(conn);
        did = more >= 0;
        if (more > 0)
            loop_work_queue(conn->reactor->loop, &conn->rest);
    }
    if (conn->closed)
        return true;
    if (events & LOOP_OUT) {
        tgt_conn_want_flush(conn);
        did = true;
    } else if ((events & LOOP_HUP) && !did) {
        /* Both directions are shut and nothing is left to read. */
        conn->ended = true;
        tgt_conn_close(conn, "the initiator closed the connection");
        did = true;
    }
    return did;
}

/* One send call of at most TGT_TX_IOV iovecs; *ret_short: the socket is full. Returns what sendmsg
 * does, or 0 when there was nothing. Inside the lock, as after it. */
static ssize_t send_once(struct tgt_conn *conn, bool *ret_short)
{
    struct tgt_reactor *r = conn->reactor;
    int n = iscsi_tconn_tx(conn->tconn, r->tx_iov, TGT_TX_IOV);
    *ret_short = false;
    if (n == 0)
        return 0;
    /* The kernel may hold bytes back that come with MSG_MORE, so it is given only while more
     * is sure to follow: the last iovec of a full array waits for the next call. */
    int more = n == TGT_TX_IOV ? MSG_MORE : 0;
    n -= more ? 1 : 0;
    struct msghdr msg = { .msg_iov = r->tx_iov, .msg_iovlen = (size_t)n };
    bool apart = conn->session && conn->session->shared;
    if (apart) {
        iscsi_tconn_lend(conn->tconn, true);
        leave(conn);
    }
    ssize_t sent;
    do {
        sent = sendmsg(conn->lfd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    } while (sent < 0 && errno == EINTR);
    int err = errno;
    *ret_short = sent >= 0 && (size_t)sent < iov_bytes(r->tx_iov, n);
    if (apart) {
        enter(conn);
        iscsi_tconn_lend(conn->tconn, false);
    }
    errno = err;
    return sent;
}

/* Send until nothing is left or the socket is full; true: it is full. */
static bool send_all(struct tgt_conn *conn)
{
    for (;;) {
        bool short_write;
        enter(conn);
        ssize_t sent = send_once(conn, &short_write);
        if (sent <= 0) {
            int err = errno;
            leave(conn);
            errno = err;
            if (sent < 0 && errno != EAGAIN)
                socket_failed(conn);
            return sent < 0 && errno == EAGAIN;
        }
        iscsi_tconn_tx_done(conn->tconn, (size_t)sent, loop_now(conn->reactor->loop));
        bool pending = iscsi_tconn_tx_pending(conn->tconn);
        take_events(conn);
        if (conn->closed)
            return false;
        if (short_write)
            return true;
        if (!pending)
            return false;
    }
}

static bool tx_pending(struct tgt_conn *conn)
{
    enter(conn);
    bool pending = iscsi_tconn_tx_pending(conn->tconn);
    leave(conn);
    return pending;
}

static void flush(struct loop_work *w)
{
    struct tgt_conn *conn = list_entry(w, struct tgt_conn, flush);
    bool full = send_all(conn);
    if (conn->closed)
        return;
    if (!full) {
        tgt_conn_pump(conn);
        if (conn->closed)
            return;
        /* Queued again by the pump because it is closing: this is the end. */
        if (conn->close_flushed && !tx_pending(conn)) {
            tgt_conn_close(conn, NULL);
            return;
        }
    } else {
        look_after(conn);
    }
    wait_writable(conn, full);
}

void tgt_conn_want_flush(struct tgt_conn *conn)
{
    if (!conn->closed)
        loop_work_queue(conn->reactor->loop, &conn->flush);
}

/* ---- time ---- */

static void timer_fired(struct loop_timer *t)
{
    struct tgt_conn *conn = list_entry(t, struct tgt_conn, timer);
    enter(conn);
    iscsi_tconn_tick(conn->tconn, loop_now(conn->reactor->loop));
    take_events(conn);
    look_after(conn);
}

/* ---- life ---- */

/* Free it, if nothing is to come any more. */
static void reap(struct loop_work *w)
{
    struct tgt_conn *conn = list_entry(w, struct tgt_conn, reap);
    struct tgt_session *s = conn->session;
    if (conn->waiting)
        return; /* the message that it waits for comes back to it */
    if (s) {
        tgt_session_lock(s);
        if (conn->left > 0 || conn->kicked) {
            tgt_session_unlock(s);
            return;
        }
        iscsi_tconn_free(conn->tconn);
        tgt_session_conn_freed(conn);
        tgt_session_unlock(s);
    } else {
        tgt_log_peer(TGT_LOG_INFO, TGT_LOG_CONNECTION_CLOSED, "peer=%s initiator=%s why=%s",
                     conn->peer, tgt_log_quote(conn->initiator).s, tgt_log_quote(conn->why).s);
        iscsi_tconn_free(conn->tconn);
    }
    list_del(&conn->node);
    free(conn->user);
    free(conn);
}

void tgt_conn_settle(struct tgt_conn *conn)
{
    loop_work_queue(conn->reactor->loop, &conn->reap);
}

static void bind_waited(struct loop_msg *m)
{
    struct tgt_conn *conn = list_entry(m, struct tgt_conn, waiter.msg);
    conn->waiting = false;
    if (conn->closed)
        tgt_conn_settle(conn);
    else
        tgt_conn_retry_bind(conn);
}

/* Another reactor has found something to do here. */
static void kicked(struct loop_msg *m)
{
    struct tgt_conn *conn = list_entry(m, struct tgt_conn, kick);
    enter(conn);
    conn->kicked = false;
    leave(conn);
    if (conn->closed)
        tgt_conn_settle(conn);
    else
        tgt_conn_want_flush(conn);
}

static int make_tconn(struct tgt_conn *conn)
{
    struct tgt_reactor *r = conn->reactor;
    const struct tgt_config *cfg = tgt_cfg(r->tgt);
    struct iscsi_tconn_config tc = {
        .params = iscsi_params_default,
        .portal_group_tag = TGT_PORTAL_GROUP,
        .queue_depth = cfg->limits.queue_depth,
        .task_priv_bytes = sizeof(struct tgt_cmd_ref),
        .login_timeout_ns = cfg->login_timeout_ns,
        .nop_interval_ns = cfg->nop_interval_ns,
        .nop_timeout_ns = cfg->nop_timeout_ns,
        .progress_timeout_ns = cfg->limits.progress_timeout_ns,
        .address = conn->local,
        .user = conn,
    };
    tc.params.max_connections = (uint16_t)cfg->limits.session_connections;
    tc.params.error_recovery_level = (uint8_t)cfg->limits.recovery_level;
    /* There is nothing to wait for before coming back; whether there is something to come back to
     * depends on the recovery level that is agreed on. */
    tc.params.time2wait = 0;
    tc.params.time2retain = (uint16_t)((cfg->limits.time2retain_ns + NS_PER_SEC - 1) / NS_PER_SEC);
    tc.params.retain_at_level_2 = true;
    if (getrandom(tc.seed, sizeof(tc.seed), 0) != (ssize_t)sizeof(tc.seed))
        return USAN_EIO;
    tgt_core_alloc_init(&conn->core, &r->buffers, NULL);
    conn->tconn = iscsi_tconn_new(&tc, &conn->core.alloc, clock_now_ns());
    explicit_bzero(tc.seed, sizeof(tc.seed));
    return conn->tconn ? 0 : USAN_ENOMEM;
}

static struct tgt_conn *make_conn(struct tgt_reactor *r, int fd)
{
    struct tgt_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->reactor = r;
    conn->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    conn->waiter.msg.deliver = bind_waited;
    conn->kick.deliver = kicked;
    loop_work_init(&conn->flush, flush);
    loop_work_init(&conn->rest, receive_rest);
    loop_work_init(&conn->reap, reap);
    loop_timer_init(&conn->timer, timer_fired);
    list_init(&conn->node);
    list_init(&conn->of_session);
    sock_peer_addr(fd, conn->peer, sizeof(conn->peer));
    sock_local_addr(fd, conn->local, sizeof(conn->local));
    if (make_tconn(conn) || loop_fd_add(r->loop, &conn->lfd)) {
        iscsi_tconn_free(conn->tconn);
        free(conn);
        return NULL;
    }
    return conn;
}

void tgt_conn_open(struct tgt_reactor *r, int fd)
{
    /* PDUs are sent as they are ready; waiting for more only adds latency. */
    const struct sock_options options = { .nodelay = true };
    struct err_text e = { "" };
    if (sock_set_options(fd, &options, &e)) /* slower, not wrong */
        tgt_log(TGT_LOG_WARN, "socket-options", "why=%s", tgt_log_quote(e.text).s);
    struct tgt_conn *conn = r->draining ? NULL : make_conn(r, fd);
    if (!conn) {
        if (!r->draining)
            tgt_log_peer(TGT_LOG_ERROR, TGT_LOG_CONNECTION_REFUSED,
                         "why=\"out of memory, or --memory is used up\"");
        close(fd);
        atomic_fetch_sub(&r->conn_count, 1);
        return;
    }
    list_push_back(&r->conns, &conn->node);
    tgt_log(TGT_LOG_DEBUG, "connection-opened", "peer=%s local=%s reactor=%u", conn->peer,
            conn->local, r->index);
    arm_timer(conn, iscsi_tconn_deadline(conn->tconn));
}

void tgt_conn_close(struct tgt_conn *conn, const char *why)
{
    if (conn->closed)
        return;
    conn->closed = true;
    if (!conn->why)
        conn->why = why;
    loop_timer_cancel(conn->reactor->loop, &conn->timer);
    loop_work_cancel(&conn->flush);
    loop_work_cancel(&conn->rest);
    loop_fd_del(&conn->lfd);
    /* From here on nothing goes out: what was being sent is reported as sent, and so released. */
    enter(conn);
    iscsi_tconn_rx_eof(conn->tconn);
    take_events(conn);
    if (conn->ended) {
        close(conn->lfd.fd);
        atomic_fetch_sub(&conn->reactor->conn_count, 1);
    } else {
        tgt_linger_start(conn->reactor, conn->lfd.fd);
    }
    if (conn->session)
        tgt_session_conn_closed(conn);
    else
        tgt_conn_settle(conn);
}

void tgt_conn_ask_logout(struct tgt_conn *conn, uint16_t seconds)
{
    if (conn->closed || !conn->session)
        return;
    enter(conn);
    iscsi_tconn_ask_logout(conn->tconn, seconds);
    take_events(conn);
    look_after(conn);
}

void tgt_conn_deaf(struct tgt_conn *conn)
{
    if (conn->closed || conn->deaf)
        return;
    conn->deaf = true;
    conn->lfd.events &= ~(uint32_t)LOOP_IN;
    loop_fd_update(&conn->lfd);
}

void tgt_conn_report(struct tgt_conn *conn)
{
    if (!conn->session || conn->closed)
        return;
    enter(conn);
    const char *state = iscsi_tconn_state(conn->tconn);
    leave(conn);
    tgt_log(TGT_LOG_STATUS, "connection", "tsih=%u cid=%u peer=%s local=%s reactor=%u state=%s",
            conn->session->entry.tsih, conn->cid, conn->peer, conn->local, conn->reactor->index,
            state);
}
