/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The node database: portals in words, the layout of its files, and names that lead elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iscsiadm/db.h"

static char folder[] = "/tmp/usan-db-XXXXXX";
static struct adm_db db;

/* ---- portals ---- */

static void portal_is(const char *text, const char *address, unsigned port, int tpgt)
{
    struct adm_key k = { .tpgt = 77 };
    struct err_text e = { "" };
    if (adm_parse_portal(text, &k, &e))
        fail_msg("%s", e.text);
    assert_string_equal(k.address, address);
    assert_int_equal(k.port, port);
    assert_int_equal(k.tpgt, tpgt);
}

static void portals(void **state)
{
    (void)state;
    portal_is("10.0.0.1", "10.0.0.1", 0, -1);
    portal_is("10.0.0.1:3261", "10.0.0.1", 3261, -1);
    portal_is("10.0.0.1:3260,1", "10.0.0.1", 3260, 1);
    portal_is("10.0.0.1,3", "10.0.0.1", 0, 3);
    portal_is("host.example:1,65535", "host.example", 1, 65535);
    portal_is("[fe80::1]", "fe80::1", 0, -1);
    portal_is("[fe80::1]:3261,2", "fe80::1", 3261, 2);
    portal_is("fe80::1", "fe80::1", 0, -1);
    static const char *const bad[] = { "",          ":3260",         "10.0.0.1:",     "10.0.0.1:0",
                                       "a:65536",   "a:3260,",       "a:3260,x",      "a,65536",
                                       "[fe80::1",  "[fe80::1]3260", "[]:3260",       "a/b:3260",
                                       "../x:3260", "a b",           "[::1]:3260,-1", "a:+5" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct adm_key k;
        struct err_text e = { "" };
        if (adm_parse_portal(bad[i], &k, &e) != USAN_EINVAL)
            fail_msg("'%s' is taken", bad[i]);
        assert_non_null(strstr(e.text, "is no portal"));
    }
    assert_string_equal(adm_portal_text("10.0.0.1", 3260).s, "10.0.0.1:3260");
    assert_string_equal(adm_portal_text("fe80::1", 1).s, "[fe80::1]:1");
}

/* ---- files ---- */

static struct adm_key key_of(const char *target, const char *address, int tpgt, const char *iface)
{
    struct adm_key k = { .port = 3260, .tpgt = tpgt };
    (void)snprintf(k.target, sizeof(k.target), "%s", target);
    (void)snprintf(k.address, sizeof(k.address), "%s", address);
    (void)snprintf(k.iface, sizeof(k.iface), "%s", iface);
    return k;
}

