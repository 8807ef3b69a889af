/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections of the simulated target: bytes, time, events, the login's questions. */
#include "sim/tgt.h"

#include <stdlib.h>
#include <string.h>

struct sim_tconn *sim_tconn_of(const struct iscsi_task *it)
{
    const struct iscsi_tconn *core = iscsi_task_conn(it);
    return core ? iscsi_tconn_user(core) : NULL;
}

void sim_tconn_wake(struct sim_tconn *conn)
{
    if (!sim_timer_set(&conn->wake))
        sim_timer_in(&conn->tgt->sim->clock, &conn->wake, 0);
}

/* ---- login ---- */

/* RFC 7143 11.13.5 */
enum { STATUS_NO_SESSION = 0x020a, STATUS_NO_RESOURCES = 0x0302 };

/* A new session, in the place of an old one of the same initiator port (6.3.5). */
static void bind_new(struct sim_tconn *conn)
{
    struct sim_tsess *old = sim_tsess_find(conn, 0);
    conn->waiting = old != NULL;
    if (old) {
        sim_tsess_reinstate(old);
        return;
    }
    struct sim_tsess *s = sim_tsess_new(conn);
    if (s)
        iscsi_tconn_bind(conn->core, s->core);
    else
        iscsi_tconn_login_reject(conn->core, STATUS_NO_RESOURCES);
}

static void on_bind(struct sim_tconn *conn, const struct iscsi_event *ev)
{
    memcpy(conn->isid, ev->isid, sizeof(conn->isid));
    if (ev->tsih == 0) {
        bind_new(conn);
        return;
    }
    struct sim_tsess *s = sim_tsess_find(conn, ev->tsih);
    if (!s) {
        iscsi_tconn_login_reject(conn->core, STATUS_NO_SESSION);
        return;
    }
    sim_tsess_join(s, conn);
    iscsi_tconn_bind(conn->core, s->core);
}

/* ---- events ---- */

static void on_event(struct sim_tconn *conn, const struct iscsi_event *ev)
{
    static const struct iscsi_auth anybody = { .required = false };
    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        memcpy(conn->initiator, ev->initiator_name, strlen(ev->initiator_name) + 1);
        iscsi_tconn_login_accept(conn->core, &anybody, NULL);
        break;
    case ISCSI_EV_LOGIN_USER:
        iscsi_tconn_login_secret(conn->core, &anybody);
        break;
    case ISCSI_EV_LOGIN_BIND:
        on_bind(conn, ev);
        break;
    case ISCSI_EV_LOGGED_IN:
        conn->session->opened = true;
        break;
    case ISCSI_EV_TASK_LOST:
        sim_tcmd_abort(ev->task);
        break;
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    case ISCSI_EV_SEND_TARGETS:
        iscsi_tconn_targets_end(conn->core);
        break;
    case ISCSI_EV_COMMAND:
    case ISCSI_EV_TMF:
        sim_tcmd_start(conn->session, ev->task);
        break;
    case ISCSI_EV_DATA:
        sim_tcmd_data(ev->task);
        break;
    case ISCSI_EV_SENT:
        sim_tcmd_sent(ev->task);
        break;
    case ISCSI_EV_CLOSE:
        conn->flushed = true;
        conn->retained = ev->retained;
        break;
    }
}

static void pull(struct sim_tconn *conn)
{
    struct iscsi_event ev;
    while (iscsi_tconn_next(conn->core, &ev))
        on_event(conn, &ev);
    if (conn->session)
        sim_tsess_look(conn->session);
    sim_tgt_take_steps(conn->tgt);
}

/* ---- its end ---- */

/* No more bytes in either direction. */
static void end(struct sim_tconn *conn)
{
    struct sim *sim = conn->tgt->sim;
    if (conn->closed)
        return;
    conn->closed = true;
    sim_timer_cancel(&sim->clock, &conn->clock);
    if (!conn->flushed)
        iscsi_tconn_rx_eof(conn->core);
    pull(conn);
    if (conn->sock)
        sim->world->close_sock(conn->sock);
    conn->sock = NULL;
    if (conn->session)
        sim_tsess_conn_closed(conn);
    sim_tconn_wake(conn);
}

void sim_tconn_free(struct sim_tconn *conn)
{
    struct sim *sim = conn->tgt->sim;
    sim_tgt_take_steps(conn->tgt); /* they name it */
    sim_timer_cancel(&sim->clock, &conn->clock);
    sim_timer_cancel(&sim->clock, &conn->wake);
    if (conn->sock)
        sim->world->close_sock(conn->sock);
    iscsi_tconn_free(conn->core);
    list_del(&conn->of_session);
    list_del(&conn->node);
    free(conn);
}

static bool has_tasks(const struct sim_tconn *conn)
{
    struct iscsi_task *it = NULL;
    while ((it = iscsi_tsess_next_task(conn->session->core, it))) {
        if (iscsi_task_conn(it) == conn->core)
            return true;
    }
    return false;
}

