/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks that are being written: writes that overlap are carried out one after the other, in the
 * order they came.
 *
 * A table belongs to one disk, or is shared by several on different loops; then it has a lock, and
 * a range that waits is granted on its own loop.
 *
 * A range may have to stay closed when its owner is gone (a write that may still take effect):
 * ini_ranges_bequeath() leaves it in the table until a time. Nobody is woken then; who waits while
 * ini_ranges_orphans() says that there are any calls ini_ranges_poll() now and then.
 */
#ifndef USAN_INITIATOR_RANGES_H
#define USAN_INITIATOR_RANGES_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct ini_ranges;

/* Of a write; embedded by its owner. */
struct ini_range {
    uint64_t off, end; /* bytes */
    struct loop *loop;
    /* It has the blocks now. From the loop, never from inside a call with this very range. */
    void (*granted)(struct ini_range *r);
    /* kept by the table */
    struct list node; /* waiting, or in the list of those to be granted */
    struct loop_msg msg;
    bool waiting;
};

/* NULL: out of memory. */
struct ini_ranges *ini_ranges_new(bool shared);
/* Several disks use it from now on; false: one has begun to do so alone. From any thread. */
bool ini_ranges_share(struct ini_ranges *t);
/* No disk uses it any more: it is as new. */
void ini_ranges_renew(struct ini_ranges *t);
/* t may be NULL. */
void ini_ranges_free(struct ini_ranges *t);

/* Ask for [off, end). True: r has it; false: granted() follows. */
bool ini_ranges_claim(struct ini_ranges *t, struct ini_range *r);
/* Give it back. Those that may go now come into go (ini_range.node), if they are of this loop: the
 * caller calls their granted(). */
void ini_ranges_release(struct ini_ranges *t, const struct ini_range *r, struct list *go);
/* Stop waiting; false: it has been granted (or is about to be). go: as before. */
bool ini_ranges_withdraw(struct ini_ranges *t, struct ini_range *r, struct list *go);
/* Leave it closed until then, without an owner. */
void ini_ranges_bequeath(struct ini_ranges *t, const struct ini_range *r, uint64_t until_ns);
bool ini_ranges_orphans(const struct ini_ranges *t);
void ini_ranges_poll(struct ini_ranges *t, struct loop *loop, struct list *go);

#endif
