/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/itask_rx.h"

#include "iscsi/isnack.h"
#include "iscsi/itask.h"

/* The task a PDU is for; on its own connection (4.2.2). NULL: the connection fails, but where it
 * may have been asked for twice. */
static struct itask *find(struct iscsi_iconn *conn, const uint8_t *bhs, const char *unknown)
{
    struct itask *t = itask_find(conn->sess, bhs_itt(bhs));
    if (t && t->conn == conn && t->cmd)
        return t;
    if (iconn_erl(conn) && bhs_opcode(bhs) != ISCSI_OP_SCSI_RESPONSE)
        return NULL;
    iconn_fail(conn, USAN_EPROTO,
               t && t->cmd ? "a PDU for a command of another connection" : unknown);
    return NULL;
}

/* ---- the end of a command ---- */

static bool take_residual(uint8_t flags, uint8_t under, uint8_t over, uint32_t count, uint32_t len,
                          enum iscsi_resid *resid, uint32_t *residual)
{
    bool u = flags & under, o = flags & over;
    if ((u && o) || (u && count > len)) /* 11.4.5: one or none, and no more than there was */
        return false;
    *resid = u ? ISCSI_RESID_UNDERFLOW : o ? ISCSI_RESID_OVERFLOW : ISCSI_RESID_NONE;
    *residual = u || o ? count : 0;
    return true;
}

/* Residual counts against the data that really came. NULL: they agree. */
static const char *check_residuals(struct iscsi_icmd *cmd, const struct pdu_scsi_status *s)
{
    bool bidi = cmd->in_len && cmd->out_len;
    uint32_t main_len = cmd->out_len ? cmd->out_len : cmd->in_len;
    if (!take_residual(s->flags, PDU_RESID_UNDERFLOW, PDU_RESID_OVERFLOW, s->residual, main_len,
                       &cmd->resid, &cmd->residual) ||
        !take_residual(bidi ? s->flags : 0, PDU_RESID_BIDI_UNDERFLOW, PDU_RESID_BIDI_OVERFLOW,
                       s->bidi_residual, cmd->in_len, &cmd->in_resid, &cmd->in_residual))
        return "a residual count that can not be";
    if (!cmd->in_len)
        return NULL;
    enum iscsi_resid resid = bidi ? cmd->in_resid : cmd->resid;
    uint32_t residual = bidi ? cmd->in_residual : cmd->residual;
    uint32_t want = cmd->in_len - (resid == ISCSI_RESID_UNDERFLOW ? residual : 0);
    if (cmd->in_got > want)
        return "more data came than the residual count leaves";
    /* A command that failed need not have sent what it was asked for. */
    if (cmd->in_got < want && cmd->status == 0)
        return "data is missing";
    return NULL;
}

/* stat_sn: of the PDU it came with. */
static void status_came(struct itask *t, const struct pdu_scsi_status *s)
{
    struct iscsi_icmd *cmd = t->cmd;
    cmd->status = s->status;
    cmd->response = s->response;
    cmd->status_qualifier = s->qualifier;
    if (t->fail_err) {
        itask_end(t, t->fail_err, t->fail_why);
        return;
    }
    if (s->response) { /* 11.4.3: counts and status mean nothing */
        itask_end(t, USAN_EIO, "the target could not carry the command out");
        return;
    }
    const char *why = check_residuals(cmd, s);
    itask_end(t, why ? USAN_EPROTO : 0, why);
}

/* A response with a new SNACK tag has the StatSN of that before, 11.4.4; others that have an old
 * one came before. */
static bool is_second(const struct iscsi_iconn *conn, const uint8_t *bhs)
{
    const struct itask *t = itask_find(conn->sess, bhs_itt(bhs));
    return t && t->cmd && t->conn == conn && t->mending && t->rec->tag &&
           t->rec->tag == pdu_scsi_response_decode(bhs).snack_tag;
}

