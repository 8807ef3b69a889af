/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each received PDU leads to. */
#include "iscsi/iconn_rx.h"

#include "iscsi/ictl.h"
#include "iscsi/ilogin_pdu.h"
#include "iscsi/ilost.h"
#include "iscsi/iretry.h"
#include "iscsi/isess.h"
#include "iscsi/isnack.h"
#include "iscsi/itask_rx.h"
#include "iscsi/itext.h"
#include "iscsi/itmf.h"

void iconn_rx_drop(struct iscsi_iconn *conn)
{
    if (conn->rx_buf != conn->small)
        alloc_put(conn->a, conn->rx_buf);
    conn->rx_buf = NULL;
}

/* A PDU that is complete; data is NULL where it is of no interest. True if ev was filled in. */
static bool dispatch(struct iscsi_iconn *conn, const uint8_t *data, uint32_t len,
                     struct iscsi_ievent *ev)
{
    const uint8_t *bhs = conn->rx_bhs;

    switch ((enum iscsi_opcode)bhs_opcode(bhs)) {
    case ISCSI_OP_LOGIN_RESPONSE:
        ilogin_pdu_response(conn, bhs, data, len);
        if (conn->was_up && !list_empty(&conn->sess->lost))
            ilost_logged_in(conn);
        return false;
    case ISCSI_OP_SCSI_RESPONSE:
        itask_rx_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_R2T:
        itask_rx_r2t(conn, bhs);
        return false;
    case ISCSI_OP_TMF_RESPONSE:
        if (!ilost_tmf_response(conn, bhs))
            itmf_response(conn, bhs);
        return false;
    case ISCSI_OP_NOP_IN:
        ictl_nop_in(conn, bhs);
        iretry_answered(conn, bhs);
        return false;
    case ISCSI_OP_TEXT_RESPONSE:
        itext_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_LOGOUT_RESPONSE:
        if (!ilost_logout_response(conn, bhs))
            ictl_logout_response(conn, bhs);
        return false;
    case ISCSI_OP_ASYNC:
        return ictl_async(conn, bhs, data, len, ev);
    case ISCSI_OP_REJECT:
        ictl_reject(conn, bhs, data, len);
        return false;
    case ISCSI_OP_DATA_IN: /* is taken before */
    case ISCSI_OP_NOP_OUT:
    case ISCSI_OP_SCSI_COMMAND:
    case ISCSI_OP_TMF_REQUEST:
    case ISCSI_OP_LOGIN_REQUEST:
    case ISCSI_OP_TEXT_REQUEST:
    case ISCSI_OP_DATA_OUT:
    case ISCSI_OP_LOGOUT_REQUEST:
    case ISCSI_OP_SNACK:
    default:
        iconn_fail(conn, USAN_EPROTO, "a PDU that a target does not send");
        return false;
    }
}

/* StatSN (4.2.2.2): each PDU that carries a status has the next one. The other responses have
 * it as well, or nothing, and do not use it up. */
static enum isn stat_sn(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    uint8_t op = bhs_opcode(bhs);
    uint32_t sn = bhs_stat_sn(bhs), exp = conn->exp_stat_sn;
    bool ping = op == ISCSI_OP_NOP_IN && bhs_itt(bhs) == ISCSI_TAG_NONE;
    if (op == ISCSI_OP_R2T || (op == ISCSI_OP_DATA_IN && !pdu_data_in_decode(bhs).status))
        return ISN_NONE;
    if (ping) { /* it has the next one without taking it, 11.19.4 */
        if (iconn_erl(conn) && sn_lt(exp, sn) && sn - exp <= ISTAT_GAP_MAX)
            isnack_status(conn, sn);
        return ISN_NONE;
    }
    if (!conn->stat_sn_known || sn == exp)
        return ISN_NEXT;
    if (!iconn_erl(conn) || (sn_lt(exp, sn) && sn - exp > ISTAT_GAP_MAX))
        return ISN_BAD;
    return sn_lt(sn, exp) ? ISN_OLD : ISN_GAP;
}

/* The PDU with the next StatSN is here and whole. */
static void take_stat_sn(struct iscsi_iconn *conn)
{
    if (conn->rx_sn != ISN_NEXT)
        return;
    conn->stat_sn_known = true; /* the first Login Response says where it starts, 11.13.4 */
    conn->exp_stat_sn = bhs_stat_sn(conn->rx_bhs) + 1;
    if (conn->stat_gap)
        isnack_status_came(conn);
}

