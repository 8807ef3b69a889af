/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WRITE USING TOKEN (SBC-4 5.52): from a ROD token of a unit on this nexus, or from the block
 * device zero ROD token, to ranges of the addressed unit. */
#include "scsi/copy.h"

#include <string.h>

enum {
    PARAM_DEL_TKN = 1u << 1,
    PARAM_OFFSET = 8, /* OFFSET INTO ROD, in blocks of the addressed unit */
    PARAM_TOKEN = 16,
    PARAM_RANGES_LEN = 534,
    PARAM_RANGES = 536,
    RANGE_BYTES = 16,

    TOKEN_LENGTH = 0x01f8, /* ROD TOKEN LENGTH of every token there is here */
};

static struct copy_range destination(const struct scsi_task *t, unsigned i)
{
    uint8_t d[RANGE_BYTES] = { 0 };
    uint64_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    (void)scsi_out_copy(t, PARAM_RANGES + (size_t)i * RANGE_BYTES, d, sizeof(d));
    return (struct copy_range){ be64_get(d) * block_bytes, be32_get(d + 8) * block_bytes };
}

/* Where byte job->rod_pos of the ROD is: *ret_off, and how many bytes follow it there. */
static uint64_t source_at(const struct copy_job *job, uint64_t *ret_off)
{
    uint64_t pos = job->rod_pos;
    for (unsigned i = 0; i < job->src_range_count; i++) {
        const struct copy_range *r = &job->src_range[i];
        if (pos < r->len) {
            *ret_off = r->off + pos;
            return r->len - pos;
        }
        pos -= r->len;
    }
    return 0;
}

/* ---- the end ---- */

static void delete_token(struct scsi_task *t, int err)
{
    const struct copy_job *job = copy_job(t);
    /* With an error the unit is gone for this nexus, and this is not its section. */
    struct rod_token *k = err ? NULL : rod_token_find(t->in_section->itl->lu, job->token_id);
    if (k)
        atomic_store(&k->invalid, true);
    copy_result_end(t, job->serial, COPY_DONE, NULL);
}

static void all_written(struct scsi_task *t, enum copy_state state)
{
    const struct copy_job *job = copy_job(t);
    uint8_t flags = 0;
    (void)scsi_out_copy(t, 2, &flags, 1);
    struct scsi_itl *src = copy_itl(t, job->src_lun);
    if ((flags & PARAM_DEL_TKN) && job->token_id && src && state == COPY_DONE)
        scsi_want_section(t, src, delete_token);
    else
        copy_result_end(t, job->serial, state, NULL);
}

/* ---- one stretch after the other: contiguous in the source and in the destination ---- */

static void next_stretch(struct scsi_task *t);

static void stretch_done(struct scsi_task *t, int err)
{
    (void)err;
    struct copy_job *job = copy_job(t);
    job->range_done += job->len;
    job->rod_pos += job->len;
    next_stretch(t);
}

static void next_stretch(struct scsi_task *t)
{
    struct copy_job *job = copy_job(t);
    struct copy_range dst = { 0, 0 };
    for (; job->range < job->range_count; job->range++, job->range_done = 0) {
        dst = destination(t, job->range);
        if (job->range_done < dst.len)
            break;
    }
    if (job->range == job->range_count) {
        all_written(t, COPY_DONE);
        return;
    }
    if (job->rod_pos >= job->rod_bytes) { /* SBC-4 5.52: written as far as the ROD went */
        all_written(t, COPY_RESIDUAL);
        return;
    }
    uint64_t len = dst.len - job->range_done;
    if (!job->zeroes) {
        uint64_t have = source_at(job, &job->src_off);
        len = have < len ? have : len;
    }
    job->len = len;
    job->done = 0;
    if (len % scsi_task_lu(t)->cfg.block_bytes != 0) { /* a ROD of smaller blocks */
        copy_fail(t, SENSE_UNEXPECTED_INEXACT_SEGMENT);
        return;
    }
    job->dst_lun = t->itl->lun;
    job->dst_off = dst.off + job->range_done;
    job->next = stretch_done;
    copy_move(t);
}

/* ---- the token ---- */

static void fail(struct scsi_task *t, const struct scsi_sense_info *s)
{
    copy_result_end(t, copy_job(t)->serial, COPY_FAILED, s);
}

static void fail_token(struct scsi_task *t, uint32_t kaq)
{
    struct scsi_sense_info s = { .kaq = kaq };
    fail(t, &s);
}

