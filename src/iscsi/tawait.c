/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tawait.h"
#include "iscsi/tctl.h"

/* ---- the tasks ---- */

/* With the owner, and to end because the connection with that CID was logged out, closed or
 * replaced? A command that has no connection and waits for none is being aborted as well. */
static bool ends_with(const struct ttask *t, uint16_t cid)
{
    if (t->state != TTASK_OWNED)
        return false;
    if (!t->conn)
        return !t->lost && !t->pub.tmf;
    return t->conn->cid == cid && t->conn->closing && !t->conn->retained;
}

static bool any_ends_with(const struct iscsi_tsess *s, uint16_t cid)
{
    list_for_each (&s->tasks, pos)
        if (ends_with(list_entry(pos, struct ttask, node), cid))
            return true;
    return false;
}

static bool any_owned(const struct iscsi_tsess *s)
{
    list_for_each (&s->tasks, pos)
        if (list_entry(pos, struct ttask, node)->state == TTASK_OWNED)
            return true;
    return false;
}

/* ---- Logout Response ---- */

static bool logout_waits(const struct tctl *ctl)
{
    const struct iscsi_tsess *s = ctl->conn->sess;

    return ctl->session ? any_owned(s) : any_ends_with(s, ctl->cid);
}

void tawait_logout(struct iscsi_tconn *conn, struct tctl *ctl, bool session, uint16_t cid)
{
    ctl->conn = conn;
    ctl->session = session;
    ctl->cid = cid;
    if (ctl->closes)
        conn->closing = true; /* its tasks are to end; nothing more is taken in */
    if (!logout_waits(ctl)) {
        tctl_queue(conn, ctl);
        return;
    }
    list_push_back(&conn->sess->logouts, &ctl->job.node);
    conn->sess->awaited++;
}

static void look_at_logouts(struct iscsi_tsess *s)
{
    list_for_each_safe (&s->logouts, pos) {
        struct tctl *ctl = list_entry(pos, struct tctl, job.node);
        if (logout_waits(ctl))
            continue;
        list_del(&ctl->job.node);
        tctl_queue(ctl->conn, ctl);
        s->awaited--;
    }
}

/* ---- Login Response ---- */

bool tawait_bind(struct iscsi_tconn *conn)
{
    if (!any_ends_with(conn->sess, conn->cid))
        return false;
    conn->bind_waits = true;
    conn->sess->awaited++;
    return true;
}

static void look_at_binds(struct iscsi_tsess *s)
{
    list_for_each (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (!c->bind_waits || any_ends_with(s, c->cid))
            continue;
        c->bind_waits = false;
        c->bind_due = true;
        tconn_kick(c);
        s->awaited--;
    }
}

/* ---- TMF Response: the tasks ---- */

/* Of what it does, only this leaves tasks that may go on for long. */
static bool concerns(const struct ttask *tmf, const struct ttask *t)
{
    switch (tmf->pub.tmf) {
    case ISCSI_TMF_ABORT_TASK:
        return t->pub.itt == tmf->pub.ref_itt && t->pub.lun == tmf->pub.lun;
    case ISCSI_TMF_ABORT_TASK_SET:
    case ISCSI_TMF_CLEAR_TASK_SET:
    case ISCSI_TMF_LOGICAL_UNIT_RESET:
        return t->pub.lun == tmf->pub.lun;
    case ISCSI_TMF_TARGET_WARM_RESET:
    case ISCSI_TMF_TARGET_COLD_RESET:
    case ISCSI_TMF_I_T_NEXUS_RESET:
        return true;
    default:
        return false;
    }
}

/* Was it carried out? "No task" is said of one that has ended, but may not be answered yet. */
static bool took_effect(const struct ttask *tmf)
{
    return tmf->response == ISCSI_TMF_RSP_COMPLETE ||
           (tmf->response == ISCSI_TMF_RSP_NO_TASK && tmf->pub.tmf == ISCSI_TMF_ABORT_TASK);
}

/* Has the owner still one of the commands that it is about? Those came up before it. */
static bool tasks_left(const struct ttask *tmf)
{
    if (!took_effect(tmf))
        return false;
    for (struct list *pos = tmf->sess->tasks.next; pos != &tmf->node; pos = pos->next) {
        const struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->state == TTASK_OWNED && !t->pub.tmf && concerns(tmf, t))
            return true;
    }
    return false;
}

/* ---- TMF Response: the fence ---- */

/* Answers of several tasks are on several connections: 4.2.2.3.4. */
static bool needs_fence(const struct ttask *tmf)
{
    if (tmf->response != ISCSI_TMF_RSP_COMPLETE || tmf->sess->live < 2)
        return false;
    return tmf->pub.tmf == ISCSI_TMF_CLEAR_ACA ||
           (tmf->pub.tmf != ISCSI_TMF_ABORT_TASK && concerns(tmf, tmf));
}

