/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections of the target's owner: bytes, time, events, the login's questions. */
#include "sim.h"

#include "base/err.h"

#include <stdio.h>

/* ---- binding to a session ---- */

static void reject(struct sim_conn *conn, uint16_t status)
{
    iscsi_tconn_login_reject(conn->tconn, status);
}

/* A new session, in the place of an old one of the same initiator port (RFC 7143 6.3.5). */
static void bind_new(struct sim_conn *conn)
{
    struct sim_session *old = sim_session_find(conn, 0);
    conn->waiting = old != NULL;
    if (old) {
        sim_session_end(old, true, "reinstated");
        return;
    }
    conn->session = sim_session_new(conn);
    if (conn->session)
        iscsi_tconn_bind(conn->tconn, conn->session->tsess);
    else
        reject(conn, 0x0302);
}

static void on_bind(struct sim_conn *conn, const struct iscsi_event *ev)
{
    memcpy(conn->isid, ev->isid, sizeof(conn->isid));
    if (ev->tsih == 0) {
        bind_new(conn);
        return;
    }
    struct sim_session *s = sim_session_find(conn, ev->tsih);
    if (!s)
        reject(conn, 0x020a); /* session does not exist */
    else if (sim_session_join(s, conn))
        iscsi_tconn_bind(conn->tconn, s->tsess);
    else
        reject(conn, 0x0302);
}

void sim_conn_retry(struct sim_conn *conn)
{
    conn->waiting = false;
    if (conn->closed) {
        sim_event_in(conn->sim, &conn->reap, 0);
        return;
    }
    bind_new(conn);
    sim_conn_pump(conn);
}

/* ---- events ---- */

static void on_close(struct sim_conn *conn, const struct iscsi_event *ev)
{
    bool bad = ev->err == USAN_EPROTO || ev->err == USAN_EDIGEST || ev->err == USAN_ETIMEOUT;
    sim_trace(conn->sim, "tgt closes %u: %s (%d)%s", conn->lane, ev->why ? ev->why : "-", ev->err,
              ev->retained ? ", tasks are retained" : "");
    conn->flushed = true;
    conn->retained = ev->retained;
    if (ev->err == USAN_ETIMEOUT && conn->sim->opt.stall_permille)
        bad = false; /* it may take that long */
    if (bad && conn->link && !sim_link_bad(conn->link) && !conn->sim->alloc.failed &&
        !conn->sim->ini_alloc.failed)
        sim_violation(conn->sim, "the target blames the initiator: %s", ev->why);
}

static void on_event(struct sim_conn *conn, const struct iscsi_event *ev)
{
    static const struct iscsi_auth nobody = { .required = false };
    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        snprintf(conn->initiator, sizeof(conn->initiator), "%s", ev->initiator_name);
        iscsi_tconn_login_accept(conn->tconn, &nobody, NULL);
        break;
    case ISCSI_EV_LOGIN_USER:
        iscsi_tconn_login_secret(conn->tconn, &nobody);
        break;
    case ISCSI_EV_LOGIN_BIND:
        on_bind(conn, ev);
        break;
    case ISCSI_EV_LOGGED_IN:
        conn->session->opened = true;
        break;
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    case ISCSI_EV_SEND_TARGETS:
        iscsi_tconn_targets_end(conn->tconn);
        break;
    case ISCSI_EV_COMMAND:
    case ISCSI_EV_TMF:
    case ISCSI_EV_DATA:
    case ISCSI_EV_SENT:
        sim_cmd_event(conn, ev);
        break;
    case ISCSI_EV_TASK_LOST:
        sim_cmd_lost(ev->task);
        break;
    case ISCSI_EV_CLOSE:
        on_close(conn, ev);
        break;
    }
}

static void pull(struct sim_conn *conn)
{
    struct iscsi_event ev;
    while (iscsi_tconn_next(conn->tconn, &ev))
        on_event(conn, &ev);
    if (conn->session)
        sim_session_look(conn->session);
}

void sim_conn_pump(struct sim_conn *conn)
{
    pull(conn);
    if (conn->closed)
        return;
    if (iscsi_tconn_tx_pending(conn->tconn) || conn->flushed)
        sim_conn_want_tx(conn);
    uint64_t at = iscsi_tconn_deadline(conn->tconn);
    if (at != TIME_NEVER)
        sim_event_in(conn->sim, &conn->timer, at > conn->sim->now_ns ? at - conn->sim->now_ns : 0);
    else
        sim_event_cancel(&conn->timer);
}

/* ---- bytes ---- */

void sim_conn_rx(struct sim_conn *conn, const uint8_t *bytes, size_t len)
{
    struct sim *sim = conn->sim;
    while (len && !conn->closed) {
        struct iovec iov[ISCSI_RX_IOV_MAX];
        size_t cap = 1 + sim_rand(sim, 4096), got = 0;
        /* a new one each time: nothing may be left in an old one */
        uint8_t *buf = sim_get(sim, cap);
        int n = iscsi_tconn_rx_space(conn->tconn, buf, cap, iov);
        if (n == 0)
            len = 0;
        for (int i = 0; i < n && len; i++) {
            size_t k = iov[i].iov_len < len ? iov[i].iov_len : len;
            memcpy(iov[i].iov_base, bytes, k);
            bytes += k;
            len -= k;
            got += k;
        }
        iscsi_tconn_rx(conn->tconn, got, sim->now_ns);
        sim_conn_pump(conn);
        sim_put(buf);
    }
}

void sim_conn_want_tx(struct sim_conn *conn)
{
    if (!conn->closed && !sim_event_set(&conn->tx) &&
        (conn->flushed || iscsi_tconn_tx_pending(conn->tconn)))
        sim_event_in(conn->sim, &conn->tx, sim_rand64(conn->sim, 5 * NS_PER_US));
}

