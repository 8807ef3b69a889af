/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner of the target's cores: connections, sessions, lanes. One connection per session; a new
 * login of the same initiator port ends the old session first (RFC 7143 6.3.5). */
#include "sim.h"

#include "iscsi/names.h"

#include <stdio.h>

static const char target_name[] = "iqn.2026-01.test:disk";

/* ---- lanes ---- */

static void kicked(struct sim_event *ev, unsigned i)
{
    struct sim *sim = (struct sim *)(void *)((char *)(ev - i) - offsetof(struct sim, kicks));
    sim->kicked[i] = false;
    scsi_lane_poll(sim->lanes[i]);
    sim->dirty[i] = true;
}

static void kicked0(struct sim_event *ev)
{
    kicked(ev, 0);
}

static void kicked1(struct sim_event *ev)
{
    kicked(ev, 1);
}

static void post_kicks(struct sim *sim, unsigned self)
{
    uint64_t kicks = scsi_lu_take_kicks(sim->lu);
    for (unsigned i = 0; i < SIM_LANES; i++) {
        if (!(kicks >> i & 1))
            continue;
        if (i == self) {
            scsi_lane_poll(sim->lanes[i]);
            sim->dirty[i] = true;
        } else if (!sim->kicked[i]) {
            sim->kicked[i] = true;
            sim_event_in(sim, &sim->kicks[i], sim_rand64(sim, 20 * NS_PER_US));
        }
    }
}

void sim_lanes_run(struct sim *sim)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < SIM_LANES; i++) {
            if (!sim->dirty[i])
                continue;
            again = true;
            sim->dirty[i] = false;
            struct scsi_task *t;
            while ((t = scsi_lane_next(sim->lanes[i])))
                t->nexus ? sim_cmd_continue(t) : sim_background(sim, t);
            post_kicks(sim, i);
        }
    }
}

/* ---- sessions ---- */

static void session_free(struct sim_session *s)
{
    sim_event_cancel(&s->finish);
    if (s->nexus && scsi_nexus_tasks(s->nexus))
        sim_violation(s->sim, "a nexus ends with %u tasks", scsi_nexus_tasks(s->nexus));
    scsi_nexus_free(s->nexus);
    if (s->tsess && iscsi_tsess_task_count(s->tsess))
        sim_violation(s->sim, "a session ends with %u tasks", iscsi_tsess_task_count(s->tsess));
    iscsi_tsess_free(s->tsess);
    s->sim->dirty[s->lane] = true;
    list_del(&s->node);
    sim_put(s);
}

static void conn_free(struct sim_conn *conn)
{
    sim_event_cancel(&conn->tx);
    sim_event_cancel(&conn->timer);
    sim_event_cancel(&conn->reap);
    if (conn->link)
        conn->link->conn = NULL;
    iscsi_tconn_free(conn->tconn);
    list_del(&conn->node);
    sim_put(conn);
}

static void bind(struct sim_conn *conn);

static void finish(struct sim_event *ev)
{
    struct sim_session *s = list_entry(ev, struct sim_session, finish);
    struct sim *sim = s->sim;
    sim_trace(sim, "session %u is over", iscsi_tsess_tsih(s->tsess));
    conn_free(s->conn);
    session_free(s);
    list_for_each_safe (&sim->conns, pos) {
        struct sim_conn *conn = list_entry(pos, struct sim_conn, node);
        if (conn->waiting)
            bind(conn);
    }
}

static void finish_if_idle(struct sim_session *s)
{
    if (s->closing && s->busy == 0)
        sim_event_in(s->sim, &s->finish, 0);
}

void sim_session_cmd_done(struct sim_session *s)
{
    s->busy--;
    finish_if_idle(s);
}

static bool make_nexus(struct sim_session *s)
{
    char initiator_port[ISCSI_PORT_NAME_MAX], target_port[ISCSI_PORT_NAME_MAX];
    uint8_t id[ISCSI_TRANSPORT_ID_MAX];
    iscsi_initiator_port_name(s->initiator, s->isid, initiator_port);
    iscsi_target_port_name(target_name, 1, target_port);
    const struct scsi_nexus_config nc = {
        .initiator_port = initiator_port,
        .target_port = target_port,
        .target_device = target_name,
        .rel_target_port = 1,
        .target_port_group = 1,
        .protocol_id = 5,
        .transport_id = id,
        .transport_id_len = (uint16_t)iscsi_transport_id(s->initiator, s->isid, id, sizeof(id)),
    };
    s->nexus = scsi_nexus_new(&nc, &s->sim->alloc.a);
    return s->nexus && scsi_nexus_map(s->nexus, 0, s->sim->lanes[s->lane], false) == 0;
}

