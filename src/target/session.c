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
#include "target/reactor.h"
#include "target/share.h"
#include "target/target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- making one ---- */

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

static void free_parts(struct tgt_session *s)
{
    struct tgt *tgt = s->home.reactor->tgt;
    tgt_part_fini(&s->home);
    scsi_nexus_free(s->nexus);
    iscsi_tsess_free(s->tsess);
    loop_timer_cancel(s->home.reactor->loop, &s->clock);
    assert(atomic_load(&s->held_total) == 0);
    tgt_registry_release(tgt_registry(tgt), &s->entry);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- the end ---- */

/* All its connections and parts but the home one are gone, and what this reactor had of it. */
void tgt_session_free(struct tgt_session *s)
{
    tgt_session_lock(s); /* whoever was last inside it is out */
    assert(s->finishing && s->part_count == 1 && list_empty(&s->conns));
    tgt_session_unlock(s);
    tgt_session_report(s, TGT_LOG_INFO, "session-closed");
    list_del(&s->node);
    free_parts(s);
}

void tgt_session_settle(struct tgt_session *s)
{
    if (!s->closing || s->finishing || s->idle_parts < s->part_count || s->joining > 0 ||
        !list_empty(&s->conns))
        return;
    s->finishing = true;
    if (s->part_count == 1)
        tgt_part_ask(&s->home, TGT_PART_FREE);
    list_for_each (&s->parts, pos) {
        struct tgt_part *part = list_entry(pos, struct tgt_part, of_session);
        if (part != &s->home)
            tgt_part_ask(part, TGT_PART_FREE);
    }
}

/* No connection is left, and none can come. */
static void over(struct tgt_session *s, const char *why)
{
    if (s->closing)
        return;
    s->closing = true;
    if (!s->why)
        s->why = why;
    list_for_each (&s->parts, pos)
        tgt_part_ask(list_entry(pos, struct tgt_part, of_session), TGT_PART_CLOSE);
}

/* ---- events of the session itself, at recovery level 2 ---- */

/* why: of the end of the session, if this is it. */
static void take_events(struct tgt_session *s, const char *why)
{
    struct iscsi_tsess_event ev;
    while (iscsi_tsess_next(s->tsess, &ev)) {
        switch (ev.type) {
        case ISCSI_TSESS_EV_SENT:
            tgt_task_note(ev.task, TGT_NOTE_SENT);
            break;
        case ISCSI_TSESS_EV_DATA:
            tgt_task_note(ev.task, TGT_NOTE_DATA);
            break;
        case ISCSI_TSESS_EV_TASK_LOST:
            tgt_task_note(ev.task, TGT_NOTE_ABORT);
            break;
        case ISCSI_TSESS_EV_DOWN:
            s->down = true; /* connections of it may still be on their way to be closed here */
            if (s->live == 0)
                over(s, why);
            break;
        }
    }
}

static const char nobody_came_back[] = "its connections were lost, and nobody came back";

void tgt_session_events(struct tgt_session *s)
{
    take_events(s, nobody_came_back);
}

void tgt_session_set_clock(struct tgt_session *s)
{
    tgt_session_lock(s);
    uint64_t at = s->closing ? TIME_NEVER : iscsi_tsess_deadline(s->tsess);
    tgt_session_unlock(s);
    if (loop_timer_set(s->home.reactor->loop, &s->clock, at))
        tgt_session_end(s, false, "out of memory for a timer");
}

static void clock_fired(struct loop_timer *t)
{
    struct tgt_session *s = list_entry(t, struct tgt_session, clock);
    tgt_session_lock(s);
    iscsi_tsess_tick(s->tsess, loop_now(s->home.reactor->loop));
    tgt_session_events(s);
    tgt_session_kicks(s, s->home.reactor);
    tgt_session_unlock(s);
    tgt_session_set_clock(s);
}

/* ---- closing ---- */

void tgt_session_end(struct tgt_session *s, bool reinstated, const char *why)
{
    tgt_session_lock(s);
    if (!s->closing) {
        if (!s->why)
            s->why = why;
        iscsi_tsess_close(s->tsess, reinstated, why);
        list_for_each (&s->conns, pos)
            tgt_conn_wake(list_entry(pos, struct tgt_conn, of_session), s->home.reactor);
        tgt_session_events(s);
        if (s->live == 0)
            over(s, why);
    }
    tgt_session_unlock(s);
}

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
        if (c.tsih ? s->entry.tsih == c.tsih : s->target == c.target)
            tgt_session_end(s, c.tsih != 0, c.why);
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

/* ---- its connections end ---- */

/* Abort the commands that belong to it; it is kept until the core has let go of them. */
static void abort_of_conn(struct tgt_session *s, struct tgt_conn *conn)
{
    struct iscsi_task *it = NULL;
    while ((it = iscsi_tsess_next_task(s->tsess, it))) {
        if (iscsi_task_conn(it) != conn->tconn)
            continue;
        conn->left++;
        tgt_task_note(it, TGT_NOTE_ABORT);
    }
}

/* Other reactors may have answered commands of it since its events were taken: nobody asks it for
 * them any more. */
static void take_last_events(struct tgt_conn *conn)
{
    struct iscsi_event ev;
    while (iscsi_tconn_next(conn->tconn, &ev)) {
        if (ev.type == ISCSI_EV_SENT)
            tgt_task_note(ev.task, TGT_NOTE_SENT);
    }
}

void tgt_session_conn_closed(struct tgt_conn *conn)
{
    struct tgt_session *s = conn->session;
    tgt_session_lock(s);
    s->live--;
    take_last_events(conn);
    if (!conn->retained)
        abort_of_conn(s, conn);
    take_events(s, conn->retained ? nobody_came_back : conn->why);
    /* One that was opened ends when the core says so: it may still be continued, even if this was a
     * login that tried to and failed. */
    if (s->live == 0 && (s->opened ? s->down : !conn->retained))
        over(s, conn->why);
    bool goes_on = !s->closing && conn->logged_in;
    /* A login that was to continue it has stopped the clock, and may have failed after its time. */
    if (conn->retained || (s->live == 0 && !s->closing))
        tgt_part_ask(&s->home, TGT_PART_LOOK);
    tgt_session_unlock(s);
    if (goes_on)
        tgt_log(TGT_LOG_INFO, "connection-removed", "tsih=%u cid=%u peer=%s reactor=%u why=%s",
                s->entry.tsih, conn->cid, conn->peer, conn->reactor->index,
                tgt_log_quote(conn->why).s);
    tgt_conn_settle(conn);
}

void tgt_session_conn_freed(struct tgt_conn *conn)
{
    list_del(&conn->of_session);
    tgt_session_settle(conn->session);
}

/* ---- life ---- */

static int claim(struct tgt_session *s, struct tgt_conn *conn)
{
    struct tgt *tgt = s->home.reactor->tgt;
    struct loop *loop;
    uint16_t tsih;
    conn->waiter.loop = s->home.reactor->loop;
    /* Set first: the waiter's message may come as soon as it is entered. */
    conn->waiting = true;
    int err = tgt_registry_claim(tgt_registry(tgt), &s->entry, &conn->waiter, &loop, &tsih);
    if (err != USAN_EAGAIN) {
        conn->waiting = false;
        return err;
    }
    post_close(tgt_reactor_of(tgt, loop), tsih, NULL, "reinstated by a new login");
    return err;
}

static int build(struct tgt_session *s, struct tgt_conn *conn)
{
    struct tgt_part *home = &s->home;
    tgt_core_alloc_init(&s->core, &home->reactor->buffers, &home->account);
    s->tsess = iscsi_tsess_new(conn->tconn, s->entry.tsih, &s->core.alloc);
    int err = s->tsess ? 0 : USAN_ENOMEM;
    if (!err) {
        iscsi_tsess_set_window(s->tsess, tgt_reactor_window(home->reactor));
        err = s->target ? make_nexus(s) : 0;
    }
    int part_err = tgt_part_init(home); /* always: it is taken down with the session */
    return err ? err : part_err;
}

int tgt_session_new(struct tgt_conn *conn, struct tgt_session **ret_s)
{
    struct tgt_session *s = calloc(1, sizeof(*s));
    if (!s)
        return USAN_ENOMEM;
    s->home.session = s;
    s->home.reactor = conn->reactor;
    s->target = conn->target;
    s->opened_ns = clock_now_ns();
    s->entry.target = conn->target;
    s->entry.loop = conn->reactor->loop;
    memcpy(s->entry.initiator, conn->initiator, sizeof(conn->initiator));
    memcpy(s->entry.isid, conn->isid, sizeof(conn->isid));
    memcpy(s->peer, conn->peer, sizeof(conn->peer));
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->parts);
    list_init(&s->conns);
    loop_timer_init(&s->clock, clock_fired);
    int err = claim(s, conn);
    if (err) {
        pthread_mutex_destroy(&s->lock);
        free(s);
        return err;
    }
    err = build(s, conn);
    if (err) {
        free_parts(s);
        return err;
    }
    list_push_back(&s->home.reactor->sessions, &s->node);
    list_push_back(&s->conns, &conn->of_session);
    s->live = 1;
    *ret_s = s;
    return 0;
}

