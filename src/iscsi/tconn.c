/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection of the target role: its life, what each received PDU leads to, events. */
#include "iscsi/tawait.h"
#include "iscsi/tctl.h"
#include "iscsi/tgap.h"
#include "iscsi/tkeep.h"
#include "iscsi/tlogin.h"
#include "iscsi/tlogout.h"
#include "iscsi/tsess.h"
#include "iscsi/tsnack.h"
#include "iscsi/ttask.h"
#include "iscsi/ttext.h"

#include <assert.h>

const struct iscsi_params_cfg iscsi_params_default = {
    .max_recv_data_segment = 262144,
    .max_burst = 1048576,
    .first_burst = 262144,
    .max_outstanding_r2t = 4,
    .max_connections = 8,
    .time2wait = 2,
    .time2retain = 20,
    .error_recovery_level = 2,
    .initial_r2t = false,
    .immediate_data = true,
    /* as the initiator likes it */
    .data_pdu_in_order = false,
    .data_sequence_in_order = false,
    .header_digest = true,
    .data_digest = true,
};

/* ---- life ---- */

struct iscsi_tconn *iscsi_tconn_new(const struct iscsi_tconn_config *cfg, const struct alloc *a,
                                    uint64_t now_ns)
{
    struct iscsi_tconn *c = alloc_zero(a, sizeof *c);
    if (!c)
        return NULL;
    c->a = a;
    c->cfg = *cfg;
    list_init(&c->node);
    list_init(&c->kick);
    list_init(&c->jobs);
    list_init(&c->events);
    list_init(&c->kept);
    wire_rx_init(&c->rx);
    wire_tx_init(&c->tx, a);
    c->login_event = -1;
    c->text_ttt = ISCSI_TAG_NONE;
    c->now_ns = c->started_ns = c->last_rx_ns = now_ns;
    c->params.rx_data_segment = cfg->params.max_recv_data_segment;
    c->address = cfg->address ? alloc_strdup(a, cfg->address) : NULL;
    c->cfg.address = c->address;
    c->login = iscsi_login_new(&c->cfg, a);
    if (!c->login || (cfg->address && !c->address)) {
        iscsi_tconn_free(c);
        return NULL;
    }
    tconn_event(c, ISCSI_CONN_EV_XPT_ACCEPTED);
    return c;
}

void iscsi_tconn_free(struct iscsi_tconn *c)
{
    if (!c)
        return;
    assert(!tsess_owner_has(c)); /* they have been dropped */
    if (!c->closed)
        tconn_close(c, USAN_ECANCELED, "given up");
    if (c->reap) {
        tsess_task_put(c->reap);
        c->reap = NULL;
    }
    while (!list_empty(&c->events))
        tsess_task_put(list_entry(c->events.next, struct ttask, event));
    tsess_leave(c);
    iscsi_login_free(c->login);
    ttext_abandon(c);
    wire_tx_fini(&c->tx);
    alloc_put(c->a, c->rx_buf);
    alloc_put(c->a, c->address);
    alloc_put(c->a, c);
}

/* From now on something may be waited for: have the timer look in a while. */
static void watch_progress(struct iscsi_tconn *c)
{
    if (c->cfg.progress_timeout_ns)
        c->timer_ns = time_min(c->timer_ns, c->now_ns + c->cfg.progress_timeout_ns / 4);
}

/* ---- bytes in ---- */

int iscsi_tconn_rx_space(struct iscsi_tconn *c, void *buf, size_t cap,
                         struct iovec iov[ISCSI_RX_IOV_MAX])
{
    if (c->closing)
        return 0;
    return wire_rx_space(&c->rx, buf, cap, iov, ISCSI_RX_IOV_MAX);
}

void iscsi_tconn_rx(struct iscsi_tconn *c, size_t n, uint64_t now_ns)
{
    if (c->closed) /* by a call on another connection, while the bytes were on their way */
        return;
    c->now_ns = c->last_rx_ns = now_ns;
    if (c->rx_task && n > 0)
        ttask_data_moved(c);
    else if (c->rx_buf && n > 0)
        c->buf_ns = now_ns;
    watch_progress(c);
    wire_rx_landed(&c->rx, n);
}

