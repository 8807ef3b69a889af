/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Third-party copy (SPC-6 5.18, SBC-4 4.28): what xcopy*.c and rod_token*.c share. Internal to
 * src/scsi. */
#ifndef USAN_SCSI_COPY_H
#define USAN_SCSI_COPY_H

#include "scsi/task.h"

/* VPD page 8Fh (SPC-6 7.7.17), page header included; returns the page's full length. */
size_t scsi_vpd_third_party_copy(const struct scsi_lu *lu, struct wr *w);

#endif
