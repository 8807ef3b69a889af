/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of a sub-command: one const table, read by the parser, by --help and by the test that
 * compares it with the man page.
 */
#ifndef USAN_CLI_OPT_H
#define USAN_CLI_OPT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_type {
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char * */
    CLI_TEXTS,  /* struct cli_texts: may be given several times */
    CLI_CHOICE, /* const char *, one of the words in `arg`: "a|b|c" */
    CLI_UINT,   /* uint64_t, min to max */
    CLI_SIZE,   /* uint64_t bytes, min to max */
    CLI_TIME,   /* uint64_t ns */
};

enum { CLI_TEXTS_MAX = 64 };

struct cli_texts {
    const char *v[CLI_TEXTS_MAX];
    unsigned count;
};

struct cli_opt {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* 0 = no short form */
    enum cli_type type;
    const char *arg; /* what the argument is called; NULL for a flag */
    const char *def; /* the default as text; NULL = none. Parsed like an argument. */
    const char *help;
    size_t at; /* where the value goes: offset into the struct given to cli_parse */
    uint64_t min, max;
};

/*
 * Defaults, then the arguments. Words that are no options are moved to the front of argv and
 * *ret_words is their number. The values point into argv and the table. `opts` may be NULL.
 * USAN_EINVAL with e saying which argument is wrong; USAN_ECANCELED for --help (and -h), which
 * every command has.
 */
USAN_MUST_CHECK
int cli_parse(const struct cli_opt *opts, void *values, int argc, char **argv, int *ret_words,
              struct err_text *e);
/* The options as an indented list for --help, and --help itself. */
void cli_print_options(const struct cli_opt *opts, FILE *out);

#endif
