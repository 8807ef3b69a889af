/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions of the simulated target, and the target itself. */
#include "sim/tgt.h"

#include "iscsi/names.h"

#include <stdlib.h>
#include <string.h>

/* ---- making one ---- */

static bool make_nexus(struct sim_tsess *s)
{
    char initiator_port[ISCSI_PORT_NAME_MAX], target_port[ISCSI_PORT_NAME_MAX];
    uint8_t id[ISCSI_TRANSPORT_ID_MAX];
    iscsi_initiator_port_name(s->initiator, s->isid, initiator_port);
    iscsi_target_port_name(SIM_TARGET_NAME, 1, target_port);
    const struct scsi_nexus_config cfg = {
        .initiator_port = initiator_port,
        .target_port = target_port,
        .target_device = SIM_TARGET_NAME,
        .rel_target_port = 1,
        .target_port_group = 1,
        .protocol_id = 5,
        .transport_id = id,
        .transport_id_len = (uint16_t)iscsi_transport_id(s->initiator, s->isid, id, sizeof(id)),
    };
    s->nexus = scsi_nexus_new(&cfg, &alloc_heap);
    return s->nexus && scsi_nexus_map(s->nexus, 0, s->tgt->lane, false) == 0;
}

void sim_tsess_free(struct sim_tsess *s)
{
    sim_timer_cancel(&s->tgt->sim->clock, &s->clock);
    sim_timer_cancel(&s->tgt->sim->clock, &s->finish);
    scsi_nexus_free(s->nexus);
    iscsi_tsess_free(s->core);
    list_del(&s->node);
    free(s);
}

/* Its last command and its last connection are gone. */
static void finish(struct sim_timer *t)
{
    struct sim_tsess *s = list_entry(t, struct sim_tsess, finish);
    struct sim_tgt *tgt = s->tgt;
    sim_tgt_take_steps(tgt);
    sim_tsess_free(s);
    list_for_each_safe (&tgt->conns, pos) {
        struct sim_tconn *conn = list_entry(pos, struct sim_tconn, node);
        if (conn->waiting)
            sim_tconn_retry(conn);
    }
    sim_tgt_run_lane(tgt);
}

static void clock_fired(struct sim_timer *t)
{
    struct sim_tsess *s = list_entry(t, struct sim_tsess, clock);
    iscsi_tsess_tick(s->core, s->tgt->sim->clock.now_ns);
    sim_tsess_look(s);
    sim_tgt_run_lane(s->tgt);
}

struct sim_tsess *sim_tsess_new(struct sim_tconn *conn)
{
    struct sim_tgt *tgt = conn->tgt;
    struct sim_tsess *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->tgt = tgt;
    s->host = conn->host;
    memcpy(s->initiator, conn->initiator, sizeof(s->initiator));
    memcpy(s->isid, conn->isid, sizeof(s->isid));
    list_init(&s->node);
    list_init(&s->conns);
    list_init(&s->cmds);
    sim_timer_init(&s->clock, clock_fired);
    sim_timer_init(&s->finish, finish);
    if (++tgt->tsih == 0)
        tgt->tsih = 1;
    s->core = iscsi_tsess_new(conn->core, tgt->tsih, &alloc_heap);
    if (!s->core || !make_nexus(s)) {
        sim_tsess_free(s);
        return NULL;
    }
    list_push_back(&tgt->sessions, &s->node);
    sim_tsess_join(s, conn);
    return s;
}

struct sim_tsess *sim_tsess_find(const struct sim_tconn *conn, uint16_t tsih)
{
    list_for_each (&conn->tgt->sessions, pos) {
        struct sim_tsess *s = list_entry(pos, struct sim_tsess, node);
        if (strcmp(s->initiator, conn->initiator) != 0 || memcmp(s->isid, conn->isid, 6) != 0)
            continue;
        if (!tsih || (tsih == iscsi_tsess_tsih(s->core) && !s->closing))
            return s;
    }
    return NULL;
}

void sim_tsess_join(struct sim_tsess *s, struct sim_tconn *conn)
{
    conn->session = s;
    list_push_back(&s->conns, &conn->of_session);
    s->live++;
}

/* ---- its end ---- */

void sim_tsess_settle(struct sim_tsess *s)
{
    if (s->closing && list_empty(&s->conns) && list_empty(&s->cmds))
        sim_timer_in(&s->tgt->sim->clock, &s->finish, 0);
}

/* No connection is left, and none can come. */
static void over(struct sim_tsess *s)
{
    if (s->closing)
        return;
    s->closing = true;
    scsi_nexus_abort(s->nexus, UINT64_MAX);
    sim_tsess_settle(s);
}

static void on_event(struct sim_tsess *s, const struct iscsi_tsess_event *ev)
{
    switch (ev->type) {
    case ISCSI_TSESS_EV_SENT:
        sim_tcmd_sent(ev->task);
        break;
    case ISCSI_TSESS_EV_DATA:
        sim_tcmd_data(ev->task);
        break;
    case ISCSI_TSESS_EV_TASK_LOST:
        sim_tcmd_abort(ev->task);
        break;
    case ISCSI_TSESS_EV_DOWN:
        s->down = true;
        if (s->live == 0)
            over(s);
        break;
    }
}

