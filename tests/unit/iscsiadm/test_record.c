/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records: values that are taken and refused, files read and written, secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iscsiadm/record.h"

static struct adm_record *new_record(enum adm_kind kind)
{
    struct adm_record *r = NULL;
    assert_int_equal(adm_record_new(kind, &r), 0);
    return r;
}

static int load(struct adm_record *r, const char *text, bool only_known, struct err_text *e)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(f);
    int err = adm_record_load(r, f, "FILE", only_known, e);
    fclose(f);
    return err;
}

static char *saved(const struct adm_record *r, bool show, bool secrets)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    if (show)
        adm_record_show(r, secrets, f);
    else
        adm_record_save(r, f);
    fclose(f);
    return text;
}

static void defaults(void **state)
{
    (void)state;
    struct adm_record *r = new_record(ADM_NODE);
    assert_string_equal(adm_record_get(r, "node.startup"), "manual");
    assert_string_equal(adm_record_get(r, "node.session.auth.username"), "");
    assert_string_equal(adm_record_get(r, "no.such.name"), "");
    assert_int_equal(adm_record_number(r, "node.session.timeo.replacement_timeout", 7), 120);
    assert_int_equal(adm_record_number(r, "node.tpgt", 7), -1);
    assert_int_equal(adm_record_number(r, "node.startup", 7), 7);
    /* What stands in it has the values it takes. */
    for (unsigned i = 0; i < r->count; i++) {
        if (*r->v[i].value && !adm_param_takes(r->v[i].param, r->v[i].value))
            fail_msg("%s = %s", r->v[i].name, r->v[i].value);
    }
    adm_record_free(r);
}

static void sets(struct adm_record *r, const char *name, const char *value)
{
    struct err_text e = { "" };
    if (adm_record_set(r, name, value, &e))
        fail_msg("%s", e.text);
}

static void refuses(struct adm_record *r, const char *name, const char *value, const char *why)
{
    struct err_text e = { "" };
    char before[64];
    (void)snprintf(before, sizeof(before), "%s", adm_record_get(r, name));
    assert_int_equal(adm_record_set(r, name, value, &e), USAN_EINVAL);
    assert_string_equal(e.text, why);
    assert_string_equal(adm_record_get(r, name), before);
}

static void values(void **state)
{
    (void)state;
    struct adm_record *r = new_record(ADM_NODE);
    sets(r, "node.startup", "automatic");
    sets(r, "node.session.timeo.replacement_timeout", "-1");
    sets(r, "node.session.iscsi.InitialR2T", "Yes");
    sets(r, "node.conn[0].iscsi.HeaderDigest", "CRC32C,None");
    sets(r, "node.session.auth.username", "some body");
    assert_string_equal(adm_record_get(r, "node.session.auth.username"), "some body");
    sets(r, "node.session.auth.username", "<empty>");
    assert_string_equal(adm_record_get(r, "node.session.auth.username"), "");
    refuses(r, "node.foo", "1", "there is no parameter 'node.foo'");
    refuses(r, "node.startup", "now",
            "node.startup: can not be 'now'; use manual|automatic|onboot");
    refuses(r, "node.startup", "auto",
            "node.startup: can not be 'auto'; use manual|automatic|onboot");
    refuses(r, "node.session.cmds_max", "12x",
            "node.session.cmds_max: can not be '12x'; use a number");
    refuses(r, "node.session.iscsi.InitialR2T", "yes",
            "node.session.iscsi.InitialR2T: can not be 'yes'; use Yes or No");
    refuses(r, "node.session.auth.username", "a\nnode.startup = x",
            "node.session.auth.username: the value is too long, or more than a line");
    adm_record_free(r);
}

static void files(void **state)
{
    (void)state;
    struct adm_record *r = new_record(ADM_IFACE), *again = new_record(ADM_IFACE);
    struct err_text e = { "" };
    static const char text[] = "# BEGIN RECORD 2.1.8\n  iface.iscsi_ifacename =  one \r\n\n"
                               "iface.mtu=9000\niface.new_thing = of another = version\n"
                               "iface.hwaddress = <empty>\n# END RECORD";
    assert_int_equal(load(r, text, false, &e), 0);
    assert_string_equal(adm_record_get(r, "iface.iscsi_ifacename"), "one");
    assert_int_equal(adm_record_number(r, "iface.mtu", 0), 9000);
    assert_string_equal(adm_record_get(r, "iface.new_thing"), "of another = version");
    assert_string_equal(adm_record_get(r, "iface.hwaddress"), "");
    char *a = saved(r, false, false);
    assert_non_null(strstr(a, "\niface.new_thing = of another = version\n# END RECORD\n"));
    assert_null(strstr(a, "hwaddress"));
    /* What was written is read as the same. */
    assert_int_equal(load(again, a, false, &e), 0);
    char *b = saved(again, false, false);
    assert_string_equal(a, b);
    free(a);
    free(b);
    adm_record_free(again);
    again = new_record(ADM_IFACE);
    assert_int_equal(load(again, text, true, &e), 0);
    assert_string_equal(adm_record_get(again, "iface.new_thing"), "");
    assert_int_equal(adm_record_number(again, "iface.mtu", 0), 9000);
    adm_record_free(again);
    adm_record_free(r);
}

static void bad_files(void **state)
{
    (void)state;
    struct adm_record *r = new_record(ADM_IFACE);
    struct err_text e = { "" };
    char line[4096];
    assert_int_equal(load(r, "iface.mtu = 1\niface.mtu 2\n", false, &e), USAN_EINVAL);
    assert_string_equal(e.text, "FILE: line 2: is not NAME = VALUE");
    assert_int_equal(load(r, "= 2\n", false, &e), USAN_EINVAL);
    memset(line, 'x', sizeof(line));
    memcpy(line, "iface.mtu = ", 12);
    line[sizeof(line) - 1] = 0;
    assert_int_equal(load(r, line, false, &e), USAN_EINVAL);
    assert_string_equal(e.text, "FILE: line 1: is too long");
    /* More names than there is room for. */
    size_t cap = ADM_FIELDS_MAX * 16;
    char *many = malloc(cap);
    assert_non_null(many);
    size_t n = 0;
    for (int i = 0; i < ADM_FIELDS_MAX; i++)
        n += (size_t)snprintf(many + n, cap - n, "name%d = 1\n", i);
    assert_int_equal(load(r, many, false, &e), USAN_ELIMIT);
    free(many);
    adm_record_free(r);
}

static void secrets(void **state)
{
    (void)state;
    struct adm_record *r = new_record(ADM_NODE);
    sets(r, "node.session.auth.password", "hidden-thing");
    char *a = saved(r, true, false);
    assert_null(strstr(a, "hidden-thing"));
    assert_non_null(strstr(a, "\nnode.session.auth.password = ********\n"));
    assert_non_null(strstr(a, "\nnode.session.auth.password_in = <empty>\n"));
    free(a);
    a = saved(r, true, true);
    assert_non_null(strstr(a, "\nnode.session.auth.password = hidden-thing\n"));
    free(a);
    a = saved(r, false, false); /* the file has to have it */
    assert_non_null(strstr(a, "\nnode.session.auth.password = hidden-thing\n"));
    free(a);
    adm_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),  cmocka_unit_test(values),  cmocka_unit_test(files),
        cmocka_unit_test(bad_files), cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
