/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* INQUIRY data in words. */
#ifndef USAN_CLI_INQ_H
#define USAN_CLI_INQ_H

#include "cli/report.h"

/* Standard INQUIRY data (SPC-6 6.7.2), len >= 36. */
void inq_standard(struct report *r, const uint8_t *p, size_t len);
/* A page of vital product data, with its header; what has no words is shown in hexadecimal. */
void inq_page(struct report *r, uint8_t page, const uint8_t *p, size_t len);
/* "Block Limits"; NULL: it has none here. */
const char *inq_page_name(uint8_t page);

#endif
