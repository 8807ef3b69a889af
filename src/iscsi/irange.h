/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a buffer came, when they may come in any order (DataPDUInOrder=No): disjoint
 * ranges, merged where they touch. Internal to src/iscsi. */
#ifndef USAN_ISCSI_IRANGE_H
#define USAN_ISCSI_IRANGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { IRANGE_MAX = 32 };

struct irange {
    unsigned count;
    struct {
        uint32_t off, end;
    } range[IRANGE_MAX]; /* by offset; neighbours do not touch */
};

/* USAN_EEXIST: a byte of [off, off + len) is there already; USAN_ELIMIT: too many pieces. len is
 * not 0, off + len is below 2^32. */
USAN_MUST_CHECK
int irange_add(struct irange *r, uint32_t off, uint32_t len);
/* The same where bytes may be there already; *ret_new of them were not. */
USAN_MUST_CHECK
int irange_merge(struct irange *r, uint32_t off, uint32_t len, uint32_t *ret_new);
/* Is a byte of [off, off + len) there? */
bool irange_overlaps(const struct irange *r, uint32_t off, uint32_t len);

#endif
