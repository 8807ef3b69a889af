/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small iSCSI target on a thread of its own, made of the target role's core: it redirects,
 * refuses, cuts connections and answers what it is told to.
 */
#ifndef USAN_TEST_TARGET_RIG_H
#define USAN_TEST_TARGET_RIG_H

#include "initiator/url.h"
#include "io/loop.h"
#include "io/thread.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RIG_TARGET "iqn.2025-01.com.example:rig"

enum { RIG_PORTALS = 3, RIG_BLOCKS = 4096, RIG_LOG = 4096 };

/* In bad_sense: a deferred error, with block 7 in its information. */
enum { RIG_DEFERRED = 1 << 24 };

/* Of one portal; what is set holds for logins from then on. */
struct rig_portal {
    struct rig *rig;
    struct loop_fd lfd;
    uint16_t port;
    atomic_int redirect_to; /* index of a portal; -1: none */
    atomic_bool permanent;
    _Atomic(const char *) redirect_text; /* instead of a portal's address; NULL: none */
    atomic_int refuse;                   /* login status; 0: none */
    atomic_uint connections;             /* taken so far */
    atomic_uint logins;                  /* sessions bound so far */
};

struct rig {
    struct loop *loop;
    struct thread thread;
    struct rig_portal portals[RIG_PORTALS];
    const char *user, *secret, *target_user, *target_secret; /* NULL: no authentication */
    uint16_t tsih;
    struct list conns, sessions;
    struct loop_timer clock; /* of sessions that have lost connections */

    /* what it does to commands */
    atomic_int cut_at;          /* close the connection at the Nth command from now; 0: never */
    atomic_bool cut_after;      /* the command was carried out, its answer never comes */
    atomic_int time2wait;       /* seconds, offered to logins from then on */
    atomic_int time2retain;     /* likewise, at recovery level 2 */
    atomic_bool freeze;         /* connections accepted before stay silent */
    atomic_int busy;            /* answer so many with BUSY */
    atomic_int attention;       /* answer so many with a unit attention ... */
    atomic_uint attention_code; /* ... asc << 8 | ascq */
    atomic_int bad_sense;       /* key << 16 | asc << 8 | ascq for every medium access; 0: none */
    atomic_ullong blocks;       /* capacity */
    atomic_uint block_bytes;    /* only said */
    atomic_bool no_write_same, no_vpd, protected;
    atomic_bool thick;                       /* not thin provisioned */
    atomic_bool lba_status;                  /* it has GET LBA STATUS, ... */
    _Atomic(const uint8_t *) lba_descriptor; /* ... and answers these 16 bytes */
    atomic_bool gone;                        /* there is no unit */
    atomic_int capacity_busy;                /* answer so many READ CAPACITY with BUSY */
    atomic_bool capacity_fails;              /* and all of them with an error */
    atomic_bool groups_busy;                 /* answer REPORT TARGET PORT GROUPS with BUSY */
    atomic_uint groups_asked;                /* so many of these */
    atomic_ullong naa;                       /* designator of the unit; 0: none */
    atomic_int group;                        /* target port group; 0: no asymmetric access */
    atomic_int alua; /* its state: 0 optimized, 1 not, 2 standby, 3 unavailable, 15 changing */
    atomic_int mute; /* never answer the Nth medium access from now; 0: none */
    atomic_int abort_response, reset_response; /* to ABORT TASK and to resets; -1: none */
    atomic_uint slow_ms;                       /* each medium access takes so long */
    atomic_int recovery;                       /* ErrorRecoveryLevel, at most */
    atomic_int max_connections;                /* offered to logins from then on */

    atomic_uint turn; /* orders the memory of both threads */

    /* what it has seen */
    atomic_uint commands;
    atomic_uint aborts, resets, muted;
    atomic_ullong isid; /* of the last new session */
    atomic_uint log_count;
    struct {
        uint8_t opcode;
        uint64_t lba;
        uint32_t blocks;
    } log[RIG_LOG];  /* medium accesses carried out, in order */
    uint8_t *medium; /* disk, or that of another rig */
    uint8_t disk[RIG_BLOCKS * 512];
};

struct rig *rig_start(void);
void rig_stop(struct rig *rig);
/* Another target of the same medium, which outlives it. */
struct rig *rig_start_beside(struct rig *other);
/* Its medium, after all that was answered; say so when it, or another plain field, was written to.
 */
uint8_t *rig_disk(struct rig *rig);
void rig_touched(struct rig *rig);
/* Every medium access takes so long from now on. */
void rig_slow(struct rig *rig, unsigned ms);
/* Run f on the rig's thread and wait for it. */
void rig_call(struct rig *rig, void (*f)(struct rig *rig));
/* For rig_call(): ask for the logout of each connection with commands, within a second. */
void rig_ask_logout(struct rig *rig);
/* Stop listening and cut all connections; listen again on the same port. */
void rig_down(struct rig *rig);
void rig_up(struct rig *rig);
/* "iscsi://127.0.0.1:PORT/TARGET/0" and options. */
void rig_url(const struct rig *rig, unsigned portal, const char *options, struct ini_url *ret_url);

#endif
