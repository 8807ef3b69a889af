/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection of the initiator role: its life, events, bytes out, time. */
#include "iscsi/iconn_rx.h"
#include "iscsi/ictl.h"
#include "iscsi/ilogin.h"
#include "iscsi/ilogin_pdu.h"
#include "iscsi/ilost.h"
#include "iscsi/iretry.h"
#include "iscsi/isess.h"
#include "iscsi/isnack.h"
#include "iscsi/itask.h"
#include "iscsi/itask_tx.h"
#include "iscsi/itext.h"

#include <assert.h>

#define TX_BLOCK_IDLE_NS (5 * NS_PER_SEC)

/* ---- life ---- */

/* May the session have one more connection? */
static int admit(const struct iscsi_isess *sess, uint16_t cid)
{
    if (sess->closing || (sess->giving_up && sess->conn_count > 0))
        return USAN_EBUSY;
    list_for_each (&sess->conns, pos) {
        const struct iscsi_iconn *other = list_entry(pos, struct iscsi_iconn, node);
        if (other->failing && sess->params.error_recovery_level < 2)
            return USAN_EBUSY; /* a session that is going down */
        if (other->cid == cid)
            return USAN_EEXIST;
    }
    if (sess->state != ISCSI_SESS_LOGGED_IN)
        return sess->conn_count ? USAN_EBUSY : 0;
    return sess->conn_count >= sess->params.max_connections || sess->conn_count >= ISCSI_ICONNS_MAX
               ? USAN_ELIMIT
               : 0;
}

int iscsi_iconn_new(struct iscsi_isess *sess, uint16_t cid, uint64_t now_ns,
                    struct iscsi_iconn **ret_conn)
{
    int err = admit(sess, cid);
    if (!err)
        err = ilost_admit(sess, cid, now_ns);
    if (err)
        return err;
    struct iscsi_iconn *conn = alloc_zero(sess->a, sizeof *conn);
    if (!conn)
        return USAN_ENOMEM;
    conn->sess = sess;
    conn->a = sess->a;
    conn->cid = cid;
    conn->leading = sess->state != ISCSI_SESS_LOGGED_IN && list_empty(&sess->lost);
    list_init(&conn->jobs);
    list_init(&conn->data);
    list_init(&conn->tasks);
    list_init(&conn->mending);
    conn->mend_ns = TIME_NEVER;
    wire_rx_init(&conn->rx);
    wire_tx_init(&conn->tx, sess->a);
    conn->now_ns = conn->started_ns = conn->last_rx_ns = now_ns;
    conn->logout_by_ns = TIME_NEVER;
    list_push_back(&sess->conns, &conn->node);
    sess->conn_count++;
    conn->joined = true;
    iconn_step(conn, ISCSI_CONN_EV_XPT_CONNECTING);
    *ret_conn = conn;
    return 0;
}

/* Take everything off the wire and out of the queues; nothing refers to tasks then. */
static void flush(struct iscsi_iconn *conn)
{
    struct ijob *job;
    if (conn->tx.block) {
        wire_tx_advance(&conn->tx, conn->tx.bytes);
        while ((job = wire_tx_sent(&conn->tx)) != NULL) {
            if (job->kind == IJOB_CTL)
                alloc_put(conn->a, list_entry(job, struct ictl, job));
            else
                itask_pdu_gone(list_entry(job, struct itask, job), false);
        }
    }
    list_for_each_safe (&conn->jobs, pos) {
        job = list_entry(pos, struct ijob, node);
        if (job->kind != IJOB_CTL)
            continue; /* ended with its task */
        list_del(&job->node);
        alloc_put(conn->a, list_entry(job, struct ictl, job));
    }
    conn->ctl_count = 0;
}

/* What iconn_fail() asked for. */
static void close_now(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    int err = conn->err ? conn->err : USAN_ECANCELED;

    bool requeue = !sess->closing;
    conn->closed = conn->report_close = true;
    if (conn->rx_task && iconn_erl(conn)) {
        const struct pdu_data_in d = pdu_data_in_decode(conn->rx_bhs);
        isnack_unread(conn->rx_task, d.data_sn, d.offset);
    }
    conn->rx_task = NULL;
    conn->rx.place = NULL;
    iconn_rx_drop(conn);
    flush(conn);
    itext_fail(conn, err, conn->why);
    bool kept = ilost_take(conn);
    itask_end_list(sess, &conn->tasks, err, conn->why, requeue);
    assert(list_empty(&conn->jobs) && list_empty(&conn->data) && conn->load == 0);
    iconn_step(conn, conn->err == USAN_ETIMEOUT && conn->login ? ISCSI_CONN_EV_LOGIN_TIMEOUT
                                                               : ISCSI_CONN_EV_XPT_LOST);
    ilogin_free(conn->login);
    conn->login = NULL;
    isess_leave(conn, kept);
    ilost_left(conn, requeue);
    conn->kept = kept;
    isess_start(sess); /* what came back may go elsewhere */
}

