/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks of a logical unit's own. Internal to src/scsi. */
#ifndef USAN_SCSI_BACKGROUND_H
#define USAN_SCSI_BACKGROUND_H

#include "scsi/step.h"

/* A task of the LU's own, for work that outlives its command, nexus and resets (SANITIZE, FORMAT
 * UNIT): see "Background tasks" in scsi.h. It is in no section and no task set, and is aborted by
 * nobody; `first` runs (err 0) when scsi_lane_next of the lane hands it out. t->itl is one of its
 * own, without nexus. NULL when out of memory. */
struct scsi_task *scsi_background_new(struct scsi_lane *lane, scsi_step *first);
/* Called by scsi_task_fini for a task whose nexus is NULL; frees it. */
void scsi_background_fini(struct scsi_task *t);

#endif
