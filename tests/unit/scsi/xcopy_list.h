/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parameter lists of EXTENDED COPY(LID1), built piece by piece (SPC-6 6.6). */
#ifndef USAN_TESTS_XCOPY_LIST_H
#define USAN_TESTS_XCOPY_LIST_H

#include "copy_test.h"

enum { USAGE_HOLD = 0, USAGE_DISCARD = 2, USAGE_NONE = 3 };

/* A LID1 list being built. */
struct xlist {
    uint8_t b[16 + 70 * COPY_CSCD_BYTES + 300 * COPY_SEGMENT_BYTES];
    size_t cscds, segments;
};

static inline struct xlist list_new(uint8_t id, uint8_t usage)
{
    return (struct xlist){ .b = { id, (uint8_t)(usage << 3) } };
}

static inline uint8_t *add_cscd(struct xlist *l, const struct rig *r, unsigned unit)
{
    uint8_t *d = l->b + 16 + COPY_CSCD_BYTES * l->cscds++;
    cscd_ident(d, r, unit);
    return d;
}

/* After all CSCDs. */
static inline uint8_t *add_segment(struct xlist *l, uint16_t src, uint16_t dst, uint16_t blocks,
                                   uint64_t src_lba, uint64_t dst_lba)
{
    uint8_t *s = l->b + 16 + COPY_CSCD_BYTES * l->cscds + COPY_SEGMENT_BYTES * l->segments++;
    segment_b2b(s, src, dst, blocks, src_lba, dst_lba);
    return s;
}

static inline size_t list_len(struct xlist *l)
{
    size_t cscds = l->cscds * COPY_CSCD_BYTES, segments = l->segments * COPY_SEGMENT_BYTES;
    be16_put(l->b + 2, (uint16_t)cscds);
    be32_put(l->b + 8, (uint32_t)segments);
    return 16 + cscds + segments;
}

static inline struct rig_result run(struct rig *r, struct xlist *l)
{
    return copy_out(r, 0, 0, COPY_OUT_LID1, l->b, list_len(l));
}

#endif