void iscsi_iconn_free(struct iscsi_iconn *conn)
{
    if (!conn)
        return;
    if (!conn->closed) {
        iconn_fail(conn, USAN_ECANCELED, "given up");
        close_now(conn);
    }
    if (conn->state == ISCSI_CONN_CLEANUP_WAIT && !conn->kept) /* M1: nothing waits for it */
        iconn_step(conn, ISCSI_CONN_EV_CLEANUP_TIMEOUT);
    itext_free(conn);
    wire_tx_fini(&conn->tx);
    alloc_put(conn->a, conn);
}

void iscsi_iconn_connected(struct iscsi_iconn *conn, uint64_t now_ns)
{
    if (conn->failing || conn->closed)
        return;
    assert(conn->state == ISCSI_CONN_XPT_WAIT);
    conn->now_ns = conn->last_rx_ns = now_ns;
    iconn_step(conn, ISCSI_CONN_EV_XPT_CONNECTED);
    if (ilost_login_begins(conn))
        ilogin_pdu_begin(conn);
    else
        iconn_fail(conn, USAN_EAGAIN, "the connection before it is being logged out");
}

void iscsi_iconn_lost(struct iscsi_iconn *conn, int err)
{
    iconn_fail(conn, err ? err : USAN_ECLOSED,
               conn->state == ISCSI_CONN_XPT_WAIT ? "the connection could not be made"
               : conn->login                      ? "the connection ended during the login"
                                                  : "the connection ended");
}

void iscsi_iconn_hold(struct iscsi_iconn *conn)
{
    conn->held = true;
}

/* ---- bytes in ---- */

int iscsi_iconn_rx_space(struct iscsi_iconn *conn, void *buf, size_t cap,
                         struct iovec iov[ISCSI_IRX_IOV_MAX])
{
    if (conn->failing || conn->closed)
        return 0;
    return wire_rx_space(&conn->rx, buf, cap, iov, ISCSI_IRX_IOV_MAX);
}

void iscsi_iconn_rx(struct iscsi_iconn *conn, size_t n, uint64_t now_ns)
{
    conn->now_ns = conn->last_rx_ns = now_ns;
    wire_rx_landed(&conn->rx, n);
}

/* ---- events ---- */

static bool due_event(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    if (iscsi_isess_next(conn->sess, ev))
        return true;
    if (conn->report_logged_in) {
        conn->report_logged_in = false;
        ev->type = ISCSI_IEV_LOGGED_IN;
        return true;
    }
    if (conn->report_redirect) {
        conn->report_redirect = false;
        ev->type = ISCSI_IEV_REDIRECT;
        ev->address = conn->address;
        ev->permanent = conn->permanent;
        return true;
    }
    if (conn->text.active && itext_event(conn, ev))
        return true;
    if (!conn->report_close)
        return false;
    conn->report_close = false;
    ev->type = ISCSI_IEV_CLOSE;
    ev->err = conn->err;
    ev->why = conn->why;
    ev->key = conn->key;
    ev->status = conn->close_status;
    return true;
}

bool iscsi_iconn_next(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    *ev = (struct iscsi_ievent){ .why = NULL };
    for (;;) {
        if (due_event(conn, ev))
            return true;
        if (conn->closed) {
            conn->rx.win = conn->rx.win_end;
            return false;
        }
        if (conn->failing) {
            close_now(conn);
            continue;
        }
        switch (iconn_rx_step(conn, ev)) {
        case ICONN_EVENT:
            return true;
        case ICONN_MORE:
            isess_start(conn->sess);
            if (!list_empty(&conn->sess->lost)) {
                ilost_go_on(conn->sess, conn->now_ns);
                if (!list_empty(&conn->sess->reports))
                    break;
            }
            ictl_logout_if_due(conn);
            if (!conn->failing && list_empty(&conn->sess->done))
                return false;
            break;
        case ICONN_AGAIN:
            break;
        }
    }
}

/* ---- bytes out ---- */

int iscsi_iconn_tx(struct iscsi_iconn *conn, struct iovec *iov, int max)
{
    if (conn->failing || conn->closed)
        return 0;
    if (!list_empty(&conn->jobs) || !list_empty(&conn->data))
        itask_tx_fill(conn);
    while (conn->sess->fenced && !conn->sess->promised) { /* what waited for these to go out */
        isess_start(conn->sess);
        if (!list_empty(&conn->jobs))
            itask_tx_fill(conn);
    }
    wire_tx_digest(&conn->tx);
    return wire_tx_peek(&conn->tx, iov, max);
}

