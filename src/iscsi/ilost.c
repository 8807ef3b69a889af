/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/ilost.h"

#include "iscsi/ictl.h"
#include "iscsi/isess.h"
#include "iscsi/isnack.h"
#include "iscsi/itask.h"
#include "iscsi/itask_tx.h"
#include "iscsi/itmf.h"

enum {
    REASSIGN_MAX = 8,        /* requests at a time: targets allow few immediate ones, 4.2.2.1 */
    LOGOUT_FOR_RECOVERY = 2, /* 11.14.1 */
    LOGOUT_OK = 0,           /* 11.15.1 */
    LOGOUT_NO_CID = 1,
    LOGOUT_NO_RECOVERY = 2,
};

/* ---- losing ---- */

static void wait_for(struct itask *orphan, struct ilost *lost)
{
    list_del(&orphan->node);
    list_push_back(&lost->tasks, &orphan->node);
    orphan->lost = lost;
    orphan->retries = 0;
    orphan->losses++;
}

bool ilost_take(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    unsigned others = 0;
    if (iconn_erl(conn) < 2 || !conn->was_up || conn->orderly || sess->closing || sess->giving_up ||
        sess->cfg.discovery)
        return false;
    list_for_each (&sess->lost, pos)
        others++;
    if (others >= ILOST_MAX)
        return false;
    struct ilost *lost = alloc_zero(sess->a, sizeof *lost);
    if (!lost)
        return false;
    lost->cid = conn->cid;
    lost->state = ISCSI_CONN_CLEANUP_WAIT;
    lost->exp_stat_sn = iconn_ack_sn(conn);
    lost->time2wait = conn->dropped ? conn->drop_wait : sess->params.time2wait;
    lost->time2retain = conn->dropped ? conn->drop_retain : sess->params.time2retain;
    lost->err = conn->err;
    lost->why = conn->why;
    lost->last = !isess_least_loaded(sess);
    list_init(&lost->tasks);
    list_push_back(&sess->lost, &lost->node);
    list_push_back(&sess->reports, &lost->report_node);
    sess->stats.lost++;
    list_for_each_safe (&conn->tasks, pos) {
        struct itask *t = list_entry(pos, struct itask, node);
        if (t->function == ISCSI_TMF_TASK_REASSIGN && t->victim)
            wait_for(t->victim, lost); /* it may be this one's by now */
        if (!t->cmd || t->state != ITASK_ACTIVE || (t->immediate && !t->cmd->sent))
            continue; /* ends, or begins anew */
        t->exp_data_sn = isnack_rewind(t);
        itask_orphan(t);
        wait_for(t, lost);
    }
    return true;
}

/* From now on the waiting times count. */
static void set_times(struct iscsi_isess *sess, uint64_t now_ns)
{
    list_for_each (&sess->lost, pos) {
        struct ilost *lost = list_entry(pos, struct ilost, node);
        if (lost->timed)
            continue;
        lost->timed = true;
        lost->wait_ns = now_ns + lost->time2wait * NS_PER_SEC;
        lost->until_ns = lost->wait_ns + lost->time2retain * NS_PER_SEC;
    }
}

/* ---- the end ---- */

/* Its tasks are settled. */
static void settled(struct iscsi_isess *sess, struct ilost *lost)
{
    list_del(&lost->node);
    lost->over = true;
    if (lost->reported)
        list_push_back(&sess->reports, &lost->report_node);
}

void ilost_end_all(struct iscsi_isess *sess, int err, const char *why, bool requeue)
{
    while (!list_empty(&sess->lost)) {
        struct ilost *lost = list_entry(sess->lost.next, struct ilost, node);
        if (lost->state != ISCSI_CONN_FREE)
            ilost_step(sess, lost, ISCSI_CONN_EV_SESSION_CLOSED);
        itask_end_list(sess, &lost->tasks, err, why, requeue);
        list_del(&lost->node);
        list_del(&lost->report_node);
        alloc_put(sess->a, lost);
    }
}

/* The session failed for good: what is left is as at level 0. */
static void session_down(struct iscsi_isess *sess, int err, const char *why)
{
    isess_down(sess, err, why);
    ilost_end_all(sess, err, why, true);
}

