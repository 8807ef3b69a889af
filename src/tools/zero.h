/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Zeroes in data. */
#ifndef USAN_TOOLS_ZERO_H
#define USAN_TOOLS_ZERO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool zero_all(const uint8_t *p, size_t len);
/* How many bytes from p on, in whole units (and the rest at the end), are all zeroes or are all
 * units that are not; *ret_zero says which. len > 0; unit 0: all of it is data. */
size_t zero_run(const uint8_t *p, size_t len, size_t unit, bool *ret_zero);
/* The first byte in which they differ; len if none does. */
size_t zero_differ(const uint8_t *a, const uint8_t *b, size_t len);

#endif
