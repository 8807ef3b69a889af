/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session state machine of RFC 7143 section 8.3 (Q1..Q5, transitions N1..N11), for both
 * roles, as tables. iscsi_sess_fsm_step() is the only writer of a session's state.
 */
#ifndef USAN_ISCSI_SESS_FSM_H
#define USAN_ISCSI_SESS_FSM_H

#include "base/bytes.h"
#include "base/err.h"
#include "iscsi/role.h"

/* X(enumerator, name in the RFC, what it means) */
#define ISCSI_SESS_STATE_LIST(X)                                                                   \
    X(FREE, "Q1 FREE", "no connection yet, or cleaned up")                                         \
    X(ACTIVE, "Q2 ACTIVE", "the leading connection is in login")                                   \
    X(LOGGED_IN, "Q3 LOGGED_IN", "at least one connection in full feature phase")                  \
    X(FAILED, "Q4 FAILED", "all connections lost; may be continued or recovered")                  \
    X(IN_CONTINUE, "Q5 IN_CONTINUE", "a login tries to continue the failed session")

/* X(enumerator, what happened) */
#define ISCSI_SESS_EVENT_LIST(X)                                                                   \
    X(CONN_IN_LOGIN, "the first connection reached IN_LOGIN")                                      \
    X(CONN_LOGGED_IN, "a connection of the new session reached LOGGED_IN")                         \
    X(LOGIN_FAILED, "login on the leading connection failed")                                      \
    X(CLOSED, "session closed by logout")                                                          \
    X(REINSTATED, "session reinstatement closed or cleared this session")                          \
    X(CONNS_FAILED, "session failure: all connections are in CLEANUP_WAIT")                        \
    X(TIMED_OUT, "the state of the failed session timed out")                                      \
    X(CONTINUE_STARTED, "a login that continues the failed session began")                         \
    X(CONTINUED, "session continuation succeeded")                                                 \
    X(CONTINUE_FAILED, "the last session continuation attempt failed")

enum iscsi_sess_state {
#define X(name, ...) ISCSI_SESS_##name,
    ISCSI_SESS_STATE_LIST(X)
#undef X
        ISCSI_SESS_STATE_COUNT
};

enum iscsi_sess_event {
#define X(name, ...) ISCSI_SESS_EV_##name,
    ISCSI_SESS_EVENT_LIST(X)
#undef X
        ISCSI_SESS_EVENT_COUNT
};

/* As iscsi_conn_fsm_step(), with transitions "N1".."N11". */
USAN_MUST_CHECK
int iscsi_sess_fsm_step(enum iscsi_sess_state *state, enum iscsi_role role,
                        enum iscsi_sess_event ev, const char **ret_transition);

/* "Q3 LOGGED_IN", "CONN_LOGGED_IN" and their meanings; static strings, never NULL. */
const char *iscsi_sess_state_name(enum iscsi_sess_state state);
const char *iscsi_sess_state_text(enum iscsi_sess_state state);
const char *iscsi_sess_event_name(enum iscsi_sess_event ev);
const char *iscsi_sess_event_text(enum iscsi_sess_event ev);

/* As iscsi_conn_fsm_print_list() and _graph(). */
void iscsi_sess_fsm_print_list(enum iscsi_role role, struct wr *w);
void iscsi_sess_fsm_print_graph(enum iscsi_role role, struct wr *w);

#endif
