/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The target of a simulation: the owner of the cores of that role, on one lane. */
#ifndef USAN_SIM_TGT_H
#define USAN_SIM_TGT_H

#include "base/list.h"
#include "iscsi/target.h"
#include "scsi/scsi.h"
#include "sim/host.h"

struct sim_tgt {
    struct sim *sim;
    struct sim_disk *disk;
    struct scsi_lu *lu;
    struct scsi_lane *lane;
    struct list conns, sessions;
    struct iscsi_steps steps;
    struct sim_listener listener;
    uint32_t accepted; /* connections, for seeds */
    uint16_t tsih;
    bool running; /* the lane */
};

struct sim_tsess {
    struct sim_tgt *tgt;
    struct list node, conns, cmds;
    struct iscsi_tsess *core;
    struct scsi_nexus *nexus;
    struct sim_timer clock, finish;
    uint32_t host; /* of the initiator, from 1 on */
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    unsigned live; /* connections that are not closed */
    bool opened;   /* a login succeeded */
    bool down;     /* the core says that nobody can come back */
    bool closing;
};

struct sim_tconn {
    struct sim_tgt *tgt;
    struct list node, of_session;
    struct iscsi_tconn *core;
    struct sim_sock *sock; /* NULL: ended */
    struct sim_tsess *session;
    struct sim_timer clock, wake;
    uint32_t host; /* of the initiator, from 1 on */
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    bool up;
    bool waiting;  /* for the end of a session that its login replaces */
    bool retained; /* its tasks stay with the session */
    bool flushed;  /* the core has closed it: what is left goes out, then it ends */
    bool closed;
};

/* ---- connections ---- */
/* Look after it soon: events, bytes to send, or its end. */
void sim_tconn_wake(struct sim_tconn *conn);
/* The session that its login replaces is over. */
void sim_tconn_retry(struct sim_tconn *conn);
struct sim_tconn *sim_tconn_of(const struct iscsi_task *it); /* NULL: its connection was lost */
void sim_tconn_free(struct sim_tconn *conn);
extern const struct sim_sock_ops sim_tconn_ops;
void *sim_tconn_accept(void *tgt, struct sim_sock *sock, uint32_t from_host);

/* ---- sessions ---- */
struct sim_tsess *sim_tsess_new(struct sim_tconn *conn);
/* Of the initiator port; tsih 0: any, also one that ends. NULL: there is none. */
struct sim_tsess *sim_tsess_find(const struct sim_tconn *conn, uint16_t tsih);
void sim_tsess_join(struct sim_tsess *s, struct sim_tconn *conn);
void sim_tsess_reinstate(struct sim_tsess *s);
/* After anything that concerns it. */
void sim_tsess_look(struct sim_tsess *s);
void sim_tsess_conn_closed(struct sim_tconn *conn);
/* It may be over. */
void sim_tsess_settle(struct sim_tsess *s);
/* At the end of the simulation: whatever is under way. */
void sim_tsess_free(struct sim_tsess *s);

/* ---- commands ---- */
enum { SIM_TASK_BYTES = 2048 }; /* of the owner, in a task of the core */
void sim_tcmd_start(struct sim_tsess *s, struct iscsi_task *it);
void sim_tcmd_data(struct iscsi_task *it);
void sim_tcmd_sent(struct iscsi_task *it);
void sim_tcmd_abort(struct iscsi_task *it);
/* All commands of a session are forgotten. */
void sim_tcmd_drop_all(struct sim_tsess *s);
/* What the cores have noted goes to the time-line. */
void sim_tgt_take_steps(struct sim_tgt *tgt);
/* Drive what the lane hands out. At the end of whatever may have moved a task. */
void sim_tgt_run_lane(struct sim_tgt *tgt);

#endif
