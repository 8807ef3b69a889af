/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/names.h"

#include "base/bytes.h"

#include <assert.h>

/*
 * What RFC 3722 section 6 prohibits beyond ASCII, and what its section 3 would map to nothing:
 * we hold no Unicode normalisation tables, so a name that is not already in normal form in this
 * respect is refused rather than silently changed.
 */
static const struct {
    uint32_t first, last;
} prohibited[] = { { 0x80, 0xa0 },       { 0xad, 0xad },       { 0x340, 0x341 },
                   { 0x34f, 0x34f },     { 0x6dd, 0x6dd },     { 0x70f, 0x70f },
                   { 0x1680, 0x1680 },   { 0x1806, 0x1806 },   { 0x180b, 0x180e },
                   { 0x2000, 0x200f },   { 0x2028, 0x202f },   { 0x205f, 0x2063 },
                   { 0x206a, 0x206f },   { 0x2ff0, 0x2ffb },   { 0x3000, 0x3000 },
                   { 0x3002, 0x3002 },   { 0xd800, 0xf8ff },   { 0xfdd0, 0xfdef },
                   { 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff },   { 0xfff9, 0xfffd },
                   { 0x1d173, 0x1d17a }, { 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f },
                   { 0xf0000, 0x1fffff } };

static bool prohibited_rune(uint32_t c)
{
    if ((c & 0xfffe) == 0xfffe) /* the last two of every plane */
        return true;
    for (size_t i = 0; i < sizeof(prohibited) / sizeof(prohibited[0]); i++) {
        if (c >= prohibited[i].first && c <= prohibited[i].last)
            return true;
    }
    return false;
}

/* Length of the UTF-8 sequence at p (2..4) if it is well formed and allowed, else 0. */
static size_t rune_check(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    uint32_t c = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    return c < least[n] || prohibited_rune(c) ? 0 : n;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool all_hex(const char *s)
{
    for (; *s; s++) {
        if (!is_digit(*s) && !(*s >= 'a' && *s <= 'f'))
            return false;
    }
    return true;
}

/* RFC 7143 4.2.7.4: "iqn.", a date yyyy-mm, ".", a reversed domain name, and an optional string
 * behind a colon. */
static bool iqn_form(const char *s)
{
    for (int i = 0; i < 8; i++) {
        bool ok = i == 4 ? s[i] == '-' : i == 7 ? s[i] == '.' : is_digit(s[i]);
        if (!ok)
            return false;
    }
    int month = (s[5] - '0') * 10 + (s[6] - '0');
    if (month < 1 || month > 12)
        return false;
    size_t label = 0;
    for (s += 8; *s && *s != ':'; s++) {
        if (*s == '.') {
            if (!label)
                return false;
            label = 0;
        } else if (is_digit(*s) || is_lower(*s) || *s == '-') {
            label++;
        } else {
            return false;
        }
    }
    return label > 0;
}

/* name is in lower case. */
static int name_form(const char *name, enum iscsi_name_type *ret_type)
{
    const char *s = name + 4;
    size_t len = strlen(name) - 4;
    if (!memcmp(name, "iqn.", 4)) {
        *ret_type = ISCSI_NAME_IQN;
        return iqn_form(s) ? 0 : USAN_EINVAL;
    }
    if (!memcmp(name, "eui.", 4)) { /* RFC 7143 4.2.7.5: an EUI-64 */
        *ret_type = ISCSI_NAME_EUI;
        return len == 16 && all_hex(s) ? 0 : USAN_EINVAL;
    }
    if (!memcmp(name, "naa.", 4)) { /* RFC 7143 4.2.7.6: 64 or 128 bits */
        *ret_type = ISCSI_NAME_NAA;
        return (len == 16 || len == 32) && all_hex(s) ? 0 : USAN_EINVAL;
    }
    return USAN_EINVAL;
}

int iscsi_name_prepare(const char *name, size_t len, char ret_name[ISCSI_NAME_MAX + 1],
                       enum iscsi_name_type *ret_type)
{
    char buf[ISCSI_NAME_MAX + 1];
    if (len < 5 || len > ISCSI_NAME_MAX) /* RFC 7143 4.2.7.1 */
        return USAN_EINVAL;
    for (size_t i = 0; i < len;) {
        char c = name[i];
        size_t n = 1;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((uint8_t)c >= 0x80)
            n = rune_check((const uint8_t *)name + i, len - i);
        else if (!is_digit(c) && !is_lower(c) && c != '-' && c != '.' && c != ':')
            n = 0; /* RFC 7143 4.2.7.2 */
        if (!n)
            return USAN_EINVAL;
        memcpy(buf + i, name + i, n);
        if (n == 1)
            buf[i] = c;
        i += n;
    }
    buf[len] = '\0';
    enum iscsi_name_type type;
    int err = name_form(buf, &type);
    if (err)
        return err;
    memcpy(ret_name, buf, len + 1);
    if (ret_type)
        *ret_type = type;
    return 0;
}

bool iscsi_name_valid(const char *name)
{
    char buf[ISCSI_NAME_MAX + 1];
    return !iscsi_name_prepare(name, strnlen(name, ISCSI_NAME_MAX + 1), buf, NULL);
}

static void wr_hex(struct wr *w, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wr_u8(w, (uint8_t) "0123456789abcdef"[p[i] >> 4]);
        wr_u8(w, (uint8_t) "0123456789abcdef"[p[i] & 15]);
    }
}

