/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"
#include "iscsi/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void good_names(void **st)
{
    (void)st;
    static const struct {
        const char *in, *out;
        enum iscsi_name_type type;
    } cases[] = {
        { "iqn.2001-04.com.example", "iqn.2001-04.com.example", ISCSI_NAME_IQN },
        { "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
          "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309", ISCSI_NAME_IQN },
        { "IQN.1991-05.COM.Microsoft:Host1", "iqn.1991-05.com.microsoft:host1", ISCSI_NAME_IQN },
        { "iqn.1993-08.org.debian:01:5ac8c3f4d2e", "iqn.1993-08.org.debian:01:5ac8c3f4d2e",
          ISCSI_NAME_IQN },
        { "iqn.2016-04.com.example:gr\xc3\xbcn", "iqn.2016-04.com.example:gr\xc3\xbcn",
          ISCSI_NAME_IQN },
        { "eui.02004567A425678D", "eui.02004567a425678d", ISCSI_NAME_EUI },
        { "naa.52004567BA64678D", "naa.52004567ba64678d", ISCSI_NAME_NAA },
        { "naa.62004567BA64678D0123456789ABCDEF", "naa.62004567ba64678d0123456789abcdef",
          ISCSI_NAME_NAA },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[ISCSI_NAME_MAX + 1];
        enum iscsi_name_type type;
        assert_int_equal(iscsi_name_prepare(cases[i].in, strlen(cases[i].in), out, &type), 0);
        assert_string_equal(out, cases[i].out);
        assert_int_equal(type, cases[i].type);
        assert_true(iscsi_name_valid(cases[i].in));
    }
}

static void bad_names(void **st)
{
    (void)st;
    static const char *const cases[] = {
        "",
        "iqn.",
        "iqn.2",
        "iqn.2001-04",
        "iqn.2001-04.",
        "iqn.2001-00.com.example",
        "iqn.2001-13.com.example",
        "iqn.2001_04.com.example",
        "iqn.201-04.com.example",
        "iqn.2001-04.com..example",
        "iqn.2001-04.com.example.",
        "iqn.2001-04.com.ex\xc3\xa4mple",
        "iqn.2001-04.com.example:a_b",
        "iqn.2001-04.com.example:a b",
        "iqn.2001-04.com.example:a,i,0x1",
        "iqn.2001-04.com.example:a/b",
        "iqn.2001-04.com.example:\xff",
        "iqn.2001-04.com.example:\xc3",
        "iqn.2001-04.com.example:\xc0\xaf",         /* overlong */
        "iqn.2001-04.com.example:\xe0\x80\xaf",     /* overlong */
        "iqn.2001-04.com.example:\xf0\x80\x80\xaf", /* overlong */
        "iqn.2001-04.com.example:\xed\xa0\x80",     /* surrogate */
        "iqn.2001-04.com.example:\xf4\x90\x80\x80", /* past U+10FFFF */
        "iqn.2001-04.com.example:\xe3\x80\x82",     /* ideographic full stop */
        "iqn.2001-04.com.example:\xe2\x80\x8b",     /* zero width space */
        "iqn.2001-04.com.example:\xef\xbf\xbf",     /* no character */
        "iqn.2001-04.com.example:\xee\x80\x80",     /* private use */
        "eui.02004567A425678",
        "eui.02004567A425678D0",
        "eui.02004567A425678G",
        "naa.52004567BA64678",
        "naa.52004567BA64678D0",
        "naa.62004567BA64678D0123456789ABCDE",
        "naa.62004567BA64678D0123456789ABCDEF0",
        "nqn.2014-08.org.nvmexpress:x",
        "x",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[ISCSI_NAME_MAX + 1] = "untouched";
        assert_int_equal(iscsi_name_prepare(cases[i], strlen(cases[i]), out, NULL), USAN_EINVAL);
        assert_string_equal(out, "untouched");
        assert_false(iscsi_name_valid(cases[i]));
    }
    char out[ISCSI_NAME_MAX + 1];
    assert_int_equal(iscsi_name_prepare("iqn.2001-04.com.ex\0mple", 23, out, NULL), USAN_EINVAL);
}