void sim_tsess_look(struct sim_tsess *s)
{
    struct iscsi_tsess_event ev;
    struct iscsi_tconn *conn;
    while (iscsi_tsess_next(s->core, &ev))
        on_event(s, &ev);
    while ((conn = iscsi_tsess_take_kick(s->core)))
        sim_tconn_wake(iscsi_tconn_user(conn));
    sim_tgt_take_steps(s->tgt);
    sim_timer_at(&s->tgt->sim->clock, &s->clock,
                 s->closing ? TIME_NEVER : iscsi_tsess_deadline(s->core));
}

void sim_tsess_reinstate(struct sim_tsess *s)
{
    if (s->closing)
        return;
    iscsi_tsess_close(s->core, true, "reinstated by a new login");
    list_for_each (&s->conns, pos)
        sim_tconn_wake(list_entry(pos, struct sim_tconn, of_session));
    sim_tsess_look(s);
    if (s->live == 0)
        over(s);
}

void sim_tsess_conn_closed(struct sim_tconn *conn)
{
    struct sim_tsess *s = conn->session;
    struct iscsi_task *it = NULL;
    s->live--;
    while (!conn->retained && (it = iscsi_tsess_next_task(s->core, it))) {
        if (iscsi_task_conn(it) == conn->core)
            sim_tcmd_abort(it);
    }
    sim_tsess_look(s);
    /* One that was opened ends when the core says so: it may still be continued. */
    if (s->live == 0 && (s->opened ? s->down : !conn->retained))
        over(s);
}

/* ---- the target ---- */

/* 0: of a session that has gone. */
static uint32_t who(void *ctx, const struct iscsi_step *step)
{
    const struct sim_tgt *tgt = ctx;
    if (step->user)
        return ((const struct sim_tconn *)step->user)->host;
    list_for_each (&tgt->sessions, pos) {
        const struct sim_tsess *s = list_entry(pos, struct sim_tsess, node);
        if (iscsi_tsess_tsih(s->core) == step->tsih)
            return s->host;
    }
    return 0;
}

void sim_tgt_take_steps(struct sim_tgt *tgt)
{
    sim_steps_take(tgt->sim, &tgt->steps, who, tgt);
}

static bool make_unit(struct sim_tgt *tgt)
{
    const struct sim_disk_config *d = tgt->disk ? &tgt->sim->sc->target.disk : NULL;
    if (!d)
        return false;
    const struct scsi_lu_config cfg = {
        .vendor = "USAN",
        .product = "SIMULATED",
        .revision = "1",
        .serial = "1",
        .naa = { 0x30, 0, 0, 0, 0, 0, 0, 1 },
        .naa_len = 8,
        .block_bytes = d->block_bytes,
        .block_count = d->size_bytes / d->block_bytes,
        .volatile_cache = true,
        .wce = true,
        .max_xfer_blocks = SIM_BLOCK_MAX / d->block_bytes,
    };
    tgt->lu = scsi_lu_new(&cfg, &alloc_heap);
    if (!tgt->lu || scsi_lu_add_port(tgt->lu, 1, 1))
        return false;
    tgt->lane = scsi_lane_new(tgt->lu, 0);
    return tgt->lane != NULL;
}

struct sim_tgt *sim_tgt_new(struct sim *sim)
{
    struct sim_tgt *tgt = calloc(1, sizeof(*tgt));
    if (!tgt)
        return NULL;
    tgt->sim = sim;
    sim_steps_init(sim, &tgt->steps);
    list_init(&tgt->conns);
    list_init(&tgt->sessions);
    tgt->listener = (struct sim_listener){ &sim_tconn_ops, sim_tconn_accept, tgt };
    tgt->disk = sim_disk_new(&sim->sc->target.disk, &sim->clock, sim->sc->seed);
    if (!make_unit(tgt)) {
        sim_tgt_free(tgt);
        return NULL;
    }
    sim->world->listen(sim->net, &tgt->listener);
    return tgt;
}

struct sim_disk *sim_tgt_disk(struct sim_tgt *tgt)
{
    return tgt->disk;
}

void sim_tgt_free(struct sim_tgt *tgt)
{
    if (!tgt)
        return;
    sim_disk_free(tgt->disk);
    list_for_each (&tgt->sessions, pos) {
        struct sim_tsess *s = list_entry(pos, struct sim_tsess, node);
        s->closing = true;
        sim_tcmd_drop_all(s);
    }
    while (!list_empty(&tgt->conns))
        sim_tconn_free(list_entry(tgt->conns.next, struct sim_tconn, node));
    while (!list_empty(&tgt->sessions))
        sim_tsess_free(list_entry(tgt->sessions.next, struct sim_tsess, node));
    if (tgt->lu)
        scsi_lu_settle(tgt->lu);
    scsi_lane_free(tgt->lane);
    scsi_lu_free(tgt->lu);
    free(tgt);
}
