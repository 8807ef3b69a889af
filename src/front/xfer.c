/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "front/xfer.h"

static void part_done(struct bio *bio);

static void next_part(struct front_xfer *x)
{
    uint64_t most = x->front->store->info.max_io_bytes;
    uint64_t len = most && x->left > most ? most : x->left;
    x->iov = (struct iovec){ x->at, (size_t)len };
    x->bio = (struct bio){ .op = x->op,
                           .flags = x->flags,
                           .off = x->off,
                           .len = len,
                           .iov = &x->iov,
                           .iovcnt = 1,
                           .done = part_done };
    store_submit(x->front->ch, &x->bio);
}

static void part_done(struct bio *bio)
{
    struct front_xfer *x = list_entry(bio, struct front_xfer, bio);
    if (!bio->err) {
        x->off += bio->len;
        x->at += bio->len;
        x->left -= bio->len;
        if (x->left) {
            next_part(x);
            return;
        }
    }
    x->done(x, bio->err, bio->err == USAN_EIO ? bio->err_off : UINT64_MAX);
}

void front_xfer_start(struct front_xfer *x, enum bio_op op, uint32_t flags, uint64_t off, void *buf,
                      uint64_t len)
{
    x->op = op;
    x->flags = flags;
    x->off = off;
    x->at = buf;
    x->left = len;
    next_part(x);
}
