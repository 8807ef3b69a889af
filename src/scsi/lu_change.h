/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the owner tells of the store takes effect in the unit. Internal to src/scsi. */
#ifndef USAN_SCSI_LU_CHANGE_H
#define USAN_SCSI_LU_CHANGE_H

#include "scsi/lu.h"

/* With the gate held. */
void scsi_lu_apply_size(struct scsi_lu *lu, uint64_t block_count);
void scsi_lu_apply_space(struct scsi_lu *lu);
/* Is more in use than the threshold allows? */
bool scsi_lu_space_over(const struct scsi_lu *lu);

#endif