static void reap(struct sim_tconn *conn)
{
    struct sim_tsess *s = conn->session;
    if (conn->waiting || (s && has_tasks(conn)))
        return; /* the session, or the last of them, comes back here */
    sim_tconn_free(conn);
    if (s)
        sim_tsess_settle(s);
}

/* ---- bytes and time ---- */

static void tx(struct sim_tconn *conn)
{
    struct sim *sim = conn->tgt->sim;
    struct iovec iov[64];
    int n;
    while (!conn->closed && (n = iscsi_tconn_tx(conn->core, iov, 64)) > 0) {
        size_t sent = sim->world->send(conn->sock, iov, n);
        if (!sent)
            return; /* writable follows */
        iscsi_tconn_tx_done(conn->core, sent, sim->clock.now_ns);
        pull(conn);
    }
    if (!conn->closed && conn->flushed)
        end(conn);
}

static void pump(struct sim_tconn *conn)
{
    pull(conn);
    if (conn->up)
        tx(conn);
    if (!conn->closed)
        sim_timer_at(&conn->tgt->sim->clock, &conn->clock, iscsi_tconn_deadline(conn->core));
}

void sim_tconn_retry(struct sim_tconn *conn)
{
    conn->waiting = false;
    if (conn->closed) {
        sim_tconn_wake(conn);
        return;
    }
    bind_new(conn);
    pump(conn);
}

static void wake(struct sim_timer *t)
{
    struct sim_tconn *conn = list_entry(t, struct sim_tconn, wake);
    struct sim_tgt *tgt = conn->tgt;
    if (conn->closed) {
        pull(conn);
        reap(conn);
    } else {
        pump(conn);
    }
    sim_tgt_run_lane(tgt);
}

static void clock_fired(struct sim_timer *t)
{
    struct sim_tconn *conn = list_entry(t, struct sim_tconn, clock);
    iscsi_tconn_tick(conn->core, conn->tgt->sim->clock.now_ns);
    pump(conn);
    sim_tgt_run_lane(conn->tgt);
}

static void up(void *ctx, struct sim_sock *sock)
{
    struct sim_tconn *conn = ctx;
    (void)sock;
    conn->up = true;
    pump(conn);
}

static void readable(void *ctx, struct sim_sock *sock)
{
    struct sim_tconn *conn = ctx;
    struct sim *sim = conn->tgt->sim;
    while (!conn->closed) {
        struct iovec iov[ISCSI_RX_IOV_MAX];
        int n = iscsi_tconn_rx_space(conn->core, sim->rx, sizeof(sim->rx), iov);
        /* what comes after the core has closed the connection is thrown away */
        struct iovec rest = { sim->rx, sizeof(sim->rx) };
        size_t got = sim->world->recv(sock, n ? iov : &rest, n ? n : 1);
        if (!got)
            break;
        if (n)
            iscsi_tconn_rx(conn->core, got, sim->clock.now_ns);
        pull(conn);
    }
    if (!conn->closed)
        pump(conn);
    sim_tgt_run_lane(conn->tgt);
}

static void writable(void *ctx, struct sim_sock *sock)
{
    struct sim_tconn *conn = ctx;
    (void)sock;
    pump(conn);
    sim_tgt_run_lane(conn->tgt);
}

static void down(void *ctx, struct sim_sock *sock, int err)
{
    struct sim_tconn *conn = ctx;
    (void)sock;
    (void)err;
    end(conn);
    sim_tgt_run_lane(conn->tgt);
}

const struct sim_sock_ops sim_tconn_ops = { up, readable, writable, down };

/* ---- a new one ---- */

static struct iscsi_tconn *make_core(struct sim_tconn *conn)
{
    struct sim *sim = conn->tgt->sim;
    struct iscsi_tconn_config cfg = {
        .steps = sim->timeline ? &conn->tgt->steps : NULL,
        .params = sim->sc->target.side.params,
        .portal_group_tag = 1,
        .queue_depth = sim->sc->target.queue_depth,
        .task_priv_bytes = SIM_TASK_BYTES,
        .login_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = 30 * NS_PER_SEC,
        .nop_timeout_ns = 30 * NS_PER_SEC,
        .progress_timeout_ns = 60 * NS_PER_SEC,
        .address = "10.0.0.1:3260",
        .user = conn,
    };
    sim_seed(sim, 1u << 24 | conn->tgt->accepted++, cfg.seed);
    return iscsi_tconn_new(&cfg, &alloc_heap, sim->clock.now_ns);
}

void *sim_tconn_accept(void *ctx, struct sim_sock *sock, uint32_t from_host)
{
    struct sim_tgt *tgt = ctx;
    struct sim_tconn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->tgt = tgt;
    conn->sock = sock;
    conn->host = from_host;
    conn->core = make_core(conn);
    if (!conn->core) {
        free(conn);
        return NULL;
    }
    list_init(&conn->of_session);
    sim_timer_init(&conn->clock, clock_fired);
    sim_timer_init(&conn->wake, wake);
    list_push_back(&tgt->conns, &conn->node);
    sim_tgt_take_steps(tgt);
    return conn;
}
