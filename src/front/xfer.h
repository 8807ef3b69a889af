/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A transfer between a buffer and the store, in as many requests as the store's limit asks for. */
#ifndef USAN_FRONT_XFER_H
#define USAN_FRONT_XFER_H

#include "front/front.h"

/* Embedded by the owner, in place until done. */
struct front_xfer {
    struct bio bio; /* for other requests too, while no transfer is under way */
    struct iovec iov;
    struct front *front;
    enum bio_op op;
    uint32_t flags;
    uint64_t off, left; /* what is still to be moved */
    uint8_t *at;
    /* err_off is the first bad byte, UINT64_MAX = not known */
    void (*done)(struct front_xfer *x, int err, uint64_t err_off);
};

/* op is READ or WRITE; off and len are whole blocks, len not 0. front and done are set. */
void front_xfer_start(struct front_xfer *x, enum bio_op op, uint32_t flags, uint64_t off, void *buf,
                      uint64_t len);

#endif
