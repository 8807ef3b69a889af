/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each received PDU leads to. */
#include "iscsi/iconn_rx.h"

#include "iscsi/ictl.h"
#include "iscsi/ilogin_pdu.h"
#include "iscsi/isess.h"
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
        return false;
    case ISCSI_OP_SCSI_RESPONSE:
        itask_rx_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_R2T:
        itask_rx_r2t(conn, bhs);
        return false;
    case ISCSI_OP_TMF_RESPONSE:
        itmf_response(conn, bhs);
        return false;
    case ISCSI_OP_NOP_IN:
        ictl_nop_in(conn, bhs);
        return false;
    case ISCSI_OP_TEXT_RESPONSE:
        itext_response(conn, bhs, data, len);
        return false;
    case ISCSI_OP_LOGOUT_RESPONSE:
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
static bool check_stat_sn(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    uint8_t op = bhs_opcode(bhs);
    if (op == ISCSI_OP_R2T || (op == ISCSI_OP_NOP_IN && bhs_itt(bhs) == ISCSI_TAG_NONE) ||
        (op == ISCSI_OP_DATA_IN && !pdu_data_in_decode(bhs).status))
        return true;
    uint32_t sn = bhs_stat_sn(bhs);
    if (conn->stat_sn_known && sn != conn->exp_stat_sn)
        return false;
    conn->stat_sn_known = true; /* the first Login Response says where it starts, 11.13.4 */
    conn->exp_stat_sn = sn + 1;
    return true;
}

/* What any header must fulfil. NULL: it does. */
static const char *check_header(struct iscsi_iconn *conn, const uint8_t *bhs, uint32_t len)
{
    bool login = bhs_opcode(bhs) == ISCSI_OP_LOGIN_RESPONSE;

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
        if (!isess_window(conn->sess, bhs))
            return "the target acknowledges commands that were not sent";
    }
    return check_stat_sn(conn, bhs) ? NULL : "a StatSN out of sequence";
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
        if (conn->rx_task)
            itask_rx_data(conn, ok);
        return false;
    }
    if (ok)
        return dispatch(conn, conn->rx_buf, conn->rx_buf ? conn->rx.data_len : 0, ev);
    /* 7.8: a response that can not be asked for again ends the connection, by a logout */
    static const char why[] = "data digest error in a response";
    if (iconn_full_feature(conn))
        ictl_logout(conn, conn->sess->conn_count == 1, USAN_EDIGEST, why);
    else
        iconn_fail(conn, USAN_EDIGEST, why);
    return false;
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
    if (conn->spoiled) {
        struct itask *t = conn->spoiled;
        conn->spoiled = NULL;
        if (!t->aborter && itmf_abort(t))
            iconn_fail(conn, t->fail_err, t->fail_why);
    }
    return event ? ICONN_EVENT : ICONN_AGAIN;
}
