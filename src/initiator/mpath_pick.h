/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which path a command takes. */
#ifndef USAN_INITIATOR_MPATH_PICK_H
#define USAN_INITIATOR_MPATH_PICK_H

#include <stdbool.h>
#include <stdint.h>

enum ini_policy {
    INI_POLICY_ROUND_ROBIN,       /* one after the other */
    INI_POLICY_LEAST_OUTSTANDING, /* the one with the fewest commands */
    INI_POLICY_SERVICE_TIME,      /* the one that is expected to be done first */
};

/* What is known of a path. Those in a better class are taken before all others. */
struct ini_pick {
    bool usable;
    uint8_t rank;         /* 0 is best */
    unsigned outstanding; /* commands */
    uint64_t work;        /* outstanding, as ini_pick_work() */
    uint64_t pace;        /* ns for 1024 of work, measured; 0 = not yet */
};

/* How much work a command is: a fixed part, and its bytes. */
static inline uint64_t ini_pick_work(uint64_t bytes)
{
    return bytes + 16384;
}

/* The place of the path to take; -1: none is usable. avoid: not that one if there is another that
 * is usable, -1 = none. *turn is kept from call to call. */
int ini_pick(enum ini_policy policy, const struct ini_pick *v, unsigned count, uint64_t work,
             int avoid, unsigned *turn);
/* Words for options and messages; false: there is no such policy. */
bool ini_policy_parse(const char *word, enum ini_policy *ret_policy);
const char *ini_policy_name(enum ini_policy policy);

#endif