void tgt_session_set_window(struct tgt_session *s, uint32_t n)
{
    tgt_session_lock(s);
    if (!s->closing)
        iscsi_tsess_set_window(s->tsess, n);
    tgt_session_unlock(s);
}

struct sums {
    uint64_t commands, read_ios, read_bytes, write_ios, write_bytes;
};

static struct sums sum_parts(const struct tgt_session *s)
{
    struct sums sum = { 0 };
    list_for_each (&s->parts, pos) {
        const struct tgt_part *part = list_entry(pos, struct tgt_part, of_session);
        sum.commands += atomic_load_explicit(&part->commands, memory_order_relaxed);
        sum.read_ios += atomic_load_explicit(&part->read_ios, memory_order_relaxed);
        sum.read_bytes += atomic_load_explicit(&part->read_bytes, memory_order_relaxed);
        sum.write_ios += atomic_load_explicit(&part->write_ios, memory_order_relaxed);
        sum.write_bytes += atomic_load_explicit(&part->write_bytes, memory_order_relaxed);
    }
    return sum;
}

void tgt_session_report(struct tgt_session *s, enum tgt_log_level level, const char *event)
{
    tgt_session_lock(s);
    struct sums sum = sum_parts(s);
    const char *state = iscsi_tsess_state(s->tsess), *why = s->why;
    unsigned tasks = iscsi_tsess_task_count(s->tsess), live = s->live;
    tgt_session_unlock(s);
    tgt_log(level, event,
            "tsih=%u initiator=%s target=%s peer=%s reactor=%u connections=%u state=%s age_s=%llu "
            "commands=%llu busy=%u reads=%llu read_bytes=%llu writes=%llu write_bytes=%llu why=%s",
            s->entry.tsih, tgt_log_quote(s->entry.initiator).s,
            s->target ? s->target->cfg->name : "discovery", s->peer, s->home.reactor->index, live,
            state, (unsigned long long)((clock_now_ns() - s->opened_ns) / NS_PER_SEC),
            (unsigned long long)sum.commands, tasks, (unsigned long long)sum.read_ios,
            (unsigned long long)sum.read_bytes, (unsigned long long)sum.write_ios,
            (unsigned long long)sum.write_bytes, tgt_log_quote(why).s);
}
