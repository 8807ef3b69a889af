/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "yaml/ykey.h"

#include "base/number.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static bool key_at(const struct ykey *keys, const char *prefix, size_t *left, char *buf, size_t cap)
{
    for (const struct ykey *k = keys; k->name; k++) {
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

bool ykey_name(const struct ykey *keys, size_t i, char *buf, size_t cap)
{
    return key_at(keys, "", &i, buf, cap);
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
static const char *scalar(struct reader *r, const struct ykey *k, const yaml_node_t *n)
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

static int set_text(struct reader *r, const yaml_node_t *n, const struct ykey *k, const char *text,
                    char **to)
{
    if (!*text)
        return fail(r, n, "%s: is empty", k->name);
    if (*to)
        return fail(r, n, "%s: is given twice", k->name);
    *to = strdup(text);
    return *to ? 0 : no_memory(r);
}

static void store_number(enum ykey_kind kind, void *to, uint64_t v)
{
    if (kind == YKEY_U8)
        *(uint8_t *)to = (uint8_t)v;
    else if (kind == YKEY_U16)
        *(uint16_t *)to = (uint16_t)v;
    else if (kind == YKEY_U32 || kind == YKEY_SIZE32)
        *(uint32_t *)to = (uint32_t)v;
    else
        *(uint64_t *)to = v;
}

static int set_number(struct reader *r, const yaml_node_t *n, const struct ykey *k,
                      const char *text, void *to)
{
    uint64_t v = 0;
    int err;
    if (k->kind == YKEY_TIME)
        err = num_parse_time(text, &v);
    else if (k->kind == YKEY_SIZE || k->kind == YKEY_SIZE32)
        err = num_parse_size(text, &v);
    else
        err = num_parse_uint(text, 0, UINT64_MAX, &v);
    bool size = k->kind == YKEY_SIZE || k->kind == YKEY_SIZE32;
    if (err)
        return fail(r, n, "%s: '%s' is not %s", k->name, text,
                    k->kind == YKEY_TIME ? "a time like 15s or 500ms"
                    : size               ? "a size like 512, 64M or 1GiB"
                                         : "a number");
    bool outside = k->max && (v < k->min || v > k->max);
    if (outside && size)
        return fail(r, n, "%s: %s is out of range, use %s to %s", k->name, text,
                    num_size_text(k->min).s, num_size_text(k->max).s);
    if (outside && k->kind == YKEY_TIME)
        return fail(r, n, "%s: %s is out of range, use %s to %s", k->name, text,
                    num_time_text(k->min).s, num_time_text(k->max).s);
    if (outside)
        return fail(r, n, "%s: %s is out of range, use %llu to %llu", k->name, text,
                    (unsigned long long)k->min, (unsigned long long)k->max);
    store_number(k->kind, to, v);
    return 0;
}

static int set_call(struct reader *r, const yaml_node_t *n, const struct ykey *k, const char *text,
                    void *to)
{
    struct err_text why = { "" };
    int err = k->set(text, r->name, to, &why);
    if (err == USAN_ENOMEM)
        return no_memory(r);
    return err ? fail(r, n, "%s: %s", k->name, why.text) : 0;
}

static int set_scalar(struct reader *r, const yaml_node_t *n, const struct ykey *k, void *to)
{
    const char *text = scalar(r, k, n);
    if (!text)
        return USAN_EINVAL;
    switch (k->kind) {
    case YKEY_TEXT:
        return set_text(r, n, k, text, to);
    case YKEY_BOOL:
        return num_parse_bool(text, to) ? fail(r, n, "%s: '%s' is not yes or no", k->name, text)
                                        : 0;
    case YKEY_CALL:
        return set_call(r, n, k, text, to);
    case YKEY_U8:
    case YKEY_U16:
    case YKEY_U32:
    case YKEY_SIZE:
    case YKEY_SIZE32:
    case YKEY_TIME:
        return set_number(r, n, k, text, to);
    case YKEY_TEXTS:
    case YKEY_MAP:
    case YKEY_LIST:
        break;
    }
    return USAN_EINVAL;
}

static int set_texts(struct reader *r, const yaml_node_t *n, const struct ykey *k, char *base)
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
        char **more = realloc(*array, (*count + 1) * sizeof(*more));
        if (!more)
            return no_memory(r);
        *array = more;
        more[*count] = strdup(text);
        if (!more[*count])
            return no_memory(r);
        ++*count;
    }
    return 0;
}

static int read_map(struct reader *r, const yaml_node_t *n, const struct ykey *keys, void *base,
                    const char *what);

static int read_list(struct reader *r, const yaml_node_t *n, const struct ykey *k, void *parent)
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

static int read_value(struct reader *r, const yaml_node_t *n, const struct ykey *k, void *base)
{
    if (k->kind == YKEY_LIST)
        return read_list(r, n, k, base);
    if (k->kind == YKEY_MAP)
        return read_map(r, n, k->sub, base, k->name);
    if (k->kind == YKEY_TEXTS)
        return set_texts(r, n, k, base);
    if (k->line_at)
        *(uint32_t *)(void *)((char *)base + k->line_at) = (uint32_t)n->start_mark.line + 1;
    return set_scalar(r, n, k, (char *)base + k->at);
}

static const struct ykey *find_key(const struct ykey *keys, const char *name)
{
    for (const struct ykey *k = keys; k->name; k++) {
        if (strcmp(k->name, name) == 0)
            return k;
    }
    return NULL;
}

static int read_map(struct reader *r, const yaml_node_t *n, const struct ykey *keys, void *base,
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
        const struct ykey *k = find_key(keys, name);
        if (!k)
            return fail(r, kn, "there is no key '%.64s' in %s", name, what);
        assert(k - keys < YKEY_KEYS_MAX);
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

int ykey_parse(const struct ykey *keys, void *base, FILE *in, const char *name, const char *what,
               struct err_text *e)
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
        err = root ? read_map(&r, root, keys, base, what)
                   : err_set(e, USAN_EINVAL, "%s: is empty", name);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    return err;
}

int ykey_load(const struct ykey *keys, void *base, const char *path, const char *what,
              struct err_text *e)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    int err = ykey_parse(keys, base, in, path, what, e);
    fclose(in);
    return err;
}