/* What any header must fulfil. NULL: it does. */
static const char *check_header(struct iscsi_iconn *conn, const uint8_t *bhs, uint32_t len)
{
    bool login = bhs_opcode(bhs) == ISCSI_OP_LOGIN_RESPONSE;

    conn->rx_sn = ISN_NONE;
    if (conn->login) {
        if (!login)
            return "a PDU other than a Login Response in the login phase";
        if (len > ISCSI_TEXT_MAX)
            return "a Login Response that is too long";
        if (pdu_login_response_decode(bhs).status)
            return NULL; /* its numbers mean nothing, 11.13.4 */
    } else {
        if (login)
            return "a Login Response in full feature phase";
        if (len > conn->params.rx_data_segment)
            return "a data segment longer than MaxRecvDataSegmentLength";
        if (!isess_window(conn->sess, bhs, conn->now_ns))
            return "the target acknowledges commands that were not sent";
    }
    conn->rx_sn = stat_sn(conn, bhs);
    return conn->rx_sn == ISN_BAD ? "a StatSN out of sequence" : NULL;
}

/* Memory for the data segment of a PDU that is handled here. */
static void own_buffer(struct iscsi_iconn *conn, uint32_t len)
{
    if (len > ISCSI_ISEGMENT_MAX) {
        iconn_fail(conn, USAN_ELIMIT, "a data segment that is too long");
        return;
    }
    conn->rx_buf = len <= ICONN_SMALL ? conn->small : alloc_get(conn->a, len);
    if (!conn->rx_buf) {
        iconn_fail(conn, USAN_ENOMEM, "out of memory for a data segment");
        return;
    }
    conn->rx_iov.iov_base = conn->rx_buf;
    conn->rx_iov.iov_len = len;
    wire_rx_place(&conn->rx, &conn->rx_iov, 1, 0);
}

/* A PDU that came before, or comes too early and will come again. True: nothing of it is wanted;
 * but the data of a Data-In is, and perhaps a second response of a command whose data was asked for
 * anew. */
static bool out_of_turn(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    uint8_t op = bhs_opcode(bhs);
    bool gap = conn->rx_sn == ISN_GAP;
    if (gap)
        isnack_status(conn, bhs_stat_sn(bhs) + 1);
    return op != ISCSI_OP_DATA_IN && (gap || op != ISCSI_OP_SCSI_RESPONSE);
}

static bool on_header(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    const uint8_t *bhs = conn->rx.bhs;
    uint32_t len = conn->rx.data_len;
    uint8_t op = bhs_opcode(bhs);
    const char *why = check_header(conn, bhs, len);

    conn->rx_task = NULL;
    iconn_rx_drop(conn);
    if (why) {
        iconn_fail(conn, USAN_EPROTO, why);
        return false;
    }
    memcpy(conn->rx_bhs, bhs, ISCSI_BHS_LEN);
    conn->rx_drop = conn->rx_sn > ISN_NEXT && out_of_turn(conn, bhs);
    if (conn->rx_drop)
        return false;
    if (!len) /* with data, whether it is whole is seen when all is there */
        take_stat_sn(conn);
    if (op == ISCSI_OP_DATA_IN) {
        itask_rx_data_in(conn);
        return false;
    }
    if (!len)
        return dispatch(conn, NULL, 0, ev);
    if (op != ISCSI_OP_NOP_IN)
        own_buffer(conn, len);
    return false;
}

static bool on_data(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    bool ok = conn->rx.digest_ok;

    if (bhs_opcode(conn->rx_bhs) == ISCSI_OP_DATA_IN) {
        take_stat_sn(conn); /* the status stands in the header, which is good */
        if (conn->rx_task)
            itask_rx_data(conn, ok);
        return false;
    }
    if (conn->rx_drop)
        return false;
    if (ok) {
        take_stat_sn(conn);
        return dispatch(conn, conn->rx_buf, conn->rx_buf ? conn->rx.data_len : 0, ev);
    }
    if (iconn_erl(conn)) { /* discarded as if it had not come; a ping is not sent again */
        if (conn->rx_sn == ISN_NEXT)
            isnack_status_damaged(conn);
        return false;
    }
    take_stat_sn(conn);
    /* 7.8: a response that can not be asked for again ends the connection, by a logout */
    static const char why[] = "data digest error in a response";
    if (iconn_full_feature(conn))
        ictl_logout(conn, conn->sess->conn_count == 1, USAN_EDIGEST, why);
    else
        iconn_fail(conn, USAN_EDIGEST, why);
    return false;
}

void iconn_rx_spoiled(struct iscsi_iconn *conn)
{
    struct itask *t = conn->spoiled;
    conn->spoiled = NULL;
    if (t && !t->aborter && itmf_abort(t))
        iconn_fail(conn, t->fail_err, t->fail_why);
}

enum iconn_step iconn_rx_step(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    bool event = false;
    switch (wire_rx_next(&conn->rx)) {
    case WIRE_RX_HEADER:
        event = on_header(conn, ev);
        break;
    case WIRE_RX_DATA:
        event = on_data(conn, ev);
        break;
    case WIRE_RX_BAD_HEADER: /* nothing in it can be trusted, its lengths neither: 7.7 */
        iconn_fail(conn, USAN_EDIGEST, "header digest error");
        break;
    case WIRE_RX_MORE:
    default:
        return ICONN_MORE;
    }
    if (conn->spoiled)
        iconn_rx_spoiled(conn);
    return event ? ICONN_EVENT : ICONN_AGAIN;
}
