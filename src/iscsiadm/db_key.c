/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of records: what stands in paths and on the command line, and which there are. */
#include "iscsiadm/db_path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A decimal number of the whole text. */
static bool parse_number(const char *text, long min, long max, long *ret)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (!*text || *end || v < min || v > max || *text == '+' || *text == ' ')
        return false;
    *ret = v;
    return true;
}

/* ---- portals ---- */

static int no_portal(const char *text, struct err_text *e)
{
    return err_set(e, USAN_EINVAL, "'%.80s' is no portal; write ADDRESS[:PORT][,TAG]", text);
}

int adm_parse_portal(const char *text, struct adm_key *ret, struct err_text *e)
{
    char buf[ADM_ADDRESS_MAX + 32];
    long port = 0, tag = -1;
    if (strlen(text) >= sizeof(buf))
        return no_portal(text, e);
    (void)snprintf(buf, sizeof(buf), "%s", text);
    char *comma = strrchr(buf, ',');
    if (comma && !parse_number(comma + 1, 0, 65535, &tag))
        return no_portal(text, e);
    if (comma)
        *comma = 0;
    char *address = buf, *colon = strrchr(buf, ':');
    if (*buf == '[') {
        char *end = strchr(buf, ']');
        if (!end || (end[1] && end[1] != ':'))
            return no_portal(text, e);
        colon = end[1] ? end + 1 : NULL;
        address = buf + 1;
        *end = 0;
    } else if (colon && strchr(buf, ':') != colon) {
        colon = NULL; /* an IPv6 address without brackets has no port */
    }
    if (colon) {
        *colon = 0;
        if (!parse_number(colon + 1, 1, 65535, &port))
            return no_portal(text, e);
    }
    size_t n = strlen(address);
    if (!n || n > ADM_ADDRESS_MAX || strpbrk(address, "/, []"))
        return no_portal(text, e);
    memcpy(ret->address, address, n + 1);
    ret->port = (uint16_t)port;
    ret->tpgt = (int)tag;
    return 0;
}

struct adm_portal_text adm_portal_text(const char *address, uint16_t port)
{
    struct adm_portal_text t;
    bool six = strchr(address, ':') != NULL;
    (void)snprintf(t.s, sizeof(t.s), "%s%s%s:%u", six ? "[" : "", address, six ? "]" : "", port);
    return t;
}

/* ---- matching ---- */

bool adm_key_matches(const struct adm_key *key, const struct adm_key *like)
{
    return (!*like->target || strcmp(like->target, key->target) == 0) &&
           (!*like->address || strcmp(like->address, key->address) == 0) &&
           (!like->port || like->port == key->port) &&
           (like->tpgt < 0 || like->tpgt == key->tpgt) &&
           (!*like->iface || strcmp(like->iface, key->iface) == 0);
}

static int compare(const void *a, const void *b)
{
    const struct adm_key *x = a, *y = b;
    int c = strcmp(x->target, y->target);
    if (!c)
        c = strcmp(x->address, y->address);
    if (!c)
        c = (x->port > y->port) - (x->port < y->port);
    if (!c)
        c = (x->tpgt > y->tpgt) - (x->tpgt < y->tpgt);
    return c ? c : strcmp(x->iface, y->iface);
}

void adm_keys_fini(struct adm_keys *keys)
{
    free(keys->v);
    *keys = (struct adm_keys){ .v = NULL };
}

/* ---- what there is ---- */

struct walk {
    const struct adm_db *db;
    struct adm_keys *keys;
    struct adm_key key; /* as far as it is known */
    struct err_text *e;
};

static int add(struct walk *w)
{
    struct adm_keys *k = w->keys;
    if (k->count == ADM_KEYS_MAX)
        return USAN_ELIMIT;
    struct adm_key *v = reallocarray(k->v, k->count + 1, sizeof(*v));
    if (!v)
        return USAN_ENOMEM;
    k->v = v;
    k->v[k->count++] = w->key;
    return 0;
}

