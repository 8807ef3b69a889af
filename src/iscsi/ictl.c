/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/ictl.h"

#include "iscsi/isnack.h"
#include "iscsi/itask.h"
#include "iscsi/itask_tx.h"
#include "iscsi/itext.h"
#include "iscsi/itmf.h"

enum { /* 11.14.1, 11.15.1 */
       LOGOUT_CLOSE_SESSION = 0,
       LOGOUT_CLOSE_CONNECTION = 1,
       LOGOUT_RSP_OK = 0,
       LOGOUT_RSP_NO_CID = 1,
       LOGOUT_RSP_NO_RECOVERY = 2,
};

/* ---- NOP ---- */

void ictl_ping(struct iscsi_iconn *conn)
{
    struct ictl *ctl = ictl_new(conn, 0);
    if (!ctl)
        return;
    conn->nop_itt = isess_tag(conn->sess, ISLOT_NOP);
    pdu_nop_out(ctl->bhs, conn->nop_itt, ISCSI_TAG_NONE, 0);
    conn->nop_sent_ns = conn->now_ns;
    ictl_queue(conn, ctl);
}

/* A NOP-Out that wants no answer: it carries ExpStatSN, 11.18. */
static void acknowledge(struct iscsi_iconn *conn)
{
    struct ictl *ctl = conn->logout_sent ? NULL : ictl_new(conn, 0);
    if (!ctl)
        return;
    pdu_nop_out(ctl->bhs, ISCSI_TAG_NONE, ISCSI_TAG_NONE, 0);
    ictl_queue(conn, ctl);
}

void ictl_nop_in(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    uint32_t itt = bhs_itt(bhs), ttt = bhs_ttt(bhs);

    if (itt != ISCSI_TAG_NONE) { /* the answer to a ping of ours */
        if (!conn->nop_sent_ns || itt != conn->nop_itt)
            iconn_fail(conn, USAN_EPROTO, "a NOP-In that answers nothing");
        conn->nop_sent_ns = 0;
        return;
    }
    if (ttt == ISCSI_TAG_NONE)
        return; /* only news of the window, 11.19 */
    struct ictl *ctl = conn->logout_sent ? NULL : ictl_new(conn, 0);
    if (!ctl)
        return;
    pdu_nop_out(ctl->bhs, ISCSI_TAG_NONE, ttt, bhs_lun(bhs));
    ictl_queue(conn, ctl);
}

/* ---- logout ---- */

void ictl_logout(struct iscsi_iconn *conn, bool session, int err, const char *why)
{
    struct iscsi_isess *sess = conn->sess;
    if (!iconn_full_feature(conn))
        return;
    struct ictl *ctl = ictl_new(conn, 0);
    if (!ctl)
        return;
    conn->logout_itt = isess_tag(sess, ISLOT_LOGOUT);
    pdu_logout_request(ctl->bhs, conn->logout_itt,
                       session ? LOGOUT_CLOSE_SESSION : LOGOUT_CLOSE_CONNECTION,
                       session ? 0 : conn->cid);
    ictl_queue(conn, ctl);
    conn->logout_sent = true;
    conn->logout_session = session;
    conn->logout_err = err;
    conn->logout_why = why;
    conn->logout_deadline_ns = conn->now_ns + sess->cfg.request_timeout_ns;
    sess->closing = sess->closing || (session && !err);
    iconn_step(conn, ISCSI_CONN_EV_LOGOUT_STARTED);
}

int iscsi_iconn_logout(struct iscsi_iconn *conn, uint64_t now_ns)
{
    if (!iconn_full_feature(conn))
        return USAN_ECLOSED;
    conn->now_ns = now_ns;
    ictl_logout(conn, conn->sess->conn_count == 1, 0, "logged out");
    return conn->failing ? conn->err : 0;
}

int iscsi_isess_logout(struct iscsi_isess *sess, uint64_t now_ns)
{
    if (sess->closing)
        return USAN_ECLOSED;
    list_for_each (&sess->conns, pos) {
        struct iscsi_iconn *conn = list_entry(pos, struct iscsi_iconn, node);
        if (!iconn_full_feature(conn))
            continue;
        conn->now_ns = now_ns;
        ictl_logout(conn, true, 0, "logged out");
        return conn->failing ? conn->err : 0;
    }
    return USAN_ECLOSED;
}

