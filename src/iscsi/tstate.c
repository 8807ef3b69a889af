/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tstate.h"

#include <assert.h>

/* ---- state machines ---- */

void tconn_event(struct iscsi_tconn *c, enum iscsi_conn_event ev)
{
    if (iscsi_conn_fsm_step(&c->state, ISCSI_ROLE_TARGET, ev, NULL))
        assert(c->state == ISCSI_CONN_FREE || c->state == ISCSI_CONN_CLEANUP_WAIT);
}

void tsess_event(struct iscsi_tsess *s, enum iscsi_sess_event ev)
{
    if (iscsi_sess_fsm_step(&s->state, ISCSI_ROLE_TARGET, ev, NULL))
        assert(s->state != ISCSI_SESS_LOGGED_IN || s->conn_count > 1);
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
}

/* ---- the end of a connection ---- */

void ttask_stop_rx(struct ttask *t)
{
    struct iscsi_tconn *conn = t->conn;
    if (conn->rx_task == t) {
        conn->rx_task = NULL;
        conn->rx.place = NULL;
    }
}

/* Take everything off the send queue: control PDUs are freed, tasks reported as sent. */
static void flush_queue(struct iscsi_tconn *c)
{
    if (c->tx.block) {
        wire_tx_advance(&c->tx, c->tx.bytes);
        for (struct txjob *job; (job = wire_tx_sent(&c->tx));)
            list_push_back(&c->jobs, &job->node);
    }
    while (!list_empty(&c->jobs)) {
        struct txjob *job = list_entry(list_pop_front(&c->jobs), struct txjob, node);
        if (job->kind == TXJOB_CTL) {
            alloc_put(c->a, list_entry(job, struct tctl, job));
            continue;
        }
        struct ttask *t = list_entry(job, struct ttask, job);
        bool responding = job->kind != TXJOB_R2T;
        job->kind = TXJOB_IDLE;
        if (responding) {
            t->state = TTASK_SENT;
            ttask_event(t);
        }
    }
    c->ctl_count = 0;
    c->ctl_bytes = 0;
}

void tconn_close(struct iscsi_tconn *c, int err, const char *why)
{
    if (c->closed)
        return;
    c->closing = c->closed = true;
    c->close_err = err;
    c->close_why = why;
    if (c->rx_task)
        ttask_stop_rx(c->rx_task);
    c->rx.place = NULL;
    flush_queue(c);
    enum iscsi_conn_event ev = err == 0 && c->sess                ? ISCSI_CONN_EV_LOGOUT_OK
                               : err == USAN_ETIMEOUT && c->login ? ISCSI_CONN_EV_LOGIN_TIMEOUT
                                                                  : ISCSI_CONN_EV_XPT_LOST;
    tconn_event(c, ev);
    if (c->sess && c->sess->conn_count == 1)
        tsess_event(c->sess, c->sess->state == ISCSI_SESS_ACTIVE ? ISCSI_SESS_EV_LOGIN_FAILED
                             : err                               ? ISCSI_SESS_EV_CONNS_FAILED
                                                                 : ISCSI_SESS_EV_CLOSED);
}
