/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/disk_priv.h"

#include "base/bytes.h"
#include "initiator/opcodes.h"

#include <stdlib.h>
#include <string.h>

enum { SA_GET_LBA_STATUS = 0x12, PROVISIONING_DEALLOCATED = 1 };
enum { CDB_DPO = 0x10, CDB_FUA = 0x08, CDB_UNMAP = 0x08 };

/* The block WRITE SAME writes; as long as the longest one. */
static uint8_t zero_block[65536];

/* ---- memory ---- */

/* The iovecs of [from, from + len) of the bio's memory; all of it needs no copy of them. */
static int slice(struct ini_io *io, uint64_t from, uint64_t len, const struct iovec **ret_iov,
                 int *ret_cnt)
{
    const struct bio *bio = io->bio;
    if (from == 0) { /* too many of them do no harm */
        *ret_iov = bio->iov;
        *ret_cnt = bio->iovcnt;
        return 0;
    }
    if (io->iov_cap < bio->iovcnt) {
        struct iovec *v = reallocarray(io->iov, (size_t)bio->iovcnt, sizeof(*v));
        if (!v)
            return USAN_ENOMEM;
        io->iov = v;
        io->iov_cap = bio->iovcnt;
    }
    int n = 0;
    for (int i = 0; i < bio->iovcnt && len; i++) {
        const struct iovec *v = &bio->iov[i];
        if (from >= v->iov_len) {
            from -= v->iov_len;
            continue;
        }
        uint64_t part = v->iov_len - from < len ? v->iov_len - from : len;
        io->iov[n++] =
            (struct iovec){ .iov_base = (uint8_t *)v->iov_base + from, .iov_len = (size_t)part };
        from = 0;
        len -= part;
    }
    *ret_iov = io->iov;
    *ret_cnt = n;
    return 0;
}

static int data_out(struct ini_io *io, uint64_t from, uint64_t len)
{
    struct iscsi_icmd *c = &io->cmd.scsi;
    c->out_len = (uint32_t)len;
    return slice(io, from, len, &c->out, &c->out_cnt);
}

static void data_out_own(struct ini_io *io, void *p, size_t len)
{
    struct iscsi_icmd *c = &io->cmd.scsi;
    io->one = (struct iovec){ .iov_base = p, .iov_len = len };
    c->out = &io->one;
    c->out_cnt = 1;
    c->out_len = (uint32_t)len;
}

/* ---- commands ---- */

