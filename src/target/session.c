/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/session.h"

#include "base/alloc_heap.h"
#include "io/clock.h"
#include "iscsi/names.h"
#include "scsi/scsi.h"
#include "target/access.h"
#include "target/command.h"
#include "target/conn.h"
#include "target/log.h"
#include "target/lun.h"
#include "target/reactor.h"
#include "target/target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- making one ---- */

static int make_cmds(struct tgt_session *s)
{
    uint32_t n = tgt_cfg(s->reactor->tgt)->limits.queue_depth + ISCSI_EXTRA_TASKS_MAX;
    s->cmds = calloc(n, sizeof(*s->cmds));
    if (!s->cmds)
        return USAN_ENOMEM;
    s->cmd_count = n;
    return 0;
}

static int make_nexus(struct tgt_session *s)
{
    const char *name = s->target->cfg->name;
    char initiator_port[ISCSI_PORT_NAME_MAX], target_port[ISCSI_PORT_NAME_MAX];
    uint8_t id[ISCSI_TRANSPORT_ID_MAX];
    iscsi_initiator_port_name(s->entry.initiator, s->entry.isid, initiator_port);
    iscsi_target_port_name(name, TGT_PORTAL_GROUP, target_port);
    const struct scsi_nexus_config nc = {
        .initiator_port = initiator_port,
        .target_port = target_port,
        .target_device = name,
        .rel_target_port = s->target->rel_port,
        .target_port_group = TGT_PORT_GROUP,
        .protocol_id = 5, /* SPC-6 7.6.1: iSCSI */
        .transport_id = id,
        .transport_id_len =
            (uint16_t)iscsi_transport_id(s->entry.initiator, s->entry.isid, id, sizeof(id)),
    };
    s->nexus = scsi_nexus_new(&nc, &alloc_heap);
    return s->nexus ? 0 : USAN_ENOMEM;
}

static int map_luns(struct tgt_session *s)
{
    uint32_t top = 0;
    for (size_t i = 0; i < s->target->lun_count; i++) {
        uint32_t n = s->target->luns[i]->number;
        top = n >= top ? n + 1 : top;
    }
    s->lanes = calloc(top, sizeof(struct tgt_lane *));
    if (!s->lanes)
        return USAN_ENOMEM;
    s->lane_count = top;
    for (size_t i = 0; i < s->target->lun_count; i++) {
        struct tgt_lun *lun = s->target->luns[i];
        struct tgt_lane *lane = &lun->lanes[s->reactor->index];
        int err = tgt_lane_open(lane);
        if (!err)
            err = scsi_nexus_map(s->nexus, lun->number, lane->lane, false);
        if (err)
            return err;
        s->lanes[lun->number] = lane;
        tgt_lane_touch(lane);
    }
    return 0;
}

static void free_parts(struct tgt_session *s)
{
    struct tgt *tgt = s->reactor->tgt;
    for (uint32_t i = 0; s->nexus && i < s->lane_count; i++) {
        if (s->lanes[i])
            tgt_lane_touch(s->lanes[i]); /* losing a nexus may let others go on */
    }
    scsi_nexus_free(s->nexus);
    iscsi_tsess_free(s->tsess);
    assert(s->account.held_bytes == 0);
    tgt_buffers_uncharge(&s->reactor->buffers, NULL, s->cmds_made * sizeof(*s->cmds));
    tgt_reactor_watch_memory(s->reactor);
    free(s->lanes);
    free(s->cmds);
    tgt_registry_release(tgt_registry(tgt), &s->entry);
    free(s);
}

/* ---- closing from elsewhere ---- */

struct close_call {
    struct loop_msg msg;
    struct tgt_reactor *reactor;
    uint16_t tsih; /* 0: all of target */
    const struct tgt_node *target;
    const char *why;
};

static void run_close(struct loop_msg *m)
{
    struct close_call c = *list_entry(m, struct close_call, msg);
    free(list_entry(m, struct close_call, msg));
    list_for_each_safe (&c.reactor->sessions, pos) {
        struct tgt_session *s = list_entry(pos, struct tgt_session, node);
        if (c.tsih ? s->entry.tsih == c.tsih : s->target == c.target) {
            if (!s->closing)
                tgt_conn_close(s->conn, c.why);
        }
    }
}

/* Without memory the caller's wait ends with the login's timeout; nothing is lost but time. */
static void post_close(struct tgt_reactor *r, uint16_t tsih, const struct tgt_node *target,
                       const char *why)
{
    struct close_call *c = malloc(sizeof(*c));
    if (!c)
        return;
    *c = (struct close_call){ { .deliver = run_close }, r, tsih, target, why };
    loop_post(r->loop, &c->msg);
}

