/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *copy_of(const char *s)
{
    char *copy = strdup(s);
    assert_non_null(copy);
    return copy;
}

/* One user, one target with one LUN: good as it is. */
static void make_good(struct tgt_config *c)
{
    tgt_config_init(c);
    struct tgt_config_user *u = tgt_config_add_user(c);
    u->name = copy_of("alice");
    u->secret = copy_of("alices-secret");
    u = tgt_config_add_user(c);
    u->name = copy_of("gate");
    u->secret = copy_of("gates-secret!");
    struct tgt_config_target *t = tgt_config_add_target(c);
    t->name = copy_of("IQN.2025-01.com.Example:One");
    struct tgt_config_lun *l = tgt_config_add_lun(t);
    l->store = copy_of("null:1G");
}

/* make_good, then `change`: the check fails with this text. */
static void check_fails(void (*change)(struct tgt_config *c), const char *text)
{
    struct tgt_config c;
    struct err_text e = { "" };
    make_good(&c);
    change(&c);
    assert_int_equal(tgt_config_check(&c, &e), USAN_EINVAL);
    assert_string_equal(e.text, text);
    tgt_config_fini(&c);
}

static void good_one_is_filled_in(void **state)
{
    (void)state;
    struct tgt_config c;
    struct err_text e = { "" };
    make_good(&c);
    assert_int_equal(tgt_config_check(&c, &e), 0);
    /* RFC 3722: names compare in lower case. */
    assert_string_equal(c.targets[0].name, "iqn.2025-01.com.example:one");
    assert_int_equal(c.portal_count, 1);
    assert_string_equal(c.portals[0].address, "::");
    assert_int_equal(c.portals[0].port, 3260);
    tgt_config_fini(&c);
}

static void brackets_of_a_url(struct tgt_config *c)
{
    struct tgt_config_portal *p = tgt_config_add_portal(c);
    p->address = copy_of("[fe80::1]");
}

static void portal_in_brackets(void **state)
{
    (void)state;
    struct tgt_config c;
    make_good(&c);
    brackets_of_a_url(&c);
    assert_int_equal(tgt_config_check(&c, NULL), 0);
    assert_string_equal(c.portals[0].address, "fe80::1");
    tgt_config_fini(&c);
}

static void address_with_port(struct tgt_config *c)
{
    tgt_config_add_portal(c)->address = copy_of("127.0.0.1:3261");
}

static void brackets_with_port(struct tgt_config *c)
{
    tgt_config_add_portal(c)->address = copy_of("[::1]:3262");
}

static void same_portal(struct tgt_config *c)
{
    tgt_config_add_portal(c)->address = copy_of("::1");
    tgt_config_add_portal(c)->address = copy_of("127.0.0.1");
    tgt_config_add_portal(c)->address = copy_of("0:0::1");
}

/* Other ports, and any free one twice. */
static void portals_that_differ(void **state)
{
    (void)state;
    static const uint16_t ports[] = { 3260, 3261, 0, 0 };
    struct tgt_config c;
    make_good(&c);
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        struct tgt_config_portal *p = tgt_config_add_portal(&c);
        p->address = copy_of("127.0.0.1");
        p->port = ports[i];
    }
    assert_int_equal(tgt_config_check(&c, NULL), 0);
    tgt_config_fini(&c);
}

