/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moving data between units, piece by piece, and finding the units. */
#include "scsi/copy.h"

#include "scsi/alua.h"
#include "scsi/block_limits.h"
#include "scsi/command.h"
#include "scsi/itl.h"
#include "scsi/mode.h"
#include "scsi/persist.h"

#include <string.h>

/* ---- units ---- */

struct scsi_itl *copy_itl(const struct scsi_task *t, uint64_t lun)
{
    if (t->itl->lun == lun)
        return t->itl;
    const struct scsi_seat *seat = scsi_seat_find(t->branch, lun);
    return seat ? seat->itl : NULL;
}

enum { /* designation descriptor, SPC-6 7.7.6 */
       CODE_SET_BINARY = 1,
       DESIGNATOR_NAA = 3,
       DESIGNATOR_BYTES_MAX = 20, /* what there is room for in the CSCD descriptor */
};

struct scsi_itl *copy_find_ident(const struct scsi_task *t, const uint8_t d[static COPY_CSCD_BYTES])
{
    unsigned len = d[7];
    /* ASSOCIATION 00b: the logical unit */
    if ((d[4] & 0x0f) != CODE_SET_BINARY || (d[5] & 0x3f) != DESIGNATOR_NAA ||
        len > DESIGNATOR_BYTES_MAX)
        return NULL;
    for (unsigned i = 0; i < t->branch->count; i++) {
        struct scsi_itl *itl = t->branch->seats[i]->itl;
        const struct scsi_lu_config *cfg = &itl->lu->cfg;
        if (cfg->naa_len == len && memcmp(cfg->naa, d + 8, len) == 0)
            return itl;
    }
    return NULL;
}

void copy_write_ident(const struct scsi_lu *lu, struct wr *w)
{
    const struct scsi_lu_config *cfg = &lu->cfg;
    wr_u8(w, COPY_TYPE_IDENT);
    wr_zero(w, 3); /* logical unit identified by the designator, block device */
    wr_u8(w, CODE_SET_BINARY);
    wr_u8(w, DESIGNATOR_NAA);
    wr_u8(w, 0);
    wr_u8(w, cfg->naa_len);
    wr_bytes(w, cfg->naa, cfg->naa_len);
    wr_zero(w, DESIGNATOR_BYTES_MAX - (size_t)cfg->naa_len + 1);
    wr_be24(w, cfg->block_bytes);
}

/* Why this nexus may not read, or write, the unit now; 0: it may. The addressed unit was checked
 * as any command is, so it is only looked at again: it may have changed since. */
static uint32_t refusal(const struct scsi_itl *itl, bool write)
{
    const struct scsi_lu *lu = itl->lu;
    bool reserved = (lu->reserved_by && lu->reserved_by != itl) ||
                    !scsi_pr_allows_flags(itl, write ? 0 : SCSI_CF_PR_READ);
    bool not_ready = lu->busy_kind || lu->sanitize_failed || lu->ejected || lu->stopped ||
                     scsi_alua_refuses(itl, 0) != 0;
    bool protected = lu->cfg.read_only || itl->read_only || scsi_mode_swp(lu);
    return reserved || not_ready || (write && protected) ? SENSE_THIRD_PARTY_DEVICE_FAILURE : 0;
}

/* Does [off, off + len) lie on the unit? Asked of the whole stretch before the first piece of it.
 */
static bool fits(const struct scsi_lu *lu, uint64_t off, uint64_t len)
{
    uint64_t size = lu->cfg.block_count * lu->cfg.block_bytes;
    return off <= size && len <= size - off;
}

/* ---- one piece after the other ---- */

void copy_fail(struct scsi_task *t, uint32_t kaq)
{
    const struct copy_job *job = copy_job(t);
    struct scsi_sense_info s = { .kaq = kaq,
                                 .has_information = true,
                                 .information = job->len - job->done };
    copy_result_end(t, job->serial, COPY_FAILED, &s);
}

static uint64_t piece_len(const struct copy_job *job)
{
    uint64_t left = job->len - job->done;
    uint64_t max = job->zeroes ? BLOCK_ZERO_BYTES : COPY_CHUNK_BYTES;
    return left < max ? left : max;
}

/* Where the current piece is in the stretch: from the end forward when the stretch moves up over
 * itself. */
static uint64_t piece_at(const struct copy_job *job)
{
    return job->backward ? job->len - job->done - piece_len(job) : job->done;
}

static void next_piece(struct scsi_task *t);

