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
#include "cli/pr_out.h"

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
    d[23] = 24; /* of a SAS port */
    d[24] = 6;
    memcpy(d + 28, "\x50\0\xc5\0\0\0\0\xee", 8);
    shows(PR_READ_FULL_STATUS, p, sizeof(p),
          "Registrants\n  generation: 3\n"
          "  registrant\n    key: 0x1\n    holds the reservation: yes\n    type: exclusive-access\n"
          "    scope: logical unit\n    on all target ports: no\n    target port: 4\n"
          "    initiator: iqn.a:bc,i,0x1?\n"
          "  registrant\n    key: 0x2\n    holds the reservation: no\n"
          "    on all target ports: yes\n    initiator: SAS port 5000c500000000ee\n");
}

static void transports(void **state)
{
    (void)state;
    uint8_t p[8 + 24 + 24] = { 0, 0, 0, 1, 0, 0, 0, 24 + 24 };
    uint8_t *id = p + 8 + 24;
    p[8 + 7] = 7;
    p[8 + 19] = 1;
    p[8 + 23] = 24;
    memcpy(id + 8, "\x21\0\0\x24\xff\x01\x02\x03\x04", 9);
#define REGISTRANT                                                                                 \
    "Registrants\n  generation: 1\n  registrant\n    key: 0x7\n    holds the reservation: no\n"    \
    "    on all target ports: no\n    target port: 1\n    "
    shows(PR_READ_FULL_STATUS, p, sizeof(p),
          REGISTRANT "initiator: Fibre Channel port 21000024ff010203\n");
    id[0] = 4;
    shows(PR_READ_FULL_STATUS, p, sizeof(p),
          REGISTRANT "initiator: SRP port 21000024ff0102030400000000000000\n");
    id[0] = 9;
    shows(PR_READ_FULL_STATUS, p, sizeof(p),
          REGISTRANT "transport id:\n"
                     "      0000  09 00 00 00 00 00 00 00 21 00 00 24 ff 01 02 03  "
                     "........!..$....\n"
                     "      0010  04 00 00 00 00 00 00 00                          ........\n");
}

/* ---- PERSISTENT RESERVE OUT ---- */

static void list_of_registering(void **state)
{
    (void)state;
    static const char *const others[] = { "iqn.a:b,i,0x1", "iqn.a:longer,i,0x80aabbccddee" };
    const struct pr_out_list l = { .code = PR_REGISTER,
                                   .key = 0x0102030405060708,
                                   .service = 9,
                                   .aptpl = true,
                                   .all_ports = true,
                                   .others = others,
                                   .other_count = 2 };
    struct err_text e = { "" };
    uint8_t p[PR_OUT_BYTES];
    size_t len;
    assert_int_equal(pr_out_build(&l, p, &len, &e), 0);
    assert_int_equal(len, 24 + 4 + (4 + 20) + (4 + 32));
    assert_memory_equal(p, "\1\2\3\4\5\6\7\x08\0\0\0\0\0\0\0\x09\0\0\0\0\x0d\0\0\0", 24);
    assert_memory_equal(p + 24, "\0\0\0\x3c", 4);
    assert_memory_equal(p + 28, "\x45\0\0\x14iqn.a:b,i,0x1\0\0\0\0\0\0\0", 24);
    assert_memory_equal(p + 52, "\x45\0\0\x20iqn.a:longer,i,0x80aabbccddee\0\0\0", 36);
}

static void list_of_a_move(void **state)
{
    (void)state;
    const char *to = "iqn.2025-01.io.usan.test:to";
    struct pr_out_list l = { .code = PR_REGISTER_AND_MOVE,
                             .key = 1,
                             .service = 2,
                             .aptpl = true,
                             .unregister = true,
                             .to_port = 0x0102,
                             .others = &to,
                             .other_count = 1 };
    struct err_text e = { "" };
    uint8_t p[PR_OUT_BYTES], isid[6];
    char port[64];
    size_t len;
    pr_isid(to, isid); /* the one that usan pr of that name has */
    (void)snprintf(port, sizeof(port), "%s,i,0x%02x%02x%02x%02x%02x%02x", to, isid[0], isid[1],
                   isid[2], isid[3], isid[4], isid[5]);
    assert_int_equal(strlen(port), 44);
    assert_int_equal(pr_out_build(&l, p, &len, &e), 0);
    assert_int_equal(len, 24 + 4 + 48);
    assert_memory_equal(p + 16, "\0\x03\x01\x02\0\0\0\x34", 8);
    assert_memory_equal(p + 24, "\x45\0\0\x30", 4);
    assert_string_equal((const char *)p + 28, port);
    l.aptpl = l.unregister = false;
    assert_int_equal(pr_out_build(&l, p, &len, &e), 0);
    assert_int_equal(p[17], 0);
}

static void names_that_are_none(void **state)
{
    (void)state;
    char longest[225];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    memcpy(longest, "iqn.", 4);
    const char *bad[] = { "",        "host",         "iqn.a,i,0x", "iqn.a,i,0x1g",
                          "iqn.a,b", "iqn.a,i,0x1,", "iqn.a b",    "iqn.a,i,0x1234567890abc",
                          ",i,0x1",  longest };
    struct pr_out_list l = { .code = PR_REGISTER, .other_count = 1 };
    struct err_text e = { "" };
    uint8_t p[PR_OUT_BYTES];
    size_t len;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        l.others = &bad[i];
        assert_int_equal(pr_out_build(&l, p, &len, &e), USAN_EINVAL);
    }
    longest[223] = 0; /* the longest there may be */
    l.others = &bad[9];
    assert_int_equal(pr_out_build(&l, p, &len, &e), 0);
    assert_int_equal(len, 24 + 4 + 4 + 244);
    const char *many[PR_IDS_MAX + 1];
    for (size_t i = 0; i <= PR_IDS_MAX; i++)
        many[i] = longest;
    l.others = many;
    l.other_count = PR_IDS_MAX + 1;
    assert_int_equal(pr_out_build(&l, p, &len, &e), USAN_ELIMIT);
    l.other_count = PR_IDS_MAX;
    assert_int_equal(pr_out_build(&l, p, &len, &e), 0);
    assert_true(len <= PR_OUT_BYTES);
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
        cmocka_unit_test(keys),           cmocka_unit_test(reservation),
        cmocka_unit_test(capabilities),   cmocka_unit_test(full_status),
        cmocka_unit_test(transports),     cmocka_unit_test(list_of_registering),
        cmocka_unit_test(list_of_a_move), cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
