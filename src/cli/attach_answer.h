/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the program of an attached store answers to "show" (attach/control.h), taken apart. */
#ifndef USAN_CLI_ATTACH_ANSWER_H
#define USAN_CLI_ATTACH_ANSWER_H

#include "base/err.h"
#include "cli/report.h"

struct answer {
    struct answer_line {
        const char *key, *value; /* in text */
    } * v;
    size_t count; /* 0: it has not answered */
    char *text;
};

/* Ask the one of `name` in the run directory; on failure *ret is an empty answer. USAN_ECLOSED: it
 * says nothing for so long. */
USAN_MUST_CHECK
int answer_ask(const char *dir, const char *name, int timeout_ms, struct answer *ret,
               struct err_text *e);
/* text, on the heap, is taken over. */
USAN_MUST_CHECK
int answer_parse(char *text, struct answer *ret);
void answer_free(struct answer *a);
/* NULL: it does not say. */
const char *answer_get(const struct answer *a, const char *key);
/* "silent" of one that lives and has not answered, "dead" of one that does not live. */
const char *answer_state(const struct answer *a, bool alive);
/* A list of the paths of a multipath store; nothing of other stores. */
void answer_report_paths(const struct answer *a, struct report *out);
/* The same in a line each: its URL, its state, its ALUA state or what is wrong with it. */
void answer_print_paths(const struct answer *a, FILE *out);
/* All but the paths. */
void answer_report_rest(const struct answer *a, struct report *out);

#endif
