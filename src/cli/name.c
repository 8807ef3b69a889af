/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is the word a path, and not a specification that begins with the name of a filter or store? */
static bool is_path(const char *word, bool exists)
{
    return exists || *word == '/' || *word == '.' || !strpbrk(word, ":+,(");
}

char *cli_make_spec(const char *word)
{
    bool exists = access(word, F_OK) == 0;
    if (!exists && (*word == '/' || *word == '.' || !is_path(word, exists)))
        return strdup(word);
    char *spec = malloc(3 * strlen(word) + 3);
    if (!spec)
        return NULL;
    char *to = spec;
    if (*word != '/' && *word != '.') {
        *to++ = '.';
        *to++ = '/';
    }
    for (; *word; word++) {
        /* What there is no file of that name for may still have options: new.img?create=1G */
        if (exists && (*word == '%' || *word == '?')) {
            const char *code = *word == '%' ? "%25" : "%3f";
            memcpy(to, code, 3);
            to += 3;
        } else {
            *to++ = *word;
        }
    }
    *to = 0;
    return spec;
}

const char *cli_meant(const char *word)
{
    static const struct {
        const char *word, *spec;
    } bare[] = { { "ram", "ram:SIZE" },
                 { "null", "null:SIZE" },
                 { "iscsi", "an iscsi:// URL" },
                 { "", "a file, ram:SIZE or an iscsi:// URL" } };
    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
        if (strcmp(word, bare[i].word) == 0 && access(word, F_OK))
            return bare[i].spec;
    }
    return NULL;
}

/* Behind the filters: "stats+delay(time=1ms)+file:x" gives "file:x". */
static const char *skip_filters(const char *spec)
{
    for (;;) {
        size_t word = strspn(spec, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        const char *p = spec + word;
        if (word && *p == '(') {
            p = strchr(p, ')');
            if (!p)
                return spec;
            p++;
        }
        if (!word || (*p != '+' && *p != ','))
            return spec;
        spec = p + 1;
    }
}

/* RFC 3722 leaves lower-case letters, digits, '-', '.' and ':'. */
static void clean_name(char *s)
{
    for (; *s; s++) {
        char c = (char)tolower((unsigned char)*s);
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        *s = good ? c : '-';
    }
}

void cli_short_name(const char *word, char *buf, size_t cap)
{
    bool exists = access(word, F_OK) == 0;
    const char *start = word;
    if (!is_path(word, exists)) {
        start = skip_filters(word);
        const char *colon = strchr(start, ':');
        if (colon && strncmp(start, "file:", 5) == 0) {
            start = colon + 1;
        } else if (colon) { /* ram:1G and null:1T have no path: the kind is all there is to say */
            snprintf(buf, cap, "%.*s", (int)(colon - start), start);
            clean_name(buf);
            return;
        }
    }
    size_t len = exists ? strlen(start) : strcspn(start, "?");
    while (len > 1 && start[len - 1] == '/')
        len--;
    const char *base = start;
    for (const char *p = start; p + 1 < start + len; p++)
        base = *p == '/' ? p + 1 : base;
    snprintf(buf, cap, "%.*s", (int)(start + len - base), base);
    clean_name(buf);
}

bool cli_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    if (stat(a, &sa) || stat(b, &sb))
        return false;
    if (S_ISBLK(sa.st_mode) && S_ISBLK(sb.st_mode)) /* two nodes, one device */
        return sa.st_rdev == sb.st_rdev;
    return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}
