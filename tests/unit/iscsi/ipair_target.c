/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ipair_target.h"

#include "base/bytes.h"

#include <stdio.h>

struct priv {
    struct iovec iov, in;
};

_Static_assert(sizeof(struct priv) == PAIR_PRIV, "room in a task");

void pair_drop_tasks(struct pair *p)
{
    struct iscsi_task *t = NULL, *next;
    if (!p->tsess)
        return;
    for (t = iscsi_tsess_next_task(p->tsess, NULL); t; t = next) {
        next = iscsi_tsess_next_task(p->tsess, t);
        (void)iscsi_task_drop(t);
    }
    p->held_count = 0;
}

/* ---- the target's device ---- */

void pair_serve(struct pair *p, struct iscsi_task *t)
{
    struct priv *priv = t->priv;
    struct iscsi_response rsp = { .status = 0 };
    bool big = t->cdb[0] == 0x7f;
    uint32_t lba = be32_get(t->cdb + (big ? 12 : 2));
    uint32_t len = (big ? be32_get(t->cdb + 28) : be16_get(t->cdb + 7)) * (uint32_t)PAIR_BLOCK;

    if (t->cdb[0] == PAIR_WRITE_10 || t->cdb[0] == PAIR_BIDI_10 || (big && t->cdb_len == 32)) {
        priv->iov = (struct iovec){ p->disk + (size_t)lba * PAIR_BLOCK, len };
        iscsi_task_want_data(t, &priv->iov, 1, len < t->out_expected ? len : t->out_expected);
        return;
    }
    if (t->cdb[0] == PAIR_READ_10) {
        priv->iov = (struct iovec){ p->disk + (size_t)lba * PAIR_BLOCK, len };
        rsp.in = &priv->iov;
        rsp.in_cnt = 1;
        rsp.in_used = len;
        rsp.in_len = len < t->in_expected ? len : t->in_expected;
    } else {
        static const uint8_t sense[18] = { 0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20 };
        rsp.status = 2;
        rsp.sense = sense;
        rsp.sense_len = sizeof sense;
    }
    iscsi_task_respond(t, &rsp);
}

static void data_came(struct iscsi_task *t)
{
    bool big = t->cdb[0] == 0x7f;
    struct iscsi_response rsp = {
        .status = t->data_err ? 2 : 0,
        .out_used = (big ? be32_get(t->cdb + 28) : be16_get(t->cdb + 7)) * (uint32_t)PAIR_BLOCK,
    };
    if (t->cdb[0] == PAIR_BIDI_10 && !t->data_err) {
        struct priv *priv = t->priv;
        priv->in.iov_base = (uint8_t *)priv->iov.iov_base + (size_t)PAIR_BIDI * PAIR_BLOCK;
        priv->in.iov_len = priv->iov.iov_len;
        rsp.in = &priv->in;
        rsp.in_cnt = 1;
        rsp.in_used = rsp.in_len = priv->in.iov_len;
    }
    iscsi_task_respond(t, &rsp);
}

static bool is_held(const struct pair *p, const struct iscsi_task *t)
{
    for (unsigned i = 0; i < p->held_count; i++)
        if (p->held[i] == t)
            return true;
    return false;
}

static void unhold(struct pair *p, const struct iscsi_task *t)
{
    for (unsigned i = 0; i < p->held_count; i++)
        if (p->held[i] == t) {
            p->held[i] = p->held[--p->held_count];
            return;
        }
}

/* ABORT TASK and the sets: what is held is dropped. */
static void manage(struct pair *p, struct iscsi_task *tmf)
{
    bool found = tmf->tmf != ISCSI_TMF_ABORT_TASK;
    struct iscsi_task *t = iscsi_tsess_next_task(p->tsess, NULL), *next;
    for (; t; t = next) {
        next = iscsi_tsess_next_task(p->tsess, t);
        if (t == tmf || !is_held(p, t) ||
            (tmf->tmf == ISCSI_TMF_ABORT_TASK ? t->itt != tmf->ref_itt : t->lun != tmf->lun))
            continue;
        unhold(p, t);
        (void)iscsi_task_drop(t);
        p->aborted++;
        found = true;
    }
    iscsi_task_respond_tmf(tmf, found ? 0 : 1);
}

