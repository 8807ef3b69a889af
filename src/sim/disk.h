/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk that takes time and holds no data. Up to queue_depth requests are served at a time, the
 * others wait in their order; each takes a latency that is drawn, and then its bytes go through a
 * channel that all share.
 */
#ifndef USAN_SIM_DISK_H
#define USAN_SIM_DISK_H

#include "base/bio.h"
#include "sim/clock.h"
#include "sim/random.h"

enum { SIM_DISK_DEPTH_MAX = 1024 };

struct sim_disk_config {
    uint64_t size_bytes;
    uint32_t block_bytes;
    struct sim_dist read, write; /* latency; flushes are writes */
    uint64_t bandwidth_bps;      /* bytes a second through the channel; 0 = any number */
    uint32_t queue_depth;
};

struct sim_disk_stats {
    uint64_t reads, writes, others;
    uint64_t busy_ns;       /* time with a request in service */
    uint64_t bytes_busy_ns; /* time in which the channel was in use */
    uint64_t wait_ns;       /* of all requests, until they were served */
};

struct sim_disk;

/* cfg and clock are borrowed. NULL: out of memory. */
struct sim_disk *sim_disk_new(const struct sim_disk_config *cfg, struct sim_clock *clock,
                              uint64_t seed);
/* Requests are forgotten. disk may be NULL. */
void sim_disk_free(struct sim_disk *disk);
/* bio->done is called later, never from here. Memory of a read is left as it is. */
void sim_disk_submit(struct sim_disk *disk, struct bio *bio);
/* Up to now. */
struct sim_disk_stats sim_disk_stats(const struct sim_disk *disk);

#endif