static void piece_written(struct scsi_task *t, int err)
{
    struct copy_job *job = copy_job(t);
    if (err) {
        copy_fail(t, SENSE_THIRD_PARTY_DEVICE_FAILURE);
        return;
    }
    uint64_t n = piece_len(job);
    job->done += n;
    struct copy_result *r = copy_result_of(t->itl, job->serial);
    if (r) {
        r->bytes += n;
        r->operations++;
        if (r->abort) {
            copy_result_end(t, job->serial, COPY_ABORTED, NULL);
            return;
        }
    }
    next_piece(t);
}

static void piece_write(struct scsi_task *t, int err)
{
    struct copy_job *job = copy_job(t);
    if (err) { /* the unit went while this waited for it */
        copy_fail(t, SENSE_COPY_TARGET_NOT_REACHABLE);
        return;
    }
    const struct scsi_itl *dst = t->in_section->itl;
    uint64_t off = job->dst_off + piece_at(job);
    uint32_t kaq = refusal(dst, true);
    if (kaq || !fits(dst->lu, job->dst_off, job->len)) {
        copy_fail(t, kaq ? kaq : SENSE_COPY_ABORTED);
        return;
    }
    t->io_lu = dst->lu;
    t->bio.op = job->zeroes ? BIO_WRITE_ZEROES : BIO_WRITE;
    t->bio.flags = scsi_mode_wce(dst->lu) ? 0 : BIO_F_FUA;
    if (job->zeroes && dst->lu->cfg.thin && dst->lu->cfg.unmap_zeroes)
        t->bio.flags |= BIO_F_MAY_UNMAP;
    t->bio.off = off;
    t->bio.len = piece_len(job);
    t->bio.iov = job->zeroes ? NULL : &job->iov;
    t->bio.iovcnt = job->zeroes ? 0 : 1;
    scsi_want_io(t, piece_written);
}

static void go_to_destination(struct scsi_task *t)
{
    struct scsi_itl *dst = copy_itl(t, copy_job(t)->dst_lun);
    if (!dst)
        copy_fail(t, SENSE_COPY_TARGET_NOT_REACHABLE);
    else
        scsi_want_section(t, dst, piece_write);
}

static void piece_read_done(struct scsi_task *t, int err)
{
    const struct copy_job *job = copy_job(t);
    if (err) {
        copy_fail(t, SENSE_THIRD_PARTY_DEVICE_FAILURE);
        return;
    }
    /* Whoever wrote there in the meantime said so before it began to. */
    if (job->token_id) {
        const struct rod_token *token = rod_token_find(t->in_section->itl->lu, job->token_id);
        if (!token || atomic_load(&token->invalid)) {
            copy_fail(t, SENSE_TOKEN_REVOKED);
            return;
        }
    }
    if (job->src_lun == job->dst_lun)
        piece_write(t, 0); /* it is in the right section already */
    else
        go_to_destination(t);
}

static void piece_read(struct scsi_task *t, int err)
{
    struct copy_job *job = copy_job(t);
    if (err) {
        copy_fail(t, SENSE_COPY_TARGET_NOT_REACHABLE);
        return;
    }
    const struct scsi_itl *src = t->in_section->itl;
    uint64_t off = job->src_off + piece_at(job);
    uint32_t kaq = refusal(src, false);
    if (kaq || !fits(src->lu, job->src_off, job->len)) {
        copy_fail(t, kaq ? kaq : SENSE_COPY_ABORTED);
        return;
    }
    job->iov = (struct iovec){ .iov_base = t->buf + COPY_JOB_BYTES, .iov_len = piece_len(job) };
    t->io_lu = src->lu;
    t->bio.op = BIO_READ;
    t->bio.flags = 0;
    t->bio.off = off;
    t->bio.len = job->iov.iov_len;
    t->bio.iov = &job->iov;
    t->bio.iovcnt = 1;
    scsi_want_io(t, piece_read_done);
}

static void next_piece(struct scsi_task *t)
{
    struct copy_job *job = copy_job(t);
    if (job->done == job->len) {
        job->next(t, 0);
        return;
    }
    if (job->zeroes) {
        go_to_destination(t);
        return;
    }
    struct scsi_itl *src = copy_itl(t, job->src_lun);
    if (!src)
        copy_fail(t, SENSE_COPY_TARGET_NOT_REACHABLE);
    else
        scsi_want_section(t, src, piece_read);
}

void copy_move(struct scsi_task *t)
{
    struct copy_job *job = copy_job(t);
    job->done = 0;
    job->backward = !job->zeroes && job->src_lun == job->dst_lun && job->dst_off > job->src_off &&
                    job->dst_off - job->src_off < job->len;
    next_piece(t);
}
