/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a store says of itself when something failed. */
#ifndef USAN_TOOLS_WORDS_H
#define USAN_TOOLS_WORDS_H

#include "store/store.h"

#include <stddef.h>

/* " (TEXT)": what the store has kept about its last failure, "iscsi.error TEXT" among what it
 * counts; empty if it has nothing. */
void tools_store_words(struct store *s, char *buf, size_t cap);

#endif
