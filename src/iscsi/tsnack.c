/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tsnack.h"
#include "iscsi/tctl.h"
#include "iscsi/tkeep.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

/* What cannot be sent again because it is not kept; the initiator may ask for something else. */
static void refuse(struct iscsi_tconn *c, const uint8_t *bhs)
{
    tctl_reject(c, ISCSI_REJECT_SNACK, bhs);
}

/* 11.16: what was not sent, or is acknowledged, must not be asked for. */
static void protocol_error(struct iscsi_tconn *c, const uint8_t *bhs)
{
    tctl_reject(c, ISCSI_REJECT_PROTOCOL_ERROR, bhs);
}

/* ---- data and R2T ---- */

static void resend_data(struct iscsi_tconn *c, struct ttask *t, const uint8_t *bhs, uint32_t beg,
                        uint32_t end)
{
    /* Another segment length makes other PDUs: that is for an R-Data SNACK, 11.16.1. */
    if (t->tx_changes != c->tx_changes || t->over || c->resend_count >= TCONN_RESENDS_MAX) {
        refuse(c, bhs);
        return;
    }
    struct tresend *rs = alloc_zero(c->a, sizeof *rs);
    if (!rs) {
        refuse(c, bhs);
        return;
    }
    list_init(&rs->job.node);
    rs->task = t;
    ttask_seek(t, beg, &rs->at);
    rs->end = end;
    t->resends++;
    c->resend_count++;
    txjob_queue(c, &rs->job, TXJOB_RESEND);
}

void tsnack_resent(struct iscsi_tconn *c, struct tresend *rs)
{
    struct ttask *t = rs->task;

    t->resends--;
    c->resend_count--;
    alloc_put(c->a, rs);
    if (t->over && t->resends == 0 && t->state == TTASK_KEPT)
        tkeep_give_back(t);
}

/* The R2T with this number, if it is still to be answered. */
static struct tburst *open_burst(struct ttask *t, uint32_t r2t_sn)
{
    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        if (t->bursts[i].active && t->bursts[i].sent && t->bursts[i].r2t_sn == r2t_sn)
            return &t->bursts[i];
    return NULL;
}

static void reject_data_sn(struct iscsi_tconn *c, const uint8_t *bhs, uint32_t next)
{
    struct tctl *ctl = tctl_new(c, ISCSI_BHS_LEN);
    if (!ctl)
        return;
    pdu_reject(ctl->bhs, ISCSI_REJECT_PROTOCOL_ERROR, ISCSI_BHS_LEN);
    pdu_reject_data_sn(ctl->bhs, next);
    memcpy(ctl->data, bhs, ISCSI_BHS_LEN);
    tctl_queue(c, ctl);
}

static void resend_r2t(struct iscsi_tconn *c, struct ttask *t, const uint8_t *bhs,
                       const struct pdu_snack *q)
{
    if (sn_lt(t->r2t_sn, q->beg_run + q->run_len)) {
        reject_data_sn(c, bhs, t->r2t_sn);
        return;
    }
    /* One that was answered is acknowledged. */
    for (uint32_t i = 0; i < q->run_len; i++)
        if (i >= TTASK_BURSTS || !open_burst(t, q->beg_run + i)) {
            reject_data_sn(c, bhs, t->r2t_sn);
            return;
        }
    bool any = false;
    for (unsigned i = 0; i < TTASK_BURSTS; i++) {
        struct tburst *b = &t->bursts[i];
        bool asked = b->active && b->sent && !sn_lt(b->r2t_sn, q->beg_run) &&
                     (!q->run_len || sn_lt(b->r2t_sn, q->beg_run + q->run_len));
        b->again |= asked;
        any |= asked;
    }
    if (any && t->job.kind == TXJOB_IDLE)
        txjob_queue(c, &t->job, TXJOB_R2T);
}

/* The task whose data or R2Ts are meant: in hand, or kept. */
static struct ttask *task_of(struct iscsi_tconn *c, const uint8_t *bhs)
{
    struct ttask *t = tsess_find(c->sess, bhs_itt(bhs));
    bool gone = false;

    if (t && t->conn == c && !t->pub.tmf && t->state != TTASK_SENT)
        return t;
    t = tkeep_find(c, bhs_itt(bhs), &gone);
    if (!t && gone)
        refuse(c, bhs);
    else if (!t)
        protocol_error(c, bhs);
    return t;
}

static void snack_data(struct iscsi_tconn *c, const uint8_t *bhs, const struct pdu_snack *q)
{
    struct ttask *t = task_of(c, bhs);

    if (!t)
        return;
    if (t->state == TTASK_OWNED || t->state == TTASK_HELD) {
        resend_r2t(c, t, bhs, q);
        return;
    }
    uint32_t acked = t->acked.data_sn, sent = t->cur.data_sn;
    uint32_t beg = q->beg_run || q->run_len ? q->beg_run : acked;
    uint32_t end = q->run_len ? beg + q->run_len : sent;
    if (sn_lt(beg, acked) || sn_lt(end, beg) || sn_lt(sent, end))
        reject_data_sn(c, bhs, sent);
    else if (beg != end)
        resend_data(c, t, bhs, beg, end);
}

