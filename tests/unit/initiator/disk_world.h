/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk of the small target as a store, with one channel. */
#ifndef USAN_TEST_DISK_WORLD_H
#define USAN_TEST_DISK_WORLD_H

#include "store_world.h"
#include "target_rig.h"

extern struct rig *disk_rig;

/* Open the store of a unit of the target, which runs. */
int disk_open(unsigned lun, const char *options, bool read_only, struct err_text *e);
/* Start the target and open its disk. */
void disk_begin(void);
void disk_end(void);
/* One request from this memory; its result, and all of it unless ret_bio is NULL. */
int disk_run(enum bio_op op, uint32_t flags, uint64_t block, uint64_t blocks, struct iovec *iov,
             int iovcnt, struct bio *ret_bio);

#endif
