/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Big-endian fields and bounds-checked cursors: how every wire format is read and written.
 *
 * A cursor never runs past its end: a read beyond it yields zeroes and a write beyond it is
 * dropped, and either marks the cursor bad, so a decoder checks once at the end instead of at
 * every field.
 */
#ifndef USAN_BASE_BYTES_H
#define USAN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t be16_get(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t be24_get(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline uint32_t be32_get(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t be48_get(const void *p)
{
    const uint8_t *b = p;
    return (uint64_t)be16_get(b) << 32 | be32_get(b + 2);
}

static inline uint64_t be64_get(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static inline void be16_put(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}

static inline void be24_put(void *p, uint32_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)(v >> 16);
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)v;
}

static inline void be32_put(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void be48_put(void *p, uint64_t v)
{
    be16_put(p, (uint16_t)(v >> 32));
    be32_put((uint8_t *)p + 2, (uint32_t)v);
}

static inline void be64_put(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

/* ---- reading ---- */

struct rd {
    const uint8_t *p, *end; /* borrowed */
    bool bad;               /* a read went past the end */
};

static inline struct rd rd_init(const void *p, size_t len)
{
    return (struct rd){ .p = p, .end = (const uint8_t *)p + len, .bad = false };
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

/* The next n bytes and past them; NULL (and bad) when there are not so many. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (rd_left(r) < n) {
        r->bad = true;
        r->p = r->end;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}

static inline uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 1);
    return p ? *p : 0;
}

static inline uint16_t rd_be16(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 2);
    return p ? be16_get(p) : 0;
}

static inline uint32_t rd_be24(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 3);
    return p ? be24_get(p) : 0;
}

static inline uint32_t rd_be32(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 4);
    return p ? be32_get(p) : 0;
}

static inline uint64_t rd_be64(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 8);
    return p ? be64_get(p) : 0;
}

static inline void rd_skip(struct rd *r, size_t n)
{
    (void)rd_bytes(r, n);
}

/* ---- writing ---- */

/*
 * `len` counts what was asked to be written, `cap` what fits: SCSI replies are cut at the
 * allocation length but still have to state their full length.
 */
struct wr {
    uint8_t *buf; /* borrowed */
    size_t cap, len;
};

static inline struct wr wr_init(void *buf, size_t cap)
{
    return (struct wr){ .buf = buf, .cap = cap, .len = 0 };
}

static inline bool wr_truncated(const struct wr *w)
{
    return w->len > w->cap;
}

/* Bytes that are really in the buffer. */
static inline size_t wr_stored(const struct wr *w)
{
    return w->len < w->cap ? w->len : w->cap;
}

static inline void wr_bytes(struct wr *w, const void *p, size_t n)
{
    if (w->len < w->cap) {
        size_t fit = w->cap - w->len;
        if (n)
            memcpy(w->buf + w->len, p, n < fit ? n : fit);
    }
    w->len += n;
}

static inline void wr_zero(struct wr *w, size_t n)
{
    if (w->len < w->cap) {
        size_t fit = w->cap - w->len;
        memset(w->buf + w->len, 0, n < fit ? n : fit);
    }
    w->len += n;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
    wr_bytes(w, &v, 1);
}

static inline void wr_be16(struct wr *w, uint16_t v)
{
    uint8_t b[2];
    be16_put(b, v);
    wr_bytes(w, b, 2);
}

static inline void wr_be24(struct wr *w, uint32_t v)
{
    uint8_t b[3];
    be24_put(b, v);
    wr_bytes(w, b, 3);
}

static inline void wr_be32(struct wr *w, uint32_t v)
{
    uint8_t b[4];
    be32_put(b, v);
    wr_bytes(w, b, 4);
}

static inline void wr_be64(struct wr *w, uint64_t v)
{
    uint8_t b[8];
    be64_put(b, v);
    wr_bytes(w, b, 8);
}

/* Overwrite bytes already written (length fields); what lies past cap is dropped. */
static inline void wr_patch(struct wr *w, size_t at, const void *p, size_t n)
{
    if (at < w->cap)
        memcpy(w->buf + at, p, n < w->cap - at ? n : w->cap - at);
}

static inline void wr_patch_be16(struct wr *w, size_t at, uint16_t v)
{
    uint8_t b[2];
    be16_put(b, v);
    wr_patch(w, at, b, 2);
}

static inline void wr_patch_be32(struct wr *w, size_t at, uint32_t v)
{
    uint8_t b[4];
    be32_put(b, v);
    wr_patch(w, at, b, 4);
}

/* Text left-aligned in a field of n bytes, padded with spaces (T10) or cut. */
static inline void wr_ascii(struct wr *w, const char *s, size_t n)
{
    size_t sl = strlen(s);
    for (size_t i = 0; i < n; i++)
        wr_u8(w, i < sl ? (uint8_t)s[i] : ' ');
}

#endif
