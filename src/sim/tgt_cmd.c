/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of the simulated target: what the SCSI task wants is got from iSCSI and the disk. */
#include "sim/tgt.h"

#include "scsi/sense.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct cmd {
    struct sim_tsess *session; /* NULL: not in use */
    struct list node;
    struct iscsi_task *it;
    bool answered;
    struct iovec iov[SIM_SCRATCH_IOV];
    struct scsi_task task;
};
static_assert(sizeof(struct cmd) <= SIM_TASK_BYTES, "a command fits");

static void drive(struct cmd *cmd);

static void release(struct cmd *cmd)
{
    struct sim_tsess *s = cmd->session;
    free(cmd->task.buf);
    cmd->task.buf = NULL;
    list_del(&cmd->node);
    cmd->session = NULL;
    sim_tsess_settle(s);
}

/* Its connection has bytes to send, or the session has events. */
static void look_after(struct cmd *cmd)
{
    struct sim_tconn *conn = sim_tconn_of(cmd->it);
    if (conn)
        sim_tconn_wake(conn);
    sim_tsess_look(cmd->session);
}

/* ---- memory and disk ---- */

static void give_buf(struct scsi_task *t)
{
    free(t->buf);
    t->buf = malloc(t->want_len);
    t->buf_len = t->buf ? t->want_len : 0;
    if (t->buf)
        scsi_task_resume(t, 0);
    else
        scsi_task_fail(t, SCSI_STATUS_BUSY, 0);
}

/* false: it goes on at once. */
static bool want_data(struct cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    if (t->want_len > SIM_BLOCK_MAX) {
        scsi_task_fail(t, SCSI_STATUS_BUSY, 0);
        return false;
    }
    t->out = cmd->iov;
    t->out_cnt = sim_scratch(cmd->session->tgt->sim, t->want_len, cmd->iov);
    iscsi_task_want_data(cmd->it, t->out, t->out_cnt, t->want_len);
    look_after(cmd);
    return true;
}

static void io_done(struct bio *bio)
{
    struct cmd *cmd = list_entry(bio, struct cmd, task.bio);
    struct sim_tgt *tgt = cmd->session->tgt;
    scsi_task_resume(&cmd->task, bio->err);
    drive(cmd);
    sim_tgt_run_lane(tgt);
}

/* false: it goes on at once. */
static bool submit(struct cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct bio *bio = &t->bio;
    struct sim_tgt *tgt = cmd->session->tgt;
    if (bio->iovcnt == 0 && bio->op == BIO_READ) {
        if (bio->len > SIM_BLOCK_MAX) {
            scsi_task_resume(t, USAN_ENOMEM);
            return false;
        }
        bio->iov = cmd->iov;
        bio->iovcnt = sim_scratch(tgt->sim, bio->len, cmd->iov);
    } else if (bio->iovcnt == 0 && bio->op == BIO_WRITE) {
        bio->iov = t->out;
        bio->iovcnt = t->out_cnt;
    }
    bio->done = io_done;
    sim_disk_submit(tgt->disk, bio);
    return true;
}

/* ---- ends ---- */

/* Nobody is there to be answered. */
static bool unheard(const struct cmd *cmd)
{
    const struct sim_tconn *conn = sim_tconn_of(cmd->it);
    return cmd->session->closing || (conn && conn->closed && !conn->retained);
}

static void aborted(struct cmd *cmd)
{
    struct sim_tconn *conn = sim_tconn_of(cmd->it);
    scsi_task_fini(&cmd->task);
    cmd->answered = true;
    struct sim_tsess *s = cmd->session;
    if (!iscsi_task_drop(cmd->it))
        return; /* SENT follows */
    release(cmd);
    if (conn)
        sim_tconn_wake(conn); /* closed, it waits for that; and answers may have */
    sim_tsess_look(s);
}

static void ended(struct cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    const struct iscsi_response rsp = {
        .status = t->status,
        .status_qualifier = t->status_qualifier,
        .sense = t->sense,
        .sense_len = t->sense_len,
        .in = t->in,
        .in_cnt = t->in_cnt,
        .in_len = t->in_len,
        .in_used = t->in_used,
        .out_used = t->out_used,
    };
    if (unheard(cmd)) {
        aborted(cmd);
        return;
    }
    cmd->answered = true;
    iscsi_task_respond(cmd->it, &rsp);
    scsi_task_fini(t);
    look_after(cmd);
}

