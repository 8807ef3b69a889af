/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a connection, between its socket and its core. */
#include "io/stream.h"
#include "target/command.h"
#include "target/conn_priv.h"
#include "target/reactor.h"

#include <errno.h>

static void socket_failed(struct tgt_conn *conn, int errnum)
{
    conn->ended = true;
    tgt_conn_close(conn, errnum == ECONNRESET ? "connection reset by the initiator"
                                              : "connection failed");
}

static void wait_writable(struct tgt_conn *conn, bool wait)
{
    uint32_t events = (conn->deaf ? 0u : LOOP_IN) | (wait ? LOOP_OUT : 0u);
    if (conn->lfd.events == events)
        return;
    conn->lfd.events = events;
    loop_fd_update(&conn->lfd);
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

static ssize_t receive_into(struct tgt_conn *conn, struct iovec *iov, int n, bool *ret_more)
{
    struct tgt_session *s = conn->session;
    bool apart = s && s->shared && (n == 1 || lands_safely(conn));
    if (apart) {
        iscsi_tconn_lend(conn->tconn, true);
        tgt_conn_leave(conn);
    }
    ssize_t got = stream_recv(conn->lfd.fd, iov, n, ret_more);
    if (apart) {
        if (got > 0)
            iscsi_tconn_rx_digest(conn->tconn, iov, (size_t)got);
        tgt_conn_enter(conn);
        iscsi_tconn_lend(conn->tconn, false);
    }
    return got;
}

/* One receive call. Returns 1 if there may be more at once, 0 if not, -1 if nothing came. */
static int receive(struct tgt_conn *conn)
{
    struct tgt_reactor *r = conn->reactor;
    struct iovec iov[ISCSI_RX_IOV_MAX];
    tgt_conn_enter(conn);
    int n = iscsi_tconn_rx_space(conn->tconn, r->rx_buf, TGT_RX_BYTES, iov);
    if (n == 0) { /* it is closing and takes no more: what still comes must not keep us awake */
        tgt_conn_leave(conn);
        conn->deaf = true;
        wait_writable(conn, conn->lfd.events & LOOP_OUT);
        return -1;
    }
    bool more;
    ssize_t got = receive_into(conn, iov, n, &more);
    if (got < 0) {
        tgt_conn_leave(conn);
        if (got != -EAGAIN)
            socket_failed(conn, (int)-got);
        return -1;
    }
    conn->ended = got == 0;
    if (conn->ended)
        iscsi_tconn_rx_eof(conn->tconn);
    else
        iscsi_tconn_rx(conn->tconn, (size_t)got, loop_now(r->loop));
    tgt_conn_take_events(conn);
    tgt_conn_look_after(conn);
    return more && !conn->closed;
}

/* What came first is answered before the rest is taken in: an initiator that sends much at once
 * would otherwise wait for us, and then we for it. */
void tgt_conn_receive_rest(struct loop_work *w)
{
    struct tgt_conn *conn = list_entry(w, struct tgt_conn, rest);
    if (!conn->deaf && receive(conn) > 0)
        loop_work_queue(conn->reactor->loop, &conn->rest);
}

bool tgt_conn_ready(struct loop_fd *lfd, uint32_t events)
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

/* One call; as stream_send(), or 0 when there was nothing. Inside the lock, as after it. */
static ssize_t send_once(struct tgt_conn *conn, bool *ret_full)
{
    struct tgt_reactor *r = conn->reactor;
    bool apart = conn->session && conn->session->shared;
    int n = apart ? iscsi_tconn_tx_bare(conn->tconn, r->tx_iov, TGT_TX_IOV)
                  : iscsi_tconn_tx(conn->tconn, r->tx_iov, TGT_TX_IOV);
    *ret_full = false;
    if (n == 0)
        return 0;
    if (apart) {
        iscsi_tconn_lend(conn->tconn, true);
        tgt_conn_leave(conn);
        iscsi_tconn_tx_digest(conn->tconn);
    }
    ssize_t sent = stream_send(conn->lfd.fd, r->tx_iov, n, TGT_TX_IOV, ret_full);
    if (apart) {
        tgt_conn_enter(conn);
        iscsi_tconn_lend(conn->tconn, false);
    }
    return sent;
}

/* Send until nothing is left or the socket is full; true: it is full. */
static bool send_all(struct tgt_conn *conn)
{
    for (;;) {
        bool full;
        tgt_conn_enter(conn);
        ssize_t sent = send_once(conn, &full);
        if (sent <= 0) {
            tgt_conn_leave(conn);
            if (sent < 0 && sent != -EAGAIN)
                socket_failed(conn, (int)-sent);
            return sent == -EAGAIN;
        }
        iscsi_tconn_tx_done(conn->tconn, (size_t)sent, loop_now(conn->reactor->loop));
        bool pending = iscsi_tconn_tx_pending(conn->tconn);
        tgt_conn_take_events(conn);
        if (conn->closed)
            return false;
        if (full)
            return true;
        if (!pending)
            return false;
    }
}

static bool tx_pending(struct tgt_conn *conn)
{
    tgt_conn_enter(conn);
    bool pending = iscsi_tconn_tx_pending(conn->tconn);
    tgt_conn_leave(conn);
    return pending;
}

void tgt_conn_flush(struct loop_work *w)
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
        tgt_conn_look_after(conn);
    }
    wait_writable(conn, full);
}

void tgt_conn_want_flush(struct tgt_conn *conn)
{
    if (!conn->closed)
        loop_work_queue(conn->reactor->loop, &conn->flush);
}