/* Recovery is not possible: only the reinstatement of the session ends what the target has. */
static void give_up(struct iscsi_isess *sess, int err, const char *why)
{
    sess->giving_up = true;
    list_for_each (&sess->conns, pos)
        iconn_fail(list_entry(pos, struct iscsi_iconn, node), err, why);
    if (sess->conn_count == 0)
        session_down(sess, err, why);
}

/* Is there another one whose time is not over? Those that are logged out have none. */
static bool others_have_time(const struct iscsi_isess *sess, const struct ilost *lost)
{
    list_for_each (&sess->lost, pos) {
        const struct ilost *other = list_entry(pos, struct ilost, node);
        if (other != lost && !other->free)
            return true;
    }
    return false;
}

/* Nobody logged it out in time (M1). With it go its tasks, and as nobody knows when the target ends
 * them, the session. False: there is nothing left to look at. */
static bool expire(struct iscsi_isess *sess, struct ilost *lost)
{
    static const char why[] = "a lost connection was not recovered within Time2Retain";
    bool tasks = !list_empty(&lost->tasks);
    ilost_step(sess, lost, ISCSI_CONN_EV_CLEANUP_TIMEOUT);
    if (tasks || (sess->state == ISCSI_SESS_FAILED && !others_have_time(sess, lost))) {
        if (sess->conn_count == 0)
            isess_step(sess, ISCSI_SESS_EV_TIMED_OUT);
        give_up(sess, USAN_ETIMEOUT, why);
        return false;
    }
    settled(sess, lost);
    return true;
}

void ilost_left(struct iscsi_iconn *conn, bool requeue)
{
    struct iscsi_isess *sess = conn->sess;
    list_for_each (&sess->lost, pos) {
        struct ilost *lost = list_entry(pos, struct ilost, node);
        if (lost->by != conn)
            continue;
        lost->by = NULL;
        ilost_step(sess, lost, ISCSI_CONN_EV_CLEANUP_FAILED);
    }
    if (list_empty(&sess->lost) || sess->conn_count > 0)
        return;
    if (sess->report_down || sess->state == ISCSI_SESS_FREE)
        ilost_end_all(sess, conn->err ? conn->err : USAN_ECANCELED, conn->why, requeue);
    else if (sess->giving_up || conn->close_status == ISCSI_LOGIN_NO_SUCH_SESSION)
        session_down(sess, conn->err, conn->why);
}

void iscsi_isess_abandon(struct iscsi_isess *sess, int err, const char *why)
{
    if (sess->state == ISCSI_SESS_FAILED && !list_empty(&sess->lost))
        give_up(sess, err, why);
}

/* ---- logging out ---- */

int ilost_admit(struct iscsi_isess *sess, uint16_t cid, uint64_t now_ns)
{
    set_times(sess, now_ns);
    list_for_each (&sess->lost, pos) {
        const struct ilost *lost = list_entry(pos, struct ilost, node);
        bool same = lost->cid == cid && !lost->free;
        if (same && lost->by)
            return USAN_EAGAIN;
        if ((same || sess->state == ISCSI_SESS_FAILED) && now_ns < lost->wait_ns)
            return USAN_EAGAIN;
    }
    return 0;
}

static void logged_out(struct iscsi_isess *sess, struct ilost *lost, uint64_t reassign_ns)
{
    lost->by = NULL;
    lost->free = true;
    lost->reassign_ns = reassign_ns;
    lost->later = true;
    ilost_step(sess, lost, ISCSI_CONN_EV_CLEANUP_OK);
}

bool ilost_login_begins(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    list_for_each (&sess->lost, pos) {
        const struct ilost *lost = list_entry(pos, struct ilost, node);
        if (lost->cid == conn->cid && lost->by)
            return false;
    }
    list_for_each (&sess->lost, pos) {
        struct ilost *lost = list_entry(pos, struct ilost, node);
        if (lost->cid != conn->cid || lost->free)
            continue;
        lost->by = conn;
        lost->implicit = true;
        conn->exp_stat_sn = lost->exp_stat_sn; /* 11.12.9 */
        ilost_step(sess, lost, ISCSI_CONN_EV_CLEANUP_STARTED);
    }
    return true;
}

