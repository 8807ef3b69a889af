/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/sess_fsm.h"

#include "iscsi/fsm.h"

#include <assert.h>

#define TO(state, event, transition, to)                                                           \
    [ISCSI_SESS_##state][ISCSI_SESS_EV_##event] = { transition, ISCSI_SESS_##to }

static const struct fsm_cell initiator[ISCSI_SESS_STATE_COUNT][ISCSI_SESS_EVENT_COUNT] = {
    TO(FREE, CONN_LOGGED_IN, "N1", LOGGED_IN), TO(LOGGED_IN, CLOSED, "N3", FREE),
    TO(LOGGED_IN, CONNS_FAILED, "N5", FAILED), TO(FAILED, CONTINUED, "N4", LOGGED_IN),
    TO(FAILED, TIMED_OUT, "N6", FREE),         TO(FAILED, REINSTATED, "N6", FREE),
};

static const struct fsm_cell target[ISCSI_SESS_STATE_COUNT][ISCSI_SESS_EVENT_COUNT] = {
    TO(FREE, CONN_IN_LOGIN, "N1", ACTIVE),
    TO(ACTIVE, CONN_LOGGED_IN, "N2", LOGGED_IN),
    TO(ACTIVE, LOGIN_FAILED, "N9", FREE),
    TO(LOGGED_IN, CLOSED, "N3", FREE),
    TO(LOGGED_IN, REINSTATED, "N3", FREE),
    TO(LOGGED_IN, CONNS_FAILED, "N5", FAILED),
    TO(FAILED, TIMED_OUT, "N6", FREE),
    TO(FAILED, REINSTATED, "N6", FREE),
    TO(FAILED, CONTINUE_STARTED, "N7", IN_CONTINUE),
    TO(IN_CONTINUE, CONTINUE_FAILED, "N8", FAILED),
    TO(IN_CONTINUE, CONTINUED, "N10", LOGGED_IN),
    TO(IN_CONTINUE, REINSTATED, "N11", FREE),
};

/* name, meaning */
static const char *const states[ISCSI_SESS_STATE_COUNT][2] = {
#define X(name, rfc, text) [ISCSI_SESS_##name] = { rfc, text },
    ISCSI_SESS_STATE_LIST(X)
#undef X
};

static const char *const events[ISCSI_SESS_EVENT_COUNT][2] = {
#define X(name, text) [ISCSI_SESS_EV_##name] = { #name, text },
    ISCSI_SESS_EVENT_LIST(X)
#undef X
};

static const char *state_name(unsigned state)
{
    return state < ISCSI_SESS_STATE_COUNT ? states[state][0] : "?";
}

static const char *event_name(unsigned ev)
{
    return ev < ISCSI_SESS_EVENT_COUNT ? events[ev][0] : "?";
}

static const char *event_text(unsigned ev)
{
    return ev < ISCSI_SESS_EVENT_COUNT ? events[ev][1] : "?";
}

static struct fsm machine(enum iscsi_role role)
{
    assert(role < ISCSI_ROLE_COUNT);
    return (struct fsm){
        .cells = role == ISCSI_ROLE_INITIATOR ? &initiator[0][0] : &target[0][0],
        .states = ISCSI_SESS_STATE_COUNT,
        .events = ISCSI_SESS_EVENT_COUNT,
        .state_name = state_name,
        .event_name = event_name,
        .event_text = event_text,
    };
}

int iscsi_sess_fsm_step(enum iscsi_sess_state *state, enum iscsi_role role,
                        enum iscsi_sess_event ev, const char **ret_transition)
{
    struct fsm fsm = machine(role);
    const struct fsm_cell *cell = fsm_find(&fsm, *state, ev);
    if (!cell)
        return USAN_EPROTO;
    *state = (enum iscsi_sess_state)cell->next;
    if (ret_transition)
        *ret_transition = cell->transition;
    return 0;
}

const char *iscsi_sess_state_name(enum iscsi_sess_state state)
{
    return state_name(state);
}

const char *iscsi_sess_state_text(enum iscsi_sess_state state)
{
    return state < ISCSI_SESS_STATE_COUNT ? states[state][1] : "?";
}

const char *iscsi_sess_event_name(enum iscsi_sess_event ev)
{
    return event_name(ev);
}

const char *iscsi_sess_event_text(enum iscsi_sess_event ev)
{
    return event_text(ev);
}

void iscsi_sess_fsm_print_list(enum iscsi_role role, struct wr *w)
{
    struct fsm fsm = machine(role);
    fsm_print_list(&fsm, w);
}

void iscsi_sess_fsm_print_graph(enum iscsi_role role, struct wr *w)
{
    struct fsm fsm = machine(role);
    fsm_print_graph(&fsm, role == ISCSI_ROLE_INITIATOR ? "sess_initiator" : "sess_target", w);
}