void iscsi_tconn_rx_digest(struct iscsi_tconn *c, const struct iovec *iov, size_t n)
{
    wire_rx_digest(&c->rx, iov, n);
}

void iscsi_tconn_rx_eof(struct iscsi_tconn *c)
{
    tconn_close(c, USAN_ECLOSED, "the initiator closed the connection");
}

/* The initiator broke the protocol in a way that leaves nothing to hold on to: tell it why, end. */
static void fatal(struct iscsi_tconn *c, const uint8_t *bhs, const char *why)
{
    if (c->login) { /* there is no Reject in the login phase, 6.3 */
        tconn_close(c, USAN_EPROTO, why);
        return;
    }
    tctl_reject_last(c, ISCSI_REJECT_PROTOCOL_ERROR, bhs, USAN_EPROTO, why);
}

/* Memory of our own for the data segment of a PDU that is handled here, and `more` bytes behind
 * it. */
static bool own_buffer(struct iscsi_tconn *c, uint32_t len, uint32_t more)
{
    alloc_put(c->a, c->rx_buf);
    c->rx_buf = alloc_get(c->a, len + more + 1u);
    if (!c->rx_buf) {
        tconn_close(c, USAN_ENOMEM, "out of memory for a data segment");
        return false;
    }
    c->buf_ns = c->now_ns;
    c->rx_iov.iov_base = c->rx_buf;
    c->rx_iov.iov_len = len;
    wire_rx_place(&c->rx, &c->rx_iov, 1, 0);
    return true;
}

/* A NOP-Out, Text or Logout Request whose turn has come. */
static enum treq serve(struct iscsi_tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t len,
                       struct iscsi_event *ev)
{
    if (bhs_opcode(bhs) == ISCSI_OP_TEXT_REQUEST)
        return ttext_request(c, bhs, (const char *)data, len, ev);
    if (bhs_opcode(bhs) == ISCSI_OP_LOGOUT_REQUEST)
        return tlogout_request(c, bhs);
    tctl_nop_out(c, bhs, data, len);
    return TREQ_DONE;
}

/* Now, later, or never (4.2.2.1). */
static bool in_order(struct iscsi_tconn *c, const uint8_t *bhs, uint32_t len,
                     struct iscsi_event *ev)
{
    enum tsess_order order = tsess_order(c->sess, bhs_cmd_sn(bhs), bhs_immediate(bhs));
    enum treq done;

    switch (order) {
    case TSESS_NOW:
        done = serve(c, bhs, c->rx_buf, len, ev);
        if (done != TREQ_REJECTED)
            tsess_received(c->sess, order, bhs_immediate(bhs));
        return done == TREQ_EVENT;
    case TSESS_LATER:
        tsess_hold_request(c, bhs, c->rx_buf, len);
        return false;
    case TSESS_IGNORE:
    default:
        return false;
    }
}

/* A request that is complete with its data (in rx_buf) and is no task. */
static bool other_request(struct iscsi_tconn *c, const uint8_t *bhs, uint32_t len,
                          struct iscsi_event *ev)
{
    switch ((enum iscsi_opcode)bhs_opcode(bhs)) {
    case ISCSI_OP_LOGIN_REQUEST:
        tlogin_request(c, bhs, c->rx_buf, len);
        return false;
    case ISCSI_OP_NOP_OUT:
    case ISCSI_OP_TEXT_REQUEST:
    case ISCSI_OP_LOGOUT_REQUEST:
        return in_order(c, bhs, len, ev);
    case ISCSI_OP_SNACK:
        tsnack_request(c, bhs);
        return false;
    case ISCSI_OP_SCSI_COMMAND: /* it waited for its immediate data */
        return ttask_command_whole(c, ev);
    case ISCSI_OP_TMF_REQUEST:
    case ISCSI_OP_DATA_OUT:
    case ISCSI_OP_NOP_IN:
    case ISCSI_OP_SCSI_RESPONSE:
    case ISCSI_OP_TMF_RESPONSE:
    case ISCSI_OP_LOGIN_RESPONSE:
    case ISCSI_OP_TEXT_RESPONSE:
    case ISCSI_OP_DATA_IN:
    case ISCSI_OP_LOGOUT_RESPONSE:
    case ISCSI_OP_R2T:
    case ISCSI_OP_ASYNC:
    case ISCSI_OP_REJECT:
    default:
        tctl_reject(c, ISCSI_REJECT_NOT_SUPPORTED, bhs);
        return false;
    }
}

