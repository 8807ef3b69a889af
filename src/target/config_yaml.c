/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/config_yaml.h"

#include "target/size.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- the keys ---- */

enum kind {
    K_TEXT,  /* char * */
    K_TEXTS, /* char ** at `at`, size_t at `count_at` */
    K_U8,    /* numbers, min to max */
    K_U16,
    K_U32,
    K_SIZE,   /* uint64_t bytes */
    K_SIZE32, /* uint32_t bytes */
    K_TIME,   /* uint64_t ns */
    K_BOOL,
    K_ENGINE,
    K_POLL,
    K_SECRET, /* char *: the content of the file that is named */
    K_MAP,    /* keys of `sub`, in the struct itself */
    K_LIST,   /* maps with keys of `sub`; `add` makes the struct */
};

struct key {
    const char *name;
    enum kind kind;
    size_t at, count_at;
    uint64_t min, max;
    const struct key *sub;
    void *(*add)(void *parent);
    size_t line_at; /* uint32_t in the struct that add makes; 0 = none */
};

static void *add_portal(void *cfg)
{
    return tgt_config_add_portal(cfg);
}

static void *add_user(void *cfg)
{
    return tgt_config_add_user(cfg);
}

static void *add_target(void *cfg)
{
    return tgt_config_add_target(cfg);
}

static void *add_lun(void *target)
{
    return tgt_config_add_lun(target);
}

#define CFG(field)    .at = offsetof(struct tgt_config, field)
#define PORTAL(field) .at = offsetof(struct tgt_config_portal, field)
#define USER(field)   .at = offsetof(struct tgt_config_user, field)
#define TARGET(field) .at = offsetof(struct tgt_config_target, field)
#define LUN(field)    .at = offsetof(struct tgt_config_lun, field)

static const struct key portal_keys[] = {
    { .name = "address", .kind = K_TEXT, PORTAL(address) },
    { .name = "port", .kind = K_U16, PORTAL(port), .max = 65535 },
    { 0 },
};

static const struct key user_keys[] = {
    { .name = "name", .kind = K_TEXT, USER(name) },
    { .name = "secret", .kind = K_TEXT, USER(secret) },
    { .name = "secret-file", .kind = K_SECRET, USER(secret) },
    { 0 },
};

static const struct key lun_keys[] = {
    { .name = "lun", .kind = K_U32, LUN(lun), .max = TGT_LUNS_MAX - 1 },
    { .name = "store", .kind = K_TEXT, LUN(store) },
    { .name = "block-size", .kind = K_SIZE32, LUN(block_bytes), .max = 4096 },
    { .name = "physical-block-size", .kind = K_SIZE32, LUN(phys_block_bytes), .max = 1 << 20 },
    { .name = "read-only", .kind = K_BOOL, LUN(read_only) },
    { .name = "thin", .kind = K_BOOL, LUN(thin) },
    { .name = "thin-threshold", .kind = K_U8, LUN(thin_threshold_pct), .max = 100 },
    { .name = "removable", .kind = K_BOOL, LUN(removable) },
    { .name = "write-through", .kind = K_BOOL, LUN(write_through) },
    { .name = "serial", .kind = K_TEXT, LUN(serial) },
    { .name = "naa", .kind = K_TEXT, LUN(naa) },
    { 0 },
};

static const struct key target_keys[] = {
    { .name = "name", .kind = K_TEXT, TARGET(name) },
    { .name = "alias", .kind = K_TEXT, TARGET(alias) },
    { .name = "initiators",
      .kind = K_TEXTS,
      TARGET(initiators),
      .count_at = offsetof(struct tgt_config_target, initiator_count) },
    { .name = "users",
      .kind = K_TEXTS,
      TARGET(users),
      .count_at = offsetof(struct tgt_config_target, user_count) },
    { .name = "mutual-user", .kind = K_TEXT, TARGET(mutual_user) },
    { .name = "redirect", .kind = K_TEXT, TARGET(redirect) },
    { .name = "luns",
      .kind = K_LIST,
      .sub = lun_keys,
      .add = add_lun,
      .line_at = offsetof(struct tgt_config_lun, line) },
    { 0 },
};