void iscsi_iconn_tx_done(struct iscsi_iconn *conn, size_t n, uint64_t now_ns)
{
    if (conn->closed)
        return;
    conn->now_ns = now_ns;
    wire_tx_advance(&conn->tx, n);
    for (struct ijob *job; (job = wire_tx_sent(&conn->tx));) {
        if (job->kind == IJOB_CTL) {
            conn->ctl_count--;
            alloc_put(conn->a, list_entry(job, struct ictl, job));
        } else {
            itask_pdu_gone(list_entry(job, struct itask, job), true);
        }
    }
    if (wire_tx_empty(&conn->tx))
        conn->idle_since_ns = now_ns;
}

bool iscsi_iconn_tx_pending(const struct iscsi_iconn *conn)
{
    return !conn->closed && !conn->failing &&
           (!list_empty(&conn->jobs) || (!list_empty(&conn->data) && !conn->logout_sent) ||
            !wire_tx_empty(&conn->tx));
}

/* ---- time ---- */

/* When silence ends the connection, or is to be broken. */
static uint64_t nop_deadline(const struct iscsi_iconn *conn)
{
    const struct iscsi_isess_config *cfg = &conn->sess->cfg;
    if (!cfg->nop_interval_ns || conn->logout_sent)
        return TIME_NEVER;
    if (!conn->nop_sent_ns)
        return conn->last_rx_ns + cfg->nop_interval_ns;
    /* any sign of life will do */
    uint64_t since = conn->nop_sent_ns > conn->last_rx_ns ? conn->nop_sent_ns : conn->last_rx_ns;
    return since + cfg->nop_timeout_ns;
}

uint64_t iscsi_iconn_deadline(const struct iscsi_iconn *conn)
{
    if (conn->closed)
        return TIME_NEVER;
    if (conn->failing)
        return 0;
    if (conn->login || conn->state == ISCSI_CONN_XPT_WAIT)
        return conn->started_ns + conn->sess->cfg.login_timeout_ns;
    uint64_t at = time_min(nop_deadline(conn), TIME_NEVER);
    if (conn->tx.block && wire_tx_empty(&conn->tx))
        at = time_min(at, conn->idle_since_ns + TX_BLOCK_IDLE_NS);
    if (conn->text.active && !conn->text.final && !conn->text.over)
        at = time_min(at, conn->text.deadline_ns);
    if (conn->aborts)
        at = time_min(at, conn->abort_deadline_ns);
    at = time_min(at, conn->mend_ns);
    if (iconn_erl(conn))
        at = time_min(at, iretry_deadline(conn));
    if (conn->logout_sent)
        return time_min(at, conn->logout_deadline_ns);
    return time_min(at, conn->logout_by_ns);
}

static void tick_full_feature(struct iscsi_iconn *conn, uint64_t now)
{
    if (conn->tx.block && wire_tx_empty(&conn->tx) && now >= conn->idle_since_ns + TX_BLOCK_IDLE_NS)
        wire_tx_shrink(&conn->tx);
    if (conn->logout_sent && now >= conn->logout_deadline_ns) {
        iconn_step(conn, ISCSI_CONN_EV_LOGOUT_FAILED);
        iconn_fail(conn, USAN_ETIMEOUT, "no answer to a logout");
    }
    if (conn->aborts && now >= conn->abort_deadline_ns)
        iconn_fail(conn, USAN_ETIMEOUT, "no answer to an abort");
    if (conn->text.active && !conn->text.final && !conn->text.over && now >= conn->text.deadline_ns)
        iconn_fail(conn, USAN_ETIMEOUT, "no answer to a text request");
    ictl_logout_if_due(conn);
    if (iconn_erl(conn)) {
        isnack_tick(conn, now);
        iconn_rx_spoiled(conn);
        iretry_tick(conn, now);
    }
    if (now < nop_deadline(conn) || conn->failing)
        return;
    if (conn->nop_sent_ns)
        iconn_fail(conn, USAN_ETIMEOUT, "no answer to a NOP-Out");
    else
        ictl_ping(conn);
}

void iscsi_iconn_tick(struct iscsi_iconn *conn, uint64_t now_ns)
{
    if (conn->closed || conn->failing)
        return;
    conn->now_ns = now_ns;
    if (!conn->login && conn->state != ISCSI_CONN_XPT_WAIT)
        tick_full_feature(conn, now_ns);
    else if (now_ns >= conn->started_ns + conn->sess->cfg.login_timeout_ns)
        iconn_fail(conn, USAN_ETIMEOUT,
                   conn->login ? "the login timed out" : "the connection timed out");
}

/* ---- what the owner may look at ---- */

const struct iscsi_params *iscsi_iconn_params(const struct iscsi_iconn *conn)
{
    return &conn->params;
}

uint16_t iscsi_iconn_cid(const struct iscsi_iconn *conn)
{
    return conn->cid;
}

uint64_t iscsi_iconn_load(const struct iscsi_iconn *conn)
{
    return conn->load;
}

const char *iscsi_iconn_state(const struct iscsi_iconn *conn)
{
    return iscsi_conn_state_name(conn->state);
}