static struct sim_session *session_new(struct sim_conn *conn)
{
    struct sim *sim = conn->sim;
    struct sim_session *s = sim_get_zero(sim, sizeof(*s));
    s->sim = sim;
    s->conn = conn;
    s->lane = conn->lane;
    memcpy(s->initiator, conn->initiator, sizeof(s->initiator));
    memcpy(s->isid, conn->isid, sizeof(s->isid));
    sim_event_init(&s->finish, finish);
    list_init(&s->node);
    if (++sim->next_tsih == 0)
        sim->next_tsih = 1;
    s->tsess = iscsi_tsess_new(conn->tconn, sim->next_tsih, &sim->alloc.a);
    if (!s->tsess || !make_nexus(s)) {
        session_free(s);
        return NULL;
    }
    list_push_back(&sim->sessions, &s->node);
    sim->dirty[s->lane] = true;
    return s;
}

static struct sim_session *find_session(const struct sim_conn *conn)
{
    list_for_each (&conn->sim->sessions, pos) {
        struct sim_session *s = list_entry(pos, struct sim_session, node);
        if (strcmp(s->initiator, conn->initiator) == 0 && memcmp(s->isid, conn->isid, 6) == 0)
            return s;
    }
    return NULL;
}

static void bind(struct sim_conn *conn)
{
    if (conn->closed) {
        conn->waiting = false;
        sim_event_in(conn->sim, &conn->reap, 0);
        return;
    }
    struct sim_session *old = find_session(conn);
    conn->waiting = old != NULL;
    if (old) {
        sim_conn_close(old->conn);
        return;
    }
    conn->session = session_new(conn);
    if (conn->session)
        iscsi_tconn_bind(conn->tconn, conn->session->tsess);
    else
        iscsi_tconn_login_reject(conn->tconn, 0x0302);
    sim_conn_pump(conn);
}

/* ---- events of a connection ---- */

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
        memcpy(conn->isid, ev->isid, sizeof(conn->isid));
        /* not from within the pump: bind() pumps */
        conn->waiting = true;
        break;
    case ISCSI_EV_LOGGED_IN:
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
    case ISCSI_EV_CLOSE:
        sim_trace(conn->sim, "close: %s", ev->why ? ev->why : "-");
        conn->flushed = true;
        break;
    }
}

void sim_conn_pump(struct sim_conn *conn)
{
    struct iscsi_event ev;
    bool bind_now = false;
    while (iscsi_tconn_next(conn->tconn, &ev)) {
        on_event(conn, &ev);
        bind_now |= ev.type == ISCSI_EV_LOGIN_BIND;
    }
    if (conn->closed)
        return;
    if (bind_now) {
        bind(conn);
        return;
    }
    if (iscsi_tconn_tx_pending(conn->tconn) || conn->flushed)
        sim_conn_want_tx(conn);
    uint64_t at = iscsi_tconn_deadline(conn->tconn);
    if (at != TIME_NEVER)
        sim_event_in(conn->sim, &conn->timer, at > conn->sim->now_ns ? at - conn->sim->now_ns : 0);
    else
        sim_event_cancel(&conn->timer);
}