void tgt_session_close_target(struct tgt *tgt, const struct tgt_node *target, const char *why)
{
    for (unsigned i = 0; i < tgt_reactor_count(tgt); i++)
        post_close(tgt_reactor_at(tgt, i), 0, target, why);
}

static void finish(struct loop_work *w)
{
    struct tgt_session *s = list_entry(w, struct tgt_session, finish);
    assert(s->closing && s->busy == 0);
    tgt_session_report(s, TGT_LOG_INFO, "session-closed");
    list_del(&s->node);
    tgt_conn_free(s->conn); /* before the session whose tasks it may still hold */
    free_parts(s);
}

/* ---- life ---- */

static int claim(struct tgt_session *s, struct tgt_conn *conn)
{
    struct tgt *tgt = s->reactor->tgt;
    struct loop *loop;
    uint16_t tsih;
    conn->waiter.loop = s->reactor->loop;
    /* Set first: the waiter's message may come as soon as it is entered. */
    conn->waiting = true;
    int err = tgt_registry_claim(tgt_registry(tgt), &s->entry, &conn->waiter, &loop, &tsih);
    if (err != USAN_EAGAIN) {
        conn->waiting = false;
        return err;
    }
    for (unsigned i = 0; i < tgt_reactor_count(tgt); i++) {
        struct tgt_reactor *r = tgt_reactor_at(tgt, i);
        if (r->loop == loop)
            post_close(r, tsih, NULL, "reinstated by a new login");
    }
    return err;
}

static int build(struct tgt_session *s, struct tgt_conn *conn)
{
    tgt_core_alloc_init(&s->core, &s->reactor->buffers, &s->account);
    s->tsess = iscsi_tsess_new(conn->tconn, s->entry.tsih, &s->core.alloc);
    if (!s->tsess)
        return USAN_ENOMEM;
    iscsi_tsess_set_window(s->tsess, tgt_reactor_window(s->reactor));
    if (!s->target)
        return 0;
    int err = make_cmds(s);
    if (!err)
        err = make_nexus(s);
    if (!err)
        err = map_luns(s);
    return err;
}

int tgt_session_new(struct tgt_conn *conn, struct tgt_session **ret_s)
{
    struct tgt_session *s = calloc(1, sizeof(*s));
    if (!s)
        return USAN_ENOMEM;
    s->reactor = conn->reactor;
    s->conn = conn;
    s->target = conn->target;
    s->opened_ns = clock_now_ns();
    s->entry.target = conn->target;
    s->entry.loop = s->reactor->loop;
    memcpy(s->entry.initiator, conn->initiator, sizeof(conn->initiator));
    memcpy(s->entry.isid, conn->isid, sizeof(conn->isid));
    loop_work_init(&s->finish, finish);
    int err = claim(s, conn);
    if (err) {
        free(s);
        return err;
    }
    err = build(s, conn);
    if (err) {
        free_parts(s);
        return err;
    }
    list_push_back(&s->reactor->sessions, &s->node);
    *ret_s = s;
    return 0;
}

static void finish_if_idle(struct tgt_session *s)
{
    if (s->closing && s->busy == 0)
        loop_work_queue(s->reactor->loop, &s->finish);
}

void tgt_session_lost(struct tgt_session *s, const char *why)
{
    s->closing = true;
    s->why = why;
    if (s->nexus) {
        scsi_nexus_abort(s->nexus, UINT64_MAX);
        for (uint32_t i = 0; i < s->lane_count; i++) {
            if (s->lanes[i])
                tgt_lane_touch(s->lanes[i]);
        }
    }
    finish_if_idle(s);
}

void tgt_session_cmd_done(struct tgt_session *s)
{
    assert(s->busy > 0);
    s->busy--;
    finish_if_idle(s);
}

void tgt_session_set_window(struct tgt_session *s, uint32_t n)
{
    if (!s->closing)
        iscsi_tsess_set_window(s->tsess, n);
}

void tgt_session_report(const struct tgt_session *s, enum tgt_log_level level, const char *event)
{
    tgt_log(level, event,
            "tsih=%u initiator=%s target=%s peer=%s reactor=%u state=%s age_s=%llu commands=%llu "
            "busy=%u reads=%llu read_bytes=%llu writes=%llu write_bytes=%llu why=%s",
            s->entry.tsih, tgt_log_quote(s->entry.initiator).s,
            s->target ? s->target->cfg->name : "discovery", s->conn->peer, s->reactor->index,
            iscsi_tsess_state(s->tsess),
            (unsigned long long)((clock_now_ns() - s->opened_ns) / NS_PER_SEC),
            (unsigned long long)s->commands, s->busy, (unsigned long long)s->read_ios,
            (unsigned long long)s->read_bytes, (unsigned long long)s->write_ios,
            (unsigned long long)s->write_bytes, tgt_log_quote(s->why).s);
}
