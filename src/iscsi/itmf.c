/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Task management (RFC 7143 11.5, 11.6; RFC 7144), that of the owner and aborts of our own. */
#include "iscsi/itmf.h"

#include "iscsi/isess.h"
#include "iscsi/itask.h"

static const char aborted[] = "aborted by task management";

/* ---- requests ---- */

static struct itask *request(struct iscsi_iconn *conn, enum iscsi_tmf_function function,
                             uint64_t lun)
{
    struct itask *t = itask_get(conn, true);
    if (!t)
        return NULL;
    t->function = (uint8_t)function;
    t->immediate = true;
    t->lun = lun;
    t->ref_itt = ISCSI_TAG_NONE;
    t->ref_cmd_sn = 0;
    t->ref_data_sn = 0;
    list_push_back(&conn->jobs, &t->job.node);
    return t;
}

static void refer_to(struct itask *t, const struct itask *other)
{
    t->lun = other->lun;
    t->ref_itt = other->itt;
    t->ref_cmd_sn = other->cmd_sn;
}

int itmf_abort(struct itask *victim)
{
    struct iscsi_iconn *conn = victim->conn;
    struct itask *t = request(conn, ISCSI_TMF_ABORT_TASK, victim->lun);
    if (!t)
        return USAN_EAGAIN;
    refer_to(t, victim);
    t->victim = victim;
    victim->aborter = t;
    if (conn->aborts++ == 0)
        conn->abort_deadline_ns = conn->now_ns + conn->sess->cfg.request_timeout_ns;
    return 0;
}

int itmf_reassign(struct iscsi_iconn *conn, struct itask *orphan)
{
    struct itask *t = request(conn, ISCSI_TMF_TASK_REASSIGN, 0);
    if (!t)
        return USAN_EAGAIN;
    t->ref_itt = orphan->itt;
    t->ref_data_sn = orphan->exp_data_sn;
    t->victim = orphan;
    orphan->aborter = t;
    conn->sess->reassigning++;
    if (conn->aborts++ == 0)
        conn->abort_deadline_ns = conn->now_ns + conn->sess->cfg.request_timeout_ns;
    return 0;
}

/* The command was not sent: end it here. */
static void take_back(struct iscsi_isess *sess, struct iscsi_icmd *cmd, const char *why)
{
    if (cmd->task) {
        itask_end(cmd->task, USAN_ECANCELED, why);
        return;
    }
    list_del(&cmd->node);
    sess->queued--;
    itask_report(sess, cmd, USAN_ECANCELED, why);
}

static bool unsent(const struct iscsi_icmd *cmd)
{
    const struct itask *t = cmd->task;
    return cmd->queued || (t && t->state == ITASK_STARTED);
}

int iscsi_isess_cancel(struct iscsi_isess *sess, struct iscsi_icmd *cmd, uint64_t now_ns)
{
    struct itask *t = cmd->task;
    if (unsent(cmd)) {
        take_back(sess, cmd, "canceled before it was sent");
        isess_start(sess);
        return 0;
    }
    if (t && t->state == ITASK_ORPHAN) {
        cmd->canceled = true; /* once it has a connection again */
        return 0;
    }
    if (!t || t->state != ITASK_ACTIVE || t->aborter)
        return 0; /* it is ending anyway */
    t->conn->now_ns = now_ns;
    int err = itmf_abort(t);
    if (!err)
        cmd->canceled = true;
    return err;
}

static struct iscsi_iconn *any_conn(const struct iscsi_isess *sess)
{
    list_for_each (&sess->conns, pos) {
        struct iscsi_iconn *conn = list_entry(pos, struct iscsi_iconn, node);
        if (iconn_full_feature(conn))
            return conn;
    }
    return NULL;
}

static bool refers_to_task(enum iscsi_tmf_function function)
{
    return function == ISCSI_TMF_ABORT_TASK || function == ISCSI_TMF_QUERY_TASK;
}

static int check(const struct iscsi_isess *sess, const struct iscsi_itmf *tmf)
{
    if (tmf->function < ISCSI_TMF_ABORT_TASK || tmf->function > ISCSI_TMF_QUERY_ASYNC_EVENT ||
        (refers_to_task(tmf->function) && (!tmf->cmd || !(tmf->cmd->task || tmf->cmd->queued))))
        return USAN_EINVAL;
    if (sess->cfg.discovery || tmf->function == ISCSI_TMF_TASK_REASSIGN ||
        (tmf->function >= ISCSI_TMF_QUERY_TASK && sess->params.protocol_level < 2))
        return USAN_ENOTSUP;
    return 0;
}

static void answer(struct iscsi_isess *sess, struct iscsi_itmf *tmf, uint8_t response)
{
    tmf->err = 0;
    tmf->why = NULL;
    tmf->response = response;
    tmf->info = 0;
    tmf->task = NULL;
    list_push_back(&sess->tmfs_done, &tmf->node);
}

