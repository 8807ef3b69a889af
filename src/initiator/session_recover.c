/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_recover.h"

#include "initiator/session_conn.h"

#define AGAIN_NS (100 * NS_PER_MS)

static struct ini_lost_conn *find(struct ini_session *s, uint16_t cid)
{
    for (unsigned i = 0; i < s->lost_count; i++) {
        if (s->lost_conns[i].cid == cid)
            return &s->lost_conns[i];
    }
    return NULL;
}

static void arm(struct ini_session *s)
{
    uint64_t at = TIME_NEVER;
    for (unsigned i = 0; i < s->lost_count; i++) {
        if (!s->lost_conns[i].trying)
            at = time_min(at, s->lost_conns[i].at_ns);
    }
    if (loop_timer_set(s->loop, &s->recover, at)) /* then the core gives it up in time */
        ini_session_set_error(s, USAN_ENOMEM, "out of memory for a timer: no recovery");
}

static void fired(struct loop_timer *t)
{
    struct ini_session *s = list_entry(t, struct ini_session, recover);
    uint64_t now = loop_now(s->loop);
    for (unsigned i = 0; i < s->lost_count; i++) {
        struct ini_lost_conn *l = &s->lost_conns[i];
        if (l->trying || l->at_ns > now || s->abandon)
            continue;
        l->trying = ini_conn_open_as(s, &s->addr, l->cid) == 0;
        l->at_ns = now + AGAIN_NS;
    }
    arm(s);
}

void ini_recover_begin(struct ini_session *s, const struct iscsi_ievent *ev)
{
    struct ini_lost_conn *l = find(s, ev->cid);
    s->stats.recoveries++;
    if (!l && s->lost_count == INI_CONNECTIONS_MAX)
        return; /* the others do, and the core sees to its commands */
    if (!l)
        l = &s->lost_conns[s->lost_count++];
    *l = (struct ini_lost_conn){ .cid = ev->cid,
                                 .at_ns = loop_now(s->loop) + ev->time2wait * NS_PER_SEC };
    arm(s);
    ini_recover_clock(s);
}

void ini_recover_end(struct ini_session *s, uint16_t cid)
{
    struct ini_lost_conn *l = find(s, cid);
    if (l && !l->trying) /* its commands have gone to others; a new one under way goes on */
        *l = s->lost_conns[--s->lost_count];
    arm(s);
}

void ini_recover_done(struct ini_session *s, uint16_t cid)
{
    struct ini_lost_conn *l = find(s, cid);
    if (l)
        *l = s->lost_conns[--s->lost_count];
    arm(s);
}

bool ini_recover_failed(struct ini_session *s, const struct ini_conn *c)
{
    struct ini_lost_conn *l = find(s, c->cid);
    if (!l || !l->trying)
        return false;
    l->trying = false;
    l->at_ns = loop_now(s->loop) + AGAIN_NS;
    arm(s);
    return true;
}

/* ---- the core's clock ---- */

void ini_recover_clock(struct ini_session *s)
{
    uint64_t at = iscsi_isess_deadline(s->core);
    if (at != s->clock.deadline_ns && loop_timer_set(s->loop, &s->clock, at))
        iscsi_isess_abandon(s->core, USAN_ENOMEM, "out of memory for a timer");
}

static void clock_fired(struct loop_timer *t)
{
    struct ini_session *s = list_entry(t, struct ini_session, clock);
    struct iscsi_ievent ev;
    if (s->abandon && s->conn_count == 0)
        iscsi_isess_abandon(s->core, USAN_ECLOSED, "given up");
    iscsi_isess_tick(s->core, loop_now(s->loop));
    while (iscsi_isess_next(s->core, &ev))
        s->session_event(s, &ev);
    s->session_pulled(s);
    ini_recover_clock(s);
    ini_conns_wake(s);
}

void ini_recover_stop(struct ini_session *s)
{
    s->lost_count = 0;
    loop_timer_cancel(s->loop, &s->recover);
    loop_timer_cancel(s->loop, &s->clock);
}

void ini_recover_init(struct ini_session *s,
                      void (*event)(struct ini_session *s, const struct iscsi_ievent *ev),
                      void (*pulled)(struct ini_session *s))
{
    s->session_event = event;
    s->session_pulled = pulled;
    loop_timer_init(&s->recover, fired);
    loop_timer_init(&s->clock, clock_fired);
}

void ini_recover_fini(struct ini_session *s)
{
    ini_recover_stop(s);
}
