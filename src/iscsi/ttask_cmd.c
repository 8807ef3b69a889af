/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands and task management requests as they come in (RFC 7143 11.3, 11.5). */
#include "iscsi/tctl.h"
#include "iscsi/treassign.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

enum { STATUS_TASK_SET_FULL = 0x28 };                    /* SAM-6 5.3.1 */
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

static enum tsess_order order_of(const struct iscsi_tconn *conn)
{
    const uint8_t *bhs = conn->rx.bhs;
    return tsess_order(conn->sess, bhs_cmd_sn(bhs), bhs_immediate(bhs));
}

/* There is no memory for another task. A command in its turn is answered by its status; what else
 * is rejected may come again. */
static void no_task(struct iscsi_tconn *conn, enum tsess_order order)
{
    const uint8_t *bhs = conn->rx.bhs;

    if (bhs_immediate(bhs)) {
        tctl_reject(conn, ISCSI_REJECT_TOO_MANY_IMMEDIATE, bhs);
        return;
    }
    if (order != TSESS_NOW || bhs_opcode(bhs) != ISCSI_OP_SCSI_COMMAND) {
        tctl_reject(conn, ISCSI_REJECT_OUT_OF_RESOURCES, bhs);
        return;
    }
    uint32_t edtl = pdu_scsi_command_decode(bhs).edtl;
    struct tctl *ctl = tctl_new(conn, 0);
    if (!ctl)
        return;
    pdu_scsi_response(ctl->bhs, bhs_itt(bhs), edtl ? PDU_RESID_UNDERFLOW : 0, 0,
                      STATUS_TASK_SET_FULL, 0, 0, 0, edtl, 0);
    tctl_queue(conn, ctl);
    tsess_received(conn->sess, order, false);
}

/* The task for a request header; NULL when it was answered. */
static struct ttask *new_task(struct iscsi_tconn *conn, enum tsess_order order)
{
    const uint8_t *bhs = conn->rx.bhs;
    struct iscsi_tsess *sess = conn->sess;
    uint32_t itt = bhs_itt(bhs);

    if (itt == ISCSI_TAG_NONE) {
        tctl_reject(conn, ISCSI_REJECT_INVALID_FIELD, bhs);
        return NULL;
    }
    if (tsess_find(sess, itt)) {
        tctl_reject(conn, ISCSI_REJECT_TASK_IN_PROGRESS, bhs);
        return NULL;
    }
    struct ttask *t = tsess_task_get(sess, itt, bhs_immediate(bhs));
    if (!t) {
        no_task(conn, order);
        return NULL;
    }
    t->conn = conn;
    t->pub.lun = bhs_lun(bhs);
    t->pub.cmd_sn = bhs_cmd_sn(bhs);
    return t;
}

/* The response to a reassignment goes out before it takes effect, 7.2.2. */
static void answer_tmf(struct ttask *t)
{
    struct tctl *ctl = tctl_new(t->conn, 0);

    if (!ctl)
        return;
    pdu_tmf_response(ctl->bhs, t->pub.itt, (uint8_t)(t->tmf_answer - 1), 0);
    tctl_queue(t->conn, ctl);
    if (t->pub.tmf == ISCSI_TMF_TASK_REASSIGN && t->tmf_answer == 1 + ISCSI_TMF_RSP_COMPLETE)
        treassign_do(t);
}

/* It is about tasks that may have been a lost connection's. True: it waits for its transport. */
static bool look_at_lost(struct ttask *t)
{
    if (treassign_waits(t))
        return true;
    uint16_t answer = t->pub.tmf == ISCSI_TMF_ABORT_TASK ? treassign_abort(t)
                                                         : (uint16_t)(1 + treassign_check(t));
    if (answer)
        t->tmf_answer = answer;
    return false;
}

bool ttask_deliver(struct ttask *t, struct iscsi_event *ev)
{
    bool abort = t->pub.tmf == ISCSI_TMF_ABORT_TASK && t->conn->erl >= 2 &&
                 t->tmf_answer != 1 + ISCSI_TMF_RSP_COMPLETE;

    if ((abort || t->pub.tmf == ISCSI_TMF_TASK_REASSIGN) && look_at_lost(t))
        return false;
    if (t->tmf_answer) {
        t->state = TTASK_OWNED; /* should the connection end in there, it is left to us */
        answer_tmf(t);
        tsess_task_put(t);
        return false;
    }
    t->state = TTASK_OWNED;
    ev->type = t->pub.tmf ? ISCSI_EV_TMF : ISCSI_EV_COMMAND;
    ev->task = &t->pub;
    return true;
}

/* In its turn: report it. Early: keep it. */
static bool deliver_or_hold(struct iscsi_tconn *conn, struct ttask *t, enum tsess_order order,
                            struct iscsi_event *ev)
{
    if (order == TSESS_NOW)
        return ttask_deliver(t, ev);
    tsess_hold(conn->sess, t);
    return false;
}

