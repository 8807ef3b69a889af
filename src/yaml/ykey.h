/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * YAML files by tables: a table says which keys a map may have and where their values go in a
 * struct. What is wrong in a file is told as "FILE:LINE:COLUMN: what".
 */
#ifndef USAN_YAML_YKEY_H
#define USAN_YAML_YKEY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum ykey_kind {
    YKEY_TEXT,  /* char *, from malloc */
    YKEY_TEXTS, /* char ** at `at`, size_t at `count_at`; both from malloc */
    YKEY_U8,    /* numbers, min to max */
    YKEY_U16,
    YKEY_U32,
    YKEY_SIZE,   /* uint64_t bytes, min to max */
    YKEY_SIZE32, /* uint32_t bytes, min to max */
    YKEY_TIME,   /* uint64_t ns, min to max */
    YKEY_BOOL,
    YKEY_CALL, /* whatever `set` makes of the text */
    YKEY_MAP,  /* keys of `sub`, in the struct itself */
    YKEY_LIST, /* maps with keys of `sub`; `add` makes the struct */
};

enum { YKEY_KEYS_MAX = 64 }; /* of one table */

struct ykey {
    const char *name; /* NULL ends the table */
    enum ykey_kind kind;
    size_t at, count_at; /* offsets into the struct */
    uint64_t min, max;   /* max 0: no limits */
    const struct ykey *sub;
    /* A new element of the list; NULL when out of memory. */
    void *(*add)(void *parent);
    /* Where the line goes, a uint32_t: of an element into the struct that add makes, of another
     * value into the same struct as the value; 0 = nowhere. */
    size_t line_at;
    /* CALL: to is what `at` says, file the name of the file. On an error why says what is wrong
     * with the value. */
    int (*set)(const char *text, const char *file, void *to, struct err_text *why);
};

/* Read a file into base by the keys; what: what such a file is called, "the configuration".
 * USAN_EINVAL for what is wrong in it, USAN_ENOMEM, or why it can not be opened. What was read
 * until then stays in base. */
USAN_MUST_CHECK
int ykey_load(const struct ykey *keys, void *base, const char *path, const char *what,
              struct err_text *e);
/* The same from a stream; name stands for the file. */
USAN_MUST_CHECK
int ykey_parse(const struct ykey *keys, void *base, FILE *in, const char *name, const char *what,
               struct err_text *e);

/* Walk the keys there are, as "targets.luns.store"; false at the end. */
bool ykey_name(const struct ykey *keys, size_t i, char *buf, size_t cap);

#endif
