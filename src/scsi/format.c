/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FORMAT UNIT (SBC-4). The block length stays, there is no protection information and no defect
 * list; what is left is to initialise every block: with zeroes, or an initialization pattern.
 * FMTPINFO and FFMT are outside the CDB usage data.
 */
#include "scsi/erase.h"

enum {
    FORMAT_LONGLIST = 0x20,
    FORMAT_FMTDATA = 0x10,
    FORMAT_CMPLST = 0x08,
    FORMAT_DEFECT_FORMAT = 0x07,

    /* parameter list header, byte 1 */
    FORMAT_FOV = 0x80,
    FORMAT_NEEDS_FOV = 0x78, /* DPRY, DCRT, STPF, IP */
    FORMAT_IP = 0x08,
    FORMAT_IMMED = 0x02,

    FORMAT_SHORT_HEADER = 4,
    FORMAT_LONG_HEADER = 8,
    FORMAT_IP_HEADER = 4,
    FORMAT_IP_MODIFIER_SI = 0xe0, /* IP MODIFIER (obsolete), SI */
    FORMAT_IP_DEFAULT = 0,
    FORMAT_IP_REPEAT = 1,
};

static unsigned header_len(const struct scsi_task *t)
{
    return t->cdb[1] & FORMAT_LONGLIST ? FORMAT_LONG_HEADER : FORMAT_SHORT_HEADER;
}

/* The parameter list header, checked. False: t was ended. */
static bool header_check(struct scsi_task *t, const uint8_t *h)
{
    bool is_long = t->cdb[1] & FORMAT_LONGLIST;
    uint32_t defects = is_long ? be32_get(h + 4) : be16_get(h + 2);

    if (h[0] & 0x07) { /* PROTECTION FIELD USAGE */
        scsi_check_param(t, 0, 2);
        return false;
    }
    if (!(h[1] & FORMAT_FOV) && (h[1] & FORMAT_NEEDS_FOV)) {
        scsi_check_param(t, 1, 7);
        return false;
    }
    if (is_long && h[3]) { /* P_I_INFORMATION, PROTECTION INTERVAL EXPONENT */
        scsi_check_param(t, 3, 7);
        return false;
    }
    if (defects) { /* no block is defective, and none can be made so */
        scsi_check_param(t, is_long ? 4 : 2, 7);
        return false;
    }
    return true;
}

/* The initialization pattern descriptor behind the header, put into e. False: t was ended. */
static bool pattern_apply(struct scsi_task *t, struct scsi_erase *e)
{
    unsigned at = header_len(t);
    uint8_t d[FORMAT_IP_HEADER];

    if (scsi_out_copy(t, at, d, sizeof d) != sizeof d) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    uint16_t len = be16_get(d + 2);
    if (d[0] & FORMAT_IP_MODIFIER_SI) {
        scsi_check_param(t, at, 7);
        return false;
    }
    if (d[1] == FORMAT_IP_DEFAULT && len == 0)
        return true; /* zeroes */
    if (d[1] != FORMAT_IP_REPEAT) {
        scsi_check_param(t, at + 1, 7);
        return false;
    }
    if (len == 0 || len > scsi_task_lu(t)->cfg.block_bytes) {
        scsi_check_param(t, at + 2, 7);
        return false;
    }
    uint8_t last;
    if (scsi_out_copy(t, at + FORMAT_IP_HEADER + len - 1u, &last, 1) != 1) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    scsi_erase_pattern(e, t, at + FORMAT_IP_HEADER, len);
    return true;
}

static void format_go(struct scsi_task *t, int err)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    uint8_t head[FORMAT_LONG_HEADER] = { 0 };

    (void)err;
    if (!scsi_erase_possible(t))
        return;
    if (t->cdb[1] & FORMAT_FMTDATA)
        (void)scsi_out_copy(t, 0, head, header_len(t));
    if (!header_check(t, head))
        return;
    struct scsi_erase *e = scsi_erase_new(lu, SCSI_BUSY_FORMAT);
    if (e) {
        e->may_unmap = lu->cfg.thin;
        if ((head[1] & FORMAT_IP) && !pattern_apply(t, e)) {
            alloc_put(lu->a, e);
            return;
        }
    }
    scsi_erase_begin(t, e, head[1] & FORMAT_IMMED);
}

static void format_data(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_exclusive(t, format_go);
}

void block_format_unit(struct scsi_task *t)
{
    if (!(t->cdb[1] & FORMAT_FMTDATA)) {
        if (t->cdb[1] & (FORMAT_CMPLST | FORMAT_DEFECT_FORMAT | FORMAT_LONGLIST))
            scsi_check_cdb(t, 1, 4); /* they describe a list that is not there */
        else
            format_go(t, 0);
        return;
    }
    /* The CDB does not say how long the list is: header, pattern descriptor, pattern. */
    uint64_t most = header_len(t) + FORMAT_IP_HEADER + scsi_task_lu(t)->cfg.block_bytes;
    if (t->out_expected < header_len(t)) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_data(t, t->out_expected < most ? t->out_expected : most, format_data);
}
