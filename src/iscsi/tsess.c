/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions: the command window and order of CmdSN (RFC 7143 4.2.2.1), and the pool of tasks. */
#include "iscsi/tsess.h"
#include "iscsi/tkeep.h"
#include "iscsi/tlost.h"

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
    s->steps = conn->cfg.steps;
    s->state = ISCSI_SESS_FREE;
    list_init(&s->conns);
    list_init(&s->kicks);
    list_init(&s->held);
    list_init(&s->tasks);
    list_init(&s->kept);
    list_init(&s->logins);
    list_init(&s->logouts);
    list_init(&s->tmfs);
    list_init(&s->lost);
    list_init(&s->events);
    s->depth = s->window = conn->discovery ? 1 : conn->cfg.queue_depth;
    const struct iscsi_params *p = iscsi_login_params(conn->login);
    uint32_t answered = p->max_connections;
    if (answered > TSESS_ANSWERED_TASKS)
        answered = TSESS_ANSWERED_TASKS;
    _Static_assert(TSESS_IMMEDIATE_TASKS + TSESS_ANSWERED_TASKS + TSESS_KEEP_TASKS + TSESS_CHUNK -
                           1 <=
                       ISCSI_EXTRA_TASKS_MAX,
                   "owners have room for so many");
    s->pool_max = s->depth + TSESS_IMMEDIATE_TASKS + answered;
    if (p->error_recovery_level > 0)
        s->pool_max += TSESS_KEEP_TASKS;
    s->pool_max = (s->pool_max + TSESS_CHUNK - 1) / TSESS_CHUNK * TSESS_CHUNK;
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

/* What it took to note pieces beyond a few. */
static void ranges_put(struct ttask *t)
{
    if (t->ranges)
        for (unsigned i = 0; i < TTASK_BURSTS; i++)
            tranges_clear(&t->ranges[i], t->sess->a);
}

void iscsi_tsess_free(struct iscsi_tsess *s)
{
    if (!s)
        return;
    assert(list_empty(&s->conns));
    tlost_free_all(s);
    for (uint32_t i = 0; i < s->pool_count; i++) {
        tsess_stash_put(task_at(s, i));
        alloc_put(s->a, tsess_take_late(task_at(s, i)));
        ranges_put(task_at(s, i));
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

void tsess_join(struct iscsi_tconn *conn, struct iscsi_tsess *s)
{
    assert(!conn->sess);
    conn->sess = s;
    conn->max_cmd_sn = s->exp_cmd_sn - 1;
    list_push_back(&s->conns, &conn->node);
    s->conn_count++;
    s->live++;
}

void tsess_leave(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess;
    if (!s)
        return;
    list_del(&conn->node);
    list_del(&conn->kick);
    s->conn_count--;
    if (!conn->retained)
        alloc_put(s->a, conn->lost);
    conn->lost = NULL;
    conn->sess = NULL;
}

/* ---- the command window ---- */

uint32_t tsess_max_cmd_sn(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess;
    uint32_t taken = s->outstanding - conn->answered;
    uint32_t max = s->exp_cmd_sn + (s->window > taken ? s->window - taken : 0) - 1;

    if (sn_lt(conn->max_cmd_sn, max))
        conn->max_cmd_sn = max;
    if (sn_lt(s->max_cmd_sn, max))
        s->max_cmd_sn = max;
    return conn->max_cmd_sn;
}

enum tsess_order tsess_order(const struct iscsi_tsess *s, uint32_t cmd_sn, bool immediate)
{
    if (immediate)
        return TSESS_NOW;
    /* "the target MUST silently ignore any non-immediate command outside of this range or
     * non-immediate duplicates within the range", 4.2.2.1 */
    if (sn_lt(cmd_sn, s->exp_cmd_sn) || sn_lt(s->max_cmd_sn, cmd_sn))
        return TSESS_IGNORE;
    if (cmd_sn == s->exp_cmd_sn)
        return TSESS_NOW;
    list_for_each (&s->held, pos) {
        const struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->pub.cmd_sn == cmd_sn && !t->pub.immediate)
            return t->dropped ? TSESS_LATER : TSESS_IGNORE;
    }
    return TSESS_LATER;
}

void tsess_received(struct iscsi_tsess *s, enum tsess_order order, bool immediate)
{
    if (order == TSESS_NOW && !immediate)
        s->exp_cmd_sn++;
}

void tsess_not_received(struct iscsi_tsess *s)
{
    s->exp_cmd_sn--;
}

/* An immediate request has the CmdSN of the one that follows it, 4.2.2.1. */
static bool turn_before(const struct ttask *a, const struct ttask *b)
{
    return sn_lt(a->pub.cmd_sn, b->pub.cmd_sn) ||
           (a->pub.cmd_sn == b->pub.cmd_sn && a->pub.immediate && !b->pub.immediate);
}

void tsess_hold(struct iscsi_tsess *s, struct ttask *t)
{
    struct list *pos = s->held.prev;
    while (pos != &s->held && turn_before(t, list_entry(pos, struct ttask, node)))
        pos = pos->prev;
    list_del(&t->node);
    list_insert_between(&t->node, pos, pos->next);
    t->state = TTASK_HELD;
    if (pos != &s->held && !t->pub.immediate) {
        struct ttask *before = list_entry(pos, struct ttask, node);
        if (before->dropped && before->pub.cmd_sn == t->pub.cmd_sn)
            tsess_task_put(before); /* this is it once more */
    }
}

bool tsess_holds(const struct iscsi_tconn *conn)
{
    if (conn->sess)
        list_for_each (&conn->sess->held, pos)
            if (list_entry(pos, struct ttask, node)->conn == conn)
                return true;
    return false;
}

bool tsess_owner_has(const struct iscsi_tconn *conn)
{
    if (!conn->sess)
        return false;
    list_for_each (&conn->sess->tasks, pos) {
        const struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->conn == conn && t->state == TTASK_OWNED)
            return true;
    }
    return false;
}

