/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a command found out, as indented lines for people or as JSON. Objects and lists are begun
 * and ended; every value has a key for JSON and a label for people.
 */
#ifndef USAN_CLI_REPORT_H
#define USAN_CLI_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { REPORT_DEPTH_MAX = 8 };

struct report {
    FILE *out;
    bool json;
    unsigned depth;
    bool list[REPORT_DEPTH_MAX + 1];   /* this level is a list: no keys */
    bool comma[REPORT_DEPTH_MAX + 1];  /* something stands before */
    bool headed[REPORT_DEPTH_MAX + 1]; /* a line names this level: what is in it is indented */
};

void report_init(struct report *r, FILE *out, bool json);
/* The outermost level is an object or a list; the last end ends the line. label NULL: no line of
 * its own for people, and no indentation. */
void report_begin(struct report *r, const char *key, const char *label);
void report_begin_list(struct report *r, const char *key, const char *label);
void report_end(struct report *r);

void report_text(struct report *r, const char *key, const char *label, const char *value);
/* unit is for people: "blocks"; NULL = none. */
void report_number(struct report *r, const char *key, const char *label, uint64_t value,
                   const char *unit);
void report_bool(struct report *r, const char *key, const char *label, bool value);
/* Bytes in hexadecimal; for people sixteen a line with their characters. */
void report_bytes(struct report *r, const char *key, const char *label, const uint8_t *p, size_t n);

/* A JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void report_json_string(FILE *out, const char *s);

#endif
