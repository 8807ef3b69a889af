/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan iscsiadm -m discovery and -m discoverydb. */
#include "cli/adm_url.h"
#include "cli/output.h"
#include "initiator/portal.h"
#include "initiator/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what was found ---- */

/* "address:port,tag" as a key of target; false: it is no address, or no name. */
static bool make_key(const char *target, const char *address, const char *iface,
                     struct adm_key *ret)
{
    *ret = (struct adm_key){ .tpgt = -1 };
    if (strlen(target) > ADM_TARGET_MAX || adm_parse_portal(address, ret, NULL))
        return false;
    if (!ret->port)
        ret->port = ADM_PORT;
    (void)snprintf(ret->target, sizeof(ret->target), "%s", target);
    (void)snprintf(ret->iface, sizeof(ret->iface), "%s", *iface ? iface : "default");
    return true;
}

static int add_key(struct adm_keys *keys, const struct adm_key *key)
{
    struct adm_key *v = reallocarray(keys->v, keys->count + 1, sizeof(*v));
    if (!v)
        return USAN_ENOMEM;
    keys->v = v;
    keys->v[keys->count++] = *key;
    return 0;
}

/* Ask the portal. */
static enum adm_code ask(const struct adm *a, const struct adm_record *r,
                         const struct adm_key *portal, struct adm_keys *ret)
{
    struct ini_url url = { .port = 0 };
    struct ini_sync *sync = NULL;
    struct ini_targets t = { .count = 0 };
    struct err_text e = { "" };
    int err = adm_url_make(a, r, portal->address, portal->port, "", &url, &e);
    url.reconnect_timeout_ns = 0;
    if (!err)
        err = ini_sync_open(&url, &sync, &e);
    if (!err)
        err = ini_sync_targets(sync, &t, &e);
    ini_sync_close(sync);
    ini_url_wipe(&url);
    for (size_t i = 0; !err && i < t.count; i++) {
        for (size_t k = 0; !err && k < t.v[i].address_count; k++) {
            struct adm_key key;
            if (make_key(t.v[i].name, t.v[i].addresses[k], a->like.iface, &key))
                err = add_key(ret, &key);
            else
                (void)adm_fail(a, ADM_OK, "left out: '%.80s' at '%.80s'", t.v[i].name,
                               t.v[i].addresses[k]);
        }
    }
    ini_targets_fini(&t);
    return err ? adm_fail(a, adm_session_code(err), "%s", *e.text ? e.text : usan_strerror(err))
               : ADM_OK;
}

static bool contains(const struct adm_keys *keys, const struct adm_key *key)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (adm_key_matches(&keys->v[i], key) && keys->v[i].tpgt == key->tpgt)
            return true;
    }
    return false;
}

/* ---- into the database ---- */

/* What authentication the portal was asked with, its nodes do not get: they have their own. */
static int add_node(const struct adm *a, const struct adm_key *portal, const struct adm_key *key,
                    struct err_text *e)
{
    struct adm_record *r = NULL, *old = NULL;
    char number[16];
    bool there = adm_db_read(&a->db, ADM_NODE, key, &old, NULL) == 0;
    adm_record_free(old);
    int err = 0;
    if (!there || adm_op(a, "update")) {
        err = adm_db_new(&a->db, ADM_NODE, key, &r, e);
        (void)snprintf(number, sizeof(number), "%u", portal->port);
        if (!err && (adm_record_put(r, "node.discovery_address", portal->address) ||
                     adm_record_put(r, "node.discovery_port", number) ||
                     adm_record_put(r, "node.discovery_type", "send_targets")))
            err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
        if (!err)
            err = adm_db_write(&a->db, key, r, e);
        adm_record_free(r);
    }
    return err ? err : adm_db_link(&a->db, key, portal, e);
}

/* What the portal told of earlier, and tells of no more. */
static int drop_gone(const struct adm *a, const struct adm_key *portal,
                     const struct adm_keys *found, struct err_text *e)
{
    struct adm_keys old;
    int err = adm_db_links(&a->db, portal, &old, e);
    for (size_t i = 0; !err && i < old.count; i++) {
        if (contains(found, &old.v[i]))
            continue;
        err = adm_db_delete(&a->db, ADM_NODE, &old.v[i], e);
        err = err == USAN_ENOENT ? 0 : err;
    }
    if (!err)
        adm_keys_fini(&old);
    return err;
}

static enum adm_code store(const struct adm *a, const struct adm_record *r,
                           const struct adm_key *portal, const struct adm_keys *found)
{
    struct err_text e = { "" };
    bool none = !a->args->op;
    int err = adm_db_write(&a->db, portal, r, &e);
    if (!err && (none || adm_op(a, "delete")))
        err = drop_gone(a, portal, found, &e);
    for (size_t i = 0; !err && i < found->count; i++) {
        bool wanted = none || adm_op(a, "new");
        struct adm_record *old = NULL;
        if (!wanted && adm_op(a, "update")) /* only those that are there */
            wanted = adm_db_read(&a->db, ADM_NODE, &found->v[i], &old, NULL) == 0;
        adm_record_free(old);
        if (wanted)
            err = add_node(a, portal, &found->v[i], &e);
    }
    return err ? adm_fail_db(a, err, &e) : ADM_OK;
}

static enum adm_code login_all(const struct adm *a, const struct adm_keys *found)
{
    enum adm_code code = ADM_OK;
    for (size_t i = 0; i < found->count; i++) {
        enum adm_code c = adm_login(a, &found->v[i]);
        code = code ? code : c;
    }
    return code;
}

