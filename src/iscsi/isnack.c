/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/isnack.h"

#include "iscsi/itask.h"

/* ---- requests ---- */

static void arm(struct iscsi_iconn *conn)
{
    if (conn->mend_ns == TIME_NEVER)
        conn->mend_ns = conn->now_ns + isess_recovery_timeout(conn->sess);
}

static void send(struct iscsi_iconn *conn, enum pdu_snack_type type, uint32_t itt, uint32_t ttt,
                 uint64_t lun, uint32_t begin, uint32_t run)
{
    if (conn->logout_sent) /* 11.14: nothing is sent after a Logout Request */
        return;
    struct ictl *ctl = ictl_new(conn, 0);
    if (!ctl)
        return;
    pdu_snack_encode(ctl->bhs, type, itt, ttt, lun, begin, run);
    ictl_queue(conn, ctl);
    arm(conn);
}

static void ask_hole(struct itask *t, uint32_t from, uint32_t to)
{
    t->sess->stats.data_snacks++;
    send(t->conn, PDU_SNACK_DATA, t->itt, ISCSI_TAG_NONE, 0, from, to - from);
}

/* 11.16.3: segments of the old length can not be had any more. All that is not acknowledged is
 * sent anew, in other pieces. */
static void ask_anew(struct itask *t)
{
    struct irec *rec = t->rec;
    if (t->cmd->out_len) { /* which R2Ts would be numbered again is not said anywhere */
        itask_spoil(t, USAN_EDIGEST, "data is missing that can not be asked for again");
        return;
    }
    if (!rec->tag)
        rec->tag = (t->sess->generation++ & 0x7fffffff) | 1; /* not 0, not all ones */
    rec->holes = 0;
    rec->restart = rec->again = true;
    rec->ack = rec->status_came = false;
    t->exp_data_sn = t->acked_sn;
    t->sess->stats.rdata_snacks++;
    send(t->conn, PDU_SNACK_RDATA, t->itt, rec->tag, 0, 0, 0);
}

static bool missing(const struct irec *rec)
{
    return rec->holes || rec->restart;
}

/* All that the task misses. */
static void ask_all(struct itask *t)
{
    struct irec *rec = t->rec;
    if (++rec->tries > ISCSI_IRECOVERY_TRIES) {
        iconn_fail(t->conn, USAN_ETIMEOUT, "missing data was asked for and did not come");
        return;
    }
    if (rec->tag || t->epoch != t->conn->epoch) {
        ask_anew(t);
        return;
    }
    for (unsigned i = 0; i < rec->holes; i++)
        ask_hole(t, rec->hole[i].from, rec->hole[i].to);
}

/* ---- holes ---- */

/* From now on the task's data is placed by ranges. False: out of memory, the command is spoiled. */
static bool mend(struct itask *t)
{
    const struct iscsi_params *p = &t->sess->params;
    const struct alloc *a = t->sess->a;
    if (t->mending)
        return true;
    bool ordered = p->data_pdu_in_order && p->data_sequence_in_order;
    bool fresh = !t->ranges;
    if (!t->rec)
        t->rec = alloc_zero(a, sizeof *t->rec);
    if (!t->ranges)
        t->ranges = alloc_zero(a, sizeof *t->ranges);
    if (!t->rec || !t->ranges) {
        itask_spoil(t, USAN_ENOMEM, "out of memory for a command");
        return false;
    }
    if (ordered || fresh)
        t->ranges->count = 0;
    uint32_t more;
    if (ordered && t->in_next && irange_merge(t->ranges, 0, t->in_next, &more))
        return false; /* one range always fits */
    *t->rec = (struct irec){ .holes = 0 };
    list_init(&t->rec->node);
    t->mending = true;
    return true;
}

static bool add_hole(struct itask *t, uint32_t from, uint32_t to)
{
    if (!mend(t))
        return false;
    struct irec *rec = t->rec;
    unsigned i = rec->holes;
    if (i == IHOLES_MAX) {
        itask_spoil(t, USAN_EDIGEST, "too much of the data did not come as it should");
        return false;
    }
    for (; i > 0 && sn_lt(from, rec->hole[i - 1].from); i--)
        rec->hole[i] = rec->hole[i - 1];
    rec->hole[i].from = from;
    rec->hole[i].to = to;
    rec->holes++;
    if (list_empty(&rec->node))
        list_push_back(&t->conn->mending, &rec->node);
    rec->task = t;
    return true;
}

