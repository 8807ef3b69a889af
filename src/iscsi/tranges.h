/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a sequence of Data-Out PDUs came, when they may come in any order
 * (DataPDUInOrder=No): disjoint pieces, joined where they touch. */
#ifndef USAN_ISCSI_TRANGES_H
#define USAN_ISCSI_TRANGES_H

#include "base/alloc.h"
#include "base/err.h"

#include <stdint.h>

enum {
    TRANGES_FEW = 16, /* pieces that need no memory of their own */
    /* A sequence whose PDUs have at least that many bytes (the smallest MaxRecvDataSegmentLength
     * there is, 13.12), but for the last one, may come in any order. One of smaller PDUs may leave
     * no more gaps than such a one could. */
    TRANGES_PDU_MIN = 512,
};

struct trange {
    uint32_t off, end;
};

struct tranges {
    uint32_t count, cap;
    struct trange *more; /* NULL while `few` is enough */
    struct trange few[TRANGES_FEW];
};

/* A new sequence; r was all zero at first. */
void tranges_clear(struct tranges *r, const struct alloc *a);
/* Note bytes [off, off + len) of a sequence of `total` bytes; len is not 0, off + len is below
 * 2^32. USAN_EEXIST: one of them is there already; USAN_ELIMIT: too many gaps; USAN_ENOMEM. */
USAN_MUST_CHECK
int tranges_add(struct tranges *r, const struct alloc *a, uint32_t total, uint32_t off,
                uint32_t len);
/* The first byte from off on that is not there; in ret_end the next one that is, or UINT32_MAX. */
uint32_t tranges_gap(const struct tranges *r, uint32_t off, uint32_t *ret_end);

#endif