void itask_rx_response(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data,
                       uint32_t len)
{
    if (conn->rx_sn == ISN_OLD && !is_second(conn, bhs))
        return;
    struct itask *t = find(conn, bhs, "a SCSI Response for a command that is not there");
    if (!t)
        return;
    const struct pdu_scsi_status s = pdu_scsi_response_decode(bhs);
    struct iscsi_icmd *cmd = t->cmd;
    /* 11.4.7: SenseLength, sense data, response data */
    if (len >= 2) {
        uint32_t n = be16_get(data);
        if (n > len - 2) {
            iconn_fail(conn, USAN_EPROTO, "sense data longer than its data segment");
            return;
        }
        if (n > cmd->sense_cap || !cmd->sense)
            n = cmd->sense ? cmd->sense_cap : 0;
        if (n)
            memcpy(cmd->sense, data + 2, n);
        cmd->sense_len = (uint16_t)n;
    }
    if (!iconn_erl(conn) || !isnack_hold(t, &s, bhs_stat_sn(bhs)))
        status_came(t, &s);
}

/* ---- Data-In ---- */

static bool by_ranges(const struct itask *t)
{
    const struct iscsi_params *p = &t->sess->params;
    return t->mending || !p->data_pdu_in_order || !p->data_sequence_in_order;
}

/* Where the data lies within what came before: 13.18, 13.19. */
static const char *check_place(struct itask *t, uint32_t off, uint32_t len)
{
    if (!by_ranges(t))
        return off == t->in_next ? NULL : "Data-In out of order";
    if (!len)
        return NULL;
    if (!t->ranges) {
        t->ranges = alloc_zero(t->sess->a, sizeof *t->ranges);
        if (!t->ranges) { /* of the command: the connection knows how to go on */
            itask_spoil(t, USAN_ENOMEM, "out of memory for a command");
            return NULL;
        }
    }
    if (t->mending && t->rec->again)
        return NULL;
    return irange_overlaps(t->ranges, off, len) ? "Data-In for bytes that came before" : NULL;
}

/* Its place in the order: false: it is not to be taken. */
static bool take_number(struct itask *t, uint32_t sn, const char **ret_why)
{
    if (sn == t->exp_data_sn && !t->mending) {
        t->exp_data_sn++;
        return true;
    }
    enum isnack_take take = iconn_erl(t->conn) ? isnack_number(t, sn) : ISNACK_WRONG;
    if (take == ISNACK_WRONG)
        *ret_why = "Data-In with a wrong DataSN";
    return take == ISNACK_TAKE;
}

static const char *check_data_in(struct itask *t, const struct pdu_data_in *d, uint32_t len)
{
    const struct iscsi_icmd *cmd = t->cmd;
    if (!cmd->in_len && len)
        return "Data-In for a command that reads nothing";
    if (d->offset > cmd->in_len || len > cmd->in_len - d->offset)
        return "Data-In beyond what the command reads";
    if (d->status && !d->final) /* 11.7.3 */
        return "Data-In with status that is not the last";
    return NULL;
}

/* The status in it, when the data has been seen to. */
static void data_in_status(struct itask *t, const uint8_t *bhs)
{
    const struct pdu_scsi_status s = pdu_data_in_status(bhs);
    struct iscsi_iconn *conn = t->conn;
    if (conn->rx_sn != ISN_NEXT) /* of a PDU that is sent again: it was taken, or will be */
        return;
    if (!iconn_erl(conn) || !isnack_hold(t, &s, bhs_stat_sn(bhs)))
        status_came(t, &s);
}

void itask_rx_data_in(struct iscsi_iconn *conn)
{
    const uint8_t *bhs = conn->rx_bhs;
    const struct pdu_data_in d = pdu_data_in_decode(bhs);
    uint32_t len = conn->rx.data_len;
    struct itask *t = find(conn, bhs, "Data-In for a command that is not there");
    if (!t)
        return;
    const char *why = check_data_in(t, &d, len);
    bool take = !why && take_number(t, d.data_sn, &why);
    if (take && !t->fail_err)
        why = check_place(t, d.offset, len);
    if (why) {
        iconn_fail(conn, USAN_EPROTO, why);
        return;
    }
    if (!take) {
        if (d.status)
            data_in_status(t, bhs);
        return;
    }
    t->in_next = d.offset + len;
    conn->rx_task = t;
    if (!len) {
        itask_rx_data(conn, true);
        return;
    }
    if (t->fail_err)
        return; /* thrown away */
    icursor_seek(&t->in_at, t->cmd->in, d.offset);
    wire_rx_place(&conn->rx, t->cmd->in + t->in_at.i, t->cmd->in_cnt - t->in_at.i,
                  d.offset - t->in_at.base);
}

