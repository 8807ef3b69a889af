/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SYNCHRONIZE CACHE(10) and (16), PRE-FETCH(10) and (16) (SBC-4). */
#include "scsi/block.h"

/* Both commands: a range in which 0 blocks means "to the end of the medium". False: ended. */
static bool cache_range(struct scsi_task *t)
{
    struct block_cdb c = block_cdb_any(t->cdb);

    if (!block_check(t, &c, 0))
        return false;
    t->lba = c.lba;
    t->blocks = c.blocks ? c.blocks : scsi_task_lu(t)->cfg.block_count - c.lba;
    return true;
}

static void flush_done(struct scsi_task *t, int err)
{
    if (err)
        scsi_check_bio(t, err);
    else
        scsi_good(t);
}

void block_sync_cache(struct scsi_task *t)
{
    /* The whole cache is written, not the range only, and also with IMMED before the status: a
     * flush that failed is told to the one who asked, instead of as a deferred error. */
    if (cache_range(t))
        block_plain_io(t, BIO_FLUSH, 0, 0, 0, flush_done);
}

/*
 * PRE-FETCH reads the start of the range, so that whatever caches lie below the store have it. They
 * do not tell what they keep, so the status is GOOD ("not all of it may be in the cache") and
 * never CONDITION MET.
 */
static void prefetch_read(struct scsi_task *t, int err)
{
    if (err)
        scsi_check_bio(t, err);
    else
        scsi_good(t);
}

static void prefetch_buf(struct scsi_task *t, int err)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    uint64_t len = t->blocks * block_bytes;

    (void)err;
    if (!block_recheck(t))
        return;
    block_buf_io(t, BIO_READ, 0, t->lba * block_bytes,
                 len < BLOCK_CHUNK_BYTES ? len : BLOCK_CHUNK_BYTES, prefetch_read);
}

void block_prefetch(struct scsi_task *t)
{
    if (!cache_range(t))
        return;
    uint64_t len = t->blocks * scsi_task_lu(t)->cfg.block_bytes;
    scsi_want_buf(t, len < BLOCK_CHUNK_BYTES ? len : BLOCK_CHUNK_BYTES, prefetch_buf);
}
