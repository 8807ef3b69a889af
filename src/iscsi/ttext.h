/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text requests in full feature phase. */
#ifndef USAN_ISCSI_TTEXT_H
#define USAN_ISCSI_TTEXT_H

#include "iscsi/tstate.h"

/* The event is SEND_TARGETS. */
enum treq ttext_request(struct iscsi_tconn *conn, const uint8_t *bhs, const char *text, size_t len,
                        struct iscsi_event *ev);
void ttext_abandon(struct iscsi_tconn *conn);

#endif