static int add(const struct adm_key *k, const struct adm_key *portal)
{
    struct adm_record *r = NULL;
    int err = adm_db_new(&db, ADM_NODE, k, &r, NULL);
    if (!err)
        err = adm_db_write(&db, k, r, NULL);
    if (!err)
        err = adm_db_link(&db, k, portal, NULL);
    adm_record_free(r);
    return err;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static size_t count_nodes(void)
{
    struct adm_keys keys;
    assert_int_equal(adm_db_nodes(&db, &keys, NULL), 0);
    size_t n = keys.count;
    adm_keys_fini(&keys);
    return n;
}

static void layout(void **state)
{
    (void)state;
    struct adm_key portal = key_of("", "10.0.0.9", -1, "");
    struct adm_key a = key_of("iqn.2020-01.x:a", "10.0.0.1", 1, "default");
    struct adm_key b = key_of("iqn.2020-01.x:a", "fe80::1", 2, "default");
    struct adm_key c = key_of("iqn.2020-01.x:c", "10.0.0.1", -1, "default");
    struct adm_keys keys;
    struct stat st;
    assert_int_equal(count_nodes(), 0); /* no folder at all */
    assert_int_equal(add(&a, &portal), 0);
    assert_int_equal(add(&b, NULL), 0);
    assert_int_equal(add(&c, NULL), 0);
    assert_true(exists("nodes/iqn.2020-01.x:a/10.0.0.1,3260,1/default"));
    assert_true(exists("nodes/iqn.2020-01.x:a/fe80::1,3260,2/default"));
    assert_true(exists("nodes/iqn.2020-01.x:c/10.0.0.1,3260"));
    assert_true(exists("send_targets/10.0.0.9,3260/iqn.2020-01.x:a,10.0.0.1,3260,1,default"));
    assert_true(exists("static/iqn.2020-01.x:a,fe80::1,3260,2,default"));
    assert_int_equal(stat("nodes/iqn.2020-01.x:c/10.0.0.1,3260", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* there may be a password in it */
    /* What others keep there does not harm. */
    put_file("nodes/iqn.2020-01.x:a/notes", "");
    put_file("nodes/README", "");
    assert_int_equal(adm_db_nodes(&db, &keys, NULL), 0);
    assert_int_equal(keys.count, 3);
    assert_string_equal(keys.v[0].address, "10.0.0.1");
    assert_int_equal(keys.v[0].tpgt, 1);
    assert_string_equal(keys.v[1].address, "fe80::1");
    assert_string_equal(keys.v[2].target, "iqn.2020-01.x:c");
    assert_int_equal(keys.v[2].tpgt, -1);
    adm_keys_fini(&keys);
    assert_int_equal(adm_db_links(&db, &portal, &keys, NULL), 0);
    assert_int_equal(keys.count, 1);
    assert_true(adm_key_matches(&keys.v[0], &a));
    adm_keys_fini(&keys);
    unlink("nodes/iqn.2020-01.x:a/notes");
    /* and away with it: links, folders */
    assert_int_equal(adm_db_delete(&db, ADM_NODE, &a, NULL), 0);
    assert_false(exists("send_targets/10.0.0.9,3260/iqn.2020-01.x:a,10.0.0.1,3260,1,default"));
    assert_true(exists("nodes/iqn.2020-01.x:a/fe80::1,3260,2/default"));
    assert_int_equal(adm_db_delete(&db, ADM_NODE, &b, NULL), 0);
    assert_false(exists("nodes/iqn.2020-01.x:a"));
    assert_false(exists("static/iqn.2020-01.x:a,fe80::1,3260,2,default"));
    assert_int_equal(adm_db_delete(&db, ADM_NODE, &b, NULL), USAN_ENOENT);
    assert_int_equal(adm_db_delete(&db, ADM_NODE, &c, NULL), 0);
    assert_int_equal(count_nodes(), 0);
}

/* New records have what iscsid.conf and the interface say. */
static void new_ones(void **state)
{
    (void)state;
    struct adm_key k = key_of("iqn.2020-01.x:a", "10.0.0.1", 1, "fast");
    struct adm_record *r = NULL;
    assert_int_equal(adm_db_new(&db, ADM_NODE, &k, &r, NULL), USAN_ENOENT); /* no such interface */
    mkdir("ifaces", 0700);
    put_file("ifaces/fast", "iface.iscsi_ifacename = fast\niface.initiatorname = iqn.me\n");
    put_file("iscsid.conf", "iscsid.startup = x\nnode.startup = automatic\n"
                            "discovery.sendtargets.timeo.login_timeout = 3\n");
    assert_int_equal(adm_db_new(&db, ADM_NODE, &k, &r, NULL), 0);
    assert_string_equal(adm_record_get(r, "node.startup"), "automatic");
    assert_string_equal(adm_record_get(r, "iface.initiatorname"), "iqn.me");
    assert_string_equal(adm_record_get(r, "node.name"), "iqn.2020-01.x:a");
    assert_int_equal(adm_record_number(r, "node.conn[0].port", 0), 3260);
    assert_string_equal(adm_record_get(r, "iscsid.startup"), "");
    adm_record_free(r);
    assert_int_equal(adm_db_new(&db, ADM_SENDTARGETS, &k, &r, NULL), 0);
    assert_int_equal(adm_record_number(r, "discovery.sendtargets.timeo.login_timeout", 0), 3);
    assert_string_equal(adm_record_get(r, "discovery.sendtargets.address"), "10.0.0.1");
    adm_record_free(r);
    unlink("iscsid.conf");
    unlink("ifaces/fast");
    rmdir("ifaces");
}

/* A target is free to call itself anything. */
static void elsewhere(void **state)
{
    (void)state;
    static const char *const bad[] = { "../../../tmp/x", "..", ".", "", "a/b", "a\nb", ".hidden" };
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct adm_key k = key_of(bad[i], "10.0.0.1", 1, "default");
        assert_int_equal(add(&k, NULL), USAN_EINVAL);
        assert_int_equal(adm_db_read(&db, ADM_NODE, &k, &r, &e), USAN_EINVAL);
        assert_non_null(strstr(e.text, "can not be the name of a file"));
        assert_int_equal(adm_db_delete(&db, ADM_NODE, &k, NULL), USAN_EINVAL);
        struct adm_key iface = key_of("iqn.a", "10.0.0.1", 1, bad[i]);
        assert_int_equal(add(&iface, NULL), USAN_EINVAL);
    }
    assert_int_equal(count_nodes(), 0);
}

static void matching(void **state)
{
    (void)state;
    struct adm_key k = key_of("iqn.a", "10.0.0.1", 1, "default");
    struct adm_key like = { .tpgt = -1 };
    assert_true(adm_key_matches(&k, &like));
    like.port = 3260;
    assert_true(adm_key_matches(&k, &like));
    like.tpgt = 2;
    assert_false(adm_key_matches(&k, &like));
    like.tpgt = 1;
    (void)snprintf(like.address, sizeof(like.address), "10.0.0.1");
    assert_true(adm_key_matches(&k, &like));
    (void)snprintf(like.target, sizeof(like.target), "iqn.b");
    assert_false(adm_key_matches(&k, &like));
    like = (struct adm_key){ .tpgt = -1, .iface = "other" };
    assert_false(adm_key_matches(&k, &like));
}

static void roots(void **state)
{
    (void)state;
    struct adm_db d;
    unsetenv("USAN_ISCSI_DIR");
    assert_int_equal(adm_db_init(&d, NULL, NULL), 0);
    assert_string_equal(d.root, "/etc/iscsi");
    setenv("USAN_ISCSI_DIR", "/somewhere", 1);
    assert_int_equal(adm_db_init(&d, NULL, NULL), 0);
    assert_string_equal(d.root, "/somewhere");
    assert_int_equal(adm_db_init(&d, "/else", NULL), 0);
    assert_string_equal(d.root, "/else");
}

static int enter(void **state)
{
    (void)state;
    return !mkdtemp(folder) || chdir(folder) || adm_db_init(&db, folder, NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") || nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portals),   cmocka_unit_test(layout),   cmocka_unit_test(new_ones),
        cmocka_unit_test(elsewhere), cmocka_unit_test(matching), cmocka_unit_test(roots),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
