/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command of the owner's: what the SCSI task wants is got from the iSCSI task and the disk.
 * Memory is poisoned when it is given back. */
#include "sim.h"

#include "base/err.h"
#include "scsi/sense.h"

struct sim_cmd {
    struct sim_session *s;
    struct iscsi_task *it;
    struct sim_event saved; /* durable state is written */
    uint8_t *data;
    size_t data_len;
    struct iovec iov[2];
    struct scsi_task task;
};

static struct sim_cmd **ref_of(const struct iscsi_task *it)
{
    return it->priv;
}

static void give_back(uint8_t *p, size_t len)
{
    if (p)
        memset(p, 0xdd, len);
    sim_put(p);
}

static void release(struct sim_cmd *cmd)
{
    struct sim_session *s = cmd->s;
    give_back(cmd->data, cmd->data_len);
    give_back(cmd->task.buf, cmd->task.buf ? cmd->task.buf_len : 0);
    sim_event_cancel(&cmd->saved);
    memset(cmd, 0xdd, sizeof(*cmd));
    sim_put(cmd);
    sim_session_cmd_done(s);
}

/* len bytes in two pieces */
static bool get_data(struct sim_cmd *cmd, uint64_t len)
{
    struct sim *sim = cmd->s->sim;
    if (sim_chance(sim, sim->opt.no_buffer_permille))
        return false;
    give_back(cmd->data, cmd->data_len);
    cmd->data_len = len;
    cmd->data = sim_get(sim, len);
    size_t first = sim_rand(sim, (uint32_t)len);
    cmd->iov[0] = (struct iovec){ cmd->data, first };
    cmd->iov[1] = (struct iovec){ cmd->data + first, len - first };
    return true;
}

static bool give_buf(struct sim_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct sim *sim = cmd->s->sim;
    give_back(t->buf, t->buf ? t->buf_len : 0);
    t->buf = NULL;
    t->buf_len = 0;
    if (sim_chance(sim, sim->opt.no_buffer_permille))
        return false;
    t->buf = sim_get(sim, t->want_len);
    t->buf_len = t->want_len;
    return true;
}

static void io_done(struct bio *bio)
{
    struct sim_cmd *cmd = list_entry(bio, struct sim_cmd, task.bio);
    scsi_task_resume(&cmd->task, bio->err);
    sim_cmd_continue(&cmd->task);
}

/* false: the task was resumed at once. */
static bool submit(struct sim_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct bio *bio = &t->bio;
    if (bio->iovcnt == 0 && bio->op == BIO_READ) {
        if (!get_data(cmd, bio->len)) {
            scsi_task_resume(t, USAN_ENOMEM);
            return false;
        }
        bio->iov = cmd->iov;
        bio->iovcnt = 2;
    } else if (bio->iovcnt == 0 && bio->op == BIO_WRITE) {
        bio->iov = t->out;
        bio->iovcnt = t->out_cnt;
    }
    bio->done = io_done;
    sim_disk_submit(cmd->s->sim, bio);
    return true;
}

static void saved(struct sim_event *ev)
{
    struct sim_cmd *cmd = list_entry(ev, struct sim_cmd, saved);
    scsi_task_resume(&cmd->task, 0);
    sim_cmd_continue(&cmd->task);
}

/* RFC 7143 11.6.1 */
static uint8_t tmf_response(uint8_t rsp)
{
    switch ((enum scsi_tmf_rsp)rsp) {
    case SCSI_TMF_RSP_COMPLETE:
        return 0;
    case SCSI_TMF_RSP_NO_TASK:
        return 1;
    case SCSI_TMF_RSP_NO_LUN:
        return 2;
    case SCSI_TMF_RSP_NOT_SUPPORTED:
        return 5;
    case SCSI_TMF_RSP_SUCCEEDED:
        return 7;
    case SCSI_TMF_RSP_REJECTED:
        break;
    }
    return 255;
}

static void aborted(struct sim_cmd *cmd)
{
    scsi_task_fini(&cmd->task);
    if (iscsi_task_drop(cmd->it))
        release(cmd);
}

static void ended(struct sim_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    if (cmd->s->closing) {
        aborted(cmd);
        return;
    }
    if (t->tmf) {
        iscsi_task_respond_tmf(cmd->it, tmf_response(t->tmf_rsp));
    } else {
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
        iscsi_task_respond(cmd->it, &rsp);
    }
    scsi_task_fini(t);
    sim_conn_want_tx(cmd->s->conn);
}

