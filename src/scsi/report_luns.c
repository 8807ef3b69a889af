/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REPORT LUNS, SPC-6 6.32. */
#include "scsi/spc.h"

/* SELECT REPORT */
enum {
    SELECT_UNITS = 0x00,
    SELECT_WELL_KNOWN = 0x01,
    SELECT_ALL = 0x02,
    SELECT_ADMINISTRATIVE = 0x10,
    SELECT_NOT_SUBSIDIARY = 0x11,
    SELECT_SUBSIDIARY = 0x12,
};

static void put_units(const struct scsi_branch *branch, struct wr *w)
{
    for (unsigned i = 0; i < branch->count; i++)
        wr_be64(w, scsi_lun_encode(branch->seats[i]->itl->lun));
}

static void build(struct scsi_task *t, int err)
{
    (void)err;
    struct scsi_branch *branch = t->branch;
    uint8_t select = t->cdb[2];
    struct wr w = scsi_reply_begin(t);
    wr_zero(&w, 8);
    /* No unit is a conglomerate: none is administrative, none is subsidiary. */
    if (select == SELECT_UNITS || select == SELECT_ALL || select == SELECT_NOT_SUBSIDIARY)
        put_units(branch, &w);
    if (select == SELECT_WELL_KNOWN || select == SELECT_ALL)
        wr_be64(&w, SCSI_LUN_FIELD_REPORT_LUNS);
    wr_patch_be32(&w, 0, (uint32_t)(w.len - 8));
    /* SPC-6 6.32: whoever has read the list need not be told that it changed. */
    uint32_t gen = atomic_load(&branch->nexus->luns_gen);
    for (unsigned i = 0; i < branch->count; i++)
        atomic_store(&branch->seats[i]->itl->luns_seen, gen);
    scsi_reply(t, &w, be32_get(t->cdb + 6));
}

void scsi_report_luns(struct scsi_task *t)
{
    switch (t->cdb[2]) {
    case SELECT_UNITS:
    case SELECT_WELL_KNOWN:
    case SELECT_ALL:
    case SELECT_ADMINISTRATIVE:
    case SELECT_NOT_SUBSIDIARY:
    case SELECT_SUBSIDIARY:
        scsi_want_reply_buf(t, be32_get(t->cdb + 6), build);
        return;
    default:
        scsi_check_cdb(t, 2, 7);
    }
}