/* What happens to the target's session apart from its connections. */
bool pair_target_session(struct pair *p)
{
    struct iscsi_tsess_event ev;
    bool any = false;
    while (p->tsess && iscsi_tsess_next(p->tsess, &ev)) {
        any = true;
        if (ev.type == ISCSI_TSESS_EV_DATA) {
            data_came(ev.task);
        } else if (ev.type == ISCSI_TSESS_EV_TASK_LOST) {
            unhold(p, ev.task);
            (void)iscsi_task_drop(ev.task);
        } else if (ev.type == ISCSI_TSESS_EV_DOWN) {
            p->target_down = true;
        }
    }
    while (p->tsess && iscsi_tsess_take_kick(p->tsess))
        ;
    return any;
}

static void bind(struct pair *p, struct pair_conn *c, const struct iscsi_event *ev)
{
    if (!ev->tsih) { /* the old session, whose connections have ended, is reinstated */
        if (p->tsess)
            iscsi_tsess_close(p->tsess, true, "reinstated");
        (void)pair_target_session(p);
        pair_drop_tasks(p);
        p->target_down = false;
        for (int i = 0; i < PAIR_CONNS; i++)
            if (p->conn[i].t && p->conn[i].tclosed) {
                iscsi_tconn_free(p->conn[i].t);
                p->conn[i].t = NULL;
            }
        iscsi_tsess_free(p->tsess);
        p->tsess = iscsi_tsess_new(c->t, ++p->tsih, &p->alloc.a);
    }
    if (p->tsess && !p->target_down && (!ev->tsih || ev->tsih == p->tsih))
        iscsi_tconn_bind(c->t, p->tsess);
    else
        iscsi_tconn_login_reject(c->t, p->tsess ? 0x020a : 0x0302);
}

static void tell_targets(struct pair *p, struct pair_conn *c)
{
    static const char *const addresses[] = { "192.0.2.1:3260,1", "[2001:db8::1]:3260,2", NULL };
    char name[64];
    for (unsigned i = 0; i < p->targets; i++) {
        (void)snprintf(name, sizeof name, "iqn.2026-01.test:target%u", i);
        iscsi_tconn_target_record(c->t, name, i % 3 == 2 ? &addresses[2] : addresses);
    }
    iscsi_tconn_targets_end(c->t);
}

static void target_event(struct pair_conn *c, struct iscsi_event *ev)
{
    struct pair *p = c->p;
    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        if (p->redirect)
            iscsi_tconn_login_redirect(c->t, "192.0.2.9:3261,4", p->permanent);
        else if (!ev->discovery && strcmp(ev->target_name, "iqn.2026-01.test:disk") != 0)
            iscsi_tconn_login_reject(c->t, 0x0203);
        else
            iscsi_tconn_login_accept(c->t, &p->tauth, "a disk");
        break;
    case ISCSI_EV_LOGIN_USER:
        iscsi_tconn_login_secret(c->t, &p->tauth);
        break;
    case ISCSI_EV_LOGIN_BIND:
        bind(p, c, ev);
        break;
    case ISCSI_EV_SEND_TARGETS:
        tell_targets(p, c);
        break;
    case ISCSI_EV_COMMAND:
        c->commands++;
        p->commands++;
        if (p->hold)
            p->held[p->held_count++] = ev->task;
        else
            pair_serve(p, ev->task);
        break;
    case ISCSI_EV_TMF:
        manage(p, ev->task);
        break;
    case ISCSI_EV_DATA:
        data_came(ev->task);
        break;
    case ISCSI_EV_TASK_LOST:
        unhold(p, ev->task);
        (void)iscsi_task_drop(ev->task);
        break;
    case ISCSI_EV_CLOSE:
        c->tclosed = true;
        if (c->tup && pair_target_conns(p) == 0 && !ev->retained)
            pair_drop_tasks(p);
        break;
    case ISCSI_EV_LOGOUT_OTHER:
        for (int i = 0; !ev->cid && i < PAIR_CONNS; i++) /* the whole session */
            if (p->conn[i].t && &p->conn[i] != c && !p->conn[i].tclosed)
                iscsi_tconn_rx_eof(p->conn[i].t);
        break;
    case ISCSI_EV_LOGGED_IN:
        c->tup = true;
        break;
    case ISCSI_EV_SENT:
        break;
    }
}

bool pair_target_events(struct pair_conn *c)
{
    struct iscsi_event ev;
    bool any = false;
    memset(&ev, 0x5a, sizeof ev);
    while (c->t && !c->tclosed && iscsi_tconn_next(c->t, &ev)) {
        target_event(c, &ev);
        any = true;
    }
    return any;
}
