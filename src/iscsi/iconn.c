/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection of the initiator role: its life, what each received PDU leads to, events, time. */
#include "iscsi/ictl.h"
#include "iscsi/ilogin.h"
#include "iscsi/ilogin_pdu.h"
#include "iscsi/isess.h"
#include "iscsi/istate.h"
#include "iscsi/itask.h"
#include "iscsi/itask_rx.h"
#include "iscsi/itask_tx.h"
#include "iscsi/itext.h"
#include "iscsi/itmf.h"

#include <assert.h>

#define TX_BLOCK_IDLE_NS (5 * NS_PER_SEC)

/* ---- life ---- */

/* May the session have one more connection? */
static int admit(const struct iscsi_isess *sess, uint16_t cid)
{
    if (sess->closing)
        return USAN_EBUSY;
    list_for_each (&sess->conns, pos) {
        const struct iscsi_iconn *other = list_entry(pos, struct iscsi_iconn, node);
        if (other->failing)
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
    if (err)
        return err;
    struct iscsi_iconn *conn = alloc_zero(sess->a, sizeof *conn);
    if (!conn)
        return USAN_ENOMEM;
    conn->sess = sess;
    conn->a = sess->a;
    conn->cid = cid;
    conn->leading = sess->state != ISCSI_SESS_LOGGED_IN;
    list_init(&conn->jobs);
    list_init(&conn->data);
    list_init(&conn->tasks);
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

static void free_rx_buf(struct iscsi_iconn *conn)
{
    if (conn->rx_buf != conn->small)
        alloc_put(conn->a, conn->rx_buf);
    conn->rx_buf = NULL;
}

/* What iconn_fail() asked for. */
static void close_now(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    int err = conn->err ? conn->err : USAN_ECANCELED;

    conn->closed = conn->report_close = true;
    conn->rx_task = NULL;
    conn->rx.place = NULL;
    free_rx_buf(conn);
    flush(conn);
    itext_fail(conn, err, conn->why);
    itask_end_all(conn, err, conn->why, !sess->closing);
    assert(list_empty(&conn->jobs) && list_empty(&conn->data) && conn->load == 0);
    iconn_step(conn, conn->err == USAN_ETIMEOUT && conn->login ? ISCSI_CONN_EV_LOGIN_TIMEOUT
                                                               : ISCSI_CONN_EV_XPT_LOST);
    ilogin_free(conn->login);
    conn->login = NULL;
    isess_leave(conn, conn->err, conn->why);
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
    if (conn->state == ISCSI_CONN_CLEANUP_WAIT) /* M1: at recovery level 0 nothing waits for it */
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
    ilogin_pdu_begin(conn);
}

void iscsi_iconn_lost(struct iscsi_iconn *conn, int err)
{
    iconn_fail(conn, err ? err : USAN_ECLOSED,
               conn->state == ISCSI_CONN_XPT_WAIT ? "the connection could not be made"
               : conn->login                      ? "the connection ended during the login"
                                                  : "the connection ended");
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

/* A PDU that is complete; data is NULL where it is of no interest. True if ev was filled in. */
static bool dispatch(struct iscsi_iconn *conn, const uint8_t *data, uint32_t len,
                     struct iscsi_ievent *ev)
{
    const uint8_t *bhs = conn->rx_bhs;

    switch ((enum iscsi_opcode)bhs_opcode(bhs)) {
    case ISCSI_OP_LOGIN_RESPONSE:
        ilogin_pdu_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_SCSI_RESPONSE:
        itask_rx_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_R2T:
        itask_rx_r2t(conn, bhs);
        return false;
    case ISCSI_OP_TMF_RESPONSE:
        itmf_response(conn, bhs);
        return false;
    case ISCSI_OP_NOP_IN:
        ictl_nop_in(conn, bhs);
        return false;
    case ISCSI_OP_TEXT_RESPONSE:
        itext_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_LOGOUT_RESPONSE:
        ictl_logout_response(conn, bhs);
        return false;
    case ISCSI_OP_ASYNC:
        return ictl_async(conn, bhs, data, len, ev);
    case ISCSI_OP_REJECT:
        ictl_reject(conn, bhs, data, len);
        return false;
    case ISCSI_OP_DATA_IN: /* is taken before */
    case ISCSI_OP_NOP_OUT:
    case ISCSI_OP_SCSI_COMMAND:
    case ISCSI_OP_TMF_REQUEST:
    case ISCSI_OP_LOGIN_REQUEST:
    case ISCSI_OP_TEXT_REQUEST:
    case ISCSI_OP_DATA_OUT:
    case ISCSI_OP_LOGOUT_REQUEST:
    case ISCSI_OP_SNACK:
    default:
        iconn_fail(conn, USAN_EPROTO, "a PDU that a target does not send");
        return false;
    }
}

/* StatSN (4.2.2.2): each PDU that carries a status has the next one. The other responses have
 * it as well, or nothing, and do not use it up. */
static bool check_stat_sn(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    uint8_t op = bhs_opcode(bhs);
    if (op == ISCSI_OP_R2T || (op == ISCSI_OP_NOP_IN && bhs_itt(bhs) == ISCSI_TAG_NONE) ||
        (op == ISCSI_OP_DATA_IN && !pdu_data_in_decode(bhs).status))
        return true;
    uint32_t sn = bhs_stat_sn(bhs);
    if (conn->stat_sn_known && sn != conn->exp_stat_sn)
        return false;
    conn->stat_sn_known = true; /* the first Login Response says where it starts, 11.13.4 */
    conn->exp_stat_sn = sn + 1;
    return true;
}

/* What any header must fulfil. NULL: it does. */
static const char *check_header(struct iscsi_iconn *conn, const uint8_t *bhs, uint32_t len)
{
    bool login = bhs_opcode(bhs) == ISCSI_OP_LOGIN_RESPONSE;

    if (conn->login) {
        if (!login)
            return "a PDU other than a Login Response in the login phase";
        if (len > ISCSI_TEXT_MAX)
            return "a Login Response that is too long";
        if (pdu_login_response_decode(bhs).status)
            return NULL; /* its numbers mean nothing, 11.13.4 */
    } else {
        if (login)
            return "a Login Response in full feature phase";
        if (len > conn->params.rx_data_segment)
            return "a data segment longer than MaxRecvDataSegmentLength";
        if (!isess_window(conn->sess, bhs))
            return "the target acknowledges commands that were not sent";
    }
    return check_stat_sn(conn, bhs) ? NULL : "a StatSN out of sequence";
}

/* Memory for the data segment of a PDU that is handled here. */
static void own_buffer(struct iscsi_iconn *conn, uint32_t len)
{
    if (len > ISCSI_ISEGMENT_MAX) {
        iconn_fail(conn, USAN_ELIMIT, "a data segment that is too long");
        return;
    }
    conn->rx_buf = len <= ICONN_SMALL ? conn->small : alloc_get(conn->a, len);
    if (!conn->rx_buf) {
        iconn_fail(conn, USAN_ENOMEM, "out of memory for a data segment");
        return;
    }
    conn->rx_iov.iov_base = conn->rx_buf;
    conn->rx_iov.iov_len = len;
    wire_rx_place(&conn->rx, &conn->rx_iov, 1, 0);
}

static bool on_header(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    const uint8_t *bhs = conn->rx.bhs;
    uint32_t len = conn->rx.data_len;
    uint8_t op = bhs_opcode(bhs);
    const char *why = check_header(conn, bhs, len);

    conn->rx_task = NULL;
    free_rx_buf(conn);
    if (why) {
        iconn_fail(conn, USAN_EPROTO, why);
        return false;
    }
    memcpy(conn->rx_bhs, bhs, ISCSI_BHS_LEN);
    if (op == ISCSI_OP_DATA_IN) {
        itask_rx_data_in(conn);
        return false;
    }
    if (!len)
        return dispatch(conn, NULL, 0, ev);
    if (op != ISCSI_OP_NOP_IN)
        own_buffer(conn, len);
    return false;
}

static bool on_data(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    bool ok = conn->rx.digest_ok;

    if (bhs_opcode(conn->rx_bhs) == ISCSI_OP_DATA_IN) {
        if (conn->rx_task)
            itask_rx_data(conn, ok);
        return false;
    }
    if (ok)
        return dispatch(conn, conn->rx_buf, conn->rx_buf ? conn->rx.data_len : 0, ev);
    /* 7.8: a response that can not be asked for again ends the connection, by a logout */
    static const char why[] = "data digest error in a response";
    if (iconn_full_feature(conn))
        ictl_logout(conn, conn->sess->conn_count == 1, USAN_EDIGEST, why);
    else
        iconn_fail(conn, USAN_EDIGEST, why);
    return false;
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

enum step { STEP_EVENT, STEP_AGAIN, STEP_MORE };

/* One step along the received bytes. */
static enum step step(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    bool event = false;
    switch (wire_rx_next(&conn->rx)) {
    case WIRE_RX_HEADER:
        event = on_header(conn, ev);
        break;
    case WIRE_RX_DATA:
        event = on_data(conn, ev);
        break;
    case WIRE_RX_BAD_HEADER: /* nothing in it can be trusted, its lengths neither: 7.7 */
        iconn_fail(conn, USAN_EDIGEST, "header digest error");
        break;
    case WIRE_RX_MORE:
    default:
        return STEP_MORE;
    }
    if (conn->spoiled) {
        struct itask *t = conn->spoiled;
        conn->spoiled = NULL;
        if (!t->aborter && itmf_abort(t))
            iconn_fail(conn, t->fail_err, t->fail_why);
    }
    return event ? STEP_EVENT : STEP_AGAIN;
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
        switch (step(conn, ev)) {
        case STEP_EVENT:
            return true;
        case STEP_MORE:
            isess_start(conn->sess);
            ictl_logout_if_due(conn);
            if (!conn->failing && list_empty(&conn->sess->done))
                return false;
            break;
        case STEP_AGAIN:
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
