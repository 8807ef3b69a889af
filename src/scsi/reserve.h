/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RESERVE and RELEASE. Internal to src/scsi. */
#ifndef USAN_SCSI_RESERVE_H
#define USAN_SCSI_RESERVE_H

#include "scsi/task.h"

void scsi_reserve(struct scsi_task *t);
void scsi_release(struct scsi_task *t);

#endif