static const struct key discovery_keys[] = {
    { .name = "users",
      .kind = K_TEXTS,
      CFG(discovery_users),
      .count_at = offsetof(struct tgt_config, discovery_user_count) },
    { .name = "mutual-user", .kind = K_TEXT, CFG(discovery_mutual_user) },
    { .name = "optional", .kind = K_BOOL, CFG(discovery_optional) },
    { 0 },
};

static const struct key limit_keys[] = {
    { .name = "sessions", .kind = K_U32, CFG(limits.sessions), .min = 1, .max = TGT_SESSIONS_MAX },
    { .name = "connections", .kind = K_U32, CFG(limits.connections), .min = 1, .max = 1 << 20 },
    { .name = "connections-per-session",
      .kind = K_U32,
      CFG(limits.session_connections),
      .min = 1,
      .max = TGT_SESSION_CONNECTIONS_MAX },
    { .name = "recovery-level", .kind = K_U32, CFG(limits.recovery_level), .max = 2 },
    { .name = "time2retain", .kind = K_TIME, CFG(limits.time2retain_ns) },
    { .name = "queue-depth", .kind = K_U32, CFG(limits.queue_depth), .min = 1, .max = 1024 },
    { .name = "memory",
      .kind = K_SIZE,
      CFG(limits.memory_bytes),
      .min = 16 << 20,
      .max = 1ull << 50 },
    { .name = "progress-timeout", .kind = K_TIME, CFG(limits.progress_timeout_ns) },
    { 0 },
};

static const struct key top_keys[] = {
    { .name = "portals",
      .kind = K_LIST,
      .sub = portal_keys,
      .add = add_portal,
      .line_at = offsetof(struct tgt_config_portal, line) },
    { .name = "users",
      .kind = K_LIST,
      .sub = user_keys,
      .add = add_user,
      .line_at = offsetof(struct tgt_config_user, line) },
    { .name = "discovery", .kind = K_MAP, .sub = discovery_keys },
    { .name = "targets",
      .kind = K_LIST,
      .sub = target_keys,
      .add = add_target,
      .line_at = offsetof(struct tgt_config_target, line) },
    { .name = "limits", .kind = K_MAP, .sub = limit_keys },
    { .name = "cores", .kind = K_U32, CFG(cores), .max = TGT_REACTORS_MAX },
    { .name = "engine", .kind = K_ENGINE, CFG(engine) },
    { .name = "poll", .kind = K_POLL, CFG(poll) },
    { .name = "state-dir", .kind = K_TEXT, CFG(state_dir) },
    { .name = "login-timeout", .kind = K_TIME, CFG(login_timeout_ns) },
    { .name = "nop-interval", .kind = K_TIME, CFG(nop_interval_ns) },
    { .name = "nop-timeout", .kind = K_TIME, CFG(nop_timeout_ns) },
    { 0 },
};

static bool key_at(const struct key *keys, const char *prefix, size_t *left, char *buf, size_t cap)
{
    for (const struct key *k = keys; k->name; k++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", k->name);
        if ((*left)-- == 0) {
            snprintf(buf, cap, "%s", name);
            return true;
        }
        if (k->sub && key_at(k->sub, name, left, buf, cap))
            return true;
    }
    return false;
}

bool tgt_config_key(size_t i, char *buf, size_t cap)
{
    return key_at(top_keys, "", &i, buf, cap);
}

/* ---- reading ---- */

struct reader {
    yaml_document_t doc;
    const char *name;
    struct err_text *e;
};

