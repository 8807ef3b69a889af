/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EXTENDED COPY(LID1) and (LID4) (SPC-6 6.6, 6.5): identification descriptor CSCDs and block to
 * block segments, in the foreground. The whole list is checked before anything is moved; reserved
 * fields are not looked at.
 */
#include "scsi/copy.h"

#include <string.h>

enum {
    LID1_HEADER_BYTES = 16,
    LID4_HEADER_BYTES = 48,
    LID4_FORMAT = 0x01, /* PARAMETER LIST FORMAT */
    LID4_HEADER_CSCD_BYTES = 0x20,
    LID4_HEADER_CSCD_TYPE = 0xff,

    USAGE_HOLD = 0, /* LIST ID USAGE, SPC-6 table in 6.6.3.2 */
    USAGE_RESERVED = 1,
    USAGE_DISCARD = 2,
    USAGE_NONE = 3,

    SEGMENT_HEADER_BYTES = 4,
    SEGMENT_DC = 1u << 1, /* BLOCK DEVICE NUMBER OF BLOCKS is in blocks of the destination */
    CSCD_NUL = 1u << 5,
};

/* The header of either parameter list. */
struct xcopy_list {
    uint32_t list_id;
    uint8_t usage;
    uint32_t cscd_bytes, segment_bytes, inline_bytes;
    uint32_t header_bytes;
};

/* ---- the descriptors ---- */

static void read_cscd(const struct scsi_task *t, unsigned index, uint8_t ret_d[COPY_CSCD_BYTES])
{
    size_t at = copy_job(t)->cscd_at + (size_t)index * COPY_CSCD_BYTES;
    (void)scsi_out_copy(t, at, ret_d, COPY_CSCD_BYTES);
}

/* CSCD descriptors are all of 32 bytes. False: the task was ended. */
static bool check_cscds(struct scsi_task *t)
{
    const struct copy_job *job = copy_job(t);
    for (unsigned i = 0; i < job->cscd_count; i++) {
        uint8_t d[COPY_CSCD_BYTES] = { 0 };
        read_cscd(t, i, d);
        if (d[0] != COPY_TYPE_IDENT) {
            scsi_check(t, SENSE_UNSUPPORTED_TARGET_DESCRIPTOR);
            return false;
        }
        /* LU ID TYPE (byte 1) is for formats that name a unit by its LUN; here it is the
         * designator that counts. */
    }
    return true;
}

/* False: the task was ended. */
static bool check_segments(struct scsi_task *t, uint32_t bytes)
{
    struct copy_job *job = copy_job(t);
    for (uint32_t at = 0; at < bytes; at += COPY_SEGMENT_BYTES) {
        uint8_t h[SEGMENT_HEADER_BYTES] = { 0 };
        (void)scsi_out_copy(t, job->segment_at + at, h, sizeof(h));
        if (job->segment_count == COPY_SEGMENT_MAX) {
            scsi_check(t, SENSE_TOO_MANY_SEGMENT_DESCRIPTORS);
            return false;
        }
        if (h[0] != COPY_TYPE_BLOCK) {
            scsi_check(t, SENSE_UNSUPPORTED_SEGMENT_DESCRIPTOR);
            return false;
        }
        if (be16_get(h + 2) != COPY_SEGMENT_BYTES - SEGMENT_HEADER_BYTES) {
            scsi_check_param(t, job->segment_at + at + 2, 7);
            return false;
        }
        if (bytes - at < COPY_SEGMENT_BYTES) {
            scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
            return false;
        }
        job->segment_count++;
    }
    return true;
}

/* ---- segments ---- */

