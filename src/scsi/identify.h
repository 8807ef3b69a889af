/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Identifying information that the unit keeps for its users. Internal to src/scsi. */
#ifndef USAN_SCSI_IDENTIFY_H
#define USAN_SCSI_IDENTIFY_H

#include "scsi/lu.h"

USAN_MUST_CHECK
int scsi_ident_init(struct scsi_lu *lu);
void scsi_ident_free(struct scsi_lu *lu);
/* Durable part; see scsi_lu_state. w counts past its capacity. */
void scsi_ident_save(const struct scsi_lu *lu, struct wr *w);
USAN_MUST_CHECK
int scsi_ident_load(struct scsi_lu *lu, struct rd *r);

#endif
