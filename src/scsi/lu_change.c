/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/lu_change.h"

#include "scsi/mode.h"
#include "scsi/sense.h"
#include "scsi/tokens.h"
#include "scsi/ua.h"

void scsi_lu_apply_size(struct scsi_lu *lu, uint64_t block_count)
{
    uint64_t before = lu->cfg.block_count, bytes = lu->cfg.block_bytes;
    if (before == block_count)
        return;
    lu->cfg.block_count = block_count;
    /* What was cut off is gone, also if the unit should get as large as it was. */
    if (block_count < before)
        scsi_tokens_written(lu, block_count * bytes, (before - block_count) * bytes);
    scsi_ua_add_all(lu, NULL, UA_CAPACITY_CHANGED); /* SBC-4 4.9 */
}

bool scsi_lu_space_over(const struct scsi_lu *lu)
{
    unsigned pct = lu->cfg.thin_threshold_pct;
    if (!lu->cfg.thin || pct == 0)
        return false;
    uint64_t used = atomic_load(&lu->used_bytes), avail = atomic_load(&lu->avail_bytes);
    /* Without knowing the pool there is nothing to compare with. */
    return avail != UINT64_MAX && used >= (used + avail) / 100 * pct;
}

void scsi_lu_apply_space(struct scsi_lu *lu)
{
    bool over = scsi_lu_space_over(lu);
    if (over && !atomic_load(&lu->threshold_hit) && scsi_mode_lbpere(lu))
        scsi_ua_add_all(lu, NULL, UA_THIN_THRESHOLD); /* SBC-4 4.7.3.8 */
    atomic_store(&lu->threshold_hit, over);
}