/* "ADDRESS,PORT" or "ADDRESS,PORT,TPGT"; false: it is something else's. */
static bool parse_entry(const char *name, bool tpgt, struct adm_key *ret)
{
    char buf[NAME_MAX + 1];
    long port, tag = -1;
    (void)snprintf(buf, sizeof(buf), "%s", name);
    char *comma = strrchr(buf, ',');
    if (comma && tpgt) {
        if (!parse_number(comma + 1, -1, 65535, &tag))
            return false;
        *comma = 0;
        comma = strrchr(buf, ',');
    }
    if (!comma || !parse_number(comma + 1, 1, 65535, &port))
        return false;
    *comma = 0;
    if (!*buf || strlen(buf) > ADM_ADDRESS_MAX)
        return false;
    (void)snprintf(ret->address, sizeof(ret->address), "%s", buf);
    ret->port = (uint16_t)port;
    ret->tpgt = (int)tag;
    return true;
}

static int on_iface(void *arg, const char *name)
{
    struct walk *w = arg;
    if (strlen(name) > ADM_IFACE_MAX)
        return 0;
    (void)snprintf(w->key.iface, sizeof(w->key.iface), "%s", name);
    return add(w);
}

static int on_portal(void *arg, const char *name)
{
    struct walk *w = arg;
    struct adm_path path;
    struct stat st;
    if (adm_path(w->db, &path, NULL, "nodes", w->key.target, name, NULL) || stat(path.s, &st))
        return 0;
    if (S_ISDIR(st.st_mode))
        return parse_entry(name, true, &w->key) ? adm_path_each(path.s, on_iface, w, w->e) : 0;
    (void)snprintf(w->key.iface, sizeof(w->key.iface), "default");
    return parse_entry(name, false, &w->key) ? add(w) : 0;
}

static int on_target(void *arg, const char *name)
{
    struct walk *w = arg;
    struct adm_path path;
    if (strlen(name) > ADM_TARGET_MAX || adm_path(w->db, &path, NULL, "nodes", name, NULL))
        return 0;
    (void)snprintf(w->key.target, sizeof(w->key.target), "%s", name);
    return adm_path_each(path.s, on_portal, w, w->e);
}

/* "TARGET,ADDRESS,PORT,TPGT,IFACE"; what is none is something else's. */
static int on_link(void *arg, const char *name)
{
    struct walk *w = arg;
    char buf[NAME_MAX + 1];
    (void)snprintf(buf, sizeof(buf), "%s", name);
    char *iface = strrchr(buf, ',');
    char *target = strchr(buf, ',');
    if (!iface || iface == target || strlen(iface + 1) > ADM_IFACE_MAX)
        return 0;
    *iface++ = 0;
    *target++ = 0;
    if (!parse_entry(target, true, &w->key) || strlen(buf) > ADM_TARGET_MAX)
        return 0;
    (void)snprintf(w->key.target, sizeof(w->key.target), "%s", buf);
    (void)snprintf(w->key.iface, sizeof(w->key.iface), "%s", iface);
    return add(w);
}

static int on_discovery(void *arg, const char *name)
{
    struct walk *w = arg;
    return parse_entry(name, false, &w->key) ? add(w) : 0;
}

static int list(const struct adm_db *db, const char *folder, const char *below,
                int (*entry)(void *arg, const char *name), struct adm_keys *ret, struct err_text *e)
{
    struct adm_path path;
    struct adm_keys keys = { .count = 0 };
    struct walk w = { .db = db, .keys = &keys, .key = { .tpgt = -1 }, .e = e };
    int err = adm_path(db, &path, e, folder, below, NULL);
    if (!err)
        err = adm_path_each(path.s, entry, &w, e);
    if (err) {
        adm_keys_fini(&keys);
        return err;
    }
    if (keys.count)
        qsort(keys.v, keys.count, sizeof(keys.v[0]), compare);
    *ret = keys;
    return 0;
}

int adm_db_nodes(const struct adm_db *db, struct adm_keys *ret, struct err_text *e)
{
    return list(db, "nodes", NULL, on_target, ret, e);
}

int adm_db_portals(const struct adm_db *db, struct adm_keys *ret, struct err_text *e)
{
    return list(db, "send_targets", NULL, on_discovery, ret, e);
}

int adm_db_ifaces(const struct adm_db *db, struct adm_keys *ret, struct err_text *e)
{
    return list(db, "ifaces", NULL, on_iface, ret, e);
}

int adm_db_links(const struct adm_db *db, const struct adm_key *portal, struct adm_keys *ret,
                 struct err_text *e)
{
    if (!portal)
        return list(db, "static", NULL, on_link, ret, e);
    return list(db, "send_targets", adm_part_portal(portal, false).s, on_link, ret, e);
}
