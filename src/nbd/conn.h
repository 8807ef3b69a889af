/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of an NBD connection. */
#ifndef USAN_NBD_CONN_H
#define USAN_NBD_CONN_H

#include "nbd/server_state.h"

/* Take a connected, non-blocking socket over (closed on failure too), on the reactor's thread; the
 * server's conn_count counts it already. */
void nbd_conn_open(struct nbd_server *s, int fd);
/* Close the socket at once; the object goes when its last request is over. */
void nbd_conn_close(struct nbd_conn *conn, const char *why);
/* The program ends: answer new requests with ESHUTDOWN. */
void nbd_conn_shutdown(struct nbd_conn *conn);
/* Take nothing more from the socket. */
void nbd_conn_deaf(struct nbd_conn *conn);
/* Nothing is in hand or being sent. */
bool nbd_conn_idle(const struct nbd_conn *conn);

#endif
