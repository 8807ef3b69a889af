/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tmissing.h"

int tmissing_ranges(struct ttask *t)
{
    if (t->ranges)
        return 0;
    t->ranges = alloc_zero(t->sess->a, TTASK_BURSTS * sizeof *t->ranges);
    if (!t->ranges)
        return USAN_ENOMEM;
    for (unsigned i = 0; i < TTASK_BURSTS; i++)
        tranges_clear(&t->ranges[i], t->sess->a);
    return 0;
}

int tmissing_note(struct ttask *t, uint64_t off, uint64_t len)
{
    int err = tmissing_ranges(t);
    if (err)
        return err;
    err = tranges_add(&t->ranges[0], t->sess->a, (uint32_t)t->pub.out_expected, (uint32_t)off,
                      (uint32_t)len);
    return err == USAN_EEXIST ? USAN_EPROTO : err;
}

/* The first byte from off on, below end, that is not there; end when all are. */
static uint64_t first_gap(const struct ttask *t, uint64_t off, uint64_t end, uint64_t *ret_end)
{
    uint32_t gap_end = UINT32_MAX;

    if (t->ranges)
        off = tranges_gap(&t->ranges[0], (uint32_t)off, &gap_end);
    *ret_end = gap_end < end ? gap_end : end;
    return off < end ? off : end;
}

uint64_t tmissing_covered(const struct ttask *t, uint64_t n)
{
    uint64_t missing = 0, end;

    for (uint64_t off = first_gap(t, 0, n, &end); off < n; off = first_gap(t, end, n, &end))
        missing += end - off;
    return n - missing;
}

bool tmissing_in(const struct ttask *t, uint64_t off, uint64_t len)
{
    uint64_t end = off + len < t->want_len ? off + len : t->want_len, gap_end;

    return off < end && first_gap(t, off, end, &gap_end) < end;
}

/* The active sequence that [off, end) begins in, NULL if none; end is cut where one begins. */
static const struct tburst *asked_for(const struct ttask *t, uint64_t off, uint64_t *end)
{
    for (unsigned i = 0; i < TTASK_BURSTS; i++) {
        const struct tburst *b = &t->bursts[i];
        if (!b->active)
            continue;
        if (b->off <= off && off < (uint64_t)b->off + b->len)
            return b;
        if (b->off > off && b->off < *end)
            *end = b->off;
    }
    return NULL;
}

uint64_t tmissing_next(const struct ttask *t, uint64_t *ret_off)
{
    uint64_t off = t->asked, end = t->want_len;

    if (t->sess->params.error_recovery_level == 0) {
        *ret_off = off;
        return off < end ? end - off : 0;
    }
    for (off = first_gap(t, 0, t->want_len, &end); off < t->want_len;) {
        const struct tburst *b = asked_for(t, off, &end);
        if (!b) {
            *ret_off = off;
            return end - off;
        }
        off = first_gap(t, (uint64_t)b->off + b->len, t->want_len, &end);
    }
    return 0;
}
