/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unit attention conditions of an I_T_L nexus (SAM-6 5.14). Internal to src/scsi. */
#ifndef USAN_SCSI_UA_H
#define USAN_SCSI_UA_H

#include "scsi/lu.h"

/* Queue a unit attention (asc << 8 | ascq) on one, or on all nexuses of the LU but `except` (may
 * be NULL). Holds the gate. A full queue drops nothing: the newest is merged, see ua.c. */
void scsi_ua_add(struct scsi_itl *itl, uint16_t asc_ascq);
void scsi_ua_add_all(struct scsi_lu *lu, const struct scsi_itl *except, uint16_t asc_ascq);

/* The aborts that lu->abort says have ended on all lanes: for who lost commands. Holds the gate. */
void scsi_ua_add_cleared(struct scsi_lu *lu);

/* Is there anything to report? Inside the section. */
static inline bool scsi_ua_pending(const struct scsi_itl *itl)
{
    return atomic_load_explicit(&itl->ua_taken, memory_order_relaxed) != itl->ua_count ||
           atomic_load_explicit(&itl->luns_seen, memory_order_relaxed) !=
               atomic_load_explicit(&itl->nexus->luns_gen, memory_order_relaxed);
}
/* Take the most important unit attention off the queue: one of the reset kind (reset_only), or
 * any. 0: there is none. Inside the section. Who takes one has it alone, also among the lanes of a
 * nexus. */
uint16_t scsi_ua_take(struct scsi_itl *itl, bool reset_only);
/* The one scsi_ua_take would take, left in place. */
uint16_t scsi_ua_peek(const struct scsi_itl *itl);

#endif
