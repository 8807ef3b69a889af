/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login phase of a connection of the target role. */
#ifndef USAN_ISCSI_TLOGIN_H
#define USAN_ISCSI_TLOGIN_H

#include "iscsi/tstate.h"

/* A Login Request with its text is complete. */
void tlogin_request(struct iscsi_tconn *conn, const uint8_t *bhs, const void *text, size_t len);
/* Fills in the login event that is due. */
bool tlogin_event(struct iscsi_tconn *conn, struct iscsi_event *ev);

#endif
