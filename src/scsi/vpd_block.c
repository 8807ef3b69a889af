/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VPD pages of disks, SBC-4 6.6: Block Limits, Block Device Characteristics, Logical Block
 * Provisioning. The limits are those the handlers enforce. */
#include "scsi/block_limits.h"
#include "scsi/inquiry.h"
#include "scsi/provisioning.h"

static void put_unmap_limits(const struct scsi_lu_config *cfg, struct wr *w)
{
    if (!cfg->thin) {
        wr_zero(w, 16);
        return;
    }
    wr_be32(w, BLOCK_MAX_UNMAP_BLOCKS);
    wr_be32(w, BLOCK_MAX_UNMAP_DESCRIPTORS);
    wr_be32(w, cfg->unmap_gran_blocks ? cfg->unmap_gran_blocks : 1);
    wr_be32(w, UINT32_C(1) << 31); /* UGAVALID, alignment 0 */
}

void scsi_vpd_block_limits(const struct scsi_task *t, struct wr *w)
{
    const struct scsi_lu_config *cfg = &t->itl->lu->cfg;
    wr_u8(w, BLOCK_WSNZ);
    wr_u8(w, BLOCK_MAX_CAW_BLOCKS);
    wr_be16(w, (uint16_t)(1u << cfg->phys_exponent)); /* OPTIMAL TRANSFER LENGTH GRANULARITY */
    wr_be32(w, block_max_xfer(cfg));
    wr_be32(w, cfg->opt_xfer_blocks);
    wr_be32(w, 0); /* MAXIMUM PREFETCH LENGTH: not stated */
    put_unmap_limits(cfg, w);
    wr_be64(w, BLOCK_MAX_WRITE_SAME_BLOCKS);
    wr_be32(w, block_max_atomic(cfg));
    wr_zero(w, 16); /* atomic alignment, granularity, with boundary, boundary */
}

void scsi_vpd_characteristics(const struct scsi_task *t, struct wr *w)
{
    const struct scsi_lu_config *cfg = &t->itl->lu->cfg;
    wr_be16(w, cfg->rotational ? 0 : 1); /* not reported, or non-rotating */
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)(block_wabereq(cfg) << 6));
    wr_zero(w, 64 - 8);
}

void scsi_vpd_provisioning(const struct scsi_task *t, struct wr *w)
{
    const struct scsi_lu_config *cfg = &t->itl->lu->cfg;
    wr_u8(w, cfg->thin_threshold_pct ? SCSI_THRESHOLD_EXPONENT : 0);
    /* LBPU, LBPWS, LBPWS10, LBPRZ = 001b */
    wr_u8(w, (uint8_t)(0xe0 | (cfg->unmap_zeroes ? 0x04 : 0) | (BLOCK_ANC_SUP << 1)));
    wr_u8(w, 0x02); /* PROVISIONING TYPE: thin */
    wr_u8(w, 0);
}
