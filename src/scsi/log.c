/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOG SENSE and LOG SELECT, SPC-6 6.9 and 6.8: the pages by a table. */
#include "scsi/provisioning.h"
#include "scsi/spc.h"
#include "scsi/ua.h"

#include <assert.h>
#include <string.h>

enum {
    PC_CUMULATIVE = 1, /* page control: current cumulative values */
    PC_DEFAULT_CUMULATIVE = 3,
    PAGE_STATISTICS = 0x19,
    /* Parameter control byte, SPC-6 7.3.2.2: FORMAT AND LINKING of counters and of lists */
    CONTROL_COUNTER = 0x00,
    CONTROL_BINARY_LIST = 0x03,
};

struct log_page {
    uint8_t code, subpage;
    bool thin;
    /* Parameters with a code of `from` and above; returns the highest code there is. */
    uint16_t (*put)(const struct scsi_lu *lu, uint16_t from, struct wr *w);
};

/* false: the initiator asked to begin behind it. */
static bool put_param(struct wr *w, uint16_t from, uint16_t code, uint8_t control, uint8_t len)
{
    if (code < from)
        return false;
    wr_be16(w, code);
    wr_u8(w, control);
    wr_u8(w, len);
    return true;
}

/* ---- pages ---- */

/* 0Ch, SBC-4 6.4.5: in threshold sets; there is nothing to say before the pool is known. */
static uint16_t put_provisioning(const struct scsi_lu *lu, uint16_t from, struct wr *w)
{
    uint64_t avail = atomic_load(&lu->avail_bytes);
    if (avail != UINT64_MAX && put_param(w, from, 0x0001, CONTROL_BINARY_LIST, 8)) {
        wr_be32(w, scsi_bytes_to_sets(lu, avail));
        wr_u8(w, 0x02); /* SCOPE: not this unit's alone */
        wr_zero(w, 3);
    }
    if (put_param(w, from, 0x0002, CONTROL_BINARY_LIST, 8)) {
        wr_be32(w, scsi_bytes_to_sets(lu, atomic_load(&lu->used_bytes)));
        wr_u8(w, 0x01); /* SCOPE: of this unit */
        wr_zero(w, 3);
    }
    return 0x0002;
}

/* 19h, SPC-6 7.3.11: commands and blocks; intervals would need a clock and stay 0. */
static uint16_t put_statistics(const struct scsi_lu *lu, uint16_t from, struct wr *w)
{
    uint64_t sum[4];
    memcpy(sum, lu->past, sizeof sum);
    for (unsigned i = 0; i < SCSI_MAX_LANES; i++) {
        const struct scsi_lane *lane = atomic_load(&lu->lanes[i]);
        if (lane) {
            sum[0] += lane->reads;
            sum[1] += lane->writes;
            sum[2] += lane->read_bytes;
            sum[3] += lane->write_bytes;
        }
    }
    if (put_param(w, from, 0x0001, CONTROL_BINARY_LIST, 64)) {
        wr_be64(w, sum[0]);
        wr_be64(w, sum[1]);
        wr_be64(w, sum[3] / lu->cfg.block_bytes); /* received: written */
        wr_be64(w, sum[2] / lu->cfg.block_bytes);
        wr_zero(w, 32);
    }
    return 0x0001;
}

/* 2Fh, SPC-6 7.3.13: none; no temperature. */
static uint16_t put_exceptions(const struct scsi_lu *lu, uint16_t from, struct wr *w)
{
    (void)lu;
    if (put_param(w, from, 0x0000, CONTROL_BINARY_LIST, 4)) {
        wr_be16(w, 0);
        wr_u8(w, 0xff);
        wr_u8(w, 0);
    }
    return 0x0000;
}

static uint16_t put_supported(const struct scsi_lu *lu, uint16_t from, struct wr *w);
static uint16_t put_supported_subpages(const struct scsi_lu *lu, uint16_t from, struct wr *w);

/* Ordered by page and subpage. */
static const struct log_page pages[] = {
    { .code = 0x00, .put = put_supported },
    { .code = 0x00, .subpage = 0xff, .put = put_supported_subpages },
    { .code = 0x0c, .thin = true, .put = put_provisioning },
    { .code = PAGE_STATISTICS, .put = put_statistics },
    { .code = 0x2f, .put = put_exceptions },
};

