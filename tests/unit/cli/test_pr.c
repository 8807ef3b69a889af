/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parameter data of PERSISTENT RESERVE IN in words: whole, and cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/pr.h"

static char *text;
static size_t text_len;

static void print(enum pr_in what, const uint8_t *p, size_t len, bool json)
{
    struct report r;
    /* Of exactly that length, so that tools that watch memory see what is read behind it. */
    uint8_t *copy = malloc(len ? len : 1);
    FILE *f = open_memstream(&text, &text_len);
    assert_non_null(copy);
    assert_non_null(f);
    memcpy(copy, p, len);
    report_init(&r, f, json);
    report_begin(&r, NULL, NULL);
    pr_print(&r, what, copy, len);
    report_end(&r);
    fclose(f);
    free(copy);
}

static void shows(enum pr_in what, const uint8_t *p, size_t len, const char *want)
{
    print(what, p, len, false);
    assert_string_equal(text, want);
    free(text);
    for (size_t n = 0; n < len; n++) { /* cut: something, and nothing from behind the end */
        print(what, p, n, true);
        free(text);
    }
}

static void keys(void **state)
{
    (void)state;
    static const uint8_t p[] = { 0, 0, 0,    7,    0,    0,    0,    16,   0,    0,    0,    0,
                                 0, 0, 0xab, 0xcd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    shows(PR_READ_KEYS, p, sizeof(p),
          "Registered keys\n  generation: 7\n  keys\n    0xabcd\n    0xffffffffffffffff\n");
    print(PR_READ_KEYS, p, 20, false); /* said to be longer than it is */
    assert_string_equal(text, "Registered keys\n  generation: 7\n  keys\n    0xabcd\n");
    free(text);
}

static void reservation(void **state)
{
    (void)state;
    static const uint8_t none[] = { 0, 0, 0, 1, 0, 0, 0, 0 };
    static const uint8_t p[] = { 0, 0, 0, 2, 0, 0, 0, 16, 0, 0,    0, 0,
                                 0, 0, 0, 9, 0, 0, 0, 0,  0, 0x07, 0, 0 };
    shows(PR_READ_RESERVATION, none, sizeof(none),
          "Reservation\n  generation: 1\n  reserved: no\n");
    shows(PR_READ_RESERVATION, p, sizeof(p),
          "Reservation\n  generation: 2\n  reserved: yes\n  key: 0x9\n"
          "  type: write-exclusive-all-registrants\n  scope: logical unit\n");
}

static void capabilities(void **state)
{
    (void)state;
    static const uint8_t p[] = { 0, 8, 0x0d, 0x81, 0x0a, 0x01, 0, 0 };
    shows(PR_REPORT_CAPABILITIES, p, sizeof(p),
          "Capabilities\n  REPLACE LOST RESERVATION: no\n"
          "  compatible with RESERVE and RELEASE: no\n  registers for others (SPEC_I_PT): yes\n"
          "  registers on all ports (ALL_TG_PT): yes\n"
          "  can outlive a loss of power (APTPL): yes\n  does so now: yes\n  types\n"
          "    write-exclusive\n    exclusive-access\n    exclusive-access-all-registrants\n");
}

static void full_status(void **state)
{
    (void)state;
    uint8_t p[8 + 24 + 20 + 24 + 24] = { 0, 0, 0, 3, 0, 0, 0, 24 + 20 + 24 + 24 };
    uint8_t *d = p + 8;
    d[7] = 1;
    d[12] = 1;
    d[13] = 3;
    d[19] = 4;
    d[23] = 20;
    memcpy(d + 24, "\x45\0\0\x10iqn.a:bc,i,0x1\n", 20);
    d += 24 + 20;
    d[7] = 2;
    d[12] = 2;
    d[23] = 24; /* of a SAS port: not in words */
    d[24] = 6;
    d[47] = 0xee;
    shows(PR_READ_FULL_STATUS, p, sizeof(p),
          "Registrants\n  generation: 3\n"
          "  registrant\n    key: 0x1\n    holds the reservation: yes\n    type: exclusive-access\n"
          "    scope: logical unit\n    on all target ports: no\n    target port: 4\n"
          "    initiator: iqn.a:bc,i,0x1?\n"
          "  registrant\n    key: 0x2\n    holds the reservation: no\n"
          "    on all target ports: yes\n    transport id:\n"
          "      0000  06 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................\n"
          "      0010  00 00 00 00 00 00 00 ee                          ........\n");
}

static void types(void **state)
{
    (void)state;
    uint8_t code = 0;
    assert_true(pr_type_code("exclusive-access-registrants-only", &code));
    assert_int_equal(code, 6);
    assert_true(pr_type_code("0x8", &code));
    assert_int_equal(code, 8);
    assert_false(pr_type_code("2", &code));
    assert_false(pr_type_code("", &code));
    assert_false(pr_type_code("exclusive", &code));
    assert_int_equal(code, 8);
    assert_string_equal(pr_type_name(1), "write-exclusive");
    assert_null(pr_type_name(0));
    assert_null(pr_type_name(9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),         cmocka_unit_test(reservation),
        cmocka_unit_test(capabilities), cmocka_unit_test(full_status),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
