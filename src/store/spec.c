/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Store specifications: "stats+ratelimit(iops=1000,burst=1s)+file:/x?direct=1".
 *
 *   SPEC    = { FILTER ("+" | ",") } STORE
 *   FILTER  = NAME [ "(" OPTION { "," OPTION } ")" ]
 *   STORE   = NAME ":" TARGET [ "?" OPTION { "&" OPTION } ]  |  PATH [ "?" ... ]
 *   OPTION  = KEY [ "=" VALUE ]
 *
 * A PATH begins with "/" or "." and means file:PATH. In a TARGET or PATH %HH stands for the byte
 * with that hexadecimal value, so that a path may hold "?" (%3f) and "%" (%25). The filter that is
 * named first is the outermost one. A back end whose target is a URL is given it as it stands.
 */
#include "store/opt.h"
#include "store/registry.h"
#include "store/store.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_BYTES_MAX   4096
#define SPEC_PARTS_MAX   16
#define SPEC_OPTIONS_MAX 32 /* of one filter or store */

struct part {
    const struct store_ops *ops;
    const char *target;
    struct store_opt opts[SPEC_OPTIONS_MAX];
    size_t opt_count;
};

/* The parts point into text, a copy of the specification that is cut up by the parser. */
struct spec {
    char text[SPEC_BYTES_MAX];
    struct part parts[SPEC_PARTS_MAX];
    size_t count;
};

static int add_option(struct part *part, char *text, struct err_text *e)
{
    char *eq = strchr(text, '=');
    if (eq)
        *eq = '\0';
    if (!*text)
        return err_set(e, USAN_EINVAL, "%s: an option has no name", part->ops->name);
    if (part->opt_count == SPEC_OPTIONS_MAX)
        return err_set(e, USAN_ELIMIT, "%s: more than %d options", part->ops->name,
                       SPEC_OPTIONS_MAX);
    part->opts[part->opt_count++] = (struct store_opt){ .key = text, .value = eq ? eq + 1 : "1" };
    return 0;
}

/* Options separated by sep; an empty text has none. */
static int add_options(struct part *part, char *text, char sep, struct err_text *e)
{
    while (*text) {
        char *end = strchr(text, sep);
        char *next = end ? end + 1 : text + strlen(text);
        if (end) {
            *end = '\0';
            if (!*next)
                return err_set(e, USAN_EINVAL, "%s: an option is missing after '%c'",
                               part->ops->name, sep);
        }
        int err = add_option(part, text, e);
        if (err)
            return err;
        text = next;
    }
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* %HH in place. */
static int unescape(struct part *part, char *text, struct err_text *e)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int hi = hex_digit(from[1]);
        int lo = hi < 0 ? -1 : hex_digit(from[2]);
        if (lo < 0 || hi + lo == 0)
            return err_set(e, USAN_EINVAL,
                           "%s: '%.3s' in '%s' is not %% and two hexadecimal digits (%%25 stands "
                           "for %%)",
                           part->ops->name, from, text);
        *to++ = (char)(hi * 16 + lo);
        from += 2;
    }
    *to = '\0';
    return 0;
}

static const char *kind_names(bool filters, char *buf, size_t size)
{
    size_t len = 0;
    buf[0] = '\0';
    const struct store_ops *o;
    for (size_t i = 0; (o = store_registry_at(i)); i++) {
        size_t n = strlen(o->name);
        if (o->is_filter != filters || len + n + 3 > size)
            continue;
        if (len) {
            memcpy(buf + len, ", ", 3);
            len += 2;
        }
        memcpy(buf + len, o->name, n + 1);
        len += n;
    }
    return buf;
}

static struct part *add_part(struct spec *spec, const struct store_ops *ops, struct err_text *e)
{
    if (spec->count == SPEC_PARTS_MAX) {
        (void)err_set(e, USAN_ELIMIT, "more than %d filters", SPEC_PARTS_MAX - 1);
        return NULL;
    }
    struct part *part = &spec->parts[spec->count++];
    *part = (struct part){ .ops = ops };
    return part;
}

