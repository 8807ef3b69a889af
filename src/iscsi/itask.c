/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/itask.h"

#include <assert.h>

_Static_assert(ISCSI_QUEUE_DEPTH_MAX + ITMF_TASKS <= ISLOT_LOGIN, "slots of tasks and others");
_Static_assert(ISLOT_LOGOUT < (1 << ITASK_SLOT_BITS) - 1, "no tag is the reserved one");

/* ---- the pool ---- */

static bool grow(struct iscsi_isess *sess)
{
    unsigned chunk = sess->pool_count / ITASK_CHUNK;
    if (chunk == ITASK_CHUNKS_MAX)
        return false;
    struct itask *tasks = alloc_zero(sess->a, ITASK_CHUNK * sizeof *tasks);
    if (!tasks)
        return false;
    sess->chunks[chunk] = tasks;
    for (unsigned i = ITASK_CHUNK; i-- > 0;) {
        struct itask *t = &tasks[i];
        t->slot = (uint16_t)(sess->pool_count + i);
        t->sess = sess;
        list_init(&t->node);
        list_init(&t->job.node);
        list_init(&t->unsol.node);
        t->job.kind = IJOB_TASK;
        t->unsol.kind = IJOB_UNSOLICITED;
        for (unsigned k = 0; k < ISCSI_IR2T_MAX; k++) {
            list_init(&t->r2t[k].job.node);
            t->r2t[k].job.kind = IJOB_R2T;
            t->r2t[k].task = t;
        }
        t->next_free = sess->free_list;
        sess->free_list = t;
    }
    sess->pool_count += ITASK_CHUNK;
    return true;
}

struct itask *itask_get(struct iscsi_iconn *conn, bool tmf)
{
    struct iscsi_isess *sess = conn->sess;
    if (tmf ? sess->tmfs >= ITMF_TASKS : sess->active >= sess->cfg.queue_depth)
        return NULL;
    if (!sess->free_list && !grow(sess))
        return NULL;
    struct itask *t = sess->free_list;
    sess->free_list = t->next_free;
    sess->tmfs += tmf;
    sess->active += !tmf;
    t->conn = conn;
    t->state = ITASK_STARTED;
    /* A tag comes again only after many tasks: a late answer finds nothing. */
    t->itt = ++t->generation << ITASK_SLOT_BITS | t->slot;
    list_push_back(&conn->tasks, &t->node);
    conn->task_count++;
    t->cmd = NULL;
    t->tmf = NULL;
    t->function = 0;
    t->immediate = false;
    t->load = 0;
    t->victim = t->aborter = NULL;
    t->fail_err = 0;
    t->wire_refs = 0;
    t->ahs_len = 0;
    t->mending = t->resend = t->unwanted = false;
    if (iconn_erl(conn)) {
        t->retries = t->losses = 0;
        t->acked_sn = 0;
        t->epoch = conn->epoch;
    }
    return t;
}

static void put(struct itask *t)
{
    struct iscsi_isess *sess = t->sess;
    bool tmf = t->function != 0;
    list_del(&t->node);
    if (t->conn)
        t->conn->task_count--;
    sess->tmfs -= tmf;
    sess->active -= !tmf;
    t->state = ITASK_FREE;
    t->conn = NULL;
    t->next_free = sess->free_list;
    sess->free_list = t;
}

struct itask *itask_find(struct iscsi_isess *sess, uint32_t itt)
{
    uint32_t slot = itt & ((1u << ITASK_SLOT_BITS) - 1);
    if (slot >= sess->pool_count)
        return NULL;
    struct itask *t = &sess->chunks[slot / ITASK_CHUNK][slot % ITASK_CHUNK];
    return t->state == ITASK_ACTIVE && t->itt == itt ? t : NULL;
}

void itask_pool_free(struct iscsi_isess *sess)
{
    for (unsigned c = 0; c < sess->pool_count / ITASK_CHUNK; c++) {
        for (unsigned i = 0; i < ITASK_CHUNK; i++) {
            alloc_put(sess->a, sess->chunks[c][i].ahs);
            alloc_put(sess->a, sess->chunks[c][i].ranges);
            alloc_put(sess->a, sess->chunks[c][i].rec);
        }
        alloc_put(sess->a, sess->chunks[c]);
    }
}

/* ---- the end of a task ---- */

void itask_report(struct iscsi_isess *sess, struct iscsi_icmd *cmd, int err, const char *why)
{
    cmd->err = err;
    cmd->why = err ? why : NULL;
    cmd->task = NULL;
    cmd->queued = false;
    list_push_back(&sess->done, &cmd->node);
}

static void deliver(struct itask *t)
{
    struct iscsi_isess *sess = t->sess;
    if (t->cmd) {
        itask_report(sess, t->cmd, t->err, t->why);
    } else if (t->tmf) {
        t->tmf->err = t->err;
        t->tmf->why = t->err ? t->why : NULL;
        t->tmf->task = NULL;
        list_push_back(&sess->tmfs_done, &t->tmf->node);
    }
    put(t);
}

