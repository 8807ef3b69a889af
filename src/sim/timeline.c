/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/timeline.h"

#include "iscsi/conn_fsm.h"
#include "iscsi/sess_fsm.h"

#include <stdlib.h>

static void name(struct sim_step *to, const struct iscsi_step *step)
{
    if (step->session) {
        to->from = iscsi_sess_state_name((enum iscsi_sess_state)step->from);
        to->to = iscsi_sess_state_name((enum iscsi_sess_state)step->to);
        to->event = iscsi_sess_event_text((enum iscsi_sess_event)step->event);
    } else {
        to->from = iscsi_conn_state_name((enum iscsi_conn_state)step->from);
        to->to = iscsi_conn_state_name((enum iscsi_conn_state)step->to);
        to->event = iscsi_conn_event_text((enum iscsi_conn_event)step->event);
    }
}

/* The target of a connection without a Login Request knows no CID. */
static bool cid_known(const struct iscsi_step *step)
{
    return step->role == ISCSI_ROLE_INITIATOR ||
           (step->from != ISCSI_CONN_FREE && step->from != ISCSI_CONN_XPT_UP);
}

static int add(struct sim_timeline *t, const struct sim_step *step)
{
    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct sim_step *v = realloc(t->v, cap * sizeof(*v));
        if (!v)
            return USAN_ENOMEM;
        t->v = v;
        t->cap = cap;
    }
    /* Logs are taken one after the other, each in its order. */
    size_t at = t->count++;
    for (; at && t->v[at - 1].at_ns > step->at_ns; at--)
        t->v[at] = t->v[at - 1];
    t->v[at] = *step;
    return 0;
}

int sim_timeline_take(struct sim_timeline *t, struct iscsi_steps *log,
                      uint32_t (*who)(void *ctx, const struct iscsi_step *step), void *ctx)
{
    for (uint32_t i = 0; i < log->count; i++) {
        const struct iscsi_step *from = &log->v[i];
        struct sim_step step = {
            .at_ns = from->at_ns,
            .role = from->role,
            .initiator = who(ctx, from),
            .session = from->session,
            .cid = !from->session && cid_known(from) ? from->cid : -1,
            .transition = from->transition,
        };
        name(&step, from);
        int err = add(t, &step);
        if (err)
            return err;
    }
    log->count = 0;
    return log->dropped ? USAN_ELIMIT : 0;
}

void sim_timeline_free(struct sim_timeline *t)
{
    free(t->v);
    *t = (struct sim_timeline){ .v = NULL };
}
