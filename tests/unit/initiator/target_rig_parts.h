/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the small target share:
 *   target_rig.c          the thread, its portals, what tests call
 *   target_rig_conn.c     connections: bytes, events, logins
 *   target_rig_session.c  sessions, their tasks, task management
 *   target_rig_scsi.c     commands: data of the unit, what stands in their way
 */
#ifndef USAN_TEST_TARGET_RIG_PARTS_H
#define USAN_TEST_TARGET_RIG_PARTS_H

#include "target_rig.h"

#include "iscsi/target.h"

enum { RX_BYTES = 65536, DATA_MAX = 1 << 20 };

/* The core's session, of all its connections. */
struct rig_sess {
    struct list node;
    struct iscsi_tsess *core;
    unsigned conns;
    bool over;
};

struct rig_conn {
    struct list node;
    struct loop_fd lfd;
    struct rig *rig;
    struct rig_portal *portal;
    struct iscsi_tconn *core;
    struct rig_sess *sess;
    bool closing, frozen;
    bool retained;         /* the session goes on without it */
    bool cut, cut_on_data; /* nothing more goes out: now; when the data is there */
    uint8_t rx[RX_BYTES];
};

/* Of a task: data in and out. */
struct rig_task {
    struct iovec iov;
    uint8_t sense[18];
};

static inline struct rig_task *rig_priv(struct iscsi_task *t)
{
    return t->priv;
}

/* ---- commands ---- */

void rig_command(struct rig_conn *c, struct iscsi_task *t);
/* The data is there, or none is needed. */
void rig_carry_out(struct rig *rig, struct iscsi_task *t);

/* ---- sessions ---- */

/* The connection is the first of a session, or joins the one it named. */
void rig_bind_session(struct rig_conn *c, const struct iscsi_event *ev);
/* Of the session's tasks only those that are never answered are still there. */
void rig_task_management(struct rig_conn *c, struct iscsi_task *tmf);
void rig_drop_task(struct iscsi_task *t);
/* Tasks of a connection, or without one (NULL). */
void rig_drop_tasks(struct rig_sess *s, const struct iscsi_tconn *conn);
void rig_free_session(struct rig *rig, struct rig_sess *s);
/* Events of sessions without connections, and the next time one has something to do. */
void rig_look_after_sessions(struct rig *rig);
void rig_clock_fired(struct loop_timer *t);

/* ---- connections ---- */

bool rig_accept(struct loop_fd *lfd, uint32_t events);
void rig_send_all(struct rig_conn *c);
void rig_conn_cut(struct rig_conn *c);

#endif
