/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A storage network of simulated hosts that run the product's own protocol cores: one target with a
 * disk, initiators with one session each. Everything is a function of the scenario and its seed.
 *
 *   clock      simulated time
 *   random     streams of random numbers
 *   scenario   what is simulated
 *   net        what a world is; net_pipe: one of them
 *   disk       how long a disk takes
 *   tgt_*      the target: connections, sessions, commands
 *   ini        an initiator: its session and connections
 *   load       what it asks for
 *   timeline   the states of both
 *   sim        all of them, and the figures
 */
#ifndef USAN_SIM_SIM_H
#define USAN_SIM_SIM_H

#include "sim/disk.h"
#include "sim/net.h"
#include "sim/scenario.h"
#include "sim/timeline.h"
#include "tools/hist.h"

enum sim_op { SIM_READ, SIM_WRITE, SIM_OPS };

/* What the requests of all initiators came to that ended in the time that is measured. */
struct sim_result {
    uint64_t measured_ns;
    struct hist latency[SIM_OPS];
    uint64_t repeated;          /* times that a request was sent again: BUSY, a lost connection */
    uint64_t failed;            /* requests that the target ended with an error */
    uint64_t logins, closed;    /* connections */
    struct iscsi_params params; /* as negotiated, by the first initiator */
    /* the target's link over the measured time: out of it (data of reads) and into it */
    struct sim_link_stats out, in;
    struct sim_disk_stats disk;
    uint64_t packets_lost; /* on all links, in all the time */
    uint64_t events;       /* for the cost of a run */
    uint64_t end_ns;       /* simulated time in all */
};

/* What else is wanted of a run; NULL: not. */
struct sim_look {
    const char *pcap;              /* the packets of the target's link, if the world has any */
    struct sim_timeline *timeline; /* empty; the caller frees it, whatever comes of the run */
};

/* Run it to its end in this world. USAN_EIO: it came to none (no login, a session that could not be
 * closed); e says what happened, and when. */
USAN_MUST_CHECK
int sim_run(const struct sim_scenario *sc, const struct sim_world *world,
            const struct sim_look *look, struct sim_result *ret, struct err_text *e);

#endif