bool ttask_command(struct iscsi_tconn *conn, struct iscsi_event *ev)
{
    const uint8_t *bhs = conn->rx.bhs;
    const struct pdu_scsi_command c = pdu_scsi_command_decode(bhs);
    enum tsess_order order = order_of(conn);
    uint32_t bidi = 0;

    if (order == TSESS_IGNORE)
        return false;
    if (!ttask_unsolicited_ok(conn, &c)) {
        tctl_reject(conn, ISCSI_REJECT_PROTOCOL_ERROR, bhs);
        return false;
    }
    struct ttask *t = new_task(conn, order);
    if (!t)
        return false;
    if (conn->rx.ahs_len && !parse_ahs(t, conn->rx.ahs, conn->rx.ahs_len, &bidi)) {
        tsess_task_put(t);
        tctl_reject(conn, ISCSI_REJECT_PROTOCOL_ERROR, bhs);
        return false;
    }
    tsess_received(conn->sess, order, t->pub.immediate);
    memcpy(t->cdb, c.cdb, 16);
    t->pub.attr = c.attr;
    t->pub.priority = conn->params.protocol_level >= 2 ? c.priority : 0;
    t->pub.read = c.read;
    t->pub.write = c.write;
    t->pub.out_expected = c.write ? c.edtl : 0;
    t->pub.in_expected = !c.read ? 0 : c.write ? bidi : c.edtl;
    if (c.write)
        ttask_begin_unsolicited(conn, t, c.final);
    return deliver_or_hold(conn, t, order, ev);
}

bool ttask_command_whole(struct iscsi_tconn *conn, struct iscsi_event *ev)
{
    conn->rx.bhs = conn->rx_bhs;
    conn->rx.ahs = conn->rx_buf + conn->rx.data_len;
    bool event = ttask_command(conn, ev);
    if (conn->rx_task)
        ttask_data_whole(conn, conn->rx_buf);
    return event;
}

/* ---- task management ---- */

/*
 * ABORT TASK of what the owner does not have (11.6.1): a command that waits for its turn goes; one
 * that never came counts as received from now on, when its CmdSN is in the window and lower than
 * that of the request; anything else is no task.
 */
static void abort_unseen(struct iscsi_tconn *conn, struct ttask *t)
{
    struct iscsi_tsess *sess = conn->sess;
    struct ttask *ref = tsess_find(sess, t->pub.ref_itt);
    uint32_t sn = t->pub.ref_cmd_sn;

    if (ref && (ref->state != TTASK_HELD || ref->pub.tmf || ref->pub.lun != t->pub.lun))
        return;
    t->tmf_answer = 1 + ISCSI_TMF_RSP_COMPLETE;
    if (ref) {
        tsess_make_ghost(ref);
    } else if (!sn_lt(sn, t->pub.cmd_sn) || sn_lt(sn, sess->exp_cmd_sn) ||
               sn_lt(sess->max_cmd_sn, sn)) {
        t->tmf_answer = 1 + ISCSI_TMF_RSP_NO_TASK;
    } else {
        enum tsess_order order = tsess_order(sess, sn, false);
        tsess_received(sess, order, false);
        if (order == TSESS_LATER)
            (void)tsess_hold_place(conn, sn);
    }
}

/*
 * An immediate request is not to overtake the commands it is about, those with a lower CmdSN: the
 * target waits for them, and for a reset of the whole target it need not (4.2.3.3). One that is
 * not immediate has its turn after them anyway.
 */
static enum tsess_order cover_earlier(struct iscsi_tsess *sess, const struct ttask *t)
{
    uint32_t sn = t->pub.cmd_sn;

    if (!sn_lt(sess->exp_cmd_sn, sn) || sn_lt(sess->max_cmd_sn + 1, sn))
        return TSESS_NOW; /* nothing is missing; or it does not belong to what we know */
    switch (t->pub.tmf) {
    case ISCSI_TMF_ABORT_TASK_SET:
    case ISCSI_TMF_CLEAR_TASK_SET:
    case ISCSI_TMF_LOGICAL_UNIT_RESET:
    case ISCSI_TMF_I_T_NEXUS_RESET:
        return TSESS_LATER;
    case ISCSI_TMF_TARGET_WARM_RESET:
    case ISCSI_TMF_TARGET_COLD_RESET:
        tsess_plug(sess, sn);
        return TSESS_NOW;
    default:
        return TSESS_NOW;
    }
}

bool ttask_tmf(struct iscsi_tconn *conn, struct iscsi_event *ev)
{
    const struct pdu_tmf_request q = pdu_tmf_request_decode(conn->rx.bhs);
    enum tsess_order order = order_of(conn);

    if (order == TSESS_IGNORE)
        return false;
    if (q.function == 0) { /* reserved, 11.5.1; for the owner 0 stands for a command */
        tctl_reject(conn, ISCSI_REJECT_INVALID_FIELD, conn->rx.bhs);
        return false;
    }
    struct ttask *t = new_task(conn, order);
    if (!t)
        return false;
    tsess_received(conn->sess, order, t->pub.immediate);
    t->pub.tmf = q.function;
    t->pub.ref_itt = q.ref_itt;
    t->pub.ref_cmd_sn = q.ref_cmd_sn;
    t->exp_data_sn = q.exp_data_sn;
    t->pub.read = t->pub.write = false;
    t->pub.in_expected = t->pub.out_expected = 0;
    if (q.function == ISCSI_TMF_ABORT_TASK)
        abort_unseen(conn, t);
    else if (t->pub.immediate)
        order = cover_earlier(conn->sess, t);
    if (conn->closed) {
        tsess_task_put(t);
        return false;
    }
    return deliver_or_hold(conn, t, order, ev);
}

struct iscsi_tconn *iscsi_task_conn(const struct iscsi_task *task)
{
    const struct ttask *t = (const struct ttask *)(const void *)task;
    return t->conn;
}