void ilost_logged_in(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    list_for_each (&sess->lost, pos) {
        struct ilost *lost = list_entry(pos, struct ilost, node);
        if (lost->by == conn && lost->implicit)
            logged_out(sess, lost, conn->now_ns);
    }
    ilost_go_on(sess, conn->now_ns);
}

/* On a connection that lives, if there is one. */
static void log_out(struct iscsi_isess *sess, struct ilost *lost, uint64_t now_ns)
{
    struct iscsi_iconn *conn = isess_least_loaded(sess);
    if (!conn)
        return;
    if (lost->tries++ >= ISCSI_IRECOVERY_TRIES) {
        give_up(sess, USAN_EPROTO, "the target does not log a lost connection out");
        return;
    }
    struct ictl *ctl = ictl_new(conn, 0);
    if (!ctl)
        return;
    lost->by = conn;
    lost->implicit = false;
    lost->logout_itt = isess_tag(sess, ISLOT_LOGOUT);
    lost->logout_ns = now_ns + sess->cfg.request_timeout_ns;
    pdu_logout_request(ctl->bhs, lost->logout_itt, LOGOUT_FOR_RECOVERY, lost->cid);
    ictl_queue(conn, ctl);
    ilost_step(sess, lost, ISCSI_CONN_EV_CLEANUP_STARTED);
}

bool ilost_logout_response(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    struct iscsi_isess *sess = conn->sess;
    list_for_each (&sess->lost, pos) {
        struct ilost *lost = list_entry(pos, struct ilost, node);
        if (lost->by != conn || lost->implicit || lost->logout_itt != bhs_itt(bhs))
            continue;
        uint8_t code = pdu_response_code(bhs);
        if (code == LOGOUT_OK || code == LOGOUT_NO_CID) {
            /* 11.15.3; one the target has forgotten has no tasks left, as the answers will say */
            logged_out(sess, lost, conn->now_ns + pdu_logout_time2wait(bhs) * NS_PER_SEC);
            return true;
        }
        lost->by = NULL;
        lost->wait_ns = conn->now_ns + isess_recovery_timeout(sess);
        ilost_step(sess, lost, ISCSI_CONN_EV_CLEANUP_FAILED);
        if (code == LOGOUT_NO_RECOVERY)
            give_up(sess, USAN_EPROTO, "logout failed: the target does not do recovery");
        return true;
    }
    return false;
}

/* ---- reassigning ---- */

/* The task goes on, on this connection. */
static void go_on_with(struct itask *t, struct iscsi_iconn *conn, bool anew)
{
    itask_adopt(t, conn);
    if (anew)
        itask_tx_again(t);
    else
        isnack_resumed(t);
    /* Unwanted: the target may have counted its number with the ABORT TASK that was lost, 11.6.1,
     * and so not take it again. */
    if ((t->cmd->canceled || t->unwanted || t->fail_err) && itmf_abort(t))
        iconn_fail(conn, USAN_ELIMIT, "too many commands to be aborted");
}

/* False: it has to wait. */
static bool reassign_task(struct iscsi_isess *sess, struct itask *t)
{
    struct iscsi_iconn *conn = isess_least_loaded(sess);
    if (!conn)
        return false;
    /* The target waits for its number. If for a lower one, it may have this one early: it is asked,
     * for what is sent with a number that is there is ignored (4.2.2.1). If for a higher one, it
     * has begun it with the header, although the data that belongs to it did not come whole. */
    if (!t->cmd->sent && t->cmd_sn == sess->exp_cmd_sn) {
        if (t->cmd->canceled)
            itask_end(t, USAN_ECANCELED, "canceled before it was sent");
        else
            go_on_with(t, conn, true);
        return true;
    }
    if (t->retries >= ISCSI_IRECOVERY_TRIES || t->losses > ILOSSES_MAX) {
        give_up(sess, USAN_EPROTO, "the target does not reassign a task");
        return false;
    }
    if (itmf_reassign(conn, t))
        return false;
    t->retries++;
    return true;
}