/* text is "TARGET?OPTIONS" behind the name of the back end. */
static int parse_store(struct spec *spec, const struct store_ops *ops, char *text,
                       struct err_text *e)
{
    struct part *part = add_part(spec, ops, e);
    if (!part)
        return USAN_ELIMIT;
    char *opts = strchr(text, '?');
    if (opts)
        *opts++ = '\0';
    part->target = text;
    int err = ops->raw_target ? 0 : unescape(part, text, e);
    if (!err && opts)
        err = add_options(part, opts, '&', e);
    return err;
}

/* name is terminated; *p is behind it, at sep. */
static int parse_filter(struct spec *spec, const char *name, char sep, char **p, struct err_text *e)
{
    char names[128];
    const struct store_ops *ops = store_find_ops(name);
    if (!ops)
        return err_set(e, USAN_ENOENT,
                       "unknown filter '%s' (there are: %s; a path begins with / or ./)", name,
                       kind_names(true, names, sizeof names));
    if (!ops->is_filter)
        return err_set(e, USAN_EINVAL, "'%s' is not a filter: it goes last, as %s:TARGET", name,
                       name);
    struct part *part = add_part(spec, ops, e);
    if (!part)
        return USAN_ELIMIT;
    if (sep != '(')
        return 0;
    char *close = strchr(*p, ')');
    if (!close)
        return err_set(e, USAN_EINVAL, "%s: ')' is missing", name);
    *close = '\0';
    int err = add_options(part, *p, ',', e);
    if (err)
        return err;
    if (close[1] != '+' && close[1] != ',')
        return err_set(e, USAN_EINVAL, "%s: '+' and a store are missing after %s(...)", name, name);
    *p = close + 2;
    return 0;
}

static int parse_last(struct spec *spec, char *p, size_t word, struct err_text *e)
{
    char names[128];
    char end = p[word];
    if (*p == '/' || *p == '.')
        return parse_store(spec, store_find_ops("file"), p, e);
    if (!word || (end != ':' && end != '\0' && end != '?'))
        return err_set(e, USAN_EINVAL,
                       "'%s' is neither NAME:TARGET nor a path that begins with / or ./",
                       store_spec_text(p).s);
    p[word] = '\0';
    const struct store_ops *ops = store_find_ops(p);
    if (!ops)
        return err_set(e, USAN_ENOENT,
                       "unknown back end '%s' (there are: %s; a path begins with / or ./)", p,
                       kind_names(false, names, sizeof names));
    if (ops->is_filter)
        return err_set(e, USAN_EINVAL, "filter '%s' needs a store behind it: %s+NAME:TARGET", p, p);
    if (end == '?')
        p[word] = '?';
    return parse_store(spec, ops, p + word + (end == ':'), e);
}

static int parse(struct spec *spec, struct err_text *e)
{
    char *p = spec->text;
    for (;;) {
        size_t word = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        char sep = p[word];
        if (!word || (sep != '(' && sep != '+' && sep != ','))
            return *p ? parse_last(spec, p, word, e)
                      : err_set(e, USAN_EINVAL, "%s",
                                spec->count ? "a store is missing behind the last filter"
                                            : "the specification is empty");
        const char *name = p;
        p[word] = '\0';
        p += word + 1;
        int err = parse_filter(spec, name, sep, &p, e);
        if (err)
            return err;
    }
}

/* Innermost first: the last part is the back end. */
static int open_parts(const struct spec *spec, bool read_only, struct store **ret_store,
                      struct err_text *e)
{
    struct store *s = NULL;
    for (size_t i = spec->count; i-- > 0;) {
        const struct part *part = &spec->parts[i];
        struct store_open how = { .target = part->target,
                                  .opts = part->opts,
                                  .opt_count = part->opt_count,
                                  .read_only = read_only,
                                  .lower = s };
        struct store *upper;
        int err = store_open_one(part->ops, &how, &upper, e);
        if (err) {
            store_close(s);
            return err;
        }
        s = upper;
    }
    *ret_store = s;
    return 0;
}

