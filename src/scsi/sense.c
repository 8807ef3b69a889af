/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/sense.h"

#include "base/bytes.h"

/* Sense-key specific bytes (SPC-6 4.4.2.4): false if there are none to give. */
static bool key_specific(const struct scsi_sense_info *s, uint8_t sks[3])
{
    if (s->has_field) {
        /* SKSV, C/D, and BPV with the bit pointer */
        sks[0] = (uint8_t)(0x80 | (s->field_in_cdb ? 0x40 : 0));
        if (s->field_bit >= 0)
            sks[0] |= (uint8_t)(0x08 | (s->field_bit & 7));
        be16_put(sks + 1, s->field_byte);
        return true;
    }
    if (s->has_progress) {
        sks[0] = 0x80;
        be16_put(sks + 1, s->progress);
        return true;
    }
    return false;
}

static void build_fixed(const struct scsi_sense_info *s, struct wr *w)
{
    /* The INFORMATION field has four bytes here; what does not fit is not VALID (SPC-6 4.4.3). */
    bool valid = s->has_information && s->information <= UINT32_MAX;
    uint8_t sks[3] = { 0 };
    (void)key_specific(s, sks);
    wr_u8(w, valid ? 0xf0 : 0x70);
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)(s->kaq >> 16 & 0xf));
    wr_be32(w, valid ? (uint32_t)s->information : 0);
    wr_u8(w, 10); /* ADDITIONAL SENSE LENGTH: 18 bytes in all */
    wr_be32(w, 0);
    wr_be16(w, (uint16_t)s->kaq);
    wr_u8(w, 0);
    wr_bytes(w, sks, sizeof sks);
}

static void build_descriptor(const struct scsi_sense_info *s, struct wr *w)
{
    uint8_t sks[3];
    wr_u8(w, 0x72);
    wr_u8(w, (uint8_t)(s->kaq >> 16 & 0xf));
    wr_be16(w, (uint16_t)s->kaq);
    wr_zero(w, 4);
    if (s->has_information) { /* SPC-6 4.4.2.2 */
        wr_u8(w, 0x00);
        wr_u8(w, 0x0a);
        wr_u8(w, 0x80);
        wr_u8(w, 0);
        wr_be64(w, s->information);
    }
    if (key_specific(s, sks)) { /* SPC-6 4.4.2.4 */
        wr_u8(w, 0x02);
        wr_u8(w, 0x06);
        wr_be16(w, 0);
        wr_bytes(w, sks, sizeof sks);
        wr_u8(w, 0);
    }
    uint8_t additional = (uint8_t)(w->len - 8);
    wr_patch(w, 7, &additional, 1);
}

size_t scsi_sense_build(const struct scsi_sense_info *s, bool descriptor, uint8_t *buf, size_t cap)
{
    struct wr w = wr_init(buf, cap);
    if (descriptor)
        build_descriptor(s, &w);
    else
        build_fixed(s, &w);
    return wr_stored(&w);
}

static const char *key_text(uint8_t key)
{
    static const char *const text[16] = {
        [SENSE_KEY_NO_SENSE] = "NO SENSE",
        [SENSE_KEY_RECOVERED_ERROR] = "RECOVERED ERROR",
        [SENSE_KEY_NOT_READY] = "NOT READY",
        [SENSE_KEY_MEDIUM_ERROR] = "MEDIUM ERROR",
        [SENSE_KEY_HARDWARE_ERROR] = "HARDWARE ERROR",
        [SENSE_KEY_ILLEGAL_REQUEST] = "ILLEGAL REQUEST",
        [SENSE_KEY_UNIT_ATTENTION] = "UNIT ATTENTION",
        [SENSE_KEY_DATA_PROTECT] = "DATA PROTECT",
        [SENSE_KEY_BLANK_CHECK] = "BLANK CHECK",
        [SENSE_KEY_COPY_ABORTED] = "COPY ABORTED",
        [SENSE_KEY_ABORTED_COMMAND] = "ABORTED COMMAND",
        [SENSE_KEY_MISCOMPARE] = "MISCOMPARE",
    };
    return key < 16 && text[key] ? text[key] : "unknown sense key";
}

const char *scsi_sense_text(uint32_t kaq)
{
    switch (kaq) {
#define X(name, key, asc, ascq)                                                                    \
    case SCSI_KAQ(key, asc, ascq):                                                                 \
        return #name;
        SCSI_SENSE_LIST(X)
#undef X
    default:
        return key_text((uint8_t)(kaq >> 16));
    }
}
