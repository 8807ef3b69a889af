/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of `usan serve`: which store a word means, and what its target is called. */
#ifndef USAN_CLI_NAME_H
#define USAN_CLI_NAME_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The specification for store_open_spec(), on the heap; NULL when out of memory. A word that names
 * a file is that file, whatever characters it has; a file may be named without "./" in front.
 */
char *cli_make_spec(const char *word);

/*
 * The last part of an iSCSI name for a word: the last component of the path it leads to, without
 * filters and options, or the kind of store where there is no path; only characters that RFC 3722
 * leaves. buf has room for cap > 0 bytes; it is cut to that.
 */
void cli_short_name(const char *word, char *buf, size_t cap);

/* A word like "ram" that is no file here but a back end, whose target is missing: how it is
 * written, "ram:SIZE"; or an empty word. Else NULL. */
const char *cli_meant(const char *word);

/* Do both words name the same file? Words that name none are never the same. */
bool cli_same_file(const char *a, const char *b);

#endif
