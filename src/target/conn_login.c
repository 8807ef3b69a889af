/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Login and discovery: who is it, what may it see, and which session does it get. */
#include "target/conn.h"

#include "base/err.h"
#include "target/access.h"
#include "target/log.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* target: the name that was asked for; NULL = none. */
static void log_refused(struct tgt_conn *conn, const char *target, uint16_t status, const char *why)
{
    tgt_log_peer(TGT_LOG_WARN, TGT_LOG_LOGIN_REFUSED,
                 "peer=%s initiator=%s target=%s user=%s status=%04x why=%s", conn->peer,
                 tgt_log_quote(conn->initiator).s, tgt_log_quote(target).s,
                 tgt_log_quote(conn->user).s, status, tgt_log_quote(why).s);
    conn->refused = true;
    conn->why = why;
}

static const char *target_name(const struct tgt_conn *conn)
{
    return conn->target ? conn->target->cfg->name : NULL;
}

/* Why the core refuses, as far as an operator can do something about it. */
static const char *refusal(const struct tgt_conn *conn, uint16_t status)
{
    struct iscsi_auth auth;
    if (status >> 8 == 3)
        return "it failed here; out of memory or of random numbers";
    if (status == TGT_LOGIN_TOO_MANY_CONNECTIONS)
        return "the session has as many connections as were agreed on";
    if (status != TGT_LOGIN_AUTH_FAILED)
        return "the initiator broke the rules of the login";
    if (conn->unknown_user)
        return "no such user for this target";
    if (conn->user)
        return "wrong secret, or a failure of mutual authentication";
    tgt_access_auth(tgt_cfg(conn->reactor->tgt), conn->target, NULL, &auth);
    if (auth.required)
        return "the initiator gave no user and secret (CHAP)";
    return auth.optional ? "the initiator did not finish authentication (CHAP)"
                         : "the initiator insists on authentication, for which there are no users";
}

void tgt_conn_login_refused(struct tgt_conn *conn, uint16_t status)
{
    if (!conn->refused)
        log_refused(conn, target_name(conn), status, refusal(conn, status));
}

static void reject(struct tgt_conn *conn, uint16_t status, const char *why)
{
    log_refused(conn, target_name(conn), status, why);
    iscsi_tconn_login_reject(conn->tconn, status);
}

static void on_target(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    struct tgt *tgt = conn->reactor->tgt;
    size_t count;
    struct tgt_node *nodes = tgt_nodes(tgt, &count);

    snprintf(conn->initiator, sizeof(conn->initiator), "%s",
             ev->initiator_name ? ev->initiator_name : "");
    conn->discovery = ev->discovery;
    if (conn->reactor->draining) {
        reject(conn, TGT_LOGIN_SERVICE_UNAVAILABLE, "the program is stopping");
        return;
    }
    struct iscsi_auth auth;
    if (ev->discovery) {
        tgt_access_auth(tgt_cfg(tgt), NULL, NULL, &auth);
        iscsi_tconn_login_accept(conn->tconn, &auth, NULL);
        return;
    }
    struct tgt_node *node = ev->target_name ? tgt_node_find(nodes, count, ev->target_name) : NULL;
    if (!node) {
        log_refused(conn, ev->target_name, TGT_LOGIN_NOT_FOUND, "no such target");
        iscsi_tconn_login_reject(conn->tconn, TGT_LOGIN_NOT_FOUND);
        return;
    }
    conn->target = node;
    if (!tgt_access_initiator(node, conn->initiator)) {
        reject(conn, TGT_LOGIN_FORBIDDEN, "not one of the target's initiators");
        return;
    }
    if (node->cfg->redirect) {
        conn->why = "redirected";
        iscsi_tconn_login_redirect(conn->tconn, node->cfg->redirect, false);
        return;
    }
    tgt_access_auth(tgt_cfg(tgt), node, NULL, &auth);
    iscsi_tconn_login_accept(conn->tconn, &auth, node->cfg->alias);
}

static void on_user(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    struct iscsi_auth auth;
    tgt_access_auth(tgt_cfg(conn->reactor->tgt), conn->target, ev->user, &auth);
    conn->unknown_user = !auth.secret;
    free(conn->user);
    conn->user = ev->user ? strdup(ev->user) : NULL; /* for the log only */
    iscsi_tconn_login_secret(conn->tconn, &auth);
}

static void bind_session(struct tgt_conn *conn)
{
    struct tgt_session *s = NULL;
    int err = conn->reactor->draining ? USAN_ECLOSED : tgt_session_new(conn, &s);
    switch (err) {
    case 0:
        conn->session = s;
        conn->part = &s->home;
        iscsi_tconn_bind(conn->tconn, s->tsess);
        break;
    case USAN_EAGAIN:
        break; /* tgt_conn_retry_bind() follows */
    case USAN_ECLOSED:
        reject(conn, TGT_LOGIN_SERVICE_UNAVAILABLE, "the program is stopping");
        break;
    case USAN_ELIMIT:
        reject(conn, TGT_LOGIN_OUT_OF_RESOURCES, "limit of sessions is reached");
        break;
    case USAN_ENOMEM:
        reject(conn, TGT_LOGIN_OUT_OF_RESOURCES, "out of memory, or --memory is used up");
        break;
    default:
        reject(conn, TGT_LOGIN_OUT_OF_RESOURCES, usan_strerror(err));
        break;
    }
}

