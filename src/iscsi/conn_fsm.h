/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection state machine of RFC 7143 section 8.1 (S1..S8, transitions T1..T18) together
 * with the cleanup machine of section 8.2 (R1 = S8, R2, R3 = S1; transitions M1..M4), for both
 * roles, as tables.
 *
 * Events are what happens on or to this connection; which of them exist in which state differs
 * by role. iscsi_conn_fsm_step() is the only writer of a connection's state.
 */
#ifndef USAN_ISCSI_CONN_FSM_H
#define USAN_ISCSI_CONN_FSM_H

#include "base/bytes.h"
#include "base/err.h"
#include "iscsi/role.h"

/* X(enumerator, name in the RFC, what it means) */
#define ISCSI_CONN_STATE_LIST(X)                                                                   \
    X(FREE, "S1 FREE", "no transport connection")                                                  \
    X(XPT_WAIT, "S2 XPT_WAIT", "transport connection asked for")                                   \
    X(XPT_UP, "S3 XPT_UP", "transport connection up, no login yet")                                \
    X(IN_LOGIN, "S4 IN_LOGIN", "login phase")                                                      \
    X(LOGGED_IN, "S5 LOGGED_IN", "full feature phase")                                             \
    X(IN_LOGOUT, "S6 IN_LOGOUT", "logout request sent or received")                                \
    X(LOGOUT_REQUESTED, "S7 LOGOUT_REQUESTED", "the target has asked for a logout")                \
    X(CLEANUP_WAIT, "S8 CLEANUP_WAIT", "lost without logout; its tasks wait for cleanup")          \
    X(IN_CLEANUP, "R2 IN_CLEANUP", "a logout for it is being carried out elsewhere")

/* X(enumerator, what happened) */
#define ISCSI_CONN_EVENT_LIST(X)                                                                   \
    X(XPT_CONNECTING, "transport connection asked for")                                            \
    X(XPT_ACCEPTED, "transport connection accepted")                                               \
    X(XPT_CONNECTED, "transport connection established")                                           \
    X(XPT_LOST, "transport disconnect, reset or timeout")                                          \
    X(LOGIN_STARTED, "first Login Request received")                                               \
    X(LOGIN_OK, "final Login Response, status class 0")                                            \
    X(LOGIN_FAILED, "Login Response with another status class")                                    \
    X(LOGIN_TIMEOUT, "login timed out")                                                            \
    X(LOGOUT_STARTED, "Logout Request for this connection sent or received on it")                 \
    X(LOGOUT_ASKED, "Async Message \"request logout\" received or sent")                           \
    X(LOGOUT_OK, "Logout Response with success received or sent")                                  \
    X(LOGOUT_FAILED, "Logout Response with failure received or sent, or logout timed out")         \
    X(DROPPED, "Async Message \"drop connection\" or \"drop all connections\"")                    \
    X(SESSION_CLOSED, "\"close the session\" logout on another connection")                        \
    X(REINSTATED, "connection or session reinstated by a new login")                               \
    X(CLEANUP_TIMEOUT, "the state of the lost connection timed out")                               \
    X(CLEANUP_STARTED, "implicit or explicit logout of the lost connection began")                 \
    X(CLEANUP_FAILED, "that logout failed")                                                        \
    X(CLEANUP_OK, "that logout succeeded")

enum iscsi_conn_state {
#define X(name, ...) ISCSI_CONN_##name,
    ISCSI_CONN_STATE_LIST(X)
#undef X
        ISCSI_CONN_STATE_COUNT
};

enum iscsi_conn_event {
#define X(name, ...) ISCSI_CONN_EV_##name,
    ISCSI_CONN_EVENT_LIST(X)
#undef X
        ISCSI_CONN_EVENT_COUNT
};

/*
 * Take one step. On success *state is the next state and *ret_transition (may be NULL) is the
 * RFC's name of the transition ("T5"), a static string. USAN_EPROTO when the event has no place
 * in this state and role; nothing is written then.
 */
USAN_MUST_CHECK
int iscsi_conn_fsm_step(enum iscsi_conn_state *state, enum iscsi_role role,
                        enum iscsi_conn_event ev, const char **ret_transition);

/* "S5 LOGGED_IN", "LOGIN_OK" and their meanings; static strings, never NULL. */
const char *iscsi_conn_state_name(enum iscsi_conn_state state);
const char *iscsi_conn_state_text(enum iscsi_conn_state state);
const char *iscsi_conn_event_name(enum iscsi_conn_event ev);
const char *iscsi_conn_event_text(enum iscsi_conn_event ev);

/* The table of one role for the documentation: a Markdown table of all transitions, and a graph
 * in Graphviz form. Not NUL-terminated; wr_truncated() says when it did not fit. */
void iscsi_conn_fsm_print_list(enum iscsi_role role, struct wr *w);
void iscsi_conn_fsm_print_graph(enum iscsi_role role, struct wr *w);

#endif
