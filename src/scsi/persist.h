/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Persistent reservations (SPC-6 5.14): what persist*.c share. Internal to src/scsi.
 *
 * Registrations belong to a pair of initiator port (its TransportID) and relative target port, not
 * to an I_T nexus object, so they outlive sessions. What a command needs on the hot path is copied
 * into the I_T_L nexus (pr_key, pr_holder) whenever the state changes or a nexus appears.
 *
 * PERSISTENT RESERVE OUT works on a copy of the state: the copy takes effect when the command is
 * known to succeed, after it was made durable where APTPL asks for that. A command that fails has
 * changed nothing.
 */
#ifndef USAN_SCSI_PERSIST_H
#define USAN_SCSI_PERSIST_H

#include "scsi/task.h"

enum scsi_pr_type { /* SPC-6 table "persistent reservation type codes" */
                    SCSI_PR_NONE = 0,
                    SCSI_PR_WE = 1,
                    SCSI_PR_EA = 3,
                    SCSI_PR_WE_RO = 5,
                    SCSI_PR_EA_RO = 6,
                    SCSI_PR_WE_AR = 7,
                    SCSI_PR_EA_AR = 8,
};

struct scsi_pr_reg {
    uint64_t key; /* never 0 */
    uint16_t rel_port;
    uint16_t tid_len;
    bool holder; /* of a reservation that is not of an all-registrants type */
    uint8_t tid[SCSI_TRANSPORT_ID_MAX]; /* in the canonical form of scsi_tid_parse */
};

struct scsi_pr {
    uint32_t generation; /* PRGENERATION */
    uint8_t type;        /* enum scsi_pr_type; the scope is always the logical unit */
    bool aptpl;          /* kept over power loss */
    unsigned count, cap;
    /* What comes next, while it is being made durable, and the task that does so. A task that was
     * aborted meanwhile leaves it behind: see scsi_pr_pending. */
    struct scsi_pr *pending;
    const struct scsi_task *pending_by;
    struct scsi_pr_reg regs[];
};

/* ---- persist.c ---- */

bool scsi_pr_type_valid(uint8_t type);
/* All registrants hold it. */
bool scsi_pr_type_all(uint8_t type);
/* Registrants may do what the holder may ("registrants only" and "all registrants"). */
bool scsi_pr_type_shared(uint8_t type);

/* A copy of lu's state (an empty one if there is none) with room for `extra` more registrations.
 * NULL when out of memory. */
struct scsi_pr *scsi_pr_clone(const struct scsi_lu *lu, unsigned extra);
struct scsi_pr_reg *scsi_pr_find(struct scsi_pr *pr, const uint8_t *tid, size_t tid_len,
                                 uint16_t rel_port);
struct scsi_pr_reg *scsi_pr_find_nexus(struct scsi_pr *pr, const struct scsi_nexus *nexus);
/* There is room (scsi_pr_clone). */
struct scsi_pr_reg *scsi_pr_add(struct scsi_pr *pr, const uint8_t *tid, size_t tid_len,
                                uint16_t rel_port, uint64_t key);
/* Moves the last registration into the place of reg. */
void scsi_pr_remove(struct scsi_pr *pr, struct scsi_pr_reg *reg);
/* The state that is to be saved: the pending one if its task is still at it, else lu->pr. NULL:
 * none yet. The gate is held. */
const struct scsi_pr *scsi_pr_pending(const struct scsi_lu *lu);
/* Copy what lu->pr says into one nexus. */
void scsi_pr_refresh(struct scsi_itl *itl);
/* Would a command with these SCSI_CF_ flags be allowed through this nexus? */
bool scsi_pr_allows_flags(const struct scsi_itl *itl, uint32_t flags);

/* May this command run for t->itl? Inside the section. */
bool scsi_pr_allows(const struct scsi_task *t);
/* A nexus is made or goes away (registrations are bound to ports, not nexuses). */
void scsi_pr_itl_added(struct scsi_itl *itl);
void scsi_pr_itl_removed(struct scsi_itl *itl);
void scsi_pr_free(struct scsi_lu *lu);

/* ---- persist_state.c ---- */

/* Durable part; see scsi_lu_state. w counts past its capacity. */
void scsi_pr_save(const struct scsi_lu *lu, struct wr *w);
USAN_MUST_CHECK
int scsi_pr_load(struct scsi_lu *lu, struct rd *r);

/* ---- persist_id.c: TransportIDs (SPC-6 7.6.4) ---- */

/*
 * One TransportID from wire bytes: bytes it takes, 0 if malformed, too long or cut off. The
 * canonical form has iSCSI names in lower case, the ISID as 12 digits and the shortest padding, so
 * that equal ports compare equal as bytes; *ret_len is its length.
 */
size_t scsi_tid_parse(const uint8_t *p, size_t left, uint8_t ret_tid[static SCSI_TRANSPORT_ID_MAX],
                      uint16_t *ret_len);
/* The canonical TransportID of a nexus' initiator port. */
uint16_t scsi_tid_of_nexus(const struct scsi_nexus *nexus,
                           uint8_t ret_tid[static SCSI_TRANSPORT_ID_MAX]);
/* iSCSI TransportID without an ISID (TPID FORMAT 00b): names a device, hence all of its ports. */
bool scsi_tid_is_device(const uint8_t *tid);
/* Is tid (canonical, of a port) a port of the device dev (canonical, scsi_tid_is_device)? */
bool scsi_tid_port_of(const uint8_t *tid, const uint8_t *dev);

/* ---- command handlers ---- */

void scsi_persistent_reserve_in(struct scsi_task *t);
void scsi_persistent_reserve_out(struct scsi_task *t);

#endif
