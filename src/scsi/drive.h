/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Driving a task. Internal to src/scsi. */
#ifndef USAN_SCSI_DRIVE_H
#define USAN_SCSI_DRIVE_H

#include "scsi/scsi.h"

/* Run a task whose waiting is over. */
void scsi_task_run(struct scsi_task *t);

#endif
