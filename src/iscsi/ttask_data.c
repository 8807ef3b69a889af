/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data of write commands: immediate, unsolicited, asked for (RFC 7143 11.3, 11.7, 11.8). */
#include "iscsi/tctl.h"
#include "iscsi/tmissing.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

/* ---- unsolicited data ---- */

/* Is the unsolicited data that comes with this header allowed? 11.3.4, 13.10, 13.11, 13.14 */
bool ttask_unsolicited_ok(const struct iscsi_tconn *conn, const struct pdu_scsi_command *c)
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

/* What comes beyond the end of a sequence is no progress. */
void ttask_data_moved(struct iscsi_tconn *conn)
{
    const struct tburst *b = conn->rx_burst;

    if (b->got >= b->len)
        return;
    conn->rx_task->data_ns = conn->now_ns;
    if (!conn->moved_ns || !sn_lt(conn->moved_seq, b->seq)) {
        conn->moved_ns = conn->now_ns;
        conn->moved_seq = b->seq;
    }
}

static void expect_segment(struct iscsi_tconn *conn, struct ttask *t, struct tburst *b,
                           uint64_t off, bool final)
{
    conn->rx_task = t;
    conn->rx_burst = b;
    conn->rx_off = off;
    conn->rx_final = final;
    conn->rx_stashed = false;
    if (conn->rx.data_len)
        ttask_data_moved(conn);
}

void ttask_begin_unsolicited(struct iscsi_tconn *conn, struct ttask *t, bool final)
{
    t->unsolicited = !final;
    t->unsol_got = 0;
    if (final && conn->rx.data_len == 0)
        return;
    t->unsol = (struct tburst){ .ttt = ISCSI_TAG_NONE, .seq = conn->next_seq++ };
    t->data_ns = conn->now_ns;
    t->unsol.len = final ? conn->rx.data_len : conn->params.first_burst;
    if (t->unsol.len > t->pub.out_expected)
        t->unsol.len = (uint32_t)t->pub.out_expected;
    if (conn->rx.data_len)
        expect_segment(conn, t, &t->unsol, 0, final);
}

/* ---- what was asked for ---- */

static bool sequences_open(const struct ttask *t)
{
    bool open = t->unsolicited;

    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        open |= t->bursts[i].active;
    return open;
}

static void data_over(struct ttask *t)
{
    t->data_done = true;
    t->data_ready = true;
    if (t->wants)
        ttask_event(t);
}

/* The data did not come as it should. What still comes is thrown away, and EV_DATA waits for the
 * end of what was asked for: the initiator must have its response after that only (7.8). */
static void data_failed(struct ttask *t, int err)
{
    if (t->pub.data_err || t->data_done)
        return;
    t->pub.data_err = err;
    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        if (!t->bursts[i].sent)
            t->bursts[i].active = false;
    if (t->job.kind == TXJOB_R2T)
        txjob_cancel(&t->job);
}

/* R2Ts that a task may have outstanding. With sequences in order only the last one could be asked
 * for once more: "then MaxOutstandingR2T MUST be set to 1", 13.19. */
static unsigned r2t_limit(const struct iscsi_tsess *s)
{
    const struct iscsi_params *p = &s->params;

    if (p->error_recovery_level > 0 && p->data_sequence_in_order)
        return 1;
    return p->max_outstanding_r2t < TTASK_BURSTS ? p->max_outstanding_r2t : TTASK_BURSTS;
}

/* Ask for the data that is missing, as far as MaxOutstandingR2T allows. */
static void ask(struct ttask *t)
{
    const struct iscsi_params *p = &t->sess->params;
    unsigned limit = r2t_limit(t->sess), active = 0;
    bool any = false;

    if (t->unsolicited || !t->conn)
        return;
    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        active += t->bursts[i].active;
    if (!p->data_pdu_in_order && tmissing_ranges(t)) {
        data_failed(t, USAN_ENOMEM);
        data_over(t); /* nothing was asked for */
        return;
    }
    for (unsigned i = 0; i < TTASK_BURSTS && active < limit; i++) {
        struct tburst *b = &t->bursts[i];
        uint64_t off, len;
        if (b->active)
            continue;
        len = tmissing_next(t, &off);
        if (len == 0)
            break;
        if (len > p->max_burst)
            len = p->max_burst;
        b->ttt = (uint32_t)t->slot << 20 | i << 16 | t->sess->next_ttt++;
        b->off = (uint32_t)off;
        b->len = (uint32_t)len;
        b->got = b->next_data_sn = 0;
        if (t->ranges && !p->error_recovery_level)
            tranges_clear(&t->ranges[i], t->sess->a);
        b->active = true;
        b->sent = b->again = false;
        t->asked = off + len;
        active++;
        any = true;
    }
    if (any && t->job.kind == TXJOB_IDLE)
        txjob_queue(t->conn, &t->job, TXJOB_R2T);
}

