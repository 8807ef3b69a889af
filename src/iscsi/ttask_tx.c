/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* R2T, Data-In and responses on their way to the wire (RFC 7143 11.4, 11.6, 11.7, 11.8). */
#include "iscsi/tawait.h"
#include "iscsi/tkeep.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

static void put_old_sn(struct iscsi_tconn *conn, uint8_t *bhs, uint32_t stat_sn)
{
    struct iscsi_tsess *s = conn->sess;
    uint32_t exp = s ? s->exp_cmd_sn : conn->first_cmd_sn;

    bhs_put_sn(bhs, stat_sn, exp, s ? tsess_max_cmd_sn(conn) : exp);
}

static void put_sn(struct iscsi_tconn *conn, uint8_t *bhs, bool takes_stat_sn)
{
    put_old_sn(conn, bhs, conn->stat_sn);
    if (takes_stat_sn)
        conn->stat_sn++;
}

/* ---- R2T ---- */

static int fill_r2t(struct iscsi_tconn *conn, struct ttask *t)
{
    for (;;) {
        struct tburst *b = NULL; /* the first one not sent: R2Ts go out by offset */
        for (unsigned i = 0; i < TTASK_BURSTS; i++)
            if (t->bursts[i].active && (!t->bursts[i].sent || t->bursts[i].again) &&
                (!b || t->bursts[i].off < b->off))
                b = &t->bursts[i];
        if (!b) {
            txjob_cancel(&t->job);
            return 0;
        }
        int err = wire_tx_room(&conn->tx, 0);
        if (err)
            return err;
        if (!b->sent) {
            b->r2t_sn = t->r2t_sn++;
            b->seq = conn->next_seq++;
        }
        uint8_t *bhs = wire_tx_header(&conn->tx);
        pdu_r2t(bhs, t->pub.lun, t->pub.itt, b->ttt, b->r2t_sn, b->off, b->len);
        put_sn(conn, bhs, false);
        wire_tx_push(&conn->tx, NULL, 0, 0, 0, NULL);
        b->sent = true;
        b->again = false;
        t->data_ns = conn->now_ns;
        t->r2t_end = conn->sent_bytes + conn->tx.bytes;
    }
}

/* ---- Data-In and SCSI Response ---- */

/* Length of the Data-In segment at the cursor and the iovecs it takes. */
static inline uint32_t segment_at(const struct ttask *t, const struct tcursor *c, uint32_t seg,
                                  unsigned *ret_span)
{
    uint64_t len = t->in_len - c->pos;
    uint32_t burst = t->sess->params.max_burst - c->burst_pos;

    if (len > seg)
        len = seg;
    if (len > burst)
        len = burst;
    if (c->in_cnt == 1) {
        *ret_span = 1;
        return (uint32_t)len;
    }
    *ret_span = wire_iov_span(c->in, c->in_cnt, c->in_skip, len);
    if (*ret_span > TTASK_SPAN_MAX) { /* a shorter segment, of that many whole pieces */
        uint64_t fit = 0;
        for (unsigned i = 0; i < TTASK_SPAN_MAX; i++)
            fit += c->in[i].iov_len - (i ? 0 : c->in_skip);
        if (fit < len)
            len = fit & ~(uint64_t)3;
        *ret_span = TTASK_SPAN_MAX;
    }
    return (uint32_t)len;
}

/* Does the Data-In sequence end with this segment? With the data, or with MaxBurstLength, 11.7.1.
 */
static inline bool ends_sequence(const struct ttask *t, const struct tcursor *c, uint32_t len)
{
    return c->pos + len == t->in_len || c->burst_pos + len >= t->sess->params.max_burst;
}

/* Past a segment. */
static inline void cursor_advance(const struct ttask *t, struct tcursor *c, uint32_t len)
{
    c->burst_pos = ends_sequence(t, c, len) ? 0 : c->burst_pos + len;
    c->data_sn++;
    c->pos += len;
    c->in_skip += len;
    while (c->in_cnt > 0 && c->in_skip >= c->in->iov_len) {
        c->in_skip -= c->in->iov_len;
        c->in++;
        c->in_cnt--;
    }
}

void ttask_seek(const struct ttask *t, uint32_t data_sn, struct tcursor *ret_at)
{
    *ret_at = t->acked;
    while (sn_lt(ret_at->data_sn, data_sn) && ret_at->pos < t->in_len) {
        unsigned span;
        cursor_advance(t, ret_at, segment_at(t, ret_at, t->seg, &span));
    }
}

