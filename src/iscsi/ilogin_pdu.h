/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login phase of a connection: PDUs around the negotiation of ilogin.c. */
#ifndef USAN_ISCSI_ILOGIN_PDU_H
#define USAN_ISCSI_ILOGIN_PDU_H

#include "iscsi/istate.h"

void ilogin_pdu_begin(struct iscsi_iconn *conn);
/* A Login Response with its text. */
void ilogin_pdu_response(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *text,
                         uint32_t len);

#endif
