/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/attach_answer.h"

#include "attach/control.h"
#include "attach/record.h"

#include <stdlib.h>
#include <string.h>

static const char path_prefix[] = "path.";

int answer_parse(char *text, struct answer *ret)
{
    size_t lines = 1;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    struct answer a = { .v = calloc(lines, sizeof(*a.v)), .text = text };
    if (!a.v) {
        free(text);
        return USAN_ENOMEM;
    }
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = 0;
        a.v[a.count++] = (struct answer_line){ line, value };
    }
    *ret = a;
    return 0;
}

int answer_ask(const char *dir, const char *name, int timeout_ms, struct answer *ret,
               struct err_text *e)
{
    struct sockaddr_un sa;
    char *text = NULL;
    *ret = (struct answer){ .v = NULL };
    int err = attach_record_socket(dir, name, &sa);
    if (!err)
        err = attach_control_ask(&sa, "show", timeout_ms, &text, e);
    if (!err)
        err = answer_parse(text, ret);
    return err && e && !*e->text ? err_set(e, err, "%s: %s", name, usan_strerror(err)) : err;
}

void answer_free(struct answer *a)
{
    free(a->v);
    free(a->text);
    *a = (struct answer){ .v = NULL };
}

const char *answer_get(const struct answer *a, const char *key)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->v[i].key, key) == 0)
            return a->v[i].value;
    }
    return NULL;
}

const char *answer_state(const struct answer *a, bool alive)
{
    const char *state = answer_get(a, "state");
    return !alive ? "dead" : state ? state : "silent";
}

/* ---- values ---- */

static bool is_number(const char *s)
{
    return *s && strspn(s, "0123456789") == strlen(s) && strlen(s) < 20;
}

static void report_value(struct report *out, const char *key, const char *value)
{
    if (is_number(value))
        report_number(out, key, key, strtoull(value, NULL, 10), NULL);
    else if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
        report_bool(out, key, key, strcmp(value, "yes") == 0);
    else
        report_text(out, key, key, value);
}

void answer_report_rest(const struct answer *a, struct report *out)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strncmp(a->v[i].key, path_prefix, sizeof(path_prefix) - 1) != 0)
            report_value(out, a->v[i].key, a->v[i].value);
    }
}

/* ---- paths ---- */

/* "path.3.state" is "state" of the path 3; NULL: the line is of none. */
static const char *path_key(const char *key, unsigned long *ret_path)
{
    char *end;
    if (strncmp(key, path_prefix, sizeof(path_prefix) - 1) != 0)
        return NULL;
    key += sizeof(path_prefix) - 1;
    *ret_path = strtoul(key, &end, 10);
    return end > key && *end == '.' ? end + 1 : NULL;
}

/* Where the lines of the path end that begin at i. */
static size_t path_end(const struct answer *a, size_t i)
{
    unsigned long first, path;
    if (!path_key(a->v[i].key, &first))
        return i;
    while (i < a->count && path_key(a->v[i].key, &path) && path == first)
        i++;
    return i;
}

static void report_path(const struct answer *a, size_t from, size_t to, struct report *out)
{
    char label[32];
    unsigned long path = 0;
    (void)path_key(a->v[from].key, &path);
    (void)snprintf(label, sizeof(label), "path %lu", path);
    report_begin(out, NULL, label);
    for (size_t i = from; i < to; i++)
        report_value(out, path_key(a->v[i].key, &path), a->v[i].value);
    report_end(out);
}

void answer_report_paths(const struct answer *a, struct report *out)
{
    bool any = false;
    for (size_t i = 0, end; i<a->count; i = end> i ? end : i + 1) {
        end = path_end(a, i);
        if (end > i && !any)
            report_begin_list(out, "paths", NULL);
        any |= end > i;
        if (end > i)
            report_path(a, i, end, out);
    }
    if (any)
        report_end(out);
}

static void print_path(const struct answer *a, size_t from, size_t to, FILE *out)
{
    const char *url = "", *state = "", *why = "";
    for (size_t i = from; i < to; i++) {
        unsigned long path;
        const char *key = path_key(a->v[i].key, &path), *value = a->v[i].value;
        if (strcmp(key, "url") == 0)
            url = value;
        else if (strcmp(key, "state") == 0)
            state = value;
        else if (strcmp(key, "alua") == 0 || strcmp(key, "why") == 0)
            why = value;
    }
    fprintf(out, "  path %s  %s%s%s\n", url, state, *why ? ": " : "", why);
}

void answer_print_paths(const struct answer *a, FILE *out)
{
    for (size_t i = 0, end; i<a->count; i = end> i ? end : i + 1) {
        end = path_end(a, i);
        if (end > i)
            print_path(a, i, end, out);
    }
}
