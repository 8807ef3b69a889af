/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* I_T_L nexuses: finding them, and what their coming and going does to the unit. Internal to
 * src/scsi. */
#ifndef USAN_SCSI_ITL_H
#define USAN_SCSI_ITL_H

#include "scsi/lu.h"

/* Where the number of a unit is in nexus->itls, or where it belongs. */
unsigned scsi_itl_index(const struct scsi_nexus *nexus, uint64_t number);
/* The I_T_L nexus of that number; NULL: no such unit. */
struct scsi_itl *scsi_itl_find(const struct scsi_nexus *nexus, uint64_t number);
/* The same for a LUN field; what is found is remembered in nexus->last. */
struct scsi_itl *scsi_itl_look_up(struct scsi_nexus *nexus, uint64_t field);

/* The same; most often it is the field of the last time. */
static inline struct scsi_itl *scsi_itl_of_field(struct scsi_nexus *nexus, uint64_t field)
{
    return nexus->last && nexus->last_field == field ? nexus->last : scsi_itl_look_up(nexus, field);
}

/* ---- with the gate held ---- */

void scsi_itl_attach(struct scsi_itl *itl);
/* I_T nexus loss (SAM-6 6.3.4). */
void scsi_itl_loss(struct scsi_itl *itl);
void scsi_itl_detach(struct scsi_itl *itl); /* frees itl, and the nexus with the last one */
/* What the loss of the nexus and the reset of the unit both end: RESERVE(6)/(10), prevention of
 * medium removal, the held results of copies. */
void scsi_itl_release(struct scsi_itl *itl);

/* One reference less; the last one frees the nexus. */
void scsi_nexus_unref(struct scsi_nexus *nexus);

#endif
