/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One unit through two targets: a store with two paths, and requests to it. */
#ifndef USAN_TEST_MPATH_WORLD_H
#define USAN_TEST_MPATH_WORLD_H

#include "store_world.h"
#include "target_rig.h"

#define MW_NAA UINT64_C(0x6001405000000001)

enum { MW_COUNT = 64 };

struct mpath_world {
    struct rig *a, *b; /* of the same medium */
    struct bio bios[MW_COUNT];
    struct iovec iovs[MW_COUNT];
    uint8_t data[MW_COUNT][STORE_BLOCK];
};

extern struct mpath_world mw;

void mw_rigs_start(void);
void mw_rigs_stop(void);
/* The store of both, with options. */
void mw_spec(char text[512], const char *options);
/* Run until a statistic has this value. */
void mw_wait_stat(const char *name, const char *value);
/* Run until no more than so many requests are pending. */
void mw_wait_pending(unsigned most);
/* Start the targets and open the store: both paths are up. */
void mw_begin(const char *options);
void mw_end(void);
/* Start request i of a block, with its own memory; of a write: full of this byte. */
void mw_start(unsigned i, enum bio_op op, uint64_t block, uint8_t byte);
/* So many of them had no error. */
void mw_all_good(unsigned count);

#endif
