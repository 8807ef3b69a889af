/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The statistics of a store as lines of key=value pairs. */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* A value that is no plain word is put in quotes. */
static void put_value(const char *value, FILE *out)
{
    if (*value && !strpbrk(value, " \t\"\\=")) {
        fputs(value, out);
        return;
    }
    fputc('"', out);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
    fputc('"', out);
}

/* The lines of one group, "stats.read.ops 5", "stats.read.bytes 20480", as "ops=5 bytes=20480".
 * Returns where the next group begins; *ret_what is in text, which is cut up, and NULL if there was
 * no line but such as are not "name.key value": those are passed over. */
static char *put_group(char *text, char **ret_what, FILE *out)
{
    size_t group = 0;
    char *what = NULL;
    while (*text) {
        size_t len = strcspn(text, "\n"), key = strcspn(text, " \n");
        size_t dot = key;
        while (dot > 0 && text[dot - 1] != '.')
            dot--;
        char *next = text + len + (text[len] == '\n');
        if (dot == 0) {
            text = next;
            continue;
        }
        if (what && (dot != group || memcmp(text, what, dot - 1) != 0))
            break;
        text[len] = '\0';
        fprintf(out, "%s%.*s=", what ? " " : "", (int)(key - dot), text + dot);
        put_value(key < len ? text + key + 1 : "", out);
        if (!what)
            what = text;
        group = dot;
        text = next;
    }
    if (what)
        what[group - 1] = '\0';
    *ret_what = what;
    return text;
}

/* One group to the line; false when there is no memory. */
static bool report_group(char **at, void (*line)(void *arg, const char *what, const char *values),
                         void *arg)
{
    char *values = NULL;
    size_t len = 0;
    char *what;
    FILE *out = open_memstream(&values, &len);
    if (!out)
        return false;
    *at = put_group(*at, &what, out);
    bool done = fclose(out) == 0;
    if (done && what)
        line(arg, what, values);
    free(values);
    return done;
}

void store_report(struct store *s, void (*line)(void *arg, const char *what, const char *values),
                  void *arg)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return;
    store_stats(s, out);
    if (fclose(out) == 0) {
        for (char *at = text; *at && report_group(&at, line, arg);)
            ;
    }
    free(text);
}
