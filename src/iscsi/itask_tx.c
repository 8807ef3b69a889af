/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/itask_tx.h"

#include <assert.h>

enum {
    /* Data-Out on the wire's queue at a time: what comes later (an answer to a NOP-In, the next
     * command) does not wait behind all that was asked for. */
    ITX_DATA_BYTES = 1 << 20,
    AHS_EXTENDED_CDB = 1, /* 11.2.2.1 */
    AHS_BIDI_READ = 2,
    ITASK_AHS_MAX = 8 + 4 + ISCSI_CDB_MAX - 16 + 3,
};

/* ---- setting up ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Additional header segments: the rest of a long CDB, the read length of a bidirectional command
 * (11.2.2.3, 11.2.2.4). */
static int make_ahs(struct itask *t)
{
    const struct iscsi_icmd *cmd = t->cmd;
    bool bidi = cmd->in_len && cmd->out_len, extended = cmd->cdb_len > 16;

    if (!bidi && !extended)
        return 0;
    if (!t->ahs)
        t->ahs = alloc_get(t->sess->a, ITASK_AHS_MAX);
    if (!t->ahs)
        return USAN_ENOMEM;
    struct wr w = wr_init(t->ahs, ITASK_AHS_MAX);
    if (extended) {
        wr_be16(&w, (uint16_t)(cmd->cdb_len - 15)); /* without length, type and padding */
        wr_u8(&w, AHS_EXTENDED_CDB);
        wr_u8(&w, 0);
        wr_bytes(&w, cmd->cdb + 16, cmd->cdb_len - 16u);
        wr_zero(&w, -w.len & 3u);
    }
    if (bidi) {
        wr_be16(&w, 5);
        wr_u8(&w, AHS_BIDI_READ);
        wr_u8(&w, 0);
        wr_be32(&w, cmd->in_len);
    }
    assert(!wr_truncated(&w));
    t->ahs_len = (uint32_t)w.len;
    return 0;
}

/* Bytes of a segment that begins at off and is to have len: cut to what one PDU may consist of. */
static uint32_t fit(struct itask *t, uint32_t off, uint32_t len, unsigned *ret_span)
{
    const struct iscsi_icmd *cmd = t->cmd;
    icursor_seek(&t->out_at, cmd->out, off);
    const struct iovec *iov = cmd->out + t->out_at.i;
    size_t skip = off - t->out_at.base;
    unsigned span = wire_iov_span(iov, cmd->out_cnt - t->out_at.i, skip, len);
    if (span > ITASK_SPAN_MAX) { /* a shorter segment, of that many pieces that are not empty */
        size_t whole = 0;
        for (span = 0; span < ITASK_SPAN_MAX; iov++) {
            whole += iov->iov_len;
            span += iov->iov_len > 0;
        }
        len = (uint32_t)(whole - skip);
    }
    *ret_span = span;
    return len;
}

/* What goes without an R2T, 4.2.4.2 and 13.10, 13.11, 13.14: immediate data, then Data-Out up to
 * FirstBurstLength. */
static void plan_unsolicited(struct itask *t)
{
    const struct iscsi_params *p = &t->sess->params;
    uint32_t burst = least(t->cmd->out_len, p->first_burst);
    unsigned span;

    t->immediate_len = 0;
    if (p->immediate_data && burst)
        t->immediate_len = fit(t, 0, least(burst, t->conn->params.tx_data_segment), &span);
    t->unsol_pos = t->immediate_len;
    t->unsol_end = p->initial_r2t ? t->immediate_len : burst;
}

int itask_tx_start(struct itask *t, struct iscsi_icmd *cmd)
{
    t->cmd = cmd;
    t->lun = cmd->lun;
    t->immediate = cmd->immediate;
    t->out_at = t->in_at = (struct icursor){ .i = 0 };
    t->unsol_sn = t->asked_end = t->exp_data_sn = t->in_next = 0;
    if (t->ranges)
        t->ranges->count = 0;
    int err = make_ahs(t);
    if (err)
        return err;
    plan_unsolicited(t);
    t->load = ITASK_LOAD + (uint64_t)cmd->in_len + cmd->out_len;
    t->conn->load += t->load;
    list_push_back(&t->conn->jobs, &t->job.node);
    return 0;
}

