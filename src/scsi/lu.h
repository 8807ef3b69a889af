/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logical unit, lane, I_T nexus and I_T_L nexus: the state that the files of src/scsi share. What
 * is done with a part of it stands in the header of that part.
 *
 *                 one unit                 all units
 *   one lane      seat (of an itl)         branch (of a nexus)
 *   all lanes     I_T_L nexus (itl)        I_T nexus
 *
 * Most nexuses are used on one lane: then `home` is their only branch, and its seats are the
 * `home` ones of their I_T_L nexuses. set.h and ask.h tell of those with several.
 *
 * Who may touch what: fields marked [X] are read inside a section and changed only by a command
 * that holds the gate (SCSI_CF_EXCLUSIVE, or scsi_lane_lock); [L] belong to one lane, those of a
 * nexus or an I_T_L nexus to the home one; [C] are constant after creation.
 */
#ifndef USAN_SCSI_LU_H
#define USAN_SCSI_LU_H

#include "base/bytes.h"
#include "scsi/scsi.h"

#include <stdatomic.h>

struct scsi_pr;     /* persist.c: registrations and reservation */
struct scsi_tokens; /* tokens.c */
struct scsi_modes;  /* mode.c: current, changeable, default and saved pages */
struct scsi_copies; /* copy_result.c: what RECEIVE COPY RESULTS asks for */
struct scsi_ident;  /* identify.c */
struct scsi_index;  /* table.c: the commands this unit has, by opcode */
struct scsi_erase;  /* erase.c: SANITIZE or FORMAT UNIT under way */

struct scsi_alua_group {
    uint16_t id;
    uint8_t state;       /* enum scsi_alua_state [X] */
    uint8_t status_code; /* SPC-6 REPORT TARGET PORT GROUPS: 1 = by SET TPG, 2 = implicit */
    uint16_t ports[16];
    unsigned port_count;
};

enum { SCSI_ALUA_GROUPS_MAX = 32 };

/* Why a unit is not ready for medium access, scsi_lu.busy_kind. */
enum scsi_busy { SCSI_BUSY_NONE, SCSI_BUSY_FORMAT, SCSI_BUSY_SANITIZE };

struct scsi_lu {
    const struct alloc *a;     /* [C] */
    struct scsi_lu_config cfg; /* [X]: block_count; the rest [C] */
    void *user;                /* [C] */

    struct scsi_index *index; /* [C] */

    atomic_uint gate;         /* 0 = open, else 1 + index of the lane that holds it; lane.h */
    _Atomic uint64_t kicks;   /* lanes to be polled by their reactors */
    _Atomic uint64_t waiting; /* lanes to be kicked when the gate opens */
    atomic_uint acks;         /* lanes that have still to do what `abort` asks */
    struct scsi_lane *_Atomic lanes[SCSI_MAX_LANES];
    struct {                         /* set by the gate's holder before it asks other lanes */
        const struct scsi_nexus *by; /* its tasks are not "aborted by another nexus" */
        struct scsi_itl *itl;        /* NULL = all */
        bool tas;                    /* others' tasks end with TASK ABORTED */
        bool reset;                  /* LOGICAL UNIT RESET: all of all, silently */
    } abort;

    struct list itls; /* struct scsi_itl.lu_node, of all lanes [X] */

    struct scsi_pr *pr;           /* [X] NULL until the first registration */
    struct scsi_itl *reserved_by; /* [X] RESERVE(6)/(10) */
    struct scsi_modes *modes;     /* [X] */
    atomic_bool d_sense;          /* D_SENSE of the Control mode page; also read outside sections */
    struct scsi_tokens *tokens;   /* [X] NULL until the first token */
    struct scsi_alua_group groups[SCSI_ALUA_GROUPS_MAX]; /* [X] */
    unsigned group_count;
    bool alua_limits; /* [X] a group is in neither of the active states; alua.c */

