/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/adm_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum how { TEXT, SECRET, YES_NO, SECONDS, LOWER, DIGEST };

struct mapping {
    const char *name, *key;
    enum how how;
};

static const struct mapping node_map[] = {
    { "iface.initiatorname", "initiator", TEXT },
    { "node.session.timeo.replacement_timeout", "reconnect_timeout", SECONDS },
    { "node.session.cmds_max", "queue_depth", TEXT },
    { "node.session.iscsi.MaxConnections", "connections", TEXT },
    { "node.session.iscsi.InitialR2T", "initial_r2t", YES_NO },
    { "node.session.iscsi.ImmediateData", "immediate_data", YES_NO },
    { "node.session.iscsi.FirstBurstLength", "first_burst", TEXT },
    { "node.session.iscsi.MaxBurstLength", "max_burst", TEXT },
    { "node.session.iscsi.MaxOutstandingR2T", "max_r2t", TEXT },
    { "node.conn[0].iscsi.MaxRecvDataSegmentLength", "max_segment", TEXT },
    { "node.conn[0].iscsi.HeaderDigest", "header_digest", DIGEST },
    { "node.conn[0].iscsi.DataDigest", "data_digest", DIGEST },
    { "node.conn[0].timeo.login_timeout", "login_timeout", SECONDS },
    { "node.conn[0].timeo.noop_out_interval", "nop_interval", SECONDS },
    { "node.conn[0].timeo.noop_out_timeout", "nop_timeout", SECONDS },
    { 0 },
};

static const struct mapping node_auth[] = {
    { "node.session.auth.username", "user", TEXT },
    { "node.session.auth.password", "password", SECRET },
    { "node.session.auth.username_in", "target_user", TEXT },
    { "node.session.auth.password_in", "target_password", SECRET },
    { "node.session.auth.chap_algs", "chap_hashes", LOWER },
    { 0 },
};

static const struct mapping portal_map[] = {
    { "discovery.sendtargets.timeo.login_timeout", "login_timeout", SECONDS },
    { 0 },
};

static const struct mapping portal_auth[] = {
    { "discovery.sendtargets.auth.username", "user", TEXT },
    { "discovery.sendtargets.auth.password", "password", SECRET },
    { "discovery.sendtargets.auth.username_in", "target_user", TEXT },
    { "discovery.sendtargets.auth.password_in", "target_password", SECRET },
    { "node.session.auth.chap_algs", "chap_hashes", LOWER },
    { 0 },
};

/* ---- values ---- */

/* Negative: for ever; a century is. */
static void put_seconds(const char *value, char *buf, size_t cap)
{
    long v = strtol(value, NULL, 10);
    (void)snprintf(buf, cap, "%lds", v < 0 ? 100l * 365 * 86400 : v);
}

static void put_digest(const char *value, char *buf, size_t cap)
{
    const char *word = "none";
    if (strcmp(value, "CRC32C") == 0)
        word = "crc32c";
    else if (strstr(value, "CRC32C"))
        word = "crc32c-none";
    (void)snprintf(buf, cap, "%s", word);
}

static void put_lower(const char *value, char *buf, size_t cap)
{
    size_t n = 0;
    for (; value[n] && n + 1 < cap; n++)
        buf[n] = (char)tolower((unsigned char)value[n]);
    buf[n] = 0;
}

static void add(struct adm_url_options *o, const struct mapping *m, const char *value)
{
    struct adm_url_option *to = &o->v[o->count];
    if (!*value || o->count == ADM_URL_OPTIONS_MAX)
        return;
    *to = (struct adm_url_option){ .key = m->key, .secret = m->how == SECRET };
    switch (m->how) {
    case TEXT:
    case SECRET:
        (void)snprintf(to->value, sizeof(to->value), "%s", value);
        break;
    case YES_NO:
        (void)snprintf(to->value, sizeof(to->value), "%s",
                       strcmp(value, "Yes") == 0 ? "yes" : "no");
        break;
    case SECONDS:
        put_seconds(value, to->value, sizeof(to->value));
        break;
    case LOWER:
        put_lower(value, to->value, sizeof(to->value));
        break;
    case DIGEST:
        put_digest(value, to->value, sizeof(to->value));
        break;
    }
    o->count++;
}

static void add_all(struct adm_url_options *o, const struct mapping *map,
                    const struct adm_record *r)
{
    for (; map->name; map++)
        add(o, map, adm_record_get(r, map->name));
}

/* "InitiatorName=iqn..." of the database; empty: the machine's own will do. */
static void read_initiator(const struct adm *a, char *buf, size_t cap)
{
    char path[ADM_ROOT_MAX + 32], line[512];
    *buf = 0;
    (void)snprintf(path, sizeof(path), "%s/initiatorname.iscsi", a->db.root);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "InitiatorName=", 14) != 0)
            continue;
        line[strcspn(line, " \t\r\n")] = 0;
        (void)snprintf(buf, cap, "%.*s", (int)cap - 1, line + 14);
    }
    (void)fclose(f);
}

