/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a record of open-iscsi to the URL that says the same: values, secrets, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "cli/adm_url.h"

static char folder[] = "/tmp/usan-adm-XXXXXX";
static struct adm a;

static struct adm_record *record(enum adm_kind kind)
{
    struct adm_record *r = NULL;
    assert_int_equal(adm_record_new(kind, &r), 0);
    return r;
}

static void put(struct adm_record *r, const char *name, const char *value)
{
    struct err_text e = { "" };
    if (adm_record_set(r, name, value, &e))
        fail_msg("%s", e.text);
}

static unsigned secrets;
static const char *secret_file(void *arg, const char *value)
{
    assert_ptr_equal(arg, &secrets);
    secrets++;
    return strcmp(value, "secret & more") == 0 ? "/run/a file" : NULL;
}

static void text_is(const struct adm_record *r, const char *want)
{
    struct ini_url url = { .port = 0 };
    struct err_text e = { "" };
    struct adm_url_options o;
    char text[ADM_URL_TEXT_MAX];
    if (adm_url_make(&a, r, "fe80::1", 3261, "iqn.2020-01.x:t", &url, &e))
        fail_msg("%s", e.text);
    adm_url_options(&a, r, &o);
    assert_int_equal(adm_url_text(&url, &o, secret_file, &secrets, text, sizeof(text)), 0);
    assert_string_equal(text, want);
    /* It is one, and says the same. */
    struct ini_url again = { .port = 0 };
    if (!o.count || !secrets) {
        if (ini_url_parse(text, &again, &e))
            fail_msg("%s", e.text);
        assert_int_equal(again.reconnect_timeout_ns, url.reconnect_timeout_ns);
        assert_int_equal(again.login_timeout_ns, url.login_timeout_ns);
        assert_int_equal(again.queue_depth, url.queue_depth);
        assert_int_equal(again.header_digest, url.header_digest);
        assert_string_equal(again.initiator, url.initiator);
    }
    ini_url_wipe(&url);
}

#define BASE "iscsi://[fe80::1]:3261/iqn.2020-01.x:t"

static void node(void **state)
{
    (void)state;
    struct adm_record *r = record(ADM_NODE);
    secrets = 0;
    put(r, "node.session.timeo.replacement_timeout", "60"); /* what a URL has by itself */
    put(r, "node.conn[0].timeo.login_timeout", "15");
    put(r, "node.conn[0].timeo.noop_out_interval", "10");
    put(r, "node.conn[0].timeo.noop_out_timeout", "10");
    put(r, "node.session.iscsi.MaxBurstLength", "1048576");
    put(r, "node.session.iscsi.MaxOutstandingR2T", "8");
    text_is(r, BASE);
    put(r, "node.session.timeo.replacement_timeout", "-1");
    put(r, "node.session.cmds_max", "64");
    put(r, "node.session.iscsi.InitialR2T", "Yes");
    put(r, "node.conn[0].iscsi.HeaderDigest", "CRC32C");
    put(r, "node.conn[0].iscsi.DataDigest", "CRC32C,None");
    put(r, "iface.initiatorname", "iqn.2020-01.x:me");
    text_is(r, BASE "?initiator=iqn.2020-01.x:me&reconnect_timeout=3153600000s&queue_depth=64"
                    "&initial_r2t=yes&header_digest=crc32c&data_digest=crc32c-none");
    assert_int_equal(secrets, 0);
    adm_record_free(r);
}

static void chap(void **state)
{
    (void)state;
    struct adm_record *r = record(ADM_NODE);
    struct ini_url url = { .port = 0 };
    secrets = 0;
    for (unsigned i = 0; i < r->count; i++) { /* nothing else */
        if (strncmp(r->v[i].name, "node.conn", 9) == 0 ||
            strncmp(r->v[i].name, "node.session", 12) == 0)
            assert_int_equal(adm_record_put(r, r->v[i].name, ""), 0);
    }
    put(r, "node.session.auth.username", "some body");
    put(r, "node.session.auth.password", "secret & more");
    put(r, "node.session.auth.chap_algs", "SHA256,MD5");
    text_is(r, BASE); /* no CHAP without the method */
    put(r, "node.session.auth.authmethod", "CHAP");
    text_is(r, BASE "?user=some%20body&password_file=/run/a%20file&chap_hashes=sha256%2cmd5");
    assert_int_equal(secrets, 1);
    assert_int_equal(adm_url_make(&a, r, "h", 1, "iqn.2020-01.x:t", &url, NULL), 0);
    assert_string_equal(url.user, "some body");
    assert_string_equal(url.secret, "secret & more");
    ini_url_wipe(&url);
    adm_record_free(r);
}

static void portal(void **state)
{
    (void)state;
    struct adm_record *r = record(ADM_SENDTARGETS);
    struct ini_url url = { .port = 0 };
    put(r, "discovery.sendtargets.auth.authmethod", "CHAP");
    put(r, "discovery.sendtargets.auth.username", "joe");
    put(r, "discovery.sendtargets.auth.password", "123456789012");
    put(r, "discovery.sendtargets.timeo.login_timeout", "3");
    assert_int_equal(adm_url_make(&a, r, "10.0.0.1", 3260, "", &url, NULL), 0);
    assert_string_equal(url.host, "10.0.0.1");
    assert_string_equal(url.target, "");
    assert_string_equal(url.user, "joe");
    assert_string_equal(url.secret, "123456789012");
    assert_int_equal(url.login_timeout_ns, 3000000000ull);
    ini_url_wipe(&url);
    adm_record_free(r);
}

/* The database has a name for this machine; a record's own goes before. */
static void initiator(void **state)
{
    (void)state;
    struct adm_record *r = record(ADM_NODE);
    struct ini_url url = { .port = 0 };
    FILE *f = fopen("initiatorname.iscsi", "w");
    assert_non_null(f);
    fputs("## a comment\nInitiatorName=iqn.2020-01.x:machine \n", f);
    fclose(f);
    assert_int_equal(adm_url_make(&a, r, "h", 1, "iqn.2020-01.x:t", &url, NULL), 0);
    assert_string_equal(url.initiator, "iqn.2020-01.x:machine");
    put(r, "iface.initiatorname", "iqn.2020-01.x:own");
    assert_int_equal(adm_url_make(&a, r, "h", 1, "iqn.2020-01.x:t", &url, NULL), 0);
    assert_string_equal(url.initiator, "iqn.2020-01.x:own");
    ini_url_wipe(&url);
    unlink("initiatorname.iscsi");
    adm_record_free(r);
}

static void codes(void **state)
{
    (void)state;
    assert_int_equal(adm_session_code(USAN_EAUTH), 24);
    assert_int_equal(adm_session_code(USAN_ETIMEOUT), 8);
    assert_int_equal(adm_session_code(USAN_ENOENT), 19);
    assert_int_equal(adm_session_code(USAN_ECLOSED), 4);
    assert_int_equal(adm_session_code(USAN_EINVAL), 7);
}

static int enter(void **state)
{
    (void)state;
    a = (struct adm){ .cmd = NULL };
    return !mkdtemp(folder) || chdir(folder) || adm_db_init(&a.db, folder, NULL);
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node),      cmocka_unit_test(chap),  cmocka_unit_test(portal),
        cmocka_unit_test(initiator), cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
