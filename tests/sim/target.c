/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner of the target's cores: the logical unit with its lanes, and sessions, whose connections
 * may be of different lanes. */
#include "sim.h"

#include "iscsi/names.h"

static const char target_name[] = "iqn.2026-01.test:disk";

/* ---- lanes ---- */

static void kicked(struct sim_event *ev, unsigned i)
{
    struct sim *sim = (struct sim *)(void *)((char *)(ev - i) - offsetof(struct sim, kicks));
    sim->kicked[i] = false;
    if (!sim->lanes[i])
        return;
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
    for (bool again = true; again && sim->lu;) {
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

/* ---- making a session ---- */

static void session_free(struct sim_session *s)
{
    sim_event_cancel(&s->finish);
    sim_event_cancel(&s->clock);
    if (s->nexus && scsi_nexus_tasks(s->nexus))
        sim_violation(s->sim, "a nexus ends with %u tasks", scsi_nexus_tasks(s->nexus));
    for (unsigned i = 0; i < SIM_LANES; i++) {
        if (s->nexus && s->branch[i] && i != s->home)
            scsi_branch_free(s->branch[i]);
        s->sim->dirty[i] = true;
    }
    scsi_nexus_free(s->nexus);
    if (s->tsess && iscsi_tsess_next_task(s->tsess, NULL))
        sim_violation(s->sim, "a session ends with tasks in hand");
    if (s->sim->opt.mutant == SIM_HOARDS && s->tsess)
        (void)!alloc_get(&s->sim->alloc.a, 100);
    iscsi_tsess_free(s->tsess);
    list_del(&s->node);
    sim_put(s);
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
    if (!s->nexus)
        return false;
    s->branch[s->home] = scsi_nexus_home(s->nexus);
    s->mapped = !s->sim->unit_gone;
    return !s->mapped || scsi_nexus_map(s->nexus, 0, s->sim->lanes[s->home], false) == 0;
}

static void finish(struct sim_event *ev)
{
    struct sim_session *s = list_entry(ev, struct sim_session, finish);
    struct sim *sim = s->sim;
    sim_trace(sim, "session %u is over", iscsi_tsess_tsih(s->tsess));
    session_free(s);
    list_for_each_safe (&sim->conns, pos) {
        struct sim_conn *conn = list_entry(pos, struct sim_conn, node);
        if (conn->waiting)
            sim_conn_retry(conn);
    }
}

static void clock_fired(struct sim_event *ev)
{
    struct sim_session *s = list_entry(ev, struct sim_session, clock);
    iscsi_tsess_tick(s->tsess, s->sim->now_ns);
    sim_session_look(s);
}

struct sim_session *sim_session_new(struct sim_conn *conn)
{
    struct sim *sim = conn->sim;
    struct sim_session *s = sim_get_zero(sim, sizeof(*s));
    s->sim = sim;
    s->home = conn->lane;
    s->live = 1;
    memcpy(s->initiator, conn->initiator, sizeof(s->initiator));
    memcpy(s->isid, conn->isid, sizeof(s->isid));
    sim_event_init(&s->finish, finish);
    sim_event_init(&s->clock, clock_fired);
    list_init(&s->node);
    list_init(&s->conns);
    list_init(&s->cmds);
    if (++sim->next_tsih == 0)
        sim->next_tsih = 1;
    s->tsess = iscsi_tsess_new(conn->tconn, sim->next_tsih, &sim->alloc.a);
    if (!s->tsess || !make_nexus(s)) {
        session_free(s);
        return NULL;
    }
    list_push_back(&sim->sessions, &s->node);
    list_push_back(&s->conns, &conn->of_session);
    sim->dirty[s->home] = true;
    sim_trace(sim, "session %u begins", iscsi_tsess_tsih(s->tsess));
    return s;
}

struct sim_session *sim_session_find(const struct sim_conn *conn, uint16_t tsih)
{
    list_for_each (&conn->sim->sessions, pos) {
        struct sim_session *s = list_entry(pos, struct sim_session, node);
        bool its = strcmp(s->initiator, conn->initiator) == 0 && !memcmp(s->isid, conn->isid, 6);
        if (its && (!tsih || (tsih == iscsi_tsess_tsih(s->tsess) && !s->closing)))
            return s;
    }
    return NULL;
}

bool sim_session_join(struct sim_session *s, struct sim_conn *conn)
{
    struct sim *sim = s->sim;
    unsigned lane = conn->lane;
    if (!s->branch[lane]) {
        if (sim->unit_gone || !s->mapped)
            return false; /* the map of a shared nexus is fixed */
        if (!s->shared)
            scsi_nexus_share(s->nexus);
        s->shared = true;
        struct scsi_branch *b = scsi_branch_new(s->nexus);
        if (!b)
            return false;
        if (scsi_branch_map(b, 0, sim->lanes[lane]) != 0) {
            scsi_branch_free(b);
            return false;
        }
        s->branch[lane] = b;
        sim->dirty[lane] = true;
    }
    conn->session = s;
    list_push_back(&s->conns, &conn->of_session);
    s->live++;
    return true;
}

/* ---- its end ---- */

void sim_session_settle(struct sim_session *s)
{
    if (s->closing && list_empty(&s->conns) && list_empty(&s->cmds) && !sim_event_set(&s->finish))
        sim_event_in(s->sim, &s->finish, 0);
}

/* No connection is left, and none can come. */
static void over(struct sim_session *s)
{
    if (s->closing)
        return;
    s->closing = true;
    for (unsigned i = 0; i < SIM_LANES; i++) {
        if (s->branch[i])
            scsi_branch_abort(s->branch[i], UINT64_MAX);
        s->sim->dirty[i] = true;
    }
    sim_session_settle(s);
}

static void events(struct sim_session *s)
{
    struct iscsi_tsess_event ev;
    while (iscsi_tsess_next(s->tsess, &ev)) {
        switch (ev.type) {
        case ISCSI_TSESS_EV_SENT:
            sim_cmd_sent(ev.task);
            break;
        case ISCSI_TSESS_EV_DATA:
            sim_cmd_data(ev.task);
            break;
        case ISCSI_TSESS_EV_TASK_LOST:
            sim_cmd_abort(ev.task);
            break;
        case ISCSI_TSESS_EV_DOWN:
            sim_trace(s->sim, "session %u: nobody came back", iscsi_tsess_tsih(s->tsess));
            s->down = true;
            if (s->live == 0)
                over(s);
            break;
        }
    }
}

void sim_session_look(struct sim_session *s)
{
    struct iscsi_tconn *tconn;
    events(s);
    while ((tconn = iscsi_tsess_take_kick(s->tsess)))
        sim_conn_wake(iscsi_tconn_user(tconn));
    uint64_t at = s->closing ? TIME_NEVER : iscsi_tsess_deadline(s->tsess);
    if (at == TIME_NEVER)
        sim_event_cancel(&s->clock);
    else
        sim_event_in(s->sim, &s->clock, at > s->sim->now_ns ? at - s->sim->now_ns : 0);
}

void sim_session_end(struct sim_session *s, bool reinstated, const char *why)
{
    if (s->closing)
        return;
    sim_trace(s->sim, "session %u is closed: %s", iscsi_tsess_tsih(s->tsess), why);
    iscsi_tsess_close(s->tsess, reinstated, why);
    list_for_each (&s->conns, pos)
        sim_conn_wake(list_entry(pos, struct sim_conn, of_session));
    sim_session_look(s);
    if (s->live == 0)
        over(s);
}

void sim_session_conn_closed(struct sim_conn *conn)
{
    struct sim_session *s = conn->session;
    s->live--;
    if (!conn->retained) {
        struct iscsi_task *it = NULL;
        while ((it = iscsi_tsess_next_task(s->tsess, it))) {
            if (iscsi_task_conn(it) == conn->tconn)
                sim_cmd_abort(it);
        }
    }
    sim_session_look(s);
    /* One that was opened ends when the core says so: it may still be continued. */
    if (s->live == 0 && (s->opened ? s->down : !conn->retained))
        over(s);
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
        .block_count = sim->shrunk ? SIM_BLOCKS / 2 : SIM_BLOCKS,
        .thin = true,
        .unmap_zeroes = true,
        .keeps_state = true,
        .native_caw = sim->opt.native_caw,
        .volatile_cache = sim->opt.wce,
        .wce = sim->opt.wce,
    };
    sim->lu = scsi_lu_new(&cfg, &sim->alloc.a);
    if (!sim->lu || scsi_lu_add_port(sim->lu, 1, 1))
        return false;
    if (sim->in_state && scsi_lu_restore(sim->lu, sim->state, sim->state_len)) {
        sim_violation(sim, "the unit's state can not be restored");
        return false;
    }
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
    if (sim->lu)
        scsi_lu_settle(sim->lu);
    for (unsigned i = 0; i < SIM_LANES; i++) {
        if (sim->lanes[i])
            sim_event_cancel(&sim->kicks[i]);
        sim->kicked[i] = sim->dirty[i] = false;
        scsi_lane_free(sim->lanes[i]);
        sim->lanes[i] = NULL;
    }
    scsi_lu_free(sim->lu);
    sim->lu = NULL;
}
