/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the hosts of a simulation have in common. */
#ifndef USAN_SIM_HOST_H
#define USAN_SIM_HOST_H

#include "base/alloc_heap.h"
#include "sim/sim.h"

#define SIM_TARGET_NAME "iqn.2025-01.io.usan:disk"

enum {
    SIM_RX_BYTES = 64 << 10,
    SIM_SCRATCH_BYTES = 1 << 20,
    SIM_SCRATCH_IOV = SIM_BLOCK_MAX / SIM_SCRATCH_BYTES,
};

struct sim_tgt;
struct sim_ini;

struct sim_fault_timer {
    struct sim_timer timer;
    struct sim *sim;
    const struct sim_fault *fault;
};

struct sim {
    const struct sim_scenario *sc;
    const struct sim_world *world;
    struct sim_net *net;
    struct sim_clock clock;
    struct sim_tgt *tgt;
    struct sim_ini **inis;
    uint32_t ready, finished; /* initiators: that work, that have logged out */
    bool measuring, ending;
    struct sim_timer phase; /* the end of the warm-up, of the measured time, of all patience */
    struct sim_result *result;
    struct sim_timeline *timeline; /* NULL: nobody wants it */
    struct sim_fault_timer faults[SIM_FAULTS_MAX];
    struct sim_link_stats out0, in0; /* when measuring began */
    struct sim_disk_stats disk0;
    int err;
    struct err_text *why;
    uint8_t rx[SIM_RX_BYTES];
    /* Data of all commands: what is in it is nobody's business. */
    uint8_t scratch[SIM_SCRATCH_BYTES];
};

/* The first thing that goes wrong ends the simulation. */
__attribute__((format(printf, 3, 4))) void sim_fail(struct sim *sim, int err, const char *fmt, ...);
/* Memory for data: bytes <= SIM_BLOCK_MAX; returns the number of iovecs. */
int sim_scratch(struct sim *sim, uint64_t bytes, struct iovec iov[SIM_SCRATCH_IOV]);
/* Bytes that go into random fields of the cores. */
void sim_seed(const struct sim *sim, uint32_t index, uint8_t seed[32]);

/* A log for cores, and its way into the time-line; who: whose a step is. */
void sim_steps_init(struct sim *sim, struct iscsi_steps *log);
void sim_steps_take(struct sim *sim, struct iscsi_steps *log,
                    uint32_t (*who)(void *ctx, const struct iscsi_step *step), void *ctx);

/* An initiator has found its unit; it has logged out. */
void sim_ini_ready(struct sim *sim);
void sim_ini_finished(struct sim *sim);

/* ---- the target ---- */
/* NULL: out of memory. */
struct sim_tgt *sim_tgt_new(struct sim *sim);
void sim_tgt_free(struct sim_tgt *tgt); /* may be NULL */
struct sim_disk *sim_tgt_disk(struct sim_tgt *tgt);

/* ---- initiators ---- */
struct sim_ini *sim_ini_new(struct sim *sim, uint32_t index); /* it connects at once */
void sim_ini_free(struct sim_ini *ini);                       /* may be NULL */
/* No more requests; log out when those under way have ended. */
void sim_ini_end(struct sim_ini *ini);
/* Its connection with this cid breaks, or with SIM_ALL all of them. */
void sim_ini_break(struct sim_ini *ini, uint32_t cid);

#endif
