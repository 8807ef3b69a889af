/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login phase of a connection of the target role. */
#ifndef USAN_ISCSI_TLOGIN_H
#define USAN_ISCSI_TLOGIN_H

#include "iscsi/tstate.h"

/* A Login Request with its text is complete. */
void tlogin_request(struct iscsi_tconn *conn, const uint8_t *bhs, const void *text, size_t len);
/* Refuse the login that was started; not while the owner is being asked. */
void tlogin_refuse(struct iscsi_tconn *conn, enum iscsi_login_status status);
/* Fills in the login event that is due. */
bool tlogin_event(struct iscsi_tconn *conn, struct iscsi_event *ev);

#endif
