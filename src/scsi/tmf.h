/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Task management functions (SAM-6 clause 7). Internal to src/scsi. */
#ifndef USAN_SCSI_TMF_H
#define USAN_SCSI_TMF_H

#include "scsi/task.h"

void scsi_tmf_start(struct scsi_task *t);
/* What t waited for came about, or the gate opened. */
void scsi_tmf_run(struct scsi_task *t);

#endif
