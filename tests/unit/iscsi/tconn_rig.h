/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A target connection on a desk: bytes go in and come out in pieces of a size drawn from a seed,
 * and a device as simple as possible (a byte array; READ(10), WRITE(10), 512-byte blocks) answers
 * the commands.
 */
#ifndef TESTS_TCONN_RIG_H
#define TESTS_TCONN_RIG_H

#include "counted_alloc.h"

#include "iscsi/pdu.h"
#include "iscsi/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it */
#include <cmocka.h>

enum { RIG_BLOCK = 512, RIG_BLOCKS = 4096, RIG_TASKS = 256, RIG_OUT = 8 << 20, RIG_JOINED = 8 };

/* One PDU the target sent. */
struct rig_pdu {
    uint8_t bhs[ISCSI_BHS_LEN];
    const uint8_t *data;
    uint32_t data_len;
    uint8_t opcode;
};

struct rig {
    struct counted_alloc alloc;
    struct iscsi_tconn_config cfg;
    struct iscsi_tconn *conn;
    struct iscsi_tsess *sess;
    /* a further connection of that one's session (rig_join), which has the disk and the counts */
    struct rig *lead;
    struct rig *joined[RIG_JOINED];
    uint16_t cid;
    uint16_t login_status; /* of a login that was refused */
    uint64_t rng, now_ns;
    size_t max_in, max_out; /* largest piece at a time; 0 = all */
    bool header_digest, data_digest;

    uint8_t disk[RIG_BLOCK * RIG_BLOCKS];
    uint8_t *out; /* what the target sent and nobody looked at */
    size_t out_len, out_pos;
    bool announce;      /* a login that names a session tells it so at once */
    bool hold_login;    /* it is not answered */
    bool refuse_login;  /* it is refused */
    bool login_waits;   /* its last answer does not come at once: rig_try_login() is false */
    bool no_memory;     /* the memory ends when the session is joined */
    bool hold_commands; /* commands are kept in `held` */
    struct iscsi_task *held[RIG_TASKS];
    unsigned held_count;
    bool slow;         /* tasks that are to end do so when the test drops them */
    bool deaf;         /* the initiator does not take what is sent */
    bool loose;        /* answers come again: rig_next does not look at StatSN */
    uint32_t tmf_info; /* additional response information of every TMF */

    /* seen */
    unsigned commands, tmfs, data_events, sent_events;
    unsigned lost_events;     /* tasks that are to end as their connection is logged out */
    unsigned commands_at_tmf; /* commands when the last TMF came */
    int data_err;
    bool closed, retained;
    int close_err;
    const char *close_why;
    struct iscsi_auth auth;
    /* events of the session */
    unsigned session_sent, session_lost;
    bool session_down;

    /* the initiator's side */
    uint32_t cmd_sn, itt, exp_stat_sn, max_cmd_sn;
    uint16_t tsih;
    unsigned login_rounds;
};

struct rig *rig_new(uint64_t seed);
/* The same where the target offers this ErrorRecoveryLevel. */
struct rig *rig_new_at(uint64_t seed, uint8_t level);
/* One more connection to the session of r, before its login; r outlives it. */
struct rig *rig_join(struct rig *r, uint16_t cid);
/* Log in likewise; false if that is refused, with login_status. */
bool rig_try_login(struct rig *r, const char *keys, size_t len);
/* The TCP connection ends. */
void rig_cut(struct rig *r);
/* Let time go by, for the connection and its session. */
void rig_pass(struct rig *r, uint64_t ns);
/* Frees all and asserts that no memory is left behind. */
void rig_free(struct rig *r);
/* Log in with the operational keys of `keys` ("A=1\0B=2\0" with its length); asserts success. */
void rig_login(struct rig *r, const char *keys, size_t len);
/* Received bytes, then everything that follows from them. */
void rig_feed(struct rig *r, const void *bytes, size_t len);
/* Events and output without new bytes. */
void rig_run(struct rig *r);
/* A request PDU: bhs is completed with lengths and digests. ahs_len is a multiple of 4. */
void rig_send(struct rig *r, const uint8_t *bhs, const void *ahs, size_t ahs_len, const void *data,
              uint32_t data_len);
/* The next PDU; false when there is none. */
bool rig_next(struct rig *r, struct rig_pdu *ret_pdu);
/* Next PDU, which must be there and be this one. */
struct rig_pdu rig_expect(struct rig *r, uint8_t opcode);

/* Header of a READ(10)/WRITE(10) with the next CmdSN and a new ITT. */
void rig_rw(struct rig *r, uint8_t *bhs, bool write, bool final, uint32_t lba, uint16_t blocks);
/* A request that is no command: immediate, or with the next CmdSN. F is set, TTT is reserved. */
void rig_request(struct rig *r, uint8_t *bhs, uint8_t opcode, bool immediate);
void rig_data_out(uint8_t *bhs, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off, bool final);
/* What the rig does with a command by itself; for held ones. */
void rig_serve(struct rig *r, struct iscsi_task *task);

#endif