int iscsi_isess_tmf(struct iscsi_isess *sess, struct iscsi_itmf *tmf, uint64_t now_ns)
{
    int err = check(sess, tmf);
    if (err)
        return err;
    struct iscsi_iconn *conn = any_conn(sess);
    struct itask *other = NULL;
    if (refers_to_task(tmf->function)) {
        if (unsent(tmf->cmd)) { /* the target knows nothing of it */
            if (tmf->function == ISCSI_TMF_ABORT_TASK)
                take_back(sess, tmf->cmd, aborted);
            answer(sess, tmf, 0);
            return 0;
        }
        other = tmf->cmd->task;
        if (other->state == ITASK_ORPHAN)
            return USAN_ECLOSED;
        if (other->state != ITASK_ACTIVE) {
            answer(sess, tmf, 1);
            return 0;
        }
        /* 11.5.1: on the connection of the task */
        conn = iconn_full_feature(other->conn) ? other->conn : NULL;
    }
    if (!conn)
        return USAN_ECLOSED;
    conn->now_ns = now_ns;
    struct itask *t = request(conn, tmf->function, tmf->lun);
    if (!t)
        return USAN_EAGAIN;
    if (other) {
        refer_to(t, other);
        other->unwanted |= tmf->function == ISCSI_TMF_ABORT_TASK;
    }
    t->tmf = tmf;
    tmf->task = t;
    return 0;
}

/* ---- answers ---- */

/* End all commands that were sent before the request, of its logical unit or of all. */
static void end_commands(struct iscsi_isess *sess, const struct itask *tmf, uint64_t lun, bool all)
{
    list_for_each (&sess->conns, pos) {
        struct iscsi_iconn *conn = list_entry(pos, struct iscsi_iconn, node);
        list_for_each_safe (&conn->tasks, at) {
            struct itask *t = list_entry(at, struct itask, node);
            if (t->cmd && t->state == ITASK_ACTIVE && (all || t->lun == lun) &&
                (!tmf || sn_lt(t->order, tmf->order)))
                itask_end(t, USAN_ECANCELED, aborted);
        }
    }
}

void itmf_terminated(struct iscsi_isess *sess, uint64_t lun)
{
    end_commands(sess, NULL, lun, false);
}

/* What a successful request did to our commands: 11.5.1, 4.2.3.3. */
static void take_effect(struct itask *t)
{
    struct iscsi_isess *sess = t->sess;
    switch ((enum iscsi_tmf_function)t->function) {
    case ISCSI_TMF_ABORT_TASK_SET:
    case ISCSI_TMF_CLEAR_TASK_SET:
    case ISCSI_TMF_LOGICAL_UNIT_RESET:
        end_commands(sess, t, t->lun, false);
        break;
    case ISCSI_TMF_TARGET_WARM_RESET:
    case ISCSI_TMF_TARGET_COLD_RESET:
    case ISCSI_TMF_I_T_NEXUS_RESET:
        end_commands(sess, t, 0, true);
        break;
    case ISCSI_TMF_ABORT_TASK:
    case ISCSI_TMF_CLEAR_ACA:
    case ISCSI_TMF_TASK_REASSIGN:
    case ISCSI_TMF_QUERY_TASK:
    case ISCSI_TMF_QUERY_TASK_SET:
    case ISCSI_TMF_QUERY_ASYNC_EVENT:
    default:
        break;
    }
}

/* The answer to an abort of our own. */
static void own_abort_done(struct iscsi_iconn *conn, struct itask *victim, uint8_t response)
{
    /* "does not exist": its answer would have come before this one */
    if (response <= ISCSI_TMF_RSP_NO_TASK) {
        itask_end(victim, victim->fail_err ? victim->fail_err : USAN_ECANCELED,
                  victim->fail_err ? victim->fail_why : "canceled");
        return;
    }
    victim->cmd->canceled = false;
    if (victim->fail_err)
        iconn_fail(conn, victim->fail_err, victim->fail_why);
}

void itmf_response(struct iscsi_iconn *conn, const uint8_t *bhs)
{
    struct itask *t = itask_find(conn->sess, bhs_itt(bhs));
    uint8_t response = pdu_response_code(bhs);

    if (!t || !t->function || t->conn != conn) {
        iconn_fail(conn, USAN_EPROTO, "a task management response that was not asked for");
        return;
    }
    if (t->tmf) {
        t->tmf->response = response;
        t->tmf->info = pdu_tmf_response_info(bhs);
        struct itask *other = itask_find(conn->sess, t->ref_itt);
        if (response <= ISCSI_TMF_RSP_NO_TASK && t->function == ISCSI_TMF_ABORT_TASK && other)
            itask_end(other, USAN_ECANCELED, aborted);
        else if (response == ISCSI_TMF_RSP_COMPLETE)
            take_effect(t);
    } else if (t->victim) {
        own_abort_done(conn, t->victim, response);
    }
    itask_end(t, 0, NULL);
    if (conn->aborts) /* the others have their time from now on */
        conn->abort_deadline_ns = conn->now_ns + conn->sess->cfg.request_timeout_ns;
}