static enum adm_code discover(const struct adm *a, const struct adm_record *r,
                              const struct adm_key *portal)
{
    struct adm_keys found = { .count = 0 };
    enum adm_code code = ask(a, r, portal, &found);
    if (!code && !found.count)
        code = adm_fail(a, ADM_NOTHING_FOUND, "%s has no targets for this initiator",
                        adm_portal_text(portal->address, portal->port).s);
    if (!code && !adm_op(a, "nonpersistent"))
        code = store(a, r, portal, &found);
    for (size_t i = 0; !code && i < found.count; i++)
        printf("%s,%d %s\n", adm_portal_text(found.v[i].address, found.v[i].port).s,
               found.v[i].tpgt, found.v[i].target);
    cli_output_flush();
    if (!code && a->args->login)
        code = login_all(a, &found);
    adm_keys_fini(&found);
    return code;
}

/* ---- lists ---- */

static int print_found(const struct adm *a, const struct adm_key *portal, struct err_text *e)
{
    struct adm_keys keys;
    int err = adm_db_links(&a->db, portal, &keys, e);
    if (err)
        return err;
    adm_print_tree(&keys, "");
    if (!portal && !keys.count)
        puts("No targets found.");
    adm_keys_fini(&keys);
    return 0;
}

static enum adm_code list_portals(const struct adm *a)
{
    struct err_text e = { "" };
    struct adm_keys portals;
    int err = adm_db_portals(&a->db, &portals, &e);
    bool tree = a->args->print == 1;
    if (err)
        return adm_fail_db(a, err, &e);
    if (!portals.count && !tree)
        return adm_fail(a, ADM_NOTHING_FOUND, "no portal was asked for targets as yet");
    if (tree)
        puts("SENDTARGETS:");
    for (size_t i = 0; !err && i < portals.count; i++) {
        const struct adm_key *p = &portals.v[i];
        if (!tree) {
            printf("%s via sendtargets\n", adm_portal_text(p->address, p->port).s);
            continue;
        }
        printf("DiscoveryAddress: %s,%u\n", p->address, p->port);
        err = print_found(a, p, &e);
    }
    if (tree && !portals.count)
        puts("No targets found.");
    if (tree)
        puts("iSNS:\nNo targets found.\nSTATIC:");
    if (tree && !err)
        err = print_found(a, NULL, &e);
    if (tree)
        puts("FIRMWARE:\nNo targets found.");
    adm_keys_fini(&portals);
    return err ? adm_fail_db(a, err, &e) : ADM_OK;
}

/* ---- modes ---- */

/* The portal of -p; needs the type, too. */
static enum adm_code portal_of(const struct adm *a, struct adm_key *ret)
{
    if (!a->args->type)
        return adm_fail(a, ADM_INVALID, "needs --type sendtargets");
    if (!*a->like.address)
        return adm_fail(a, ADM_INVALID, "needs --portal ADDRESS[:PORT]");
    *ret = a->like;
    if (!ret->port)
        ret->port = ADM_PORT;
    return ADM_OK;
}

/* The record there is, or one with the defaults. */
static enum adm_code portal_record(const struct adm *a, const struct adm_key *portal, bool may_new,
                                   struct adm_record **ret)
{
    struct err_text e = { "" };
    int err = adm_db_read(&a->db, ADM_SENDTARGETS, portal, ret, &e);
    if (err == USAN_ENOENT && may_new)
        err = adm_db_new(&a->db, ADM_SENDTARGETS, portal, ret, &e);
    if (err == USAN_ENOENT)
        return adm_fail(a, ADM_DATABASE, "there is no discovery record of %s",
                        adm_portal_text(portal->address, portal->port).s);
    return err ? adm_fail_db(a, err, &e) : ADM_OK;
}

enum adm_code adm_mode_discovery(const struct adm *a)
{
    struct adm_key portal = { .tpgt = -1 };
    struct adm_record *r = NULL;
    if (!a->args->type && !*a->like.address)
        return list_portals(a);
    enum adm_code code = portal_of(a, &portal);
    if (!code)
        code = portal_record(a, &portal, true, &r);
    if (!code)
        code = discover(a, r, &portal);
    adm_record_free(r);
    return code;
}

static enum adm_code change_portal(const struct adm *a, const struct adm_key *portal)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    int err;
    if (adm_op(a, "delete")) {
        enum adm_code code = portal_record(a, portal, false, &r);
        adm_record_free(r);
        if (code)
            return code;
        err = adm_db_delete(&a->db, ADM_SENDTARGETS, portal, &e);
        return err ? adm_fail_db(a, err, &e) : ADM_OK;
    }
    bool fresh = adm_op(a, "new");
    enum adm_code code = portal_record(a, portal, fresh, &r);
    if (!code)
        code = adm_update(a, r);
    if (!code) {
        err = adm_db_write(&a->db, portal, r, &e);
        code = err ? adm_fail_db(a, err, &e) : ADM_OK;
    }
    adm_record_free(r);
    if (!code && fresh)
        printf("New discovery record for [%s,%u] added.\n", portal->address, portal->port);
    return code;
}

enum adm_code adm_mode_discoverydb(const struct adm *a)
{
    struct adm_key portal = { .tpgt = -1 };
    struct adm_record *r = NULL;
    if (!a->args->type && !*a->like.address)
        return list_portals(a);
    enum adm_code code = portal_of(a, &portal);
    if (code)
        return code;
    if (!a->args->discover && a->args->op && !adm_op(a, "show"))
        return change_portal(a, &portal);
    code = portal_record(a, &portal, a->args->discover, &r);
    if (!code && a->args->discover)
        code = discover(a, r, &portal);
    else if (!code)
        adm_record_show(r, a->args->show, stdout);
    adm_record_free(r);
    return code;
}
