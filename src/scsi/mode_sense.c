/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MODE SENSE(6) and (10), SPC-6 6.14 and 6.15. */
#include "scsi/mode.h"
#include "scsi/spc.h"

enum { OPCODE_MODE_SENSE_6 = 0x1a };

struct request {
    bool ten, dbd, llbaa;
    enum scsi_mode_pc pc;
    uint8_t code, subpage;
    uint16_t alloc_len;
};

static struct request parse(const uint8_t *cdb)
{
    struct request q = {
        .ten = cdb[0] != OPCODE_MODE_SENSE_6,
        .dbd = cdb[1] & 0x08,
        .pc = (enum scsi_mode_pc)(cdb[2] >> 6),
        .code = cdb[2] & 0x3f,
        .subpage = cdb[3],
    };
    q.llbaa = q.ten && (cdb[1] & 0x10);
    q.alloc_len = q.ten ? be16_get(cdb + 7) : cdb[4];
    return q;
}

uint8_t scsi_mode_device_specific(const struct scsi_itl *itl)
{
    const struct scsi_lu *lu = itl->lu;
    bool wp = lu->cfg.read_only || itl->read_only || scsi_mode_swp(lu);
    return (uint8_t)((wp ? 0x80 : 0) | 0x10); /* WP; DPOFUA: SBC-4 6.5.1 */
}

static void put_block_descriptor(const struct scsi_lu *lu, bool long_lba, struct wr *w)
{
    uint64_t count = lu->cfg.block_count;
    if (long_lba) { /* SBC-4 6.5.2.3 */
        wr_be64(w, count);
        wr_be32(w, 0);
        wr_be32(w, lu->cfg.block_bytes);
    } else { /* SBC-4 6.5.2.2 */
        wr_be32(w, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
        wr_be32(w, lu->cfg.block_bytes);
    }
}

static bool wanted(const struct request *q, const struct scsi_mode_page *p)
{
    if (q->code != MODE_PAGE_ALL && q->code != p->code)
        return false;
    return q->subpage == MODE_SUBPAGE_ALL || q->subpage == p->subpage;
}

static void put_pages(const struct scsi_lu *lu, const struct request *q, struct wr *w)
{
    for (const struct scsi_mode_page *p = scsi_mode_pages; p->len; p++) {
        uint8_t page[MODE_PAGE_MAX];
        if (!wanted(q, p) || !scsi_mode_page_exists(lu, p))
            continue;
        scsi_mode_page_get(lu, p, q->pc, page);
        if (scsi_mode_page_savable(lu, p))
            page[0] |= 0x80; /* PS */
        wr_bytes(w, page, p->len);
    }
}

static void build(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_lu *lu = scsi_task_lu(t);
    struct request q = parse(t->cdb);
    struct wr w = scsi_reply_begin(t);
    uint8_t descriptor_len = q.dbd ? 0 : q.llbaa ? 16 : 8;

    if (q.ten) { /* SPC-6 7.5.5 */
        wr_be16(&w, 0);
        wr_u8(&w, 0);
        wr_u8(&w, scsi_mode_device_specific(t->itl));
        wr_u8(&w, descriptor_len == 16 ? 0x01 : 0); /* LONGLBA */
        wr_u8(&w, 0);
        wr_be16(&w, descriptor_len);
    } else { /* SPC-6 7.5.4 */
        wr_be16(&w, 0);
        wr_u8(&w, scsi_mode_device_specific(t->itl));
        wr_u8(&w, descriptor_len);
    }
    if (descriptor_len)
        put_block_descriptor(lu, descriptor_len == 16, &w);
    put_pages(lu, &q, &w);

    if (q.ten) {
        wr_patch_be16(&w, 0, (uint16_t)(w.len - 2));
    } else {
        uint8_t len = (uint8_t)(w.len - 1);
        wr_patch(&w, 0, &len, 1);
    }
    scsi_reply(t, &w, q.alloc_len);
}

void scsi_mode_sense(struct scsi_task *t)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    struct request q = parse(t->cdb);
    bool known_code = q.code == MODE_PAGE_ALL, known = false;
    for (const struct scsi_mode_page *p = scsi_mode_pages; p->len; p++) {
        if (!scsi_mode_page_exists(lu, p))
            continue;
        known_code |= p->code == q.code;
        known |= wanted(&q, p);
    }
    /* Of 3Fh only the subpages 00h and FFh are defined (SPC-6 table of page and subpage codes). */
    bool bad_all = q.code == MODE_PAGE_ALL && q.subpage != 0 && q.subpage != MODE_SUBPAGE_ALL;
    if (q.pc == MODE_SAVED && !lu->cfg.keeps_state) { /* SPC-6 6.14.6 */
        scsi_check(t, SENSE_SAVING_NOT_SUPPORTED);
    } else if (!known_code) {
        scsi_check_cdb(t, 2, 5);
    } else if (!known || bad_all) {
        scsi_check_cdb(t, 3, 7);
    } else {
        scsi_want_reply_buf(t, q.alloc_len, build);
    }
}
