/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One storage request: the vocabulary between the SCSI device server, which fills it in, and the
 * stores, which carry it out. No code lives here.
 *
 * Ownership: the submitter owns the struct and keeps it, and the memory in `iov`, in place until
 * `done` is called. There is exactly one way to complete: the store sets err (and the other
 * results) and the bio's done function is called once, never from inside the submit call.
 */
#ifndef USAN_BASE_BIO_H
#define USAN_BASE_BIO_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum bio_op {
    BIO_READ,              /* store -> iov */
    BIO_WRITE,             /* iov -> store */
    BIO_FLUSH,             /* all completed writes become durable; off and len are 0 */
    BIO_UNMAP,             /* content becomes zero if unmap_zeroes, else undefined */
    BIO_WRITE_ZEROES,      /* content becomes zero; BIO_F_MAY_UNMAP: may be deallocated */
    BIO_COMPARE_AND_WRITE, /* iov = compare bytes (len) then write bytes (len); atomic */
    BIO_MAP_STATUS,        /* is [off, off+len) allocated? see `mapped`, `run_len` */
    BIO_OP_COUNT
};

enum {
    BIO_F_FUA = 1u << 0,       /* durable before done (WRITE, WRITE_ZEROES, UNMAP, C-A-W) */
    BIO_F_MAY_UNMAP = 1u << 1, /* WRITE_ZEROES may deallocate */
    BIO_F_LEND = 1u << 2,      /* READ with iovcnt 0: the store may lend its own memory */
    BIO_F_DPO = 1u << 3,       /* not worth caching */
    BIO_F_FAST_ZERO = 1u << 4, /* WRITE_ZEROES: rather ENOTSUP than writing zeroes */
};

struct bio {
    enum bio_op op;
    uint32_t flags;
    uint64_t off; /* bytes from the start of the store */
    uint64_t len; /* bytes */

    struct iovec *iov; /* borrowed until done */
    int iovcnt;

    /* results */
    int err;          /* 0 or USAN_E...; set before done */
    uint64_t err_off; /* on EIO and EMISCOMPARE: first bad byte, from the start of the store */
    bool mapped;      /* MAP_STATUS: state of the run that starts at off */
    uint64_t run_len; /* MAP_STATUS: bytes of that run, >= 1, may end before off+len */

    void (*done)(struct bio *bio); /* set by the submitter */

    /* Kept by store.c and filters, for cancellation: the request that carries this one out, NULL if
     * there is none (any more). emulated: it is one of store.c itself. */
    struct bio *by;
    bool emulated;

    /* For the store that has the request in hand; nobody else touches these. */
    struct list node;
    struct iovec one; /* room for a single iovec, so that the common case needs no array */
    void *lent;       /* BIO_F_LEND: not NULL while lent memory is held; see store.h */
    void *store_priv[4];
};

#endif