/* ---- Data-Out ---- */

static void data_check_complete(struct ttask *t)
{
    if (t->data_done)
        return;
    if (t->pub.data_err) {
        if (!sequences_open(t))
            data_over(t);
    } else if (t->wants) {
        if (t->got == t->want_len)
            data_over(t);
        else
            ask(t);
    }
}

/* Does this Data-Out PDU fit its sequence? 11.7.5 DataSN, 11.7.6 Buffer Offset. 0, or what is wrong
 * with the data of the task. */
static int data_out_fits(struct iscsi_tconn *conn, struct ttask *t, struct tburst *b,
                         const struct pdu_data_out *d)
{
    uint32_t len = conn->rx.data_len;
    bool gap = d->data_sn != b->next_data_sn;

    if (gap && !conn->erl)
        return USAN_EPROTO;
    if (d->offset < b->off || d->offset - b->off > b->len || len > b->len - (d->offset - b->off))
        return USAN_EPROTO;
    if (conn->params.data_pdu_in_order || b->ttt == ISCSI_TAG_NONE) {
        if (gap && d->offset > b->off + b->got)
            b->got = d->offset - b->off; /* what is in between will be asked for */
        return d->offset == b->off + b->got ? 0 : USAN_EPROTO;
    }
    if (len == 0 || conn->erl) /* there it counts when its digest was found to be right */
        return 0;
    int err = tranges_add(&t->ranges[b - t->bursts], t->sess->a, b->len, d->offset, len);
    return err == USAN_EEXIST ? USAN_EPROTO : err;
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
    if (conn->erl && sn_lt(d.data_sn, b->next_data_sn))
        return; /* it was there before, 7.9 */
    int err = t->pub.data_err ? 0 : data_out_fits(conn, t, b, &d);
    if (err)
        data_failed(t, err);
    expect_segment(conn, t, b, d.offset, bhs_final(bhs));
    b->next_data_sn = d.data_sn + 1;
    if (conn->rx.data_len == 0)
        ttask_data_complete(conn, true);
}

void ttask_place(struct iscsi_tconn *conn)
{
    struct ttask *t = conn->rx_task;
    uint64_t off = conn->rx_off, len = conn->rx.data_len;

    if (t->pub.data_err)
        return;
    if (t->wants && off + len <= t->want_len) {
        wire_rx_place(&conn->rx, t->out, t->out_cnt, off);
        return;
    }
    if (t->wants && off >= t->want_len)
        return; /* more than the command calls for */
    /* not decided yet, or only a part is wanted: by way of the stash */
    uint8_t *stash = off + len > t->unsol.len ? NULL : tsess_stash_get(t, t->unsol.len);
    if (!stash) {
        data_failed(t, USAN_ENOMEM);
        return;
    }
    conn->rx_iov.iov_base = stash + off;
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
    if (b == &t->unsol) {
        t->unsolicited = false;
        t->asked = t->unsol_got;
        return;
    }
    b->active = false;
    if (!t->conn->erl && b->got != b->len)
        data_failed(t, USAN_EPROTO); /* 11.8: an R2T is answered in full */
    /* else what is missing is asked for again (7.8, 7.9), but not for ever */
    if (t->conn->erl && tmissing_in(t, b->off, b->len) && ++t->recoveries > TTASK_RECOVERIES_MAX)
        data_failed(t, USAN_EDIGEST);
}

/* A data segment that a digest says is damaged. */
static void segment_bad(struct iscsi_tconn *conn, struct ttask *t)
{
    if (bhs_opcode(conn->rx_bhs) == ISCSI_OP_SCSI_COMMAND) {
        /* The command is to be discarded (7.8), but it has begun. An initiator at level 0 would not
         * send it again by itself, and its CmdSN would be missing: the session has to be recovered
         * (7.1.4.1). */
        tctl_reject_last(conn, ISCSI_REJECT_DATA_DIGEST, conn->rx_bhs, USAN_EDIGEST,
                         "data digest error in immediate data");
        data_failed(t, USAN_EDIGEST);
        return;
    }
    tctl_reject(conn, ISCSI_REJECT_DATA_DIGEST, conn->rx_bhs);
    if (!conn->erl) /* else it is asked for again */
        data_failed(t, USAN_EDIGEST);
}

