/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ROD tokens (SPC-6 5.18.6, SBC-4 4.28.4): made by POPULATE TOKEN, of the type "point in time copy
 * - change vulnerable". A token represents ranges of its unit as long as nothing is written there;
 * the first such write makes it invalid, so a token never yields other data than those of the
 * moment it was made.
 * A token is no secret: it is of use only to a nexus that may read the unit anyway.
 */
#include "scsi/copy.h"

enum {
    PARAM_HEADER_BYTES = 16, /* POPULATE TOKEN parameter list, SBC-4 5.10 */
    RANGE_BYTES = 16,        /* block device range descriptor */
    PARAM_RTV = 1u << 1,     /* ROD TYPE valid */
    TOKEN_MANAGEMENT_BYTES = 96,
};

/* ---- POPULATE TOKEN (SBC-4 5.10) ---- */

/* The token's 512 bytes (SPC-6 table "ROD token format"). */
static void write_token(const struct scsi_lu *lu, const struct rod_token *k,
                        uint8_t ret_token[static ROD_TOKEN_BYTES])
{
    const struct scsi_lu_config *cfg = &lu->cfg;
    struct wr w = wr_init(ret_token, ROD_TOKEN_BYTES);
    wr_be32(&w, ROD_TYPE_PIT_VULNERABLE);
    wr_zero(&w, 2);
    wr_be16(&w, ROD_TOKEN_BYTES - 8);
    wr_be64(&w, k->id);
    copy_write_ident(lu, &w); /* CREATOR LOGICAL UNIT DESCRIPTOR */
    wr_be64(&w, 0);           /* NUMBER OF BYTES REPRESENTED has 16 bytes */
    wr_be64(&w, k->bytes);
    wr_zero(&w, 96 - w.len);
    /* Device type specific data: as READ CAPACITY(16) from its block length on (SBC-4 4.28.4.4) */
    wr_be32(&w, cfg->block_bytes);
    wr_u8(&w, 0);
    wr_u8(&w, cfg->phys_exponent & 0x0f);
    wr_be16(&w, (uint16_t)((cfg->thin ? 0x8000 : 0) | (cfg->unmap_zeroes ? 0x4000 : 0)));
    wr_zero(&w, ROD_TOKEN_BYTES - w.len);
}

bool rod_ranges_read(struct scsi_task *t, size_t at, unsigned count, struct copy_range *ret_range,
                     uint64_t *ret_bytes)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t d[RANGE_BYTES] = { 0 };
        size_t pos = at + (size_t)i * RANGE_BYTES;
        (void)scsi_out_copy(t, pos, d, sizeof(d));
        uint64_t lba = be64_get(d), blocks = be32_get(d + 8), count_all = lu->cfg.block_count;
        if (lba > count_all || blocks > count_all - lba) {
            scsi_check_info(t, SENSE_LBA_OUT_OF_RANGE, lba > count_all ? lba : count_all);
            return false;
        }
        struct copy_range r = { lba * lu->cfg.block_bytes, blocks * lu->cfg.block_bytes };
        for (unsigned j = 0; j < i; j++) { /* SBC-4 5.10: no block twice */
            if (r.off < ret_range[j].off + ret_range[j].len && ret_range[j].off < r.off + r.len) {
                scsi_check_param(t, (unsigned)pos, 7);
                return false;
            }
        }
        ret_range[i] = r;
        total += r.len;
        if (total > ROD_TRANSFER_BYTES_MAX) {
            scsi_check_param(t, (unsigned)pos + 8, 7);
            return false;
        }
    }
    *ret_bytes = total;
    return true;
}

