/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <stdlib.h>

void must(bool holds)
{
    if (!holds)
        abort();
}

static void done(struct world *w, struct iscsi_icmd *c)
{
    struct cmd *m = c->user;
    must(m->busy && m >= w->cmd && m < w->cmd + CMDS);
    must(c->in_got <= c->in_len && c->sense_len <= sizeof(m->sense));
    must(!c->err == !c->why);
    must(c->err || !c->in_len || c->status || c->in_got == c->in_len ||
         (c->resid == ISCSI_RESID_UNDERFLOW || c->in_resid == ISCSI_RESID_UNDERFLOW));
    free(m->in); /* nothing may land there any more, nor be sent from there */
    free(m->out);
    m->busy = false;
}

static bool of_session(enum iscsi_iev type)
{
    return type == ISCSI_IEV_DONE || type == ISCSI_IEV_TMF_DONE || type == ISCSI_IEV_SESSION_DOWN ||
           type == ISCSI_IEV_RECOVER || type == ISCSI_IEV_RECOVERED;
}

static void events_of(struct world *w, struct link *l)
{
    struct iscsi_ievent ev;
    while (l->conn ? iscsi_iconn_next(l->conn, &ev) : iscsi_isess_next(w->sess, &ev)) {
        /* events of the session go on, those of the connection have an end */
        must((l->conn && !l->closed) || of_session(ev.type));
        switch (ev.type) {
        case ISCSI_IEV_DONE:
            done(w, ev.cmd);
            break;
        case ISCSI_IEV_TMF_DONE:
            must(w->tmf_busy[ev.tmf - w->tmf]);
            w->tmf_busy[ev.tmf - w->tmf] = false;
            break;
        case ISCSI_IEV_TARGET:
            must(ev.target_name && strlen(ev.target_name) <= ISCSI_NAME_MAX);
            must(!ev.address || strlen(ev.address) < 9000);
            break;
        case ISCSI_IEV_REDIRECT:
            must(ev.address && ev.address[0] && strlen(ev.address) < 256);
            break;
        case ISCSI_IEV_ASYNC:
            must(!ev.async.data_len || ev.async.data);
            break;
        case ISCSI_IEV_TEXT_DONE:
            must(ev.why != NULL);
            break;
        case ISCSI_IEV_SESSION_DOWN:
            must(ev.why != NULL && w->was_up);
            break;
        case ISCSI_IEV_LOGGED_IN:
            must(!l->logged_in);
            l->logged_in = w->was_up = true;
            break;
        case ISCSI_IEV_RECOVER:
            must(ev.why != NULL && w->level == 2);
            break;
        case ISCSI_IEV_RECOVERED:
            must(w->level == 2);
            break;
        case ISCSI_IEV_CLOSE:
            must(ev.why != NULL && ev.why[0]);
            l->closed = true;
            break;
        }
    }
}

void events(struct world *w)
{
    for (int i = 0; i < LINKS; i++)
        events_of(w, &w->link[i]);
}
