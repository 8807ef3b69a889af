/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks between a command's arrival in the section and its handler. Internal to src/scsi. */
#ifndef USAN_SCSI_CHECK_H
#define USAN_SCSI_CHECK_H

#include "scsi/task.h"

/* All there is to check before a handler starts, in the order of SAM-6 5.3.3. false: t was ended.
 * Inside the section. */
bool scsi_check_start(struct scsi_task *t);
/* Again, after the section was left: reservations, ALUA, medium, write protection. */
bool scsi_check_again(struct scsi_task *t);
/* t's LUN field addresses no unit, or the REPORT LUNS well known one (SCSI_TF_WLUN). cmd is the
 * command its CDB would be, NULL for none; t->cmd is set to it when it may run. */
bool scsi_check_no_lu(struct scsi_task *t, const struct scsi_command *cmd);

#endif
