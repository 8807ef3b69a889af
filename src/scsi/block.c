/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ranges, chunks and comparison for the disk commands; see block.h. */
#include "scsi/block.h"

#include <string.h>

void block_fail_range(struct scsi_task *t, uint64_t lba)
{
    uint64_t count = scsi_task_lu(t)->cfg.block_count;
    scsi_check_info(t, SENSE_LBA_OUT_OF_RANGE, lba < count ? count : lba);
}

void block_fail_out_len(struct scsi_task *t)
{
    /* ILLEGAL REQUEST, INVALID FIELD IN COMMAND INFORMATION UNIT: sent again it would fail again.
     */
    scsi_check(t, SCSI_KAQ(SENSE_KEY_ILLEGAL_REQUEST, 0x0e, 0x03));
}

bool block_check_out_len(struct scsi_task *t, uint64_t len)
{
    if (t->out_expected == len)
        return true;
    t->out_used = len;
    block_fail_out_len(t);
    return false;
}

static size_t first_diff(const uint8_t *a, const uint8_t *b, size_t len)
{
    if (memcmp(a, b, len) == 0)
        return len;
    size_t i = 0;
    while (a[i] == b[i])
        i++;
    return i;
}

/* The part of data-out that starts at off: at most len bytes that lie in one piece. */
static const uint8_t *out_piece(const struct scsi_task *t, uint64_t off, size_t len,
                                size_t *ret_len)
{
    for (int i = 0; i < t->out_cnt; i++) {
        size_t n = t->out[i].iov_len;
        if (off < n) {
            size_t left = n - (size_t)off;
            *ret_len = left < len ? left : len;
            return (const uint8_t *)t->out[i].iov_base + off;
        }
        off -= n;
    }
    *ret_len = 0;
    return NULL;
}

size_t block_out_diff(const struct scsi_task *t, uint64_t off, const uint8_t *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        size_t n;
        const uint8_t *p = out_piece(t, off + done, len - done, &n);
        if (!p)
            return done;
        size_t same = first_diff(p, buf + done, n);
        done += same;
        if (same < n)
            return done;
    }
    return len;
}

bool block_out_is_zero(const struct scsi_task *t, size_t len)
{
    for (size_t done = 0; done < len;) {
        size_t n;
        const uint8_t *p = out_piece(t, done, len - done, &n);
        if (!p)
            return false;
        /* A piece is all zero when its first byte is, and it equals itself moved by one. */
        if (p[0] != 0 || (n > 1 && memcmp(p, p + 1, n - 1) != 0))
            return false;
        done += n;
    }
    return true;
}

void block_out_or(const struct scsi_task *t, uint64_t off, uint8_t *dst, size_t len)
{
    for (size_t done = 0; done < len;) {
        size_t n;
        const uint8_t *p = out_piece(t, off + done, len - done, &n);
        if (!p)
            return;
        for (size_t i = 0; i < n; i++)
            dst[done + i] |= p[i];
        done += n;
    }
}

void block_buf_io(struct scsi_task *t, enum bio_op op, uint32_t flags, uint64_t off, uint64_t len,
                  scsi_step *next)
{
    t->in_one = (struct iovec){ .iov_base = t->buf, .iov_len = len };
    t->bio.op = op;
    t->bio.flags = flags;
    t->bio.off = off;
    t->bio.len = len;
    t->bio.iov = &t->in_one;
    t->bio.iovcnt = 1;
    scsi_want_io(t, next);
}

void block_plain_io(struct scsi_task *t, enum bio_op op, uint32_t flags, uint64_t off, uint64_t len,
                    scsi_step *next)
{
    t->bio.op = op;
    t->bio.flags = flags;
    t->bio.off = off;
    t->bio.len = len;
    t->bio.iov = NULL;
    t->bio.iovcnt = 0;
    scsi_want_io(t, next);
}

void block_fill(uint8_t *buf, size_t len, const uint8_t *block, size_t block_bytes)
{
    for (size_t at = 0; at < len; at += block_bytes)
        memcpy(buf + at, block, len - at < block_bytes ? len - at : block_bytes);
}

/* The initiator offers less than the CDB calls for. */
static void write_short(struct scsi_task *t, scsi_step *next)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;

    t->out_used = t->blocks * block_bytes;
    if (t->out_expected % block_bytes) {
        block_fail_out_len(t);
        return;
    }
    if (t->out_expected == 0) {
        scsi_good(t);
        return;
    }
    t->bio.len = t->out_expected;
    scsi_want_data(t, t->bio.len, next);
}

void block_write_begin(struct scsi_task *t, const struct block_cdb *c, bool granted,
                       scsi_step *next)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;

    if (c->blocks == 0) { /* not an error: SBC-4 WRITE(10), TRANSFER LENGTH */
        scsi_good(t);
        return;
    }
    t->lba = c->lba;
    t->blocks = c->blocks;
    t->bio.op = BIO_WRITE;
    t->bio.off = c->lba * block_bytes;
    t->bio.len = c->blocks * block_bytes;
    if (granted)
        t->out_off = t->bio.off;
    if (t->out_expected < t->bio.len) {
        write_short(t, next);
        return;
    }
    scsi_want_data(t, t->bio.len, next);
}