static bool header_in_login(struct iscsi_tconn *c)
{
    const uint8_t *bhs = c->rx.bhs;

    bool login = bhs_opcode(bhs) == ISCSI_OP_LOGIN_REQUEST && bhs_immediate(bhs);
    if (!login && !c->leading_cmd_sn_known) {
        tconn_close(c, USAN_EPROTO, "a PDU other than a Login Request in the login phase");
        return false;
    }
    if (c->login_waits || c->login_event >= 0 || c->bind_waits || c->bind_due) {
        tconn_close(c, USAN_EPROTO, "a request before the last Login Request was answered");
        return false;
    }
    if (!login) { /* once the login has begun it is told why, 4.2.4 */
        tlogin_refuse(c, ISCSI_LOGIN_INVALID_DURING_LOGIN);
        return false;
    }
    if (c->rx.data_len > ISCSI_TEXT_MAX) {
        tconn_close(c, USAN_EPROTO, "a Login Request that is too long");
        return false;
    }
    return true;
}

/* A command whose immediate data is damaged is discarded, and counts as never received (7.8). Where
 * the initiator will send it again, it is looked at when its data is there; at level 0 that ends
 * the connection, and it can begin at once. */
static void await_immediate(struct iscsi_tconn *c)
{
    if (own_buffer(c, c->rx.data_len, c->rx.ahs_len) && c->rx.ahs_len)
        memcpy(c->rx_buf + c->rx.data_len, c->rx.ahs, c->rx.ahs_len);
}

/* What it says about others than itself. */
static void attend(struct iscsi_tconn *c, const uint8_t *bhs, uint8_t op)
{
    bool snack = op == ISCSI_OP_SNACK; /* it may need what it acknowledges */

    if (c->erl && !snack)
        tkeep_ack(c, bhs_exp_stat_sn(bhs));
    if (!snack)
        tawait_ack(c, bhs_exp_stat_sn(bhs));
    if (c->sess->broken && !snack && op != ISCSI_OP_DATA_OUT)
        tgap_shown(c, bhs_cmd_sn(bhs));
}

/* A header came. True if ev was filled in. */
static bool on_header(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    const uint8_t *bhs = c->rx.bhs;
    uint32_t len = c->rx.data_len;
    uint8_t op = bhs_opcode(bhs);

    c->rx_task = NULL;
    if (c->login) {
        if (!header_in_login(c))
            return false;
    } else {
        if (len > c->params.rx_data_segment) {
            fatal(c, bhs, "a data segment longer than MaxRecvDataSegmentLength");
            return false;
        }
        if (op == ISCSI_OP_LOGIN_REQUEST) {
            fatal(c, bhs, "a Login Request in full feature phase");
            return false;
        }
    }
    if (c->discovery &&
        (op == ISCSI_OP_SCSI_COMMAND || op == ISCSI_OP_TMF_REQUEST || op == ISCSI_OP_DATA_OUT)) {
        tctl_reject(c, ISCSI_REJECT_PROTOCOL_ERROR, bhs); /* 4.3: only text and logout */
        return false;
    }
    if (c->attend)
        attend(c, bhs, op);
    if (op == ISCSI_OP_SCSI_COMMAND) {
        if (len)
            memcpy(c->rx_bhs, bhs, ISCSI_BHS_LEN);
        if (len && c->erl && c->params.data_digest) {
            await_immediate(c);
            return false;
        }
        return ttask_command(c, ev);
    }
    if (op == ISCSI_OP_DATA_OUT) {
        memcpy(c->rx_bhs, bhs, ISCSI_BHS_LEN);
        ttask_data_out(c);
        return false;
    }
    if (op == ISCSI_OP_TMF_REQUEST)
        return ttask_tmf(c, ev);
    memcpy(c->rx_bhs, bhs, ISCSI_BHS_LEN);
    if (len) {
        (void)own_buffer(c, len, 0);
        return false;
    }
    return other_request(c, c->rx_bhs, 0, ev);
}

