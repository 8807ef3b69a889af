/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/iretry.h"

#include "iscsi/ictl.h"

uint64_t iretry_deadline(const struct iscsi_iconn *conn)
{
    const struct iscsi_isess *sess = conn->sess;
    return sess->cmd_sn == sess->exp_cmd_sn || !iconn_full_feature(conn)
               ? TIME_NEVER
               : sess->unacked_ns + isess_recovery_timeout(sess);
}

/* The command the target waits for; perhaps one that is over here (ENDED), but still to be sent. */
static struct itask *wanted(const struct iscsi_isess *sess)
{
    list_for_each (&sess->conns, pos) {
        const struct iscsi_iconn *conn = list_entry(pos, struct iscsi_iconn, node);
        list_for_each (&conn->tasks, at) {
            struct itask *t = list_entry(at, struct itask, node);
            if (t->state >= ITASK_ACTIVE && t->cmd && !t->immediate &&
                t->cmd_sn == sess->exp_cmd_sn)
                return t;
        }
    }
    return NULL;
}

/* The command with this number is over here, and never came there (it was aborted, say): a request
 * that does nothing takes its place. */
static void plug(struct iscsi_iconn *conn)
{
    struct ictl *ctl = conn->nop_sent_ns ? NULL : ictl_new(conn, 0);
    if (!ctl)
        return;
    conn->nop_itt = isess_tag(conn->sess, ISLOT_NOP);
    conn->nop_sent_ns = conn->now_ns;
    pdu_nop_out(ctl->bhs, conn->nop_itt, ISCSI_TAG_NONE, 0);
    bhs_set_immediate(ctl->bhs, false);
    ctl->plug = true;
    ctl->cmd_sn = conn->sess->exp_cmd_sn;
    ictl_queue(conn, ctl);
}

void iretry_tick(struct iscsi_iconn *conn, uint64_t now_ns)
{
    struct iscsi_isess *sess = conn->sess;
    if (now_ns < iretry_deadline(conn))
        return;
    sess->unacked_ns = now_ns;
    struct itask *t = wanted(sess);
    if (!t) {
        if (list_empty(&sess->lost)) /* else it may be with a lost connection */
            plug(conn);
        return;
    }
    struct iscsi_iconn *on = t->conn;
    if (t->state != ITASK_ACTIVE || !iconn_full_feature(on) || on->nop_sent_ns)
        return;
    on->now_ns = now_ns;
    on->probing = true;
    on->probe_sn = t->cmd_sn;
    ictl_ping(on);
}

void iretry_answered(struct iscsi_iconn *conn, const uint8_t *nop_in)
{
    struct iscsi_isess *sess = conn->sess;
    if (!conn->probing || bhs_itt(nop_in) == ISCSI_TAG_NONE || conn->failing)
        return;
    conn->probing = false;
    struct itask *t = sess->exp_cmd_sn == conn->probe_sn ? wanted(sess) : NULL;
    if (t && t->conn == conn && t->state == ITASK_ACTIVE)
        ictl_retry(t);
}
