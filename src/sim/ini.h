/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An initiator of a simulation: one session, its connections, and what is asked of the unit. */
#ifndef USAN_SIM_INI_H
#define USAN_SIM_INI_H

#include "iscsi/initiator.h"
#include "sim/host.h"

/* A place for one request at a time. */
struct sim_slot {
    struct sim_ini *ini;
    struct iscsi_icmd cmd;
    struct sim_timer timer; /* the next request, or the same once more */
    uint8_t cdb[16];
    uint8_t sense[32];
    uint64_t start_ns;
    enum sim_op op;
    bool used;
    struct iovec iov[SIM_SCRATCH_IOV];
};

struct sim_path {
    struct sim_ini *ini;
    uint16_t cid;
    struct iscsi_iconn *conn; /* NULL: there is none */
    struct sim_sock *sock;
    bool up;
    struct sim_timer clock, open;
};

struct sim_ini {
    struct sim *sim;
    uint32_t index;
    struct iscsi_isess *sess;
    struct sim_timer clock, wake;
    struct iscsi_steps steps;
    bool pulling;
    bool opened; /* it was logged in once */
    bool ready;  /* the unit has answered */
    bool ending, logging_out, finished;
    /* load.c */
    struct sim_random random, think;
    uint64_t first_block, blocks, next; /* in requests: where it works, and how far it is */
    struct sim_slot probe;              /* TEST UNIT READY */
    uint32_t active;
    struct sim_slot *slots;
    struct sim_path paths[];
};

/* Look after it soon: events, bytes to send. */
void sim_ini_wake(struct sim_ini *ini);

/* ---- load.c ---- */
/* USAN_ENOMEM */
USAN_MUST_CHECK
int sim_load_init(struct sim_ini *ini);
void sim_load_fini(struct sim_ini *ini);
/* The session is there for the first time: see whether the unit is. */
void sim_load_probe(struct sim_ini *ini);
/* The core has done a command. */
void sim_load_done(struct sim_slot *slot);

#endif
