/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the disk commands (SBC-4) share: ranges, chunks, comparison with the data-out, and the start
 * functions that the command table names. Internal to src/scsi.
 */
#ifndef USAN_SCSI_BLOCK_H
#define USAN_SCSI_BLOCK_H

#include "scsi/block_limits.h"
#include "scsi/mode.h"
#include "scsi/reply.h"
#include "scsi/step.h"

/* Byte 1 of the CDBs of 10 bytes and more that read or write the medium. */
enum {
    BLOCK_CDB_DPO = 0x10,
    BLOCK_CDB_FUA = 0x08,
    BLOCK_CDB_BYTCHK = 0x06,
    BLOCK_CDB_BYTCHK_SHIFT = 1,
};

/* LBA and length fields of a CDB of the 10, 12 or 16 byte layout (SPC-6 4.2.2); len_byte is where
 * the length field starts, for field pointers. */
struct block_cdb {
    uint64_t lba;
    uint64_t blocks;
    uint8_t len_byte;
};

static inline struct block_cdb block_cdb10(const uint8_t *cdb)
{
    return (struct block_cdb){ be32_get(cdb + 2), be16_get(cdb + 7), 7 };
}

static inline struct block_cdb block_cdb12(const uint8_t *cdb)
{
    return (struct block_cdb){ be32_get(cdb + 2), be32_get(cdb + 6), 6 };
}

static inline struct block_cdb block_cdb16(const uint8_t *cdb)
{
    return (struct block_cdb){ be64_get(cdb + 2), be32_get(cdb + 10), 10 };
}

/* By the group code of the operation code (SPC-6 4.2.5.1): 1 and 2: 10 bytes, 4: 16, 5: 12. */
static inline struct block_cdb block_cdb_any(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 4:
        return block_cdb16(cdb);
    case 5:
        return block_cdb12(cdb);
    default:
        return block_cdb10(cdb);
    }
}

/* BIO_F_DPO and BIO_F_FUA as byte 1 asks for them. */
static inline uint32_t block_cdb_flags(const uint8_t *cdb)
{
    return (cdb[1] & BLOCK_CDB_DPO ? (uint32_t)BIO_F_DPO : 0u) |
           (cdb[1] & BLOCK_CDB_FUA ? (uint32_t)BIO_F_FUA : 0u);
}

/* Is [lba, lba + blocks) on the medium? An LBA past the last one is not, with 0 blocks either. */
static inline bool block_in_range(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks)
{
    uint64_t count = lu->cfg.block_count;
    return lba < count && blocks <= count - lba;
}

/* End the task: LOGICAL BLOCK ADDRESS OUT OF RANGE, INFORMATION = the first LBA that is. */
void block_fail_range(struct scsi_task *t, uint64_t lba);

/* Check range, then length against `max` blocks (0 = no maximum). False: the task was ended. */
static inline bool block_check(struct scsi_task *t, const struct block_cdb *c, uint64_t max)
{
    if (!block_in_range(scsi_task_lu(t), c->lba, c->blocks)) {
        block_fail_range(t, c->lba);
        return false;
    }
    if (max && c->blocks > max) {
        scsi_check_cdb(t, c->len_byte, 7);
        return false;
    }
    return true;
}

/* The same for a command that waited outside the section since, when the capacity may have
 * shrunk: t->lba and t->blocks. */
static inline bool block_recheck(struct scsi_task *t)
{
    if (block_in_range(scsi_task_lu(t), t->lba, t->blocks))
        return true;
    block_fail_range(t, t->lba);
    return false;
}

/* Add BIO_F_FUA unless the write cache is enabled (SBC-4 4.15, WCE). */
static inline uint32_t block_write_flags(const struct scsi_lu *lu, uint32_t flags)
{
    return scsi_mode_wce(lu) ? flags : flags | (uint32_t)BIO_F_FUA;
}

/* End the task: the initiator announced a data-out of another length than the CDB calls for. */
void block_fail_out_len(struct scsi_task *t);
/* For commands that can not be done in part: data-out must be of exactly len bytes. False: the
 * task was ended. */
bool block_check_out_len(struct scsi_task *t, uint64_t len);

/* Offset of the first byte of buf[0, len) that differs from the data-out at offset off; len when
 * none does. */
size_t block_out_diff(const struct scsi_task *t, uint64_t off, const uint8_t *buf, size_t len);
bool block_out_is_zero(const struct scsi_task *t, size_t len);
/* dst[i] |= data-out[off + i] */
void block_out_or(const struct scsi_task *t, uint64_t off, uint8_t *dst, size_t len);

/* READ or WRITE of len bytes between the store and t->buf (which is large enough). */
void block_buf_io(struct scsi_task *t, enum bio_op op, uint32_t flags, uint64_t off, uint64_t len,
                  scsi_step *next);
/* An op without data (UNMAP, WRITE_ZEROES, FLUSH, MAP_STATUS). */
void block_plain_io(struct scsi_task *t, enum bio_op op, uint32_t flags, uint64_t off, uint64_t len,
                    scsi_step *next);
/* Fill buf with copies of a block. */
void block_fill(uint8_t *buf, size_t len, const uint8_t *block, size_t block_bytes);

/* Bring the data-out of a write of c (checked) and run `next`; t->lba, t->blocks and t->bio.off/len
 * are set. A data-out that is too short is written as far as it holds whole blocks (RFC 7143
 * 11.4.5.1: the residual tells): bio.len is then less than t->blocks. `granted`: the bytes go to
 * the store as they are, see out_off. */
void block_write_begin(struct scsi_task *t, const struct block_cdb *c, bool granted,
                       scsi_step *next);

/* read_write.c */
void block_read6(struct scsi_task *t);
void block_read10(struct scsi_task *t);
void block_read12(struct scsi_task *t);
void block_read16(struct scsi_task *t);
void block_write6(struct scsi_task *t);
void block_write10(struct scsi_task *t);
void block_write12(struct scsi_task *t);
void block_write16(struct scsi_task *t);
/* verify.c: 10, 12 and 16 */
void block_verify(struct scsi_task *t);
void block_write_verify(struct scsi_task *t);
/* atomic.c */
void block_compare_and_write(struct scsi_task *t);
void block_orwrite(struct scsi_task *t);
void block_write_atomic(struct scsi_task *t);
/* provision.c */
void block_unmap(struct scsi_task *t);
void block_get_lba_status(struct scsi_task *t);
/* write_same.c */
void block_write_same10(struct scsi_task *t);
void block_write_same16(struct scsi_task *t);
/* capacity.c */
void block_read_capacity10(struct scsi_task *t);
void block_read_capacity16(struct scsi_task *t);
/* cache.c */
void block_sync_cache(struct scsi_task *t);
void block_prefetch(struct scsi_task *t);
/* sanitize.c, format.c */
void block_sanitize_overwrite(struct scsi_task *t);
void block_sanitize_block_erase(struct scsi_task *t);
void block_sanitize_exit_failure(struct scsi_task *t);
void block_format_unit(struct scsi_task *t);
/* start_stop.c */
void block_start_stop(struct scsi_task *t);
void block_prevent_allow(struct scsi_task *t);
/* defects.c */
void block_read_defects10(struct scsi_task *t);
void block_read_defects12(struct scsi_task *t);

#endif
