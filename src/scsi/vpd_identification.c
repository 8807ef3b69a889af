/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device Identification VPD page, 83h (SPC-6 7.7.6), and the two short ones of SPC beside it. */
#include "scsi/alua.h"
#include "scsi/inquiry.h"

#include <string.h>

enum {
    CODE_SET_BINARY = 1,
    CODE_SET_ASCII = 2,
    CODE_SET_UTF8 = 3,
    ASSOC_LU = 0x00, /* bits 5..4 of byte 1 */
    ASSOC_PORT = 0x10,
    ASSOC_DEVICE = 0x20,
    TYPE_T10_VENDOR = 1,
    TYPE_NAA = 3,
    TYPE_RELATIVE_PORT = 4,
    TYPE_PORT_GROUP = 5,
    TYPE_SCSI_NAME = 8,
};

/* Header of a designation descriptor (SPC-6 7.7.6.1); the protocol is stated for ports and device
 * (PIV = 1). */
static void put_header(struct wr *w, const struct scsi_nexus *nexus, unsigned code_set,
                       unsigned assoc, unsigned type, size_t len)
{
    bool piv = assoc != ASSOC_LU;
    wr_u8(w, (uint8_t)((piv ? nexus->protocol_id << 4 : 0) | (int)code_set));
    wr_u8(w, (uint8_t)((piv ? 0x80 : 0) | assoc | type));
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)len);
}

static void put_number(struct wr *w, const struct scsi_nexus *nexus, unsigned type, uint16_t n)
{
    put_header(w, nexus, CODE_SET_BINARY, ASSOC_PORT, type, 4);
    wr_be16(w, 0);
    wr_be16(w, n);
}

/* SPC-6 7.7.6.11: NUL terminated, padded to a multiple of four. */
static void put_name(struct wr *w, const struct scsi_nexus *nexus, unsigned assoc, const char *name)
{
    size_t len = strlen(name), padded = (len + 1 + 3) & ~(size_t)3;
    if (padded > 252) /* what the length byte can say; iSCSI port names may be longer */
        return;
    put_header(w, nexus, CODE_SET_UTF8, assoc, TYPE_SCSI_NAME, padded);
    wr_bytes(w, name, len);
    wr_zero(w, padded - len);
}

static void put_lu(struct wr *w, const struct scsi_nexus *nexus, const struct scsi_lu *lu)
{
    const struct scsi_lu_config *cfg = &lu->cfg;
    put_header(w, nexus, CODE_SET_BINARY, ASSOC_LU, TYPE_NAA, cfg->naa_len);
    wr_bytes(w, cfg->naa, cfg->naa_len);

    size_t serial_len = strlen(cfg->serial);
    put_header(w, nexus, CODE_SET_ASCII, ASSOC_LU, TYPE_T10_VENDOR, 8 + serial_len);
    wr_ascii(w, cfg->vendor, 8);
    wr_bytes(w, cfg->serial, serial_len);
}

void scsi_vpd_identification(const struct scsi_task *t, struct wr *w)
{
    const struct scsi_nexus *nexus = t->nexus;
    const struct scsi_lu *lu = t->itl ? t->itl->lu : NULL;
    if (lu)
        put_lu(w, nexus, lu);
    put_number(w, nexus, TYPE_RELATIVE_PORT, nexus->rel_target_port);
    if (lu && lu->group_count)
        put_number(w, nexus, TYPE_PORT_GROUP, scsi_alua_group_of(lu, nexus->rel_target_port));
    put_name(w, nexus, ASSOC_PORT, nexus->target_port);
    put_name(w, nexus, ASSOC_DEVICE, nexus->target_device);
}

/* Extended INQUIRY Data, 86h (SPC-6 7.7.7). */
void scsi_vpd_extended_inquiry(const struct scsi_task *t, struct wr *w)
{
    bool volatile_cache = t->itl && t->itl->lu->cfg.volatile_cache;
    wr_u8(w, 0);                      /* no protection information */
    wr_u8(w, 0x07);                   /* HEADSUP, ORDSUP, SIMPSUP */
    wr_u8(w, volatile_cache ? 1 : 0); /* V_SUP */
    wr_u8(w, 0x01);                   /* LUICLR: what a nexus loss clears, it clears for one only */
    wr_zero(w, 5);
    wr_u8(w, SCSI_SENSE_MAX); /* byte 13, MAXIMUM SUPPORTED SENSE DATA LENGTH */
    wr_zero(w, 64 - 14);
}

/* Mode Page Policy, 87h (SPC-6 7.7.12): every page is shared by all nexuses. */
void scsi_vpd_mode_policy(const struct scsi_task *t, struct wr *w)
{
    (void)t;
    wr_u8(w, 0x3f);
    wr_u8(w, 0xff);
    wr_be16(w, 0);
}