void sim_conn_rx(struct sim_conn *conn, const uint8_t *bytes, size_t len)
{
    struct sim *sim = conn->sim;
    while (len && !conn->closed) {
        struct iovec iov[ISCSI_RX_IOV_MAX];
        size_t cap = 1 + sim_rand(sim, 4096), got = 0;
        uint8_t *buf =
            sim_get(sim, cap); /* a new one each time: nothing may be left in an old one */
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
    if (!conn->closed && !sim_event_set(&conn->tx))
        sim_event_in(conn->sim, &conn->tx, sim_rand64(conn->sim, 5 * NS_PER_US));
}

static void tx(struct sim_event *ev)
{
    struct sim_conn *conn = list_entry(ev, struct sim_conn, tx);
    struct sim *sim = conn->sim;
    struct sim_pipe *p = &conn->link->to_ini;
    struct iovec iov[16];
    int n = iscsi_tconn_tx(conn->tconn, iov, 1 + (int)sim_rand(sim, 16));
    size_t total = 0, room = sim->opt.pipe_bytes - p->len;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    if (p->len >= sim->opt.pipe_bytes)
        room = 0; /* the pipe calls when it has delivered */
    if (total > room)
        total = room;
    size_t left = total;
    for (int i = 0; i < n && left; i++) {
        size_t k = iov[i].iov_len < left ? iov[i].iov_len : left;
        sim_pipe_write(p, iov[i].iov_base, k);
        left -= k;
    }
    if (total)
        iscsi_tconn_tx_done(conn->tconn, total, sim->now_ns);
    bool pump = total || n == 0;
    if (pump) {
        struct iscsi_event e;
        while (iscsi_tconn_next(conn->tconn, &e))
            on_event(conn, &e);
    }
    if (conn->closed)
        return;
    if (conn->flushed && !iscsi_tconn_tx_pending(conn->tconn)) {
        p->end = true;
        if (!sim_event_set(&p->ev))
            sim_event_in(sim, &p->ev, 0);
        sim_conn_close(conn);
    } else if (pump) {
        sim_conn_pump(conn);
    }
}

static void timer(struct sim_event *ev)
{
    struct sim_conn *conn = list_entry(ev, struct sim_conn, timer);
    iscsi_tconn_tick(conn->tconn, conn->sim->now_ns);
    sim_conn_pump(conn);
}

static void reap(struct sim_event *ev)
{
    conn_free(list_entry(ev, struct sim_conn, reap));
}

void sim_conn_close(struct sim_conn *conn)
{
    struct iscsi_event ev;
    if (conn->closed)
        return;
    conn->closed = true;
    sim_event_cancel(&conn->tx);
    sim_event_cancel(&conn->timer);
    iscsi_tconn_rx_eof(conn->tconn);
    while (iscsi_tconn_next(conn->tconn, &ev))
        on_event(conn, &ev);
    if (conn->link && !conn->link->to_ini.end)
        sim_link_cut(conn->link);
    struct sim_session *s = conn->session;
    if (!s) {
        if (!conn->waiting)
            sim_event_in(conn->sim, &conn->reap, 0);
        return;
    }
    s->closing = true;
    scsi_nexus_abort(s->nexus, UINT64_MAX);
    conn->sim->dirty[s->lane] = true;
    finish_if_idle(s);
}

struct sim_conn *sim_conn_new(struct sim *sim, struct sim_link *link, unsigned lane)
{
    const struct sim_options *o = &sim->opt;
    struct iscsi_tconn_config tc = {
        .params = iscsi_params_default,
        .portal_group_tag = 1,
        .queue_depth = SIM_DEPTH,
        .task_priv_bytes = sizeof(void *),
        .login_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = o->nop_ns,
        .nop_timeout_ns = 30 * NS_PER_SEC,
        .address = "127.0.0.1:3260",
    };
    tc.params.max_recv_data_segment = o->tgt_segment;
    tc.params.max_burst = o->max_burst;
    tc.params.first_burst = o->first_burst;
    tc.params.max_outstanding_r2t = (uint16_t)o->r2ts;
    tc.params.time2retain = 0;
    struct iscsi_tconn *tconn = iscsi_tconn_new(&tc, &sim->alloc.a, sim->now_ns);
    if (!tconn)
        return NULL;
    struct sim_conn *conn = sim_get_zero(sim, sizeof(*conn));
    conn->sim = sim;
    conn->link = link;
    conn->lane = lane;
    conn->tconn = tconn;
    sim_event_init(&conn->tx, tx);
    sim_event_init(&conn->timer, timer);
    sim_event_init(&conn->reap, reap);
    list_push_back(&sim->conns, &conn->node);
    return conn;
}

/* ---- life ---- */

bool sim_target_init(struct sim *sim)
{
    const struct scsi_lu_config cfg = {
        .vendor = "USAN",
        .product = "SIMULATED",
        .revision = "1",
        .serial = "1",
        .naa = { 0x30, 0, 0, 0, 0, 0, 0, 1 },
        .naa_len = 8,
        .block_bytes = SIM_BLOCK,
        .block_count = SIM_BLOCKS,
        .thin = true,
        .unmap_zeroes = true,
        .keeps_state = true,
        .native_caw = sim->opt.native_caw,
        .volatile_cache = sim->opt.wce,
        .wce = sim->opt.wce,
    };
    sim_admin_init(sim);
    sim->lu = scsi_lu_new(&cfg, &sim->alloc.a);
    if (!sim->lu || scsi_lu_add_port(sim->lu, 1, 1))
        return false;
    for (unsigned i = 0; i < SIM_LANES; i++) {
        sim->lanes[i] = scsi_lane_new(sim->lu, i);
        if (!sim->lanes[i])
            return false;
        sim_event_init(&sim->kicks[i], i ? kicked1 : kicked0);
    }
    return true;
}

void sim_target_fini(struct sim *sim)
{
    sim_event_cancel(&sim->admin);
    for (unsigned i = 0; i < SIM_LANES; i++) {
        sim_event_cancel(&sim->kicks[i]);
        scsi_lane_free(sim->lanes[i]);
    }
    scsi_lu_free(sim->lu);
}
