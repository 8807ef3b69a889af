/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the connection and the session machine have in common: cells, the step, and printing. */
#ifndef USAN_ISCSI_FSM_H
#define USAN_ISCSI_FSM_H

#include "base/bytes.h"
#include "base/err.h"

/* One cell of a [state][event] table; transition NULL = no such move, a protocol error. */
struct fsm_cell {
    const char *transition;
    unsigned next;
};

/* A table of one role with its names, all borrowed static data. */
struct fsm {
    const struct fsm_cell *cells; /* states * events, row by row */
    unsigned states, events;
    const char *(*state_name)(unsigned state);
    const char *(*event_name)(unsigned event);
    const char *(*event_text)(unsigned event);
};

/* The cell, or NULL when there is no such move (or state or event are no members at all). */
const struct fsm_cell *fsm_find(const struct fsm *fsm, unsigned state, unsigned event);

/* A transition ("T12", "N5", "M1"; NULL: none) as a bit: n, and 20 + n for the M, which have a
 * connection's and a session's beside them. */
uint32_t fsm_transition_bit(const char *name);

/* Text for the documentation: a Markdown table; a Graphviz digraph called `name`. */
void fsm_print_list(const struct fsm *fsm, struct wr *w);
void fsm_print_graph(const struct fsm *fsm, const char *name, struct wr *w);

#endif
