/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both roles in one process: connections of an initiator session joined with connections of a
 * target, over pipes that cut the bytes into pieces of a size drawn from a seed. The target has a
 * device as simple as possible: READ(10), WRITE(10), a 32-byte WRITE, and a bidirectional command
 * that writes blocks and reads those PAIR_BIDI further on; 512-byte blocks.
 */
#ifndef TESTS_IPAIR_H
#define TESTS_IPAIR_H

#include "counted_alloc.h"

#include "iscsi/initiator.h"
#include "iscsi/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it */
#include <cmocka.h>

enum {
    PAIR_BLOCK = 512,
    PAIR_BLOCKS = 8192,
    PAIR_BIDI = 4096,
    PAIR_CONNS = 4,
    PAIR_HELD = 64,
    PAIR_TARGETS = 3000
};

struct pair;

struct pair_conn {
    struct pair *p;
    struct iscsi_iconn *i;
    struct iscsi_tconn *t;
    bool logged_in, iclosed, tclosed, cut;
    bool tup;    /* logged in, as the target sees it */
    bool deaf;   /* the target hears nothing */
    bool broken; /* the wire is, at cut_at */
    int ierr;
    const char *iwhy, *ikey;
    uint16_t status;
    uint64_t commands; /* that the target saw on it */
};

/* A command of a test. */
struct pair_cmd {
    struct iscsi_icmd c;
    uint8_t cdb[32];
    struct iovec iov[3], iin;
    uint8_t sense[64];
    bool done;
    struct pair_conn *seen;
};

struct pair {
    struct counted_alloc alloc;
    struct iscsi_isess_config icfg;
    struct iscsi_tconn_config tcfg;
    struct iscsi_auth tauth;
    uint64_t rng, now_ns;
    size_t max_piece; /* 0 = as much as there is */
    struct iscsi_isess *sess;
    struct iscsi_tsess *tsess;
    struct pair_conn conn[PAIR_CONNS];
    uint16_t tsih;
    uint8_t disk[PAIR_BLOCK * PAIR_BLOCKS];
    bool hold; /* the target keeps commands in `held` */
    struct iscsi_task *held[PAIR_HELD];
    unsigned held_count;
    bool redirect, permanent;
    bool target_down; /* the target's session is over */
    unsigned targets; /* how many SendTargets tells of */

    /* on the wires: bytes that went to the target [0] and to the initiator [1]; the one at flip_at
     * (counted from 1) is damaged, at cut_at its connection is cut; 0 = none */
    uint64_t moved[2], flip_at[2], cut_at[2];

    /* seen by the initiator */
    unsigned done, tmfs, redirects, target_events, text_done, asyncs, session_down;
    unsigned recover, recovered;
    uint16_t cid; /* of the last one */
    int text_err, down_err;
    const char *down_why;
    uint8_t async_event;
    char address[64], last_target[64];
    unsigned aborted;  /* tasks a TMF ended at the target */
    unsigned commands; /* that the target saw */
};

struct pair *pair_new(uint64_t seed);
/* Ends what is not ended, and asserts that no memory is left. */
void pair_free(struct pair *p);
uint32_t pair_draw(struct pair *p, uint32_t below);
/* One more connection: both ends are made and connected. */
struct pair_conn *pair_connect(struct pair *p, uint16_t cid);
/* Free the connections that have ended on both sides. */
void pair_sweep(struct pair *p);
/* Session, first connection, login; asserts success. */
void pair_login(struct pair *p);
/* Until nothing moves any more. */
void pair_run(struct pair *p);
/* Let time pass: deadlines of both ends. */
void pair_pass(struct pair *p, uint64_t ns);
/* Connections that the target still has. */
unsigned pair_target_conns(const struct pair *p);
/* The connection ends for both. */
void pair_cut(struct pair *p, struct pair_conn *c);
/* A command over `blocks` at lba whose data is at buf, in pieces; expected says how many bytes the
 * initiator is ready for. */
void pair_rw(struct pair_cmd *cmd, bool write, uint32_t lba, uint16_t blocks, void *buf,
             uint32_t expected);
/* Make that one bidirectional: `in` has room for what is read. */
void pair_bidi(struct pair_cmd *cmd, void *in);
/* Answer a command that was held. */
void pair_serve(struct pair *p, struct iscsi_task *task);

#endif