/* How many StatSNs what is queued will take. */
static uint32_t stat_sns_queued(const struct iscsi_tconn *c)
{
    uint32_t n = 0;

    list_for_each (&c->jobs, pos) {
        struct txjob *job = list_entry(pos, struct txjob, node);
        if (job->kind == TXJOB_CTL)
            n += list_entry(job, struct tctl, job)->takes_stat_sn;
        else if (job->kind == TXJOB_RESPONSE)
            n += !list_entry(job, struct ttask, job)->again;
        else if (job->kind == TXJOB_KEPT)
            n += list_entry(job, struct tkept, job)->moved;
        else
            n += job->kind == TXJOB_TMF;
    }
    return n;
}

/* All statuses of the other connections up to now are to be acknowledged. A NOP-In behind them asks
 * for that. true: there is one to wait for. */
static bool raise_fence(const struct ttask *tmf)
{
    struct iscsi_tsess *s = tmf->sess;

    list_for_each (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (c == tmf->conn || c->closing || c->login)
            continue;
        uint32_t sn = c->stat_sn + stat_sns_queued(c);
        if (!sn_lt(c->seen_stat_sn, sn))
            continue;
        c->fence_sn = sn;
        if (!c->fenced)
            s->fences++;
        c->fenced = true;
        c->fence_since_ns = 0; /* the next tick sets that, and asks */
        tconn_ask(c);
    }
    return s->fences > 0;
}

static void open_fence(struct iscsi_tconn *c)
{
    c->fenced = false;
    c->sess->fences--;
}

void tawait_ack(struct iscsi_tconn *c, uint32_t exp_stat_sn)
{
    if (!sn_lt(c->seen_stat_sn, exp_stat_sn) || sn_lt(c->stat_sn, exp_stat_sn))
        return;
    c->seen_stat_sn = exp_stat_sn;
    if (!c->fenced || sn_lt(exp_stat_sn, c->fence_sn))
        return;
    open_fence(c);
    tawait_look(c->sess);
}

uint64_t tawait_tick(struct iscsi_tconn *c)
{
    if (!c->fenced)
        return TIME_NEVER;
    if (!c->fence_since_ns)
        c->fence_since_ns = c->now_ns;
    if (c->now_ns < c->fence_since_ns + TCONN_FENCE_NS)
        return c->fence_since_ns + TCONN_FENCE_NS;
    open_fence(c);
    tawait_look(c->sess);
    return TIME_NEVER;
}

/* ---- TMF Response ---- */

static void send_tmf(struct ttask *t)
{
    t->state = TTASK_SENDING;
    txjob_queue(t->conn, &t->job, TXJOB_TMF);
}

/* It waits in sess->tmfs: first for its tasks, then at the fence (t->fenced). */
static bool tmf_waits(struct ttask *t)
{
    if (t->fenced)
        return t->sess->fences > 0;
    if (tasks_left(t))
        return true;
    if (!needs_fence(t))
        return false;
    t->fenced = true;
    return raise_fence(t);
}

void tawait_tmf(struct ttask *t)
{
    struct iscsi_tsess *s = t->sess;

    t->fenced = false;
    t->state = TTASK_FENCED;
    t->job.kind = TXJOB_TMF;
    list_push_back(&s->tmfs, &t->job.node);
    s->awaited++;
    tawait_look(s);
}

/* In their order, each behind those that came before it. */
static void look_at_tmfs(struct iscsi_tsess *s)
{
    list_for_each_safe (&s->tmfs, pos) {
        struct ttask *t = list_entry(pos, struct ttask, job.node);
        if (tmf_waits(t))
            continue;
        send_tmf(t);
        s->awaited--;
    }
}

/* ---- all ---- */

void tawait_look(struct iscsi_tsess *s)
{
    look_at_tmfs(s);
    look_at_logouts(s);
    look_at_binds(s);
}

void tawait_closed(struct iscsi_tconn *c)
{
    struct iscsi_tsess *s = c->sess;

    list_for_each_safe (&s->logouts, pos) {
        struct tctl *ctl = list_entry(pos, struct tctl, job.node);
        if (ctl->conn != c)
            continue;
        list_del(&ctl->job.node);
        alloc_put(c->a, ctl);
        s->awaited--;
    }
    list_for_each_safe (&s->tmfs, pos) {
        struct ttask *t = list_entry(pos, struct ttask, job.node);
        if (t->conn != c)
            continue;
        txjob_cancel(&t->job);
        t->state = TTASK_SENT; /* to nobody */
        ttask_event(t);
        s->awaited--;
    }
    s->awaited -= c->bind_waits;
    c->bind_waits = false;
    if (c->fenced)
        open_fence(c);
    if (s->awaited)
        tawait_look(s);
}
