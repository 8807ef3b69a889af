/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks that are being written: writes that overlap are carried out one after the other, in the
 * order they came.
 *
 * A table is used by one disk, or by several on different loops, of which more may come at any
 * time. One that is alone with it takes no lock. A range that waits is granted on its own loop.
 * What a call costs does not depend on how many ranges there are, but on how many overlap: ranges
 * are found by the stretches of the disk that they touch.
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
struct ini_range;

/* Where a table keeps a range: in the list of a stretch of the disk that it touches. */
struct ini_range_place {
    struct list node;
    struct ini_range *r;
    uint64_t stretch;
};

/* Of a write; embedded by its owner. */
struct ini_range {
    uint64_t off, end; /* bytes */
    struct loop *loop;
    /* It has the blocks now. From the loop, never from inside a call with this very range. */
    void (*granted)(struct ini_range *r);
    /* Of one that was bequeathed: the table has done with it. On any thread, inside any call of the
     * table, or of ini_ranges_free(). */
    void (*over)(struct ini_range *r);
    /* kept by the table */
    struct list node; /* in the list of those to be granted; of orphans */
    struct loop_msg msg;
    struct ini_range_place places[2];
    struct list level_node;
    uint64_t number;   /* in the order they were claimed */
    uint64_t until_ns; /* of an orphan */
    unsigned blockers; /* claimed before, not yet released, and overlapping */
    uint8_t level;
    bool waiting;
};

/* NULL: out of memory. */
struct ini_ranges *ini_ranges_new(void);
/* Nobody uses it any more; orphans are over. t may be NULL. */
void ini_ranges_free(struct ini_ranges *t);
/* One more uses it, or one less, with a thread of its own. On any thread. The calls below are for
 * those that have joined. */
void ini_ranges_join(struct ini_ranges *t);
void ini_ranges_part(struct ini_ranges *t);

/* Ask for [off, end). True: r has it; false: granted() follows. */
bool ini_ranges_claim(struct ini_ranges *t, struct ini_range *r);
/* Give it back. Those that may go now come into go (ini_range.node), if they are of this loop: the
 * caller calls their granted(). */
void ini_ranges_release(struct ini_ranges *t, struct ini_range *r, struct list *go);
/* Stop waiting; false: it has been granted (or is about to be). go: as before. */
bool ini_ranges_withdraw(struct ini_ranges *t, struct ini_range *r, struct list *go);
/* Leave it closed until then, without an owner: r is the table's now, until over(). */
void ini_ranges_bequeath(struct ini_ranges *t, struct ini_range *r, uint64_t until_ns);
bool ini_ranges_orphans(const struct ini_ranges *t);
void ini_ranges_poll(struct ini_ranges *t, struct loop *loop, struct list *go);

#endif
