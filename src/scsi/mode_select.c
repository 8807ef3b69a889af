/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MODE SELECT(6) and (10), SPC-6 6.12 and 6.13.
 *
 * The whole list is checked against a copy of the pages before anything takes effect. Then, with
 * the gate held: what was cached is written if the cache is turned off, the pages are saved if that
 * was asked for, and when all that went well they count, and the others are told. If it did not,
 * nothing has changed.
 */
#include "scsi/mode.h"
#include "scsi/spc.h"
#include "scsi/ua.h"

#include <string.h>

enum {
    OPCODE_MODE_SELECT_6 = 0x15,
    /* The longest list that makes sense: header, descriptor and every page, some of them twice.
     * What is longer is refused before memory is taken for it. */
    LIST_MAX = 1024,
};

static uint16_t list_len(const struct scsi_task *t)
{
    return t->cdb[0] == OPCODE_MODE_SELECT_6 ? t->cdb[4] : be16_get(t->cdb + 7);
}

/* A list being read: p[0..len), at `at`. Errors end the task and return false. */
struct list_reader {
    struct scsi_task *t;
    const uint8_t *p;
    unsigned len, at;
};

static bool need(struct list_reader *l, unsigned n)
{
    if (l->len - l->at >= n)
        return true;
    scsi_check(l->t, SENSE_PARAMETER_LIST_LENGTH_ERROR); /* SPC-6 6.12: cut in the middle */
    return false;
}

static bool bad(struct list_reader *l, unsigned byte, int bit)
{
    scsi_check_param(l->t, byte, bit);
    return false;
}

/* The capacity and the block size are what they are (SBC-4 6.5.2: FORMAT UNIT would be needed). */
static bool read_block_descriptor(struct list_reader *l, unsigned len, bool long_lba)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(l->t)->cfg;
    const uint8_t *d = l->p + l->at;
    if (!need(l, len))
        return false;
    uint64_t count = long_lba ? be64_get(d) : be32_get(d);
    uint64_t all = long_lba ? UINT64_MAX : UINT32_MAX;
    uint32_t block_bytes = long_lba ? be32_get(d + 12) : be24_get(d + 5);
    uint64_t current = cfg->block_count < all ? cfg->block_count : all;
    if (count != 0 && count != all && count != current)
        return bad(l, l->at, 7);
    if (block_bytes != cfg->block_bytes)
        return bad(l, l->at + (long_lba ? 12 : 5), 7);
    l->at += len;
    return true;
}

static bool read_header(struct list_reader *l, bool ten)
{
    if (!need(l, ten ? 8 : 4))
        return false;
    unsigned medium_type_at = ten ? 2 : 1;
    /* MODE DATA LENGTH is reserved here, and often what MODE SENSE said; it means nothing. */
    if (l->p[medium_type_at] != 0)
        return bad(l, medium_type_at, 7);
    bool long_lba = ten && (l->p[4] & 0x01);
    unsigned len = ten ? be16_get(l->p + 6) : l->p[3];
    l->at = ten ? 8 : 4;
    if (len == 0)
        return true;
    if (len != (long_lba ? 16u : 8u)) /* one descriptor at most */
        return bad(l, ten ? 6 : 3, 7);
    return read_block_descriptor(l, len, long_lba);
}

/* SPC-6 6.12: a bit that can not be changed has to be sent as it is. */
static bool compare_page(struct list_reader *l, const struct scsi_mode_page *p, const uint8_t *sent,
                         unsigned header)
{
    const struct scsi_lu *lu = scsi_task_lu(l->t);
    uint8_t current[MODE_PAGE_MAX], changeable[MODE_PAGE_MAX];
    scsi_mode_page_get(lu, p, MODE_CURRENT, current);
    scsi_mode_page_get(lu, p, MODE_CHANGEABLE, changeable);
    for (unsigned i = header; i < p->len; i++) {
        unsigned wrong = (unsigned)(sent[i] ^ current[i]) & ~(unsigned)changeable[i];
        if (wrong)
            return bad(l, l->at + i, 31 - __builtin_clz(wrong));
    }
    return true;
}

