/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LUN fields, SAM-6 4.7. */
#include "scsi/lun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FIELD(level) ((uint64_t)(level) << 48)
enum { UNTOUCHED = 12345 };

/* The number of a field, or UNTOUCHED. */
static uint64_t number(uint64_t field)
{
    uint64_t n = UNTOUCHED;
    if (!scsi_lun_decode(field, &n))
        assert_int_equal(n, UNTOUCHED);
    return n;
}

static void test_both_methods_address_small_numbers(void **state)
{
    (void)state;
    assert_int_equal(number(0), 0);
    assert_int_equal(number(FIELD(0x0007)), 7);
    assert_int_equal(number(FIELD(0x00ff)), 255);
    assert_int_equal(number(FIELD(0x4000)), 0);
    assert_int_equal(number(FIELD(0x4007)), 7);
    assert_int_equal(number(FIELD(0x4100)), 256);
    assert_int_equal(number(FIELD(0x7fff)), 16383);
}

static void test_fields_of_no_unit(void **state)
{
    static const uint64_t bad[] = {
        FIELD(0x0100),                           /* bus 1 */
        FIELD(0x3f00),                           /* bus 63 */
        FIELD(0x8000),                           /* logical unit addressing */
        FIELD(0xc101),                           /* well known: REPORT LUNS */
        FIELD(0xd200),                           /* extended flat space addressing */
        FIELD(0xffff),                           /* not specified */
        UINT64_C(0x0001000000000001),            /* more than one level */
        UINT64_C(0x4001000100000000),            /* likewise */
        UINT64_C(1),                             /* a number where a field is wanted */
        SCSI_LUN_FIELD_REPORT_LUNS | UINT64_C(1) /* no such well known unit */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(number(bad[i]), UNTOUCHED);
}

static void test_report_luns_gives_the_shortest_way(void **state)
{
    (void)state;
    assert_true(scsi_lun_encode(0) == 0);
    assert_true(scsi_lun_encode(255) == FIELD(0x00ff));
    assert_true(scsi_lun_encode(256) == FIELD(0x4100));
    assert_true(scsi_lun_encode(SCSI_LUN_MAX) == FIELD(0x7fff));
}

static void test_every_number_comes_back(void **state)
{
    (void)state;
    for (uint64_t n = 0; n <= SCSI_LUN_MAX; n++)
        assert_int_equal(number(scsi_lun_encode(n)), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_methods_address_small_numbers),
        cmocka_unit_test(test_fields_of_no_unit),
        cmocka_unit_test(test_report_luns_gives_the_shortest_way),
        cmocka_unit_test(test_every_number_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