/* May the status ride in the last Data-In PDU? Only without sense data; 11.7.3 */
static bool status_in_data(const struct ttask *t)
{
    return t->sense_len == 0 && t->response == 0 && t->qualifier == 0 && t->status == 0 &&
           t->snack_tag == 0 && !t->again &&
           (t->resid_flags & (PDU_RESID_BIDI_OVERFLOW | PDU_RESID_BIDI_UNDERFLOW)) == 0 &&
           !t->pub.write;
}

/* The answer that takes a StatSN is kept; for one that rides in a Data-In PDU, the response that
 * says the same. */
static void keep_response(struct iscsi_tconn *conn, struct ttask *t, const uint8_t *bhs,
                          bool in_data)
{
    uint8_t rsp[ISCSI_BHS_LEN];

    if (in_data) {
        pdu_scsi_response(rsp, t->pub.itt, t->resid_flags, 0, t->status, 0, 0, t->cur.data_sn,
                          t->residual, 0);
        put_old_sn(conn, rsp, bhs_stat_sn(bhs));
        bhs = rsp;
    }
    t->stat_sn = bhs_stat_sn(bhs);
    t->kept = tkeep_answer(conn, bhs, t->sense, in_data ? 0 : t->sense_len);
    if (!t->kept)
        return;
    t->kept->task = t;
    t->kept->in_data = in_data;
    t->kept->data_from = t->r2t_sn;
    t->kept->exp_data_sn = t->cur.data_sn;
}

/* The Data-In PDU at the cursor, with the status if it may be there: of that the first time a mark
 * is left, and its StatSN is a new one. 1: it was. Each command comes by here once or more often,
 * with one and the same `again`. */
__attribute__((always_inline)) static inline int
put_data_in(struct iscsi_tconn *conn, struct ttask *t, struct tcursor *c, bool again)
{
    unsigned span;
    uint32_t len = segment_at(t, c, again ? t->seg : conn->params.tx_data_segment, &span);
    int err = wire_tx_room(&conn->tx, span);
    if (err)
        return err;
    bool last = c->pos + len == t->in_len, status = last && status_in_data(t);
    bool answers = status && !again;
    uint8_t flags = ends_sequence(t, c, len) ? PDU_DATA_IN_FINAL : 0;
    bool ask = conn->erl && flags && !last;

    if (ask)
        flags |= PDU_DATA_IN_ACK;
    if (status)
        flags |= (uint8_t)(PDU_DATA_IN_STATUS | t->resid_flags);
    if (answers)
        tsess_answered(t);
    uint8_t *bhs = wire_tx_header(&conn->tx);
    pdu_data_in(bhs, t->pub.itt, flags, status ? t->status : 0, len, c->data_sn, (uint32_t)c->pos,
                status ? t->residual : 0);
    if (ask) {
        bhs_put_lun(bhs, t->pub.lun);
        bhs_put_ttt(bhs, tsess_ack_ttt(t));
    }
    if (again && status)
        put_old_sn(conn, bhs, t->stat_sn);
    else
        put_sn(conn, bhs, status);
    wire_tx_push(&conn->tx, c->in, c->in_cnt, c->in_skip, len, answers ? &t->job : NULL);
    cursor_advance(t, c, len);
    if (answers && conn->erl)
        keep_response(conn, t, bhs, true);
    t->on_wire = true;
    return status;
}

/* 1: the status rode in the last PDU. */
static int fill_data_in(struct iscsi_tconn *conn, struct ttask *t)
{
    int res = 0;

    while (t->cur.pos < t->in_len && res >= 0)
        res = put_data_in(conn, t, &t->cur, false);
    return res;
}