enum { PAGE_COUNT = sizeof pages / sizeof pages[0] };

static bool exists(const struct scsi_lu *lu, const struct log_page *p)
{
    return !p->thin || lu->cfg.thin;
}

static uint16_t put_supported(const struct scsi_lu *lu, uint16_t from, struct wr *w)
{
    (void)from;
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (exists(lu, &pages[i]) && pages[i].subpage == 0)
            wr_u8(w, pages[i].code);
    }
    return 0;
}

static uint16_t put_supported_subpages(const struct scsi_lu *lu, uint16_t from, struct wr *w)
{
    (void)from;
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (exists(lu, &pages[i])) {
            wr_u8(w, pages[i].code);
            wr_u8(w, pages[i].subpage);
        }
    }
    return 0;
}

/* ---- LOG SENSE ---- */

static const struct log_page *find(const struct scsi_lu *lu, uint8_t code, uint8_t subpage)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (pages[i].code == code && pages[i].subpage == subpage && exists(lu, &pages[i]))
            return &pages[i];
    }
    return NULL;
}

static void build(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_lu *lu = scsi_task_lu(t);
    const struct log_page *p = find(lu, t->cdb[2] & 0x3f, t->cdb[3]);
    assert(p);
    struct wr w = scsi_reply_begin(t);
    wr_u8(&w, (uint8_t)(p->code | (p->subpage ? 0x40 : 0))); /* SPF */
    wr_u8(&w, p->subpage);
    wr_be16(&w, 0);
    if (be16_get(t->cdb + 5) > p->put(lu, be16_get(t->cdb + 5), &w)) {
        scsi_check_cdb(t, 5, 7); /* SPC-6 6.9: behind the last parameter */
        return;
    }
    wr_patch_be16(&w, 2, (uint16_t)(w.len - 4));
    scsi_reply(t, &w, be16_get(t->cdb + 7));
}

void scsi_log_sense(struct scsi_task *t)
{
    const uint8_t *cdb = t->cdb;
    uint8_t code = cdb[2] & 0x3f;
    if (cdb[1] & 0x01) { /* SP: nothing is saved */
        scsi_check_cdb(t, 1, 0);
    } else if (!find(scsi_task_lu(t), code, cdb[3])) {
        scsi_check_cdb(t, find(scsi_task_lu(t), code, 0) ? 3 : 2, cdb[3] ? 7 : 5);
    } else if (code != 0 && cdb[2] >> 6 != PC_CUMULATIVE) { /* there are no thresholds */
        scsi_check_cdb(t, 2, 7);
    } else {
        scsi_want_reply_buf(t, be16_get(cdb + 7), build);
    }
}

/* ---- LOG SELECT: counters can be set to zero, all or those of page 19h ---- */

void scsi_log_select(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    const uint8_t *cdb = t->cdb;
    bool pcr = cdb[1] & 0x02;
    unsigned pc = cdb[2] >> 6, code = cdb[2] & 0x3f;
    if (cdb[1] & 0x01) { /* SP */
        scsi_check_cdb(t, 1, 0);
        return;
    }
    if (be16_get(cdb + 7) != 0) { /* no parameter can be set to a value */
        scsi_check_cdb(t, 7, 7);
        return;
    }
    if (code != 0 && code != PAGE_STATISTICS) {
        scsi_check_cdb(t, 2, 5);
        return;
    }
    if (cdb[3] != 0) {
        scsi_check_cdb(t, 3, 7);
        return;
    }
    if (pcr || pc == PC_DEFAULT_CUMULATIVE) {
        memset(lu->past, 0, sizeof lu->past);
        for (unsigned i = 0; i < SCSI_MAX_LANES; i++) {
            struct scsi_lane *lane = atomic_load(&lu->lanes[i]);
            if (lane)
                lane->reads = lane->writes = lane->read_bytes = lane->write_bytes = 0;
        }
        scsi_ua_add_all(lu, t->itl, UA_LOG_PARAMETERS_CHANGED);
    }
    scsi_good(t);
}
