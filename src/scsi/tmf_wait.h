/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What task management functions of a nexus wait for. Internal to src/scsi. */
#ifndef USAN_SCSI_TMF_WAIT_H
#define USAN_SCSI_TMF_WAIT_H

#include "scsi/task.h"

enum scsi_tmf_phase { /* scsi_task.phase of a task management function */
                      SCSI_TMF_BEGUN,
                      SCSI_TMF_TURN,  /* waits for the turn to ask other seats */
                      SCSI_TMF_WAITS, /* for scsi_tmf_finished */
                      SCSI_TMF_ENDS,  /* that came about; it is in its lane's list of ready tasks */
};

/* Have the tasks that t aborted ended, and has the loss of the nexus taken effect? Have the other
 * seats answered that t asked? */
bool scsi_tmf_finished(const struct scsi_task *t);
/* Something that task management functions of this branch may wait for, or that one of another
 * branch asked for, came about: those that need to wait no longer are ready. */
void scsi_tmf_wake(struct scsi_branch *branch);
/* One answer less is due to the function that asks; the asking itself counts as one. */
void scsi_tmf_answer(struct scsi_itl *itl);

#endif
