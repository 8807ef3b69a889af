/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands as they come in, and the data that belongs to them (RFC 7143 11.3, 11.5, 11.7, 11.8). */
#include "iscsi/tconn.h"

#include <assert.h>

enum { AHS_EXTENDED_CDB = 1, AHS_BIDI_READ_LENGTH = 2 }; /* 11.2.2.1 */

/* ---- headers ---- */

static bool parse_ahs(struct ttask *t, const uint8_t *ahs, uint32_t len, uint32_t *ret_bidi)
{
    struct rd r = rd_init(ahs, len);

    while (rd_left(&r) >= 4) {
        uint16_t ahs_len = rd_be16(&r); /* of what follows the type byte */
        uint8_t type = rd_u8(&r);
        const uint8_t *p = rd_bytes(&r, ahs_len);
        if (!p || ahs_len == 0)
            return false;
        rd_skip(&r, -(3u + ahs_len) & 3u);
        if (type == AHS_EXTENDED_CDB) {
            uint32_t more = ahs_len - 1u; /* p[0] is reserved */
            if (16 + more > sizeof t->cdb)
                return false;
            memcpy(t->cdb + 16, p + 1, more);
            t->pub.cdb_len = (uint16_t)(16 + more);
        } else if (type == AHS_BIDI_READ_LENGTH) {
            if (ahs_len != 5)
                return false;
            *ret_bidi = be32_get(p + 1);
        }
    }
    return !r.bad;
}

/* Is the unsolicited data that comes with this header allowed? 11.3.4, 13.10, 13.11, 13.14 */
static bool unsolicited_ok(const struct iscsi_tconn *conn, const struct pdu_scsi_command *c)
{
    uint32_t len = conn->rx.data_len;

    if (!c->write)
        return len == 0 && c->final;
    if (len > 0 && !conn->params.immediate_data)
        return false;
    if (len > conn->params.first_burst || len > c->edtl)
        return false;
    return c->final || !conn->params.initial_r2t;
}

static void begin_unsolicited(struct ttask *t, const struct iscsi_tconn *conn, bool final)
{
    t->unsolicited = !final;
    t->unsol_got = 0;
    if (final && conn->rx.data_len == 0)
        return;
    t->unsol = (struct tburst){ .ttt = ISCSI_TAG_NONE, .active = true };
    t->unsol.len = conn->params.first_burst;
    if (t->unsol.len > t->pub.out_expected)
        t->unsol.len = (uint32_t)t->pub.out_expected;
}

static void expect_segment(struct iscsi_tconn *conn, struct ttask *t, struct tburst *b,
                           uint64_t off, bool final)
{
    conn->rx_task = t;
    conn->rx_burst = b;
    conn->rx_off = off;
    conn->rx_final = final;
    conn->rx_stashed = false;
}

/* The request is not carried out, but its CmdSN counts: one that came early keeps its place. */
static void refuse(struct iscsi_tconn *conn, enum tsess_order order, enum iscsi_reject reason)
{
    uint32_t cmd_sn = bhs_cmd_sn(conn->rx.bhs);

    tctl_reject(conn, reason, conn->rx.bhs);
    if (order == TSESS_LATER)
        (void)tsess_hold_place(conn, cmd_sn);
}

/* The task for a request header; NULL when it was answered or ignored. */
static struct ttask *new_task(struct iscsi_tconn *conn, enum tsess_order *ret_order)
{
    const uint8_t *bhs = conn->rx.bhs;
    struct iscsi_tsess *sess = conn->sess;
    bool immediate = bhs_immediate(bhs);
    uint32_t itt = bhs_itt(bhs);

