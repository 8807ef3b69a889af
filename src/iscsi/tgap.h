/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Below recovery level 2: CmdSNs that went down with a connection of a session that has others.
 *
 * Requests that came on it ahead of their turn are discarded (RFC 7143 7.5, 11.14). Others may have
 * been lost on their way. Retransmission across connections begins with level 2 (7.1), so nobody
 * sends them again, and the session would wait for ever. Their numbers count as received, and the
 * tasks as ended with their connection:
 *
 *   - those that are known, when their turn comes; one that does come again takes its place till
 *     then;
 *   - those that never came, when they can not come any more: each connection carries requests in
 *     the order of CmdSN (4.2.2.1), so a later one on all that are left is the proof. One that has
 *     nothing to send is asked by a NOP-In. What was rejected comes again, and is waited for.
 */
#ifndef USAN_ISCSI_TGAP_H
#define USAN_ISCSI_TGAP_H

#include "iscsi/tstate.h"

/* The connection is closed. */
void tgap_closed(struct iscsi_tconn *conn);
/* Its early requests go, and their numbers as well from level 2 on. */
void tgap_drop_held(struct iscsi_tconn *conn);
/* It has been logged in. */
void tgap_joined(struct iscsi_tconn *conn);
/* A request of a broken session came, this far along in the sequence. */
void tgap_shown(struct iscsi_tconn *conn, uint32_t cmd_sn);
/* A request is rejected: it does not count as received. */
void tgap_rejected(struct iscsi_tconn *conn, const uint8_t *bhs);
/* The session is broken, and requests are held: fill the gap before them as far as that may be
 * done. true: ExpCmdSN has moved. */
bool tgap_mend(struct iscsi_tsess *sess);

#endif
