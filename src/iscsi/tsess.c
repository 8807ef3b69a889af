/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions: the command window and order of CmdSN (RFC 7143 4.2.2.1), and the pool of tasks. */
#include "iscsi/tsess.h"

#include <assert.h>

static struct ttask *task_at(const struct iscsi_tsess *s, uint32_t slot)
{
    uint8_t *chunk = s->chunks[slot / TSESS_CHUNK];
    return (struct ttask *)(void *)(chunk + s->task_bytes * (slot % TSESS_CHUNK));
}

/* free_list stays empty when there is no more. */
static void pool_grow(struct iscsi_tsess *s)
{
    if (s->pool_count >= s->pool_max)
        return;
    uint8_t *chunk = alloc_zero(s->a, s->task_bytes * TSESS_CHUNK);
    if (!chunk)
        return;
    s->chunks[s->pool_count / TSESS_CHUNK] = chunk;
    s->pool_count += TSESS_CHUNK;
    for (uint32_t slot = s->pool_count; slot-- > s->pool_count - TSESS_CHUNK;) {
        struct ttask *t = task_at(s, slot);
        t->sess = s;
        t->slot = (uint16_t)slot;
        t->pub.priv = t->priv_align;
        t->pub.cdb = t->cdb;
        list_init(&t->node);
        list_init(&t->event);
        list_init(&t->job.node);
        t->hash_next = s->free_list;
        s->free_list = t;
    }
}

struct iscsi_tsess *iscsi_tsess_new(const struct iscsi_tconn *conn, uint16_t tsih,
                                    const struct alloc *a)
{
    struct iscsi_tsess *s = alloc_zero(a, sizeof *s);
    if (!s)
        return NULL;
    s->a = a;
    s->tsih = tsih;
    s->state = ISCSI_SESS_FREE;
    memcpy(s->isid, conn->isid, sizeof s->isid);
    list_init(&s->conns);
    list_init(&s->held);
    list_init(&s->tasks);
    s->depth = s->window = conn->discovery ? 1 : conn->cfg.queue_depth;
    s->pool_max = (s->depth + TSESS_IMMEDIATE_TASKS + TSESS_CHUNK - 1) / TSESS_CHUNK * TSESS_CHUNK;
    s->task_bytes = (sizeof(struct ttask) + conn->cfg.task_priv_bytes + 63) & ~(size_t)63;
    uint32_t buckets = 16;
    while (buckets < 2 * s->pool_max)
        buckets *= 2;
    s->hash_mask = buckets - 1;
    s->initiator_name = alloc_strdup(a, iscsi_login_initiator_name(conn->login));
    s->hash = alloc_zero(a, sizeof(struct ttask *) * buckets);
    pool_grow(s);
    if (!s->initiator_name || !s->hash || !s->free_list) {
        iscsi_tsess_free(s);
        return NULL;
    }
    s->exp_cmd_sn = conn->first_cmd_sn;
    s->max_cmd_sn = s->exp_cmd_sn + s->window - 1;
    return s;
}

void iscsi_tsess_free(struct iscsi_tsess *s)
{
    if (!s)
        return;
    assert(list_empty(&s->conns));
    for (uint32_t i = 0; i < s->pool_count; i++) {
        alloc_put(s->a, task_at(s, i)->stash);
        alloc_put(s->a, task_at(s, i)->ranges);
    }
    for (uint32_t i = 0; i < s->pool_count / TSESS_CHUNK; i++)
        alloc_put(s->a, s->chunks[i]);
    alloc_put(s->a, s->initiator_name);
    alloc_put(s->a, s->hash);
    alloc_put(s->a, s);
}

uint16_t iscsi_tsess_tsih(const struct iscsi_tsess *s)
{
    return s->tsih;
}

const char *iscsi_tsess_initiator(const struct iscsi_tsess *s)
{
    return s->initiator_name;
}

const uint8_t *iscsi_tsess_isid(const struct iscsi_tsess *s)
{
    return s->isid;
}

unsigned iscsi_tsess_conn_count(const struct iscsi_tsess *s)
{
    return s->conn_count;
}

unsigned iscsi_tsess_task_count(const struct iscsi_tsess *s)
{
    return s->task_count;
}

const char *iscsi_tsess_state(const struct iscsi_tsess *s)
{
    return iscsi_sess_state_name(s->state);
}

void iscsi_tsess_set_window(struct iscsi_tsess *s, uint32_t n)
{
    if (n < 1)
        n = 1;
    s->window = n < s->depth ? n : s->depth;
}

struct iscsi_task *iscsi_tsess_next_task(struct iscsi_tsess *s, struct iscsi_task *prev)
{
    struct list *pos = prev ? &ttask_of(prev)->node : &s->tasks;
    for (pos = pos->next; pos != &s->tasks; pos = pos->next) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->state == TTASK_OWNED)
            return &t->pub;
    }
    return NULL;
}

void tsess_leave(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess;
    if (!s)
        return;
    list_del(&conn->node);
    s->conn_count--;
    conn->sess = NULL;
}

/* ---- the command window ---- */

uint32_t tsess_max_cmd_sn(struct iscsi_tsess *s)
{
    uint32_t room = s->window > s->outstanding ? s->window - s->outstanding : 0;
    uint32_t max = s->exp_cmd_sn + room - 1;
    if (sn_lt(s->max_cmd_sn, max))
        s->max_cmd_sn = max;
    return s->max_cmd_sn;
}

