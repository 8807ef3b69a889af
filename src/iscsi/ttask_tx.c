/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* R2T, Data-In and responses on their way to the wire (RFC 7143 11.4, 11.6, 11.7, 11.8). */
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

static void put_sn(struct iscsi_tconn *conn, uint8_t *bhs, bool takes_stat_sn)
{
    struct iscsi_tsess *s = conn->sess;
    uint32_t exp = s ? s->exp_cmd_sn : conn->first_cmd_sn;

    bhs_put_sn(bhs, conn->stat_sn, exp, s ? tsess_max_cmd_sn(conn) : exp);
    if (takes_stat_sn)
        conn->stat_sn++;
}

/* ---- R2T ---- */

static int fill_r2t(struct iscsi_tconn *conn, struct ttask *t)
{
    for (;;) {
        struct tburst *b = NULL; /* the first one not sent: R2Ts go out by offset */
        for (unsigned i = 0; i < TTASK_BURSTS; i++)
            if (t->bursts[i].active && !t->bursts[i].sent && (!b || t->bursts[i].off < b->off))
                b = &t->bursts[i];
        if (!b) {
            txjob_cancel(&t->job);
            return 0;
        }
        int err = wire_tx_room(&conn->tx, 0);
        if (err)
            return err;
        uint8_t *bhs = wire_tx_header(&conn->tx);
        pdu_r2t(bhs, t->pub.lun, t->pub.itt, b->ttt, t->r2t_sn++, b->off, b->len);
        put_sn(conn, bhs, false);
        wire_tx_push(&conn->tx, NULL, 0, 0, 0, NULL);
        b->sent = true;
        b->seq = conn->next_seq++;
        t->data_ns = conn->now_ns;
        t->r2t_end = conn->sent_bytes + conn->tx.bytes;
    }
}

/* ---- Data-In and SCSI Response ---- */

/* Length of the next Data-In segment and the iovecs it takes. */
static uint32_t next_segment(const struct iscsi_tconn *conn, const struct ttask *t,
                             unsigned *ret_span)
{
    const struct iscsi_params *p = &conn->params;
    uint64_t len = t->in_len - t->in_pos;

    if (len > p->tx_data_segment)
        len = p->tx_data_segment;
    if (len > p->max_burst - t->burst_pos)
        len = p->max_burst - t->burst_pos;
    if (t->in_cnt == 1) {
        *ret_span = 1;
        return (uint32_t)len;
    }
    *ret_span = wire_iov_span(t->in, t->in_cnt, t->in_skip, len);
    if (*ret_span > TTASK_SPAN_MAX) { /* a shorter segment, of that many whole pieces */
        uint64_t fit = 0;
        for (unsigned i = 0; i < TTASK_SPAN_MAX; i++)
            fit += t->in[i].iov_len - (i ? 0 : t->in_skip);
        if (fit < len)
            len = fit & ~(uint64_t)3;
        *ret_span = TTASK_SPAN_MAX;
    }
    return (uint32_t)len;
}

static void in_advance(struct ttask *t, uint32_t len)
{
    t->in_pos += len;
    t->in_skip += len;
    while (t->in_cnt > 0 && t->in_skip >= t->in->iov_len) {
        t->in_skip -= t->in->iov_len;
        t->in++;
        t->in_cnt--;
    }
}

/* May the status ride in the last Data-In PDU? Only without sense data; 11.7.3 */
static bool status_in_data(const struct ttask *t)
{
    return t->sense_len == 0 && t->response == 0 && t->qualifier == 0 && t->status == 0 &&
           (t->resid_flags & (PDU_RESID_BIDI_OVERFLOW | PDU_RESID_BIDI_UNDERFLOW)) == 0 &&
           !t->pub.write;
}