/* Is sn in a hole? Then not any more. */
static bool fill_hole(struct itask *t, uint32_t sn)
{
    struct irec *rec = t->rec;
    if (!t->mending)
        return false;
    for (unsigned i = 0; i < rec->holes; i++) {
        uint32_t from = rec->hole[i].from, to = rec->hole[i].to;
        if (sn_lt(sn, from) || !sn_lt(sn, to))
            continue;
        if (sn == from && sn + 1 == to) {
            rec->holes--;
            memmove(&rec->hole[i], &rec->hole[i + 1], (rec->holes - i) * sizeof rec->hole[0]);
        } else if (sn == from) {
            rec->hole[i].from++;
        } else if (sn + 1 == to) {
            rec->hole[i].to--;
        } else {
            rec->hole[i].to = sn;
            return add_hole(t, sn + 1, to);
        }
        return true;
    }
    return false;
}

/* 7.2.2: from what it was asked for on, or "all unacknowledged data", perhaps in other pieces. */
static void resume_at(struct itask *t, uint32_t sn)
{
    t->rec->fresh = false;
    if (!sn_lt(sn, t->exp_data_sn))
        return;
    t->rec->again = true;
    t->exp_data_sn = sn;
    if (sn_lt(sn, t->acked_sn)) /* that acknowledgement was lost with the connection */
        t->acked_sn = sn;
}

enum isnack_take isnack_number(struct itask *t, uint32_t sn)
{
    if (t->mending && t->rec->fresh)
        resume_at(t, sn);
    if (t->mending && t->rec->restart) {
        if (sn != t->exp_data_sn)
            return ISNACK_DROP;
        t->rec->restart = false;
        t->rec->tries = 0;
    }
    if (sn == t->exp_data_sn) {
        t->exp_data_sn++;
        return ISNACK_TAKE;
    }
    if (sn_lt(sn, t->exp_data_sn))
        return fill_hole(t, sn) ? ISNACK_TAKE : ISNACK_DROP;
    if (sn - t->exp_data_sn > IDATA_GAP_MAX)
        return ISNACK_WRONG;
    uint32_t from = t->exp_data_sn;
    if (t->fail_err || !add_hole(t, from, sn)) {
        t->exp_data_sn = sn + 1;
        return ISNACK_TAKE; /* its status may be in it */
    }
    if (t->epoch != t->conn->epoch) {
        ask_anew(t);
        return ISNACK_DROP;
    }
    t->exp_data_sn = sn + 1;
    ask_hole(t, from, sn);
    return ISNACK_TAKE;
}

void isnack_damaged(struct itask *t, uint32_t sn, uint32_t off)
{
    if (!t->mending)
        t->in_next = off; /* all there is, in order, ends here */
    /* The first time at once; if it comes damaged again and again, that counts as no answer. */
    unsigned tries = t->mending ? t->rec->tries : 0;
    if (t->fail_err || !add_hole(t, sn, sn + 1))
        return;
    t->rec->tries = tries + 1;
    if (t->rec->tries > ISCSI_IRECOVERY_TRIES)
        iconn_fail(t->conn, USAN_EDIGEST, "data comes damaged again and again");
    else if (t->epoch != t->conn->epoch || t->rec->tag)
        ask_anew(t);
    else
        ask_hole(t, sn, sn + 1);
}

static void acknowledge(struct itask *t)
{
    struct irec *rec = t->rec;
    if (!rec->ack || rec->restart || (rec->holes && sn_lt(rec->hole[0].from, rec->ack_sn)))
        return;
    rec->ack = false;
    t->acked_sn = rec->ack_sn;
    t->sess->stats.data_acks++;
    send(t->conn, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, rec->ack_ttt, rec->ack_lun, rec->ack_sn, 0);
}

void isnack_ack(struct itask *t, uint32_t sn, uint32_t ttt, uint64_t lun)
{
    if (ttt == ISCSI_TAG_NONE || t->fail_err) /* 11.7.4: a tag comes with the A bit */
        return;
    if (!t->mending) {
        t->acked_sn = sn + 1;
        t->sess->stats.data_acks++;
        send(t->conn, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, ttt, lun, sn + 1, 0);
        return;
    }
    struct irec *rec = t->rec;
    if (rec->ack && sn_lt(sn + 1, rec->ack_sn))
        return; /* one that says more waits already */
    rec->ack = true;
    rec->ack_sn = sn + 1;
    rec->ack_ttt = ttt;
    rec->ack_lun = lun;
    acknowledge(t);
}

bool isnack_complete(struct itask *t)
{
    struct irec *rec = t->rec;
    rec->tries = 0; /* the target answers */
    acknowledge(t);
    if (missing(rec))
        return false;
    if (!rec->tag && !rec->status_came)
        list_del(&rec->node);
    return rec->status_came;
}

/* ---- status of a command ---- */

