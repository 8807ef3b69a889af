/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/number.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The digits text starts with; *text moves behind them. */
static int digits(const char **text, uint64_t *ret)
{
    const char *p = *text;
    if (*p < '0' || *p > '9')
        return USAN_EINVAL;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t d = (uint64_t)(*p - '0');
        if (v > (UINT64_MAX - d) / 10)
            return USAN_ERANGE;
        v = v * 10 + d;
    }
    *text = p;
    *ret = v;
    return 0;
}

int num_parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t v;
    int err = digits(&text, &v);
    if (err)
        return err;
    static const char units[] = "KMGTP";
    unsigned shift = 0;
    if (*text && strcasecmp(text, "B") != 0) {
        const char *u = strchr(units, *text >= 'a' ? *text - 'a' + 'A' : *text);
        if (!u)
            return USAN_EINVAL;
        shift = 10 * (unsigned)(u - units + 1);
        text++;
        if (*text && strcasecmp(text, "B") != 0 && strcasecmp(text, "iB") != 0)
            return USAN_EINVAL;
    }
    if (shift && v >> (64 - shift))
        return USAN_ERANGE;
    *ret_bytes = v << shift;
    return 0;
}

struct num_size_text num_size_text(uint64_t bytes)
{
    static const char units[] = " KMGTP";
    struct num_size_text text;
    unsigned unit = 0;
    while (bytes && bytes % 1024 == 0 && unit < sizeof(units) - 2) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text.s, sizeof(text.s), unit ? "%llu%c" : "%llu", (unsigned long long)bytes,
             units[unit]);
    return text;
}

int num_parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t v;
    int err = digits(&text, &v);
    if (err)
        return err;
    if (*text)
        return USAN_EINVAL;
    if (v < min || v > max)
        return USAN_ERANGE;
    *ret = v;
    return 0;
}

int num_parse_time(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "", NS_PER_SEC },        { "s", NS_PER_SEC },        { "ms", NS_PER_MS },
                  { "us", NS_PER_US },       { "min", 60 * NS_PER_SEC }, { "m", 60 * NS_PER_SEC },
                  { "h", 3600 * NS_PER_SEC } };
    uint64_t v;
    int err = digits(&text, &v);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].unit) != 0)
            continue;
        if (v > (UINT64_MAX - 1) / units[i].ns)
            return USAN_ERANGE;
        *ret_ns = v * units[i].ns;
        return 0;
    }
    return USAN_EINVAL;
}

struct num_size_text num_time_text(uint64_t ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "h", 3600 * NS_PER_SEC }, { "min", 60 * NS_PER_SEC }, { "s", NS_PER_SEC },
                  { "ms", NS_PER_MS },        { "us", NS_PER_US },        { "ns", 1 } };
    struct num_size_text text;
    size_t i = ns ? 0 : 2;
    while (ns % units[i].ns)
        i++;
    snprintf(text.s, sizeof(text.s), "%llu%s", (unsigned long long)(ns / units[i].ns),
             units[i].unit);
    return text;
}

int num_parse_bool(const char *text, bool *ret)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = { { "yes", true }, { "true", true },   { "on", true },
                  { "no", false }, { "false", false }, { "off", false } };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *ret = words[i].value;
            return 0;
        }
    }
    return USAN_EINVAL;
}
