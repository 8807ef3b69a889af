/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mode pages and their four values. A page is kept as it stands on the wire; defaults and
 * what can be changed follow from the configuration.
 */
#include "scsi/mode.h"

#include "scsi/provisioning.h"

#include <string.h>

const struct scsi_mode_page scsi_mode_pages[] = {
    { .code = 0x01, .len = 12, .off = 0 },  /* Read-Write Error Recovery, SBC-4 6.5.10 */
    { .code = 0x08, .len = 20, .off = 12 }, /* Caching, SBC-4 6.5.6 */
    { .code = 0x0a, .len = 12, .off = 32 }, /* Control, SPC-6 7.5.13 */
    { .code = 0x0a, .subpage = 0x01, .len = 32, .off = 44 }, /* Control Extension, SPC-6 7.5.14 */
    { .code = 0x1c, .len = 12, .off = 76 }, /* Informational Exceptions Control, SBC-4 6.5.8 */
    /* Logical Block Provisioning, SBC-4 6.5.9 */
    { .code = 0x1c, .subpage = 0x02, .len = 24, .off = 88, .thin = true },
    { .len = 0 },
};

/* Where the fields are that the device server acts on. */
enum {
    RECOVERY_LBPERE_BYTE = 7,
    RECOVERY_LBPERE = 0x80,
    CACHING_FLAGS_BYTE = 2,
    CACHING_WCE = 0x04,
    CONTROL_TST_BYTE = 2,
    CONTROL_D_SENSE = 0x04,
    CONTROL_SWP_BYTE = 4,
    CONTROL_SWP = 0x08,
    CONTROL_TAS_BYTE = 5,
    CONTROL_TAS = 0x40,
    OFF_RECOVERY = 0,
    OFF_CACHING = 12,
    OFF_CONTROL = 32,
};

bool scsi_mode_page_exists(const struct scsi_lu *lu, const struct scsi_mode_page *p)
{
    return !p->thin || lu->cfg.thin;
}

const struct scsi_mode_page *scsi_mode_page_find(const struct scsi_lu *lu, unsigned code,
                                                 unsigned subpage)
{
    for (const struct scsi_mode_page *p = scsi_mode_pages; p->len; p++) {
        if (p->code == code && p->subpage == subpage)
            return scsi_mode_page_exists(lu, p) ? p : NULL;
    }
    return NULL;
}

static void put_header(const struct scsi_mode_page *p, uint8_t *page)
{
    if (p->subpage) { /* sub_page format, SPF = 1 */
        page[0] = p->code | 0x40;
        page[1] = p->subpage;
        be16_put(page + 2, (uint16_t)(p->len - 4));
    } else {
        page[0] = p->code;
        page[1] = (uint8_t)(p->len - 2);
    }
}

static void get_changeable(const struct scsi_lu *lu, const struct scsi_mode_page *p, uint8_t *page)
{
    if (p->subpage)
        return;
    switch (p->code) {
    case 0x01:
        page[RECOVERY_LBPERE_BYTE] = lu->cfg.thin ? RECOVERY_LBPERE : 0;
        break;
    case 0x08:
        page[CACHING_FLAGS_BYTE] = lu->cfg.volatile_cache ? CACHING_WCE : 0;
        break;
    case 0x0a:
        page[CONTROL_TST_BYTE] = CONTROL_D_SENSE;
        page[CONTROL_SWP_BYTE] = CONTROL_SWP;
        page[CONTROL_TAS_BYTE] = CONTROL_TAS;
        break;
    default:
        break;
    }
}

static void get_default(const struct scsi_lu *lu, const struct scsi_mode_page *p, uint8_t *page)
{
    switch (p->code << 8 | p->subpage) {
    case 0x0100:
        page[2] = 0xc0; /* AWRE, ARRE: what the store does about bad blocks, it does by itself */
        page[RECOVERY_LBPERE_BYTE] = lu->cfg.thin ? RECOVERY_LBPERE : 0;
        break;
    case 0x0800:
        page[CACHING_FLAGS_BYTE] = lu->cfg.volatile_cache && lu->cfg.wce ? CACHING_WCE : 0;
        break;
    case 0x0a00:
        page[CONTROL_TST_BYTE] = 0x20; /* TST = 001b: a task set for each I_T nexus */
        page[3] = 0x10;                /* QUEUE ALGORITHM MODIFIER: unrestricted reordering */
        break;
    case 0x0a01:
        page[4] = 0x01;           /* IALUAE: the operator changes states as well */
        page[6] = SCSI_SENSE_MAX; /* MAXIMUM SENSE DATA LENGTH */
        break;
    case 0x1c00:
        page[2] = 0x08; /* DEXCPT: no exception conditions are reported */
        break;
    default:
        break;
    }
}

/* The one threshold there is: a share of the pool that is used. It moves with the pool. */
static void put_threshold(const struct scsi_lu *lu, uint8_t *page)
{
    if (!lu->cfg.thin_threshold_pct)
        return;
    uint8_t *descriptor = page + 16;
    descriptor[0] = 0x80 | 0x01; /* ENABLED; soft; armed while the value increases */
    descriptor[1] = 0x02;        /* used LBA mapping resources */
    be32_put(descriptor + 4, scsi_threshold_sets(lu));
}

