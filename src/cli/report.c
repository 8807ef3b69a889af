/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/report.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

void report_init(struct report *r, FILE *out, bool json)
{
    *r = (struct report){ .out = out, .json = json, .list = { true } };
}

/* Length of the UTF-8 sequence at s; 0: it is none (RFC 3629 4). */
static size_t utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max;
        size_t len;
    } forms[] = { { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
                  { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
                  { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
                  { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
                  { 0xf4, 0xf4, 0x80, 0x8f, 4 } };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (s[0] < forms[i].first_min || s[0] > forms[i].first_max)
            continue;
        if (forms[i].len == 1)
            return 1;
        if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++) {
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}

void report_json_string(FILE *out, const char *s)
{
    fputc('"', out);
    while (*s) {
        size_t len = utf8_length((const unsigned char *)s);
        unsigned char c = (unsigned char)*s;
        if (len == 0)
            fputs("\\ufffd", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fwrite(s, 1, len, out);
        s += len ? len : 1;
    }
    fputc('"', out);
}

/* ---- layout ---- */

static void indent(const struct report *r)
{
    unsigned n = 0;
    for (unsigned i = 1; i <= r->depth; i++)
        n += r->json || r->headed[i] ? 2 : 0;
    fprintf(r->out, "%*s", (int)n, "");
}

/* What stands before a value. */
static void lead(struct report *r, const char *key, const char *label)
{
    if (!r->json) {
        indent(r);
        if (label)
            fprintf(r->out, "%s: ", label);
        return;
    }
    if (r->depth == 0)
        return;
    fputs(r->comma[r->depth] ? ",\n" : "\n", r->out);
    r->comma[r->depth] = true;
    indent(r);
    if (!r->list[r->depth]) {
        report_json_string(r->out, key);
        fputs(": ", r->out);
    }
}

static void begin(struct report *r, const char *key, const char *label, bool list)
{
    assert(r->depth < REPORT_DEPTH_MAX);
    if (r->json) {
        lead(r, key, NULL);
        fputc(list ? '[' : '{', r->out);
    } else if (label) {
        indent(r);
        fprintf(r->out, "%s\n", label);
    }
    r->depth++;
    r->list[r->depth] = list;
    r->comma[r->depth] = false;
    r->headed[r->depth] = label != NULL;
}

void report_begin(struct report *r, const char *key, const char *label)
{
    begin(r, key, label, false);
}

void report_begin_list(struct report *r, const char *key, const char *label)
{
    begin(r, key, label, true);
}

void report_end(struct report *r)
{
    assert(r->depth > 0);
    bool list = r->list[r->depth], something = r->comma[r->depth];
    r->depth--;
    if (!r->json)
        return;
    if (something) {
        fputc('\n', r->out);
        indent(r);
    }
    fputc(list ? ']' : '}', r->out);
    if (r->depth == 0)
        fputc('\n', r->out);
}

/* ---- values ---- */

void report_text(struct report *r, const char *key, const char *label, const char *value)
{
    lead(r, key, label);
    if (r->json)
        report_json_string(r->out, value);
    else
        fprintf(r->out, "%s\n", value);
}

void report_number(struct report *r, const char *key, const char *label, uint64_t value,
                   const char *unit)
{
    lead(r, key, label);
    fprintf(r->out, "%llu", (unsigned long long)value);
    if (!r->json)
        fprintf(r->out, "%s%s\n", unit ? " " : "", unit ? unit : "");
}

void report_bool(struct report *r, const char *key, const char *label, bool value)
{
    lead(r, key, label);
    if (r->json)
        fputs(value ? "true" : "false", r->out);
    else
        fprintf(r->out, "%s\n", value ? "yes" : "no");
}

static void dump_lines(struct report *r, const uint8_t *p, size_t n)
{
    for (size_t at = 0; at < n; at += 16) {
        size_t len = n - at < 16 ? n - at : 16;
        indent(r);
        fprintf(r->out, "  %04zx ", at);
        for (size_t i = 0; i < 16; i++) {
            if (i < len)
                fprintf(r->out, " %02x", p[at + i]);
            else
                fputs("   ", r->out);
        }
        fputs("  ", r->out);
        for (size_t i = 0; i < len; i++)
            fputc(isprint(p[at + i]) ? p[at + i] : '.', r->out);
        fputc('\n', r->out);
    }
}

void report_bytes(struct report *r, const char *key, const char *label, const uint8_t *p, size_t n)
{
    lead(r, key, NULL);
    if (!r->json) {
        fprintf(r->out, "%s:\n", label);
        dump_lines(r, p, n);
        return;
    }
    fputc('"', r->out);
    for (size_t i = 0; i < n; i++)
        fprintf(r->out, "%02x", p[i]);
    fputc('"', r->out);
}