    *ret_order = tsess_take_cmd_sn(sess, bhs_cmd_sn(bhs), immediate);
    if (*ret_order == TSESS_IGNORE)
        return NULL;
    if (itt == ISCSI_TAG_NONE) {
        refuse(conn, *ret_order, ISCSI_REJECT_INVALID_FIELD);
        return NULL;
    }
    if (tsess_find(sess, itt)) {
        refuse(conn, *ret_order, ISCSI_REJECT_TASK_IN_PROGRESS);
        return NULL;
    }
    struct ttask *t = tsess_task_get(sess, itt, immediate);
    if (!t) {
        refuse(conn, *ret_order,
               immediate ? ISCSI_REJECT_TOO_MANY_IMMEDIATE : ISCSI_REJECT_OUT_OF_RESOURCES);
        return NULL;
    }
    t->conn = conn;
    t->pub.lun = bhs_lun(bhs);
    t->pub.cmd_sn = bhs_cmd_sn(bhs);
    return t;
}

void ttask_deliver(struct ttask *t, struct iscsi_event *ev)
{
    t->state = TTASK_OWNED;
    ev->type = t->pub.tmf ? ISCSI_EV_TMF : ISCSI_EV_COMMAND;
    ev->task = &t->pub;
}

/* In its turn: report it. Early: keep it. */
static bool deliver_or_hold(struct iscsi_tconn *conn, struct ttask *t, enum tsess_order order,
                            struct iscsi_event *ev)
{
    if (order == TSESS_NOW) {
        ttask_deliver(t, ev);
        return true;
    }
    tsess_hold(conn->sess, t);
    return false;
}

bool ttask_command(struct iscsi_tconn *conn, struct iscsi_event *ev)
{
    const uint8_t *bhs = conn->rx.bhs;
    const struct pdu_scsi_command c = pdu_scsi_command_decode(bhs);
    enum tsess_order order;
    uint32_t bidi = 0;
    struct ttask *t = new_task(conn, &order);

    if (!t)
        return false;
    memcpy(t->cdb, c.cdb, 16);
    t->pub.attr = c.attr;
    t->pub.priority = conn->params.protocol_level >= 2 ? c.priority : 0;
    t->pub.read = c.read;
    t->pub.write = c.write;
    bool ok = unsolicited_ok(conn, &c);
    if (ok && conn->rx.ahs_len)
        ok = parse_ahs(t, conn->rx.ahs, conn->rx.ahs_len, &bidi);
    if (!ok) {
        tsess_task_put(t);
        refuse(conn, order, ISCSI_REJECT_PROTOCOL_ERROR);
        return false;
    }
    t->pub.out_expected = c.write ? c.edtl : 0;
    t->pub.in_expected = !c.read ? 0 : c.write ? bidi : c.edtl;
    if (c.write) {
        begin_unsolicited(t, conn, c.final);
        if (conn->rx.data_len)
            expect_segment(conn, t, &t->unsol, 0, c.final);
    }
    return deliver_or_hold(conn, t, order, ev);
}

/* A command that an ABORT TASK names but that has not come: its CmdSN counts as received, so that
 * the window moves on (11.5.1). */
static void skip_missing(struct iscsi_tconn *conn, const struct pdu_tmf_request *q, uint32_t cmd_sn)
{
    if (sn_lt(q->ref_cmd_sn, cmd_sn) && !tsess_find(conn->sess, q->ref_itt))
        (void)tsess_pass_turn(conn, q->ref_cmd_sn, false);
}

bool ttask_tmf(struct iscsi_tconn *conn, struct iscsi_event *ev)
{
    const struct pdu_tmf_request q = pdu_tmf_request_decode(conn->rx.bhs);
    enum tsess_order order;
    struct ttask *t = new_task(conn, &order);

    if (!t)
        return false;
    if (q.function == 0) { /* reserved, 11.5.1; for the owner 0 stands for a command */
        tsess_task_put(t);
        refuse(conn, order, ISCSI_REJECT_INVALID_FIELD);
        return false;
    }
    t->pub.tmf = q.function;
    t->pub.ref_itt = q.ref_itt;
    t->pub.ref_cmd_sn = q.ref_cmd_sn;
    t->pub.read = t->pub.write = false;
    t->pub.in_expected = t->pub.out_expected = 0;
    if (q.function == 1)
        skip_missing(conn, &q, t->pub.cmd_sn);
    return deliver_or_hold(conn, t, order, ev);
}