static void start(struct ini_io *io, uint16_t cdb_len, enum ini_again again)
{
    memset(io->cdb, 0, sizeof(io->cdb));
    io->cmd.again = again;
    io->cmd.scsi.cdb_len = cdb_len;
    io->cmd.scsi.in = NULL;
    io->cmd.scsi.out = NULL;
    io->cmd.scsi.in_cnt = io->cmd.scsi.out_cnt = 0;
    io->cmd.scsi.in_len = io->cmd.scsi.out_len = 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Bytes of the next piece; limit in blocks, 0 = none. */
static uint64_t piece(const struct ini_disk_info *info, const struct ini_io *io, uint64_t limit,
                      uint64_t most)
{
    uint64_t max = limit && limit < most / info->block_bytes ? limit * info->block_bytes : most;
    return smaller(io->bio->len - io->pos, max);
}

/* READ and WRITE: ten bytes where the address fits, which every unit knows, else sixteen. */
static int transfer(const struct ini_disk_info *info, struct ini_io *io)
{
    const struct bio *bio = io->bio;
    bool write = bio->op == BIO_WRITE;
    io->piece = piece(info, io, info->max_transfer_blocks, INI_IO_BYTES_MAX);
    uint64_t lba = (bio->off + io->pos) / info->block_bytes;
    uint32_t blocks = (uint32_t)(io->piece / info->block_bytes);
    bool ten = lba <= UINT32_MAX && blocks <= UINT16_MAX;
    start(io, ten ? 10 : 16, write ? INI_AGAIN_WRITE : INI_AGAIN);
    if (ten) {
        io->cdb[0] = write ? INI_OP_WRITE_10 : INI_OP_READ_10;
        be32_put(io->cdb + 2, (uint32_t)lba);
        be16_put(io->cdb + 7, (uint16_t)blocks);
    } else {
        io->cdb[0] = write ? INI_OP_WRITE_16 : INI_OP_READ_16;
        be64_put(io->cdb + 2, lba);
        be32_put(io->cdb + 10, blocks);
    }
    if (info->fua && bio->flags & BIO_F_DPO)
        io->cdb[1] |= CDB_DPO;
    if (info->fua && write && bio->flags & BIO_F_FUA)
        io->cdb[1] |= CDB_FUA;
    if (write)
        return data_out(io, io->pos, io->piece);
    const struct iovec *in;
    int err = slice(io, io->pos, io->piece, &in, &io->cmd.scsi.in_cnt);
    if (err)
        return err;
    io->cmd.scsi.in = in == bio->iov ? bio->iov : io->iov;
    io->cmd.scsi.in_len = (uint32_t)io->piece;
    return 0;
}

static int write_same(const struct ini_disk_info *info, struct ini_io *io, bool unmap)
{
    io->piece = piece(info, io, info->max_write_same_blocks, INI_ZERO_BYTES_MAX);
    start(io, 16, INI_AGAIN_WRITE);
    io->cdb[0] = INI_OP_WRITE_SAME_16;
    io->cdb[1] = unmap ? CDB_UNMAP : 0;
    be64_put(io->cdb + 2, (io->bio->off + io->pos) / info->block_bytes);
    be32_put(io->cdb + 10, (uint32_t)(io->piece / info->block_bytes));
    data_out_own(io, zero_block, info->block_bytes);
    return 0;
}

static int unmap(const struct ini_disk_info *info, struct ini_io *io)
{
    if (!info->can_unmap)
        return info->can_write_same_unmap ? write_same(info, io, true) : USAN_ENOTSUP;
    io->piece = piece(info, io, info->max_unmap_blocks, INI_ZERO_BYTES_MAX);
    start(io, 10, INI_AGAIN_WRITE);
    io->cdb[0] = INI_OP_UNMAP;
    be16_put(io->cdb + 7, INI_UNMAP_LIST);
    memset(io->list, 0, sizeof(io->list));
    be16_put(io->list, INI_UNMAP_LIST - 2);
    be16_put(io->list + 2, INI_UNMAP_LIST - 8);
    be64_put(io->list + 8, (io->bio->off + io->pos) / info->block_bytes);
    be32_put(io->list + 16, (uint32_t)(io->piece / info->block_bytes));
    data_out_own(io, io->list, sizeof(io->list));
    return 0;
}

/* A unit that unmaps is quick at zeroes; one that writes them takes its time, and may well do so.
 */
static int write_zeroes(const struct ini_disk_info *info, struct ini_io *io)
{
    bool unmaps = io->bio->flags & BIO_F_MAY_UNMAP && info->thin && info->can_write_same_unmap &&
                  info->unmap_zeroes;
    if (io->bio->flags & BIO_F_FAST_ZERO && !unmaps)
        return USAN_ENOTSUP;
    return write_same(info, io, unmaps);
}

static int compare_and_write(const struct ini_disk_info *info, struct ini_io *io)
{
    const struct bio *bio = io->bio;
    uint64_t blocks = bio->len / info->block_bytes;
    if (blocks > info->max_compare_and_write_blocks)
        return USAN_ENOTSUP; /* in two commands it would not be atomic */
    io->piece = bio->len;
    start(io, 16, INI_AGAIN_NEVER);
    io->cdb[0] = INI_OP_COMPARE_AND_WRITE;
    if (info->fua && bio->flags & BIO_F_FUA)
        io->cdb[1] = CDB_FUA;
    be64_put(io->cdb + 2, bio->off / info->block_bytes);
    io->cdb[13] = (uint8_t)blocks;
    return data_out(io, 0, 2 * bio->len);
}

/* One descriptor: that of the run that begins at the bio (SBC-4 5.7). */
static int lba_status(const struct ini_disk_info *info, struct ini_io *io)
{
    struct iscsi_icmd *c = &io->cmd.scsi;
    io->piece = io->bio->len;
    start(io, 16, INI_AGAIN);
    io->cdb[0] = INI_OP_SERVICE_ACTION_IN_16;
    io->cdb[1] = SA_GET_LBA_STATUS;
    be64_put(io->cdb + 2, io->bio->off / info->block_bytes);
    be32_put(io->cdb + 10, INI_STATUS_LIST);
    io->one = (struct iovec){ .iov_base = io->list, .iov_len = INI_STATUS_LIST };
    c->in = &io->one;
    c->in_cnt = 1;
    c->in_len = INI_STATUS_LIST;
    return 0;
}

void ini_io_read_status(const struct ini_disk_info *info, struct ini_io *io, uint32_t got)
{
    struct bio *bio = io->bio;
    uint64_t first = bio->off / info->block_bytes, lba = be64_get(io->list + 8);
    uint64_t count = be32_get(io->list + 16);
    bio->mapped = true;
    bio->run_len = bio->len;
    if (got < INI_STATUS_LIST || lba > first || first - lba >= count)
        return; /* nothing that could be believed: there may be data */
    uint64_t run = (count - (first - lba)) * info->block_bytes;
    bio->mapped = (io->list[20] & 0x0f) != PROVISIONING_DEALLOCATED;
    bio->run_len = smaller(run, bio->len);
}

void ini_io_build_flush(struct ini_io *io)
{
    start(io, 10, INI_AGAIN);
    io->cdb[0] = INI_OP_SYNCHRONIZE_CACHE_10; /* LBA 0, 0 blocks: to the end, SBC-4 5.28 */
    io->flush = true;
    io->piece = 0;
}

int ini_io_build(const struct ini_disk_info *info, struct ini_io *io)
{
    switch (io->bio->op) {
    case BIO_READ:
    case BIO_WRITE:
        return transfer(info, io);
    case BIO_FLUSH:
        ini_io_build_flush(io);
        return 0;
    case BIO_UNMAP:
        return unmap(info, io);
    case BIO_WRITE_ZEROES:
        return write_zeroes(info, io);
    case BIO_COMPARE_AND_WRITE:
        return compare_and_write(info, io);
    case BIO_MAP_STATUS:
        return lba_status(info, io);
    case BIO_OP_COUNT:
        break;
    }
    return USAN_ENOTSUP;
}
