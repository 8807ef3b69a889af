/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsiadm/record.h"

#include <stdlib.h>
#include <string.h>

/* The version of the format: that of the open-iscsi whose files these are. */
#define FIRST_LINE "# BEGIN RECORD 2.1.8\n"
#define LAST_LINE  "# END RECORD\n"

/* count: there is none. */
static unsigned find(const struct adm_record *r, const char *name)
{
    unsigned i = 0;
    while (i < r->count && strcmp(r->v[i].name, name) != 0)
        i++;
    return i;
}

int adm_record_put(struct adm_record *r, const char *name, const char *value)
{
    unsigned i = find(r, name);
    char *copy = strdup(value);
    if (!copy)
        return USAN_ENOMEM;
    if (i < r->count) {
        struct adm_field *f = &r->v[i];
        explicit_bzero(f->value, strlen(f->value));
        free(f->value);
        f->value = copy;
        return 0;
    }
    char *key = r->count < ADM_FIELDS_MAX ? strdup(name) : NULL;
    if (!key) {
        free(copy);
        return r->count < ADM_FIELDS_MAX ? USAN_ENOMEM : USAN_ELIMIT;
    }
    r->v[r->count++] = (struct adm_field){ .name = key, .value = copy };
    return 0;
}

int adm_record_new(enum adm_kind kind, struct adm_record **ret)
{
    struct adm_record *r = calloc(1, sizeof(*r));
    const struct adm_param *p;
    if (!r)
        return USAN_ENOMEM;
    r->kind = kind;
    for (size_t i = 0; (p = adm_param_at(kind, i)); i++) {
        if (adm_record_put(r, p->name, p->def)) {
            adm_record_free(r);
            return USAN_ENOMEM;
        }
        r->v[r->count - 1].param = p;
    }
    *ret = r;
    return 0;
}

void adm_record_free(struct adm_record *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->count; i++) {
        explicit_bzero(r->v[i].value, strlen(r->v[i].value));
        free(r->v[i].value);
        free(r->v[i].name);
    }
    free(r);
}

const char *adm_record_get(const struct adm_record *r, const char *name)
{
    unsigned i = find(r, name);
    return i < r->count ? r->v[i].value : "";
}

long adm_record_number(const struct adm_record *r, const char *name, long def)
{
    const char *text = adm_record_get(r, name);
    char *end;
    long v = strtol(text, &end, 10);
    return *text && !*end ? v : def;
}

int adm_record_set(struct adm_record *r, const char *name, const char *value, struct err_text *e)
{
    unsigned i = find(r, name);
    const struct adm_field *f = &r->v[i];
    if (i == r->count)
        return err_set(e, USAN_EINVAL, "there is no parameter '%.80s'", name);
    if (strlen(value) > ADM_VALUE_MAX || strpbrk(value, "\n\r"))
        return err_set(e, USAN_EINVAL, "%s: the value is too long, or more than a line", name);
    if (strcmp(value, "<empty>") == 0)
        value = "";
    if (*value && f->param && !adm_param_takes(f->param, value))
        return err_set(e, USAN_EINVAL, "%s: can not be '%.80s'; use %s", name, value,
                       f->param->type == ADM_CHOICE   ? f->param->choices
                       : f->param->type == ADM_YES_NO ? "Yes or No"
                                                      : "a number");
    int err = adm_record_put(r, name, value);
    return err ? err_set(e, err, "%s", usan_strerror(err)) : 0;
}

/* ---- files ---- */

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = 0;
    return s;
}

static int load_line(struct adm_record *r, char *line, bool only_known, const char **ret_wrong)
{
    char *name = trim(line), *eq = strchr(name, '=');
    if (!*name || *name == '#')
        return 0;
    *ret_wrong = "is not NAME = VALUE";
    if (!eq)
        return USAN_EINVAL;
    *eq = 0;
    name = trim(name);
    char *value = trim(eq + 1);
    if (!*name || strlen(name) > ADM_NAME_MAX)
        return USAN_EINVAL;
    if (only_known && find(r, name) == r->count)
        return 0;
    int err = adm_record_put(r, name, strcmp(value, "<empty>") == 0 ? "" : value);
    *ret_wrong = err == USAN_ELIMIT ? "there are too many" : usan_strerror(err);
    return err;
}

int adm_record_load(struct adm_record *r, FILE *f, const char *path, bool only_known,
                    struct err_text *e)
{
    char line[ADM_NAME_MAX + ADM_VALUE_MAX + 16];
    int err = 0;
    for (unsigned n = 1; !err && fgets(line, sizeof(line), f); n++) {
        const char *wrong = "is too long";
        bool whole = strchr(line, '\n') || feof(f);
        err = whole ? load_line(r, line, only_known, &wrong) : USAN_EINVAL;
        if (err)
            (void)err_set(e, err, "%s: line %u: %s", path, n, wrong);
    }
    explicit_bzero(line, sizeof(line));
    if (!err && ferror(f))
        err = err_set(e, USAN_EIO, "%s: %s", path, usan_strerror(USAN_EIO));
    return err;
}

void adm_record_save(const struct adm_record *r, FILE *f)
{
    fputs(FIRST_LINE, f);
    for (unsigned i = 0; i < r->count; i++) {
        if (*r->v[i].value)
            fprintf(f, "%s = %s\n", r->v[i].name, r->v[i].value);
    }
    fputs(LAST_LINE, f);
}

void adm_record_show(const struct adm_record *r, bool secrets, FILE *f)
{
    fputs(FIRST_LINE, f);
    for (unsigned i = 0; i < r->count; i++) {
        const struct adm_field *v = &r->v[i];
        const char *value = *v->value ? v->value : "<empty>";
        if (*v->value && v->param && v->param->secret && !secrets)
            value = "********";
        fprintf(f, "%s = %s\n", v->name, value);
    }
    fputs(LAST_LINE, f);
}