static int fill_response(struct iscsi_tconn *conn, struct ttask *t)
{
    if (t->cur.pos < t->in_len) {
        int res = fill_data_in(conn, t);
        if (res < 0)
            return res;
        if (res > 0) {
            list_del(&t->job.node); /* the kind stays: the mark needs it */
            return 0;
        }
    }
    int err = wire_tx_room(&conn->tx, 1);
    if (err)
        return err;
    if (!t->again)
        tsess_answered(t);
    uint8_t *bhs = wire_tx_header(&conn->tx);
    pdu_scsi_response(bhs, t->pub.itt, t->resid_flags, t->response, t->status, t->qualifier,
                      t->sense_len, t->cur.data_sn, t->residual, t->bidi_residual);
    pdu_scsi_response_snack_tag(bhs, t->snack_tag);
    if (t->again) {
        put_old_sn(conn, bhs, t->stat_sn);
        if (t->kept) { /* what is sent last is what is sent again, 11.16.1 */
            memcpy(t->kept->bhs, bhs, ISCSI_BHS_LEN);
            t->kept->in_data = false;
        }
    } else {
        put_sn(conn, bhs, true);
        if (conn->erl)
            keep_response(conn, t, bhs, false);
    }
    t->sense_iov.iov_base = t->sense;
    t->sense_iov.iov_len = t->sense_len;
    wire_tx_push(&conn->tx, &t->sense_iov, 1, 0, t->sense_len, &t->job);
    t->on_wire = true;
    list_del(&t->job.node);
    return 0;
}

/* ---- once more ---- */

static int fill_resend(struct iscsi_tconn *conn, struct tresend *rs)
{
    while (sn_lt(rs->at.data_sn, rs->end)) {
        int res = put_data_in(conn, rs->task, &rs->at, true);
        if (res < 0)
            return res;
    }
    wire_tx_mark(&conn->tx, &rs->job);
    list_del(&rs->job.node);
    return 0;
}

static int fill_kept(struct iscsi_tconn *conn, struct tkept *k)
{
    int err = wire_tx_room(&conn->tx, 1);
    if (err)
        return err;
    uint8_t *bhs = wire_tx_header(&conn->tx);
    memcpy(bhs, k->bhs, ISCSI_BHS_LEN);
    if (k->moved) { /* a status of its own, on this connection */
        put_sn(conn, bhs, true);
        tkeep_moved(conn, k, bhs_stat_sn(bhs));
    } else {
        put_old_sn(conn, bhs, k->stat_sn);
    }
    wire_tx_push(&conn->tx, &k->iov, 1, 0, k->len, &k->job);
    list_del(&k->job.node);
    return 0;
}

/* ---- others ---- */

static int fill_tmf(struct iscsi_tconn *conn, struct ttask *t)
{
    int err = wire_tx_room(&conn->tx, 0);
    if (err)
        return err;
    tsess_answered(t);
    uint8_t *bhs = wire_tx_header(&conn->tx);
    pdu_tmf_response(bhs, t->pub.itt, t->response, t->pub.tmf_info);
    put_sn(conn, bhs, true);
    if (conn->erl)
        (void)tkeep_answer(conn, bhs, NULL, 0);
    wire_tx_push(&conn->tx, NULL, 0, 0, 0, &t->job);
    t->on_wire = true;
    list_del(&t->job.node);
    return 0;
}

static int fill_ctl(struct iscsi_tconn *conn, struct tctl *ctl)
{
    int err = wire_tx_room(&conn->tx, 1);
    if (err)
        return err;
    uint8_t *bhs = wire_tx_header(&conn->tx);
    memcpy(bhs, ctl->bhs, ISCSI_BHS_LEN);
    put_sn(conn, bhs, ctl->takes_stat_sn);
    if (conn->erl && ctl->takes_stat_sn)
        (void)tkeep_answer(conn, bhs, ctl->data, ctl->len);
    ctl->iov.iov_base = ctl->data;
    ctl->iov.iov_len = ctl->len;
    wire_tx_push(&conn->tx, &ctl->iov, 1, 0, ctl->len, &ctl->job);
    list_del(&ctl->job.node);
    return 0;
}

void ttask_fill_wire(struct iscsi_tconn *conn)
{
    while (!list_empty(&conn->jobs)) {
        struct txjob *job = list_entry(conn->jobs.next, struct txjob, node);
        int err = 0;

        switch (job->kind) {
        case TXJOB_CTL:
            err = fill_ctl(conn, list_entry(job, struct tctl, job));
            break;
        case TXJOB_R2T:
            err = fill_r2t(conn, list_entry(job, struct ttask, job));
            break;
        case TXJOB_RESPONSE:
            err = fill_response(conn, list_entry(job, struct ttask, job));
            break;
        case TXJOB_TMF:
            err = fill_tmf(conn, list_entry(job, struct ttask, job));
            break;
        case TXJOB_KEPT:
            err = fill_kept(conn, list_entry(job, struct tkept, job));
            break;
        case TXJOB_RESEND:
            err = fill_resend(conn, list_entry(job, struct tresend, job));
            break;
        case TXJOB_IDLE:
        default:
            assert(0 && "a queued job has a kind");
        }
        if (err == USAN_ENOMEM)
            tconn_close(conn, err, "out of memory for the send queue");
        if (err)
            return;
    }
}

