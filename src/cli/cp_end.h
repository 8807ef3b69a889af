/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two ends of usan cp: a store or a stream; a file that is made anew. */
#ifndef USAN_CLI_CP_END_H
#define USAN_CLI_CP_END_H

#include "store/store.h"

#include <limits.h>

struct cp_end {
    struct store *store; /* NULL: a stream */
    const char *name;    /* without secrets, for messages */
    struct store_spec_text text;
    uint64_t bytes;      /* of a source: with what stands behind its last block; or COPY_ENDLESS */
    uint8_t *tail;       /* that */
    char path[PATH_MAX]; /* of the file, if it is one */
    /* A destination that is a file of its own: written beside it and put in place at the end. */
    bool made;
    char part[PATH_MAX];
    int old_lock; /* with made: on the file that is replaced, so that nobody serves it meanwhile;
                   * -1: there is none */
};

/* USAN_EINVAL: it is written wrong; else it can not be opened. The end is closed in any case. */
USAN_MUST_CHECK
int cp_end_open_from(struct cp_end *end, const char *word, struct err_text *e);
/* in_place: a file that is there is written to; else it is replaced, and made if there is none. */
USAN_MUST_CHECK
int cp_end_open_to(struct cp_end *end, const char *word, const struct cp_end *from, bool in_place,
                   struct err_text *e);
/* All is written: the file gets its size and its name. The store is closed. */
USAN_MUST_CHECK
int cp_end_keep(struct cp_end *end, uint64_t bytes, struct err_text *e);
/* The new file goes, unless it was kept. */
void cp_end_discard(struct cp_end *end);
void cp_end_close(struct cp_end *end);

#endif
