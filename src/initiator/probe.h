/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a logical unit says about itself: INQUIRY, vital product data, capacity, mode page. */
#ifndef USAN_INITIATOR_PROBE_H
#define USAN_INITIATOR_PROBE_H

#include "base/err.h"
#include "initiator/sync.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    INI_INQUIRY_MAX = 4096, /* bytes of INQUIRY data or a VPD page that are asked for */
    INI_LUNS_MAX = 1024,    /* of one target that are listed */
    INI_SERIAL_MAX = 64,
    INI_ID_MAX = 64 /* "naa.600..." and the end */
};

/* Standard INQUIRY data (SPC-6 6.7.2). */
struct ini_identity {
    uint8_t qualifier, type; /* of the peripheral */
    bool removable;
    uint8_t version;
    char vendor[9], product[17], revision[5]; /* without blanks at the end */
};

/* A disk. */
struct ini_disk_info {
    struct ini_identity identity;
    char serial[INI_SERIAL_MAX + 1]; /* VPD page 80h; empty if there is none */
    char id[INI_ID_MAX];             /* designator of the unit, VPD page 83h: naa., eui. or t10. */
    uint64_t blocks;
    uint32_t block_bytes;
    uint32_t phys_block_bytes;
    bool write_protected;
    bool fua;         /* DPOFUA: READ and WRITE may be told to go past the cache */
    bool write_cache; /* WCE; true if the unit does not tell */
    bool rotational;
    bool thin;         /* LBPME */
    bool lba_status;   /* GET LBA STATUS is worth a try; a thin unit has it, as a rule */
    bool unmap_zeroes; /* LBPRZ */
    bool can_unmap, can_write_same_unmap;
    uint32_t max_transfer_blocks; /* 0: no limit known */
    uint32_t opt_transfer_blocks; /* 0: not stated */
    uint8_t max_compare_and_write_blocks;
    uint32_t max_unmap_blocks;      /* 0: UNMAP is not supported, or no limit known */
    uint32_t unmap_gran_blocks;     /* 0: not stated */
    uint64_t max_write_same_blocks; /* 0: no limit known */
};

/* Name of a peripheral device type (SPC-6 table 150): "disk", "tape"; never NULL. */
const char *ini_type_name(uint8_t type);

/* USAN_ENOENT: the target has no such unit. */
USAN_MUST_CHECK
int ini_probe_identity(struct ini_sync *sync, uint16_t lun, struct ini_identity *ret_identity,
                       struct err_text *e);
/* A page of vital product data, up to INI_INQUIRY_MAX bytes. USAN_ENOTSUP: there is no such page.
 */
USAN_MUST_CHECK
int ini_probe_vpd(struct ini_sync *sync, uint16_t lun, uint8_t page,
                  uint8_t ret_data[INI_INQUIRY_MAX], uint32_t *ret_len, struct err_text *e);
/* Is there a disk of so many blocks? Its size in bytes fits an int64_t; block_bytes is not 0. */
bool ini_probe_size_ok(uint64_t blocks, uint32_t block_bytes);
/* Does this page (83h, or 80h of a unit without a designator) belong to the unit that info is of?
 * If not, ret_now is what the page names instead: any of it, or "". */
bool ini_probe_is_unit(const struct ini_disk_info *info, const uint8_t *page, uint32_t len,
                       char ret_now[INI_ID_MAX]);
/* All of it. USAN_ENOENT: no such unit; USAN_ENOTSUP: it is no disk, or one whose blocks are not
 * a power of two from 512 to 65536 bytes. */
USAN_MUST_CHECK
int ini_probe_disk(struct ini_sync *sync, uint16_t lun, struct ini_disk_info *ret_info,
                   struct err_text *e);
/* REPORT LUNS (SPC-6 6.34): numbers of the units that this program can address. */
USAN_MUST_CHECK
int ini_probe_luns(struct ini_sync *sync, uint16_t ret_luns[INI_LUNS_MAX], unsigned *ret_count,
                   struct err_text *e);

#endif
