/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that read, decide and write as one (SBC-4): COMPARE AND WRITE, ORWRITE(16) and
 * WRITE ATOMIC(16). Unless the store can do it, they run alone: the gate is closed
 * after memory and data have come, so that nothing waits for a slow initiator.
 */
#include "scsi/block.h"

enum { ATOMIC_CDB_CAW_BLOCKS = 13, ATOMIC_CDB_WRITE_BLOCKS = 12 };

/* ---- COMPARE AND WRITE ---- */

/* Bytes of the compare half, and of the write half. */
static uint64_t caw_len(const struct scsi_task *t)
{
    return t->blocks * scsi_task_lu(t)->cfg.block_bytes;
}

static void count_write(struct scsi_task *t, uint64_t len)
{
    struct scsi_lane *lane = t->seat->lane;
    lane->writes++;
    lane->write_bytes += len;
}

static void caw_done(struct scsi_task *t, int err)
{
    if (err) { /* also MISCOMPARE */
        scsi_check_bio(t, err);
        return;
    }
    count_write(t, caw_len(t));
    scsi_good(t);
}

static void caw_read(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    size_t len = (size_t)caw_len(t);
    size_t same = block_out_diff(t, 0, t->buf, len);
    if (same < len) { /* INFORMATION: its offset from the start of the data-out */
        scsi_check_info(t, SENSE_MISCOMPARE_DURING_VERIFY, same);
        return;
    }
    /* The write half of data-out need not start at an iovec: it moves into the buffer. */
    (void)scsi_out_copy(t, len, t->buf, len);
    block_buf_io(t, BIO_WRITE, block_write_flags(scsi_task_lu(t), block_cdb_flags(t->cdb)),
                 t->bio.off, len, caw_done);
}

static void caw_alone(struct scsi_task *t, int err)
{
    (void)err;
    if (!block_recheck(t))
        return;
    block_buf_io(t, BIO_READ, 0, t->lba * scsi_task_lu(t)->cfg.block_bytes, caw_len(t), caw_read);
}

static void caw_data(struct scsi_task *t, int err)
{
    struct scsi_lu *lu = scsi_task_lu(t);

    (void)err;
    if (!block_recheck(t))
        return;
    if (!lu->cfg.native_caw) {
        scsi_want_exclusive(t, caw_alone);
        return;
    }
    t->bio.op = BIO_COMPARE_AND_WRITE;
    t->bio.flags = block_write_flags(lu, block_cdb_flags(t->cdb));
    t->bio.off = t->lba * lu->cfg.block_bytes;
    t->bio.len = caw_len(t);
    t->bio.iov = t->out;
    t->bio.iovcnt = t->out_cnt;
    scsi_want_io(t, caw_done);
}

static void caw_buf(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_data(t, 2 * caw_len(t), caw_data);
}

void block_compare_and_write(struct scsi_task *t)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;
    struct block_cdb c = { be64_get(t->cdb + 2), t->cdb[ATOMIC_CDB_CAW_BLOCKS],
                           ATOMIC_CDB_CAW_BLOCKS };

    if (!block_check(t, &c, BLOCK_MAX_CAW_BLOCKS))
        return;
    if (c.blocks == 0) {
        /* SBC-4 5.3: nothing is compared or written, and that is no error. But with the data of
         * 256 blocks or more the count did not fit its byte, and GOOD would tell the initiator
         * that a write was done which was not. */
        if (t->out_expected >= 2ull * 256 * cfg->block_bytes)
            scsi_check_cdb(t, ATOMIC_CDB_CAW_BLOCKS, 7);
        else
            scsi_good(t);
        return;
    }
    if (!block_check_out_len(t, 2 * c.blocks * cfg->block_bytes))
        return;
    t->lba = c.lba;
    t->blocks = c.blocks;
    if (cfg->native_caw)
        caw_buf(t, 0);
    else
        scsi_want_buf(t, caw_len(t), caw_buf);
}

/* ---- ORWRITE(16): t->pos = bytes done ---- */

static void orwrite_chunk(struct scsi_task *t);

static void orwrite_written(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    t->pos += t->bio.len;
    orwrite_chunk(t);
}

static void orwrite_read(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    block_out_or(t, t->pos, t->buf, (size_t)t->bio.len);
    block_buf_io(t, BIO_WRITE, block_write_flags(scsi_task_lu(t), block_cdb_flags(t->cdb)),
                 t->bio.off, t->bio.len, orwrite_written);
}

static void orwrite_chunk(struct scsi_task *t)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    uint64_t total = t->blocks * block_bytes, left = total - t->pos;

    if (left == 0) {
        count_write(t, total);
        scsi_good(t);
        return;
    }
    block_buf_io(t, BIO_READ, 0, t->lba * block_bytes + t->pos,
                 left < BLOCK_CHUNK_BYTES ? left : BLOCK_CHUNK_BYTES, orwrite_read);
}

static void orwrite_alone(struct scsi_task *t, int err)
{
    (void)err;
    t->pos = 0;
    if (block_recheck(t))
        orwrite_chunk(t);
}

static void orwrite_data(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_exclusive(t, orwrite_alone);
}

static void orwrite_buf(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_data(t, t->blocks * scsi_task_lu(t)->cfg.block_bytes, orwrite_data);
}

void block_orwrite(struct scsi_task *t)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;
    struct block_cdb c = block_cdb16(t->cdb);

    if (!block_check(t, &c, block_max_xfer(cfg)))
        return;
    if (c.blocks == 0) { /* not an error: SBC-4 ORWRITE(16), TRANSFER LENGTH */
        scsi_good(t);
        return;
    }
    uint64_t len = c.blocks * cfg->block_bytes;
    t->lba = c.lba;
    t->blocks = c.blocks;
    scsi_want_buf(t, len < BLOCK_CHUNK_BYTES ? len : BLOCK_CHUNK_BYTES, orwrite_buf);
}

/* ---- WRITE ATOMIC(16) ---- */

static void atomic_written(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    count_write(t, t->bio.len);
    scsi_good(t);
}

static void atomic_alone(struct scsi_task *t, int err)
{
    (void)err;
    if (!block_recheck(t))
        return;
    t->bio.flags = block_write_flags(scsi_task_lu(t), block_cdb_flags(t->cdb));
    t->bio.iov = NULL; /* `out` */
    t->bio.iovcnt = 0;
    scsi_want_io(t, atomic_written);
}

static void atomic_data(struct scsi_task *t, int err)
{
    (void)err;
    /* Stores do not promise that a READ beside a WRITE sees all or nothing of it (SBC-4 atomic
     * write operations). */
    scsi_want_exclusive(t, atomic_alone);
}

void block_write_atomic(struct scsi_task *t)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;
    struct block_cdb c = { be64_get(t->cdb + 2), be16_get(t->cdb + ATOMIC_CDB_WRITE_BLOCKS),
                           ATOMIC_CDB_WRITE_BLOCKS };

    /* ATOMIC BOUNDARY other than 0 is outside the CDB usage data. */
    if (!block_check(t, &c, block_max_atomic(cfg)))
        return;
    if (c.blocks && !block_check_out_len(t, c.blocks * cfg->block_bytes))
        return;
    block_write_begin(t, &c, true, atomic_data);
}