void sim_conn_wake(struct sim_conn *conn)
{
    if (!sim_event_set(&conn->wake))
        sim_event_in(conn->sim, &conn->wake, 0);
}

static void wake(struct sim_event *ev)
{
    struct sim_conn *conn = list_entry(ev, struct sim_conn, wake);
    if (conn->closed)
        pull(conn);
    else
        sim_conn_pump(conn);
    if (conn->closed && !conn->waiting)
        sim_event_in(conn->sim, &conn->reap, 0);
}

static void tx(struct sim_event *ev)
{
    struct sim_conn *conn = list_entry(ev, struct sim_conn, tx);
    struct sim *sim = conn->sim;
    struct sim_pipe *p = &conn->link->to_ini;
    struct iovec iov[16];
    int n = iscsi_tconn_tx(conn->tconn, iov, 1 + (int)sim_rand(sim, 16));
    size_t total = 0, room = p->len < sim->opt.pipe_bytes ? sim->opt.pipe_bytes - p->len : 0;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    if (total > room)
        total = room; /* the pipe calls when it has delivered */
    size_t left = total;
    for (int i = 0; i < n && left; i++) {
        size_t k = iov[i].iov_len < left ? iov[i].iov_len : left;
        sim_pipe_write(p, iov[i].iov_base, k);
        left -= k;
    }
    if (total)
        iscsi_tconn_tx_done(conn->tconn, total, sim->now_ns);
    bool go_on = total || n == 0;
    if (go_on)
        pull(conn);
    if (conn->closed)
        return;
    if (conn->flushed && !iscsi_tconn_tx_pending(conn->tconn)) {
        sim_link_close(conn->link, true);
        sim_conn_close(conn);
    } else if (go_on) {
        sim_conn_pump(conn);
    }
}

static void timer(struct sim_event *ev)
{
    struct sim_conn *conn = list_entry(ev, struct sim_conn, timer);
    iscsi_tconn_tick(conn->tconn, conn->sim->now_ns);
    sim_conn_pump(conn);
}

/* ---- life ---- */

void sim_conn_close(struct sim_conn *conn)
{
    if (conn->closed)
        return;
    conn->closed = true;
    sim_event_cancel(&conn->tx);
    sim_event_cancel(&conn->timer);
    if (!conn->flushed)
        iscsi_tconn_rx_eof(conn->tconn);
    pull(conn);
    if (conn->link && !conn->link->to_ini.end)
        sim_link_cut(conn->link);
    if (conn->session)
        sim_session_conn_closed(conn);
    if (!conn->waiting)
        sim_event_in(conn->sim, &conn->reap, 0);
}

void sim_conn_free(struct sim_conn *conn)
{
    sim_event_cancel(&conn->tx);
    sim_event_cancel(&conn->timer);
    sim_event_cancel(&conn->reap);
    sim_event_cancel(&conn->wake);
    if (conn->link)
        conn->link->conn = NULL;
    iscsi_tconn_free(conn->tconn);
    list_del(&conn->of_session);
    list_del(&conn->node);
    sim_put(conn);
}

/* The owner has a task of this connection. */
static bool has_tasks(const struct sim_conn *conn)
{
    struct iscsi_task *it = NULL;
    while ((it = iscsi_tsess_next_task(conn->session->tsess, it))) {
        if (iscsi_task_conn(it) == conn->tconn)
            return true;
    }
    return false;
}

static void reap(struct sim_event *ev)
{
    struct sim_conn *conn = list_entry(ev, struct sim_conn, reap);
    struct sim_session *s = conn->session;
    if (s && has_tasks(conn))
        return; /* the last of them comes back here */
    sim_conn_free(conn);
    if (s)
        sim_session_settle(s);
}

static void configure(const struct sim *sim, struct iscsi_tconn_config *tc)
{
    const struct sim_options *o = &sim->opt;
    *tc = (struct iscsi_tconn_config){
        .params = iscsi_params_default,
        .portal_group_tag = 1,
        .queue_depth = SIM_DEPTH,
        .task_priv_bytes = sizeof(void *),
        .login_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = o->nop_ns,
        .nop_timeout_ns = 30 * NS_PER_SEC,
        .address = "127.0.0.1:3260",
    };
    tc->params.max_recv_data_segment = o->tgt_segment;
    tc->params.max_burst = o->max_burst;
    tc->params.first_burst = o->first_burst;
    tc->params.max_outstanding_r2t = (uint16_t)o->r2ts;
    tc->params.max_connections = SIM_CONNS;
    tc->params.error_recovery_level = 2;
    tc->params.time2wait = o->time2wait;
    tc->params.time2retain = o->time2retain;
}

struct sim_conn *sim_conn_new(struct sim *sim, struct sim_link *link, unsigned lane)
{
    struct iscsi_tconn_config tc;
    struct sim_conn *conn = sim_get_zero(sim, sizeof(*conn));
    configure(sim, &tc);
    tc.user = conn;
    conn->tconn = iscsi_tconn_new(&tc, &sim->alloc.a, sim->now_ns);
    if (!conn->tconn) {
        sim_put(conn);
        return NULL;
    }
    conn->sim = sim;
    conn->link = link;
    conn->lane = lane;
    list_init(&conn->of_session);
    sim_event_init(&conn->tx, tx);
    sim_event_init(&conn->timer, timer);
    sim_event_init(&conn->reap, reap);
    sim_event_init(&conn->wake, wake);
    list_push_back(&sim->conns, &conn->node);
    return conn;
}