struct ttask *tsess_next_held(struct iscsi_tsess *s)
{
    while (!list_empty(&s->held)) {
        struct ttask *t = list_entry(s->held.next, struct ttask, node);
        if (sn_lt(s->exp_cmd_sn, t->pub.cmd_sn))
            return NULL;
        if (t->pub.cmd_sn == s->exp_cmd_sn && !t->pub.immediate)
            s->exp_cmd_sn++;
        list_del(&t->node);
        if (!t->ghost || t->late) {
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

static void hash_insert(struct ttask *t)
{
    struct iscsi_tsess *s = t->sess;
    uint32_t b = bucket_of(s, t->pub.itt);

    t->hash_next = s->hash[b];
    s->hash[b] = t;
}

static void hash_remove(struct ttask *t)
{
    struct ttask **p = &t->sess->hash[bucket_of(t->sess, t->pub.itt)];

    while (*p != t)
        p = &(*p)->hash_next;
    *p = t->hash_next;
}

struct ttask *tsess_find(struct iscsi_tsess *s, uint32_t itt)
{
    if (itt == ISCSI_TAG_NONE) /* of all ghosts */
        return NULL;
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

enum { TTT_ACK = TTASK_BURSTS }; /* where the tag of an R2T has the burst */
_Static_assert(TTASK_BURSTS < 15, "four bits of a tag, and never ISCSI_TAG_NONE");

struct ttask *tsess_find_ack(struct iscsi_tsess *s, uint32_t ttt, bool *ret_ours)
{
    uint32_t slot = ttt >> 20;

    *ret_ours = slot < s->pool_count && (ttt >> 16 & 15) == TTT_ACK;
    if (!*ret_ours)
        return NULL;
    struct ttask *t = task_at(s, slot);
    return t->ack_ttt == ttt && (t->state == TTASK_SENDING || t->state == TTASK_KEPT) ? t : NULL;
}

uint32_t tsess_ack_ttt(struct ttask *t)
{
    if (t->ack_ttt == ISCSI_TAG_NONE)
        t->ack_ttt = (uint32_t)t->slot << 20 | (uint32_t)TTT_ACK << 16 | t->sess->next_ttt++;
    return t->ack_ttt;
}

/* What is only ever set at level 1 and up. */
static void forget_recovery(struct ttask *t)
{
    t->in_len = 0;
    t->cur.data_sn = t->acked.data_sn = 0;
    t->kept = NULL;
    t->aside = t->keeping = t->over = t->again = t->rewind = false;
    t->resends = t->recoveries = 0;
    t->ack_ttt = ISCSI_TAG_NONE;
    t->snack_tag = 0;
    t->lost = NULL;
    t->mixed = t->waits = false;
    t->r2t_acked = 0;
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

    t->pub.itt = itt;
    hash_insert(t);
    t->pub.cdb_len = 16;
    t->pub.tmf = 0;
    t->pub.immediate = immediate;
    t->pub.data_err = 0;
    t->pub.tmf_info = 0;
    t->tmf_answer = 0;
    t->state = TTASK_OWNED;
    t->job.kind = TXJOB_IDLE;
    t->end_due = t->dropped = false;
    t->ghost = t->data_ready = t->data_done = t->wants = t->unsolicited = false;
    t->on_wire = false;
    t->got = t->asked = t->unsol_got = t->want_len = 0;
    t->r2t_sn = 0;
    t->r2t_end = 0;
    t->answered = false;
    if (s->params.error_recovery_level > 0)
        forget_recovery(t);
    t->counted = !immediate;
    if (t->counted)
        s->outstanding++;
    else
        s->immediate_count++;
    list_push_back(&s->tasks, &t->node);
    s->task_count++;
    return t;
}

struct ttask *tsess_hold_place(struct iscsi_tconn *conn, uint32_t cmd_sn)
{
    struct ttask *ghost = tsess_task_get(conn->sess, ISCSI_TAG_NONE, false);

    if (!ghost) { /* without its place the sequence would stand still for good */
        tconn_close(conn, USAN_ENOMEM, "out of memory for a request ahead of its turn");
        return NULL;
    }
    ghost->ghost = true;
    ghost->conn = conn;
    ghost->pub.cmd_sn = cmd_sn;
    tsess_hold(conn->sess, ghost);
    return ghost;
}

void tsess_hold_request(struct iscsi_tconn *conn, const uint8_t *bhs, const void *data,
                        uint32_t len)
{
    struct iscsi_tsess *s = conn->sess;

    if (len > TSESS_LATE_BYTES_MAX - s->late_bytes) {
        tconn_close(conn, USAN_ELIMIT, "too much data ahead of its turn");
        return;
    }
    struct ttask *t = tsess_hold_place(conn, bhs_cmd_sn(bhs));
    if (!t)
        return;
    t->late = alloc_get(s->a, sizeof *t->late + len);
    if (!t->late) {
        tconn_close(conn, USAN_ENOMEM, "out of memory for a request ahead of its turn");
        return;
    }
    memcpy(t->late->bhs, bhs, ISCSI_BHS_LEN);
    if (len)
        memcpy(t->late->data, data, len);
    t->late->len = len;
    s->late_bytes += len;
}

struct tlate *tsess_take_late(struct ttask *t)
{
    struct tlate *late = t->late;

    if (late)
        t->sess->late_bytes -= late->len;
    t->late = NULL;
    return late;
}

void tsess_make_ghost(struct ttask *t)
{
    assert(t->state == TTASK_HELD);
    ttask_stop_rx(t);
    tsess_stash_put(t);
    t->unsolicited = false;
    hash_remove(t);
    t->pub.itt = ISCSI_TAG_NONE;
    t->ghost = true;
    hash_insert(t);
}

void tsess_plug(struct iscsi_tsess *s, uint32_t cmd_sn)
{
    list_for_each_safe (&s->held, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (sn_lt(t->pub.cmd_sn, cmd_sn) && !t->pub.tmf && !t->late) {
            ttask_stop_rx(t);
            tsess_task_put(t);
        }
    }
    s->exp_cmd_sn = cmd_sn;
}

uint8_t *tsess_stash_get(struct ttask *t, uint32_t bytes)
{
    struct iscsi_tsess *s = t->sess;

    if (t->stash)
        return t->stash;
    if (bytes > TSESS_STASH_MAX - s->stash_bytes)
        return NULL;
    t->stash = alloc_get(s->a, bytes);
    if (t->stash) {
        t->stash_cap = bytes;
        s->stash_bytes += bytes;
    }
    return t->stash;
}

void tsess_stash_put(struct ttask *t)
{
    if (!t->stash)
        return;
    alloc_put(t->sess->a, t->stash);
    t->stash = NULL;
    t->sess->stash_bytes -= t->stash_cap;
}

void tsess_answered(struct ttask *t)
{
    if (t->counted) {
        t->answered = true;
        t->conn->answered++;
    }
}

void tsess_uncount(struct ttask *t)
{
    hash_remove(t);
    if (t->answered)
        t->conn->answered--;
    t->answered = false;
    if (t->counted)
        t->sess->outstanding--;
    else
        t->sess->immediate_count--;
    t->counted = false;
}

void tsess_task_put(struct ttask *t)
{
    struct iscsi_tsess *s = t->sess;

    assert(t->resends == 0);
    if (t->kept)
        t->kept->task = NULL;
    if (t->keeping)
        tkeep_uncount(t);
    if (!t->aside)
        tsess_uncount(t);
    list_del(&t->node);
    list_del(&t->event);
    txjob_cancel(&t->job);
    if (t->r2t_sn)
        for (unsigned i = 0; i < TTASK_BURSTS; i++)
            t->bursts[i].active = false;
    ranges_put(t);
    tsess_stash_put(t);
    if (t->late)
        alloc_put(s->a, tsess_take_late(t));
    t->state = TTASK_FREE;
    t->conn = NULL;
    t->lost = NULL;
    t->hash_next = s->free_list;
    s->free_list = t;
    s->task_count--;
}