static void populate(struct scsi_task *t, const struct copy_range *range, unsigned count,
                     uint64_t bytes)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    uint64_t serial = 0;
    uint32_t kaq = copy_result_begin(t, COPY_OUT_POPULATE_TOKEN, be32_get(t->cdb + 6), &serial);
    if (kaq) {
        scsi_check(t, kaq);
        return;
    }
    const struct rod_token *k = rod_token_new(lu, range, count, bytes);
    if (!k) {
        struct scsi_sense_info s = { .kaq = SENSE_INSUFFICIENT_RESOURCES };
        copy_result_end(t, serial, COPY_FAILED, &s);
        return;
    }
    struct copy_result *r = copy_result_of(t->itl, serial);
    write_token(lu, k, r->token);
    r->has_token = true;
    r->bytes = bytes;
    r->operations = 1;
    copy_result_end(t, serial, COPY_DONE, NULL);
}

static bool type_can_be_made(uint32_t type)
{
    return type == ROD_TYPE_PIT_DEFAULT || type == ROD_TYPE_PIT_VULNERABLE ||
           type == ROD_TYPE_PIT_ANY;
}

static void populate_data(struct scsi_task *t, int err)
{
    (void)err;
    uint8_t h[PARAM_HEADER_BYTES] = { 0 };
    (void)scsi_out_copy(t, 0, h, sizeof(h));
    unsigned count;
    if (be32_get(h + 4) > ROD_TIMEOUT_MAX) {
        scsi_check_param(t, 4, 7);
        return;
    }
    if ((h[2] & PARAM_RTV) && !type_can_be_made(be32_get(h + 8))) {
        scsi_check_param(t, 8, 7);
        return;
    }
    if (!rod_range_count(t, be16_get(h), be16_get(h + 14), sizeof(h), &count))
        return;
    struct copy_range range[ROD_RANGES_MAX];
    uint64_t bytes = 0;
    if (!rod_ranges_read(t, sizeof(h), count, range, &bytes))
        return;
    if (bytes == 0) { /* a token of nothing */
        scsi_check_param(t, sizeof(h) + 8, 7);
        return;
    }
    populate(t, range, count, bytes);
}

/* IMMED asks not to wait for the end of a copy; there is none here. */
void rod_populate_token(struct scsi_task *t)
{
    uint32_t len = be32_get(t->cdb + 10);
    if (len == 0) {
        scsi_good(t);
        return;
    }
    if (len < PARAM_HEADER_BYTES || len > SCSI_PARAM_MAX) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_data(t, len, populate_data);
}

bool rod_range_count(struct scsi_task *t, uint32_t data_len, uint32_t ranges_len, size_t at,
                     unsigned *ret_count)
{
    uint32_t len = be32_get(t->cdb + 10);
    if (data_len + 2 < at + RANGE_BYTES || data_len + 2 > len) {
        scsi_check_param(t, 0, 7);
        return false;
    }
    if (ranges_len < RANGE_BYTES || at + ranges_len > data_len + 2) {
        scsi_check_param(t, (unsigned)at - 2, 7);
        return false;
    }
    if (ranges_len / RANGE_BYTES > ROD_RANGES_MAX) {
        scsi_check(t, SENSE_TOO_MANY_SEGMENT_DESCRIPTORS);
        return false;
    }
    *ret_count = ranges_len / RANGE_BYTES;
    return true;
}

/* ---- REPORT ALL ROD TOKENS (SPC-6 6.31): those of this unit ---- */

static void all_tokens_reply(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_lu *lu = scsi_task_lu(t);
    struct wr w = scsi_reply_begin(t);
    wr_be32(&w, 0);
    wr_be32(&w, 0);
    for (unsigned i = 0; lu->tokens && i < ROD_TOKENS_MAX; i++) {
        const struct rod_token *k = lu->tokens->held[i];
        uint8_t token[ROD_TOKEN_BYTES];
        if (!k || atomic_load(&k->invalid))
            continue;
        write_token(lu, k, token);
        wr_bytes(&w, token, TOKEN_MANAGEMENT_BYTES);
    }
    wr_patch_be32(&w, 0, (uint32_t)(w.len - 4));
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void rod_report_all_tokens(struct scsi_task *t)
{
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), all_tokens_reply);
}