/* A data segment came as it was sent. */
static void segment_good(struct iscsi_tconn *conn, struct ttask *t, uint64_t off, uint64_t len)
{
    if (t->pub.data_err)
        return;
    if (conn->erl && len > 0) {
        int err = tmissing_note(t, off, len);
        if (err) {
            data_failed(t, err);
            return;
        }
    }
    if (!t->wants)
        return;
    uint64_t n = wanted(t, off, len);
    if (conn->rx_stashed)
        copy_out(t, off, t->stash + off, n);
    t->got += n;
}

void ttask_data_complete(struct iscsi_tconn *conn, bool digest_ok)
{
    struct ttask *t = conn->rx_task;
    struct tburst *b = conn->rx_burst;
    uint64_t off = conn->rx_off, len = conn->rx.data_len;

    conn->rx_task = NULL;
    if (digest_ok)
        segment_good(conn, t, off, len);
    else
        segment_bad(conn, t);
    if (conn->closed) /* there was no memory to refuse it: the task is not this connection's now */
        return;
    b->got += (uint32_t)len;
    if (b == &t->unsol)
        t->unsol_got = b->got;
    else if (!sn_lt(b->r2t_sn, t->r2t_acked))
        t->r2t_acked = b->r2t_sn + 1;
    if (t->wants || t->pub.data_err)
        tsess_stash_put(t);
    if (conn->rx_final || (b != &t->unsol && b->got >= b->len))
        burst_ended(t, b);
    data_check_complete(t);
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
        t->got = t->sess->params.error_recovery_level ? tmissing_covered(t, n) : n;
    }
    /* With a segment of it still to come from the stream, that decides what is missing. */
    if (t->conn && t->conn->rx_task == t)
        return;
    tsess_stash_put(t);
    data_check_complete(t);
}

void ttask_data_whole(struct iscsi_tconn *conn, const uint8_t *data)
{
    struct ttask *t = conn->rx_task;
    uint8_t *stash = tsess_stash_get(t, t->unsol.len);

    if (stash)
        memcpy(stash, data, conn->rx.data_len);
    else
        data_failed(t, USAN_ENOMEM);
    conn->rx_stashed = stash != NULL;
    ttask_data_complete(conn, true);
}

/* The sequence that was asked for first among those the task still has data to come of; NULL if
 * there is none. */
static const struct tburst *awaits_data(const struct ttask *t)
{
    const struct tburst *first = t->unsolicited ? &t->unsol : NULL;

    if (t->data_done || (t->state != TTASK_OWNED && t->state != TTASK_HELD))
        return NULL;
    for (unsigned i = 0; i < TTASK_BURSTS; i++) {
        const struct tburst *b = &t->bursts[i];
        if (b->active && b->sent && (!first || sn_lt(b->seq, first->seq)))
            first = b;
    }
    return first;
}

static uint64_t awaited_since(struct iscsi_tconn *conn, struct ttask *t)
{
    const struct tburst *first = t->conn == conn ? awaits_data(t) : NULL;

    if (!first)
        return TIME_NEVER;
    if (t->r2t_end > conn->sent_bytes) /* the initiator does not know yet */
        t->data_ns = conn->now_ns;
    else if (conn->moved_ns > t->data_ns && sn_lt(conn->moved_seq, first->seq))
        t->data_ns = conn->moved_ns; /* its turn has not come */
    return t->data_ns;
}

uint64_t ttask_data_awaited(struct iscsi_tconn *conn)
{
    uint64_t since = conn->rx_buf ? conn->buf_ns : TIME_NEVER;

    if (conn->rx_task) /* in the middle of a PDU */
        since = time_min(since, conn->rx_task->data_ns);
    if (conn->sess) {
        list_for_each (&conn->sess->tasks, pos)
            since = time_min(since, awaited_since(conn, list_entry(pos, struct ttask, node)));
        list_for_each (&conn->sess->held, pos)
            since = time_min(since, awaited_since(conn, list_entry(pos, struct ttask, node)));
    }
    conn->moved_ns = 0;
    return since;
}

static void end_sequences(struct ttask *t)
{
    t->unsolicited = false;
    if (t->r2t_sn || t->asked)
        for (unsigned i = 0; i < TTASK_BURSTS; i++)
            t->bursts[i].active = false;
}

void ttask_data_lost(struct ttask *t)
{
    end_sequences(t);
    if (t->state == TTASK_OWNED && t->pub.write)
        data_check_complete(t);
}

void ttask_data_resume(struct ttask *t)
{
    if (t->pub.write)
        data_check_complete(t);
}

void ttask_data_stop(struct ttask *t)
{
    ttask_stop_rx(t);
    t->data_done = true;
    t->data_ready = false;
    end_sequences(t);
    list_del(&t->event);
    tsess_stash_put(t);
}
