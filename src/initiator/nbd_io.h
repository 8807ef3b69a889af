/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NBD requests carried out on the store. */
#ifndef USAN_INITIATOR_NBD_IO_H
#define USAN_INITIATOR_NBD_IO_H

#include "initiator/nbd_conn.h"

/* What is kept in every request (nbd_req.priv). */
struct nbd_io {
    struct bio bio;
    struct nbd_req *req;
    struct nbd_conn *conn;
    struct list node; /* in the reactor's waiting list */
    bool waits;       /* it is in there */
    bool lent;        /* bio.iov is the store's until lend_end */
    bool granted;     /* bio.iov is the store's until the write or revoke */
    void *buf;        /* ours */
    size_t cap;
    struct iovec iov;
    uint32_t done; /* bytes that are through */
    /* BLOCK_STATUS: descriptors so far, and the last one, which may still grow */
    unsigned extents, asked;
    uint32_t run, state;
};

/* What the store is for clients that connect now. */
struct nbd_export nbd_io_export(const struct attach_reactor *r);

/* The events of the core. */
void nbd_io_start(struct nbd_conn *conn, struct nbd_req *req);
void nbd_io_data(struct nbd_req *req);
void nbd_io_over(struct nbd_req *req);
/* The connection has ended: requests that wait for memory are not carried out. */
void nbd_io_cancel_waiting(struct nbd_conn *conn);
/* There may be memory again for those of a reactor. */
void nbd_io_retry(struct attach_reactor *r);

#endif
