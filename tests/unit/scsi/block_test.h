/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of disk commands share on top of the rig. */
#ifndef USAN_TESTS_BLOCK_TEST_H
#define USAN_TESTS_BLOCK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "scsi/block_limits.h"
#include "scsi/lu.h"
#include "scsi_rig.h"

#include <stdlib.h>
#include <string.h>

#define assert_good(res)                                                                           \
    do {                                                                                           \
        struct rig_result res_ = (res);                                                            \
        assert_int_equal(res_.kaq, 0);                                                             \
        assert_int_equal(res_.status, SCSI_STATUS_GOOD);                                           \
    } while (0)

#define assert_sense(res, kaq_)                                                                    \
    do {                                                                                           \
        struct rig_result res_ = (res);                                                            \
        assert_int_equal(res_.status, SCSI_STATUS_CHECK_CONDITION);                                \
        assert_int_equal(res_.kaq, kaq_);                                                          \
    } while (0)

/* Fixed format sense with VALID and this INFORMATION. */
#define assert_info(res, kaq_, info_)                                                              \
    do {                                                                                           \
        struct rig_result info_res_ = (res);                                                       \
        assert_sense(info_res_, kaq_);                                                             \
        assert_int_equal(info_res_.sense[0], 0xf0);                                                \
        assert_int_equal(be32_get(info_res_.sense + 3), info_);                                    \
    } while (0)

/* The field pointer: SKSV, C/D, BPV, bit, byte. */
#define assert_field(res, kaq_, in_cdb, byte, bit)                                                 \
    do {                                                                                           \
        struct rig_result field_res_ = (res);                                                      \
        assert_sense(field_res_, kaq_);                                                            \
        assert_int_equal(field_res_.sense[15], 0x88 | ((in_cdb) ? 0x40 : 0) | (bit));              \
        assert_int_equal(be16_get(field_res_.sense + 16), byte);                                   \
    } while (0)
#define assert_cdb_field(res, byte, bit)                                                           \
    assert_field(res, SENSE_INVALID_FIELD_IN_CDB, true, byte, bit)
#define assert_param_field(res, byte, bit)                                                         \
    assert_field(res, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, false, byte, bit)

/* ILLEGAL REQUEST, INVALID FIELD IN COMMAND INFORMATION UNIT */
#define SENSE_SHORT_OUT SCSI_KAQ(0x5, 0x0e, 0x03)

/* A rig whose unit attentions are gone. */
static inline struct rig *test_rig(const struct rig_config *cfg)
{
    struct rig *r = rig_new(cfg);
    rig_clear_ua(r);
    return r;
}

/* Bytes that are different in every block and place; never 0. */
static inline uint8_t test_byte(uint64_t at)
{
    return (uint8_t)(1 + (at * 31 + at / 512 * 7 + at / 131072) % 255);
}

static inline void test_fill(uint8_t *p, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = test_byte(from + i);
}

static inline void test_fill_disk(struct rig *r)
{
    test_fill(r->units[0].disk, 0, r->units[0].disk_bytes);
    memset(r->units[0].mapped, 1, r->units[0].disk_bytes / r->units[0].block_bytes);
}

static inline bool test_all(const uint8_t *p, uint8_t value, size_t len)
{
    return len == 0 || (p[0] == value && memcmp(p, p + 1, len - 1) == 0);
}

/* A CDB of the 6, 10, 12 or 16 byte layout with LBA and length in their places. */
static inline void test_cdb(uint8_t cdb[static SCSI_CDB_MAX], uint8_t opcode, uint8_t byte1,
                            uint64_t lba, uint32_t blocks)
{
    memset(cdb, 0, SCSI_CDB_MAX);
    cdb[0] = opcode;
    cdb[1] = byte1;
    switch (opcode >> 5) {
    case 0:
        be24_put(cdb + 1, (uint32_t)lba);
        cdb[4] = (uint8_t)blocks;
        break;
    case 4:
        be64_put(cdb + 2, lba);
        be32_put(cdb + 10, blocks);
        break;
    case 5:
        be32_put(cdb + 2, (uint32_t)lba);
        be32_put(cdb + 6, blocks);
        break;
    default:
        be32_put(cdb + 2, (uint32_t)lba);
        be16_put(cdb + 7, (uint16_t)blocks);
    }
}

static inline struct rig_result test_out(struct rig *r, uint8_t opcode, uint8_t byte1, uint64_t lba,
                                         uint32_t blocks, const void *out, size_t out_len)
{
    uint8_t cdb[SCSI_CDB_MAX];
    test_cdb(cdb, opcode, byte1, lba, blocks);
    return rig_cmd(r, 0, cdb, 16, out, out_len, 0);
}

static inline struct rig_result test_in(struct rig *r, uint8_t opcode, uint8_t byte1, uint64_t lba,
                                        uint32_t blocks, uint64_t in_expected)
{
    uint8_t cdb[SCSI_CDB_MAX];
    test_cdb(cdb, opcode, byte1, lba, blocks);
    return rig_cmd(r, 0, cdb, 16, NULL, 0, in_expected);
}

#endif