/* ---- data ---- */

void ttask_data_failed(struct ttask *t, int err)
{
    if (t->data_done)
        return;
    t->pub.data_err = err;
    t->data_done = true;
    t->data_ready = true;
    t->unsolicited = false;
    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        t->bursts[i].active = false;
    ttask_stop_rx(t);
    if (t->job.kind == TXJOB_R2T)
        txjob_cancel(&t->job);
    if (t->wants)
        ttask_event(t);
}

static void data_check_complete(struct ttask *t)
{
    if (!t->wants || t->data_done)
        return;
    if (t->got == t->want_len) {
        t->data_done = true;
        t->data_ready = true;
        ttask_event(t);
    } else {
        ttask_ask(t);
    }
}

/* DataPDUInOrder=No: note the piece, which must not touch an earlier one. */
static bool note_range(struct tranges *r, uint32_t off, uint32_t len)
{
    uint32_t end = off + len;

    for (unsigned i = 0; i < r->count; i++)
        if (off < r->range[i].end && r->range[i].off < end)
            return false;
    for (unsigned i = 0; i < r->count; i++) { /* grow a neighbour where there is one */
        if (r->range[i].end == off) {
            r->range[i].end = end;
            return true;
        }
        if (r->range[i].off == end) {
            r->range[i].off = off;
            return true;
        }
    }
    if (r->count == TTASK_RANGES)
        return false;
    r->range[r->count].off = off;
    r->range[r->count++].end = end;
    return true;
}

/* Does this Data-Out PDU fit its sequence? 11.7.5 DataSN, 11.7.6 Buffer Offset */
static bool data_out_fits(struct iscsi_tconn *conn, struct ttask *t, struct tburst *b,
                          const struct pdu_data_out *d)
{
    uint32_t len = conn->rx.data_len;

    if (d->data_sn != b->next_data_sn)
        return false;
    if (d->offset < b->off || d->offset - b->off > b->len || len > b->len - (d->offset - b->off))
        return false;
    if (conn->params.data_pdu_in_order || b->ttt == ISCSI_TAG_NONE)
        return d->offset == b->off + b->got;
    return len == 0 || note_range(&t->ranges[b - t->bursts], d->offset, len);
}

void ttask_data_out(struct iscsi_tconn *conn)
{
    const uint8_t *bhs = conn->rx.bhs;
    const struct pdu_data_out d = pdu_data_out_decode(bhs);
    uint32_t ttt = bhs_ttt(bhs);
    struct tburst *b = NULL;
    struct ttask *t;

    if (ttt == ISCSI_TAG_NONE) {
        t = tsess_find(conn->sess, bhs_itt(bhs));
        if (t && t->unsolicited)
            b = &t->unsol;
    } else {
        t = tsess_find_ttt(conn->sess, ttt, &b);
        if (t && t->pub.itt != bhs_itt(bhs))
            b = NULL;
    }
    /* Data of a task that has ended meanwhile, or that failed, is thrown away (7.4.2). */
    if (!t || !b || t->data_done || t->conn != conn)
        return;
    if (!data_out_fits(conn, t, b, &d)) {
        ttask_data_failed(t, USAN_EPROTO);
        return;
    }
    expect_segment(conn, t, b, d.offset, bhs_final(bhs));
    b->next_data_sn++;
    if (conn->rx.data_len == 0)
        ttask_data_complete(conn, true);
}

static bool need_stash(struct ttask *t)
{
    if (!t->stash) {
        t->stash_cap = t->unsol.len;
        t->stash = alloc_get(t->sess->a, t->stash_cap);
    }
    return t->stash != NULL;
}