static int fill_data_in(struct iscsi_tconn *conn, struct ttask *t)
{
    while (t->in_pos < t->in_len) {
        unsigned span;
        uint32_t len = next_segment(conn, t, &span);
        int err = wire_tx_room(&conn->tx, span);
        if (err)
            return err;
        bool last = t->in_pos + len == t->in_len;
        bool status = last && status_in_data(t);
        uint8_t flags = 0;

        t->burst_pos += len;
        if (last || t->burst_pos >= conn->params.max_burst) {
            flags = PDU_DATA_IN_FINAL; /* end of a sequence, 11.7.1 */
            t->burst_pos = 0;
        }
        if (status) {
            flags |= (uint8_t)(PDU_DATA_IN_STATUS | t->resid_flags);
            tsess_answered(t);
        }
        uint8_t *bhs = wire_tx_header(&conn->tx);
        pdu_data_in(bhs, t->pub.itt, flags, status ? t->status : 0, len, t->data_sn++,
                    (uint32_t)t->in_pos, status ? t->residual : 0);
        put_sn(conn, bhs, status);
        wire_tx_push(&conn->tx, t->in, t->in_cnt, t->in_skip, len, status ? &t->job : NULL);
        t->on_wire = true;
        in_advance(t, len);
        if (status) {
            list_del(&t->job.node); /* the kind stays: the mark needs it */
            return 0;
        }
    }
    return 0;
}

static int fill_response(struct iscsi_tconn *conn, struct ttask *t)
{
    if (t->in_len > 0) {
        int err = fill_data_in(conn, t);
        if (err)
            return err;
        if (status_in_data(t))
            return 0;
    }
    int err = wire_tx_room(&conn->tx, 1);
    if (err)
        return err;
    tsess_answered(t);
    uint8_t *bhs = wire_tx_header(&conn->tx);
    pdu_scsi_response(bhs, t->pub.itt, t->resid_flags, t->response, t->status, t->qualifier,
                      t->sense_len, t->data_sn + t->r2t_sn, t->residual, t->bidi_residual);
    put_sn(conn, bhs, true);
    t->sense_iov.iov_base = t->sense;
    t->sense_iov.iov_len = t->sense_len;
    wire_tx_push(&conn->tx, &t->sense_iov, 1, 0, t->sense_len, &t->job);
    t->on_wire = true;
    list_del(&t->job.node);
    return 0;
}

static int fill_tmf(struct iscsi_tconn *conn, struct ttask *t)
{
    int err = wire_tx_room(&conn->tx, 0);
    if (err)
        return err;
    tsess_answered(t);
    uint8_t *bhs = wire_tx_header(&conn->tx);
    pdu_tmf_response(bhs, t->pub.itt, t->response, t->pub.tmf_info);
    put_sn(conn, bhs, true);
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

/* The owner is through with a task whose connection is being closed: there is nobody to tell. */
static bool orphaned(struct ttask *t)
{
    if (!t->conn->closing)
        return false;
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
    t->in = rsp->in;
    t->in_cnt = rsp->in_cnt;
    t->in_len = rsp->in_len;
    set_residuals(t, rsp);
    t->sense_len = 0;
    if (rsp->sense_len) {
        uint16_t n = rsp->sense_len < ISCSI_SENSE_MAX ? rsp->sense_len : ISCSI_SENSE_MAX;
        be16_put(t->sense, n);
        memcpy(t->sense + 2, rsp->sense, n);
        t->sense_len = 2u + n;
    }
    if (orphaned(t))
        return;
    t->state = TTASK_SENDING;
    txjob_queue(t->conn, &t->job, TXJOB_RESPONSE);
}

void iscsi_task_respond_tmf(struct iscsi_task *task, uint8_t response)
{
    struct ttask *t = ttask_of(task);

    assert(t->state == TTASK_OWNED && task->tmf);
    t->response = response;
    if (orphaned(t))
        return;
    t->state = TTASK_SENDING;
    txjob_queue(t->conn, &t->job, TXJOB_TMF);
}

bool iscsi_task_drop(struct iscsi_task *task)
{
    struct ttask *t = ttask_of(task);

    ttask_data_stop(t);
    if (t->on_wire && !t->conn->closed && t->state == TTASK_SENDING)
        return false;
    tsess_task_put(t);
    return true;
}
