/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/text.h"

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(".-+@_#", c));
}

int iscsi_text_next(const void *text, size_t len, size_t *pos, struct iscsi_pair *ret_pair)
{
    const char *s = text;
    size_t at = *pos;
    while (at < len && !s[at])
        at++;
    if (at == len) {
        *pos = at;
        return 0;
    }
    const char *end = memchr(s + at, 0, len - at);
    if (!end) /* RFC 7143 6.1: every pair is followed by a NUL */
        return USAN_EPROTO;
    struct iscsi_pair pair = { .key = s + at };
    while (key_char(pair.key[pair.key_len]))
        pair.key_len++;
    if (pair.key_len < 1 || pair.key_len > ISCSI_KEY_NAME_MAX || pair.key[pair.key_len] != '=')
        return USAN_EPROTO;
    pair.value = pair.key + pair.key_len + 1;
    pair.value_len = (size_t)(end - pair.value);
    if (pair.value_len > ISCSI_VALUE_LONG_MAX)
        return USAN_EPROTO;
    *ret_pair = pair;
    *pos = (size_t)(end - s) + 1;
    return 1;
}

bool iscsi_pair_is(const struct iscsi_pair *pair, const char *key)
{
    return iscsi_item_is(pair->key, pair->key_len, key);
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

static bool prefixed(const char *value, char letter)
{
    return value[0] == '0' && (value[1] | 0x20) == letter;
}

int iscsi_text_number(const char *value, uint64_t *ret_number)
{
    unsigned base = prefixed(value, 'x') ? 16 : 10;
    if (base == 16)
        value += 2;
    uint64_t n = 0;
    const char *start = value;
    for (; *value; value++) {
        int d = hex_digit(*value);
        if (d < 0 || (unsigned)d >= base)
            return USAN_EINVAL;
        if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (unsigned)d, &n))
            return USAN_EINVAL;
    }
    if (value == start)
        return USAN_EINVAL;
    *ret_number = n;
    return 0;
}

int iscsi_text_bool(const char *value, bool *ret_bool)
{
    if (!strcmp(value, "Yes"))
        *ret_bool = true;
    else if (!strcmp(value, "No"))
        *ret_bool = false;
    else
        return USAN_EINVAL;
    return 0;
}

static int hex_decode(const char *s, uint8_t *buf, size_t cap, size_t *ret_len)
{
    size_t digits = strlen(s), n = 0;
    if (!digits)
        return USAN_EINVAL;
    if ((digits + 1) / 2 > cap)
        return USAN_ERANGE;
    /* An odd number of digits is a number whose first byte is below 16. */
    unsigned byte = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_digit(s[i]);
        if (d < 0)
            return USAN_EINVAL;
        byte = (byte << 4 | (unsigned)d) & 0xff;
        if ((digits - i) % 2)
            buf[n++] = (uint8_t)byte;
    }
    *ret_len = n;
    return 0;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, padding required (RFC 7143 6.1, base64-constant). */
static int base64_decode(const char *s, uint8_t *buf, size_t cap, size_t *ret_len)
{
    size_t chars = strlen(s);
    if (!chars || chars % 4)
        return USAN_EINVAL;
    size_t pad = s[chars - 1] != '=' ? 0 : s[chars - 2] != '=' ? 1 : 2;
    size_t len = chars / 4 * 3 - pad, n = 0;
    if (len > cap)
        return USAN_ERANGE;
    uint32_t bits = 0;
    for (size_t i = 0; i < chars; i++) {
        int d = i >= chars - pad ? 0 : base64_digit(s[i]);
        if (d < 0)
            return USAN_EINVAL;
        bits = bits << 6 | (uint32_t)d;
        if (i % 4 != 3)
            continue;
        for (unsigned shift = 24; shift; bits &= (1u << shift) - 1) {
            shift -= 8;
            if (n < len)
                buf[n++] = (uint8_t)(bits >> shift);
            else if (bits >> shift) /* what the padding cuts off must be zero */
                return USAN_EINVAL;
        }
    }
    *ret_len = n;
    return 0;
}

int iscsi_text_binary(const char *value, void *buf, size_t cap, size_t *ret_len)
{
    if (prefixed(value, 'x'))
        return hex_decode(value + 2, buf, cap, ret_len);
    if (prefixed(value, 'b'))
        return base64_decode(value + 2, buf, cap, ret_len);
    return USAN_EINVAL;
}

bool iscsi_text_item(const char **list, const char **ret_item, size_t *ret_len)
{
    const char *item = *list;
    if (!item)
        return false;
    size_t len = strcspn(item, ",");
    *list = item[len] ? item + len + 1 : NULL;
    *ret_item = item;
    *ret_len = len;
    return true;
}

bool iscsi_item_is(const char *item, size_t len, const char *word)
{
    return strlen(word) == len && !memcmp(item, word, len);
}

void iscsi_text_put_n(struct wr *w, const char *key, size_t key_len, const char *value)
{
    wr_bytes(w, key, key_len);
    wr_u8(w, '=');
    wr_bytes(w, value, strlen(value) + 1);
}

void iscsi_text_put(struct wr *w, const char *key, const char *value)
{
    iscsi_text_put_n(w, key, strlen(key), value);
}

void iscsi_text_decimal(struct wr *w, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
    } while (number /= 10);
    wr_bytes(w, digits + at, sizeof(digits) - at);
}

void iscsi_text_put_number(struct wr *w, const char *key, uint64_t number)
{
    wr_bytes(w, key, strlen(key));
    wr_u8(w, '=');
    iscsi_text_decimal(w, number);
    wr_u8(w, 0);
}

void iscsi_text_put_binary(struct wr *w, const char *key, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    wr_bytes(w, key, strlen(key));
    wr_bytes(w, "=0x", 3);
    for (size_t i = 0; i < len; i++) {
        wr_u8(w, (uint8_t) "0123456789abcdef"[b[i] >> 4]);
        wr_u8(w, (uint8_t) "0123456789abcdef"[b[i] & 15]);
    }
    wr_u8(w, 0);
}
