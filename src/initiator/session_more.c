/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_more.h"

#include "initiator/session_conn.h"

#include <errno.h>

#define AGAIN_FIRST_NS (500 * NS_PER_MS)
#define AGAIN_MAX_NS   (30 * NS_PER_SEC)

/* As many as are wanted and the target allows. */
static unsigned wanted(const struct ini_session *s)
{
    unsigned most = iscsi_isess_params(s->core)->max_connections;
    return s->want < most ? s->want : most;
}

static unsigned staying(const struct ini_session *s)
{
    unsigned n = 0;
    list_for_each (&s->conns, pos)
        n += !list_entry(pos, struct ini_conn, node)->leaving;
    return n;
}

/* The newest first; the one that made the session stays. */
static void send_away(struct ini_session *s, unsigned count)
{
    for (struct list *pos = s->conns.prev; count && pos != &s->conns; pos = pos->prev) {
        struct ini_conn *c = list_entry(pos, struct ini_conn, node);
        if (c->leaving || c->leading)
            continue;
        c->leaving = true;
        count--;
        if (c->phase == INI_CONN_UP)
            iscsi_iconn_hold(c->core);
        else
            ini_conn_drop(c, USAN_ECANCELED);
    }
    ini_more_look(s);
}

void ini_more_adjust(struct ini_session *s)
{
    unsigned want = wanted(s), have = staying(s);
    if (s->phase != INI_PHASE_UP || s->lost_count)
        return;
    if (have > want)
        send_away(s, have - want);
    for (; have < want; have++) {
        int rc = ini_conn_open(s, &s->addr);
        if (rc && rc != EBUSY) /* busy: one that leaves has still its place */
            ini_more_failed(s);
        if (rc)
            return;
    }
}

void ini_more_look(struct ini_session *s)
{
    list_for_each (&s->conns, pos) {
        struct ini_conn *c = list_entry(pos, struct ini_conn, node);
        if (c->leaving && c->phase == INI_CONN_UP && iscsi_iconn_load(c->core) == 0 &&
            iscsi_iconn_logout(c->core, loop_now(s->loop)) == 0)
            loop_work_queue(s->loop, &c->flush);
    }
}

void ini_more_up(struct ini_session *s)
{
    s->more_failures = 0;
}

void ini_more_failed(struct ini_session *s)
{
    uint64_t wait = AGAIN_FIRST_NS;
    for (unsigned i = 0; i < s->more_failures && wait < AGAIN_MAX_NS; i++)
        wait *= 2;
    s->more_failures++;
    if (s->more.deadline_ns == TIME_NEVER &&
        loop_timer_set(s->loop, &s->more, loop_now(s->loop) + time_min(wait, AGAIN_MAX_NS)))
        ini_session_set_error(s, USAN_ENOMEM, "out of memory for a timer: no more connections");
}

void ini_more_stop(struct ini_session *s)
{
    s->more_failures = 0;
    loop_timer_cancel(s->loop, &s->more);
}

static void fired(struct loop_timer *t)
{
    ini_more_adjust(list_entry(t, struct ini_session, more));
}

void ini_more_init(struct ini_session *s)
{
    s->want = s->url.connections;
    loop_timer_init(&s->more, fired);
}

void ini_more_fini(struct ini_session *s)
{
    loop_timer_cancel(s->loop, &s->more);
}

/* ---- from outside ---- */

void ini_session_set_connections(struct ini_session *s, unsigned count)
{
    s->want = count ? count : 1;
    ini_more_adjust(s);
}

unsigned ini_session_connections(const struct ini_session *s)
{
    unsigned n = 0;
    list_for_each (&s->conns, pos)
        n += list_entry(pos, struct ini_conn, node)->phase == INI_CONN_UP;
    return n;
}