void itask_tx_again(struct itask *t)
{
    if (ijob_waits(&t->job))
        return;
    assert(t->state == ITASK_ACTIVE && t->cmd);
    list_del(&t->unsol.node);
    plan_unsolicited(t);
    t->unsol_sn = 0;
    t->resend = true;
    t->retries++;
    t->sess->stats.retries++;
    list_push_front(&t->conn->jobs, &t->job.node);
}

/* ---- PDUs ---- */

/* CmdSN of a request, and what it acknowledges. */
static void put_sn(struct iscsi_iconn *conn, uint8_t *bhs)
{
    be32_put(bhs + 24, conn->sess->cmd_sn);
    be32_put(bhs + 28, iconn_ack_sn(conn));
}

static void put_command(struct itask *t, uint8_t *bhs)
{
    const struct iscsi_icmd *cmd = t->cmd;
    const struct pdu_scsi_command q = {
        .final = t->unsol_pos == t->unsol_end,
        .read = cmd->in_len > 0,
        .write = cmd->out_len > 0,
        .attr = cmd->attr,
        .priority = t->sess->params.protocol_level >= 2 ? cmd->priority : 0,
        .edtl = cmd->out_len ? cmd->out_len : cmd->in_len,
        .cdb = cmd->cdb,
    };
    pdu_scsi_command_encode(bhs, t->itt, cmd->lun, cmd->immediate, t->immediate_len, &q,
                            cmd->cdb_len < 16 ? cmd->cdb_len : 16u);
    bhs[4] = (uint8_t)(t->ahs_len / 4);
}

static void take_cmd_sn(struct iscsi_iconn *conn, struct itask *t)
{
    struct iscsi_isess *sess = conn->sess;
    t->cmd_sn = sess->cmd_sn;
    t->order = sess->order++;
    if (t->immediate)
        return;
    if (sess->cmd_sn == sess->exp_cmd_sn)
        sess->unacked_ns = conn->now_ns;
    sess->cmd_sn++;
    sess->promised--;
    sess->fences -= itask_is_fence(t->cmd);
}

static int fill_command(struct iscsi_iconn *conn, struct itask *t)
{
    const struct iscsi_icmd *cmd = t->cmd;
    unsigned span = 0;
    if (t->immediate_len)
        (void)fit(t, 0, t->immediate_len, &span);
    int err = wire_tx_room(&conn->tx, span + (t->ahs_len ? 2u : 0u));
    if (err)
        return err;
    uint8_t *bhs = wire_tx_header(&conn->tx);
    put_command(t, bhs);
    put_sn(conn, bhs);
    if (t->resend)
        be32_put(bhs + 24, t->cmd_sn);
    else
        take_cmd_sn(conn, t);
    t->resend = false;
    wire_tx_push_ahs(&conn->tx, t->ahs, t->ahs_len, cmd->out, cmd->out_cnt, 0, t->immediate_len,
                     &t->job);
    t->wire_refs++;
    t->state = ITASK_ACTIVE;
    t->cmd->out_sent = t->immediate_len;
    list_del(&t->job.node);
    if (t->unsol_pos < t->unsol_end)
        list_push_back(&conn->data, &t->unsol.node);
    return 0;
}

static int fill_tmf(struct iscsi_iconn *conn, struct itask *t)
{
    int err = wire_tx_room(&conn->tx, 0);
    if (err)
        return err;
    uint8_t *bhs = wire_tx_header(&conn->tx);
    const struct pdu_tmf_request q = { .function = t->function,
                                       .ref_itt = t->ref_itt,
                                       .ref_cmd_sn = t->ref_cmd_sn,
                                       .exp_data_sn = t->ref_data_sn };
    pdu_tmf_request_encode(bhs, t->itt, t->lun, &q);
    put_sn(conn, bhs);
    t->cmd_sn = conn->sess->cmd_sn;
    t->order = conn->sess->order++;
    wire_tx_push(&conn->tx, NULL, 0, 0, 0, &t->job);
    t->wire_refs++;
    t->state = ITASK_ACTIVE;
    list_del(&t->job.node);
    return 0;
}

