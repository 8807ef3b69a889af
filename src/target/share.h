/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Further connections of a session, on whatever reactor.
 *
 * A login with a TSIH asks the session's home reactor, by message: there the session is found, kept
 * from ending meanwhile, and, for a connection of another reactor, made shared. The answer goes
 * back and the connection joins.
 *
 * A command runs on the reactor that started it, which is the one whose connection made it due:
 * another than that of its own connection if it came ahead of its turn, or was taken over from a
 * lost one. What the core then reports on the connection's reactor is passed on as a note.
 */
#ifndef USAN_TARGET_SHARE_H
#define USAN_TARGET_SHARE_H

#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct iscsi_task;
struct tgt_conn;
struct tgt_reactor;
struct tgt_session;

/* Embedded in a connection, in place until it comes back. */
struct tgt_join {
    struct loop_msg msg;
    struct tgt_reactor *home;
    struct tgt_session *session; /* NULL: none, or it ends */
    uint16_t tsih;
};

/* The login of conn wants to join session tsih: answered by tgt_conn_joined(). conn is kept
 * (conn->waiting) until then. false: there is no such session. */
bool tgt_session_join(struct tgt_conn *conn, uint16_t tsih);
/* The session is not joined after all: inside the lock. */
void tgt_session_leave(struct tgt_session *s);
/* Inside the lock, on reactor `here`: the connection has events or bytes to send. */
void tgt_conn_wake(struct tgt_conn *conn, struct tgt_reactor *here);
/* The same for those that a call of the core's has given something to do. */
void tgt_session_kicks(struct tgt_session *s, struct tgt_reactor *here);

/* ---- tasks and their connections, inside the lock, on reactor `here` ---- */

/* NULL: it was lost, and nobody has taken the task over. */
struct tgt_conn *tgt_task_conn(const struct iscsi_task *it);
/* The task's connection has bytes to send, or events; if it has none any more, the session may. */
void tgt_task_wake(struct tgt_session *s, const struct iscsi_task *it, struct tgt_reactor *here);
/* The same, but for a connection that is taking its events anyway. */
void tgt_task_wake_unless_awake(struct tgt_session *s, const struct iscsi_task *it,
                                struct tgt_reactor *here);
/* Its connection is gone, and waits for it to be dropped. */
bool tgt_task_conn_lost(const struct iscsi_task *it);
/* Pass on to where the command runs what the core says of it, TGT_NOTE_.... */
void tgt_task_note(const struct iscsi_task *it, uint32_t what);
/* iscsi_task_drop(). */
bool tgt_task_drop(struct tgt_session *s, struct iscsi_task *it, struct tgt_reactor *here);

#endif
