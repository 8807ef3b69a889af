/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Designators initiators know a disk by: they must never change from one release to the next. */
#include "cmocka_all.h"

#include "target/lun.h"
#include "target/session.h"

#include <stdio.h>
#include <string.h>

static void never_changes(void **state)
{
    (void)state;
    uint8_t naa[8];
    char serial[17];
    tgt_lun_identity("iqn.2025-01.com.example:disk", 0, naa, serial);
    assert_int_equal(naa[0] >> 4, 3); /* SPC-6 7.8.6.6.4: locally assigned */
    assert_int_equal(strlen(serial), 16);
    char hex[17];
    for (int i = 0; i < 8; i++)
        snprintf(hex + 2 * i, 3, "%02x", naa[i]);
    assert_string_equal(hex, serial);
    assert_string_equal(serial, "3648648859f8c5bf");
    tgt_lun_identity("iqn.2025-01.com.example:disk", 17, naa, serial);
    assert_string_equal(serial, "36c0d838aa2e4ded");
}

static void differs_by_name_and_lun(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t lun;
    } rows[] = {
        { "iqn.a:1", 0 },  { "iqn.a:1", 1 },  { "iqn.a:", 10 }, { "iqn.a:", 1 },
        { "iqn.a:1", 10 }, { "iqn.a:11", 0 }, { "iqn.a:2", 0 }, { "", 0 },
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    char serial[ROWS][17];
    uint8_t naa[8];
    for (size_t i = 0; i < ROWS; i++) {
        tgt_lun_identity(rows[i].name, rows[i].lun, naa, serial[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(serial[i], serial[j]);
    }
}

/* SAM-6 4.7: the LUN field of a command and the LUN it means. */
static void lun_fields(void **state)
{
    (void)state;
    struct tgt_lane lanes[301];
    struct tgt_lane *by_lun[301];
    for (int i = 0; i < 301; i++)
        by_lun[i] = &lanes[i];
    by_lun[5] = NULL;
    const struct tgt_part part = { .lanes = by_lun, .lane_count = 301 };
    static const struct {
        uint64_t field;
        int lun; /* -1: none */
    } rows[] = {
        { 0x0000000000000000, 0 }, /* peripheral device addressing */
        { 0x0001000000000000, 1 },  { 0x00ff000000000000, 255 },
        { 0x0100000000000000, -1 }, /* bus 1 */
        { 0x4000000000000000, 0 },  /* flat space addressing */
        { 0x4001000000000000, 1 },  { 0x412c000000000000, 300 },
        { 0x412d000000000000, -1 },                             /* beyond the last */
        { 0x7fff000000000000, -1 }, { 0x0005000000000000, -1 }, /* not mapped */
        { 0x8001000000000000, -1 },                             /* logical unit addressing */
        { 0xc101000000000000, -1 },                             /* well known logical unit */
        { 0x0001000100000000, -1 },                             /* a second level */
        { 0x0001000000000001, -1 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct tgt_lane *want = rows[i].lun < 0 ? NULL : &lanes[rows[i].lun];
        assert_ptr_equal(tgt_part_lane(&part, rows[i].field), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_changes),
        cmocka_unit_test(differs_by_name_and_lun),
        cmocka_unit_test(lun_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
