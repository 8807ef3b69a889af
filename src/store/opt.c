/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/opt.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- values ---- */

/* Digits at *p, which is moved behind them. */
static int take_number(const char **p, uint64_t *ret_value)
{
    const char *s = *p;
    uint64_t v = 0;
    if (*s < '0' || *s > '9')
        return USAN_EINVAL;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return USAN_ERANGE;
    }
    *p = s;
    *ret_value = v;
    return 0;
}

int opt_parse_uint(const char *text, uint64_t *ret_value)
{
    uint64_t v;
    int err = take_number(&text, &v);
    if (err)
        return err;
    if (*text)
        return USAN_EINVAL;
    *ret_value = v;
    return 0;
}

int opt_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGTP";
    uint64_t v;
    int err = take_number(&text, &v);
    if (err)
        return err;
    if (*text) {
        const char *unit = strchr(units, *text == 'k' ? 'K' : *text);
        if (!unit || (strcmp(text + 1, "") != 0 && strcmp(text + 1, "iB") != 0))
            return USAN_EINVAL;
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (v > UINT64_MAX >> shift)
            return USAN_ERANGE;
        v <<= shift;
    }
    *ret_bytes = v;
    return 0;
}

int opt_parse_bool(const char *text, bool *ret_value)
{
    static const char *const yes[] = { "1", "yes", "true", "on" };
    static const char *const no[] = { "0", "no", "false", "off" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *ret_value = !strcmp(text, yes[i]);
            return 0;
        }
    }
    return USAN_EINVAL;
}

int opt_target_size(const char *target, uint64_t *ret_bytes, struct err_text *e)
{
    uint64_t size;
    if (!target || !*target)
        return err_set(e, USAN_EINVAL, "has no size; write it behind the colon, such as 64M");
    if (opt_parse_size(target, &size) || !size || size % 512 || size > INT64_MAX)
        return err_set(e, USAN_EINVAL,
                       "'%s' is not a size in whole blocks of 512 bytes, such as 4096, 64M or "
                       "10GiB; the largest is 8191P",
                       target);
    *ret_bytes = size;
    return 0;
}

int opt_parse_time(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "ns", 1 }, { "us", NS_PER_US }, { "ms", NS_PER_MS }, { "s", NS_PER_SEC } };
    uint64_t v;
    int err = take_number(&text, &v);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(text, units[i].unit) != 0)
            continue;
        if (__builtin_mul_overflow(v, units[i].ns, &v))
            return USAN_ERANGE;
        *ret_ns = v;
        return 0;
    }
    return USAN_EINVAL;
}

int opt_parse_ratio(const char *text, uint32_t *ret_ppb)
{
    uint64_t v, unit = OPT_RATIO_ONE;
    int err = take_number(&text, &v);
    if (err)
        return err;
    if (v > 100)
        return USAN_ERANGE;
    v *= OPT_RATIO_ONE;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            unit /= 10;
            if (!unit)
                return USAN_EINVAL;
            v += unit * (uint64_t)(*text - '0');
        }
    }
    if (*text == '%') {
        v /= 100;
        text++;
    }
    if (*text)
        return USAN_EINVAL;
    if (v > OPT_RATIO_ONE)
        return USAN_ERANGE;
    *ret_ppb = (uint32_t)v;
    return 0;
}

/* ---- against the table ---- */

static const struct store_opt_desc *find_desc(const struct store_ops *ops, const char *key)
{
    for (const struct store_opt_desc *d = ops->opts; d && d->key; d++) {
        if (!strcmp(d->key, key))
            return d;
    }
    return NULL;
}

static int check_value(const char *type, const char *value, const char **ret_want)
{
    uint64_t u;
    uint32_t r;
    bool b;
    if (!strcmp(type, "size")) {
        *ret_want = "a size such as 4096, 64K, 10GiB";
        return opt_parse_size(value, &u);
    }
    if (!strcmp(type, "uint")) {
        *ret_want = "a number";
        return opt_parse_uint(value, &u);
    }
    if (!strcmp(type, "bool")) {
        *ret_want = "yes or no";
        return opt_parse_bool(value, &b);
    }
    if (!strcmp(type, "time")) {
        *ret_want = "a time such as 500us, 10ms, 2s";
        return opt_parse_time(value, &u);
    }
    if (!strcmp(type, "ratio")) {
        *ret_want = "a share such as 0.01 or 1%";
        return opt_parse_ratio(value, &r);
    }
    assert(!strcmp(type, "text"));
    *ret_want = "a text";
    return 0;
}

