/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 8-byte LUN field (SAM-6 4.7) and the numbers of the units here.
 *
 * A field is a number too: its first byte is the highest one, as be64_get() reads it. Fields have
 * one level, for nothing here has units behind units: what follows the first two bytes is zero.
 */
#ifndef USAN_SCSI_LUN_H
#define USAN_SCSI_LUN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SCSI_LUN_MAX = 0x3fff, /* largest number of a unit: what flat space addressing reaches */
};

/* The field that REPORT LUNS gives for the well known logical unit of that name: extended
 * addressing, well known, number 1. The unit is no unit of the map and has no number. */
#define SCSI_LUN_FIELD_REPORT_LUNS UINT64_C(0xc101000000000000)

/*
 * The number that a field addresses, by peripheral device addressing (bus 0) or flat space
 * addressing. Every number up to 255 has a field of either kind; both mean the same unit. false:
 * the field can address no unit of the map.
 */
static inline bool scsi_lun_decode(uint64_t field, uint64_t *ret_number)
{
    uint64_t level = field >> 48, method = level >> 14, number = level & SCSI_LUN_MAX;
    /* With method 0 the six bits above the number are the bus. */
    if (field << 16 || method > 1 || (method == 0 && number > 0xff))
        return false;
    *ret_number = number;
    return true;
}

/* The field of a number up to SCSI_LUN_MAX, as REPORT LUNS gives it: peripheral device addressing
 * as far as that reaches, then flat space addressing. */
static inline uint64_t scsi_lun_encode(uint64_t number)
{
    return (number > 0xff ? number | 0x4000 : number) << 48;
}

#endif