__attribute__((format(printf, 3, 4))) static int fail(struct reader *r, const yaml_node_t *at,
                                                      const char *fmt, ...)
{
    char text[sizeof(((struct err_text *)0)->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(r->e, USAN_EINVAL, "%s:%zu:%zu: %s", r->name, at->start_mark.line + 1,
                   at->start_mark.column + 1, text);
}

static int no_memory(struct reader *r)
{
    return err_set(r->e, USAN_ENOMEM, "%s: out of memory", r->name);
}

/* The text of a scalar without NULs in it; NULL (and the error) if it is something else. */
static const char *scalar(struct reader *r, const struct key *k, const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE) {
        (void)fail(r, n, "%s: needs one value here", k->name);
        return NULL;
    }
    const char *text = (const char *)n->data.scalar.value;
    if (strlen(text) != n->data.scalar.length) {
        (void)fail(r, n, "%s: has a NUL character in it", k->name);
        return NULL;
    }
    return text;
}

static int set_text(struct reader *r, const yaml_node_t *n, const struct key *k, const char *text,
                    char **to)
{
    if (!*text)
        return fail(r, n, "%s: is empty", k->name);
    if (*to)
        return fail(r, n, "%s: is given twice", k->name);
    *to = strdup(text);
    return *to ? 0 : no_memory(r);
}

static void store_number(enum kind kind, void *to, uint64_t v)
{
    if (kind == K_U8)
        *(uint8_t *)to = (uint8_t)v;
    else if (kind == K_U16)
        *(uint16_t *)to = (uint16_t)v;
    else if (kind == K_U32 || kind == K_SIZE32)
        *(uint32_t *)to = (uint32_t)v;
    else
        *(uint64_t *)to = v;
}

static int set_number(struct reader *r, const yaml_node_t *n, const struct key *k, const char *text,
                      void *to)
{
    uint64_t v = 0;
    int err;
    if (k->kind == K_TIME)
        err = tgt_parse_time(text, &v);
    else if (k->kind == K_SIZE || k->kind == K_SIZE32)
        err = tgt_parse_size(text, &v);
    else
        err = tgt_parse_uint(text, 0, UINT64_MAX, &v);
    bool size = k->kind == K_SIZE || k->kind == K_SIZE32;
    if (err)
        return fail(r, n, "%s: '%s' is not %s", k->name, text,
                    k->kind == K_TIME ? "a time like 15s or 500ms"
                    : size            ? "a size like 512, 64M or 1GiB"
                                      : "a number");
    bool outside = k->max && (v < k->min || v > k->max);
    if (outside && size)
        return fail(r, n, "%s: %s is out of range, use %s to %s", k->name, text,
                    tgt_size_text(k->min).s, tgt_size_text(k->max).s);
    if (outside)
        return fail(r, n, "%s: %s is out of range, use %llu to %llu", k->name, text,
                    (unsigned long long)k->min, (unsigned long long)k->max);
    store_number(k->kind, to, v);
    return 0;
}

static int set_secret(struct reader *r, const yaml_node_t *n, const struct key *k, const char *text,
                      char **to)
{
    if (*to)
        return fail(r, n, "%s: the user has a secret already", k->name);
    const char *slash = strrchr(r->name, '/');
    char *path;
    int len = slash && *text != '/'
                  ? asprintf(&path, "%.*s/%s", (int)(slash - r->name), r->name, text)
                  : asprintf(&path, "%s", text);
    if (len < 0)
        return no_memory(r);
    struct err_text why = { "" };
    int err = tgt_config_read_secret(path, to, &why);
    free(path);
    return err ? fail(r, n, "%s: %s", k->name, why.text) : 0;
}

static int set_scalar(struct reader *r, const yaml_node_t *n, const struct key *k, void *to)
{
    const char *text = scalar(r, k, n);
    if (!text)
        return USAN_EINVAL;
    switch (k->kind) {
    case K_TEXT:
        return set_text(r, n, k, text, to);
    case K_BOOL:
        return tgt_parse_bool(text, to) ? fail(r, n, "%s: '%s' is not yes or no", k->name, text)
                                        : 0;
    case K_ENGINE:
        return tgt_config_parse_engine(text, to)
                   ? fail(r, n, "%s: '%s' is not auto, io_uring or epoll", k->name, text)
                   : 0;
    case K_POLL:
        return tgt_config_parse_poll(text, to)
                   ? fail(r, n, "%s: '%s' is not auto, never or always", k->name, text)
                   : 0;
    case K_SECRET:
        return set_secret(r, n, k, text, to);
    case K_U8:
    case K_U16:
    case K_U32:
    case K_SIZE:
    case K_SIZE32:
    case K_TIME:
        return set_number(r, n, k, text, to);
    case K_TEXTS:
    case K_MAP:
    case K_LIST:
        break;
    }
    return USAN_EINVAL;
}

static int set_texts(struct reader *r, const yaml_node_t *n, const struct key *k, char *base)
{
    char ***array = (char ***)(void *)(base + k->at);
    size_t *count = (size_t *)(void *)(base + k->count_at);
    if (n->type != YAML_SEQUENCE_NODE)
        return fail(r, n, "%s: needs a list here", k->name);
    for (const yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
         i++) {
        const yaml_node_t *item = yaml_document_get_node(&r->doc, *i);
        const char *text = scalar(r, k, item);
        if (!text)
            return USAN_EINVAL;
        if (tgt_config_add_string(array, count, text))
            return no_memory(r);
    }
    return 0;
}

static int read_map(struct reader *r, const yaml_node_t *n, const struct key *keys, void *base,
                    const char *what);

static int read_list(struct reader *r, const yaml_node_t *n, const struct key *k, void *parent)
{
    if (n->type != YAML_SEQUENCE_NODE)
        return fail(r, n, "%s: needs a list here", k->name);
    for (const yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
         i++) {
        void *elem = k->add(parent);
        if (!elem)
            return no_memory(r);
        const yaml_node_t *item = yaml_document_get_node(&r->doc, *i);
        if (k->line_at)
            *(uint32_t *)(void *)((char *)elem + k->line_at) = (uint32_t)item->start_mark.line + 1;
        int err = read_map(r, item, k->sub, elem, k->name);
        if (err)
            return err;
    }
    return 0;
}

static int read_value(struct reader *r, const yaml_node_t *n, const struct key *k, void *base)
{
    if (k->kind == K_LIST)
        return read_list(r, n, k, base);
    if (k->kind == K_MAP)
        return read_map(r, n, k->sub, base, k->name);
    if (k->kind == K_TEXTS)
        return set_texts(r, n, k, base);
    return set_scalar(r, n, k, (char *)base + k->at);
}

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (const struct key *k = keys; k->name; k++) {
        if (strcmp(k->name, name) == 0)
            return k;
    }
    return NULL;
}