void scsi_mode_page_get(const struct scsi_lu *lu, const struct scsi_mode_page *p,
                        enum scsi_mode_pc pc, uint8_t *ret_page)
{
    memset(ret_page, 0, p->len);
    switch (pc) {
    case MODE_CURRENT:
        memcpy(ret_page, lu->modes->current + p->off, p->len);
        break;
    case MODE_SAVED:
        memcpy(ret_page, lu->modes->saved + p->off, p->len);
        break;
    case MODE_CHANGEABLE:
        get_changeable(lu, p, ret_page);
        break;
    case MODE_DEFAULT:
        get_default(lu, p, ret_page);
        break;
    }
    if (pc != MODE_CHANGEABLE && p->thin)
        put_threshold(lu, ret_page);
    put_header(p, ret_page);
}

bool scsi_mode_page_savable(const struct scsi_lu *lu, const struct scsi_mode_page *p)
{
    uint8_t page[MODE_PAGE_MAX] = { 0 };
    if (!lu->cfg.keeps_state)
        return false;
    get_changeable(lu, p, page);
    for (unsigned i = 0; i < p->len; i++) {
        if (page[i])
            return true;
    }
    return false;
}

/* ---- life ---- */

void scsi_modes_changed(struct scsi_lu *lu)
{
    const uint8_t *control = lu->modes->current + OFF_CONTROL;
    atomic_store(&lu->d_sense, (control[CONTROL_TST_BYTE] & CONTROL_D_SENSE) != 0);
    lu->generation++;
}

void scsi_modes_clear(struct scsi_lu *lu)
{
    for (const struct scsi_mode_page *p = scsi_mode_pages; p->len; p++)
        scsi_mode_page_get(lu, p, MODE_DEFAULT, lu->modes->saved + p->off);
    scsi_modes_reset(lu);
}

int scsi_modes_init(struct scsi_lu *lu)
{
    lu->modes = alloc_zero(lu->a, sizeof *lu->modes);
    if (!lu->modes)
        return USAN_ENOMEM;
    scsi_modes_clear(lu);
    return 0;
}

void scsi_modes_free(struct scsi_lu *lu)
{
    alloc_put(lu->a, lu->modes);
    lu->modes = NULL;
}

void scsi_modes_reset(struct scsi_lu *lu)
{
    memcpy(lu->modes->current, lu->modes->saved, sizeof lu->modes->current);
    scsi_modes_changed(lu);
}

/* ---- what the rest of the device server asks ---- */

bool scsi_modes_wce(const uint8_t *pages)
{
    return pages[OFF_CACHING + CACHING_FLAGS_BYTE] & CACHING_WCE;
}

bool scsi_mode_wce(const struct scsi_lu *lu)
{
    return scsi_modes_wce(lu->modes->current);
}

bool scsi_mode_d_sense(const struct scsi_lu *lu)
{
    return atomic_load_explicit(&lu->d_sense, memory_order_relaxed);
}

bool scsi_mode_swp(const struct scsi_lu *lu)
{
    return lu->modes->current[OFF_CONTROL + CONTROL_SWP_BYTE] & CONTROL_SWP;
}

bool scsi_mode_tas(const struct scsi_lu *lu)
{
    return lu->modes->current[OFF_CONTROL + CONTROL_TAS_BYTE] & CONTROL_TAS;
}

bool scsi_mode_lbpere(const struct scsi_lu *lu)
{
    return lu->modes->current[OFF_RECOVERY + RECOVERY_LBPERE_BYTE] & RECOVERY_LBPERE;
}

/* ---- saved pages in the unit's state: code, subpage, length, bytes; one after the other ---- */

void scsi_modes_save(const struct scsi_lu *lu, struct wr *w)
{
    for (const struct scsi_mode_page *p = scsi_mode_pages; p->len; p++) {
        wr_u8(w, p->code);
        wr_u8(w, p->subpage);
        wr_u8(w, p->len);
        wr_bytes(w, lu->modes->saved + p->off, p->len);
    }
}

/* Only what can be changed is taken over: a unit may have been configured otherwise since. */
static void load_page(struct scsi_lu *lu, const struct scsi_mode_page *p, const uint8_t *from)
{
    uint8_t changeable[MODE_PAGE_MAX] = { 0 };
    uint8_t *to = lu->modes->saved + p->off;
    get_changeable(lu, p, changeable);
    for (unsigned i = 0; i < p->len; i++)
        to[i] = (uint8_t)((to[i] & ~changeable[i]) | (from[i] & changeable[i]));
}

int scsi_modes_load(struct scsi_lu *lu, struct rd *r)
{
    /* Twice: nothing is changed by a state that is not whole. */
    struct rd check = *r;
    while (rd_left(&check)) {
        rd_skip(&check, 2);
        rd_skip(&check, rd_u8(&check));
        if (check.bad)
            return USAN_ECORRUPT;
    }
    while (rd_left(r)) {
        uint8_t code = rd_u8(r), subpage = rd_u8(r), len = rd_u8(r);
        const uint8_t *page = rd_bytes(r, len);
        const struct scsi_mode_page *p = scsi_mode_page_find(lu, code, subpage);
        if (page && p && p->len == len)
            load_page(lu, p, page);
    }
    scsi_modes_reset(lu);
    return 0;
}