static void drive(struct cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    for (bool waits = false; !waits;) {
        switch (t->want) {
        case SCSI_WANT_BUF:
            give_buf(t);
            break;
        case SCSI_WANT_DATA:
            waits = want_data(cmd);
            break;
        case SCSI_WANT_IO:
            waits = submit(cmd);
            break;
        case SCSI_WANT_SAVE: /* the unit keeps no state */
            scsi_task_resume(t, USAN_ENOTSUP);
            break;
        case SCSI_WANT_WAIT:
            return;
        case SCSI_DONE:
            ended(cmd);
            return;
        case SCSI_ABORTED:
            aborted(cmd);
            return;
        }
    }
}

void sim_tgt_run_lane(struct sim_tgt *tgt)
{
    if (tgt->running)
        return;
    tgt->running = true;
    do {
        struct scsi_task *t;
        while ((t = scsi_lane_next(tgt->lane)))
            drive(list_entry(t, struct cmd, task));
        if (!scsi_lu_take_kicks(tgt->lu))
            break;
        scsi_lane_poll(tgt->lane);
    } while (true);
    tgt->running = false;
}

/* ---- from the iSCSI core ---- */

static struct cmd *cmd_of(const struct iscsi_task *it)
{
    struct cmd *cmd = it->priv;
    return cmd->session ? cmd : NULL;
}

void sim_tcmd_start(struct sim_tsess *s, struct iscsi_task *it)
{
    struct cmd *cmd = it->priv;
    struct scsi_task *t = &cmd->task;
    if (it->tmf) { /* no initiator here asks for any */
        cmd->session = NULL;
        iscsi_task_respond_tmf(it, ISCSI_TMF_RSP_NOT_SUPPORTED);
        return;
    }
    memset(cmd, 0, sizeof(*cmd));
    cmd->session = s;
    cmd->it = it;
    list_push_back(&s->cmds, &cmd->node);
    t->nexus = s->nexus;
    t->lun = it->lun;
    t->cdb = it->cdb;
    t->cdb_len = it->cdb_len;
    t->attr = it->attr;
    t->priority = it->priority;
    t->tag = it->itt;
    t->out_expected = it->out_expected;
    t->in_expected = it->in_expected;
    scsi_task_start(t);
    drive(cmd);
}

/* RFC 7143 11.4.7.2 */
static uint32_t data_sense(int err)
{
    if (err == USAN_EDIGEST)
        return SENSE_PROTOCOL_SERVICE_CRC_ERROR;
    return SENSE_COMMAND_ABORTED;
}

void sim_tcmd_data(struct iscsi_task *it)
{
    struct cmd *cmd = cmd_of(it);
    if (!cmd || cmd->answered || cmd->task.want != SCSI_WANT_DATA)
        return; /* aborted meanwhile: the lane hands it out */
    if (it->data_err)
        scsi_task_fail(&cmd->task, SCSI_STATUS_CHECK_CONDITION, data_sense(it->data_err));
    else
        scsi_task_resume(&cmd->task, 0);
    drive(cmd);
}

void sim_tcmd_sent(struct iscsi_task *it)
{
    struct cmd *cmd = cmd_of(it);
    if (cmd)
        release(cmd);
}

void sim_tcmd_abort(struct iscsi_task *it)
{
    struct cmd *cmd = cmd_of(it);
    if (cmd && !cmd->answered)
        scsi_branch_abort_task(&cmd->task);
}

void sim_tcmd_drop_all(struct sim_tsess *s)
{
    assert(s->closing); /* nothing is answered */
    list_for_each_safe (&s->cmds, pos) {
        struct cmd *cmd = list_entry(pos, struct cmd, node);
        if (cmd->answered)
            continue;
        if (cmd->task.want == SCSI_WANT_IO) { /* the disk has forgotten it */
            scsi_task_resume(&cmd->task, USAN_ECANCELED);
            drive(cmd);
        } else {
            scsi_branch_abort_task(&cmd->task);
        }
    }
    sim_tgt_run_lane(s->tgt);
    while (!list_empty(&s->cmds)) /* their answers are on the way */
        release(list_entry(s->cmds.next, struct cmd, node));
}
