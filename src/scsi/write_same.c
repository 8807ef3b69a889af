/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WRITE SAME(10) and (16) (SBC-4).
 *
 * A block of zeroes becomes WRITE_ZEROES, which may deallocate when UNMAP is set; any other block
 * is copied into a bounded buffer and written chunk by chunk. With UNMAP set and a block that is
 * not what unmapped blocks read as, SBC-4 has the data written: never is other data left
 * behind than the initiator sent. t->pos counts the bytes done.
 *
 * ANCHOR is outside the CDB usage data (ANC_SUP = 0), and so are the obsolete PBDATA and LBDATA.
 */
#include "scsi/block.h"

enum {
    WS_UNMAP = 0x08,
    WS_NDOB = 0x01, /* 16 only: no data-out, the block is all zeroes */
};

static uint64_t ws_total(const struct scsi_task *t)
{
    return t->blocks * scsi_task_lu(t)->cfg.block_bytes;
}

static void ws_finish(struct scsi_task *t)
{
    struct scsi_lane *lane = t->seat->lane;
    lane->writes++;
    lane->write_bytes += ws_total(t);
    scsi_good(t);
}

static void zero_chunk(struct scsi_task *t);

static void zero_done(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    t->pos += t->bio.len;
    zero_chunk(t);
}

static void zero_chunk(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    uint64_t left = ws_total(t) - t->pos;
    uint32_t flags = t->cdb[1] & WS_UNMAP ? (uint32_t)BIO_F_MAY_UNMAP : 0u;

    if (left == 0) {
        ws_finish(t);
        return;
    }
    block_plain_io(t, BIO_WRITE_ZEROES, block_write_flags(lu, flags),
                   t->lba * lu->cfg.block_bytes + t->pos,
                   left < BLOCK_ZERO_BYTES ? left : BLOCK_ZERO_BYTES, zero_done);
}

static void copy_chunk(struct scsi_task *t);

static void copy_done(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    t->pos += t->bio.len;
    copy_chunk(t);
}

static void copy_chunk(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    uint64_t left = ws_total(t) - t->pos;

    if (left == 0) {
        ws_finish(t);
        return;
    }
    block_buf_io(t, BIO_WRITE, block_write_flags(lu, 0), t->lba * lu->cfg.block_bytes + t->pos,
                 left < BLOCK_CHUNK_BYTES ? left : BLOCK_CHUNK_BYTES, copy_done);
}

static void copy_start(struct scsi_task *t, int err)
{
    size_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    uint64_t total = ws_total(t);

    (void)err;
    if (!block_recheck(t))
        return;
    (void)scsi_out_copy(t, 0, t->buf, block_bytes);
    size_t len = (size_t)(total < BLOCK_CHUNK_BYTES ? total : BLOCK_CHUNK_BYTES);
    block_fill(t->buf + block_bytes, len - block_bytes, t->buf, block_bytes);
    copy_chunk(t);
}

static void ws_data(struct scsi_task *t, int err)
{
    uint64_t total = ws_total(t);

    (void)err;
    if (!block_recheck(t))
        return;
    if (block_out_is_zero(t, scsi_task_lu(t)->cfg.block_bytes))
        zero_chunk(t);
    else
        scsi_want_buf(t, total < BLOCK_CHUNK_BYTES ? total : BLOCK_CHUNK_BYTES, copy_start);
}

static void write_same(struct scsi_task *t, const struct block_cdb *c, bool ndob)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;

    if ((t->cdb[1] & WS_UNMAP) && !cfg->thin) { /* LBPWS and LBPWS10 are 0 */
        scsi_check_cdb(t, 1, 3);
        return;
    }
    if (!block_check(t, c, BLOCK_MAX_WRITE_SAME_BLOCKS))
        return;
    if (c->blocks == 0) { /* WSNZ */
        scsi_check_cdb(t, c->len_byte, 7);
        return;
    }
    t->lba = c->lba;
    t->blocks = c->blocks;
    t->pos = 0;
    if (ndob)
        zero_chunk(t);
    else if (block_check_out_len(t, cfg->block_bytes))
        scsi_want_data(t, cfg->block_bytes, ws_data);
}

void block_write_same10(struct scsi_task *t)
{
    struct block_cdb c = block_cdb10(t->cdb);
    write_same(t, &c, false);
}

void block_write_same16(struct scsi_task *t)
{
    struct block_cdb c = block_cdb16(t->cdb);
    write_same(t, &c, t->cdb[1] & WS_NDOB);
}
