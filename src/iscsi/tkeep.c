/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tkeep.h"
#include "iscsi/tctl.h"
#include "iscsi/tsess.h"

#include <assert.h>

/* ---- answers ---- */

static size_t bytes_of(const struct tkept *k)
{
    return sizeof *k + k->len;
}

/* Not for one that is still counted in its connection's list. */
static void answer_free(struct iscsi_tsess *s, struct tkept *k)
{
    s->keep_bytes -= bytes_of(k);
    alloc_put(s->a, k);
}

/* May its data go? Not while it is being sent, and not before the initiator of a lost connection
 * has come back: then it will take over soon what it has no status of. Nor when its answer is not
 * kept, because it was lost while it was being sent again: nothing would be left of it. */
static bool may_go(const struct ttask *t)
{
    if (t->state == TTASK_WAIT)
        return t->kept && t->lost && t->lost->reassign;
    return t->state == TTASK_KEPT && !t->over && t->resends == 0;
}

/* Until there is room for so many bytes, and commands. c reports those that go. */
static void give_back_oldest(struct iscsi_tconn *c, size_t need, unsigned tasks)
{
    struct iscsi_tsess *s = c->sess;

    list_for_each_safe (&s->kept, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (s->keep_bytes + need <= TSESS_KEEP_BYTES && s->keep_tasks + tasks <= TSESS_KEEP_TASKS)
            return;
        if (!may_go(t))
            continue;
        t->kept->task = NULL;
        t->kept = NULL;
        if (!t->conn)
            t->conn = c;
        t->lost = NULL;
        t->state = TTASK_KEPT;
        tkeep_give_back(t);
    }
}

static void append(struct iscsi_tconn *c, struct tkept *k)
{
    if (list_empty(&c->kept)) {
        c->ack_ns = c->now_ns;
        c->timer_ns = time_min(c->timer_ns, c->now_ns + TCONN_ACK_WAIT_NS);
    }
    list_push_back(&c->kept, &k->node);
    c->kept_count++;
}

struct tkept *tkeep_answer(struct iscsi_tconn *c, const uint8_t *bhs, const void *data,
                           uint32_t len)
{
    struct iscsi_tsess *s = c->sess;
    size_t bytes = sizeof(struct tkept) + len;

    if (c->kept_count >= TCONN_KEEP_ANSWERS)
        tkeep_release(c, list_entry(c->kept.next, struct tkept, node));
    give_back_oldest(c, bytes, 0);
    if (bytes > TSESS_KEEP_BYTES - s->keep_bytes)
        return NULL;
    struct tkept *k = alloc_get(s->a, bytes);
    if (!k)
        return NULL;
    memset(k, 0, sizeof *k);
    list_init(&k->job.node);
    k->stat_sn = bhs_stat_sn(bhs);
    k->itt = bhs_itt(bhs);
    memcpy(k->bhs, bhs, ISCSI_BHS_LEN);
    k->len = len;
    if (len)
        memcpy(k->data, data, len);
    k->iov.iov_base = k->data;
    k->iov.iov_len = len;
    append(c, k);
    s->keep_bytes += bytes;
    return k;
}

void tkeep_moved(struct iscsi_tconn *c, struct tkept *k, uint32_t stat_sn)
{
    k->moved = false;
    k->stat_sn = stat_sn;
    append(c, k);
}

void tkeep_forget(struct iscsi_tsess *s, struct tkept *k)
{
    struct ttask *t = k->task;

    list_del(&k->node);
    if (t)
        t->kept = NULL;
    answer_free(s, k);
}

void tkeep_release(struct iscsi_tconn *c, struct tkept *k)
{
    struct ttask *t = k->task;

    list_del(&k->node);
    c->kept_count--;
    k->task = NULL;
    if (t) {
        t->kept = NULL;
        if (t->state == TTASK_KEPT)
            tkeep_give_back(t);
    }
    if (k->job.kind == TXJOB_IDLE)
        answer_free(c->sess, k);
    else
        k->over = true;
}

void tkeep_resent(struct iscsi_tconn *c, struct tkept *k)
{
    k->job.kind = TXJOB_IDLE;
    if (k->over)
        answer_free(c->sess, k);
}

