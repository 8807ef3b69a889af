/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions: the command window, the order of CmdSN, the pool of tasks. */
#ifndef USAN_ISCSI_TSESS_H
#define USAN_ISCSI_TSESS_H

#include "iscsi/tstate.h"

enum tsess_order { TSESS_NOW, TSESS_LATER, TSESS_IGNORE };
/* What a request with this CmdSN is: in its turn, early, or to be ignored (4.2.2.1). */
enum tsess_order tsess_order(const struct iscsi_tsess *sess, uint32_t cmd_sn, bool immediate);
/* It is taken in: if it is its turn, ExpCmdSN moves on. Not for one that is rejected, whose CmdSN
 * does not count as received (11.17.1): the initiator may send it again as it should be. */
void tsess_received(struct iscsi_tsess *sess, enum tsess_order order, bool immediate);
/* The one whose turn tsess_next_held said it was is rejected. */
void tsess_not_received(struct iscsi_tsess *sess);
/* NULL: no task left (only immediate commands can see that), or out of memory. */
struct ttask *tsess_task_get(struct iscsi_tsess *sess, uint32_t itt, bool immediate);
void tsess_task_put(struct ttask *t);
struct ttask *tsess_find(struct iscsi_tsess *sess, uint32_t itt);
struct ttask *tsess_find_ttt(struct iscsi_tsess *sess, uint32_t ttt, struct tburst **ret_burst);
/* The task that asked for a DataACK with this tag. ret_ours: one had it, or may have had it. */
struct ttask *tsess_find_ack(struct iscsi_tsess *sess, uint32_t ttt, bool *ret_ours);
/* For Data-In PDUs that ask for a DataACK. */
uint32_t tsess_ack_ttt(struct ttask *t);
/* Its answer was sent and is only kept: out of the window, and its ITT may be used again. */
void tsess_uncount(struct ttask *t);
/* Keep an early task (TSESS_LATER) until its turn. */
void tsess_hold(struct iscsi_tsess *sess, struct ttask *t);
/* Keep the place of an early CmdSN that needs no delivery. NULL: the connection was closed. */
struct ttask *tsess_hold_place(struct iscsi_tconn *conn, uint32_t cmd_sn);
/* Keep an early request that is no task, until its turn. */
void tsess_hold_request(struct iscsi_tconn *conn, const uint8_t *bhs, const void *data,
                        uint32_t len);
/* Take it out of its place; the caller frees it with the session's allocator. */
struct tlate *tsess_take_late(struct ttask *t);
/* A held command is aborted before its turn: only its place remains. */
void tsess_make_ghost(struct ttask *t);
/* All commands up to this CmdSN count as received; those that are held are dropped. */
void tsess_plug(struct iscsi_tsess *sess, uint32_t cmd_sn);
/* Does a request of this connection wait for its turn? */
bool tsess_holds(const struct iscsi_tconn *conn);
/* Has the owner a task of this connection? */
bool tsess_owner_has(const struct iscsi_tconn *conn);
/* The next held task (or place with a late request) whose turn has come, NULL if none. ExpCmdSN
 * moves on. */
struct ttask *tsess_next_held(struct iscsi_tsess *sess);
/* Memory for unsolicited data of the task; NULL when the session holds TSESS_STASH_MAX, or out of
 * memory. */
uint8_t *tsess_stash_get(struct ttask *t, uint32_t bytes);
void tsess_stash_put(struct ttask *t);
/* Its answer goes on the wire: in the headers from this one on it has left the window. */
void tsess_answered(struct ttask *t);
/* MaxCmdSN for the next header of the connection; it never goes back. Whoever reads it has read all
 * that was sent before it, and so the tasks answered there are free again: a command in the window
 * always finds one. */
uint32_t tsess_max_cmd_sn(struct iscsi_tconn *conn);
void tsess_join(struct iscsi_tconn *conn, struct iscsi_tsess *sess);
void tsess_leave(struct iscsi_tconn *conn);

#endif
