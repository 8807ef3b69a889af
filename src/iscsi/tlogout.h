/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logout Requests (RFC 7143 11.14). */
#ifndef USAN_ISCSI_TLOGOUT_H
#define USAN_ISCSI_TLOGOUT_H

#include "iscsi/tstate.h"

/* Its turn has come. The response goes out when what it ends has ended. */
enum treq tlogout_request(struct iscsi_tconn *conn, const uint8_t *bhs);

#endif
