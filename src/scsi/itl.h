/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* I_T_L nexuses: finding them, and what their coming and going does to the unit. Internal to
 * src/scsi. */
#ifndef USAN_SCSI_ITL_H
#define USAN_SCSI_ITL_H

#include "scsi/lu.h"

/* branch is NULL for the one of a background task, which is in no list. */
void scsi_seat_init(struct scsi_seat *seat, struct scsi_itl *itl, struct scsi_branch *branch,
                    struct scsi_lane *lane);
/* Where the number of a unit is in branch->seats, or where it belongs. */
unsigned scsi_seat_index(const struct scsi_branch *branch, uint64_t number);
/* The seat of that number; NULL: no such unit. */
struct scsi_seat *scsi_seat_find(const struct scsi_branch *branch, uint64_t number);
/* The same for a LUN field; what is found is remembered in branch->last. */
struct scsi_seat *scsi_seat_look_up(struct scsi_branch *branch, uint64_t field);
/* Put it into branch->seats, and in its lane's list. false: out of memory. */
USAN_MUST_CHECK
bool scsi_seat_enter(struct scsi_seat *seat);

/* The same; most often it is the field of the last time. */
static inline struct scsi_seat *scsi_seat_of_field(struct scsi_branch *branch, uint64_t field)
{
    return branch->last && branch->last_field == field ? branch->last
                                                       : scsi_seat_look_up(branch, field);
}

/* ---- with the gate held, on the lane of the seat ---- */

/* Once is enough for all seats. */
void scsi_itl_attach(struct scsi_itl *itl);
/* I_T nexus loss (SAM-6 6.3.4). */
void scsi_itl_loss(struct scsi_seat *seat);
/* Frees the seat; with the home one the I_T_L nexus; and the nexus with the last one. */
void scsi_seat_detach(struct scsi_seat *seat);
/* What the loss of the nexus and the reset of the unit both end: RESERVE(6)/(10), prevention of
 * medium removal, the held results of copies. */
void scsi_itl_release(struct scsi_itl *itl);

/* One reference less; the last one frees the nexus. */
void scsi_nexus_unref(struct scsi_nexus *nexus);

#endif