/* ---- what the owner calls ---- */

/* Residual counts, 11.4.5: overflow when the command called for more than the initiator's buffer
 * has or it sent, underflow when for less. */
static void set_residuals(struct ttask *t, const struct iscsi_response *rsp)
{
    uint64_t in_exp = t->pub.in_expected, out_exp = t->pub.out_expected;
    uint64_t used, expected;

    t->resid_flags = 0;
    t->residual = t->bidi_residual = 0;
    if (rsp->response != 0)
        return; /* "residual counts are only valid if Response is Command Completed" */
    if (t->pub.write) {
        used = rsp->out_used;
        expected = out_exp;
    } else {
        used = rsp->in_used;
        expected = in_exp;
    }
    if (used != expected) {
        t->resid_flags = used > expected ? PDU_RESID_OVERFLOW : PDU_RESID_UNDERFLOW;
        t->residual = (uint32_t)(used > expected ? used - expected : expected - used);
    }
    if (t->pub.write && t->pub.read && rsp->in_used != in_exp) {
        bool over = rsp->in_used > in_exp;
        t->resid_flags |= over ? PDU_RESID_BIDI_OVERFLOW : PDU_RESID_BIDI_UNDERFLOW;
        t->bidi_residual = (uint32_t)(over ? rsp->in_used - in_exp : in_exp - rsp->in_used);
    }
}

/* The owner is through with a task whose connection is being closed, or is lost: there is nobody to
 * tell, or not yet. */
static bool orphaned(struct ttask *t)
{
    struct iscsi_tconn *conn = t->conn;

    if (conn && !conn->closing)
        return false;
    bool may_go_on = conn ? conn->erl >= 2 && !conn->gone : t->lost != NULL;
    if (may_go_on && !t->pub.tmf) {
        t->state = TTASK_WAIT;
        return true;
    }
    t->state = TTASK_SENT;
    ttask_event(t);
    return true;
}

void iscsi_task_respond(struct iscsi_task *task, const struct iscsi_response *rsp)
{
    struct ttask *t = ttask_of(task);

    assert(t->state == TTASK_OWNED);
    ttask_data_stop(t);
    t->status = rsp->status;
    t->response = rsp->response;
    t->qualifier = rsp->status_qualifier;
    /* R2T and Data-In PDUs of a bidirectional command are numbered as one, 4.2.2.3; a write has the
     * number of its R2Ts in its response. */
    t->cur = (struct tcursor){ .in = rsp->in, .in_cnt = rsp->in_cnt, .data_sn = t->r2t_sn };
    t->in_len = rsp->in_len;
    set_residuals(t, rsp);
    t->sense_len = 0;
    if (rsp->sense_len) {
        uint16_t n = rsp->sense_len < ISCSI_SENSE_MAX ? rsp->sense_len : ISCSI_SENSE_MAX;
        be16_put(t->sense, n);
        memcpy(t->sense + 2, rsp->sense, n);
        t->sense_len = 2u + n;
    }
    if (t->sess->params.error_recovery_level) {
        t->acked = t->cur;
        t->seg = t->conn ? t->conn->params.tx_data_segment : 0;
        t->tx_changes = t->conn ? t->conn->tx_changes : 0;
    }
    if (!orphaned(t)) {
        t->state = TTASK_SENDING;
        txjob_queue(t->conn, &t->job, TXJOB_RESPONSE);
    }
    if (t->sess->awaited)
        tawait_look(t->sess);
}

void iscsi_task_respond_tmf(struct iscsi_task *task, uint8_t response)
{
    struct ttask *t = ttask_of(task);

    assert(t->state == TTASK_OWNED && task->tmf);
    t->response = response;
    list_del(&t->event);
    if (!orphaned(t))
        tawait_tmf(t);
    else if (t->sess->awaited)
        tawait_look(t->sess);
}

bool iscsi_task_drop(struct iscsi_task *task)
{
    struct ttask *t = ttask_of(task);

    struct iscsi_tsess *s = t->sess;

    ttask_data_stop(t);
    if (t->on_wire && t->conn && !t->conn->closed && t->state == TTASK_SENDING)
        return false;
    s->awaited -= t->state == TTASK_FENCED;
    tsess_task_put(t);
    if (s->awaited)
        tawait_look(s);
    return true;
}
