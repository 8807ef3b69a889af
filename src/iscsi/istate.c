/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/istate.h"
#include "iscsi/fsm.h"

#include <assert.h>

static void log_conn(struct iscsi_isess *sess, uint16_t cid, enum iscsi_conn_state from,
                     enum iscsi_conn_event ev, enum iscsi_conn_state to, const char *name)
{
    const struct iscsi_step step = { .role = ISCSI_ROLE_INITIATOR,
                                     .tsih = sess->tsih,
                                     .cid = cid,
                                     .from = from,
                                     .event = ev,
                                     .to = to,
                                     .transition = name };
    iscsi_steps_add(sess->cfg.steps, &step);
}

void iconn_step(struct iscsi_iconn *conn, enum iscsi_conn_event ev)
{
    const char *name = NULL;
    enum iscsi_conn_state from = conn->state;
    if (iscsi_conn_fsm_step(&conn->state, ISCSI_ROLE_INITIATOR, ev, &name))
        assert(conn->state == ISCSI_CONN_FREE || conn->state == ISCSI_CONN_CLEANUP_WAIT);
    else
        log_conn(conn->sess, conn->cid, from, ev, conn->state, name);
    conn->sess->conn_steps |= fsm_transition_bit(name);
}

void ilost_step(struct iscsi_isess *sess, struct ilost *lost, enum iscsi_conn_event ev)
{
    const char *name = NULL;
    enum iscsi_conn_state from = lost->state;
    int err = iscsi_conn_fsm_step(&lost->state, ISCSI_ROLE_INITIATOR, ev, &name);
    assert(!err);
    (void)err;
    log_conn(sess, lost->cid, from, ev, lost->state, name);
    sess->conn_steps |= fsm_transition_bit(name);
}

void isess_step(struct iscsi_isess *sess, enum iscsi_sess_event ev)
{
    const char *name = NULL;
    struct iscsi_step step = { .role = ISCSI_ROLE_INITIATOR,
                               .session = true,
                               .tsih = sess->tsih,
                               .from = sess->state,
                               .event = ev };
    /* Only the first connection to be logged in, and the last to go, move the session. */
    if (iscsi_sess_fsm_step(&sess->state, ISCSI_ROLE_INITIATOR, ev, &name))
        assert(ev == ISCSI_SESS_EV_CONN_LOGGED_IN && sess->state == ISCSI_SESS_LOGGED_IN);
    step.to = sess->state;
    step.transition = name;
    if (name)
        iscsi_steps_add(sess->cfg.steps, &step);
    sess->sess_steps |= fsm_transition_bit(name);
}

void iconn_fail_key(struct iscsi_iconn *conn, int err, const char *why, const char *key)
{
    if (conn->failing || conn->closed)
        return;
    conn->failing = true;
    conn->err = err;
    conn->why = why;
    conn->key = key;
}

void iconn_fail(struct iscsi_iconn *conn, int err, const char *why)
{
    iconn_fail_key(conn, err, why, NULL);
}

uint32_t isess_tag(struct iscsi_isess *sess, enum islot slot)
{
    return sess->generation++ << ITASK_SLOT_BITS | (uint32_t)slot;
}

struct ictl *ictl_new(struct iscsi_iconn *conn, uint32_t len)
{
    if (conn->ctl_count >= ICTL_MAX) {
        iconn_fail(conn, USAN_ELIMIT, "the target does not take our answers");
        return NULL;
    }
    struct ictl *ctl = alloc_get(conn->a, sizeof *ctl + len);
    if (!ctl) {
        iconn_fail(conn, USAN_ENOMEM, "out of memory for a request");
        return NULL;
    }
    memset(ctl, 0, sizeof *ctl);
    ctl->len = len;
    ctl->job.kind = IJOB_CTL;
    list_init(&ctl->job.node);
    return ctl;
}

void ictl_queue(struct iscsi_iconn *conn, struct ictl *ctl)
{
    conn->ctl_count++;
    list_push_back(&conn->jobs, &ctl->job.node);
}
