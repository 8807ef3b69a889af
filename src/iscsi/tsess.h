/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions: the command window, the order of CmdSN, the pool of tasks. */
#ifndef USAN_ISCSI_TSESS_H
#define USAN_ISCSI_TSESS_H

#include "iscsi/tstate.h"

enum tsess_order { TSESS_NOW, TSESS_LATER, TSESS_IGNORE };
/* What a request with this CmdSN is: in its turn (then ExpCmdSN has moved on), early, or to be
 * ignored (4.2.2.1). */
enum tsess_order tsess_take_cmd_sn(struct iscsi_tsess *sess, uint32_t cmd_sn, bool immediate);
/* NULL: no task left (only immediate commands can see that), or out of memory. */
struct ttask *tsess_task_get(struct iscsi_tsess *sess, uint32_t itt, bool immediate);
void tsess_task_put(struct ttask *t);
struct ttask *tsess_find(struct iscsi_tsess *sess, uint32_t itt);
struct ttask *tsess_find_ttt(struct iscsi_tsess *sess, uint32_t ttt, struct tburst **ret_burst);
/* Keep an early task (TSESS_LATER) until its turn. */
void tsess_hold(struct iscsi_tsess *sess, struct ttask *t);
/* Keep the place of an early CmdSN that needs no delivery. False: the connection was closed. */
bool tsess_hold_place(struct iscsi_tconn *conn, uint32_t cmd_sn);
/* A request that is no task: carried out as it comes, in its turn or early (then its place in the
 * sequence is kept). False if it is to be ignored. */
bool tsess_pass_turn(struct iscsi_tconn *conn, uint32_t cmd_sn, bool immediate);
/* The next held task whose turn has come, NULL if none. ExpCmdSN moves on. */
struct ttask *tsess_next_held(struct iscsi_tsess *sess);
/* The command no longer counts against the window. */
void tsess_uncount(struct ttask *t);
/* Recompute MaxCmdSN; it never goes back. */
uint32_t tsess_max_cmd_sn(struct iscsi_tsess *sess);
void tsess_leave(struct iscsi_tconn *conn);

#endif
