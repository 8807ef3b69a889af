/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tlost.h"
#include "iscsi/tkeep.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

/* 13.15, 13.16: tasks may be taken over until DefaultTime2Retain after DefaultTime2Wait. */
static uint64_t retained_until(const struct iscsi_tsess *s, uint64_t now_ns)
{
    return now_ns + ((uint64_t)s->params.time2wait + s->params.time2retain) * NS_PER_SEC;
}

bool tlost_retains(struct iscsi_tconn *c)
{
    struct iscsi_tsess *s = c->sess;

    /* An orderly end of the connection or the session leaves nothing. */
    if (c->erl < 2 || s->ended || !c->lost || s->params.time2retain == 0)
        return false;
    return c->state == ISCSI_CONN_CLEANUP_WAIT || c->recovery_logout || c->replaced;
}

void tlost_open(struct iscsi_tconn *c)
{
    struct iscsi_tsess *s = c->sess;
    struct tlost *l = c->lost;

    if (s->lost_count >= TSESS_LOST_MAX)
        tlost_end(s, list_entry(s->lost.next, struct tlost, node));
    c->retained = true;
    l->cid = c->cid;
    l->state = c->state;
    l->reassign = c->recovery_logout && c->state == ISCSI_CONN_FREE; /* the response was sent */
    l->until_ns = 0; /* the connection may not know for long what time it is: with the next tick */
    list_init(&l->kept);
    list_push_back(&s->lost, &l->node);
    s->lost_count++;
    if (s->live == 0)
        s->until_ns = TIME_NEVER; /* likewise */
}

/* ---- tasks without a connection ---- */

/* Its end concerns nobody any more. True: it is gone. */
static bool drop_unseen(struct ttask *t)
{
    if (t->state != TTASK_HELD)
        return false;
    if (t->pub.immediate || t->waits || (t->late && !list_empty(&t->event))) {
        tsess_task_put(t); /* no place, or its turn has come */
        return true;
    }
    if (t->late)
        alloc_put(t->sess->a, tsess_take_late(t));
    if (!t->ghost && !t->pub.tmf) {
        /* The initiator learns that it is not there (TASK REASSIGN), and that its number is waited
         * for: it sends it again (7.2.1). If the number counted as received, that would be ignored.
         */
        tsess_task_put(t);
        return true;
    }
    if (!t->ghost)
        tsess_make_ghost(t); /* its CmdSN counts as received */
    return true;
}

/* Nobody is to take it over. */
static void end_task(struct ttask *t)
{
    t->lost = NULL;
    if (drop_unseen(t))
        return;
    if (t->state == TTASK_WAIT) {
        if (t->kept)
            t->kept->task = NULL;
        t->kept = NULL;
        t->state = TTASK_KEPT;
        tkeep_give_back(t);
    } else if (t->state == TTASK_OWNED) {
        t->end_due = true;
        ttask_event(t);
    }
}

static void take_task(struct iscsi_tconn *c, struct ttask *t)
{
    if (t->answered)
        c->answered--;
    t->answered = false;
    t->mixed = t->tx_changes != c->tx_changes;
    t->conn = NULL;
    t->on_wire = t->again = t->rewind = false;
    t->snack_tag = 0; /* 7.2.2 */
    if (t->ghost || t->pub.tmf || t->late) {
        /* Requests that are no commands are not taken over; the owner answers a TMF for itself. */
        (void)drop_unseen(t);
        return;
    }
    if (t->state == TTASK_SENT)
        return;
    t->lost = c->lost;
    if (t->state == TTASK_KEPT)
        t->state = TTASK_WAIT;
    if (!list_empty(&t->event)) {
        list_del(&t->event);
        ttask_event(t);
    }
    ttask_data_lost(t);
    if (!c->lost) /* the time of that was over before the transport had let go */
        end_task(t);
}

static void take_list(struct iscsi_tconn *c, struct list *tasks)
{
    list_for_each_safe (tasks, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->conn == c)
            take_task(c, t);
    }
}

void tlost_take(struct iscsi_tconn *c)
{
    struct iscsi_tsess *s = c->sess;

    take_list(c, &s->tasks);
    take_list(c, &s->held);
    take_list(c, &s->kept);
    while (!list_empty(&c->kept)) {
        struct tkept *k = list_entry(c->kept.next, struct tkept, node);
        if (c->lost && bhs_opcode(k->bhs) == ISCSI_OP_SCSI_RESPONSE) {
            list_del(&k->node);
            list_push_back(&c->lost->kept, &k->node);
        } else {
            tkeep_forget(s, k);
        }
    }
    c->kept_count = 0;
}

/* ---- the end of waiting ---- */

static void end_list(struct tlost *l, struct list *tasks)
{
    list_for_each_safe (tasks, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->lost == l)
            end_task(t);
    }
}

void tlost_end(struct iscsi_tsess *s, struct tlost *l)
{
    end_list(l, &s->tasks);
    end_list(l, &s->held);
    end_list(l, &s->kept);
    while (!list_empty(&l->kept))
        tkeep_forget(s, list_entry(l->kept.next, struct tkept, node));
    list_del(&l->node);
    s->lost_count--;
    list_for_each (&s->conns, pos) { /* one that is not freed yet */
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (c->lost == l)
            c->lost = NULL;
    }
    alloc_put(s->a, l);
}

