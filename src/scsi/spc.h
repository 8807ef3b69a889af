/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers of the commands of all device types; the table of them is spc.c. Internal to src/scsi.
 */
#ifndef USAN_SCSI_SPC_H
#define USAN_SCSI_SPC_H

#include "scsi/reply.h"
#include "scsi/step.h"

/* With t->itl NULL: for a LUN that does not exist, or (SCSI_TF_WLUN) the REPORT LUNS well known
 * logical unit. */
void scsi_inquiry(struct scsi_task *t);       /* inquiry.c */
void scsi_report_luns(struct scsi_task *t);   /* report_luns.c */
void scsi_request_sense(struct scsi_task *t); /* ready.c */

void scsi_test_unit_ready(struct scsi_task *t);                /* ready.c */
void scsi_mode_sense(struct scsi_task *t);                     /* mode_sense.c */
void scsi_mode_select(struct scsi_task *t);                    /* mode_select.c */
void scsi_log_sense(struct scsi_task *t);                      /* log.c */
void scsi_log_select(struct scsi_task *t);                     /* log.c */
void scsi_report_opcodes(struct scsi_task *t);                 /* report.c */
void scsi_report_tmfs(struct scsi_task *t);                    /* report.c */
void scsi_report_identifying_information(struct scsi_task *t); /* identify.c */
void scsi_set_identifying_information(struct scsi_task *t);    /* identify.c */
void scsi_send_diagnostic(struct scsi_task *t);                /* diagnostic.c */
void scsi_receive_diagnostic(struct scsi_task *t);             /* diagnostic.c */

#endif
