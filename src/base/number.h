/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as people write them: sizes and durations. */
#ifndef USAN_BASE_NUMBER_H
#define USAN_BASE_NUMBER_H

#include "base/err.h"

#include <stdint.h>

/* "4096", "64M", "64MiB", "1GiB": powers of 1024 with K M G T P, an optional "iB" or "B" behind
 * them; upper or lower case. USAN_EINVAL for anything else, USAN_ERANGE when it does not fit. */
USAN_MUST_CHECK
int num_parse_size(const char *text, uint64_t *ret_bytes);
/* The bytes with the largest unit that leaves a whole number, "16M" or "513". */
struct num_size_text {
    char s[24];
};
struct num_size_text num_size_text(uint64_t bytes);
/* A decimal number within [min, max]. The same errors. */
USAN_MUST_CHECK
int num_parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
/* "15", "15s", "500ms", "80us", "2min": seconds when there is no unit; nanoseconds out. */
USAN_MUST_CHECK
int num_parse_time(const char *text, uint64_t *ret_ns);
/* The time with the largest unit that leaves a whole number, "15s", "500ms" or "1500ns". */
struct num_size_text num_time_text(uint64_t ns);
/* "yes", "no", "true", "false", "on", "off". */
USAN_MUST_CHECK
int num_parse_bool(const char *text, _Bool *ret);

#endif
