/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/opt.h"

#include "base/number.h"

#include <string.h>

static int set_choice(const struct cli_opt *o, const char *value, void *to, struct err_text *e)
{
    size_t len = strlen(value);
    for (const char *word = o->arg; word;) {
        const char *end = strchr(word, '|');
        size_t n = end ? (size_t)(end - word) : strlen(word);
        if (n == len && memcmp(word, value, n) == 0) {
            *(const char **)to = value;
            return 0;
        }
        word = end ? end + 1 : NULL;
    }
    return err_set(e, USAN_EINVAL, "--%s %s: use one of %s", o->name, value, o->arg);
}

static int set_text(const struct cli_opt *o, const char *value, void *to, struct err_text *e)
{
    struct cli_texts *list = to;
    if (o->type == CLI_TEXT) {
        *(const char **)to = value;
        return 0;
    }
    if (list->count == CLI_TEXTS_MAX)
        return err_set(e, USAN_EINVAL, "--%s: at most %d times", o->name, CLI_TEXTS_MAX);
    list->v[list->count++] = value;
    return 0;
}

static int set_number(const struct cli_opt *o, const char *value, uint64_t *to, struct err_text *e)
{
    uint64_t v = 0;
    int err;
    const char *like;
    if (o->type == CLI_UINT) {
        err = num_parse_uint(value, 0, UINT64_MAX, &v);
        like = "a number";
    } else if (o->type == CLI_SIZE) {
        err = num_parse_size(value, &v);
        like = "a size like 512, 64M or 1GiB";
    } else {
        err = num_parse_time(value, &v);
        like = "a time like 15s or 500ms";
    }
    if (err)
        return err_set(e, USAN_EINVAL, "--%s %s: is not %s", o->name, value, like);
    bool outside = o->max && (v < o->min || v > o->max);
    if (outside && o->type == CLI_SIZE)
        return err_set(e, USAN_EINVAL, "--%s %s: use %s to %s", o->name, value,
                       num_size_text(o->min).s, num_size_text(o->max).s);
    if (outside)
        return err_set(e, USAN_EINVAL, "--%s %s: use %llu to %llu", o->name, value,
                       (unsigned long long)o->min, (unsigned long long)o->max);
    *to = v;
    return 0;
}

static int set_value(const struct cli_opt *o, const char *value, void *values, struct err_text *e)
{
    void *to = (char *)values + o->at;
    switch (o->type) {
    case CLI_FLAG:
        *(bool *)to = true;
        return 0;
    case CLI_TEXT:
    case CLI_TEXTS:
        return set_text(o, value, to, e);
    case CLI_CHOICE:
        return set_choice(o, value, to, e);
    case CLI_UINT:
    case CLI_SIZE:
    case CLI_TIME:
        return set_number(o, value, to, e);
    }
    return USAN_EINVAL;
}

static const struct cli_opt *find_name(const struct cli_opt *opts, const char *name, size_t len)
{
    for (const struct cli_opt *o = opts; o && o->name; o++) {
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    }
    return NULL;
}

static const struct cli_opt *find_letter(const struct cli_opt *opts, char letter)
{
    for (const struct cli_opt *o = opts; o && o->name; o++) {
        if (o->letter == letter)
            return o;
    }
    return NULL;
}

struct args {
    int argc, at;
    char **argv;
};

/* The argument of o: what is attached to it, else the next word. */
static int take(const struct cli_opt *o, const char *attached, struct args *a, void *values,
                struct err_text *e)
{
    const char *value = attached;
    if (o->type == CLI_FLAG) {
        if (attached)
            return err_set(e, USAN_EINVAL, "--%s takes no argument", o->name);
    } else if (!value) {
        if (a->at + 1 >= a->argc)
            return err_set(e, USAN_EINVAL, "--%s needs an argument: %s", o->name, o->arg);
        value = a->argv[++a->at];
    }
    return set_value(o, value, values, e);
}