static bool read_page(struct list_reader *l, struct scsi_modes *to, bool save)
{
    const struct scsi_lu *lu = scsi_task_lu(l->t);
    const uint8_t *sent = l->p + l->at;
    if (!need(l, 2))
        return false;
    bool spf = sent[0] & 0x40;
    unsigned header = spf ? 4 : 2;
    if (!need(l, header))
        return false;
    const struct scsi_mode_page *p = scsi_mode_page_find(lu, sent[0] & 0x3f, spf ? sent[1] : 0);
    if (!p || (spf && p->subpage == 0))
        return bad(l, l->at, 5);
    unsigned len = header + (spf ? be16_get(sent + 2) : sent[1]);
    if (len != p->len)
        return bad(l, l->at + (spf ? 2 : 1), 7);
    if (!need(l, len) || !compare_page(l, p, sent, header))
        return false;
    memcpy(to->current + p->off + header, sent + header, len - header);
    if (save)
        memcpy(to->saved + p->off, to->current + p->off, len);
    l->at += len;
    return true;
}

/* What the list asks for. false: it was answered. Nothing changes while the gate is held: a list
 * that was right is so again. */
static bool read_list(struct scsi_task *t, struct scsi_modes *ret_modes)
{
    uint8_t list[LIST_MAX];
    struct list_reader l = { .t = t, .p = list };
    *ret_modes = *scsi_task_lu(t)->modes;
    l.len = (unsigned)scsi_out_copy(t, 0, list, list_len(t));
    if (!read_header(&l, t->cdb[0] != OPCODE_MODE_SELECT_6))
        return false;
    while (l.at < l.len) {
        if (!read_page(&l, ret_modes, t->cdb[1] & 0x01))
            return false;
    }
    return true;
}

static void apply(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    struct scsi_modes modes;
    if (!read_list(t, &modes))
        return;
    if (memcmp(modes.current, lu->modes->current, sizeof modes.current) != 0) {
        memcpy(lu->modes->current, modes.current, sizeof modes.current);
        scsi_modes_changed(lu);
        scsi_ua_add_all(lu, t->itl, UA_MODE_PARAMETERS_CHANGED);
    }
    scsi_good(t);
}

static void saved(struct scsi_task *t, int err)
{
    struct scsi_modes *modes = scsi_task_lu(t)->modes;
    if (err) {
        memcpy(modes->saved, modes->before, sizeof modes->saved);
        scsi_check(t, SENSE_INTERNAL_TARGET_FAILURE);
    } else {
        apply(t);
    }
}

static void save(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    struct scsi_modes modes;
    if (!read_list(t, &modes))
        return;
    memcpy(lu->modes->before, lu->modes->saved, sizeof modes.saved);
    memcpy(lu->modes->saved, modes.saved, sizeof modes.saved);
    scsi_want_save(t, saved);
}

static void flushed(struct scsi_task *t, int err)
{
    if (err)
        scsi_check_bio(t, err);
    else if (t->cdb[1] & 0x01) /* SP */
        save(t);
    else
        apply(t);
}

static void got_list(struct scsi_task *t, int err)
{
    (void)err;
    struct scsi_lu *lu = scsi_task_lu(t);
    struct scsi_modes modes;
    if (!read_list(t, &modes))
        return;
    if (!scsi_mode_wce(lu) || scsi_modes_wce(modes.current)) {
        flushed(t, 0);
        return;
    }
    t->bio.op = BIO_FLUSH; /* SBC-4 6.5.6: what is cached goes to the medium */
    t->bio.flags = 0;
    t->bio.off = t->bio.len = 0;
    t->bio.iov = NULL;
    t->bio.iovcnt = 0;
    scsi_want_io(t, flushed);
}

void scsi_mode_select(struct scsi_task *t)
{
    bool six = t->cdb[0] == OPCODE_MODE_SELECT_6;
    if (!(t->cdb[1] & 0x10)) { /* PF = 0: vendor specific pages, of which there are none */
        scsi_check_cdb(t, 1, 4);
    } else if ((t->cdb[1] & 0x01) && !scsi_task_lu(t)->cfg.keeps_state) { /* SP, SPC-6 6.12 */
        scsi_check_cdb(t, 1, 0);
    } else if (list_len(t) > LIST_MAX) {
        scsi_check_cdb(t, six ? 4 : 7, 7);
    } else if (list_len(t) == 0) { /* SPC-6 6.12: not an error */
        scsi_good(t);
    } else {
        scsi_want_data(t, list_len(t), got_list);
    }
}
