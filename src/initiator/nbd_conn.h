/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An NBD connection: moves bytes between its socket and the protocol core. */
#ifndef USAN_INITIATOR_NBD_CONN_H
#define USAN_INITIATOR_NBD_CONN_H

#include "initiator/nbd_proto.h"
#include "initiator/reactor.h"
#include "io/socket.h"

struct nbd_conn {
    struct loop_fd lfd;
    struct nbd_proto *proto;
    struct attach_reactor *reactor;
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
    struct list node;                /* in the reactor's list */
    char peer[SOCK_ADDR_TEXT_BYTES]; /* "ip:port", or "unix" */
};

/* Take a connected, non-blocking socket over (closed on failure too), on the reactor's thread; the
 * reactor's conn_count counts it already. */
void nbd_conn_open(struct attach_reactor *r, int fd);
/* Close the socket at once; the object goes when its last request is over. */
void nbd_conn_close(struct nbd_conn *conn, const char *why);
/* The program ends: answer new requests with ESHUTDOWN. */
void nbd_conn_shutdown(struct nbd_conn *conn);
/* Take nothing more from the socket. */
void nbd_conn_deaf(struct nbd_conn *conn);
/* Nothing is in hand or being sent. */
bool nbd_conn_idle(const struct nbd_conn *conn);
/* Take the core's events, after something was done to it from outside of an event. */
void nbd_conn_pump(struct nbd_conn *conn);
/* Send what there is, at the end of this iteration. */
void nbd_conn_want_flush(struct nbd_conn *conn);

#endif
