/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/conn_fsm.h"

#include "iscsi/fsm.h"

#include <assert.h>

#define TO(state, event, transition, to)                                                           \
    [ISCSI_CONN_##state][ISCSI_CONN_EV_##event] = { transition, ISCSI_CONN_##to }

static const struct fsm_cell initiator[ISCSI_CONN_STATE_COUNT][ISCSI_CONN_EVENT_COUNT] = {
    TO(FREE, XPT_CONNECTING, "T1", XPT_WAIT),

    TO(XPT_WAIT, XPT_LOST, "T2", FREE),
    TO(XPT_WAIT, SESSION_CLOSED, "T2", FREE),
    TO(XPT_WAIT, XPT_CONNECTED, "T4", IN_LOGIN),

    TO(IN_LOGIN, LOGIN_OK, "T5", LOGGED_IN),
    TO(IN_LOGIN, LOGIN_FAILED, "T7", FREE),
    TO(IN_LOGIN, LOGIN_TIMEOUT, "T7", FREE),
    TO(IN_LOGIN, XPT_LOST, "T7", FREE),
    TO(IN_LOGIN, SESSION_CLOSED, "T7", FREE),

    TO(LOGGED_IN, SESSION_CLOSED, "T8", FREE),
    TO(LOGGED_IN, LOGOUT_STARTED, "T9", IN_LOGOUT),
    TO(LOGGED_IN, LOGOUT_ASKED, "T11", LOGOUT_REQUESTED),
    TO(LOGGED_IN, XPT_LOST, "T15", CLEANUP_WAIT),
    TO(LOGGED_IN, DROPPED, "T15", CLEANUP_WAIT),

    TO(IN_LOGOUT, LOGOUT_OK, "T13", FREE),
    TO(IN_LOGOUT, SESSION_CLOSED, "T13", FREE),
    TO(IN_LOGOUT, LOGOUT_ASKED, "T14", IN_LOGOUT),
    TO(IN_LOGOUT, LOGOUT_FAILED, "T17", CLEANUP_WAIT),
    TO(IN_LOGOUT, XPT_LOST, "T17", CLEANUP_WAIT),
    TO(IN_LOGOUT, DROPPED, "T17", CLEANUP_WAIT),

    TO(LOGOUT_REQUESTED, LOGOUT_STARTED, "T10", IN_LOGOUT),
    TO(LOGOUT_REQUESTED, LOGOUT_ASKED, "T12", LOGOUT_REQUESTED),
    TO(LOGOUT_REQUESTED, XPT_LOST, "T16", CLEANUP_WAIT),
    TO(LOGOUT_REQUESTED, DROPPED, "T16", CLEANUP_WAIT),
    TO(LOGOUT_REQUESTED, SESSION_CLOSED, "T18", FREE),

    TO(CLEANUP_WAIT, CLEANUP_TIMEOUT, "M1", FREE),
    TO(CLEANUP_WAIT, SESSION_CLOSED, "M1", FREE),
    TO(CLEANUP_WAIT, CLEANUP_STARTED, "M2", IN_CLEANUP),

    TO(IN_CLEANUP, CLEANUP_FAILED, "M3", CLEANUP_WAIT),
    TO(IN_CLEANUP, CLEANUP_OK, "M4", FREE),
    TO(IN_CLEANUP, SESSION_CLOSED, "M4", FREE),
};

static const struct fsm_cell target[ISCSI_CONN_STATE_COUNT][ISCSI_CONN_EVENT_COUNT] = {
    TO(FREE, XPT_ACCEPTED, "T3", XPT_UP),

    TO(XPT_UP, LOGIN_STARTED, "T4", IN_LOGIN),
    TO(XPT_UP, LOGIN_TIMEOUT, "T6", FREE),
    TO(XPT_UP, XPT_LOST, "T6", FREE),

    TO(IN_LOGIN, LOGIN_OK, "T5", LOGGED_IN),
    TO(IN_LOGIN, LOGIN_FAILED, "T7", FREE),
    TO(IN_LOGIN, LOGIN_TIMEOUT, "T7", FREE),
    TO(IN_LOGIN, XPT_LOST, "T7", FREE),
    TO(IN_LOGIN, SESSION_CLOSED, "T7", FREE),

    TO(LOGGED_IN, SESSION_CLOSED, "T8", FREE),
    TO(LOGGED_IN, REINSTATED, "T8", FREE),
    TO(LOGGED_IN, LOGOUT_STARTED, "T9", IN_LOGOUT),
    TO(LOGGED_IN, LOGOUT_ASKED, "T11", LOGOUT_REQUESTED),
    TO(LOGGED_IN, XPT_LOST, "T15", CLEANUP_WAIT),
    TO(LOGGED_IN, DROPPED, "T15", CLEANUP_WAIT),

    TO(IN_LOGOUT, LOGOUT_OK, "T13", FREE),
    TO(IN_LOGOUT, SESSION_CLOSED, "T13", FREE),
    TO(IN_LOGOUT, REINSTATED, "T13", FREE),
    TO(IN_LOGOUT, LOGOUT_FAILED, "T17", CLEANUP_WAIT),
    TO(IN_LOGOUT, XPT_LOST, "T17", CLEANUP_WAIT),
    TO(IN_LOGOUT, DROPPED, "T17", CLEANUP_WAIT),

    TO(LOGOUT_REQUESTED, LOGOUT_STARTED, "T10", IN_LOGOUT),
    TO(LOGOUT_REQUESTED, LOGOUT_ASKED, "T12", LOGOUT_REQUESTED),
    TO(LOGOUT_REQUESTED, XPT_LOST, "T16", CLEANUP_WAIT),
    TO(LOGOUT_REQUESTED, DROPPED, "T16", CLEANUP_WAIT),
    TO(LOGOUT_REQUESTED, SESSION_CLOSED, "T18", FREE),
    TO(LOGOUT_REQUESTED, REINSTATED, "T18", FREE),

    TO(CLEANUP_WAIT, CLEANUP_TIMEOUT, "M1", FREE),
    TO(CLEANUP_WAIT, SESSION_CLOSED, "M1", FREE),
    TO(CLEANUP_WAIT, CLEANUP_STARTED, "M2", IN_CLEANUP),

    TO(IN_CLEANUP, CLEANUP_FAILED, "M3", CLEANUP_WAIT),
    TO(IN_CLEANUP, CLEANUP_OK, "M4", FREE),
    TO(IN_CLEANUP, SESSION_CLOSED, "M4", FREE),
};

/* name, meaning */
static const char *const states[ISCSI_CONN_STATE_COUNT][2] = {
#define X(name, rfc, text) [ISCSI_CONN_##name] = { rfc, text },
    ISCSI_CONN_STATE_LIST(X)
#undef X
};

static const char *const events[ISCSI_CONN_EVENT_COUNT][2] = {
#define X(name, text) [ISCSI_CONN_EV_##name] = { #name, text },
    ISCSI_CONN_EVENT_LIST(X)
#undef X
};

static const char *state_name(unsigned state)
{
    return state < ISCSI_CONN_STATE_COUNT ? states[state][0] : "?";
}

static const char *event_name(unsigned ev)
{
    return ev < ISCSI_CONN_EVENT_COUNT ? events[ev][0] : "?";
}

static const char *event_text(unsigned ev)
{
    return ev < ISCSI_CONN_EVENT_COUNT ? events[ev][1] : "?";
}

static struct fsm machine(enum iscsi_role role)
{
    assert(role < ISCSI_ROLE_COUNT);
    return (struct fsm){
        .cells = role == ISCSI_ROLE_INITIATOR ? &initiator[0][0] : &target[0][0],
        .states = ISCSI_CONN_STATE_COUNT,
        .events = ISCSI_CONN_EVENT_COUNT,
        .state_name = state_name,
        .event_name = event_name,
        .event_text = event_text,
    };
}

int iscsi_conn_fsm_step(enum iscsi_conn_state *state, enum iscsi_role role,
                        enum iscsi_conn_event ev, const char **ret_transition)
{
    struct fsm fsm = machine(role);
    const struct fsm_cell *cell = fsm_find(&fsm, *state, ev);
    if (!cell)
        return USAN_EPROTO;
    *state = (enum iscsi_conn_state)cell->next;
    if (ret_transition)
        *ret_transition = cell->transition;
    return 0;
}

const char *iscsi_conn_state_name(enum iscsi_conn_state state)
{
    return state_name(state);
}

const char *iscsi_conn_state_text(enum iscsi_conn_state state)
{
    return state < ISCSI_CONN_STATE_COUNT ? states[state][1] : "?";
}

const char *iscsi_conn_event_name(enum iscsi_conn_event ev)
{
    return event_name(ev);
}

const char *iscsi_conn_event_text(enum iscsi_conn_event ev)
{
    return event_text(ev);
}

void iscsi_conn_fsm_print_list(enum iscsi_role role, struct wr *w)
{
    struct fsm fsm = machine(role);
    fsm_print_list(&fsm, w);
}

void iscsi_conn_fsm_print_graph(enum iscsi_role role, struct wr *w)
{
    struct fsm fsm = machine(role);
    fsm_print_graph(&fsm, role == ISCSI_ROLE_INITIATOR ? "conn_initiator" : "conn_target", w);
}
