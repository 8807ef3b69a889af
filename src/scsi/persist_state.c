/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The durable form of persistent reservations (APTPL, SPC-6 5.14.2), all big-endian:
 *
 *   tag "PRS1"  4    body length  4
 *   body: aptpl 1  type 1  registrations 2
 *         each: key 8  relative port 2  holder 1  TransportID length 2  TransportID
 *   CRC32C of all before  4
 *
 * Without APTPL, or without registrations, the body says so and nothing is restored. PRGENERATION
 * starts at 0 after a power on whatever was saved (SPC-6 6.16.2).
 */
#include "base/crc32c.h"
#include "scsi/persist.h"

enum {
    TAG = 0x50525331,
    BODY_BYTES = 4,
    REG_BYTES = 13,
    BODY_MAX = BODY_BYTES + SCSI_PR_REGISTRANTS_MAX * (REG_BYTES + SCSI_TRANSPORT_ID_MAX),
};

void scsi_pr_save(const struct scsi_lu *lu, struct wr *w)
{
    const struct scsi_pr *pr = scsi_pr_pending(lu);
    size_t start = w->len;
    bool keep = pr && pr->aptpl && pr->count > 0;
    wr_be32(w, TAG);
    wr_be32(w, 0);
    wr_u8(w, keep);
    wr_u8(w, keep ? pr->type : SCSI_PR_NONE);
    wr_be16(w, keep ? (uint16_t)pr->count : 0);
    for (unsigned i = 0; keep && i < pr->count; i++) {
        const struct scsi_pr_reg *reg = &pr->regs[i];
        wr_be64(w, reg->key);
        wr_be16(w, reg->rel_port);
        wr_u8(w, reg->holder);
        wr_be16(w, reg->tid_len);
        wr_bytes(w, reg->tid, reg->tid_len);
    }
    wr_patch_be32(w, start + 4, (uint32_t)(w->len - start - 8));
    /* A buffer that is too small is only asked for its length. */
    wr_be32(w, wr_truncated(w) ? 0 : crc32c(w->buf + start, w->len - start));
}

/* One registration into pr; false if it can not have been saved by us. */
static bool load_reg(struct scsi_pr *pr, struct rd *r)
{
    uint64_t key = rd_be64(r);
    uint16_t rel_port = rd_be16(r);
    uint8_t holder = rd_u8(r);
    uint16_t tid_len = rd_be16(r);
    if (key == 0 || holder > 1 || tid_len == 0 || tid_len > SCSI_TRANSPORT_ID_MAX)
        return false;
    const uint8_t *tid = rd_bytes(r, tid_len);
    if (!tid || scsi_pr_find(pr, tid, tid_len, rel_port))
        return false;
    scsi_pr_add(pr, tid, tid_len, rel_port, key)->holder = holder;
    return true;
}

static bool load_body(struct scsi_pr *pr, struct rd *r)
{
    unsigned holders = 0;
    for (unsigned i = 0; i < pr->cap; i++) {
        if (!load_reg(pr, r))
            return false;
        holders += pr->regs[i].holder;
    }
    bool one = pr->type != SCSI_PR_NONE && !scsi_pr_type_all(pr->type);
    return holders == one && rd_left(r) == 0;
}

int scsi_pr_load(struct scsi_lu *lu, struct rd *r)
{
    const uint8_t *start = r->p;
    uint32_t tag = rd_be32(r), len = rd_be32(r);
    if (tag != TAG || len < BODY_BYTES || len > BODY_MAX)
        return USAN_ECORRUPT;
    const uint8_t *body = rd_bytes(r, len);
    uint32_t crc = rd_be32(r);
    if (!body || r->bad || crc != crc32c(start, 8 + len))
        return USAN_ECORRUPT;

    struct rd b = rd_init(body, len);
    uint8_t keep = rd_u8(&b), type = rd_u8(&b);
    uint16_t count = rd_be16(&b);
    if (keep > 1 || (keep && count == 0) || (!keep && (count || type)) ||
        count > SCSI_PR_REGISTRANTS_MAX || (type != SCSI_PR_NONE && !scsi_pr_type_valid(type)))
        return USAN_ECORRUPT;
    struct scsi_pr *pr = NULL;
    if (keep) {
        pr = alloc_get(lu->a, sizeof(*pr) + count * sizeof(pr->regs[0]));
        if (!pr)
            return USAN_ENOMEM;
        *pr = (struct scsi_pr){ .type = type, .aptpl = true, .cap = count };
        if (!load_body(pr, &b)) {
            alloc_put(lu->a, pr);
            return USAN_ECORRUPT;
        }
    } else if (rd_left(&b) != 0) {
        return USAN_ECORRUPT;
    }
    scsi_pr_free(lu);
    lu->pr = pr;
    return 0;
}