static void length_limit(void **st)
{
    (void)st;
    char name[ISCSI_NAME_MAX + 2], out[ISCSI_NAME_MAX + 1];
    memset(name, 'a', sizeof(name));
    memcpy(name, "iqn.2001-04.com.example:", 24);
    name[223] = '\0';
    assert_true(iscsi_name_valid(name));
    assert_int_equal(iscsi_name_prepare(name, 223, out, NULL), 0);
    assert_string_equal(out, name);
    name[223] = 'a';
    name[224] = '\0';
    assert_false(iscsi_name_valid(name));
    assert_int_equal(iscsi_name_prepare(name, 224, out, NULL), USAN_EINVAL);
}

static void port_names(void **st)
{
    (void)st;
    static const uint8_t isid[6] = { 0x00, 0x02, 0x3d, 0xAB, 0xcd, 0xef };
    char out[ISCSI_PORT_NAME_MAX];
    iscsi_initiator_port_name("iqn.2001-04.com.example:a", isid, out);
    assert_string_equal(out, "iqn.2001-04.com.example:a,i,0x00023dabcdef");
    iscsi_target_port_name("iqn.2001-04.com.example:a", 0x1f, out);
    assert_string_equal(out, "iqn.2001-04.com.example:a,t,0x001f");
}

static void transport_id_port(void **st)
{
    (void)st;
    static const uint8_t isid[6] = { 0x00, 0x02, 0x3d, 0x00, 0x00, 0x01 };
    /* 42 characters and the NUL: padded to 44 = 0x2c */
    uint8_t want[48] = { 0x45, 0, 0, 0x2c };
    memcpy(want + 4, "iqn.2001-04.com.example:a,i,0x00023d000001", 42);
    uint8_t buf[ISCSI_TRANSPORT_ID_MAX];
    memset(buf, 0xff, sizeof(buf));
    assert_int_equal(iscsi_transport_id("iqn.2001-04.com.example:a", isid, buf, sizeof(buf)), 48);
    assert_memory_equal(buf, want, 48);
    assert_int_equal(buf[48], 0xff);
    assert_int_equal(iscsi_transport_id("iqn.2001-04.com.example:a", isid, buf, 48), 48);
    assert_int_equal(iscsi_transport_id("iqn.2001-04.com.example:a", isid, buf, 47), 0);
}

static void transport_id_device(void **st)
{
    (void)st;
    /* 13 characters: ADDITIONAL LENGTH is at least 20 */
    uint8_t want[24] = { 0x05, 0, 0, 20 };
    memcpy(want + 4, "iqn.2001-04.a", 13);
    uint8_t buf[ISCSI_TRANSPORT_ID_MAX];
    memset(buf, 0xff, sizeof(buf));
    assert_int_equal(iscsi_transport_id("iqn.2001-04.a", NULL, buf, sizeof(buf)), 24);
    assert_memory_equal(buf, want, 24);
    /* 24 characters: with its NUL 25, padded to 28 */
    uint8_t want2[32] = { 0x05, 0, 0, 28 };
    memcpy(want2 + 4, "iqn.2001-04.com.example1", 24);
    assert_int_equal(iscsi_transport_id("iqn.2001-04.com.example1", NULL, buf, sizeof(buf)), 32);
    assert_memory_equal(buf, want2, 32);
}

static void transport_id_longest(void **st)
{
    (void)st;
    static const uint8_t isid[6] = { 0x80, 1, 2, 3, 4, 5 };
    char name[ISCSI_NAME_MAX + 1];
    memset(name, 'a', sizeof(name));
    memcpy(name, "iqn.2001-04.com.example:", 24);
    name[223] = '\0';
    uint8_t buf[ISCSI_TRANSPORT_ID_MAX];
    /* 223 + 17 + NUL = 241, padded to 244 */
    assert_int_equal(iscsi_transport_id(name, isid, buf, sizeof(buf)), 248);
    assert_int_equal(be16_get(buf + 2), 244);
    assert_int_equal(buf[4 + 239], '5');
    assert_int_equal(buf[4 + 240], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names),           cmocka_unit_test(bad_names),
        cmocka_unit_test(length_limit),         cmocka_unit_test(port_names),
        cmocka_unit_test(transport_id_port),    cmocka_unit_test(transport_id_device),
        cmocka_unit_test(transport_id_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
