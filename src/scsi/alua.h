/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asymmetric logical unit access: what a port group's state lets through. Internal to src/scsi. */
#ifndef USAN_SCSI_ALUA_H
#define USAN_SCSI_ALUA_H

#include "scsi/lu.h"

/* The sense a command with these SCSI_CF_ flags would end with through this nexus; 0 = none.
 * Inside the section. */
uint32_t scsi_alua_refuses(const struct scsi_itl *itl, uint32_t flags);
/* The group of a relative target port; 0: it is in none. */
uint16_t scsi_alua_group_of(const struct scsi_lu *lu, uint16_t rel_port);

#endif
