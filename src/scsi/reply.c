/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How commands end: status, sense data, parameter data. */
#include "scsi/reply.h"

#include "scsi/command.h"
#include "scsi/mode.h"

#include <string.h>

/* SAM-6 5.9: a command with NACA = 1 that fails puts its nexus into ACA; one with the ACA attribute
 * and NACA = 0 takes it out. */
static void update_aca(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    if (!t->cmd || t->cmd->cdb_len == 0)
        return;
    if (t->cdb[scsi_cdb_control(t->cmd)] & 0x04)
        atomic_store(&itl->aca, true);
    else if (t->attr == SCSI_ATTR_ACA)
        atomic_store(&itl->aca, false);
}

static void end_with_sense(struct scsi_task *t, const struct scsi_sense_info *s)
{
    bool descriptor = t->itl && scsi_mode_d_sense(t->itl->lu);
    t->sense_len = (uint16_t)scsi_sense_build(s, descriptor, t->sense, sizeof t->sense);
    /* Data-in that was prepared is not sent. */
    t->in = NULL;
    t->in_cnt = 0;
    t->in_len = 0;
    t->in_used = 0;
    if (t->itl && !(t->flags & SCSI_TF_BACKGROUND))
        update_aca(t);
    scsi_status(t, SCSI_STATUS_CHECK_CONDITION);
}

void scsi_check(struct scsi_task *t, uint32_t kaq)
{
    struct scsi_sense_info s = { .kaq = kaq };
    end_with_sense(t, &s);
}

void scsi_check_info(struct scsi_task *t, uint32_t kaq, uint64_t information)
{
    struct scsi_sense_info s = { .kaq = kaq, .has_information = true, .information = information };
    end_with_sense(t, &s);
}

static void check_field(struct scsi_task *t, uint32_t kaq, bool in_cdb, unsigned byte, int bit)
{
    struct scsi_sense_info s = {
        .kaq = kaq,
        .has_field = true,
        .field_in_cdb = in_cdb,
        .field_byte = (uint16_t)byte,
        .field_bit = bit,
    };
    end_with_sense(t, &s);
}

void scsi_check_cdb(struct scsi_task *t, unsigned byte, int bit)
{
    check_field(t, SENSE_INVALID_FIELD_IN_CDB, true, byte, bit);
}

void scsi_check_param(struct scsi_task *t, unsigned byte, int bit)
{
    check_field(t, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, false, byte, bit);
}

void scsi_check_busy(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    struct scsi_sense_info s = {
        .kaq = lu->busy_kind == SCSI_BUSY_SANITIZE ? SENSE_SANITIZE_IN_PROGRESS
                                                   : SENSE_FORMAT_IN_PROGRESS,
        .has_progress = true,
        .progress = (uint16_t)atomic_load(&lu->progress),
    };
    end_with_sense(t, &s);
}

static bool bio_writes(const struct bio *bio)
{
    switch (bio->op) {
    case BIO_WRITE:
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
    case BIO_FLUSH:
        return true;
    case BIO_READ:
    case BIO_COMPARE_AND_WRITE:
    case BIO_MAP_STATUS:
    case BIO_OP_COUNT:
        break;
    }
    return false;
}

void scsi_check_bio(struct scsi_task *t, int err)
{
    const struct bio *bio = &t->bio;
    uint32_t block_bytes = t->io_lu->cfg.block_bytes;
    switch ((enum usan_err)err) {
    case USAN_ENOSPC: /* SBC-4 4.7.3.6 */
        scsi_check(t, SENSE_SPACE_ALLOCATION_FAILED);
        return;
    case USAN_ERDONLY:
    case USAN_EPERM:
        scsi_check(t, SENSE_WRITE_PROTECTED);
        return;
    case USAN_ERANGE:
        scsi_check_info(t, SENSE_LBA_OUT_OF_RANGE, bio->off / block_bytes);
        return;
    case USAN_EMISCOMPARE: /* SBC-4 5.3: the offset of the first byte that differs */
        scsi_check_info(t, SENSE_MISCOMPARE_DURING_VERIFY, bio->err_off - bio->off);
        return;
    case USAN_ENOMEM:
    case USAN_EBUSY:
    case USAN_EAGAIN:
    case USAN_ELIMIT:
        scsi_status(t, SCSI_STATUS_BUSY);
        return;
    case USAN_ECANCELED:
    case USAN_ETIMEOUT:
    case USAN_ECLOSED:
        scsi_check(t, SENSE_COMMAND_ABORTED);
        return;
    case USAN_EIO:
    case USAN_ECORRUPT:
    case USAN_EDIGEST:
        if (bio->op == BIO_FLUSH) /* no block to blame */
            scsi_check(t, SENSE_WRITE_ERROR);
        else
            scsi_check_info(t, bio_writes(bio) ? SENSE_WRITE_ERROR : SENSE_UNRECOVERED_READ_ERROR,
                            bio->err_off / block_bytes);
        return;
    case USAN_OK:
    case USAN_EINVAL:
    case USAN_EPROTO:
    case USAN_ENOTSUP:
    case USAN_ENOENT:
    case USAN_EEXIST:
    case USAN_EAUTH:
    case USAN_EADDRINUSE:
        break;
    }
    scsi_check(t, SENSE_INTERNAL_TARGET_FAILURE);
}

static void set_in(struct scsi_task *t, const struct iovec *iov, int cnt, uint64_t used)
{
    t->in_used = used;
    t->in_len = used < t->in_expected ? used : t->in_expected;
    t->in_residual = used - t->in_len;
    if (t->in_len) {
        t->in = iov;
        t->in_cnt = cnt;
    }
}

void scsi_reply(struct scsi_task *t, const struct wr *w, uint64_t alloc_len)
{
    uint64_t used = wr_stored(w) < alloc_len ? wr_stored(w) : alloc_len;
    t->in_one.iov_base = t->buf;
    t->in_one.iov_len = used < t->in_expected ? used : t->in_expected;
    set_in(t, &t->in_one, 1, used);
    scsi_good(t);
}

void scsi_reply_bio(struct scsi_task *t, uint64_t len)
{
    set_in(t, t->bio.iov, t->bio.iovcnt, len);
    scsi_good(t);
}

struct wr scsi_reply_begin(struct scsi_task *t)
{
    /* buf may be larger than asked for: what it holds is still bounded by the limit. */
    return wr_init(t->buf, t->buf_len < SCSI_REPLY_MAX ? t->buf_len : SCSI_REPLY_MAX);
}

size_t scsi_out_copy(const struct scsi_task *t, uint64_t off, void *dst, size_t len)
{
    size_t done = 0;
    for (int i = 0; i < t->out_cnt && done < len; i++) {
        const struct iovec *v = &t->out[i];
        if (off >= v->iov_len) {
            off -= v->iov_len;
            continue;
        }
        size_t n = v->iov_len - off;
        if (n > len - done)
            n = len - done;
        memcpy((uint8_t *)dst + done, (const uint8_t *)v->iov_base + off, n);
        done += n;
        off = 0;
    }
    return done;
}
