/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the NBD server share. From bottom to top: io.c (requests), conn.c
 * (connections), server.c.
 */
#ifndef USAN_NBD_SERVER_STATE_H
#define USAN_NBD_SERVER_STATE_H

#include "front/xfer.h"
#include "io/socket.h"
#include "nbd/proto.h"

#include <stdatomic.h>

/* The server of one reactor. */
struct nbd_server {
    struct front *front;
    struct front_part part;
    struct list conns;      /* nbd_conn.node */
    atomic_uint conn_count; /* [any thread] connections given to this reactor */
    bool draining;
};

/* A connection: moves bytes between its socket and the protocol core. */
struct nbd_conn {
    struct loop_fd lfd;
    struct nbd_proto *proto;
    struct nbd_server *server;
    struct front *front;
    struct loop_work rest; /* receives what one call did not take */
    struct loop_work flush;
    struct loop_work reap;
    struct loop_timer timer;
    bool paused;                     /* the core takes nothing in at the moment */
    bool deaf;                       /* nothing more is taken in at all: the program ends */
    bool closed;                     /* no socket any more */
    bool close_flushed;              /* to be closed when everything was sent */
    bool abrupt;                     /* what was not taken in so far is not sent any more */
    bool opened;                     /* the handshake was completed */
    const char *why;                 /* it ends; static */
    struct list node;                /* in the server's list */
    char peer[SOCK_ADDR_TEXT_BYTES]; /* "ip:port", or "unix" */
};

/* What is kept in every request (nbd_req.priv). */
struct nbd_io {
    struct front_xfer x;
    struct nbd_req *req;
    struct nbd_conn *conn;
    struct front_waiter waiter; /* for memory */
    bool lent;                  /* x.bio.iov is the store's until lend_end */
    bool granted;               /* x.bio.iov is the store's until the write or revoke */
    void *buf;                  /* ours */
    size_t cap;
    struct iovec iov;
    uint32_t done, piece; /* bytes that are through; and under way */
    /* BLOCK_STATUS: descriptors so far, and the last one, which may still grow */
    unsigned extents, asked;
    uint32_t run, state;
};

/* Take the core's events, send what there is and go on receiving, at the end of this iteration. */
static inline void nbd_conn_want_flush(struct nbd_conn *conn)
{
    loop_work_queue(conn->front->loop, conn->closed ? &conn->reap : &conn->flush);
}

#endif