void tlost_end_all(struct iscsi_tsess *s, enum iscsi_conn_event ev)
{
    while (!list_empty(&s->lost)) {
        struct tlost *l = list_entry(s->lost.next, struct tlost, node);
        tlost_event(s, l, ev);
        tlost_end(s, l);
    }
}

void tlost_free_all(struct iscsi_tsess *s)
{
    while (!list_empty(&s->logins)) {
        struct iscsi_tconn *c = list_entry(list_pop_front(&s->logins), struct iscsi_tconn, node);
        c->continues = NULL;
    }
    tlost_end_all(s, ISCSI_CONN_EV_SESSION_CLOSED);
}

/* ---- what the owner calls ---- */

unsigned iscsi_tsess_conn_count(const struct iscsi_tsess *s)
{
    return s->live;
}

struct iscsi_tconn *iscsi_tsess_take_kick(struct iscsi_tsess *s)
{
    struct list *pos = list_pop_front(&s->kicks);
    return pos ? list_entry(pos, struct iscsi_tconn, kick) : NULL;
}

void iscsi_tsess_close(struct iscsi_tsess *s, bool reinstated, const char *why)
{
    s->ended = true;
    s->reinstated = reinstated;
    list_for_each_safe (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        bool in_login = c->state == ISCSI_CONN_IN_LOGIN;
        if (!c->closed)
            tconn_close_by(c,
                           in_login     ? ISCSI_CONN_EV_XPT_LOST
                           : reinstated ? ISCSI_CONN_EV_REINSTATED
                                        : ISCSI_CONN_EV_SESSION_CLOSED,
                           USAN_ECANCELED, why);
    }
    if (s->state == ISCSI_SESS_FAILED)
        tsess_event(s, reinstated ? ISCSI_SESS_EV_REINSTATED : ISCSI_SESS_EV_TIMED_OUT);
    else if (s->state == ISCSI_SESS_IN_CONTINUE && reinstated)
        tsess_event(s, ISCSI_SESS_EV_REINSTATED);
    s->until_ns = 0;
    tlost_end_all(s, ISCSI_CONN_EV_SESSION_CLOSED);
}

/* Without connections, and it will not have any again? */
static bool is_down(const struct iscsi_tsess *s)
{
    if (s->live > 0)
        return false;
    if (s->state == ISCSI_SESS_FAILED || s->state == ISCSI_SESS_IN_CONTINUE)
        return s->until_ns == 0;
    return s->state == ISCSI_SESS_FREE && s->params_known;
}

bool iscsi_tsess_next(struct iscsi_tsess *s, struct iscsi_tsess_event *ev)
{
    if (s->reap)
        tsess_task_put(s->reap);
    s->reap = NULL;
    ev->task = NULL;
    while (!list_empty(&s->events)) {
        struct ttask *t = list_entry(list_pop_front(&s->events), struct ttask, event);
        ev->task = &t->pub;
        if (t->state == TTASK_SENT) {
            s->reap = t;
            ev->type = ISCSI_TSESS_EV_SENT;
            return true;
        }
        if (t->end_due) {
            t->end_due = t->data_ready = false;
            ev->type = ISCSI_TSESS_EV_TASK_LOST;
            return true;
        }
        if (t->data_ready) {
            t->data_ready = false;
            ev->type = ISCSI_TSESS_EV_DATA;
            return true;
        }
    }
    ev->task = NULL;
    if (s->down_reported || !is_down(s))
        return false;
    s->down_reported = true;
    ev->type = ISCSI_TSESS_EV_DOWN;
    return true;
}

uint64_t iscsi_tsess_deadline(const struct iscsi_tsess *s)
{
    uint64_t at = s->state == ISCSI_SESS_FAILED && s->until_ns ? s->until_ns : TIME_NEVER;

    if (s->until_ns == TIME_NEVER ||
        (!list_empty(&s->lost) && list_entry(s->lost.prev, struct tlost, node)->until_ns == 0))
        return 0; /* the time is to be set */
    if (list_empty(&s->lost))
        return at;
    /* The oldest one is the first whose time is over: the times are the same for all. */
    at = time_min(at, list_entry(s->lost.next, struct tlost, node)->until_ns);
    return at;
}

void iscsi_tsess_tick(struct iscsi_tsess *s, uint64_t now_ns)
{
    list_for_each (&s->lost, pos) {
        struct tlost *l = list_entry(pos, struct tlost, node);
        if (l->until_ns == 0)
            l->until_ns = retained_until(s, now_ns);
    }
    if (s->until_ns == TIME_NEVER)
        s->until_ns = retained_until(s, now_ns);
    while (!list_empty(&s->lost)) {
        struct tlost *l = list_entry(s->lost.next, struct tlost, node);
        if (now_ns < l->until_ns)
            break;
        tlost_event(s, l, ISCSI_CONN_EV_CLEANUP_TIMEOUT);
        tlost_end(s, l);
    }
    if (s->state == ISCSI_SESS_FAILED && s->until_ns && now_ns >= s->until_ns) {
        s->until_ns = 0;
        tsess_event(s, ISCSI_SESS_EV_TIMED_OUT);
        /* Connections of several threads have seen times that differ a little: some may be left. */
        tlost_end_all(s, ISCSI_CONN_EV_CLEANUP_TIMEOUT);
    }
}

uint32_t iscsi_tsess_transitions(const struct iscsi_tsess *s)
{
    return s->taken;
}