/* RFC 7143 13.8: the default port is 3260, IPv6 addresses are in brackets. */
static void redirects(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sent; /* NULL: refused */
    } rows[] = {
        { "10.0.0.2:3260", "10.0.0.2:3260" },
        { "10.0.0.2", "10.0.0.2:3260" },
        { "disks.example.com", "disks.example.com:3260" },
        { "disks.example.com:1", "disks.example.com:1" },
        { "[fd00::2]:65535", "[fd00::2]:65535" },
        { "[fd00::2]", "[fd00::2]:3260" },
        { "fd00::2", "[fd00::2]:3260" },
        { "nonsense::", NULL },
        { "10.0.0.300:3260", NULL },
        { "10.0.0.2:0", NULL },
        { "10.0.0.2:65536", NULL },
        { "10.0.0.2:", NULL },
        { ":3260", NULL },
        { "[10.0.0.2]:3260", NULL },
        { "[]:3260", NULL },
        { "a b", NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tgt_config c;
        struct err_text e = { "" };
        make_good(&c);
        c.targets[0].redirect = copy_of(rows[i].text);
        int err = tgt_config_check(&c, &e);
        assert_int_equal(err, rows[i].sent ? 0 : USAN_EINVAL);
        if (rows[i].sent)
            assert_string_equal(c.targets[0].redirect, rows[i].sent);
        else
            assert_non_null(strstr(e.text, "is not HOST:PORT, such as 10.0.0.2:3260"));
        tgt_config_fini(&c);
    }
}

static void plain_ipv6(void **state)
{
    (void)state;
    struct tgt_config c;
    make_good(&c);
    tgt_config_add_portal(&c)->address = copy_of("fe80::1:3260"); /* an address to its end */
    assert_int_equal(tgt_config_check(&c, NULL), 0);
    tgt_config_fini(&c);
}

static void many_connections(struct tgt_config *c)
{
    c->limits.session_connections = 17;
}

static void no_target(struct tgt_config *c)
{
    tgt_config_fini(c);
}

static void bad_name(struct tgt_config *c)
{
    free(c->targets[0].name);
    c->targets[0].name = copy_of("disk 1");
}

static void same_name(struct tgt_config *c)
{
    struct tgt_config_target *t = tgt_config_add_target(c);
    t->name = copy_of("iqn.2025-01.com.example:one"); /* equal once it is normalised */
    tgt_config_add_lun(t)->store = copy_of("null:1G");
}

static void no_lun(struct tgt_config *c)
{
    struct tgt_config_target *t = tgt_config_add_target(c);
    t->name = copy_of("iqn.2025-01.com.example:two");
}

static void same_lun(struct tgt_config *c)
{
    tgt_config_add_lun(&c->targets[0])->store = copy_of("null:2G");
}

static void odd_block(struct tgt_config *c)
{
    c->targets[0].luns[0].block_bytes = 520;
}

static void odd_phys(struct tgt_config *c)
{
    c->targets[0].luns[0].phys_block_bytes = 3000;
}

static void short_naa(struct tgt_config *c)
{
    c->targets[0].luns[0].naa = copy_of("300");
}

static void naa_of_wrong_type(struct tgt_config *c)
{
    c->targets[0].luns[0].naa = copy_of("6000000000000001"); /* 6h has 16 bytes */
}

static void unknown_user(struct tgt_config *c)
{
    struct tgt_config_target *t = &c->targets[0];
    assert_int_equal(tgt_config_add_string(&t->users, &t->user_count, "bob"), 0);
}

static void mutual_alone(struct tgt_config *c)
{
    c->targets[0].mutual_user = copy_of("gate");
}

static void one_secret_for_both(struct tgt_config *c)
{
    struct tgt_config_target *t = &c->targets[0];
    assert_int_equal(tgt_config_add_string(&t->users, &t->user_count, "alice"), 0);
    t->mutual_user = copy_of("gate");
    free(c->users[1].secret);
    c->users[1].secret = copy_of("alices-secret");
}

static void short_secret(struct tgt_config *c)
{
    free(c->users[0].secret);
    c->users[0].secret = copy_of("elevenchars");
}