static void put_port_name(struct wr *w, const char *name, char kind, const uint8_t *id, size_t n)
{
    size_t len = strlen(name);
    assert(len <= ISCSI_NAME_MAX);
    wr_bytes(w, name, len);
    wr_u8(w, ',');
    wr_u8(w, (uint8_t)kind);
    wr_bytes(w, ",0x", 3);
    wr_hex(w, id, n);
}

void iscsi_initiator_port_name(const char *name, const uint8_t isid[6],
                               char ret_name[ISCSI_PORT_NAME_MAX])
{
    struct wr w = wr_init(ret_name, ISCSI_PORT_NAME_MAX);
    put_port_name(&w, name, 'i', isid, 6);
    wr_u8(&w, 0);
    assert(!wr_truncated(&w));
}

void iscsi_target_port_name(const char *name, uint16_t portal_group_tag,
                            char ret_name[ISCSI_PORT_NAME_MAX])
{
    uint8_t tag[2];
    be16_put(tag, portal_group_tag);
    struct wr w = wr_init(ret_name, ISCSI_PORT_NAME_MAX);
    put_port_name(&w, name, 't', tag, 2);
    wr_u8(&w, 0);
    assert(!wr_truncated(&w));
}

size_t iscsi_transport_id(const char *name, const uint8_t *isid, void *buf, size_t cap)
{
    enum { PROTOCOL_ISCSI = 5, FORMAT_PORT = 1 << 6, ADDITIONAL_MIN = 20 };
    struct wr w = wr_init(buf, cap);
    wr_u8(&w, isid ? PROTOCOL_ISCSI | FORMAT_PORT : PROTOCOL_ISCSI);
    wr_u8(&w, 0);
    wr_be16(&w, 0); /* ADDITIONAL LENGTH, below */
    if (isid)
        put_port_name(&w, name, 'i', isid, 6);
    else
        wr_bytes(&w, name, strlen(name));
    /* Null-terminated, null-padded to a multiple of four; ADDITIONAL LENGTH is at least 20. */
    wr_u8(&w, 0);
    wr_zero(&w, (4 - w.len % 4) % 4);
    if (w.len < 4 + ADDITIONAL_MIN)
        wr_zero(&w, 4 + ADDITIONAL_MIN - w.len);
    wr_patch_be16(&w, 2, (uint16_t)(w.len - 4));
    return wr_truncated(&w) ? 0 : w.len;
}