/* Parse text; *ret_spec is on the heap. */
static int new_spec(const char *text, struct spec **ret_spec, struct err_text *e)
{
    size_t len = strlen(text);
    if (len >= SPEC_BYTES_MAX) {
        err_set(e, USAN_ELIMIT, "the specification is longer than %d bytes", SPEC_BYTES_MAX - 1);
        return USAN_ELIMIT;
    }
    struct spec *spec = malloc(sizeof *spec);
    if (!spec) {
        err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
        return USAN_ENOMEM;
    }
    memcpy(spec->text, text, len + 1);
    spec->count = 0;
    int err = parse(spec, e);
    if (err) {
        free(spec);
        return err;
    }
    *ret_spec = spec;
    return 0;
}

static bool put(struct store_spec_text *t, size_t *n, const char *text, size_t len)
{
    if (len >= sizeof t->s - *n)
        len = sizeof t->s - 1 - *n;
    memcpy(t->s + *n, text, len);
    *n += len;
    t->s[*n] = '\0';
    return *n + 1 < sizeof t->s;
}

/* "password=" ends just before p. */
static bool behind_password(const char *spec, const char *p)
{
    static const char key[] = "password=";
    return p - spec >= (ptrdiff_t)sizeof key - 1 &&
           memcmp(p - (sizeof key - 1), key, sizeof key - 1) == 0;
}

struct store_spec_text store_spec_text(const char *spec)
{
    struct store_spec_text t = { "" };
    size_t n = 0;
    const char *url = strstr(spec, "://");
    const char *user = url ? url + 3 : spec, *at = NULL;
    size_t authority = url ? strcspn(user, "/?") : 0;
    /* A secret that should have been escaped may have a slash: it counts up to its @. */
    if (url)
        at = memrchr(user, '@', strcspn(user, "?"));
    const char *secret = at ? memchr(user, '%', (size_t)(at - user)) : NULL;
    if (!secret && url) /* or it lacks the @ altogether */
        secret = memchr(user, '%', authority);
    for (const char *p = spec; *p;) {
        if (p == secret) {
            p = at && at > secret ? at : user + authority;
            continue;
        }
        if (!put(&t, &n, p, 1))
            break;
        p++;
        if (behind_password(spec, p)) {
            (void)put(&t, &n, "...", 3);
            p += strcspn(p, "&");
        }
    }
    return t;
}

bool store_spec_file(const char *text, struct store_spec_file *ret)
{
    struct spec *spec;
    if (new_spec(text, &spec, NULL))
        return false;
    const struct part *part = &spec->parts[spec->count - 1];
    struct store_open how = { .target = part->target,
                              .opts = part->opts,
                              .opt_count = part->opt_count };
    bool file = part->ops == &file_ops && !store_check_one(part->ops, &how, NULL);
    if (file) {
        (void)snprintf(ret->path, sizeof(ret->path), "%s", part->target);
        ret->locked = opt_bool(part->ops, &how, "lock");
    }
    free(spec);
    return file;
}

int store_open_spec(const char *text, bool read_only, struct store **ret_store, struct err_text *e)
{
    struct spec *spec;
    int err = new_spec(text, &spec, e);
    if (err)
        return err;
    err = open_parts(spec, read_only, ret_store, e);
    free(spec);
    return err;
}

int store_check_spec(const char *text, struct err_text *e)
{
    struct spec *spec;
    int err = new_spec(text, &spec, e);
    if (err)
        return err;
    for (size_t i = spec->count; !err && i-- > 0;) { /* in the order of open_parts() */
        const struct part *part = &spec->parts[i];
        struct store_open how = { .target = part->target,
                                  .opts = part->opts,
                                  .opt_count = part->opt_count };
        err = store_check_one(part->ops, &how, e);
    }
    free(spec);
    return err;
}