void itask_rehold(struct iscsi_iconn *conn)
{
    conn->holding = false;
    list_for_each (&conn->mending, pos) {
        const struct irec *rec = list_entry(pos, struct irec, node);
        if (rec->held && (!conn->holding || sn_lt(rec->stat_sn, conn->held_sn))) {
            conn->holding = true;
            conn->held_sn = rec->stat_sn;
        }
    }
}

void itask_spoil(struct itask *t, int err, const char *why)
{
    if (t->fail_err)
        return;
    t->fail_err = err;
    t->fail_why = why;
    t->conn->spoiled = t;
}

/* Nothing of it is to be sent or received any more on its connection. */
static void detach(struct itask *t)
{
    struct iscsi_iconn *conn = t->conn;
    list_del(&t->job.node);
    list_del(&t->unsol.node);
    for (unsigned i = 0; t->r2t_count > 0 && i < ISCSI_IR2T_MAX; i++) {
        if (!t->r2t[i].used)
            continue;
        list_del(&t->r2t[i].job.node);
        t->r2t[i].used = false;
        t->r2t_count--;
    }
    if (conn->rx_task == t) { /* what comes of the segment is thrown away */
        conn->rx_task = NULL;
        conn->rx.place = NULL;
    }
    if (conn->spoiled == t)
        conn->spoiled = NULL;
    if (t->mending) {
        list_del(&t->rec->node);
        if (conn->holding)
            itask_rehold(conn);
    }
    if (t->function && !t->tmf)
        conn->aborts--;
    conn->load -= t->load;
}

static void withdraw(struct itask *t)
{
    if (t->state == ITASK_STARTED && !t->immediate) {
        t->sess->promised--;
        t->sess->fences -= itask_is_fence(t->cmd);
    }
    if (t->conn)
        detach(t);
    if (t->aborter)
        t->aborter->victim = NULL;
    if (t->victim)
        t->victim->aborter = NULL;
    if (t->function == ISCSI_TMF_TASK_REASSIGN)
        t->sess->reassigning--;
    t->aborter = t->victim = NULL;
    t->load = 0;
}

void itask_orphan(struct itask *t)
{
    assert(t->state == ITASK_ACTIVE && t->cmd && !t->wire_refs);
    detach(t);
    if (t->aborter)
        t->aborter->victim = NULL;
    t->aborter = NULL;
    t->conn->task_count--;
    t->conn = NULL;
    t->resend = false;
    t->unsol_pos = t->unsol_end;
    t->state = ITASK_ORPHAN;
    list_del(&t->node);
}

void itask_adopt(struct itask *t, struct iscsi_iconn *conn)
{
    assert(t->state == ITASK_ORPHAN);
    list_del(&t->node);
    list_push_back(&conn->tasks, &t->node);
    t->conn = conn;
    t->lost = NULL;
    conn->task_count++;
    conn->load += t->load;
    t->epoch = conn->epoch;
    t->state = ITASK_ACTIVE;
    t->cmd->moved = true;
}

void itask_end(struct itask *t, int err, const char *why)
{
    assert(t->state != ITASK_FREE && t->state != ITASK_ENDED);
    withdraw(t);
    t->err = err;
    t->why = why;
    t->state = ITASK_ENDED;
    if (!t->wire_refs)
        deliver(t);
}

void itask_pdu_gone(struct itask *t, bool sent)
{
    assert(t->wire_refs > 0);
    if (sent && t->cmd) /* the first is the command itself */
        t->cmd->sent = true;
    if (--t->wire_refs == 0 && t->state == ITASK_ENDED)
        deliver(t);
}

/* Into the queue again, where it was: commands of other connections come back before or after it.
 * Most come after `last`, the one that came back before it; returns its own node. */
static struct list *put_back(struct iscsi_isess *sess, struct iscsi_icmd *cmd, struct list *last)
{
    struct list *queue = &sess->queue;
    if (last != queue && list_entry(last, struct iscsi_icmd, node)->place > cmd->place)
        last = queue;
    while (last->next != queue &&
           list_entry(last->next, struct iscsi_icmd, node)->place < cmd->place)
        last = last->next;
    list_push_front(last, &cmd->node);
    return &cmd->node;
}

void itask_end_list(struct iscsi_isess *sess, struct list *tasks, int err, const char *why,
                    bool requeue)
{
    struct list *last = &sess->queue;
    while (!list_empty(tasks)) {
        struct itask *t = list_entry(tasks->next, struct itask, node);
        struct iscsi_icmd *cmd = t->cmd;
        assert(t->state != ITASK_ENDED); /* those end with the wire */
        if (!requeue || !cmd || cmd->sent || cmd->canceled) {
            itask_end(t, err, why);
            continue;
        }
        withdraw(t);
        put(t);
        cmd->task = NULL;
        cmd->queued = true;
        sess->queued++;
        if (cmd->immediate)
            list_push_back(&sess->urgent, &cmd->node);
        else
            last = put_back(sess, cmd, last);
    }
}
