/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The NBD server of one reactor. */
#ifndef USAN_NBD_SERVER_H
#define USAN_NBD_SERVER_H

#include "nbd/server_state.h"

/* f is borrowed, and open. There is nothing to undo: it is gone when it has no connection. */
void nbd_server_init(struct nbd_server *s, struct front *f);
/* A socket that was accepted, on the reactor's thread. conn_count has been raised. The descriptor
 * is taken over. */
void nbd_server_serve(struct nbd_server *s, int fd);

#endif
