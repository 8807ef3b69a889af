/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VPD pages (SPC-6 7.7, SBC-4 6.6): what inquiry.c and vpd_*.c share. Internal to src/scsi. */
#ifndef USAN_SCSI_INQUIRY_H
#define USAN_SCSI_INQUIRY_H

#include "base/bytes.h"
#include "scsi/task.h"

/* Writes what follows the page's header (PAGE LENGTH is filled in by the caller). */
typedef void scsi_vpd_build(const struct scsi_task *t, struct wr *w);

scsi_vpd_build scsi_vpd_identification;   /* 83h */
scsi_vpd_build scsi_vpd_extended_inquiry; /* 86h */
scsi_vpd_build scsi_vpd_mode_policy;      /* 87h */
scsi_vpd_build scsi_vpd_block_limits;     /* B0h */
scsi_vpd_build scsi_vpd_characteristics;  /* B1h */
scsi_vpd_build scsi_vpd_provisioning;     /* B2h */

#endif
