/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits of the disk commands: enforced by the handlers and published in the Block Limits VPD page
 * (B0h, SBC-4), the Logical Block Provisioning page (B2h) and the Block Device
 * Characteristics page (B1h), so that both read the same numbers. Internal to src/scsi.
 */
#ifndef USAN_SCSI_BLOCK_LIMITS_H
#define USAN_SCSI_BLOCK_LIMITS_H

#include "scsi/scsi.h"

enum {
    /* MAXIMUM TRANSFER LENGTH when the configuration states none; bytes. Never published as 0,
     * for the atomic length has to be below it. */
    BLOCK_MAX_XFER_BYTES = 16 * 1024 * 1024,
    /* MAXIMUM COMPARE AND WRITE LENGTH: what its one-byte CDB field can say. */
    BLOCK_MAX_CAW_BLOCKS = 255,
    /* MAXIMUM WRITE SAME LENGTH: the largest of WRITE SAME(10). */
    BLOCK_MAX_WRITE_SAME_BLOCKS = 0xffff,
    /* WSNZ: NUMBER OF LOGICAL BLOCKS of zero ("to the end of the medium") is not accepted, because
     * the length it stands for would be over the maximum on every disk of a useful size. */
    BLOCK_WSNZ = 1,
    /* MAXIMUM UNMAP LBA COUNT, of one UNMAP command in all */
    BLOCK_MAX_UNMAP_BLOCKS = 1024 * 1024,
    BLOCK_MAX_UNMAP_DESCRIPTORS = 1024,
    /* MAXIMUM ATOMIC TRANSFER LENGTH; alignment and granularity are 0 (none), atomic boundaries
     * are not supported (MAXIMUM ATOMIC BOUNDARY SIZE 0, .. LENGTH WITH ATOMIC BOUNDARY 0). */
    BLOCK_MAX_ATOMIC_BLOCKS = 256,
    /* ANC_SUP: no anchored state */
    BLOCK_ANC_SUP = 0,

    /* Not published: memory of one step of a command that works through a range (WRITE SAME,
     * VERIFY, ORWRITE, SANITIZE); a multiple of every block size. */
    BLOCK_CHUNK_BYTES = 256 * 1024,
    /* What one BIO_UNMAP or BIO_WRITE_ZEROES is asked for, so that a long one can be aborted. */
    BLOCK_ZERO_BYTES = 256 * 1024 * 1024,
    /* LBA status descriptors in one reply, and store queries made for one */
    BLOCK_MAP_DESCRIPTORS_MAX = 1024,
    BLOCK_MAP_QUERIES_MAX = 4096,
};

/* MAXIMUM TRANSFER LENGTH, blocks (VPD B0h bytes 8..11). */
static inline uint32_t block_max_xfer(const struct scsi_lu_config *cfg)
{
    return cfg->max_xfer_blocks ? cfg->max_xfer_blocks : BLOCK_MAX_XFER_BYTES / cfg->block_bytes;
}

/* MAXIMUM ATOMIC TRANSFER LENGTH, blocks (VPD B0h bytes 44..47). */
static inline uint32_t block_max_atomic(const struct scsi_lu_config *cfg)
{
    uint32_t max = block_max_xfer(cfg);
    return max < BLOCK_MAX_ATOMIC_BLOCKS ? max : BLOCK_MAX_ATOMIC_BLOCKS;
}

/* WABEREQ of VPD B1h byte 7 bits 7..6: 01b, blocks can be read after SANITIZE block erase, which
 * exists on thin units only. WACEREQ is 00b: no cryptographic erase. */
static inline uint8_t block_wabereq(const struct scsi_lu_config *cfg)
{
    return cfg->thin ? 1 : 0;
}

#endif