void adm_url_options(const struct adm *a, const struct adm_record *r, struct adm_url_options *ret)
{
    bool node = r->kind == ADM_NODE;
    const char *method = adm_record_get(r, node ? "node.session.auth.authmethod"
                                                : "discovery.sendtargets.auth.authmethod");
    char name[ADM_TARGET_MAX + 1];
    ret->count = 0;
    add_all(ret, node ? node_map : portal_map, r);
    if (strcmp(method, "CHAP") == 0)
        add_all(ret, node ? node_auth : portal_auth, r);
    if (node && *adm_record_get(r, "iface.initiatorname"))
        return;
    static const struct mapping initiator = { NULL, "initiator", TEXT };
    read_initiator(a, name, sizeof(name));
    add(ret, &initiator, name);
}

void adm_url_options_wipe(struct adm_url_options *o)
{
    explicit_bzero(o, sizeof(*o));
}

/* ---- URLs ---- */

int adm_url_make(const struct adm *a, const struct adm_record *r, const char *address,
                 uint16_t port, const char *target, struct ini_url *ret_url, struct err_text *e)
{
    char text[ADM_ADDRESS_MAX + ADM_TARGET_MAX + 64];
    struct adm_url_options *o = malloc(sizeof(*o));
    if (!o)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    adm_url_options(a, r, o);
    (void)snprintf(text, sizeof(text), "iscsi://%s%s%s", adm_portal_text(address, port).s,
                   *target ? "/" : "", target);
    int err = ini_url_parse_parts(text, ret_url, e);
    for (unsigned i = 0; !err && i < o->count; i++)
        err = ini_url_set_option(ret_url, o->v[i].key, o->v[i].value, e);
    if (!err)
        err = ini_url_check(ret_url, e);
    adm_url_options_wipe(o);
    free(o);
    return err;
}

/* "256K" as bytes; a number by itself. */
static unsigned long long amount(const char *text)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);
    return *end == 'K' ? v << 10 : *end == 'M' ? v << 20 : v;
}

/* Would the URL say the same without it? */
static bool is_default(const struct adm_url_option *v)
{
    const struct store_opt_desc *d = ini_url_opts;
    while (d->key && strcmp(d->key, v->key) != 0)
        d++;
    if (!d->key || v->secret)
        return false;
    bool number = strcmp(d->type, "size") == 0 || strcmp(d->type, "uint") == 0;
    return number ? amount(v->value) == amount(d->def) : strcmp(v->value, d->def) == 0;
}

/* What would end a value, or is not for URLs, as %HH. */
static size_t escape(const char *value, char *buf, size_t cap)
{
    size_t n = 0;
    for (; *value && n + 4 < cap; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = isalnum(c) || strchr("-._~:/", c);
        n += (size_t)snprintf(buf + n, cap - n, plain ? "%c" : "%%%02x", c);
    }
    return n;
}

int adm_url_text(const struct ini_url *url, const struct adm_url_options *o,
                 const char *(*secret_file)(void *arg, const char *value), void *arg, char *buf,
                 size_t cap)
{
    struct ini_url plain = *url;
    plain.user[0] = 0; /* it is among the options */
    ini_url_text(&plain, buf, cap);
    ini_url_wipe(&plain);
    size_t n = strlen(buf);
    char sep = '?';
    for (unsigned i = 0; i < o->count; i++) {
        const struct adm_url_option *v = &o->v[i];
        if (is_default(v))
            continue;
        const char *value = v->secret ? secret_file(arg, v->value) : v->value;
        if (!value)
            return USAN_EIO;
        if (n + 3 * strlen(value) + 64 > cap)
            return USAN_ERANGE;
        n += (size_t)snprintf(buf + n, cap - n, "%c%s%s=", sep, v->key, v->secret ? "_file" : "");
        n += escape(value, buf + n, cap - n);
        buf[n] = 0;
        sep = '&';
    }
    return 0;
}

enum adm_code adm_session_code(int err)
{
    switch (err) {
    case USAN_EAUTH:
    case USAN_EPERM:
        return ADM_AUTH_FAILED;
    case USAN_ETIMEOUT:
        return ADM_TIMEOUT;
    case USAN_ENOENT:
        return ADM_FATAL_LOGIN;
    case USAN_ENOMEM:
        return ADM_NO_MEMORY;
    case USAN_EINVAL:
    case USAN_ERANGE:
        return ADM_INVALID;
    case USAN_EPROTO:
        return ADM_LOGIN;
    default:
        return ADM_TRANSPORT;
    }
}