static bool on_data(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    bool event = false;

    if (c->rx_task) {
        ttask_data_complete(c, c->rx.digest_ok);
        return false;
    }
    if (!c->rx_buf)
        return false; /* thrown away */
    if (!c->rx.digest_ok)
        tctl_reject(c, ISCSI_REJECT_DATA_DIGEST, c->rx_bhs); /* 7.8 */
    else
        event = other_request(c, c->rx_bhs, c->rx.data_len, ev);
    /* Always: a buffer that stayed would be taken for the data of a later PDU. A SEND_TARGETS event
     * points into a copy of the text. */
    alloc_put(c->a, c->rx_buf);
    c->rx_buf = NULL;
    return event;
}

/* ---- events ---- */

/* An early request that is no task, in its turn. */
static enum treq serve_late(struct iscsi_tconn *c, struct ttask *t, struct iscsi_event *ev)
{
    const struct alloc *a = t->sess->a;
    struct tlate *late = tsess_take_late(t);

    tsess_task_put(t);
    enum treq done = c->closing ? TREQ_DONE : serve(c, late->bhs, late->data, late->len, ev);
    alloc_put(a, late);
    return done;
}

static bool pending_event(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    while (!list_empty(&c->events)) {
        struct ttask *t = list_entry(list_pop_front(&c->events), struct ttask, event);
        ev->task = &t->pub;
        if (t->late) {
            /* One that is rejected here still counts as received: the sequence went on while it
             * was another connection's turn, and ExpCmdSN does not go back. */
            if (serve_late(c, t, ev) == TREQ_EVENT)
                return true;
            continue;
        }
        if (t->state == TTASK_SENT) {
            ev->type = ISCSI_EV_SENT;
            c->reap = t;
            return true;
        }
        if (t->waits) {
            if (ttask_deliver(t, ev))
                return true;
            continue; /* it is answered, or waits on */
        }
        if (t->end_due) {
            t->end_due = t->data_ready = false;
            ev->type = ISCSI_EV_TASK_LOST;
            return true;
        }
        if (t->data_ready) {
            t->data_ready = false;
            ev->type = ISCSI_EV_DATA;
            return true;
        }
    }
    return false;
}

static bool closing_event(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    if (!c->closed || !c->close_why)
        return false;
    ev->type = ISCSI_EV_CLOSE;
    ev->err = c->close_err;
    ev->why = c->close_why;
    ev->status = c->close_status;
    ev->retained = c->retained;
    c->close_why = NULL; /* reported once */
    return true;
}

enum step { STEP_EVENT, STEP_AGAIN, STEP_MORE };

/* One step along the received bytes. */
static enum step step(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    if (c->rx.phase == WIRE_HEADER_SEEN && c->rx_task && c->rx.data_len)
        ttask_place(c);
    switch (wire_rx_next(&c->rx)) {
    case WIRE_RX_HEADER:
        return on_header(c, ev) ? STEP_EVENT : STEP_AGAIN;
    case WIRE_RX_DATA:
        return on_data(c, ev) ? STEP_EVENT : STEP_AGAIN;
    case WIRE_RX_BAD_HEADER:
        /* Nothing in the header can be trusted, its lengths neither, and nothing else says where
         * the next PDU begins: the connection is dropped at every recovery level (7.8). */
        tconn_close(c, USAN_EDIGEST, "header digest error");
        return STEP_AGAIN;
    case WIRE_RX_MORE:
    default:
        return STEP_MORE;
    }
}

static bool held_event(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    while (c->sess && !list_empty(&c->sess->held) && !c->closing) {
        struct ttask *t = tsess_next_held(c->sess);
        if (!t && c->sess->broken && !list_empty(&c->sess->held) && tgap_mend(c->sess))
            continue;
        if (!t)
            return false;
        if (t->late && t->conn != c) {
            ttask_event(t); /* when that connection is asked next */
        } else if (t->late) {
            enum treq done = serve_late(c, t, ev);
            if (done == TREQ_REJECTED)
                tsess_not_received(c->sess);
            if (done == TREQ_EVENT)
                return true;
        } else if (ttask_deliver(t, ev)) {
            return true;
        }
    }
    return false;
}

