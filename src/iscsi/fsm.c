/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/fsm.h"

const struct fsm_cell *fsm_find(const struct fsm *fsm, unsigned state, unsigned event)
{
    if (state >= fsm->states || event >= fsm->events)
        return NULL;
    const struct fsm_cell *cell = &fsm->cells[(size_t)state * fsm->events + event];
    return cell->transition ? cell : NULL;
}

static void put(struct wr *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}

uint32_t fsm_transition_bit(const char *name)
{
    unsigned n = 0;

    if (!name)
        return 0;
    for (const char *p = name + 1; *p; p++)
        n = 10 * n + (unsigned)(*p - '0');
    return UINT32_C(1) << (name[0] == 'M' ? 20 + n : n);
}

void fsm_print_list(const struct fsm *fsm, struct wr *w)
{
    put(w, "| state | event | transition | next state |\n| --- | --- | --- | --- |\n");
    for (unsigned s = 0; s < fsm->states; s++) {
        for (unsigned e = 0; e < fsm->events; e++) {
            const struct fsm_cell *cell = fsm_find(fsm, s, e);
            if (!cell)
                continue;
            put(w, "| ");
            put(w, fsm->state_name(s));
            put(w, " | ");
            put(w, fsm->event_text(e));
            put(w, " | ");
            put(w, cell->transition);
            put(w, " | ");
            put(w, fsm->state_name(cell->next));
            put(w, " |\n");
        }
    }
}

void fsm_print_graph(const struct fsm *fsm, const char *name, struct wr *w)
{
    put(w, "digraph ");
    put(w, name);
    put(w, " {\n");
    for (unsigned s = 0; s < fsm->states; s++) {
        for (unsigned e = 0; e < fsm->events; e++) {
            const struct fsm_cell *cell = fsm_find(fsm, s, e);
            if (!cell)
                continue;
            put(w, "    \"");
            put(w, fsm->state_name(s));
            put(w, "\" -> \"");
            put(w, fsm->state_name(cell->next));
            put(w, "\" [label=\"");
            put(w, cell->transition);
            put(w, " ");
            put(w, fsm->event_name(e));
            put(w, "\"];\n");
        }
    }
    put(w, "}\n");
}
