/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/irange.h"

#include <string.h>

static void remove_at(struct irange *r, unsigned i)
{
    r->count--;
    memmove(&r->range[i], &r->range[i + 1], (r->count - i) * sizeof r->range[0]);
}

int irange_add(struct irange *r, uint32_t off, uint32_t len)
{
    uint32_t end = off + len;
    unsigned i = 0;

    while (i < r->count && r->range[i].end <= off)
        i++;
    /* range[i] is the first that ends behind off */
    if (i < r->count && r->range[i].off < end)
        return USAN_EEXIST;
    bool before = i > 0 && r->range[i - 1].end == off;
    bool behind = i < r->count && r->range[i].off == end;
    if (before && behind) {
        r->range[i - 1].end = r->range[i].end;
        remove_at(r, i);
    } else if (before) {
        r->range[i - 1].end = end;
    } else if (behind) {
        r->range[i].off = off;
    } else {
        if (r->count == IRANGE_MAX)
            return USAN_ELIMIT;
        memmove(&r->range[i + 1], &r->range[i], (r->count - i) * sizeof r->range[0]);
        r->range[i].off = off;
        r->range[i].end = end;
        r->count++;
    }
    return 0;
}

bool irange_overlaps(const struct irange *r, uint32_t off, uint32_t len)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (r->range[i].off < off + len && off < r->range[i].end)
            return true;
    }
    return false;
}

int irange_merge(struct irange *r, uint32_t off, uint32_t len, uint32_t *ret_new)
{
    uint32_t at = off, end = off + len;
    *ret_new = 0;
    while (at < end) { /* each gap by itself */
        uint32_t to = end;
        bool there = false;
        for (unsigned i = 0; i < r->count && !there; i++) {
            if (r->range[i].off <= at && at < r->range[i].end) {
                at = r->range[i].end;
                there = true;
            } else if (r->range[i].off > at && r->range[i].off < to) {
                to = r->range[i].off;
            }
        }
        if (there)
            continue;
        int err = irange_add(r, at, to - at);
        if (err)
            return err;
        *ret_new += to - at;
        at = to;
    }
    return 0;
}