enum tsess_order tsess_take_cmd_sn(struct iscsi_tsess *s, uint32_t cmd_sn, bool immediate)
{
    if (immediate)
        return TSESS_NOW;
    /* "the target MUST silently ignore any non-immediate command outside of this range or
     * non-immediate duplicates within the range", 4.2.2.1 */
    if (sn_lt(cmd_sn, s->exp_cmd_sn) || sn_lt(s->max_cmd_sn, cmd_sn))
        return TSESS_IGNORE;
    if (cmd_sn == s->exp_cmd_sn) {
        s->exp_cmd_sn++;
        return TSESS_NOW;
    }
    list_for_each (&s->held, pos)
        if (list_entry(pos, struct ttask, node)->pub.cmd_sn == cmd_sn)
            return TSESS_IGNORE;
    return TSESS_LATER;
}

void tsess_hold(struct iscsi_tsess *s, struct ttask *t)
{
    struct list *pos = s->held.prev;
    while (pos != &s->held && sn_lt(t->pub.cmd_sn, list_entry(pos, struct ttask, node)->pub.cmd_sn))
        pos = pos->prev;
    list_del(&t->node);
    list_insert_between(&t->node, pos, pos->next);
    t->state = TTASK_HELD;
}

struct ttask *tsess_next_held(struct iscsi_tsess *s)
{
    while (!list_empty(&s->held)) {
        struct ttask *t = list_entry(s->held.next, struct ttask, node);
        if (t->pub.cmd_sn != s->exp_cmd_sn)
            return NULL;
        s->exp_cmd_sn++;
        list_del(&t->node);
        if (!t->ghost) {
            list_push_back(&s->tasks, &t->node);
            return t;
        }
        tsess_task_put(t);
    }
    return NULL;
}

/* ---- the task pool ---- */

static uint32_t bucket_of(const struct iscsi_tsess *s, uint32_t itt)
{
    return (itt * 2654435761u >> 12) & s->hash_mask;
}

struct ttask *tsess_find(struct iscsi_tsess *s, uint32_t itt)
{
    struct ttask *t = s->hash[bucket_of(s, itt)];
    while (t && t->pub.itt != itt)
        t = t->hash_next;
    return t;
}

struct ttask *tsess_find_ttt(struct iscsi_tsess *s, uint32_t ttt, struct tburst **ret_burst)
{
    uint32_t slot = ttt >> 20;
    if (slot >= s->pool_count)
        return NULL;
    struct ttask *t = task_at(s, slot);
    if (t->state != TTASK_OWNED)
        return NULL;
    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        if (t->bursts[i].active && t->bursts[i].ttt == ttt) {
            *ret_burst = &t->bursts[i];
            return t;
        }
    return NULL;
}

struct ttask *tsess_task_get(struct iscsi_tsess *s, uint32_t itt, bool immediate)
{
    /* Their share is theirs alone: a command within the window it was shown finds a task. */
    if (immediate && s->immediate_count >= TSESS_IMMEDIATE_TASKS)
        return NULL;
    if (!s->free_list)
        pool_grow(s);
    struct ttask *t = s->free_list;
    if (!t)
        return NULL;
    s->free_list = t->hash_next;

    uint32_t b = bucket_of(s, itt);
    t->hash_next = s->hash[b];
    s->hash[b] = t;
    t->pub.itt = itt;
    t->pub.cdb_len = 16;
    t->pub.tmf = 0;
    t->pub.immediate = immediate;
    t->pub.data_err = 0;
    t->generation++;
    t->state = TTASK_OWNED;
    t->job.kind = TXJOB_IDLE;
    t->ghost = t->data_ready = t->data_done = t->wants = t->unsolicited = false;
    t->on_wire = t->dropped = false;
    t->got = t->asked = t->unsol_got = t->want_len = 0;
    t->r2t_sn = t->data_sn = t->burst_pos = 0;
    t->in_pos = 0;
    t->in_skip = 0;
    t->counted = !immediate;
    if (t->counted)
        s->outstanding++;
    else
        s->immediate_count++;
    list_push_back(&s->tasks, &t->node);
    s->task_count++;
    return t;
}

bool tsess_hold_place(struct iscsi_tconn *conn, uint32_t cmd_sn)
{
    struct ttask *ghost = tsess_task_get(conn->sess, ISCSI_TAG_NONE, true);

    if (!ghost) { /* without its place the sequence would stand still for good */
        tconn_close(conn, USAN_ELIMIT, "too many requests ahead of their turn");
        return false;
    }
    ghost->ghost = true;
    ghost->conn = conn;
    ghost->pub.cmd_sn = cmd_sn;
    tsess_hold(conn->sess, ghost);
    return true;
}

bool tsess_pass_turn(struct iscsi_tconn *conn, uint32_t cmd_sn, bool immediate)
{
    enum tsess_order order = tsess_take_cmd_sn(conn->sess, cmd_sn, immediate);

    if (order != TSESS_LATER)
        return order == TSESS_NOW;
    return tsess_hold_place(conn, cmd_sn);
}

void tsess_uncount(struct ttask *t)
{
    if (t->counted) {
        t->counted = false;
        t->sess->outstanding--;
    }
}

void tsess_task_put(struct ttask *t)
{
    struct iscsi_tsess *s = t->sess;
    struct ttask **p = &s->hash[bucket_of(s, t->pub.itt)];

    while (*p != t)
        p = &(*p)->hash_next;
    *p = t->hash_next;
    tsess_uncount(t);
    if (t->pub.immediate)
        s->immediate_count--;
    list_del(&t->node);
    list_del(&t->event);
    txjob_cancel(&t->job);
    if (t->r2t_sn)
        for (unsigned i = 0; i < TTASK_BURSTS; i++)
            t->bursts[i].active = false;
    if (t->stash) {
        alloc_put(s->a, t->stash);
        t->stash = NULL;
    }
    t->state = TTASK_FREE;
    t->conn = NULL;
    t->hash_next = s->free_list;
    s->free_list = t;
    s->task_count--;
}