/* The unit a CSCD descriptor ID stands for. 0 and *ret_itl, or the sense. */
static uint32_t resolve(const struct scsi_task *t, uint16_t id, struct scsi_itl **ret_itl)
{
    uint8_t d[COPY_CSCD_BYTES] = { 0 };
    if (id == COPY_CSCD_SELF) {
        *ret_itl = t->itl;
        return 0;
    }
    if (id >= copy_job(t)->cscd_count)
        return SENSE_COPY_TARGET_NOT_REACHABLE;
    read_cscd(t, id, d);
    if (d[1] & CSCD_NUL) /* a null device stands for no unit */
        return SENSE_COPY_TARGET_NOT_REACHABLE;
    struct scsi_itl *itl = copy_find_ident(t, d);
    if (!itl)
        return SENSE_COPY_TARGET_NOT_REACHABLE;
    uint32_t block_bytes = be24_get(d + 29); /* device type specific: DISK BLOCK LENGTH */
    if ((d[1] & 0x1f) != 0 || (block_bytes && block_bytes != itl->lu->cfg.block_bytes))
        return SENSE_COPY_TARGET_WRONG_TYPE;
    *ret_itl = itl;
    return 0;
}

/* Fill in the job for one segment; 0 or the sense (SPC-6 6.6.6.2). What the units' state has to say
 * is found out when data is moved. */
static uint32_t prepare(const struct scsi_task *t, const uint8_t *s)
{
    struct copy_job *job = copy_job(t);
    struct scsi_itl *src, *dst;
    uint32_t kaq = resolve(t, be16_get(s + 4), &src);
    if (!kaq)
        kaq = resolve(t, be16_get(s + 6), &dst);
    if (kaq)
        return kaq;
    const struct scsi_lu_config *from = &src->lu->cfg, *to = &dst->lu->cfg;
    uint64_t len =
        (uint64_t)be16_get(s + 10) * (s[1] & SEGMENT_DC ? to->block_bytes : from->block_bytes);
    /* PAD and CAT decide about what is left over between blocks of two sizes; without them, and
     * here, there must not be any (SPC-6 5.18.7.2). */
    if (len % from->block_bytes != 0 || len % to->block_bytes != 0)
        return SENSE_UNEXPECTED_INEXACT_SEGMENT;
    uint64_t src_lba = be64_get(s + 12), dst_lba = be64_get(s + 20);
    /* No disk is as large as that; those that are smaller are looked at in their sections. */
    if (src_lba > (UINT64_MAX - len) / from->block_bytes ||
        dst_lba > (UINT64_MAX - len) / to->block_bytes)
        return SENSE_COPY_ABORTED;
    job->src_lun = src->lun;
    job->dst_lun = dst->lun;
    job->src_off = src_lba * from->block_bytes;
    job->dst_off = dst_lba * to->block_bytes;
    job->len = len;
    return 0;
}

static void next_segment(struct scsi_task *t, int err);

static void segment_done(struct scsi_task *t, int err)
{
    struct copy_job *job = copy_job(t);
    struct copy_result *r = copy_result_of(t->itl, job->serial);
    job->segment++;
    if (r)
        r->segments = (uint16_t)job->segment;
    next_segment(t, err);
}

static void next_segment(struct scsi_task *t, int err)
{
    (void)err;
    struct copy_job *job = copy_job(t);
    if (job->segment == job->segment_count) {
        copy_result_end(t, job->serial, COPY_DONE, NULL);
        return;
    }
    uint8_t s[COPY_SEGMENT_BYTES] = { 0 };
    size_t at = job->segment_at + (size_t)job->segment * COPY_SEGMENT_BYTES;
    (void)scsi_out_copy(t, at, s, sizeof(s));
    job->len = job->done = 0;
    uint32_t kaq = prepare(t, s);
    if (kaq) {
        copy_fail(t, kaq);
        return;
    }
    job->next = segment_done;
    copy_move(t);
}

/* ---- the list ---- */

static bool is_lid4(const struct scsi_task *t)
{
    return (t->cdb[1] & 0x1f) == COPY_OUT_LID4;
}

static bool parse_lid1(const struct scsi_task *t, struct xcopy_list *ret_list)
{
    uint8_t h[LID1_HEADER_BYTES] = { 0 };
    if (scsi_out_copy(t, 0, h, sizeof(h)) != sizeof(h))
        return false;
    *ret_list = (struct xcopy_list){ .list_id = h[0],
                                     .usage = h[1] >> 3 & 3,
                                     .cscd_bytes = be16_get(h + 2),
                                     .segment_bytes = be32_get(h + 8),
                                     .inline_bytes = be32_get(h + 12),
                                     .header_bytes = sizeof(h) };
    return true;
}