static void bad_ones_are_refused(void **state)
{
    (void)state;
    check_fails(many_connections, "limit of connections per session 17; use 1 to 16");
    check_fails(no_target, "nothing to serve; name at least one target");
    check_fails(address_with_port, "address '127.0.0.1:3261' has a port in it; use --port 3261");
    check_fails(brackets_with_port, "address '[::1]:3262' has a port in it; use --port 3262");
    check_fails(same_portal, "address '0:0::1' with port 3260 is there twice");
    check_fails(bad_name, "target disk 1: target name 'disk 1' is not an iSCSI name; use one like "
                          "iqn.2025-01.com.example:disk");
    check_fails(same_name, "target iqn.2025-01.com.example:one: target "
                           "'iqn.2025-01.com.example:one' is there twice");
    check_fails(no_lun, "target iqn.2025-01.com.example:two: no LUN; give it at least one, or a "
                        "redirect");
    check_fails(same_lun, "target iqn.2025-01.com.example:one: LUN 0 is there twice");
    check_fails(odd_block,
                "target iqn.2025-01.com.example:one: LUN 0: block size 520; it is 512 or 4096");
    check_fails(odd_phys, "target iqn.2025-01.com.example:one: LUN 0: physical block size 3000; "
                          "use a power of two from the block size to 1M");
    check_fails(short_naa, "target iqn.2025-01.com.example:one: LUN 0: naa '300' is not 16 or 32 "
                           "hexadecimal digits");
    check_fails(naa_of_wrong_type,
                "target iqn.2025-01.com.example:one: LUN 0: naa '6000000000000001' starts with 6; "
                "16 digits start with one of 235");
    check_fails(unknown_user, "target iqn.2025-01.com.example:one: user 'bob' is not defined; add "
                              "it to users");
    check_fails(mutual_alone, "target iqn.2025-01.com.example:one: mutual authentication needs "
                              "initiators that authenticate: name users too");
    check_fails(one_secret_for_both,
                "target iqn.2025-01.com.example:one: users 'alice' and 'gate' have one secret; the "
                "two directions need two");
    check_fails(short_secret, "the secret of user 'alice' has 11 characters; use 12 to 255");
}

/* ---- secrets ---- */

static char secret_path[] = "/tmp/usan-test-secret.XX"
                            "XX"
                            "XX";

static void write_secret(const char *bytes, size_t len)
{
    FILE *f = fopen(secret_path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static void secret_is_the_first_line(void **state)
{
    (void)state;
    static const char *const files[] = { "twelve-chars", "twelve-chars\n",
                                         "twelve-chars\r\nmore\n" };
    for (size_t i = 0; i < 3; i++) {
        char *s = NULL;
        write_secret(files[i], strlen(files[i]));
        assert_int_equal(tgt_config_read_secret(secret_path, &s, NULL), 0);
        assert_string_equal(s, "twelve-chars");
        free(s);
    }
}

static void secret_of_wrong_length(void **state)
{
    (void)state;
    char big[300];
    struct err_text e = { "" };
    char *s = NULL;
    memset(big, 'x', sizeof(big));
    write_secret(big, 255);
    assert_int_equal(tgt_config_read_secret(secret_path, &s, &e), 0);
    free(s);
    s = NULL;
    write_secret(big, 256);
    assert_int_equal(tgt_config_read_secret(secret_path, &s, &e), USAN_EINVAL);
    assert_non_null(strstr(e.text, "has more than 255 characters"));
    write_secret("eleven-char\n", 12);
    assert_int_equal(tgt_config_read_secret(secret_path, &s, &e), USAN_EINVAL);
    assert_non_null(strstr(e.text, "has fewer than 12 characters"));
    assert_null(s);
}

static int make_secret_file(void **state)
{
    (void)state;
    int fd = mkstemp(secret_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_secret_file(void **state)
{
    (void)state;
    return unlink(secret_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_one_is_filled_in),
        cmocka_unit_test(portal_in_brackets),
        cmocka_unit_test(portals_that_differ),
        cmocka_unit_test(redirects),
        cmocka_unit_test(plain_ipv6),
        cmocka_unit_test(bad_ones_are_refused),
        cmocka_unit_test(secret_is_the_first_line),
        cmocka_unit_test(secret_of_wrong_length),
    };
    return cmocka_run_group_tests(tests, make_secret_file, remove_secret_file);
}