static int parse_long(const struct cli_opt *opts, struct args *a, void *values, struct err_text *e)
{
    const char *word = a->argv[a->at] + 2;
    const char *eq = strchr(word, '=');
    size_t len = eq ? (size_t)(eq - word) : strlen(word);
    const struct cli_opt *o = find_name(opts, word, len);
    if (o)
        return take(o, eq ? eq + 1 : NULL, a, values, e);
    if (len == 4 && memcmp(word, "help", 4) == 0)
        return USAN_ECANCELED;
    return err_set(e, USAN_EINVAL, "there is no option --%.*s", (int)len, word);
}

/* -v, -vx (two flags), -p3260, -p 3260 */
static int parse_letters(const struct cli_opt *opts, struct args *a, void *values,
                         struct err_text *e)
{
    for (const char *p = a->argv[a->at] + 1; *p; p++) {
        const struct cli_opt *o = find_letter(opts, *p);
        if (!o && *p == 'h')
            return USAN_ECANCELED;
        if (!o)
            return err_set(e, USAN_EINVAL, "there is no option -%c", *p);
        if (o->type != CLI_FLAG)
            return take(o, p[1] ? p + 1 : NULL, a, values, e);
        int err = set_value(o, NULL, values, e);
        if (err)
            return err;
    }
    return 0;
}

static int set_defaults(const struct cli_opt *opts, void *values, struct err_text *e)
{
    for (const struct cli_opt *o = opts; o && o->name; o++) {
        /* The default of a list is what an empty list means; the command knows. */
        if (!o->def || o->type == CLI_TEXTS)
            continue;
        int err = set_value(o, o->def, values, e);
        if (err)
            return err;
    }
    return 0;
}

int cli_parse(const struct cli_opt *opts, void *values, int argc, char **argv, int *ret_words,
              struct err_text *e)
{
    struct args a = { argc, 0, argv };
    int words = 0;
    bool only_words = false;
    int err = set_defaults(opts, values, e);
    for (; !err && a.at < argc; a.at++) {
        char *word = argv[a.at];
        if (only_words || word[0] != '-' || !word[1])
            argv[words++] = word;
        else if (strcmp(word, "--") == 0)
            only_words = true;
        else if (word[1] == '-')
            err = parse_long(opts, &a, values, e);
        else
            err = parse_letters(opts, &a, values, e);
    }
    if (!err)
        *ret_words = words;
    return err;
}

enum { HELP_AT = 32, HELP_WIDTH = 100 };

/* Words from column `at` on; what is too long for a line goes on in the next one. */
static void print_wrapped(const char *text, int at, FILE *out)
{
    for (bool first = true; *text; first = false) {
        int len = (int)strcspn(text, " ");
        if (!first && at + 1 + len > HELP_WIDTH)
            at = fprintf(out, "\n%*s", HELP_AT, "") - 1;
        else if (!first)
            at += fprintf(out, " ");
        at += fprintf(out, "%.*s", len, text);
        text += len + (text[len] == ' ');
    }
    fputc('\n', out);
}

static void print_one(char letter, const char *name, const char *arg, const char *help,
                      const char *def, FILE *out)
{
    int n = letter ? fprintf(out, "  -%c, --%s", letter, name) : fprintf(out, "      --%s", name);
    if (arg)
        n += fprintf(out, " %s", arg);
    char text[256];
    (void)snprintf(text, sizeof(text), "%s%s%s%s", help, def ? " (" : "", def ? def : "",
                   def ? ")" : "");
    n += fprintf(out, "%*s", n < HELP_AT ? HELP_AT - n : 2, "");
    print_wrapped(text, n, out);
}

void cli_print_options(const struct cli_opt *opts, FILE *out)
{
    for (const struct cli_opt *o = opts; o && o->name; o++)
        print_one(o->letter, o->name, o->arg, o->help, o->def, out);
    print_one('h', "help", NULL, "show this text", NULL, out);
}