/* The other connections of a session that was closed on this one end in order too. */
static void close_others(struct iscsi_iconn *conn)
{
    list_for_each (&conn->sess->conns, pos) {
        struct iscsi_iconn *other = list_entry(pos, struct iscsi_iconn, node);
        if (other == conn || other->failing)
            continue;
        if (!other->login && other->state != ISCSI_CONN_XPT_WAIT)
            iconn_step(other, ISCSI_CONN_EV_SESSION_CLOSED);
        other->orderly = true;
        iconn_fail(other, conn->logout_err, conn->logout_why);
    }
}

void ictl_logout_response(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    if (!conn->logout_sent || bhs_itt(bhs) != conn->logout_itt) {
        iconn_fail(conn, USAN_EPROTO, "a Logout Response that was not asked for");
        return;
    }
    switch (pdu_response_code(bhs)) {
    case LOGOUT_RSP_OK:
        iconn_step(conn, ISCSI_CONN_EV_LOGOUT_OK);
        conn->orderly = true;
        if (conn->logout_session)
            close_others(conn);
        iconn_fail(conn, conn->logout_err, conn->logout_why);
        return;
    case LOGOUT_RSP_NO_CID:
        iconn_fail(conn, USAN_EPROTO, "logout failed: the target does not know this connection");
        return;
    case LOGOUT_RSP_NO_RECOVERY:
        iconn_fail(conn, USAN_EPROTO, "logout failed: the target does not do recovery");
        return;
    default:
        iconn_fail(conn, USAN_EPROTO, "logout failed: the target could not clean up");
        return;
    }
}

void ictl_logout_if_due(struct iscsi_iconn *conn)
{
    if (conn->logout_by_ns == TIME_NEVER || conn->logout_sent || conn->failing)
        return;
    if (conn->task_count > 0 && conn->now_ns >= conn->logout_by_ns && iconn_erl(conn) > 1)
        iconn_fail(conn, USAN_ECLOSED, "the target asked for a logout"); /* they go on elsewhere */
    else if (conn->task_count == 0 || conn->now_ns >= conn->logout_by_ns)
        ictl_logout(conn, conn->sess->conn_count == 1, USAN_ECLOSED,
                    "the target asked for a logout");
}

/* ---- Async Message ---- */

/* 11.9.1: nothing new is begun on the connection; what is outstanding gets half of the time the
 * target allows. */
static void logout_asked(struct iscsi_iconn *conn, uint16_t seconds)
{
    if (conn->logout_by_ns == TIME_NEVER)
        conn->logout_by_ns = conn->now_ns + seconds * NS_PER_SEC / 2;
    iconn_step(conn, ISCSI_CONN_EV_LOGOUT_ASKED);
}

static void drop_announced(struct iscsi_iconn *conn, bool all, const struct iscsi_iasync *a)
{
    list_for_each (&conn->sess->conns, pos) {
        struct iscsi_iconn *c = list_entry(pos, struct iscsi_iconn, node);
        if (!all && c->cid != a->param1)
            continue;
        c->dropped = true;
        c->drop_wait = a->param2;
        c->drop_retain = a->param3;
        if (iconn_full_feature(c) || c->logout_sent)
            iconn_step(c, ISCSI_CONN_EV_DROPPED);
        iconn_fail(c, USAN_ECLOSED,
                   all ? "the target drops all connections of the session"
                       : "the target drops the connection");
    }
}

static void act_on(struct iscsi_iconn *conn, const struct iscsi_iasync *a)
{
    switch (a->event) {
    case ISCSI_ASYNC_LOGOUT_REQUEST:
        logout_asked(conn, a->param3);
        break;
    case ISCSI_ASYNC_DROP_CONNECTION:
        drop_announced(conn, false, a);
        break;
    case ISCSI_ASYNC_DROP_SESSION:
        drop_announced(conn, true, a);
        break;
    case ISCSI_ASYNC_NEGOTIATE: {
        int err = itext_declare(conn, conn->params.rx_data_segment);
        /* busy: a text request is under way already; closing: it is too late for one */
        (void)err;
        break;
    }
    case ISCSI_ASYNC_TASKS_TERMINATED:
        itmf_terminated(conn->sess, a->lun);
        acknowledge(conn);
        break;
    default: /* nothing to be done */
        break;
    }
}

