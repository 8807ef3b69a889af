/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/treassign.h"
#include "iscsi/tkeep.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

/* What the request refers to: a task, or only its answer. */
struct ref {
    struct ttask *task;
    struct tkept *answer;
    const struct tlost *lost;
};

static struct ref find(const struct ttask *q)
{
    struct iscsi_tsess *s = q->conn->sess;
    struct ttask *t = tsess_find(s, q->pub.ref_itt);

    if (t && t != q && !t->pub.tmf)
        return (struct ref){ .task = t, .lost = t->lost };
    /* one that was answered; the ITT may have been used before */
    for (struct list *pos = s->lost.prev; pos != &s->lost; pos = pos->prev) {
        const struct tlost *l = list_entry(pos, struct tlost, node);
        for (struct list *at = l->kept.prev; at != &l->kept; at = at->prev) {
            struct tkept *k = list_entry(at, struct tkept, node);
            if (k->itt == q->pub.ref_itt)
                return (struct ref){ .task = k->task, .answer = k, .lost = l };
        }
    }
    /* one whose response was being sent again when that connection was lost as well */
    for (struct list *pos = s->kept.prev; pos != &s->kept; pos = pos->prev) {
        struct ttask *k = list_entry(pos, struct ttask, node);
        if (k->pub.itt == q->pub.ref_itt && k->lost && !k->kept)
            return (struct ref){ .task = k, .lost = k->lost };
    }
    return (struct ref){ .task = NULL };
}

bool treassign_waits(struct ttask *q)
{
    q->waits = false;
    list_for_each (&q->conn->sess->conns, pos)
        q->waits |= list_entry(pos, struct iscsi_tconn, node)->flush_due;
    if (q->waits)
        q->state = TTASK_HELD;
    return q->waits;
}

void treassign_go_on(struct iscsi_tsess *s)
{
    list_for_each (&s->tasks, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->waits)
            ttask_event(t);
    }
}

uint8_t treassign_check(const struct ttask *q)
{
    if (q->conn->erl < 2)
        return ISCSI_TMF_RSP_NO_REASSIGN;
    struct ref ref = find(q);
    if (ref.task && ref.task->conn)
        return ISCSI_TMF_RSP_STILL_ALLEGIANT;
    if (!ref.lost)
        return ISCSI_TMF_RSP_NO_TASK; /* or its time is over */
    if (!ref.lost->reassign)
        return ISCSI_TMF_RSP_STILL_ALLEGIANT; /* the recovery logout comes first */
    /* The data is not kept any more: enough only if the initiator has all of it. */
    if (!ref.task && ref.answer->exp_data_sn != ref.answer->data_from &&
        ref.answer->exp_data_sn != q->exp_data_sn)
        return ISCSI_TMF_RSP_NO_TASK;
    return ISCSI_TMF_RSP_COMPLETE;
}

/* Its response, from the first PDU on that is not acknowledged. ExpDataSN is 0, or higher than what
 * was acknowledged and no more than was sent; "any other value MUST be ignored", 11.5. */
static void resume_response(struct iscsi_tconn *conn, struct ttask *t, uint32_t exp_data_sn)
{
    struct tcursor at = t->acked;

    if (exp_data_sn && exp_data_sn == t->cur.data_sn)
        at = t->cur;
    else if (sn_lt(at.data_sn, exp_data_sn) && sn_lt(exp_data_sn, t->cur.data_sn) && !t->mixed)
        ttask_seek(t, exp_data_sn, &at);
    if (t->kept)
        tkeep_forget(t->sess, t->kept);
    t->acked = t->cur = at;
    tkeep_data_acked(t);
    t->seg = conn->params.tx_data_segment;
    t->tx_changes = conn->tx_changes;
    t->mixed = false;
    t->state = TTASK_SENDING;
    txjob_queue(conn, &t->job, TXJOB_RESPONSE);
}

/* R2Ts are asked for by the next number that the initiator expects, as far as it says so. */
static void resume_data(struct ttask *t, uint32_t exp_data_sn)
{
    if (exp_data_sn && !sn_lt(t->r2t_sn, exp_data_sn) && !sn_lt(exp_data_sn, t->r2t_acked))
        t->r2t_sn = exp_data_sn;
    else
        t->r2t_sn = t->r2t_acked;
    ttask_data_resume(t);
}

uint16_t treassign_abort(struct ttask *q)
{
    q->exp_data_sn = 0; /* reserved */
    if (treassign_check(q) != ISCSI_TMF_RSP_COMPLETE)
        return 0;
    const struct ttask *t = find(q).task;
    bool owned = t && t->state == TTASK_OWNED;
    treassign_do(q);
    return owned ? 0 : 1 + ISCSI_TMF_RSP_NO_TASK;
}

void treassign_do(const struct ttask *q)
{
    struct iscsi_tconn *conn = q->conn;
    struct ref ref = find(q);
    struct ttask *t = ref.task;

    assert(t || ref.answer); /* treassign_check() has found it */
    if (!t) {
        list_del(&ref.answer->node);
        ref.answer->moved = true;
        ref.answer->in_data = false;
        pdu_scsi_response_snack_tag(ref.answer->bhs, 0);
        txjob_queue(conn, &ref.answer->job, TXJOB_KEPT);
        return;
    }
    t->conn = conn;
    t->lost = NULL;
    if (!list_empty(&t->event)) { /* it is due on the connection now */
        list_del(&t->event);
        ttask_event(t);
    }
    if (t->state == TTASK_WAIT)
        resume_response(conn, t, q->exp_data_sn);
    else if (t->state == TTASK_OWNED)
        resume_data(t, q->exp_data_sn);
}
