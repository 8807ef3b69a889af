/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of a connection share: conn.c has its life, conn_event.c the events of its core,
 * conn_socket.c the bytes, conn_login.c the login.
 */
#ifndef USAN_TARGET_CONN_PRIV_H
#define USAN_TARGET_CONN_PRIV_H

#include "target/conn.h"
#include "target/session.h"

/* Into the lock of its session, if it has one that is shared, and out of it. */
static inline void tgt_conn_enter(const struct tgt_conn *conn)
{
    if (conn->session)
        tgt_session_lock(conn->session);
}

static inline void tgt_conn_leave(const struct tgt_conn *conn)
{
    if (conn->session)
        tgt_session_unlock(conn->session);
}

/* ---- conn_event.c ---- */

/* After something was done to its core, inside the lock: take the events there are, and leave the
 * lock; do what is to be done outside it. A login may make the session in here, but not one that is
 * shared. */
void tgt_conn_take_events(struct tgt_conn *conn);
/* Then: send what there is, and set the timer. */
void tgt_conn_look_after(struct tgt_conn *conn);
/* The timer only ever moves ahead here: one that fires too early looks again and is set anew. */
void tgt_conn_arm_timer(struct tgt_conn *conn, uint64_t at);

/* ---- conn_socket.c: what the loop calls ---- */
bool tgt_conn_ready(struct loop_fd *lfd, uint32_t events);
void tgt_conn_receive_rest(struct loop_work *w);
void tgt_conn_flush(struct loop_work *w);

#endif
