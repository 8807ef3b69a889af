/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/sense.h"

#include <cmocka.h>
#include <string.h>

static void test_fixed(void **state)
{
    (void)state;
    uint8_t buf[SCSI_SENSE_MAX];
    struct scsi_sense_info s = { .kaq = SENSE_INVALID_OPCODE };
    static const uint8_t expect[18] = { 0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0 };
    assert_int_equal(scsi_sense_build(&s, false, buf, sizeof buf), 18);
    assert_memory_equal(buf, expect, 18);
}

static void test_fixed_information(void **state)
{
    (void)state;
    uint8_t buf[18];
    struct scsi_sense_info s = { .kaq = SENSE_UNRECOVERED_READ_ERROR,
                                 .has_information = true,
                                 .information = 0x01020304 };
    static const uint8_t expect[18] = { 0xf0, 0, 3, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x11, 0 };
    assert_int_equal(scsi_sense_build(&s, false, buf, sizeof buf), 18);
    assert_memory_equal(buf, expect, 18);
    /* more than four bytes: not VALID rather than wrong */
    s.information = 0x100000000;
    (void)scsi_sense_build(&s, false, buf, sizeof buf);
    assert_int_equal(buf[0], 0x70);
    assert_int_equal(buf[6], 0);
}

static void test_fixed_field(void **state)
{
    (void)state;
    uint8_t buf[18];
    struct scsi_sense_info s = { .kaq = SENSE_INVALID_FIELD_IN_CDB,
                                 .has_field = true,
                                 .field_in_cdb = true,
                                 .field_byte = 0x0102,
                                 .field_bit = 4 };
    (void)scsi_sense_build(&s, false, buf, sizeof buf);
    assert_int_equal(buf[15], 0x80 | 0x40 | 0x08 | 4); /* SKSV C/D BPV */
    assert_int_equal(buf[16], 1);
    assert_int_equal(buf[17], 2);
    s.field_in_cdb = false;
    s.field_bit = -1;
    (void)scsi_sense_build(&s, false, buf, sizeof buf);
    assert_int_equal(buf[15], 0x80);
}

static void test_descriptor(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct scsi_sense_info s = { .kaq = SENSE_LBA_OUT_OF_RANGE };
    static const uint8_t plain[8] = { 0x72, 5, 0x21, 0, 0, 0, 0, 0 };
    assert_int_equal(scsi_sense_build(&s, true, buf, sizeof buf), 8);
    assert_memory_equal(buf, plain, 8);

    s.has_information = true;
    s.information = 0x0102030405060708;
    s.has_progress = true;
    s.progress = 0xabcd;
    static const uint8_t full[28] = { 0x72, 5, 0x21, 0, 0,    0,    0,    20, 0x00, 0x0a,
                                      0x80, 0, 1,    2, 3,    4,    5,    6,  7,    8,
                                      2,    6, 0,    0, 0x80, 0xab, 0xcd, 0 };
    assert_int_equal(scsi_sense_build(&s, true, buf, sizeof buf), 28);
    assert_memory_equal(buf, full, 28);
}

static void test_cut(void **state)
{
    (void)state;
    uint8_t buf[10];
    memset(buf, 0xee, sizeof buf);
    struct scsi_sense_info s = { .kaq = SENSE_INVALID_OPCODE };
    assert_int_equal(scsi_sense_build(&s, false, buf, 8), 8);
    assert_int_equal(buf[7], 10);
    assert_int_equal(buf[8], 0xee);
}

static void test_text(void **state)
{
    (void)state;
    assert_non_null(strstr(scsi_sense_text(SENSE_LBA_OUT_OF_RANGE), "LBA"));
    assert_string_equal(scsi_sense_text(SCSI_KAQ(6, 0x29, 0)), "UNIT ATTENTION");
    assert_non_null(scsi_sense_text(0xffffff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed),       cmocka_unit_test(test_fixed_information),
        cmocka_unit_test(test_fixed_field), cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_cut),         cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
