/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tstate.h"
#include "iscsi/fsm.h"

#include <assert.h>

/* ---- state machines ---- */

void tconn_event(struct iscsi_tconn *c, enum iscsi_conn_event ev)
{
    struct iscsi_step step = { .role = ISCSI_ROLE_TARGET,
                               .tsih = c->sess ? c->sess->tsih : 0,
                               .cid = c->cid,
                               .user = c->cfg.user,
                               .from = c->state,
                               .event = ev };

    if (iscsi_conn_fsm_step(&c->state, ISCSI_ROLE_TARGET, ev, &step.transition)) {
        assert(c->state == ISCSI_CONN_FREE || c->state == ISCSI_CONN_CLEANUP_WAIT);
        return;
    }
    c->taken |= fsm_transition_bit(step.transition);
    step.to = c->state;
    iscsi_steps_add(c->cfg.steps, &step);
}

void tsess_event(struct iscsi_tsess *s, enum iscsi_sess_event ev)
{
    struct iscsi_step step = {
        .role = ISCSI_ROLE_TARGET, .session = true, .tsih = s->tsih, .from = s->state, .event = ev
    };

    if (iscsi_sess_fsm_step(&s->state, ISCSI_ROLE_TARGET, ev, &step.transition)) {
        assert(s->state != ISCSI_SESS_LOGGED_IN || s->live > 0);
        return;
    }
    s->taken |= fsm_transition_bit(step.transition);
    step.to = s->state;
    iscsi_steps_add(s->steps, &step);
}

void tlost_event(struct iscsi_tsess *s, struct tlost *l, enum iscsi_conn_event ev)
{
    struct iscsi_step step = {
        .role = ISCSI_ROLE_TARGET, .tsih = s->tsih, .cid = l->cid, .from = l->state, .event = ev
    };

    if (iscsi_conn_fsm_step(&l->state, ISCSI_ROLE_TARGET, ev, &step.transition))
        return;
    s->taken |= fsm_transition_bit(step.transition);
    step.to = l->state;
    iscsi_steps_add(s->steps, &step);
}

/* ---- the send queue ---- */

void txjob_cancel(struct txjob *job)
{
    if (job->kind != TXJOB_IDLE) {
        list_del(&job->node);
        job->kind = TXJOB_IDLE;
    }
}

void txjob_queue(struct iscsi_tconn *conn, struct txjob *job, enum txjob_kind kind)
{
    txjob_cancel(job);
    job->kind = kind;
    list_push_back(&conn->jobs, &job->node);
    tconn_kick(conn);
}

void ttask_stop_rx(struct ttask *t)
{
    struct iscsi_tconn *conn = t->conn;
    if (conn && conn->rx_task == t) {
        conn->rx_task = NULL;
        conn->rx.place = NULL;
    }
}
