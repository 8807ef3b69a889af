/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NBD requests carried out on the store. */
#ifndef USAN_NBD_IO_H
#define USAN_NBD_IO_H

#include "nbd/server_state.h"

/* What the store is for clients that connect now. */
struct nbd_export nbd_io_export(const struct front *f);

/* The events of the core. */
void nbd_io_start(struct nbd_conn *conn, struct nbd_req *req);
void nbd_io_data(struct nbd_req *req);
void nbd_io_over(struct nbd_req *req);
/* The connection has ended: requests that wait for memory are not carried out. */
void nbd_io_cancel_waiting(struct nbd_conn *conn);

#endif
