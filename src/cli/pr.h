/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Persistent reservations in words: parameter data of PERSISTENT RESERVE IN (SPC-6 6.16). */
#ifndef USAN_CLI_PR_H
#define USAN_CLI_PR_H

#include "cli/report.h"

#include <stdbool.h>

/* Service actions of PERSISTENT RESERVE IN (SPC-6 table 234). */
enum pr_in { PR_READ_KEYS, PR_READ_RESERVATION, PR_REPORT_CAPABILITIES, PR_READ_FULL_STATUS };

/* "write-exclusive"; NULL: a code that has no type. */
const char *pr_type_name(uint8_t code);
/* The code of a name or a number; false: there is none. */
bool pr_type_code(const char *name, uint8_t *ret_code);
/* "write-exclusive, exclusive-access, ..." */
void pr_type_list(char *buf, size_t cap);

/* What stands in p; what is cut off is left out. All of it with one outer object. */
void pr_print(struct report *r, enum pr_in what, const uint8_t *p, size_t len);

#endif
