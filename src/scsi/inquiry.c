/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* INQUIRY, SPC-6 6.7: the standard data, and the VPD pages by a table. */
#include "scsi/inquiry.h"

#include "scsi/copy.h"
#include "scsi/spc.h"

#include <assert.h>
#include <string.h>

enum {
    PDT_DISK = 0x00,
    PDT_WELL_KNOWN = 0x1e,
    PDT_NONE = 0x7f, /* qualifier 011b, type 1Fh: no unit can be here (SPC-6 6.7.2) */
    /* SPC-4: initiators know no later number; the version descriptors say more. */
    VERSION_SPC_4 = 0x06,
    STANDARD_LEN = 96,
};

static uint8_t peripheral(const struct scsi_task *t)
{
    if (t->itl)
        return PDT_DISK;
    return t->flags & SCSI_TF_WLUN ? PDT_WELL_KNOWN : PDT_NONE;
}

/* ---- standard INQUIRY data, SPC-6 6.7.2 ---- */

static void put_versions(const struct scsi_task *t, struct wr *w)
{
    static const uint16_t of_disk[8] = {
        0x00c0, /* SAM-6 */
        0x00a0, /* SAM-5 */
        0x0460, /* SPC-4 */
        0x05c0, /* SPC-5 */
        0x04c0, /* SBC-3 */
        0x0600, /* SBC-4 */
        0x0960, /* iSCSI */
    };
    static const uint16_t of_others[8] = { 0x00c0, 0x00a0, 0x0460, 0x05c0, 0x0960 };
    const uint16_t *list = t->itl ? of_disk : of_others;
    for (unsigned i = 0; i < 8; i++)
        wr_be16(w, list[i]);
}

static void put_standard(const struct scsi_task *t, struct wr *w)
{
    static const struct scsi_lu_config none = { .vendor = "USAN", .revision = "" };
    const struct scsi_lu *lu = t->itl ? t->itl->lu : NULL;
    const struct scsi_lu_config *cfg = lu ? &lu->cfg : &none;
    wr_u8(w, peripheral(t));
    wr_u8(w, cfg->removable ? 0x80 : 0); /* RMB */
    wr_u8(w, VERSION_SPC_4);
    wr_u8(w, 0x20 | 0x10 | 0x02); /* NORMACA, HISUP, response data format 2 */
    wr_u8(w, STANDARD_LEN - 5);   /* ADDITIONAL LENGTH */
    /* TPGS: implicit and explicit; 3PC */
    wr_u8(w, lu ? (uint8_t)((lu->group_count ? 0x30 : 0) | 0x08) : 0);
    wr_u8(w, 0x10); /* MULTIP */
    wr_u8(w, 0x02); /* CMDQUE */
    wr_ascii(w, cfg->vendor, 8);
    wr_ascii(w, cfg->product, 16);
    wr_ascii(w, cfg->revision, 4);
    wr_zero(w, 22); /* vendor specific; clocking; reserved */
    put_versions(t, w);
    wr_zero(w, STANDARD_LEN - 74);
}

/* ---- VPD pages ---- */

static void vpd_supported(const struct scsi_task *t, struct wr *w);

static void vpd_serial(const struct scsi_task *t, struct wr *w)
{
    const char *serial = t->itl->lu->cfg.serial;
    wr_bytes(w, serial, strlen(serial));
}

struct vpd_page {
    uint8_t code;
    bool lu_only; /* of disks; the others of the well known unit as well */
    bool thin;
    scsi_vpd_build *build;
};

/* Ascending, as page 00h lists them. */
static const struct vpd_page pages[] = {
    { .code = 0x00, .build = vpd_supported },
    { .code = 0x80, .lu_only = true, .build = vpd_serial },
    { .code = 0x83, .build = scsi_vpd_identification },
    { .code = 0x86, .build = scsi_vpd_extended_inquiry },
    { .code = 0x87, .lu_only = true, .build = scsi_vpd_mode_policy },
    { .code = 0x8f, .lu_only = true, .build = NULL }, /* xcopy.c writes it with its header */
    { .code = 0xb0, .lu_only = true, .build = scsi_vpd_block_limits },
    { .code = 0xb1, .lu_only = true, .build = scsi_vpd_characteristics },
    { .code = 0xb2, .lu_only = true, .thin = true, .build = scsi_vpd_provisioning },
};

enum { PAGE_COUNT = sizeof pages / sizeof pages[0] };

static bool page_exists(const struct scsi_task *t, const struct vpd_page *p)
{
    if (!t->itl)
        return (t->flags & SCSI_TF_WLUN) && !p->lu_only;
    return !p->thin || t->itl->lu->cfg.thin;
}

static void vpd_supported(const struct scsi_task *t, struct wr *w)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (page_exists(t, &pages[i]))
            wr_u8(w, pages[i].code);
    }
}

static const struct vpd_page *find_page(const struct scsi_task *t, uint8_t code)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (pages[i].code == code)
            return page_exists(t, &pages[i]) ? &pages[i] : NULL;
    }
    return NULL;
}

static void put_page(const struct scsi_task *t, const struct vpd_page *p, struct wr *w)
{
    assert(p); /* looked for before the memory was */
    if (!p->build) {
        (void)scsi_vpd_third_party_copy(t->itl->lu, w);
        return;
    }
    wr_u8(w, peripheral(t));
    wr_u8(w, p->code);
    wr_be16(w, 0);
    p->build(t, w);
    wr_patch_be16(w, 2, (uint16_t)(w->len - 4));
}

/* ---- the command ---- */

static void build(struct scsi_task *t, int err)
{
    (void)err;
    const uint8_t *cdb = t->cdb;
    struct wr w = scsi_reply_begin(t);
    if (cdb[1] & 0x01) /* EVPD */
        put_page(t, find_page(t, cdb[2]), &w);
    else
        put_standard(t, &w);
    scsi_reply(t, &w, be16_get(cdb + 3));
}

void scsi_inquiry(struct scsi_task *t)
{
    const uint8_t *cdb = t->cdb;
    bool evpd = cdb[1] & 0x01;
    /* SPC-6 6.7.1: a page code without EVPD, or of a page that is not there */
    if (evpd ? !find_page(t, cdb[2]) : cdb[2] != 0) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, be16_get(cdb + 3), build);
}