void tkeep_release_all(struct iscsi_tconn *c)
{
    while (!list_empty(&c->kept))
        tkeep_release(c, list_entry(c->kept.next, struct tkept, node));
}

void tkeep_ack(struct iscsi_tconn *c, uint32_t exp_stat_sn)
{
    /* nothing new, or what was not sent yet */
    if (!sn_lt(c->acked_stat_sn, exp_stat_sn) || sn_lt(c->stat_sn, exp_stat_sn))
        return;
    c->acked_stat_sn = exp_stat_sn;
    c->ack_ns = c->now_ns;
    while (!list_empty(&c->kept)) {
        struct tkept *k = list_entry(c->kept.next, struct tkept, node);
        if (!sn_lt(k->stat_sn, exp_stat_sn))
            break;
        tkeep_release(c, k);
    }
}

uint64_t tkeep_tick(struct iscsi_tconn *c)
{
    if (list_empty(&c->kept))
        return TIME_NEVER;
    if (c->now_ns < c->ack_ns + TCONN_ACK_WAIT_NS)
        return c->ack_ns + TCONN_ACK_WAIT_NS;
    /* 11.19: the answer to a NOP-In with a tag has the initiator's ExpStatSN. */
    if (!c->nop_sent_ns && !iscsi_tconn_tx_pending(c))
        tctl_ping(c);
    c->ack_ns = c->now_ns;
    return c->now_ns + TCONN_ACK_WAIT_NS;
}

/* ---- tasks ---- */

/* Out of the window and of the tasks that are known by their ITT: the initiator has its status, or
 * will ask for it by StatSN, and may use the ITT again. */
static void set_aside(struct ttask *t)
{
    struct iscsi_tsess *s = t->sess;

    tsess_uncount(t);
    t->aside = t->keeping = true;
    s->keep_tasks++;
    list_del(&t->node);
    list_push_back(&s->kept, &t->node);
    t->keep_bytes = (uint32_t)(t->in_len - t->acked.pos);
    s->keep_bytes += t->keep_bytes;
}

void tkeep_uncount(struct ttask *t)
{
    t->sess->keep_tasks--;
    t->sess->keep_bytes -= t->keep_bytes;
    t->keep_bytes = 0;
    t->keeping = false;
}

void tkeep_data_acked(struct ttask *t)
{
    if (!t->keeping)
        return;
    uint32_t left = (uint32_t)(t->in_len - t->acked.pos);
    t->sess->keep_bytes -= t->keep_bytes - left;
    t->keep_bytes = left;
}

void tkeep_give_back(struct ttask *t)
{
    assert(t->state == TTASK_KEPT && !t->kept);
    t->over = true;
    if (t->resends > 0)
        return;
    if (t->keeping)
        tkeep_uncount(t);
    t->state = TTASK_SENT;
    ttask_event(t);
}

void tkeep_sent(struct ttask *t)
{
    struct iscsi_tsess *s = t->sess;
    uint64_t need = t->in_len - t->acked.pos;

    t->state = TTASK_KEPT;
    if (t->keeping && t->kept) /* it was sent once more */
        return;
    if (t->kept && t->in_len > 0 && need <= TSESS_KEEP_BYTES)
        give_back_oldest(t->conn, need, 1);
    if (t->kept && t->in_len > 0 && need <= TSESS_KEEP_BYTES - s->keep_bytes &&
        s->keep_tasks < TSESS_KEEP_TASKS) {
        set_aside(t);
        return;
    }
    if (t->kept) {
        t->kept->task = NULL;
        t->kept = NULL;
    }
    tkeep_give_back(t);
}

struct ttask *tkeep_find(const struct iscsi_tconn *c, uint32_t itt, bool *ret_gone)
{
    for (struct list *pos = c->kept.prev; pos != &c->kept; pos = pos->prev) {
        struct tkept *k = list_entry(pos, struct tkept, node);
        if (k->itt == itt && itt != ISCSI_TAG_NONE) {
            *ret_gone = !k->task;
            return k->task;
        }
    }
    *ret_gone = false;
    return NULL;
}
