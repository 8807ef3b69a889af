/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan iscsiadm -m node and -m iface. */
#include "cli/adm.h"

#include <stdio.h>
#include <string.h>

/* Those that match; none is an error. */
static enum adm_code matching(const struct adm *a, struct adm_keys *ret)
{
    struct err_text e = { "" };
    int err = adm_db_nodes(&a->db, ret, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    size_t n = 0;
    for (size_t i = 0; i < ret->count; i++) {
        if (adm_key_matches(&ret->v[i], &a->like))
            ret->v[n++] = ret->v[i];
    }
    ret->count = n;
    if (n)
        return ADM_OK;
    adm_keys_fini(ret);
    return adm_fail(a, ADM_NOTHING_FOUND,
                    "no record of a node matches; -m discovery -t sendtargets "
                    "-p ADDRESS makes some");
}

/* ---- -m node ---- */

static enum adm_code new_node(const struct adm *a)
{
    struct err_text e = { "" };
    struct adm_key key = a->like;
    struct adm_record *r = NULL;
    if (!*key.target || !*key.address)
        return adm_fail(a, ADM_INVALID, "new: needs --targetname and --portal");
    if (!key.port)
        key.port = ADM_PORT;
    if (!*key.iface)
        (void)snprintf(key.iface, sizeof(key.iface), "default");
    int err = adm_db_new(&a->db, ADM_NODE, &key, &r, &e);
    enum adm_code code = err ? adm_fail_db(a, err, &e) : adm_update(a, r);
    if (!code) {
        err = adm_record_put(r, "node.discovery_type", "static");
        if (!err)
            err = adm_db_write(&a->db, &key, r, &e);
        if (!err)
            err = adm_db_link(&a->db, &key, NULL, &e);
        code = err ? adm_fail_db(a, err, &e) : ADM_OK;
    }
    adm_record_free(r);
    if (!code)
        printf("New iSCSI node [tcp:[hw=,ip=,net_if=,iscsi_if=%s] %s,%u,%d %s] added\n", key.iface,
               key.address, key.port, key.tpgt, key.target);
    return code;
}

static enum adm_code update_node(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    int err = adm_db_read(&a->db, ADM_NODE, key, &r, &e);
    enum adm_code code = err ? adm_fail_db(a, err, &e) : adm_update(a, r);
    if (!code) {
        err = adm_db_write(&a->db, key, r, &e);
        code = err ? adm_fail_db(a, err, &e) : ADM_OK;
    }
    adm_record_free(r);
    return code;
}

static enum adm_code delete_node(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    enum adm_code code = adm_no_session(a, key);
    if (code)
        return code;
    int err = adm_db_delete(&a->db, ADM_NODE, key, &e);
    return err ? adm_fail_db(a, err, &e) : ADM_OK;
}

static enum adm_code show_node(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    int err = adm_db_read(&a->db, ADM_NODE, key, &r, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    adm_record_show(r, a->args->show, stdout);
    adm_record_free(r);
    return ADM_OK;
}

static enum adm_code login_node(const struct adm *a, const struct adm_key *key)
{
    const char *wanted = a->args->loginall;
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    if (!wanted || strcmp(wanted, "all") == 0)
        return adm_login(a, key);
    int err = adm_db_read(&a->db, ADM_NODE, key, &r, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    bool same = strcmp(adm_record_get(r, "node.startup"), wanted) == 0;
    adm_record_free(r);
    return same ? adm_login(a, key) : ADM_OK;
}

/* The first failure is the code; the others are tried all the same. */
static enum adm_code each(const struct adm *a,
                          enum adm_code (*f)(const struct adm *a, const struct adm_key *key))
{
    struct adm_keys keys;
    enum adm_code code = matching(a, &keys);
    if (code)
        return code;
    for (size_t i = 0; i < keys.count; i++) {
        enum adm_code c = f(a, &keys.v[i]);
        code = code ? code : c;
    }
    adm_keys_fini(&keys);
    return code;
}

static enum adm_code list_nodes(const struct adm *a)
{
    struct adm_keys keys;
    enum adm_code code = matching(a, &keys);
    if (code)
        return code;
    if (a->args->print == 1)
        adm_print_tree(&keys, "");
    for (size_t i = 0; a->args->print != 1 && i < keys.count; i++) {
        const struct adm_key *k = &keys.v[i];
        /* A tag that is not known is -1, as a number without a sign. */
        printf("%s,%u %s\n", adm_portal_text(k->address, k->port).s, (unsigned)k->tpgt, k->target);
    }
    adm_keys_fini(&keys);
    return ADM_OK;
}

enum adm_code adm_mode_node(const struct adm *a)
{
    const struct adm_args *args = a->args;
    if (args->login || args->loginall)
        return each(a, login_node);
    if (args->logout || args->logoutall)
        return adm_logout(a, &a->like, args->logoutall);
    if (args->rescan)
        return adm_rescan(a, &a->like);
    if (adm_op(a, "new"))
        return new_node(a);
    if (adm_op(a, "update"))
        return each(a, update_node);
    if (adm_op(a, "delete"))
        return each(a, delete_node);
    if (adm_op(a, "nonpersistent"))
        return adm_fail(a, ADM_INVALID, "nonpersistent: is for discovery");
    if (adm_op(a, "show") || *a->like.target || *a->like.address)
        return each(a, show_node);
    return list_nodes(a);
}

/* ---- -m iface ---- */

/* "default" needs no file. */
static int read_iface(const struct adm *a, const struct adm_key *key, struct adm_record **ret,
                      struct err_text *e)
{
    int err = adm_db_read(&a->db, ADM_IFACE, key, ret, e);
    if (err == USAN_ENOENT && strcmp(key->iface, "default") == 0)
        err = adm_db_new(&a->db, ADM_IFACE, key, ret, e);
    return err;
}

static const char *or_empty(const char *value)
{
    return *value ? value : "<empty>";
}

static enum adm_code list_iface(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    int err = read_iface(a, key, &r, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    printf("%s %s,%s,%s,%s,%s\n", key->iface, adm_record_get(r, "iface.transport_name"),
           or_empty(adm_record_get(r, "iface.hwaddress")),
           or_empty(adm_record_get(r, "iface.ipaddress")),
           or_empty(adm_record_get(r, "iface.net_ifacename")),
           or_empty(adm_record_get(r, "iface.initiatorname")));
    adm_record_free(r);
    return ADM_OK;
}

/* The interface and what is reached through it. */
static enum adm_code tree_iface(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    struct adm_keys nodes;
    const struct adm_key *last = NULL;
    int err = adm_db_nodes(&a->db, &nodes, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    printf("Iface: %s\n", key->iface);
    for (size_t i = 0; i < nodes.count; i++) {
        const struct adm_key *k = &nodes.v[i];
        if (strcmp(k->iface, key->iface) != 0)
            continue;
        if (!last || strcmp(last->target, k->target) != 0)
            printf("\tTarget: %s\n", k->target);
        printf("\t\tPortal: %s,%d\n", adm_portal_text(k->address, k->port).s, k->tpgt);
        last = k;
    }
    adm_keys_fini(&nodes);
    return ADM_OK;
}

static enum adm_code list_ifaces(const struct adm *a)
{
    struct err_text e = { "" };
    struct adm_keys keys;
    enum adm_code code = ADM_OK;
    bool has_default = false;
    static const struct adm_key def = { .iface = "default" };
    int err = adm_db_ifaces(&a->db, &keys, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    for (size_t i = 0; i <= keys.count; i++) {
        if (i == keys.count && has_default)
            break;
        const struct adm_key *key = i < keys.count ? &keys.v[i] : &def;
        has_default |= strcmp(key->iface, "default") == 0;
        enum adm_code c = a->args->print == 1 ? tree_iface(a, key) : list_iface(a, key);
        code = code ? code : c;
    }
    adm_keys_fini(&keys);
    return code;
}

static enum adm_code write_iface(const struct adm *a, bool fresh)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    int err =
        fresh ? adm_db_new(&a->db, ADM_IFACE, &a->like, &r, &e) : read_iface(a, &a->like, &r, &e);
    enum adm_code code = err ? adm_fail_db(a, err, &e) : adm_update(a, r);
    if (!code) {
        err = adm_db_write(&a->db, &a->like, r, &e);
        code = err ? adm_fail_db(a, err, &e) : ADM_OK;
    }
    adm_record_free(r);
    if (!code)
        printf(fresh ? "New interface %s added\n" : "%s updated.\n", a->like.iface);
    return code;
}

enum adm_code adm_mode_iface(const struct adm *a)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    if (!*a->like.iface)
        return a->args->op && !adm_op(a, "show") ? adm_fail(a, ADM_INVALID, "needs --interface")
                                                 : list_ifaces(a);
    if (adm_op(a, "new") || adm_op(a, "update"))
        return write_iface(a, adm_op(a, "new"));
    int err = adm_op(a, "delete") ? adm_db_delete(&a->db, ADM_IFACE, &a->like, &e)
                                  : read_iface(a, &a->like, &r, &e);
    if (err == USAN_ENOENT)
        return adm_fail(a, ADM_NOTHING_FOUND, "there is no interface '%s'", a->like.iface);
    if (err)
        return adm_fail_db(a, err, &e);
    if (r)
        adm_record_show(r, a->args->show, stdout);
    else
        printf("%s unbound and deleted.\n", a->like.iface);
    adm_record_free(r);
    return ADM_OK;
}