/* "it has: iops, bps" for the message about a key that does not exist; where there are so many that
 * the message would be cut, where they are listed. */
static void list_keys(const struct store_ops *ops, size_t size, char *ret)
{
    size_t len = 0;
    (void)snprintf(ret, size, "it has no options");
    for (const struct store_opt_desc *d = ops->opts; d && d->key; d++) {
        int n = snprintf(ret + len, size - len, "%s%s", len ? ", " : "it has: ", d->key);
        if (n < 0 || (size_t)n >= size - len) {
            (void)snprintf(ret, size, "usan-discover(1) and doc/stores.md list what it has");
            return;
        }
        len += (size_t)n;
    }
}

int opt_check(const struct store_ops *ops, const struct store_opt *opts, size_t count,
              struct err_text *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_opt_desc *d = find_desc(ops, opts[i].key);
        if (!d) {
            char keys[120];
            list_keys(ops, sizeof(keys), keys);
            return err_set(e, USAN_EINVAL, "%s: unknown option '%.40s' (%s)", ops->name,
                           opts[i].key, keys);
        }
        for (size_t j = 0; j < i; j++) {
            if (!strcmp(opts[j].key, opts[i].key))
                return err_set(e, USAN_EINVAL, "%s: option '%s' is given twice", ops->name,
                               opts[i].key);
        }
        const char *want;
        int err = check_value(d->type, opts[i].value, &want);
        if (err)
            return err_set(e, err, "%s: option '%s': '%s' is %s %s", ops->name, opts[i].key,
                           opts[i].value, err == USAN_ERANGE ? "too large for" : "not", want);
    }
    return 0;
}

static const struct store_opt *find_given(const struct store_open *how, const char *key)
{
    for (size_t i = 0; i < how->opt_count; i++) {
        if (!strcmp(how->opts[i].key, key))
            return &how->opts[i];
    }
    return NULL;
}

bool opt_given(const struct store_open *how, const char *key)
{
    return find_given(how, key) != NULL;
}

const char *opt_text(const struct store_ops *ops, const struct store_open *how, const char *key)
{
    const struct store_opt *o = find_given(how, key);
    if (o)
        return o->value;
    const struct store_opt_desc *d = find_desc(ops, key);
    assert(d);
    return d ? d->def : "";
}

/* The getters that follow read values that opt_check and the table's author have vouched for. */

uint64_t opt_size(const struct store_ops *ops, const struct store_open *how, const char *key)
{
    const char *text = opt_text(ops, how, key);
    uint64_t v = 0;
    int err = *text ? opt_parse_size(text, &v) : 0;
    assert(!err);
    return err ? 0 : v;
}

uint64_t opt_uint(const struct store_ops *ops, const struct store_open *how, const char *key)
{
    const char *text = opt_text(ops, how, key);
    uint64_t v = 0;
    int err = *text ? opt_parse_uint(text, &v) : 0;
    assert(!err);
    return err ? 0 : v;
}

bool opt_bool(const struct store_ops *ops, const struct store_open *how, const char *key)
{
    const char *text = opt_text(ops, how, key);
    bool v = false;
    int err = *text ? opt_parse_bool(text, &v) : 0;
    assert(!err);
    return !err && v;
}

uint64_t opt_time(const struct store_ops *ops, const struct store_open *how, const char *key)
{
    const char *text = opt_text(ops, how, key);
    uint64_t v = 0;
    int err = *text ? opt_parse_time(text, &v) : 0;
    assert(!err);
    return err ? 0 : v;
}

uint32_t opt_ratio(const struct store_ops *ops, const struct store_open *how, const char *key)
{
    const char *text = opt_text(ops, how, key);
    uint32_t v = 0;
    int err = *text ? opt_parse_ratio(text, &v) : 0;
    assert(!err);
    return err ? 0 : v;
}