/* In the section of the token's unit. */
static void load_token(struct scsi_task *t, int err)
{
    struct copy_job *job = copy_job(t);
    if (err) { /* the unit went while this waited for it */
        fail_token(t, SENSE_COPY_TARGET_NOT_REACHABLE);
        return;
    }
    const struct scsi_lu *src = t->in_section->itl->lu;
    const struct rod_token *k = rod_token_find(src, job->token_id);
    if (!k || atomic_load(&k->invalid)) {
        fail_token(t, k ? SENSE_TOKEN_REVOKED : SENSE_INVALID_TOKEN);
        return;
    }
    job->src_range_count = k->range_count;
    memcpy(job->src_range, k->range, k->range_count * sizeof(k->range[0]));
    job->rod_bytes = k->bytes;
    if (job->rod_pos >= job->rod_bytes || job->rod_pos % src->cfg.block_bytes != 0) {
        struct scsi_sense_info s = { .kaq = SENSE_INVALID_FIELD_IN_PARAMETER_LIST,
                                     .has_field = true,
                                     .field_byte = PARAM_OFFSET,
                                     .field_bit = 7 };
        fail(t, &s);
        return;
    }
    next_stretch(t);
}

static void use_token(struct scsi_task *t)
{
    struct copy_job *job = copy_job(t);
    uint8_t token[ROD_TOKEN_BYTES] = { 0 };
    (void)scsi_out_copy(t, PARAM_TOKEN, token, sizeof(token));
    uint32_t type = be32_get(token);
    if (type != ROD_TYPE_ZERO && type != ROD_TYPE_PIT_VULNERABLE) {
        fail_token(t, SENSE_UNSUPPORTED_TOKEN_TYPE);
        return;
    }
    if (be16_get(token + 6) != TOKEN_LENGTH) {
        fail_token(t, SENSE_TOKEN_CORRUPT);
        return;
    }
    if (type == ROD_TYPE_ZERO) { /* SBC-4 4.28.5: as many zeroes as are wanted */
        job->zeroes = true;
        job->rod_bytes = UINT64_MAX;
        job->rod_pos = 0;
        next_stretch(t);
        return;
    }
    struct scsi_itl *src = copy_find_ident(t, token + 16);
    job->token_id = be64_get(token + 8);
    if (!src || job->token_id == 0) {
        fail_token(t, SENSE_INVALID_TOKEN);
        return;
    }
    job->src_lun = src->lun;
    scsi_want_section(t, src, load_token);
}

/* ---- the parameter list ---- */

static void list_received(struct scsi_task *t, int err)
{
    (void)err;
    struct copy_job *job = copy_job(t);
    const struct scsi_lu *lu = scsi_task_lu(t);
    uint8_t h[PARAM_TOKEN] = { 0 }, ranges_len[2] = { 0 };
    memset(job, 0, sizeof(*job));
    (void)scsi_out_copy(t, 0, h, sizeof(h));
    (void)scsi_out_copy(t, PARAM_RANGES_LEN, ranges_len, sizeof(ranges_len));
    unsigned count;
    if (!rod_range_count(t, be16_get(h), be16_get(ranges_len), PARAM_RANGES, &count))
        return;
    uint64_t bytes = 0;
    if (!rod_ranges_read(t, PARAM_RANGES, count, job->src_range, &bytes))
        return;
    uint64_t offset = be64_get(h + PARAM_OFFSET);
    if (offset > UINT64_MAX / lu->cfg.block_bytes) {
        scsi_check_param(t, PARAM_OFFSET, 7);
        return;
    }
    uint64_t serial = 0;
    uint32_t kaq = copy_result_begin(t, COPY_OUT_WRITE_USING_TOKEN, be32_get(t->cdb + 6), &serial);
    if (kaq) {
        scsi_check(t, kaq);
        return;
    }
    job->serial = serial;
    job->range_count = count;
    job->rod_pos = offset * lu->cfg.block_bytes;
    use_token(t);
}

static void list_wanted(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_data(t, be32_get(t->cdb + 10), list_received);
}

/* IMMED lets the command end before the copy does; ending later is allowed, and RECEIVE ROD TOKEN
 * INFORMATION answers in either case. */
void rod_write_using_token(struct scsi_task *t)
{
    uint32_t len = be32_get(t->cdb + 10);
    if (len == 0) {
        scsi_good(t);
        return;
    }
    if (len < PARAM_RANGES || len > SCSI_PARAM_MAX) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_buf(t, COPY_BUF_BYTES, list_wanted);
}
