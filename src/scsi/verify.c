/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VERIFY and WRITE AND VERIFY of 10, 12 and 16 bytes (SBC-4).
 *
 * The range is read back in chunks into a bounded buffer. With byte checking the first byte that
 * differs ends the command with MISCOMPARE; INFORMATION is its offset from the start of the range.
 * t->pos counts the bytes that were verified, t->phase holds BYTCHK.
 */
#include "scsi/block.h"

enum bytchk {
    BYTCHK_NONE = 0,      /* the medium is readable */
    BYTCHK_RANGE = 1,     /* equals the data-out */
    BYTCHK_RESERVED = 2,  /* SBC-4 VERIFY(10), BYTCHK */
    BYTCHK_ONE_BLOCK = 3, /* every block equals the one block of data-out */
};

static uint8_t cdb_bytchk(const uint8_t *cdb)
{
    return (cdb[1] & BLOCK_CDB_BYTCHK) >> BLOCK_CDB_BYTCHK_SHIFT;
}

/* A long verification lets commands pass that must run alone. */
enum { VERIFY_STAY_BYTES = 64 * BLOCK_CHUNK_BYTES };

static void verify_chunk(struct scsi_task *t);
static void verify_back(struct scsi_task *t, int err);

/* Offset in the chunk of the first byte that is not as it should be; n when all are. */
static size_t chunk_diff(const struct scsi_task *t, size_t n)
{
    if (t->phase == BYTCHK_RANGE)
        return block_out_diff(t, t->pos, t->buf, n);
    if (t->phase == BYTCHK_NONE)
        return n;
    size_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    for (size_t at = 0; at < n; at += block_bytes) {
        size_t same = block_out_diff(t, 0, t->buf + at, block_bytes);
        if (same < block_bytes)
            return at + same;
    }
    return n;
}

static void chunk_read(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    size_t n = (size_t)t->bio.len;
    size_t same = chunk_diff(t, n);
    if (same < n) {
        scsi_check_info(t, SENSE_MISCOMPARE_DURING_VERIFY, t->pos + same);
        return;
    }
    t->pos += n;
    if (t->pos % VERIFY_STAY_BYTES)
        verify_chunk(t);
    else
        scsi_want_section(t, t->itl, verify_back);
}

static void verify_chunk(struct scsi_task *t)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    uint64_t left = t->blocks * block_bytes - t->pos;

    if (left == 0) {
        scsi_good(t);
        return;
    }
    block_buf_io(t, BIO_READ, 0, t->lba * block_bytes + t->pos,
                 left < BLOCK_CHUNK_BYTES ? left : BLOCK_CHUNK_BYTES, chunk_read);
}

/* In the section again. */
static void verify_back(struct scsi_task *t, int err)
{
    (void)err;
    if (block_recheck(t))
        verify_chunk(t);
}

static uint64_t chunk_len(const struct scsi_task *t, uint64_t blocks)
{
    uint64_t len = blocks * scsi_task_lu(t)->cfg.block_bytes;
    return len < BLOCK_CHUNK_BYTES ? len : BLOCK_CHUNK_BYTES;
}

static void verify_data(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_buf(t, chunk_len(t, t->blocks), verify_back);
}

void block_verify(struct scsi_task *t)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;
    struct block_cdb c = block_cdb_any(t->cdb);
    uint8_t bytchk = cdb_bytchk(t->cdb);

    if (bytchk == BYTCHK_RESERVED) {
        scsi_check_cdb(t, 1, 2);
        return;
    }
    /* MAXIMUM TRANSFER LENGTH bounds what is transferred (SBC-4 Block Limits page) */
    if (!block_check(t, &c, bytchk == BYTCHK_RANGE ? block_max_xfer(cfg) : 0))
        return;
    if (c.blocks == 0) { /* not an error: SBC-4 VERIFY(10), VERIFICATION LENGTH */
        scsi_good(t);
        return;
    }
    t->lba = c.lba;
    t->blocks = c.blocks;
    t->phase = bytchk;
    if (bytchk == BYTCHK_NONE)
        verify_data(t, 0);
    else
        scsi_want_data(t, (bytchk == BYTCHK_RANGE ? c.blocks : 1) * cfg->block_bytes, verify_data);
}

static void wv_written(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    struct scsi_lane *lane = t->seat->lane;
    lane->writes++;
    lane->write_bytes += t->bio.len;
    /* Of a short data-out only what was written can be verified. */
    t->blocks = t->bio.len / scsi_task_lu(t)->cfg.block_bytes;
    verify_chunk(t);
}

static void wv_data(struct scsi_task *t, int err)
{
    (void)err;
    if (!block_recheck(t))
        return;
    /* What is verified has to be on the medium, hence FUA. */
    t->bio.flags = (t->cdb[1] & BLOCK_CDB_DPO ? (uint32_t)BIO_F_DPO : 0u) | (uint32_t)BIO_F_FUA;
    t->bio.iov = NULL; /* `out` */
    t->bio.iovcnt = 0;
    scsi_want_io(t, wv_written);
}

/* The buffer is had before the data, so that write and verification are one stay in the section. */
static void wv_buf(struct scsi_task *t, int err)
{
    struct block_cdb c = block_cdb_any(t->cdb);

    (void)err;
    /* Memory of the store would be compared with itself: granted only when nothing is. */
    block_write_begin(t, &c, t->phase == BYTCHK_NONE, wv_data);
}

void block_write_verify(struct scsi_task *t)
{
    struct block_cdb c = block_cdb_any(t->cdb);
    uint8_t bytchk = cdb_bytchk(t->cdb);

    if (bytchk > BYTCHK_RANGE) { /* SBC-4 WRITE AND VERIFY(10): 10b, 11b are reserved */
        scsi_check_cdb(t, 1, 2);
        return;
    }
    if (!block_check(t, &c, block_max_xfer(&scsi_task_lu(t)->cfg)))
        return;
    t->phase = bytchk;
    scsi_want_buf(t, chunk_len(t, c.blocks), wv_buf);
}
