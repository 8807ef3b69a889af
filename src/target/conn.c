/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/conn.h"

#include "io/clock.h"
#include "target/access.h"
#include "target/command.h"
#include "target/conn_priv.h"
#include "target/linger.h"
#include "target/log.h"
#include "target/reactor.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- time ---- */

static void timer_fired(struct loop_timer *t)
{
    struct tgt_conn *conn = list_entry(t, struct tgt_conn, timer);
    tgt_conn_enter(conn);
    iscsi_tconn_tick(conn->tconn, loop_now(conn->reactor->loop));
    tgt_conn_take_events(conn);
    tgt_conn_look_after(conn);
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
    tgt_conn_enter(conn);
    conn->kicked = false;
    tgt_conn_leave(conn);
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
    conn->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = tgt_conn_ready };
    conn->waiter.msg.deliver = bind_waited;
    conn->kick.deliver = kicked;
    loop_work_init(&conn->flush, tgt_conn_flush);
    loop_work_init(&conn->rest, tgt_conn_receive_rest);
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
    tgt_conn_arm_timer(conn, iscsi_tconn_deadline(conn->tconn));
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
    tgt_conn_enter(conn);
    iscsi_tconn_rx_eof(conn->tconn);
    tgt_conn_take_events(conn);
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
    tgt_conn_enter(conn);
    iscsi_tconn_ask_logout(conn->tconn, seconds);
    tgt_conn_take_events(conn);
    tgt_conn_look_after(conn);
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
    tgt_conn_enter(conn);
    const char *state = iscsi_tconn_state(conn->tconn);
    tgt_conn_leave(conn);
    tgt_log(TGT_LOG_STATUS, "connection", "tsih=%u cid=%u peer=%s local=%s reactor=%u state=%s",
            conn->session->entry.tsih, conn->cid, conn->peer, conn->local, conn->reactor->index,
            state);
}
