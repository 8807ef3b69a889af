/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands and task management requests as they come in (RFC 7143 11.3, 11.5). */
#include "iscsi/tctl.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

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
    bool ok = ttask_unsolicited_ok(conn, &c);
    if (ok && conn->rx.ahs_len)
        ok = parse_ahs(t, conn->rx.ahs, conn->rx.ahs_len, &bidi);
    if (!ok) {
        tsess_task_put(t);
        refuse(conn, order, ISCSI_REJECT_PROTOCOL_ERROR);
        return false;
    }
    t->pub.out_expected = c.write ? c.edtl : 0;
    t->pub.in_expected = !c.read ? 0 : c.write ? bidi : c.edtl;
    if (c.write)
        ttask_begin_unsolicited(conn, t, c.final);
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
