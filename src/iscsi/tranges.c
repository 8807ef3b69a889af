/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tranges.h"

#include <stdbool.h>
#include <string.h>

void tranges_clear(struct tranges *r, const struct alloc *a)
{
    alloc_put(a, r->more);
    r->more = NULL;
    r->cap = TRANGES_FEW;
    r->count = 0;
}

static struct trange *pieces(struct tranges *r)
{
    return r->more ? r->more : r->few;
}

/* Pieces of PDUs that have the smallest size, with gaps of that size. */
static uint32_t limit(uint32_t total)
{
    uint32_t n = total / (2 * TRANGES_PDU_MIN) + 1;
    return n < TRANGES_FEW ? TRANGES_FEW : n;
}

static int grow(struct tranges *r, const struct alloc *a, uint32_t total)
{
    uint32_t max = limit(total), cap = r->cap < max / 2 ? 2 * r->cap : max;

    if (r->cap >= max)
        return USAN_ELIMIT;
    struct trange *p = alloc_get(a, cap * sizeof *p);
    if (!p)
        return USAN_ENOMEM;
    memcpy(p, pieces(r), r->count * sizeof *p);
    alloc_put(a, r->more);
    r->more = p;
    r->cap = cap;
    return 0;
}

int tranges_add(struct tranges *r, const struct alloc *a, uint32_t total, uint32_t off,
                uint32_t len)
{
    uint32_t end = off + len, i = 0, hi = r->count;
    struct trange *p = pieces(r);

    while (i < hi) { /* the first piece that ends behind off */
        uint32_t mid = i + (hi - i) / 2;
        if (p[mid].end > off)
            hi = mid;
        else
            i = mid + 1;
    }
    if (i < r->count && p[i].off < end)
        return USAN_EEXIST;
    bool before = i > 0 && p[i - 1].end == off;
    bool behind = i < r->count && p[i].off == end;
    if (before && behind) {
        p[i - 1].end = p[i].end;
        r->count--;
        memmove(&p[i], &p[i + 1], (r->count - i) * sizeof *p);
    } else if (before) {
        p[i - 1].end = end;
    } else if (behind) {
        p[i].off = off;
    } else {
        if (r->count == r->cap) {
            int err = grow(r, a, total);
            if (err)
                return err;
            p = pieces(r);
        }
        memmove(&p[i + 1], &p[i], (r->count - i) * sizeof *p);
        p[i] = (struct trange){ .off = off, .end = end };
        r->count++;
    }
    return 0;
}

uint32_t tranges_gap(const struct tranges *r, uint32_t off, uint32_t *ret_end)
{
    const struct trange *p = r->more ? r->more : r->few;

    *ret_end = UINT32_MAX;
    for (uint32_t i = 0; i < r->count; i++) {
        if (p[i].off > off) {
            *ret_end = p[i].off;
            break;
        }
        if (p[i].end > off)
            off = p[i].end; /* the next piece does not touch this one */
    }
    return off;
}