/* ---- status ---- */

static void resend_answer(struct iscsi_tconn *c, struct tkept *k, const uint8_t *bhs)
{
    if (k->in_data && k->task && k->task->tx_changes == c->tx_changes)
        resend_data(c, k->task, bhs, k->exp_data_sn - 1, k->exp_data_sn);
    else if (k->job.kind == TXJOB_IDLE)
        txjob_queue(c, &k->job, TXJOB_KEPT);
}

static void snack_status(struct iscsi_tconn *c, const uint8_t *bhs, const struct pdu_snack *q)
{
    uint32_t acked = c->acked_stat_sn, sent = c->stat_sn;
    uint32_t beg = q->beg_run || q->run_len ? q->beg_run : acked;
    uint32_t end = q->run_len ? beg + q->run_len : sent, found = 0;

    if (sn_lt(beg, acked) || sn_lt(end, beg) || sn_lt(sent, end)) {
        protocol_error(c, bhs);
        return;
    }
    for (struct list *pos = c->kept.next, *last = c->kept.prev; pos != &c->kept; pos = pos->next) {
        struct tkept *k = list_entry(pos, struct tkept, node);
        if (!sn_lt(k->stat_sn, beg) && sn_lt(k->stat_sn, end)) {
            found++;
            resend_answer(c, k, bhs);
        }
        if (pos == last || c->closed) /* not what a refusal added; one too many ends it all */
            break;
    }
    if (found != end - beg && !c->closed)
        refuse(c, bhs);
}

/* ---- acknowledgement of data ---- */

static void data_ack(struct iscsi_tconn *c, const uint8_t *bhs, const struct pdu_snack *q)
{
    bool ours = false;
    struct ttask *t = tsess_find_ack(c->sess, bhs_ttt(bhs), &ours);

    if (ours && (!t || t->conn != c))
        return; /* the task is over: nothing of it is kept */
    if (!t || q->run_len != 0 || sn_lt(t->cur.data_sn, q->beg_run)) {
        tctl_reject(c, ISCSI_REJECT_INVALID_DATA_ACK, bhs);
        return;
    }
    if (!sn_lt(t->acked.data_sn, q->beg_run))
        return;
    if (t->tx_changes != c->tx_changes && q->beg_run != t->cur.data_sn)
        return; /* which bytes that were is not known any more */
    struct tcursor at = t->cur;
    if (q->beg_run != t->cur.data_sn)
        ttask_seek(t, q->beg_run, &at);
    t->acked = at;
    tkeep_data_acked(t);
}

/* ---- all of the data, cut anew ---- */

static void rewind_cursor(struct ttask *t)
{
    t->cur = t->acked;
    t->seg = t->conn->params.tx_data_segment;
    t->tx_changes = t->conn->tx_changes;
}

void tsnack_rewind(struct ttask *t)
{
    t->rewind = false;
    t->again = true;
    rewind_cursor(t);
    t->state = TTASK_SENDING;
    txjob_queue(t->conn, &t->job, TXJOB_RESPONSE);
}

static void snack_rdata(struct iscsi_tconn *c, const uint8_t *bhs, const struct pdu_snack *q)
{
    uint32_t tag = bhs_ttt(bhs);

    if (q->beg_run || q->run_len || tag == 0 || tag == ISCSI_TAG_NONE) {
        protocol_error(c, bhs);
        return;
    }
    struct ttask *t = task_of(c, bhs);
    if (!t)
        return;
    if (t->over) {
        refuse(c, bhs);
        return;
    }
    t->snack_tag = tag; /* the response will have it, 11.16.1 */
    if (t->state == TTASK_KEPT)
        tsnack_rewind(t);
    else if (t->state == TTASK_SENDING && list_empty(&t->job.node))
        t->rewind = true; /* the response is on the wire */
    else if (t->state == TTASK_SENDING)
        rewind_cursor(t);
}

void tsnack_request(struct iscsi_tconn *c, const uint8_t *bhs)
{
    const struct pdu_snack q = pdu_snack_decode(bhs);

    if (c->erl == 0) {
        refuse(c, bhs);
        return;
    }
    switch (q.type) {
    case PDU_SNACK_DATA:
        snack_data(c, bhs, &q);
        break;
    case PDU_SNACK_STATUS:
        snack_status(c, bhs, &q);
        break;
    case PDU_SNACK_DATA_ACK:
        data_ack(c, bhs, &q);
        break;
    case PDU_SNACK_RDATA:
        snack_rdata(c, bhs, &q);
        break;
    default:
        tctl_reject(c, ISCSI_REJECT_INVALID_FIELD, bhs);
        break;
    }
    tkeep_ack(c, bhs_exp_stat_sn(bhs));
}
