/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 1 and up: answers, and the data-in of commands, are kept until the initiator has
 * acknowledged them (RFC 7143 4.2.2.2, 4.2.2.3), within TSESS_KEEP_BYTES and _TASKS and
 * TCONN_KEEP_ANSWERS. */
#ifndef USAN_ISCSI_TKEEP_H
#define USAN_ISCSI_TKEEP_H

#include "iscsi/tstate.h"

/* The PDU whose header is in bhs takes this StatSN: keep a copy of it. data may be NULL. NULL: out
 * of memory, it is not kept. Level 1 and up only. */
struct tkept *tkeep_answer(struct iscsi_tconn *conn, const uint8_t *bhs, const void *data,
                           uint32_t len);
/* The response of a task has gone out whole: it is kept, or not needed any more. */
void tkeep_sent(struct ttask *t);
/* A header came: what its ExpStatSN acknowledges is given back. */
void tkeep_ack(struct iscsi_tconn *conn, uint32_t exp_stat_sn);
/* The part of a task's data-in that its cursor `acked` has passed is not kept any more. */
void tkeep_data_acked(struct ttask *t);
/* A kept task is not needed any more: EV_SENT, at once or when nothing of it is being sent. */
void tkeep_give_back(struct ttask *t);
/* Take the answer off its list and free it, now or when it was sent again. Its task is given back,
 * if it is kept. */
void tkeep_release(struct iscsi_tconn *conn, struct tkept *k);
/* It was sent again, or is not to be. */
void tkeep_resent(struct iscsi_tconn *conn, struct tkept *k);
/* That of a lost connection is on the wire of this one, with this StatSN. */
void tkeep_moved(struct iscsi_tconn *conn, struct tkept *k, uint32_t stat_sn);
/* Take the answer off the list of a lost connection, and free it. */
void tkeep_forget(struct iscsi_tsess *s, struct tkept *k);
/* The connection is closed: all of it. */
void tkeep_release_all(struct iscsi_tconn *conn);
/* Ask about answers that are not acknowledged for long. Returns when to look again. */
uint64_t tkeep_tick(struct iscsi_tconn *conn);
/* The task with this ITT whose answer is kept, on this connection. ret_gone: there is one, but its
 * data was given back. */
struct ttask *tkeep_find(const struct iscsi_tconn *conn, uint32_t itt, bool *ret_gone);
/* Its accounts, when the task is put back to the pool. */
void tkeep_uncount(struct ttask *t);

#endif