static void on_bind(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    memcpy(conn->isid, ev->isid, sizeof(conn->isid));
    conn->cid = ev->cid;
    /* RFC 7143 6.3.1: a TSIH names a session to add a connection to. */
    if (ev->tsih == 0)
        bind_session(conn);
    else if (!tgt_session_join(conn, ev->tsih))
        reject(conn, TGT_LOGIN_NO_SESSION, "no such session");
}

/* Inside the lock. */
static int bind_to(struct tgt_conn *conn, struct tgt_session *s)
{
    if (s->closing || conn->closed)
        return USAN_ECLOSED;
    struct tgt_part *part = &s->home;
    int err = conn->reactor == s->home.reactor ? 0 : tgt_part_get(s, conn->reactor, &part);
    if (err)
        return err;
    s->several = true;
    conn->session = s;
    conn->part = part;
    list_push_back(&s->conns, &conn->of_session);
    s->live++;
    if (s->shared)
        tgt_core_alloc_share(&conn->core);
    iscsi_tconn_bind(conn->tconn, s->tsess);
    return 0;
}

void tgt_conn_joined(struct tgt_conn *conn)
{
    struct tgt_session *s = conn->join.session;
    int err = USAN_ECLOSED;
    conn->waiting = false;
    if (s) {
        tgt_session_lock(s);
        err = conn->reactor->draining ? USAN_ECLOSED : bind_to(conn, s);
        tgt_session_leave(s);
        tgt_session_unlock(s); /* without conn it may be gone from here on */
    }
    if (conn->closed) {
        tgt_conn_settle(conn);
        return;
    }
    if (err == USAN_ECLOSED)
        reject(conn, TGT_LOGIN_NO_SESSION, "no such session (any more)");
    else if (err)
        reject(conn, TGT_LOGIN_OUT_OF_RESOURCES, "out of memory, or --memory is used up");
    tgt_conn_pump(conn);
}

void tgt_conn_retry_bind(struct tgt_conn *conn)
{
    bind_session(conn);
    tgt_conn_pump(conn);
}

/* ---- discovery ---- */

enum { ADDRESSES_MAX = 64 };

struct address {
    char text[SOCK_ADDR_TEXT_BYTES + 8];
};

/* Where the targets are found: the address the initiator itself used, and the portals bound to
 * an address of their own. */
static size_t list_addresses(const struct tgt_conn *conn, struct address *texts,
                             const char **ret_list)
{
    const char *const *portals = tgt_portal_addresses(conn->reactor->tgt);
    size_t n = 0;
    snprintf(texts[n].text, sizeof(texts[n].text), "%s,%d", conn->local, TGT_PORTAL_GROUP);
    ret_list[n] = texts[n].text;
    n++;
    for (; *portals && n < ADDRESSES_MAX; portals++) {
        if (strcmp(*portals, conn->local) == 0)
            continue;
        snprintf(texts[n].text, sizeof(texts[n].text), "%s,%d", *portals, TGT_PORTAL_GROUP);
        ret_list[n] = texts[n].text;
        n++;
    }
    ret_list[n] = NULL;
    return n;
}

static void on_send_targets(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    struct address texts[ADDRESSES_MAX];
    const char *list[ADDRESSES_MAX + 1];
    const char *want = ev->send_targets ? ev->send_targets : "";
    size_t count;
    struct tgt_node *nodes = tgt_nodes(conn->reactor->tgt, &count);

    (void)list_addresses(conn, texts, list);
    /* RFC 7143 Appendix C: All is for discovery sessions; a normal session learns of its own
     * target only. */
    bool all = conn->discovery && strcmp(want, "All") == 0;
    for (size_t i = 0; i < count; i++) {
        const struct tgt_node *node = &nodes[i];
        bool own = !conn->discovery && node == conn->target &&
                   (!*want || strcmp(want, node->cfg->name) == 0);
        bool named = conn->discovery && strcmp(want, node->cfg->name) == 0;
        if ((all || own || named) && tgt_access_initiator(node, conn->initiator))
            iscsi_tconn_target_record(conn->tconn, node->cfg->name, list);
    }
    iscsi_tconn_targets_end(conn->tconn);
}

void tgt_conn_login_event(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    if (ev->type == ISCSI_EV_LOGIN_TARGET)
        on_target(conn, ev);
    else if (ev->type == ISCSI_EV_LOGIN_USER)
        on_user(conn, ev);
    else if (ev->type == ISCSI_EV_LOGIN_BIND)
        on_bind(conn, ev);
    else
        on_send_targets(conn, ev);
}