/* False: the task was ended. */
static bool parse_lid4(struct scsi_task *t, struct xcopy_list *ret_list)
{
    uint8_t h[LID4_HEADER_BYTES] = { 0 };
    (void)scsi_out_copy(t, 0, h, sizeof(h));
    if (h[0] != LID4_FORMAT) {
        scsi_check_param(t, 0, 7);
        return false;
    }
    if (be16_get(h + 2) != LID4_HEADER_CSCD_BYTES || h[16] != LID4_HEADER_CSCD_TYPE) {
        scsi_check_param(t, be16_get(h + 2) != LID4_HEADER_CSCD_BYTES ? 2 : 16, 7);
        return false;
    }
    *ret_list = (struct xcopy_list){ .list_id = be32_get(h + 20),
                                     .usage = h[1] >> 3 & 3,
                                     .cscd_bytes = be16_get(h + 42),
                                     .segment_bytes = be16_get(h + 44),
                                     .inline_bytes = be16_get(h + 46),
                                     .header_bytes = sizeof(h) };
    return true;
}

/* Lengths against limits and against what was sent. False: the task was ended. */
static bool check_lengths(struct scsi_task *t, const struct xcopy_list *l)
{
    uint64_t all = (uint64_t)l->header_bytes + l->cscd_bytes + l->segment_bytes + l->inline_bytes;
    if ((uint64_t)l->cscd_bytes + l->segment_bytes > COPY_DESCRIPTORS_MAX) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    if (l->inline_bytes != 0) {
        scsi_check(t, SENSE_INLINE_DATA_LENGTH_EXCEEDED);
        return false;
    }
    if (all > be32_get(t->cdb + 10) || l->cscd_bytes % COPY_CSCD_BYTES != 0) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    if (l->cscd_bytes / COPY_CSCD_BYTES > COPY_CSCD_MAX) {
        scsi_check(t, SENSE_TOO_MANY_TARGET_DESCRIPTORS);
        return false;
    }
    return true;
}

static bool check_usage(struct scsi_task *t, const struct xcopy_list *l)
{
    if (l->usage == USAGE_RESERVED) {
        scsi_check_param(t, 1, 4);
        return false;
    }
    if (l->usage == USAGE_NONE && l->list_id != 0) { /* SPC-6 6.6.3.2 */
        scsi_check_param(t, is_lid4(t) ? 20 : 0, 7);
        return false;
    }
    return true;
}

static void list_received(struct scsi_task *t, int err)
{
    (void)err;
    struct copy_job *job = copy_job(t);
    struct xcopy_list l;
    memset(job, 0, sizeof(*job));
    if (is_lid4(t)) {
        if (!parse_lid4(t, &l))
            return;
    } else if (!parse_lid1(t, &l)) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    if (!check_usage(t, &l) || !check_lengths(t, &l))
        return;
    job->cscd_at = l.header_bytes;
    job->cscd_count = l.cscd_bytes / COPY_CSCD_BYTES;
    job->segment_at = l.header_bytes + l.cscd_bytes;
    if (!check_cscds(t) || !check_segments(t, l.segment_bytes))
        return;
    if (l.usage != USAGE_NONE) {
        uint64_t serial = 0;
        uint32_t kaq = copy_result_begin(t, t->cdb[1] & 0x1f, l.list_id, &serial);
        if (kaq) {
            scsi_check(t, kaq);
            return;
        }
        job->serial = serial;
        copy_result_of(t->itl, serial)->drop = l.usage == USAGE_DISCARD;
    }
    next_segment(t, 0);
}

static void list_wanted(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_data(t, be32_get(t->cdb + 10), list_received);
}

void copy_extended_copy(struct scsi_task *t)
{
    uint32_t len = be32_get(t->cdb + 10);
    uint32_t header = is_lid4(t) ? LID4_HEADER_BYTES : LID1_HEADER_BYTES;
    if (len == 0) { /* SPC-6 6.6.1: nothing to do, no error */
        scsi_good(t);
        return;
    }
    if (len < header || len > SCSI_PARAM_MAX) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_buf(t, COPY_BUF_BYTES, list_wanted);
}
