/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tjoin.h"
#include "iscsi/tlost.h"
#include "iscsi/tsess.h"

#include <assert.h>

/* The connection of the session with that CID that is not closed, NULL: none. */
static struct iscsi_tconn *find_conn(const struct iscsi_tsess *s, uint16_t cid)
{
    list_for_each (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (c->cid == cid && !c->closed)
            return c;
    }
    return NULL;
}

/* ---- logins ---- */

/* The login is the implicit logout of lost connections with its CID (6.3.4), if it succeeds. */
static void cleanup(struct iscsi_tsess *s, uint16_t cid, enum iscsi_conn_event ev)
{
    list_for_each (&s->lost, pos) {
        struct tlost *l = list_entry(pos, struct tlost, node);
        if (l->cid != cid)
            continue;
        tlost_event(s, l, ev);
        l->reassign |= ev == ISCSI_CONN_EV_CLEANUP_OK;
    }
}

static void begin(struct iscsi_tconn *conn, struct iscsi_tsess *s)
{
    if (s->state == ISCSI_SESS_FREE)
        tsess_event(s, ISCSI_SESS_EV_CONN_IN_LOGIN);
    else if (s->state == ISCSI_SESS_FAILED)
        tsess_event(s, ISCSI_SESS_EV_CONTINUE_STARTED);
    cleanup(s, conn->cid, ISCSI_CONN_EV_CLEANUP_STARTED);
}

/* One that was logged in before and is no more: given up, or it was not to live on. */
static bool is_over(const struct iscsi_tsess *s)
{
    if (s->ended || s->state == ISCSI_SESS_FREE)
        return true;
    return s->state == ISCSI_SESS_FAILED && s->until_ns == 0;
}

void iscsi_tsess_continue(struct iscsi_tsess *s, struct iscsi_tconn *conn)
{
    if (!conn->login || conn->sess || conn->continues || conn->closed || !s->params_known ||
        is_over(s))
        return;
    conn->continues = s;
    list_push_back(&s->logins, &conn->node);
    begin(conn, s);
}

/* The new login takes its place: an implicit logout, 6.3.4. */
static void reinstate(struct iscsi_tconn *old)
{
    bool in_login = old->state == ISCSI_CONN_IN_LOGIN; /* no machine knows that case: it fails */
    old->replaced = !in_login;
    tconn_close_by(old, in_login ? ISCSI_CONN_EV_XPT_LOST : ISCSI_CONN_EV_REINSTATED,
                   USAN_ECANCELED, "its place was taken by a new login with the same CID");
}

uint16_t tjoin_bind(struct iscsi_tconn *conn, struct iscsi_tsess *s)
{
    struct iscsi_tconn *old = NULL;

    if (s->params_known) {
        if (is_over(s) || conn->discovery)
            return ISCSI_LOGIN_NO_SUCH_SESSION;
        old = find_conn(s, conn->cid);
        if (!old && s->live >= s->params.max_connections)
            return ISCSI_LOGIN_TOO_MANY_CONNECTIONS;
    }
    bool begun = conn->continues == s;
    list_del(&conn->node);
    conn->continues = NULL;
    tsess_join(conn, s);
    if (!begun || s->state == ISCSI_SESS_FAILED)
        begin(conn, s);
    if (old)
        reinstate(old);
    return 0;
}

void tjoin_done(struct iscsi_tconn *conn)
{
    cleanup(conn->sess, conn->cid, ISCSI_CONN_EV_CLEANUP_OK);
    conn->sess->until_ns = 0;
}

void tjoin_failed(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess ? conn->sess : conn->continues;

    if (!s)
        return;
    cleanup(s, conn->cid, ISCSI_CONN_EV_CLEANUP_FAILED);
    if (!conn->continues)
        return;
    list_del(&conn->node);
    conn->continues = NULL;
    if (s->state == ISCSI_SESS_IN_CONTINUE && s->live == 0 && list_empty(&s->logins))
        tsess_event(s, ISCSI_SESS_EV_CONTINUE_FAILED);
}

/* ---- logout of others ---- */

enum { LOGOUT_OK = 0, LOGOUT_NO_CID = 1 }; /* 11.15.1 */

static void logout_live(struct iscsi_tconn *other, bool for_recovery)
{
    static const char why[] = "logged out on another connection";

    if (other->state == ISCSI_CONN_IN_LOGIN || for_recovery) {
        tconn_close_by(other, ISCSI_CONN_EV_XPT_LOST, USAN_ECANCELED, why);
        return;
    }
    if (other->state != ISCSI_CONN_IN_LOGOUT)
        tconn_event(other, ISCSI_CONN_EV_LOGOUT_STARTED);
    tconn_close_by(other, ISCSI_CONN_EV_LOGOUT_OK, 0, why);
}

uint8_t tjoin_logout(struct iscsi_tconn *conn, uint16_t cid, bool for_recovery)
{
    struct iscsi_tsess *s = conn->sess;
    struct iscsi_tconn *other = find_conn(s, cid);
    bool found = other != NULL;

    if (other)
        logout_live(other, for_recovery);
    list_for_each_safe (&s->lost, pos) {
        struct tlost *l = list_entry(pos, struct tlost, node);
        if (l->cid != cid)
            continue;
        found = true;
        tlost_event(s, l, ISCSI_CONN_EV_CLEANUP_STARTED);
        tlost_event(s, l, ISCSI_CONN_EV_CLEANUP_OK);
        l->reassign = true;
        if (!for_recovery) /* its tasks end with it, 11.14.1 */
            tlost_end(s, l);
    }
    return found ? LOGOUT_OK : LOGOUT_NO_CID;
}

void tjoin_logout_session(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess;

    list_for_each_safe (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (c != conn && !c->closed)
            tconn_close_by(c, ISCSI_CONN_EV_SESSION_CLOSED, 0,
                           "the session was logged out on another connection");
    }
    tlost_end_all(s, ISCSI_CONN_EV_SESSION_CLOSED);
}