void sim_cmd_continue(struct scsi_task *t)
{
    struct sim_cmd *cmd = t->user;
    struct sim *sim = cmd->s->sim;
    sim->dirty[cmd->s->lane] = true;
    for (bool go_on = true; go_on;) {
        switch (t->want) {
        case SCSI_WANT_BUF:
            if (give_buf(cmd))
                scsi_task_resume(t, 0);
            else
                scsi_task_fail(t, SCSI_STATUS_BUSY, 0);
            break;
        case SCSI_WANT_DATA:
            if (get_data(cmd, t->want_len)) {
                t->out = cmd->iov;
                t->out_cnt = 2;
                iscsi_task_want_data(cmd->it, t->out, t->out_cnt, t->want_len);
                sim_conn_want_tx(cmd->s->conn);
                go_on = false;
            } else {
                scsi_task_fail(t, SCSI_STATUS_TASK_SET_FULL, 0);
            }
            break;
        case SCSI_WANT_IO:
            go_on = !submit(cmd);
            break;
        case SCSI_WANT_SAVE:
            sim_event_in(sim, &cmd->saved, sim_rand64(sim, sim->opt.disk_ns));
            go_on = false;
            break;
        case SCSI_WANT_WAIT:
            go_on = false;
            break;
        case SCSI_DONE:
            ended(cmd);
            go_on = false;
            break;
        case SCSI_ABORTED:
            aborted(cmd);
            go_on = false;
            break;
        }
    }
}

static void start(struct sim_conn *conn, struct iscsi_task *it)
{
    static const uint8_t functions[] = {
        [1] = SCSI_TMF_ABORT_TASK,     [2] = SCSI_TMF_ABORT_TASK_SET,     [3] = SCSI_TMF_CLEAR_ACA,
        [4] = SCSI_TMF_CLEAR_TASK_SET, [5] = SCSI_TMF_LOGICAL_UNIT_RESET,
    };
    if (it->tmf && (it->tmf >= sizeof(functions) || !functions[it->tmf])) {
        *ref_of(it) = NULL;
        iscsi_task_respond_tmf(it, 5);
        return;
    }
    struct sim_cmd *cmd = sim_get_zero(conn->sim, sizeof(*cmd));
    *ref_of(it) = cmd;
    cmd->s = conn->session;
    cmd->s->busy++;
    cmd->it = it;
    sim_event_init(&cmd->saved, saved);
    struct scsi_task *t = &cmd->task;
    t->user = cmd;
    t->nexus = cmd->s->nexus;
    t->lun = it->lun;
    t->cdb = it->cdb;
    t->cdb_len = it->cdb_len;
    t->attr = it->attr;
    t->tag = it->itt;
    t->out_expected = it->out_expected;
    t->in_expected = it->in_expected;
    t->tmf = it->tmf ? functions[it->tmf] : SCSI_TMF_NONE;
    t->ref_tag = it->ref_itt;
    sim_trace(conn->sim, "tgt %u starts itt %x cdb %02x tmf %u", conn->lane, it->itt, it->cdb[0],
              it->tmf);
    scsi_task_start(t);
    sim_cmd_continue(t);
}

/* RFC 7143 11.4.7.2 */
static uint32_t data_sense(int err)
{
    if (err == USAN_EDIGEST)
        return SENSE_PROTOCOL_SERVICE_CRC_ERROR;
    if (err == USAN_EPROTO)
        return SCSI_KAQ(SENSE_KEY_ABORTED_COMMAND, 0x0c, 0x0d);
    return SENSE_COMMAND_ABORTED;
}

void sim_cmd_event(struct sim_conn *conn, const struct iscsi_event *ev)
{
    struct sim_cmd *cmd = *ref_of(ev->task);
    switch ((unsigned)ev->type) {
    case ISCSI_EV_COMMAND:
    case ISCSI_EV_TMF:
        start(conn, ev->task);
        return;
    case ISCSI_EV_DATA:
        if (cmd->task.want != SCSI_WANT_DATA)
            return; /* aborted meanwhile: the lane hands it out */
        if (ev->task->data_err)
            scsi_task_fail(&cmd->task, SCSI_STATUS_CHECK_CONDITION, data_sense(ev->task->data_err));
        else
            scsi_task_resume(&cmd->task, 0);
        sim_cmd_continue(&cmd->task);
        return;
    case ISCSI_EV_SENT:
        if (cmd)
            release(cmd);
        return;
    default:
        return;
    }
}
