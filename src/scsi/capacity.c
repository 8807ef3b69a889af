/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READ CAPACITY(10) and (16) (SBC-4). */
#include "scsi/block.h"

enum { CAPACITY10_BYTES = 8, CAPACITY16_BYTES = 32, CAPACITY_PMI = 0x01 };

static uint64_t last_lba(const struct scsi_lu *lu)
{
    return lu->cfg.block_count - 1;
}

static void capacity10_reply(struct scsi_task *t, int err)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    struct wr w = scsi_reply_begin(t);

    (void)err;
    /* FFFF_FFFFh: the number does not fit, READ CAPACITY(16) tells it. */
    wr_be32(&w, last_lba(lu) < UINT32_MAX ? (uint32_t)last_lba(lu) : UINT32_MAX);
    wr_be32(&w, lu->cfg.block_bytes);
    scsi_reply(t, &w, CAPACITY10_BYTES);
}

void block_read_capacity10(struct scsi_task *t)
{
    /* Obsolete since SBC-3, kept as in SBC-2: an LBA is given with PMI only, and the last one is an
     * allowed answer to that. */
    if (!(t->cdb[8] & CAPACITY_PMI) && be32_get(t->cdb + 2) != 0) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, CAPACITY10_BYTES, capacity10_reply);
}

static void capacity16_reply(struct scsi_task *t, int err)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    struct wr w = scsi_reply_begin(t);

    (void)err;
    wr_be64(&w, last_lba(lu));
    wr_be32(&w, lu->cfg.block_bytes);
    wr_u8(&w, 0);                                   /* RC BASIS, P_TYPE, PROT_EN: no protection */
    wr_u8(&w, lu->cfg.phys_exponent & 0x0f);        /* P_I_EXPONENT 0 */
    wr_u8(&w, (uint8_t)((lu->cfg.thin ? 0x80 : 0) | /* LBPME */
                        (lu->cfg.thin && lu->cfg.unmap_zeroes ? 0x40 : 0))); /* LBPRZ */
    wr_u8(&w, 0); /* LOWEST ALIGNED LBA */
    wr_zero(&w, 16);
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void block_read_capacity16(struct scsi_task *t)
{
    if (!(t->cdb[14] & CAPACITY_PMI) && be64_get(t->cdb + 2) != 0) { /* as above */
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, CAPACITY16_BYTES, capacity16_reply);
}
