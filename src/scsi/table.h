/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command table: finding the entry of a CDB. Above all handlers; internal to src/scsi. */
#ifndef USAN_SCSI_TABLE_H
#define USAN_SCSI_TABLE_H

#include "scsi/command.h"

/* What a unit with this configuration has (SCSI_CF_REMOVABLE, SCSI_CF_THIN, SCSI_CF_DURABLE). NULL
 * when out of memory; released with alloc_put. */
struct scsi_index *scsi_index_new(const struct scsi_lu_config *cfg, const struct alloc *a);
/* Never NULL: an unknown opcode or service action yields an entry that answers so. cdb has at least
 * 16 bytes. */
const struct scsi_command *scsi_index_find(const struct scsi_index *ix, const uint8_t *cdb,
                                           size_t cdb_len);
/* Search all tables, whatever the unit; for when there is none.
 * NULL: no such opcode; *ret_bad_sa tells that the opcode exists with other service actions. */
const struct scsi_command *scsi_command_find(const uint8_t *cdb, size_t cdb_len, bool *ret_bad_sa);

#endif