bool ictl_async(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len,
                struct iscsi_ievent *ev)
{
    const struct pdu_async q = pdu_async_decode(bhs);
    struct iscsi_iasync *a = &ev->async;

    *a = (struct iscsi_iasync){ .event = q.event,
                                .vendor_code = q.vendor_code,
                                .lun = bhs_lun(bhs),
                                .param1 = q.param1,
                                .param2 = q.param2,
                                .param3 = q.param3,
                                .data = data,
                                .data_len = len };
    if (q.event == ISCSI_ASYNC_SCSI_EVENT) { /* 11.9.4: SenseLength, sense data, event data */
        if (len < 2 || be16_get(data) > len - 2) {
            iconn_fail(conn, USAN_EPROTO, "sense data longer than its data segment");
            return false;
        }
        a->data = data + 2;
        a->data_len = be16_get(data);
    }
    act_on(conn, a);
    ev->type = ISCSI_IEV_ASYNC;
    return true;
}

/* ---- Reject ---- */

void ictl_retry(struct itask *t)
{
    if (t->retries >= ISCSI_IRECOVERY_TRIES)
        iconn_fail(t->conn, USAN_ETIMEOUT, "a command does not arrive");
    else
        itask_tx_again(t);
}

/* An abort or a TASK REASSIGN of our own: a task that has to be ended takes the connection with it,
 * one that is to be reassigned waits a little, as there may be too many requests at a time. */
static void own_rejected(struct iscsi_iconn *conn, struct itask *victim)
{
    if (victim->state == ITASK_ORPHAN) {
        victim->lost->later = true;
        victim->lost->reassign_ns = conn->now_ns + isess_recovery_timeout(conn->sess);
        return;
    }
    victim->cmd->canceled = false;
    if (victim->fail_err)
        iconn_fail(conn, victim->fail_err, victim->fail_why);
}

/* 11.17: a rejected command was not begun. Where its data was damaged it was, and its answer
 * follows; likewise with Data-Out. */
static void command_rejected(struct iscsi_iconn *conn, const uint8_t *bhs, uint8_t reason)
{
    struct iscsi_isess *sess = conn->sess;
    struct itask *t = itask_find(sess, bhs_itt(bhs));
    if (!t || t->conn != conn)
        return;
    if (reason == ISCSI_REJECT_DATA_DIGEST) {
        /* From level 1 on the command was discarded as a whole, if its number was not taken
         * (7.8); so it is sent again (7.2.1). */
        if (iconn_erl(conn) && t->cmd && !t->immediate && !sn_lt(t->cmd_sn, sess->exp_cmd_sn))
            ictl_retry(t);
        return;
    }
    if (reason == ISCSI_REJECT_TASK_IN_PROGRESS && t->retries)
        return; /* it had come the first time */
    if (t->function && !t->tmf && t->victim)
        own_rejected(conn, t->victim);
    itask_end(t, USAN_EPROTO, iscsi_reject_text(reason));
}

void ictl_reject(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    uint8_t reason = pdu_response_code(bhs);
    const char *why = iscsi_reject_text(reason);

    if (len < ISCSI_BHS_LEN) { /* 11.17.2: the header of what is rejected */
        iconn_fail(conn, USAN_EPROTO, "a Reject that does not say of what");
        return;
    }
    switch ((enum iscsi_opcode)bhs_opcode(data)) {
    case ISCSI_OP_SCSI_COMMAND:
    case ISCSI_OP_TMF_REQUEST:
        command_rejected(conn, data, reason);
        return;
    case ISCSI_OP_DATA_OUT: /* the target ends the command itself */
        return;
    case ISCSI_OP_NOP_OUT:
        conn->nop_sent_ns = 0; /* a sign of life it is */
        return;
    case ISCSI_OP_TEXT_REQUEST:
        if (conn->text.active && bhs_itt(data) == conn->text.itt)
            itext_fail(conn, USAN_EPROTO, why);
        return;
    case ISCSI_OP_SNACK:
        if (iconn_erl(conn)) {
            isnack_refused(conn, data, why);
            return;
        }
        iconn_fail(conn, USAN_EPROTO, why);
        return;
    case ISCSI_OP_LOGOUT_REQUEST:
    case ISCSI_OP_LOGIN_REQUEST:
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
        iconn_fail(conn, USAN_EPROTO, why);
        return;
    }
}
