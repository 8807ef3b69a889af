/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sense data and the verdict on a command; LUN fields. */
#include "initiator/disk.h"
#include "initiator/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void sense(void **st)
{
    (void)st;
    static const uint8_t fixed[18] = { 0xf0, 0, 3, 0, 0, 0x12, 0x34, 10, [12] = 0x11, [13] = 1 };
    static const uint8_t descriptor[28] = { 0x72, 3, 0x11, 1, 0, 0, 0,    20,   0x02, 6,
                                            0,    0, 0,    0, 0, 0, 0x00, 0x0a, 0x80, 0,
                                            0,    0, 0,    0, 0, 0, 0x12, 0x34 };
    const struct ini_sense a = ini_sense_parse(fixed, sizeof(fixed));
    const struct ini_sense b = ini_sense_parse(descriptor, sizeof(descriptor));
    const struct ini_sense *const both[] = { &a, &b };
    for (unsigned i = 0; i < 2; i++) {
        assert_true(both[i]->valid && both[i]->has_information);
        assert_int_equal(both[i]->key, 3);
        assert_int_equal(both[i]->asc, 0x11);
        assert_int_equal(both[i]->ascq, 1);
        assert_int_equal(both[i]->information, 0x1234);
    }
    for (size_t len = 0; len < sizeof(descriptor); len++) { /* cut short: nothing is invented */
        uint8_t *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, descriptor, len);
        assert_false(ini_sense_parse(copy, len).has_information);
        memcpy(copy, fixed, len < sizeof(fixed) ? len : sizeof(fixed));
        assert_int_equal(ini_sense_parse(copy, len).valid, len >= 8);
        free(copy);
    }
    assert_int_equal(ini_lun_field(5), 0x0005000000000000);
    assert_int_equal(ini_lun_field(300), 0x412c000000000000);
}

/* Fixed and descriptor format, of this command and of an earlier one (SPC-6 4.4). */
static void judged(void **st)
{
    (void)st;
    static const struct {
        uint8_t format, key;
        enum ini_verdict verdict;
        int err;
    } cases[] = { { 0x70, 0, INI_GOOD, 0 },       { 0x72, 1, INI_GOOD, 0 },
                  { 0x71, 0, INI_RETRY, 0 },      { 0x71, 1, INI_RETRY, 0 },
                  { 0x73, 0, INI_RETRY, 0 },      { 0x73, 1, INI_RETRY, 0 },
                  { 0x71, 3, INI_BAD, USAN_EIO }, { 0x73, 4, INI_BAD, USAN_EIO },
                  { 0x71, 6, INI_BAD, USAN_EIO }, { 0x73, 0xb, INI_BAD, USAN_EIO },
                  { 0x72, 6, INI_RETRY, 0 },      { 0x70, 0xb, INI_RETRY_LATER, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[18] = { cases[i].format };
        struct iscsi_icmd cmd = { .status = 2, .sense = data, .sense_len = sizeof(data) };
        int err = 0;
        data[cases[i].format < 0x72 ? 2 : 1] = cases[i].key;
        assert_int_equal(ini_scsi_judge(&cmd, true, &err), cases[i].verdict);
        assert_int_equal(err, cases[i].err);
        assert_int_equal(ini_sense_parse(data, sizeof(data)).deferred, cases[i].format & 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sense),
        cmocka_unit_test(judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