/* Anything that is due without taking bytes from the stream. */
static bool due_event(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    if (!list_empty(&c->events) && pending_event(c, ev))
        return true;
    if (c->closed)
        return closing_event(c, ev);
    if ((c->login_event >= 0 || c->report_logged_in || c->bind_due) && tlogin_event(c, ev))
        return true;
    if (c->report_logout_other) {
        c->report_logout_other = false;
        ev->type = ISCSI_EV_LOGOUT_OTHER;
        ev->cid = c->logout_cid;
        return true;
    }
    return held_event(c, ev);
}

bool iscsi_tconn_next(struct iscsi_tconn *c, struct iscsi_event *ev)
{
    if (c->reap) {
        tsess_task_put(c->reap);
        c->reap = NULL;
    }
    for (;;) {
        if (due_event(c, ev))
            return true;
        if (c->closing) {
            c->rx.win = c->rx.win_end;
            return false;
        }
        switch (step(c, ev)) {
        case STEP_EVENT:
            return true;
        case STEP_MORE:
            return false;
        case STEP_AGAIN:
            break;
        }
    }
}

/* ---- bytes out ---- */

int iscsi_tconn_tx_bare(struct iscsi_tconn *c, struct iovec *iov, int max)
{
    if (c->closed)
        return 0;
    if (!list_empty(&c->jobs))
        ttask_fill_wire(c);
    int n = wire_tx_peek(&c->tx, iov, max);
    if (n > 0)
        watch_progress(c);
    return n;
}

void iscsi_tconn_tx_digest(struct iscsi_tconn *c)
{
    wire_tx_digest(&c->tx);
}

int iscsi_tconn_tx(struct iscsi_tconn *c, struct iovec *iov, int max)
{
    int n = iscsi_tconn_tx_bare(c, iov, max);

    if (n > 0)
        wire_tx_digest(&c->tx);
    return n;
}

static void answer_sent(struct iscsi_tconn *c, struct ttask *t)
{
    t->job.kind = TXJOB_IDLE;
    if (c->erl == 0) {
        t->state = TTASK_SENT;
        ttask_event(t);
    } else if (t->rewind) {
        tsnack_rewind(t);
    } else {
        tkeep_sent(t);
    }
}

void iscsi_tconn_tx_done(struct iscsi_tconn *c, size_t n, uint64_t now_ns)
{
    if (c->closed)
        return;
    c->now_ns = now_ns;
    if (n > 0)
        c->sent_ns = now_ns;
    c->sent_bytes += n;
    wire_tx_advance(&c->tx, n);
    for (struct txjob *job; (job = wire_tx_sent(&c->tx));) {
        if (job->kind == TXJOB_CTL) {
            tctl_sent(c, list_entry(job, struct tctl, job));
            if (c->closed)
                return;
            continue;
        }
        if (job->kind == TXJOB_KEPT) {
            tkeep_resent(c, list_entry(job, struct tkept, job));
            continue;
        }
        if (job->kind == TXJOB_RESEND) {
            tsnack_resent(c, list_entry(job, struct tresend, job));
            continue;
        }
        answer_sent(c, list_entry(job, struct ttask, job));
    }
    if (wire_tx_empty(&c->tx)) {
        c->idle_since_ns = now_ns;
        c->timer_ns = time_min(c->timer_ns, now_ns + TX_BLOCK_IDLE_NS);
    }
}

bool iscsi_tconn_tx_pending(const struct iscsi_tconn *c)
{
    return !c->closed && (!list_empty(&c->jobs) || !wire_tx_empty(&c->tx));
}

/* ---- what the owner may look at ---- */

const struct iscsi_params *iscsi_tconn_params(const struct iscsi_tconn *c)
{
    return &c->params;
}

const char *iscsi_tconn_state(const struct iscsi_tconn *c)
{
    return iscsi_conn_state_name(c->state);
}

uint32_t iscsi_tconn_transitions(const struct iscsi_tconn *c)
{
    return c->taken;
}

struct iscsi_task *iscsi_tconn_rx_task(const struct iscsi_tconn *c, bool *ret_stash)
{
    *ret_stash = c->rx_task && c->rx_stashed;
    return c->rx_task ? &c->rx_task->pub : NULL;
}

void *iscsi_tconn_user(const struct iscsi_tconn *c)
{
    return c->cfg.user;
}
