/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a connection, and what it is for its session (RFC 7143 8.1, 8.3). */
#include "iscsi/tawait.h"
#include "iscsi/tgap.h"
#include "iscsi/tjoin.h"
#include "iscsi/tkeep.h"
#include "iscsi/tlost.h"
#include "iscsi/treassign.h"
#include "iscsi/tsess.h"
#include "iscsi/tsnack.h"
#include "iscsi/tstate.h"

/* An answer that is not known to have gone out: it waits for another connection, or nobody will
 * have it. */
static void unanswered(struct ttask *t, bool retained)
{
    if (retained && !t->pub.tmf) {
        t->state = TTASK_WAIT;
    } else {
        t->state = TTASK_SENT;
        ttask_event(t);
    }
}

/* An answer of another connection that did not come to be sent on this one. */
static void not_moved(struct iscsi_tconn *c, struct tkept *k)
{
    k->job.kind = TXJOB_IDLE;
    list_push_back(&c->kept, &k->node);
    c->kept_count++;
}

/* Take everything off the send queue: control PDUs are freed, tasks are reported as sent. */
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
        if (job->kind == TXJOB_KEPT) {
            struct tkept *k = list_entry(job, struct tkept, job);
            if (k->moved)
                not_moved(c, k);
            else
                tkeep_resent(c, k);
            continue;
        }
        if (job->kind == TXJOB_RESEND) {
            tsnack_resent(c, list_entry(job, struct tresend, job));
            continue;
        }
        struct ttask *t = list_entry(job, struct ttask, job);
        bool responding = job->kind != TXJOB_R2T;
        job->kind = TXJOB_IDLE;
        if (responding)
            unanswered(t, c->retained);
    }
    c->ctl_count = 0;
    c->ctl_bytes = 0;
}

/* Nothing of it is on the wire any more. What is kept goes, or goes over to the session; so do
 * commands that the owner has answered since the end began. */
static void let_go(struct iscsi_tconn *c)
{
    flush_queue(c);
    c->gone = true;
    if (c->retained) {
        tlost_take(c);
        return;
    }
    tkeep_release_all(c);
    if (!c->sess)
        return;
    tgap_drop_held(c); /* they will not have their turn */
    if (c->erl < 2)
        return;
    list_for_each_safe (&c->sess->tasks, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->conn != c)
            continue;
        if (t->waits)
            tsess_task_put(t);
        else if (t->state == TTASK_WAIT)
            unanswered(t, false);
    }
}

void iscsi_tconn_lend(struct iscsi_tconn *c, bool lent)
{
    c->lent = lent;
    if (!lent && c->flush_due) {
        c->flush_due = false;
        let_go(c);
        if (c->erl >= 2)
            treassign_go_on(c->sess);
    }
}

/* What it is for the session that its last connection has ended. */
static enum iscsi_sess_event session_event(const struct iscsi_tsess *s, bool lost)
{
    if (s->state == ISCSI_SESS_ACTIVE)
        return ISCSI_SESS_EV_LOGIN_FAILED;
    if (s->reinstated)
        return ISCSI_SESS_EV_REINSTATED;
    if (s->state == ISCSI_SESS_IN_CONTINUE)
        return ISCSI_SESS_EV_CONTINUE_FAILED;
    return lost && !s->ended ? ISCSI_SESS_EV_CONNS_FAILED : ISCSI_SESS_EV_CLOSED;
}

/* Its last connection has ended. If that leaves nothing to go on from, nobody will take over what
 * earlier ones left. */
static void session_down(struct iscsi_tconn *c)
{
    bool lost = c->retained || c->state == ISCSI_CONN_CLEANUP_WAIT;

    tsess_event(c->sess, session_event(c->sess, lost));
    if (c->sess->until_ns == 0)
        tlost_end_all(c->sess, ISCSI_CONN_EV_SESSION_CLOSED);
}

void tconn_close_by(struct iscsi_tconn *c, enum iscsi_conn_event ev, int err, const char *why)
{
    if (c->closed)
        return;
    c->closing = c->closed = true;
    c->close_err = err;
    c->close_why = why;
    if (c->rx_task)
        ttask_stop_rx(c->rx_task);
    c->rx.place = NULL;
    tconn_event(c, ev);
    tconn_kick(c);
    if (c->login)
        tjoin_failed(c);
    if (c->sess) {
        c->sess->live--;
        tawait_closed(c);
        tgap_closed(c);
    }
    if (c->sess && tlost_retains(c))
        tlost_open(c);
    if (c->sess && c->sess->live == 0)
        session_down(c);
    if (c->lent)
        c->flush_due = true;
    else
        let_go(c);
}

void tconn_close(struct iscsi_tconn *c, int err, const char *why)
{
    enum iscsi_conn_event ev = err == 0 && c->sess                ? ISCSI_CONN_EV_LOGOUT_OK
                               : err == USAN_ETIMEOUT && c->login ? ISCSI_CONN_EV_LOGIN_TIMEOUT
                                                                  : ISCSI_CONN_EV_XPT_LOST;
    tconn_close_by(c, ev, err, why);
}