    bool ejected;               /* [X] no medium */
    bool stopped;               /* [X] START STOP UNIT start = 0 */
    uint32_t prevent_count;     /* [X] nexuses with PREVENT set */
    uint8_t busy_kind;          /* [X] enum scsi_busy; erase.c, format.c */
    bool sanitize_failed;       /* [X] only SANITIZE and a few others are accepted */
    bool sanitize_unrestricted; /* [X] and SANITIZE exit failure mode may end that (AUSE) */
    struct scsi_erase *erase;   /* [X] what busy_kind tells of; erase.c */
    _Atomic uint32_t progress;  /* of busy_kind, 0..65535 */
    _Atomic uint64_t used_bytes, avail_bytes; /* space, see scsi_lu_set_space */
    atomic_bool threshold_hit;                /* soft threshold already reported */
    uint32_t generation;      /* [X] of the mode pages and designators; for log pages */
    struct scsi_ident *ident; /* [X] identify.c: SET IDENTIFYING INFORMATION */
    uint64_t past[4]; /* [X] reads, writes, read_bytes, write_bytes of lanes that are gone */
};

struct scsi_lane {
    struct scsi_lu *lu;  /* [C] */
    unsigned index;      /* [C] */
    atomic_uint inside;  /* commands in the section */
    bool closed;         /* changes are to be made first: nobody enters the section [L] */
    uint8_t gate_use;    /* enum scsi_gate_use, lane.h [L] */
    bool gate_wait;      /* the gate is ours but not all is quiet yet [L] */
    bool size_pending;   /* scsi_lu_set_block_count has not taken effect yet [L] */
    bool size_late;      /* it has, since it returned EAGAIN [L] */
    bool space_pending;  /* the thin threshold is to be reported [L] */
    bool lock_wanted;    /* scsi_lane_lock returned EAGAIN [L] */
    bool ack_due;        /* lu->acks is to be counted down when `marked` is 0 [L] */
    unsigned marked;     /* aborted tasks that have I/O under way [L] */
    struct list blocked; /* tasks waiting for the gate, oldest first [L] */
    struct list ready;   /* tasks to be handed out by scsi_lane_next [L] */
    struct list seats;   /* scsi_seat.lane_node [L] */
    struct list changes; /* scsi_seat.change_node: to be made by this lane with the gate held [L] */
    uint64_t new_block_count; /* [L] */
    /* Asked of this lane by the gate's holder; see lane.c. */
    _Atomic uint32_t asks;
    /* counters of this lane, for LOG SENSE and metrics; changed inside a section [L] */
    uint64_t reads, writes, read_bytes, write_bytes;
    struct scsi_task *holder; /* [L] the task that holds, or waits for, the gate */
};

/* What an I_T nexus has on one reactor. */
struct scsi_branch {
    struct scsi_nexus *nexus; /* [C] */
    struct scsi_seat **seats; /* sorted by lun [L] */
    unsigned count, cap;      /* [L] */
    unsigned tasks;           /* [L] started, not finished */
    struct list tmfs;         /* scsi_task.node of task management functions under way [L] */
    struct scsi_seat *last;   /* the one looked up last, or NULL [L] */
    uint64_t last_field;      /* the LUN field that it was looked up by [L] */
};

struct scsi_nexus {
    const struct alloc *a;
    char *initiator_port, *target_port, *target_device; /* [C] */
    uint16_t rel_target_port, target_port_group;        /* [C] */
    uint8_t protocol_id;                                /* [C] */
    uint8_t transport_id[SCSI_TRANSPORT_ID_MAX];        /* [C] */
    uint16_t transport_id_len;                          /* [C] */
    struct scsi_branch home;
    bool shared;               /* [C] once set: it has, or may have, other branches */
    atomic_uint refs;          /* seats not yet detached, + 1 for the owner */
    _Atomic uint32_t luns_gen; /* moves on with REPORTED LUNS DATA HAS CHANGED; see luns_seen */
    bool used;                 /* [L] a command has come */
    uint64_t next_seq; /* scsi_task.seq: of a shared nexus, in the owner's order of starts */
};

