/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tlogout.h"
#include "iscsi/tawait.h"
#include "iscsi/tctl.h"
#include "iscsi/tgap.h"
#include "iscsi/tjoin.h"

enum { /* 11.14.1, 11.15.1 */
       LOGOUT_CLOSE_SESSION = 0,
       LOGOUT_CLOSE_CONNECTION = 1,
       LOGOUT_RECOVERY = 2,
       LOGOUT_RSP_OK = 0,
       LOGOUT_RSP_NO_CID = 1,
       LOGOUT_RSP_NO_RECOVERY = 2,
};

/* The owner is to abort what it has of this connection. */
static void end_tasks(struct iscsi_tconn *conn)
{
    list_for_each (&conn->sess->tasks, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->conn != conn || t->state != TTASK_OWNED)
            continue;
        t->end_due = true;
        ttask_event(t);
    }
}

/* This connection is logged out, or the session is. */
static void end_own(struct iscsi_tconn *conn, struct tctl *ctl, bool session, bool recovery)
{
    conn->recovery_logout = recovery;
    ctl->closes = true;
    conn->close_err = 0;
    conn->close_why = "logout";
    tconn_event(conn, ISCSI_CONN_EV_LOGOUT_STARTED);
    if (recovery) { /* its tasks go on */
        tctl_queue(conn, ctl);
        return;
    }
    tgap_drop_held(conn);
    end_tasks(conn);
    tawait_logout(conn, ctl, session, conn->cid);
}

enum treq tlogout_request(struct iscsi_tconn *conn, const uint8_t *bhs)
{
    const struct pdu_logout_request q = pdu_logout_request_decode(bhs);
    bool recovery = q.reason == LOGOUT_RECOVERY, session = q.reason == LOGOUT_CLOSE_SESSION;
    uint8_t response = LOGOUT_RSP_OK;

    if (q.reason > LOGOUT_RECOVERY) {
        tctl_reject(conn, ISCSI_REJECT_INVALID_FIELD, bhs);
        return TREQ_REJECTED;
    }
    if (recovery && conn->erl < 2)
        response = LOGOUT_RSP_NO_RECOVERY;
    bool ours = response == LOGOUT_RSP_OK && (session || q.cid == conn->cid);
    if (response == LOGOUT_RSP_OK && !ours)
        response = tjoin_logout(conn, q.cid, recovery);
    struct tctl *ctl = tctl_new(conn, 0);
    if (!ctl)
        return TREQ_DONE;
    pdu_logout_response(ctl->bhs, bhs_itt(bhs), response, conn->params.time2wait,
                        conn->params.time2retain);
    if (response == LOGOUT_RSP_OK && (!ours || (session && conn->sess->live > 1))) {
        conn->report_logout_other = true;
        conn->logout_cid = session ? 0 : q.cid;
    }
    if (session)
        tjoin_logout_session(conn);
    if (ours)
        end_own(conn, ctl, session, recovery);
    else if (recovery)
        tctl_queue(conn, ctl);
    else /* also of one that had ended before: its commands may not have */
        tawait_logout(conn, ctl, false, q.cid);
    return TREQ_DONE;
}
