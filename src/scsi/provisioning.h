/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thin provisioning in numbers (SBC-4 4.7.3): the unit of account is the threshold set, of
 * 2^SCSI_THRESHOLD_EXPONENT logical blocks (VPD B2h). Used by the mode page 1Ch/02h, the log page
 * 0Ch and VPD B2h. Internal to src/scsi.
 */
#ifndef USAN_SCSI_PROVISIONING_H
#define USAN_SCSI_PROVISIONING_H

#include "scsi/lu.h"

enum { SCSI_THRESHOLD_EXPONENT = 11 };

static inline uint32_t scsi_bytes_to_sets(const struct scsi_lu *lu, uint64_t bytes)
{
    uint64_t sets = bytes / lu->cfg.block_bytes >> SCSI_THRESHOLD_EXPONENT;
    return sets < UINT32_MAX ? (uint32_t)sets : UINT32_MAX;
}

/* The soft threshold; 0 while the pool is unknown. */
static inline uint32_t scsi_threshold_sets(const struct scsi_lu *lu)
{
    uint64_t used = atomic_load(&lu->used_bytes), avail = atomic_load(&lu->avail_bytes);
    if (avail == UINT64_MAX)
        return 0;
    return scsi_bytes_to_sets(lu, (used + avail) / 100 * lu->cfg.thin_threshold_pct);
}

#endif
