/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a session has on one reactor: its branch of the SCSI nexus, its lanes and the contexts of
 * the commands that run there. Most sessions have the one where they live, `home`; a session whose
 * connections are on several reactors has one on each of those (share.h).
 *
 * Fields marked [S] are used inside the session's lock, all others by the reactor only.
 */
#ifndef USAN_TARGET_PART_H
#define USAN_TARGET_PART_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "scsi/lun.h"
#include "target/buffers.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scsi_branch;
struct tgt_cmd;
struct tgt_lane;
struct tgt_reactor;
struct tgt_session;

/* What others ask of a part, in its mail. */
enum {
    TGT_PART_CLOSE = 1u << 0, /* the session ends: abort everything */
    TGT_PART_FREE = 1u << 1,  /* ... and all its parts are idle */
    TGT_PART_LOOK = 1u << 2,  /* home: the session's clock may have changed */
};

struct tgt_part {
    struct tgt_session *session;
    struct tgt_reactor *reactor;
    struct scsi_branch *branch; /* NULL: a discovery session */
    struct tgt_lane **lanes;    /* by LUN; NULL where there is none */
    uint32_t lane_count;
    uint32_t busy; /* contexts in use */
    bool pumping;  /* events of a connection of it are being taken here */
    bool closing;  /* the session ends: whatever is done is answered to nobody */
    bool broken;   /* it could not be made; goes with the session */
    struct tgt_cmd *free_cmds;
    /* All contexts, zeroed. Those from cmds_made on were never touched: neither the system nor the
     * program's limit has memory for them yet. */
    struct tgt_cmd *cmds;
    uint32_t cmd_count, cmds_made;
    struct tgt_account account; /* what its commands hold at this moment */
    struct tgt_cmd *answers;    /* finished, to be answered, by next_event ... */
    struct tgt_cmd **answers_end;
    struct loop_work answer; /* ... by this */
    struct loop_work idle;   /* closing, and nothing is busy */
    struct list node;        /* in the reactor's list */
    struct list of_session;  /* [S] */
    struct list mail;        /* tgt_cmd.mail [S] */
    uint32_t asks;           /* TGT_PART_... [S] */
    bool mail_posted;        /* [S] */
    bool told_idle;          /* [S] */
    struct loop_msg mail_msg;
    /* for status output */
    _Atomic uint64_t commands, read_ios, read_bytes, write_ios, write_bytes;
};

/* Make the part of a session on a reactor, on its thread; inside the lock if the session is shared.
 * The home one is part of the session and prepared already (session, reactor); others are
 * allocated by tgt_part_get. On failure tgt_part_fini is to be called all the same. */
USAN_MUST_CHECK
int tgt_part_init(struct tgt_part *part);
/* Nothing is busy. */
void tgt_part_fini(struct tgt_part *part);
/* The part of a shared session on this reactor, made if need be; *ret_part is set only on success.
 * Inside the lock. */
USAN_MUST_CHECK
int tgt_part_get(struct tgt_session *s, struct tgt_reactor *r, struct tgt_part **ret_part);

/* A context came back. */
void tgt_part_cmd_done(struct tgt_part *part);
/* Answer it soon, with others. */
void tgt_part_answer(struct tgt_cmd *cmd);
/* Look at all its lanes soon: commands of any LUN may have ended. */
void tgt_part_touch(struct tgt_part *part);
/* The session ends: abort what runs. Later part->idle runs. */
void tgt_part_close(struct tgt_part *part);

/* ---- from any reactor, inside the lock ---- */
void tgt_part_ask(struct tgt_part *part, uint32_t what);
/* what: TGT_NOTE_... */
void tgt_part_note(struct tgt_cmd *cmd, uint32_t what);

/* One more; read by others for status output only. */
static inline void tgt_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Lane of a LUN field; NULL: there is no such LUN. */
static inline struct tgt_lane *tgt_part_lane(const struct tgt_part *part, uint64_t lun)
{
    uint64_t n;
    return scsi_lun_decode(lun, &n) && n < part->lane_count ? part->lanes[n] : NULL;
}

#endif
