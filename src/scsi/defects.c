/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ DEFECT DATA(10) and (12) (SBC-4). A store has no defects that it tells of: both
 * lists are empty, in whatever format is asked for.
 */
#include "scsi/block.h"

enum {
    DEFECTS_PLIST_GLIST = 0x18, /* REQ_PLIST, REQ_GLIST; PLISTV, GLISTV in the reply */
    DEFECTS_FORMAT = 0x07,
    DEFECTS_FORMAT_RESERVED = 0x07,
};

/* Is it a defect list format of SBC-4? False: the task was ended. */
static bool format_ok(struct scsi_task *t, unsigned byte)
{
    if ((t->cdb[byte] & DEFECTS_FORMAT) != DEFECTS_FORMAT_RESERVED)
        return true;
    scsi_check_cdb(t, byte, 2);
    return false;
}

static void defects10_reply(struct scsi_task *t, int err)
{
    struct wr w = scsi_reply_begin(t);

    (void)err;
    wr_u8(&w, 0);
    wr_u8(&w, t->cdb[2] & (DEFECTS_PLIST_GLIST | DEFECTS_FORMAT));
    wr_be16(&w, 0); /* DEFECT LIST LENGTH */
    scsi_reply(t, &w, be16_get(t->cdb + 7));
}

void block_read_defects10(struct scsi_task *t)
{
    if (format_ok(t, 2))
        scsi_want_reply_buf(t, 4, defects10_reply);
}

static void defects12_reply(struct scsi_task *t, int err)
{
    struct wr w = scsi_reply_begin(t);

    (void)err;
    wr_u8(&w, 0);
    wr_u8(&w, t->cdb[1] & (DEFECTS_PLIST_GLIST | DEFECTS_FORMAT));
    wr_be16(&w, 0); /* GENERATION CODE: none is kept */
    wr_be32(&w, 0); /* DEFECT LIST LENGTH */
    scsi_reply(t, &w, be32_get(t->cdb + 6));
}

void block_read_defects12(struct scsi_task *t)
{
    if (format_ok(t, 1))
        scsi_want_reply_buf(t, 8, defects12_reply);
}