bool isnack_hold(struct itask *t, const struct pdu_scsi_status *s, uint32_t stat_sn)
{
    struct irec *rec = t->rec;
    uint32_t exp = t->exp_data_sn;
    if (!t->cmd->in_len || t->fail_err || s->response)
        return false;
    if (t->mending && rec->tag && s->snack_tag != rec->tag) {
        /* 11.4.4: to be discarded; another one with the tag, and with the same StatSN, follows */
        rec->stat_sn = stat_sn;
        rec->held = true;
        itask_rehold(t->conn);
        return true;
    }
    bool behind = sn_lt(exp, s->exp_data_sn) && s->exp_data_sn - exp <= IDATA_GAP_MAX;
    if (behind && !(t->mending && rec->restart)) { /* 11.4.8: the last ones did not come */
        if (!add_hole(t, exp, s->exp_data_sn))
            return false;
        t->exp_data_sn = s->exp_data_sn;
        if (t->epoch == t->conn->epoch && !t->rec->tag)
            ask_hole(t, exp, s->exp_data_sn);
        else
            ask_anew(t);
    }
    if (!t->mending || !missing(t->rec) || t->fail_err)
        return false;
    rec = t->rec;
    rec->stat_sn = stat_sn;
    rec->held = true;
    if (!rec->restart) {
        rec->status_came = true;
        rec->status = *s;
    }
    itask_rehold(t->conn);
    return true;
}

/* ---- the stream of status ---- */

static void ask_status(struct iscsi_iconn *conn)
{
    if (conn->stat_tries++ >= ISCSI_IRECOVERY_TRIES) {
        iconn_fail(conn, USAN_ETIMEOUT, "missing status was asked for and did not come");
        return;
    }
    /* RunLength 0: all from there on. What comes behind a gap is not taken, so that the answers of
     * a connection have their order, which task management relies on. */
    conn->sess->stats.status_snacks++;
    send(conn, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0, conn->exp_stat_sn, 0);
}

void isnack_status(struct iscsi_iconn *conn, uint32_t end)
{
    if (conn->stat_gap) {
        if (sn_lt(conn->stat_end, end))
            conn->stat_end = end;
        return;
    }
    conn->stat_gap = true;
    conn->stat_end = end;
    conn->stat_tries = 0;
    ask_status(conn);
}

void isnack_status_damaged(struct iscsi_iconn *conn)
{
    if (conn->stat_gap)
        ask_status(conn);
    else
        isnack_status(conn, conn->exp_stat_sn + 1);
}

void isnack_status_came(struct iscsi_iconn *conn)
{
    conn->stat_gap = sn_lt(conn->exp_stat_sn, conn->stat_end);
    conn->stat_tries = 0;
}

/* ---- what the target says to it ---- */

void isnack_refused(struct iscsi_iconn *conn, const uint8_t *snack, const char *why)
{
    enum pdu_snack_type type = pdu_snack_type(snack);
    if (type == PDU_SNACK_DATA_ACK) /* it was only to help the target */
        return;
    if (type == PDU_SNACK_STATUS) {
        iconn_fail(conn, USAN_EDIGEST, why);
        return;
    }
    struct itask *t = itask_find(conn->sess, bhs_itt(snack));
    if (t && t->conn == conn && t->cmd && t->mending && missing(t->rec))
        itask_spoil(t, USAN_EDIGEST, why);
}

/* ---- time, and the end ---- */

void isnack_tick(struct iscsi_iconn *conn, uint64_t now_ns)
{
    bool any = conn->stat_gap;
    if (now_ns < conn->mend_ns)
        return;
    conn->mend_ns = TIME_NEVER;
    if (conn->stat_gap)
        ask_status(conn);
    list_for_each_safe (&conn->mending, pos) {
        struct irec *rec = list_entry(pos, struct irec, node);
        if (missing(rec) && !conn->failing && !rec->task->fail_err) {
            any = true;
            ask_all(rec->task);
        }
    }
    if (any)
        arm(conn);
}

void isnack_unread(struct itask *t, uint32_t sn, uint32_t off)
{
    if (t->mending || sn + 1 != t->exp_data_sn) {
        (void)add_hole(t, sn, sn + 1);
        return;
    }
    t->exp_data_sn = sn;
    t->in_next = off;
}

uint32_t isnack_rewind(struct itask *t)
{
    struct irec *rec = t->rec;
    if (!t->mending)
        return t->exp_data_sn;
    if (rec->holes)
        t->exp_data_sn = rec->hole[0].from;
    rec->holes = 0;
    rec->again = true; /* over what came behind the hole */
    rec->restart = rec->ack = rec->status_came = rec->held = false;
    rec->tag = 0; /* 7.2.2: with the reassignment it is deleted */
    rec->fresh = false;
    rec->tries = 0;
    return t->exp_data_sn;
}

void isnack_resumed(struct itask *t)
{
    if (t->exp_data_sn && mend(t))
        t->rec->fresh = true;
}
