/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connections of a session as they come and go (RFC 7143 6.3, 7.1.4, 8.2, 8.3). */
#include "iscsi/tlost.h"
#include "iscsi/tsess.h"

#include <assert.h>

/* ---- a connection joins ---- */

struct iscsi_tconn *tlost_find_conn(const struct iscsi_tsess *s, uint16_t cid)
{
    list_for_each (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (c->cid == cid && !c->closed)
            return c;
    }
    return NULL;
}

/* The new login takes its place: an implicit logout, 6.3.4. */
static void reinstate(struct iscsi_tconn *old)
{
    bool in_login = old->state == ISCSI_CONN_IN_LOGIN; /* no machine knows that case: it fails */
    tconn_close_by(old, in_login ? ISCSI_CONN_EV_XPT_LOST : ISCSI_CONN_EV_REINSTATED,
                   USAN_ECANCELED, "its place was taken by a new login with the same CID");
}

uint16_t tlost_bind(struct iscsi_tconn *conn, struct iscsi_tsess *s)
{
    struct iscsi_tconn *old = NULL;

    if (s->params_known) {
        if (s->ended)
            return ISCSI_LOGIN_NO_SUCH_SESSION;
        old = tlost_find_conn(s, conn->cid);
        if (!old && s->live >= s->params.max_connections)
            return ISCSI_LOGIN_TOO_MANY_CONNECTIONS;
    }
    tsess_join(conn, s);
    if (s->state == ISCSI_SESS_FREE)
        tsess_event(s, ISCSI_SESS_EV_CONN_IN_LOGIN);
    else if (s->state == ISCSI_SESS_FAILED)
        tsess_event(s, ISCSI_SESS_EV_CONTINUE_STARTED);
    if (old)
        reinstate(old);
    return 0;
}

/* ---- logout of others ---- */

void tlost_logout(struct iscsi_tconn *other)
{
    if (other->state == ISCSI_CONN_IN_LOGIN) {
        tconn_close_by(other, ISCSI_CONN_EV_XPT_LOST, USAN_ECANCELED,
                       "logged out on another connection");
        return;
    }
    if (other->state != ISCSI_CONN_IN_LOGOUT)
        tconn_event(other, ISCSI_CONN_EV_LOGOUT_STARTED);
    tconn_close_by(other, ISCSI_CONN_EV_LOGOUT_OK, 0, "logged out on another connection");
}

void tlost_logout_session(struct iscsi_tconn *conn)
{
    list_for_each_safe (&conn->sess->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (c != conn && !c->closed)
            tconn_close_by(c, ISCSI_CONN_EV_SESSION_CLOSED, 0,
                           "the session was logged out on another connection");
    }
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
}

bool iscsi_tsess_next(struct iscsi_tsess *s, struct iscsi_tsess_event *ev)
{
    if (s->live > 0 || s->down_reported || s->state == ISCSI_SESS_ACTIVE)
        return false;
    s->down_reported = true;
    ev->type = ISCSI_TSESS_EV_DOWN;
    ev->task = NULL;
    return true;
}

uint64_t iscsi_tsess_deadline(const struct iscsi_tsess *s)
{
    (void)s;
    return TIME_NEVER;
}

void iscsi_tsess_tick(struct iscsi_tsess *s, uint64_t now_ns)
{
    (void)s;
    (void)now_ns;
}

uint32_t iscsi_tsess_transitions(const struct iscsi_tsess *s)
{
    return s->taken;
}
