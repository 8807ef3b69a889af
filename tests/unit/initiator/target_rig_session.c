/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target_rig_parts.h"

#include "base/alloc_heap.h"
#include "io/clock.h"

#include <assert.h>
#include <stdlib.h>

void rig_drop_task(struct iscsi_task *t)
{
    free(rig_priv(t)->iov.iov_base);
    rig_priv(t)->iov.iov_base = NULL;
    bool gone = iscsi_task_drop(t);
    assert(gone);
    (void)gone;
}

/* Those of a connection, or without one (NULL). */
void rig_drop_tasks(struct rig_sess *s, const struct iscsi_tconn *conn)
{
    struct iscsi_task *next = NULL;
    for (struct iscsi_task *t = iscsi_tsess_next_task(s->core, NULL); t; t = next) {
        next = iscsi_tsess_next_task(s->core, t);
        if (iscsi_task_conn(t) == conn)
            rig_drop_task(t);
    }
}

static void session_events(struct rig *rig, struct rig_sess *s)
{
    struct iscsi_tsess_event ev;
    while (iscsi_tsess_next(s->core, &ev)) {
        switch (ev.type) {
        case ISCSI_TSESS_EV_SENT:
            free(rig_priv(ev.task)->iov.iov_base);
            rig_priv(ev.task)->iov.iov_base = NULL;
            break;
        case ISCSI_TSESS_EV_DATA:
            rig_carry_out(rig, ev.task);
            break;
        case ISCSI_TSESS_EV_TASK_LOST:
            rig_drop_task(ev.task);
            break;
        case ISCSI_TSESS_EV_DOWN:
            s->over = true;
            break;
        }
    }
}

void rig_free_session(struct rig *rig, struct rig_sess *s)
{
    if (!s->over)
        iscsi_tsess_close(s->core, false, "ended");
    session_events(rig, s);
    rig_drop_tasks(s, NULL);
    list_del(&s->node);
    iscsi_tsess_free(s->core);
    free(s);
}

void rig_look_after_sessions(struct rig *rig)
{
    uint64_t at = TIME_NEVER;
    list_for_each_safe (&rig->sessions, pos) {
        struct rig_sess *s = list_entry(pos, struct rig_sess, node);
        session_events(rig, s);
        if (s->over && s->conns == 0)
            rig_free_session(rig, s);
        else
            at = time_min(at, iscsi_tsess_deadline(s->core));
    }
    int err = loop_timer_set(rig->loop, &rig->clock, at);
    assert(!err);
    (void)err;
}

void rig_clock_fired(struct loop_timer *t)
{
    struct rig *rig = list_entry(t, struct rig, clock);
    list_for_each_safe (&rig->sessions, pos)
        iscsi_tsess_tick(list_entry(pos, struct rig_sess, node)->core, clock_now_ns());
    rig_look_after_sessions(rig);
}

static struct rig_sess *find_session(const struct rig *rig, uint16_t tsih)
{
    list_for_each (&rig->sessions, pos) {
        struct rig_sess *s = list_entry(pos, struct rig_sess, node);
        if (iscsi_tsess_tsih(s->core) == tsih)
            return s;
    }
    return NULL;
}

/* A new login of the initiator port ends its old session (RFC 7143 6.3.5). */
static void end_old_session(struct rig *rig)
{
    list_for_each_safe (&rig->sessions, pos) {
        struct rig_sess *s = list_entry(pos, struct rig_sess, node);
        if (s->conns == 0)
            rig_free_session(rig, s);
    }
}

void rig_bind_session(struct rig_conn *c, const struct iscsi_event *ev)
{
    struct rig *rig = c->rig;
    c->sess = ev->tsih ? find_session(rig, ev->tsih) : NULL;
    if (ev->tsih && !c->sess) {
        iscsi_tconn_login_reject(c->core, 0x020a); /* session does not exist */
        return;
    }
    if (!c->sess) {
        end_old_session(rig);
        c->sess = calloc(1, sizeof(*c->sess));
        assert(c->sess);
        c->sess->core = iscsi_tsess_new(c->core, ++rig->tsih, &alloc_heap);
        assert(c->sess->core);
        list_push_back(&rig->sessions, &c->sess->node);
        uint64_t isid = 0;
        for (unsigned i = 0; i < 6; i++)
            isid = isid << 8 | ev->isid[i];
        atomic_store(&rig->isid, isid);
    }
    c->sess->conns++;
    iscsi_tconn_bind(c->core, c->sess->core);
    atomic_fetch_add(&c->portal->logins, 1);
}

/* Of the session's tasks only those that are never answered are still there. */
void rig_task_management(struct rig_conn *c, struct iscsi_task *tmf)
{
    struct rig *rig = c->rig;
    int response = atomic_load(tmf->tmf == 1 ? &rig->abort_response : &rig->reset_response);
    atomic_fetch_add(tmf->tmf == 1 ? &rig->aborts : &rig->resets, 1);
    if (response < 0)
        return;
    struct iscsi_task *next = NULL;
    for (struct iscsi_task *t = iscsi_tsess_next_task(c->sess->core, NULL); !response && t;
         t = next) {
        next = iscsi_tsess_next_task(c->sess->core, t);
        if (t != tmf && !t->tmf && (tmf->tmf == 5 || t->itt == tmf->ref_itt))
            rig_drop_task(t);
    }
    iscsi_task_respond_tmf(tmf, (uint8_t)response);
}
