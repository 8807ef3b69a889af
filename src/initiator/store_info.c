/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/store_info.h"

/* A COMPARE AND WRITE may have so many blocks (SBC-4 5.3); a unit that takes fewer is not asked. */
#define COMPARE_AND_WRITE_BLOCKS 255

static uint32_t bytes_max(uint64_t blocks, uint32_t block_bytes)
{
    return blocks < UINT32_MAX / block_bytes ? (uint32_t)blocks * block_bytes : 0;
}

struct store_info ini_store_info(const struct ini_disk_info *d, bool read_only)
{
    bool unmap = d->thin && (d->can_unmap || d->can_write_same_unmap);
    uint32_t gran = bytes_max(d->unmap_gran_blocks, d->block_bytes);
    return (struct store_info){
        .size_bytes = d->blocks * d->block_bytes,
        .block_bytes = d->block_bytes,
        .phys_block_bytes = d->phys_block_bytes,
        .opt_io_bytes = bytes_max(d->opt_transfer_blocks, d->block_bytes),
        .unmap_gran_bytes = !unmap ? 0
                            : gran ? gran
                                   : d->block_bytes,
        .unmap_zeroes = d->unmap_zeroes,
        /* Even if it is off now: someone else may turn it on. A flush of no cache costs little. */
        .volatile_cache = true,
        .rotational = d->rotational,
        .read_only = read_only || d->write_protected,
        .can_map_status = d->lba_status,
        .can_write_zeroes = true,
        .can_fua = d->fua,
        .can_compare_and_write = d->max_compare_and_write_blocks >= COMPARE_AND_WRITE_BLOCKS,
    };
}