static int fill_ctl(struct iscsi_iconn *conn, struct ictl *ctl)
{
    int err = wire_tx_room(&conn->tx, 1);
    if (err)
        return err;
    uint8_t *bhs = wire_tx_header(&conn->tx);
    memcpy(bhs, ctl->bhs, ISCSI_BHS_LEN);
    put_sn(conn, bhs);
    if (bhs_opcode(bhs) == ISCSI_OP_SNACK) /* it has no CmdSN, 11.16 */
        be32_put(bhs + 24, 0);
    else if (ctl->plug)
        be32_put(bhs + 24, ctl->cmd_sn);
    ctl->iov.iov_base = ctl->data;
    ctl->iov.iov_len = ctl->len;
    wire_tx_push(&conn->tx, &ctl->iov, 1, 0, ctl->len, &ctl->job);
    list_del(&ctl->job.node);
    return 0;
}

/* One Data-Out PDU of the sequence that ends at `end`; *pos moves on. */
static int fill_data_out(struct iscsi_iconn *conn, struct itask *t, uint64_t lun, uint32_t ttt,
                         uint32_t end, uint32_t *pos, uint32_t *data_sn)
{
    struct iscsi_icmd *cmd = t->cmd;
    unsigned span;
    uint32_t len = fit(t, *pos, least(end - *pos, conn->params.tx_data_segment), &span);
    int err = wire_tx_room(&conn->tx, span);
    if (err)
        return err;
    uint8_t *bhs = wire_tx_header(&conn->tx);
    pdu_data_out_encode(bhs, t->itt, ttt, lun, *pos + len == end, len, (*data_sn)++, *pos);
    be32_put(bhs + 28, iconn_ack_sn(conn));
    wire_tx_push(&conn->tx, cmd->out + t->out_at.i, cmd->out_cnt - t->out_at.i,
                 *pos - t->out_at.base, len, &t->job);
    t->wire_refs++;
    *pos += len;
    cmd->out_sent += len;
    if (cmd->out_sent > cmd->out_len) /* some of it again, as the target did not get it */
        cmd->out_sent = cmd->out_len;
    return 0;
}

static int fill_unsolicited(struct iscsi_iconn *conn, struct itask *t)
{
    int err = fill_data_out(conn, t, 0, ISCSI_TAG_NONE, t->unsol_end, &t->unsol_pos, &t->unsol_sn);
    if (!err && t->unsol_pos == t->unsol_end)
        list_del(&t->unsol.node);
    return err;
}

static int fill_r2t(struct iscsi_iconn *conn, struct ir2t *r, struct itask *t)
{
    uint32_t pos = r->off + r->done;
    int err = fill_data_out(conn, t, r->lun, r->ttt, r->off + r->len, &pos, &r->data_sn);
    if (err)
        return err;
    r->done = pos - r->off;
    if (r->done == r->len) {
        list_del(&r->job.node);
        r->used = false;
        t->r2t_count--;
    }
    return 0;
}

/* The first thing in the queue of requests. */
static int fill_job(struct iscsi_iconn *conn, struct ijob *job)
{
    if (job->kind == IJOB_CTL)
        return fill_ctl(conn, list_entry(job, struct ictl, job));
    struct itask *t = list_entry(job, struct itask, job);
    return t->function ? fill_tmf(conn, t) : fill_command(conn, t);
}

static int fill_data(struct iscsi_iconn *conn, struct ijob *job)
{
    if (job->kind == IJOB_UNSOLICITED)
        return fill_unsolicited(conn, list_entry(job, struct itask, unsol));
    struct ir2t *r = list_entry(job, struct ir2t, job);
    return fill_r2t(conn, r, r->task);
}

void itask_tx_fill(struct iscsi_iconn *conn)
{
    int err = 0;
    while (!err && !list_empty(&conn->jobs))
        err = fill_job(conn, list_entry(conn->jobs.next, struct ijob, node));
    /* 11.14: nothing is sent after a Logout Request. */
    while (!err && !conn->logout_sent && !list_empty(&conn->data) &&
           conn->tx.bytes < ITX_DATA_BYTES)
        err = fill_data(conn, list_entry(conn->data.next, struct ijob, node));
    if (err == USAN_ENOMEM)
        iconn_fail(conn, err, "out of memory for the send queue");
}
