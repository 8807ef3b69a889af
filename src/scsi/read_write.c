/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ and WRITE of 6, 10, 12 and 16 bytes (SBC-4): the hot path. One storage request each, whose
 * memory is the owner's from the wire to the store and back.
 *
 * RDPROTECT and WRPROTECT other than 000b, without protection information on the medium, are bits
 * outside the CDB usage data and so were refused before (INVALID FIELD IN CDB).
 */
#include "scsi/block.h"

static void read_done(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    struct scsi_lane *lane = t->seat->lane;
    lane->reads++;
    lane->read_bytes += t->bio.len;
    scsi_reply_bio(t, t->bio.len);
}

static void read_start(struct scsi_task *t, const struct block_cdb *c, uint32_t flags)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;

    if (!block_check(t, c, block_max_xfer(cfg)))
        return;
    if (c->blocks == 0) { /* not an error: SBC-4 READ(10), TRANSFER LENGTH */
        scsi_good(t);
        return;
    }
    t->bio.op = BIO_READ;
    t->bio.flags = flags;
    t->bio.off = c->lba * cfg->block_bytes;
    t->bio.len = c->blocks * cfg->block_bytes;
    t->bio.iov = NULL;
    t->bio.iovcnt = 0;
    scsi_want_io(t, read_done);
}

/* FUA of a READ asks that the medium be read, not a cache that could differ from it. Stores are
 * coherent with their cache, so only DPO is handed on. */
static uint32_t read_flags(const uint8_t *cdb)
{
    return cdb[1] & BLOCK_CDB_DPO ? (uint32_t)BIO_F_DPO : 0u;
}

static struct block_cdb block_cdb6(const uint8_t *cdb)
{
    /* TRANSFER LENGTH 0 means 256 (SBC-4 READ(6)) */
    return (struct block_cdb){ be24_get(cdb + 1) & 0x1fffff, cdb[4] ? cdb[4] : 256, 4 };
}

void block_read6(struct scsi_task *t)
{
    struct block_cdb c = block_cdb6(t->cdb);
    read_start(t, &c, 0);
}

void block_read10(struct scsi_task *t)
{
    struct block_cdb c = block_cdb10(t->cdb);
    read_start(t, &c, read_flags(t->cdb));
}

void block_read12(struct scsi_task *t)
{
    struct block_cdb c = block_cdb12(t->cdb);
    read_start(t, &c, read_flags(t->cdb));
}

void block_read16(struct scsi_task *t)
{
    struct block_cdb c = block_cdb16(t->cdb);
    read_start(t, &c, read_flags(t->cdb));
}

static void write_done(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    struct scsi_lane *lane = t->seat->lane;
    lane->writes++;
    lane->write_bytes += t->bio.len;
    scsi_good(t);
}

static void write_data(struct scsi_task *t, int err)
{
    (void)err; /* data has come, or the task has ended */
    if (!block_recheck(t))
        return;
    t->bio.flags = block_write_flags(scsi_task_lu(t), t->bio.flags);
    t->bio.iov = NULL; /* `out` */
    t->bio.iovcnt = 0;
    scsi_want_io(t, write_done);
}

static void write_start(struct scsi_task *t, const struct block_cdb *c, uint32_t flags)
{
    if (!block_check(t, c, block_max_xfer(&scsi_task_lu(t)->cfg)))
        return;
    t->bio.flags = flags;
    block_write_begin(t, c, true, write_data);
}

void block_write6(struct scsi_task *t)
{
    struct block_cdb c = block_cdb6(t->cdb);
    write_start(t, &c, 0);
}

void block_write10(struct scsi_task *t)
{
    struct block_cdb c = block_cdb10(t->cdb);
    write_start(t, &c, block_cdb_flags(t->cdb));
}

void block_write12(struct scsi_task *t)
{
    struct block_cdb c = block_cdb12(t->cdb);
    write_start(t, &c, block_cdb_flags(t->cdb));
}

void block_write16(struct scsi_task *t)
{
    struct block_cdb c = block_cdb16(t->cdb);
    write_start(t, &c, block_cdb_flags(t->cdb));
}