void ttask_place(struct iscsi_tconn *conn)
{
    struct ttask *t = conn->rx_task;
    uint64_t off = conn->rx_off, len = conn->rx.data_len;

    if (t->wants && off + len <= t->want_len) {
        wire_rx_place(&conn->rx, t->out, t->out_cnt, off);
        return;
    }
    if (t->wants && off >= t->want_len)
        return; /* more than the command calls for */
    /* not decided yet, or only a part is wanted: by way of the stash */
    if (off + len > t->unsol.len || !need_stash(t)) {
        ttask_data_failed(t, USAN_ENOMEM);
        return;
    }
    conn->rx_iov.iov_base = t->stash + off;
    conn->rx_iov.iov_len = len;
    conn->rx_stashed = true;
    wire_rx_place(&conn->rx, &conn->rx_iov, 1, 0);
}

static void copy_out(struct ttask *t, uint64_t off, const uint8_t *src, uint64_t len)
{
    for (int i = 0; i < t->out_cnt && len > 0; i++) {
        size_t n = t->out[i].iov_len;
        if (off >= n) {
            off -= n;
            continue;
        }
        size_t k = n - off < len ? n - off : len;
        memcpy((uint8_t *)t->out[i].iov_base + off, src, k);
        src += k;
        len -= k;
        off = 0;
    }
}

/* Bytes of [off, off+len) that are wanted. */
static uint64_t wanted(const struct ttask *t, uint64_t off, uint64_t len)
{
    if (off >= t->want_len)
        return 0;
    return off + len <= t->want_len ? len : t->want_len - off;
}

static void burst_ended(struct ttask *t, struct tburst *b)
{
    b->active = false;
    if (b == &t->unsol) {
        t->unsolicited = false;
        t->asked = t->unsol_got;
    } else if (b->got != b->len) {
        ttask_data_failed(t, USAN_EPROTO); /* 11.8: an R2T is answered in full */
    }
}

void ttask_data_complete(struct iscsi_tconn *conn, bool digest_ok)
{
    struct ttask *t = conn->rx_task;
    struct tburst *b = conn->rx_burst;
    uint64_t off = conn->rx_off, len = conn->rx.data_len;

    conn->rx_task = NULL;
    if (!digest_ok) {
        tctl_reject(conn, ISCSI_REJECT_DATA_DIGEST, conn->rx_bhs); /* 7.8 */
        ttask_data_failed(t, USAN_EDIGEST);
        return;
    }
    b->got += (uint32_t)len;
    if (b == &t->unsol)
        t->unsol_got += len;
    if (t->wants) {
        uint64_t n = wanted(t, off, len);
        if (conn->rx_stashed)
            copy_out(t, off, t->stash + off, n);
        t->got += n;
    }
    if (conn->rx_final || (b != &t->unsol && b->got == b->len))
        burst_ended(t, b);
    data_check_complete(t);
}

void ttask_stop_rx(struct ttask *t)
{
    struct iscsi_tconn *conn = t->conn;
    if (conn && conn->rx_task == t) {
        conn->rx_task = NULL;
        conn->rx.place = NULL;
    }
}

void iscsi_task_want_data(struct iscsi_task *task, struct iovec *iov, int iovcnt, uint64_t len)
{
    struct ttask *t = ttask_of(task);

    assert(!t->wants && t->state == TTASK_OWNED && len <= task->out_expected);
    t->wants = true;
    t->out = iov;
    t->out_cnt = iovcnt;
    t->want_len = len;
    if (t->data_done) { /* it failed before it was asked for */
        t->data_ready = true;
        ttask_event(t);
        return;
    }
    if (t->stash && t->unsol_got > 0) {
        uint64_t n = wanted(t, 0, t->unsol_got);
        copy_out(t, 0, t->stash, n);
        t->got = n;
    }
    /* With a segment of it still to come from the stream, that decides what is missing. */
    if (t->conn && t->conn->rx_task != t)
        data_check_complete(t);
}