static void count_data(struct itask *t, uint32_t off, uint32_t len)
{
    if (t->fail_err)
        return;
    if (len && by_ranges(t)) {
        int err = irange_merge(t->ranges, off, len, &len);
        if (err) {
            itask_spoil(t, err, "Data-In in too many pieces");
            return;
        }
    }
    t->cmd->in_got += len;
}

void itask_rx_data(struct iscsi_iconn *conn, bool digest_ok)
{
    struct itask *t = conn->rx_task;
    const uint8_t *bhs = conn->rx_bhs;

    const struct pdu_data_in d = pdu_data_in_decode(bhs);

    conn->rx_task = NULL;
    if (digest_ok)
        count_data(t, d.offset, conn->rx.data_len);
    else if (!iconn_erl(conn)) /* 7.8: the PDU is discarded, the command ends with an error */
        itask_spoil(t, USAN_EDIGEST, "data digest error");
    else
        isnack_damaged(t, d.data_sn, d.offset);
    if (digest_ok && d.ack && iconn_erl(conn))
        isnack_ack(t, d.data_sn, bhs_ttt(bhs), bhs_lun(bhs));
    if (d.status && conn->rx_sn == ISN_NEXT)
        data_in_status(t, bhs);
    else if (t->mending && digest_ok && isnack_complete(t))
        status_came(t, &t->rec->status);
}

/* ---- R2T ---- */

static const char *check_r2t(const struct itask *t, const struct pdu_r2t *r)
{
    const struct iscsi_params *p = &t->sess->params;
    uint32_t total = t->cmd->out_len;
    bool recovery = iconn_erl(t->conn) > 0; /* R2Ts that ask for data again */
    if (!total)
        return "an R2T for a command that writes nothing";
    if (r->ttt == ISCSI_TAG_NONE)
        return "an R2T with the reserved tag";
    if (!r->len || r->offset > total || r->len > total - r->offset)
        return "an R2T beyond what the command writes";
    if (r->len > p->max_burst) /* 13.13 */
        return "an R2T longer than MaxBurstLength";
    if (p->data_sequence_in_order && r->offset < t->asked_end && !recovery) /* 13.19 */
        return "an R2T out of order";
    if (t->r2t_count >= (recovery ? (unsigned)ISCSI_IR2T_MAX : p->max_outstanding_r2t)) /* 13.17 */
        return "more R2Ts than MaxOutstandingR2T";
    return NULL;
}

void itask_rx_r2t(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    const struct pdu_r2t q = pdu_r2t_decode(bhs);
    struct itask *t = find(conn, bhs, "an R2T for a command that is not there");
    if (!t)
        return;
    bool take = q.r2t_sn == t->exp_data_sn && !t->mending;
    if (take) {
        t->exp_data_sn++;
    } else {
        enum isnack_take n = iconn_erl(conn) ? isnack_number(t, q.r2t_sn) : ISNACK_WRONG;
        if (n == ISNACK_WRONG)
            iconn_fail(conn, USAN_EPROTO, "an R2T with a wrong R2TSN");
        if (n != ISNACK_TAKE)
            return;
    }
    const char *why = check_r2t(t, &q);
    if (why) {
        iconn_fail(conn, USAN_EPROTO, why);
        return;
    }
    if (q.offset + q.len > t->asked_end)
        t->asked_end = q.offset + q.len;
    struct ir2t *r = t->r2t;
    while (r->used)
        r++; /* there is one: max_outstanding_r2t <= ISCSI_IR2T_MAX */
    r->used = true;
    r->lun = bhs_lun(bhs);
    r->ttt = q.ttt;
    r->off = q.offset;
    r->len = q.len;
    r->done = r->data_sn = 0;
    t->r2t_count++;
    list_push_back(&conn->data, &r->job.node);
    if (t->mending && isnack_complete(t))
        status_came(t, &t->rec->status);
}
