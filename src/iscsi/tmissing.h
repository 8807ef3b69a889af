/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which of a write's data is still to be asked for. At recovery level 0 that is what lies behind
 * the last R2T; from level 1 on whatever did not come, or came damaged (RFC 7143 7.8, 7.9). */
#ifndef USAN_ISCSI_TMISSING_H
#define USAN_ISCSI_TMISSING_H

#include "iscsi/tstate.h"

/* Make t->ranges. 0 or USAN_ENOMEM. */
USAN_MUST_CHECK
int tmissing_ranges(struct ttask *t);
/* Level 1 and up: these bytes (len > 0) are there. USAN_EPROTO: some of them were already. */
USAN_MUST_CHECK
int tmissing_note(struct ttask *t, uint64_t off, uint64_t len);
/* How many of the first n bytes are there. */
uint64_t tmissing_covered(const struct ttask *t, uint64_t n);
/* Is one of these bytes, as far as they are wanted, not there? */
bool tmissing_in(const struct ttask *t, uint64_t off, uint64_t len);
/* The next bytes to ask for: their number, and where they begin; 0 = none. */
uint64_t tmissing_next(const struct ttask *t, uint64_t *ret_off);

#endif