static int read_map(struct reader *r, const yaml_node_t *n, const struct key *keys, void *base,
                    const char *what)
{
    if (n->type != YAML_MAPPING_NODE)
        return fail(r, n, "%s: needs keys and values here", what);
    uint64_t seen = 0; /* by index in keys */
    for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *kn = yaml_document_get_node(&r->doc, p->key);
        const char *name =
            kn->type == YAML_SCALAR_NODE ? (const char *)kn->data.scalar.value : "(no text)";
        const struct key *k = find_key(keys, name);
        if (!k)
            return fail(r, kn, "there is no key '%.64s' in %s", name, what);
        uint64_t bit = 1ull << (k - keys);
        if (seen & bit)
            return fail(r, kn, "%s: is given twice", name);
        seen |= bit;
        int err = read_value(r, yaml_document_get_node(&r->doc, p->value), k, base);
        if (err)
            return err;
    }
    return 0;
}

static int syntax_error(const yaml_parser_t *p, const char *name, struct err_text *e)
{
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(e, USAN_ENOMEM, "%s: out of memory", name);
    if (p->error == YAML_READER_ERROR)
        return err_set(e, USAN_EINVAL, "%s: %s", name, p->problem ? p->problem : "cannot be read");
    return err_set(e, USAN_EINVAL, "%s:%zu:%zu: %s", name, p->problem_mark.line + 1,
                   p->problem_mark.column + 1, p->problem ? p->problem : "not YAML");
}

int tgt_config_parse(struct tgt_config *cfg, FILE *in, const char *name, struct err_text *e)
{
    struct reader r = { .name = name, .e = e };
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return err_set(e, USAN_ENOMEM, "%s: out of memory", name);
    yaml_parser_set_input_file(&parser, in);
    int err;
    if (!yaml_parser_load(&parser, &r.doc)) {
        err = syntax_error(&parser, name, e);
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&r.doc);
        err = root ? read_map(&r, root, top_keys, cfg, "the configuration")
                   : err_set(e, USAN_EINVAL, "%s: is empty", name);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    return err;
}

int tgt_config_load(struct tgt_config *cfg, const char *path, struct err_text *e)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    int err = tgt_config_parse(cfg, in, path, e);
    fclose(in);
    if (err)
        return err;
    cfg->source = strdup(path);
    if (!cfg->source)
        return err_set(e, USAN_ENOMEM, "%s: out of memory", path);
    return tgt_config_check(cfg, e);
}