/* What is to become of a seat and its I_T_L nexus, scsi_seat.change. */
enum {
    SCSI_CHANGE_ATTACH = 1u << 0,
    SCSI_CHANGE_LOSS = 1u << 1,   /* I_T nexus loss or reset; it stays */
    SCSI_CHANGE_DETACH = 1u << 2, /* it goes; the memory with it */
};

/* What has to be looked at on a seat by its own lane, scsi_seat.calls. */
enum {
    SCSI_CALL_ASK = 1u << 0,  /* do what the task management function itl->asker says */
    SCSI_CALL_LOOK = 1u << 1, /* tasks that wait for those of other seats may go on */
};

/* What an I_T_L nexus has on one lane: its part of the task set. */
struct scsi_seat {
    struct scsi_itl *itl;       /* [C] */
    struct scsi_nexus *nexus;   /* [C] */
    struct scsi_branch *branch; /* [C] until it is freed: then NULL, but for the home one */
    struct scsi_lane *lane;     /* [C] */
    struct list lane_node;      /* [L] */
    struct list tasks;          /* scsi_task.node: oldest first (TST = 001b) [L] */
    unsigned ordered, hoq;      /* [L] ORDERED and HEAD OF QUEUE tasks among them */
    unsigned dormant;           /* [L] tasks that wait for others of the set */
    unsigned marked;            /* [L] aborted tasks that have I/O under way */
    struct list change_node;    /* [L] in lane->changes */
    uint8_t change;             /* [L] SCSI_CHANGE_... */
    /* of a shared nexus only, see set.h and ask.h */
    bool answer_due;                 /* [L] to itl->asker, when `marked` is 0 */
    struct scsi_seat *_Atomic next;  /* of the same itl */
    atomic_uint calls;               /* SCSI_CALL_... */
    _Atomic uint64_t oldest;         /* scsi_task.seq of the oldest task; UINT64_MAX: none */
    _Atomic uint64_t oldest_ordered; /* of the oldest ORDERED one */
};

/* An I_T_L nexus: what one initiator port has with one logical unit. */
struct scsi_itl {
    struct scsi_nexus *nexus; /* [C] */
    struct scsi_lu *lu;       /* [C] */
    uint64_t lun;             /* [C] */
    bool read_only;           /* [C] masked to reading */
    bool shared;              /* [C] once set: nexus->shared */
    struct scsi_seat home;    /* where it was mapped first */
    struct list lu_node;      /* [X] */
    /* Unit attentions, oldest first: asc << 8 | ascq. [X] to add; taken inside the section, by
     * moving ua_taken on. */
    uint16_t ua[SCSI_UA_MAX];
    unsigned ua_count;
    atomic_uint ua_taken;
    _Atomic uint32_t luns_seen; /* nexus->luns_gen that was reported */
    atomic_uint cleared;        /* tasks aborted for another nexus; for the gate's holder */
    bool attached;              /* [X] in lu->itls */
    atomic_bool aca;            /* auto contingent allegiance */
    bool prevent;               /* [X] this nexus prevents removal */
    uint64_t pr_key;            /* [X] 0 = not registered; kept by persist.c */
    bool pr_holder;             /* [X] */
    bool pr_abort;              /* [X] PREEMPT AND ABORT has still to abort its tasks */
    /* NULL until the first copy whose results are held. [X], or by a step of a copy command inside
     * the section: of a shared nexus those have copies_busy (scsi_step_call). */
    struct scsi_copies *copies;
    atomic_flag copies_busy;

    /* of a shared nexus only, see set.h and ask.h */
    atomic_uint ranked;              /* tasks of the set that others may have to wait for */
    atomic_uint hoq;                 /* of them, HEAD OF QUEUE */
    atomic_uint aca_tasks;           /* tasks with the ACA attribute in the set */
    struct scsi_task *_Atomic asker; /* the function that has the turn to ask other seats */
    atomic_uint answers;             /* that it waits for, + 1 while it is asking */
    atomic_bool found;               /* one of them has what it asks for */
};

#endif
