/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walking iovecs, and pools of iovec arrays for lends and grants. */
#ifndef USAN_STORE_IOV_H
#define USAN_STORE_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

/* A place in an array of iovecs, which stays as it is. */
struct iov_cur {
    const struct iovec *v;
    size_t in; /* bytes of *v that are behind us */
};

/* Bytes that follow in one piece. There has to be something left. */
static inline size_t iov_cur_piece(struct iov_cur *c, uint8_t **ret_p)
{
    while (c->in == c->v->iov_len) {
        c->v++;
        c->in = 0;
    }
    *ret_p = (uint8_t *)c->v->iov_base + c->in;
    return c->v->iov_len - c->in;
}

/* The next n bytes of the iovecs to dst. */
static inline void iov_cur_read(struct iov_cur *c, void *dst, size_t n)
{
    uint8_t *to = dst;
    while (n) {
        uint8_t *p;
        size_t piece = iov_cur_piece(c, &p);
        if (piece > n)
            piece = n;
        memcpy(to, p, piece);
        c->in += piece;
        to += piece;
        n -= piece;
    }
}

/* n bytes from src to the next bytes of the iovecs. */
static inline void iov_cur_write(struct iov_cur *c, const void *src, size_t n)
{
    const uint8_t *from = src;
    while (n) {
        uint8_t *p;
        size_t piece = iov_cur_piece(c, &p);
        if (piece > n)
            piece = n;
        memcpy(p, from, piece);
        c->in += piece;
        from += piece;
        n -= piece;
    }
}

static inline void iov_cur_zero(struct iov_cur *c, size_t n)
{
    while (n) {
        uint8_t *p;
        size_t piece = iov_cur_piece(c, &p);
        if (piece > n)
            piece = n;
        memset(p, 0, piece);
        c->in += piece;
        n -= piece;
    }
}

static inline void iov_cur_skip(struct iov_cur *c, size_t n)
{
    while (n) {
        uint8_t *p;
        size_t piece = iov_cur_piece(c, &p);
        if (piece > n)
            piece = n;
        c->in += piece;
        n -= piece;
    }
}

/*
 * Arrays of a power of two of iovecs, kept for the next time when they come back; those of common
 * lengths are made when the pool is, so that no request waits for the allocator. One thread.
 */
#define IOV_POOL_CLASSES 21 /* up to 2^20 iovecs in one array */

struct iov_pool {
    struct iov_array *free[IOV_POOL_CLASSES];
};

/* ENOMEM. */
int iov_pool_init(struct iov_pool *pool);
void iov_pool_fini(struct iov_pool *pool);
/* At least n iovecs; NULL when out of memory or n is beyond the largest class. */
struct iovec *iov_pool_get(struct iov_pool *pool, size_t n);
void iov_pool_put(struct iov_pool *pool, struct iovec *v);

#endif
