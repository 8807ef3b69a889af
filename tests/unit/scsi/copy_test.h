/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of third-party copies share on top of the rig. */
#ifndef USAN_TESTS_COPY_TEST_H
#define USAN_TESTS_COPY_TEST_H

#include "pr_test.h"
#include "scsi/copy.h"

/* Two units, of the same or of two block sizes; unit 0 is filled with the pattern. */
static inline struct rig *copy_rig(unsigned initiators)
{
    struct rig *r = test_rig(&(struct rig_config){ .units = 2, .initiators = initiators });
    test_fill_disk(r);
    return r;
}

/* An identification descriptor CSCD with the NAA designator of a unit of the rig. */
static inline void cscd_ident(uint8_t *d, const struct rig *r, unsigned unit)
{
    const struct scsi_lu_config *cfg = &r->units[unit].lu->cfg;
    memset(d, 0, COPY_CSCD_BYTES);
    d[0] = 0xe4;
    d[4] = 1;
    d[5] = 3;
    d[7] = cfg->naa_len;
    memcpy(d + 8, cfg->naa, cfg->naa_len);
    be24_put(d + 29, cfg->block_bytes);
}

static inline void segment_b2b(uint8_t *s, uint16_t src, uint16_t dst, uint16_t blocks,
                               uint64_t src_lba, uint64_t dst_lba)
{
    memset(s, 0, COPY_SEGMENT_BYTES);
    s[0] = 0x02;
    be16_put(s + 2, 0x18);
    be16_put(s + 4, src);
    be16_put(s + 6, dst);
    be16_put(s + 10, blocks);
    be64_put(s + 12, src_lba);
    be64_put(s + 20, dst_lba);
}

static inline struct rig_result copy_out(struct rig *r, unsigned who, unsigned lun, uint8_t sa,
                                         const void *list, size_t len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x83, sa };
    be32_put(cdb + 10, (uint32_t)len);
    return rig_cmd_lun(r, who, (uint64_t)lun << 48, cdb, 16, list, len, 0);
}

/* RECEIVE COPY ... with the identifier in byte 2 (LID1) or in bytes 2 to 5. */
static inline struct rig_result copy_in(struct rig *r, unsigned who, unsigned lun, uint8_t sa,
                                        uint32_t id, uint32_t alloc)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x84, sa };
    if (sa == COPY_IN_STATUS_LID4 || sa == COPY_IN_ROD_TOKEN_INFO)
        be32_put(cdb + 2, id);
    else
        cdb[2] = (uint8_t)id;
    be32_put(cdb + 10, alloc);
    return rig_cmd_lun(r, who, (uint64_t)lun << 48, cdb, 16, NULL, 0, alloc);
}

/* Is [at, at + blocks) of a unit what unit 0 was filled with from block `from` on? */
static inline bool copied(const struct rig *r, unsigned unit, uint64_t at, uint64_t from,
                          uint64_t blocks)
{
    for (uint64_t i = 0; i < blocks * 512; i++) {
        if (r->units[unit].disk[at * 512 + i] != test_byte(from * 512 + i))
            return false;
    }
    return true;
}

#endif