static void reassign(struct iscsi_isess *sess, struct ilost *lost)
{
    list_for_each_safe (&lost->tasks, pos) {
        struct itask *t = list_entry(pos, struct itask, node);
        if (t->aborter)
            continue;
        if (sess->giving_up || sess->reassigning >= REASSIGN_MAX || !reassign_task(sess, t))
            return;
    }
}

/* 11.6.1 */
static void task_answered(struct iscsi_iconn *conn, struct itask *t, uint8_t response)
{
    struct iscsi_isess *sess = conn->sess;
    struct ilost *lost = t->lost;
    switch ((enum iscsi_tmf_response)response) {
    case ISCSI_TMF_RSP_COMPLETE:
        lost->reassigned++;
        sess->stats.reassigned++;
        t->retries = 0;
        go_on_with(t, conn, false);
        return;
    case ISCSI_TMF_RSP_NO_TASK:
    case ISCSI_TMF_RSP_NO_LUN:
        if (!t->immediate && !sn_lt(t->cmd_sn, sess->exp_cmd_sn))
            go_on_with(t, conn, true); /* it never came: its number is still waited for, 7.2.1 */
        else
            itask_end(t, USAN_ECLOSED, "the target does not know the command any more");
        return;
    case ISCSI_TMF_RSP_STILL_ALLEGIANT: /* it has not noticed yet */
        lost->reassign_ns = conn->now_ns + isess_recovery_timeout(sess);
        lost->later = true;
        return;
    case ISCSI_TMF_RSP_NO_REASSIGN:
    case ISCSI_TMF_RSP_NOT_SUPPORTED:
    case ISCSI_TMF_RSP_NOT_AUTHORIZED:
    case ISCSI_TMF_RSP_SUCCEEDED:
    case ISCSI_TMF_RSP_REJECTED:
    default:
        give_up(sess, USAN_EPROTO, "the target does not reassign a task");
        return;
    }
}

bool ilost_tmf_response(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    struct itask *t = itask_find(conn->sess, bhs_itt(bhs));
    if (!t || t->function != ISCSI_TMF_TASK_REASSIGN || t->conn != conn)
        return false;
    struct itask *orphan = t->victim;
    itask_end(t, 0, NULL);
    if (conn->aborts)
        conn->abort_deadline_ns = conn->now_ns + conn->sess->cfg.request_timeout_ns;
    if (orphan)
        task_answered(conn, orphan, pdu_response_code(bhs));
    return true;
}

/* ---- time ---- */

void ilost_go_on(struct iscsi_isess *sess, uint64_t now_ns)
{
    list_for_each_safe (&sess->lost, pos) {
        struct ilost *lost = list_entry(pos, struct ilost, node);
        if (sess->giving_up)
            return;
        if (lost->free) {
            lost->later = lost->later && now_ns < lost->reassign_ns;
            if (!lost->later)
                reassign(sess, lost);
            if (!sess->giving_up && list_empty(&lost->tasks))
                settled(sess, lost);
        } else if (!lost->timed) {
            continue;
        } else if (lost->by) {
            if (!lost->implicit && now_ns >= lost->logout_ns)
                iconn_fail(lost->by, USAN_ETIMEOUT, "no answer to a logout");
        } else if (now_ns >= lost->until_ns) {
            if (!expire(sess, lost))
                return;
        } else if (now_ns >= lost->wait_ns) {
            log_out(sess, lost, now_ns);
        }
    }
}

void iscsi_isess_tick(struct iscsi_isess *sess, uint64_t now_ns)
{
    set_times(sess, now_ns);
    ilost_go_on(sess, now_ns);
}

uint64_t iscsi_isess_deadline(const struct iscsi_isess *sess)
{
    uint64_t at = TIME_NEVER;
    list_for_each (&sess->lost, pos) {
        const struct ilost *lost = list_entry(pos, struct ilost, node);
        if (!lost->timed)
            return 0;
        if (lost->free)
            at = time_min(at, lost->later ? lost->reassign_ns : TIME_NEVER);
        else if (lost->by)
            at = time_min(at, lost->implicit ? TIME_NEVER : lost->logout_ns);
        else
            at = time_min(at, isess_least_loaded(sess) ? lost->wait_ns : lost->until_ns);
    }
    return at;
}
