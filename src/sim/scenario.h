/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is simulated: hosts, the network between them, and the work. Read from a YAML file whose
 * keys are described in usan-sim.yaml(5). */
#ifndef USAN_SIM_SCENARIO_H
#define USAN_SIM_SCENARIO_H

#include "iscsi/params.h"
#include "sim/disk.h"
#include "sim/random.h"

#include <stdio.h>

/* ---- limits ---- */
enum {
    SIM_INITIATORS_MAX = 1000,
    SIM_CONNECTIONS_MAX = 16, /* of a session */
    SIM_DEPTH_MAX = 1024,     /* requests of an initiator at a time */
    SIM_BLOCK_MAX = 16 << 20, /* bytes of a request */
    SIM_MTU_MIN = 576,
    SIM_MTU_MAX = 65535,
    SIM_FAULTS_MAX = 256,
};

struct sim_network {
    uint64_t rate_bps;
    uint64_t delay_ns;  /* one way */
    uint64_t trunk_bps; /* link of the target, with several initiators; 0 = as the others */
    uint32_t mtu_bytes;
    uint64_t window_bytes;
    /* of worlds with packets; lines in the file, 0 = not given */
    double loss;
    uint32_t queue_packets;
    const char *tcp;
    uint32_t loss_line, queue_line, tcp_line;
};

enum sim_pattern { SIM_PATTERN_RANDOM, SIM_PATTERN_SEQUENTIAL };

struct sim_load_config {
    enum sim_pattern pattern;
    uint32_t read_percent;
    uint32_t block_bytes;
    uint32_t depth;
    struct sim_dist think; /* between the end of a request and the next one in its place */
    uint32_t block_line, depth_line; /* in the file, 0 = not given */
};

/* A role of iSCSI: what it offers. */
struct sim_side {
    struct iscsi_params_cfg params;
    uint32_t first_burst_line;
};

/* Connections of an initiator break. */
struct sim_fault {
    uint64_t at_ns;      /* after all initiators have begun to work */
    uint32_t initiator;  /* from 1 on */
    uint32_t connection; /* cid, or SIM_ALL */
    uint32_t line;
};
#define SIM_ALL UINT32_MAX

struct sim_scenario {
    const char *world; /* a word of SIM_WORLDS */
    uint32_t seed;
    uint64_t warm_up_ns, duration_ns;
    struct sim_network network;
    struct {
        struct sim_side side;
        uint32_t queue_depth; /* commands of a session */
        struct sim_disk_config disk;
        uint32_t size_line;
    } target;
    struct {
        struct sim_side side;
        uint32_t count, connections;
        uint32_t connections_line;
        uint64_t nop_interval_ns;
    } initiator;
    struct sim_load_config load;
    struct sim_fault faults[SIM_FAULTS_MAX + 1]; /* the last one: one too many */
    uint32_t fault_count;
};

/* What holds where the file says nothing. */
void sim_scenario_init(struct sim_scenario *sc);
/* Read and check. Errors read "FILE:LINE: what is wrong". */
USAN_MUST_CHECK
int sim_scenario_load(struct sim_scenario *sc, const char *path, struct err_text *e);
/* From a stream; name stands for the file. */
USAN_MUST_CHECK
int sim_scenario_parse(struct sim_scenario *sc, FILE *in, const char *name, struct err_text *e);

/* Walk the keys, as "target.disk.size"; false at the end. */
bool sim_scenario_key(size_t i, char *buf, size_t cap);

#endif
