/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/command.h"

#include "scsi/sense.h"
#include "store/store.h"
#include "target/conn.h"
#include "target/lun.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/share.h"

#include <assert.h>

static struct tgt_cmd_ref *ref_of(const struct iscsi_task *it)
{
    return it->priv;
}

struct tgt_cmd *tgt_cmd_of(const struct iscsi_task *it)
{
    return ref_of(it)->cmd;
}

struct tgt_reactor *tgt_cmd_reactor(const struct tgt_cmd *cmd)
{
    return cmd->part->reactor;
}

/* ---- contexts ---- */

/* One that was never used before. */
static struct tgt_cmd *make_context(struct tgt_part *part)
{
    if (part->cmds_made == part->cmd_count ||
        !tgt_buffers_charge(&part->reactor->buffers, NULL, sizeof(struct tgt_cmd)))
        return NULL;
    struct tgt_cmd *cmd = &part->cmds[part->cmds_made++];
    cmd->part = part;
    cmd->task.user = cmd;
    list_init(&cmd->mail);
    return cmd;
}

struct tgt_cmd *tgt_cmd_get(struct tgt_part *part, struct iscsi_task *it)
{
    struct tgt_cmd *cmd = part->free_cmds;
    if (cmd)
        part->free_cmds = cmd->next_free;
    else if (!(cmd = make_context(part)))
        return NULL;
    part->busy++;
    ref_of(it)->cmd = cmd;

    cmd->state = TGT_CMD_RUNNING;
    cmd->lent = cmd->granted = cmd->no_memory = cmd->cold_reset = false;
    cmd->it = it;
    cmd->in.buf = cmd->out.buf = NULL;
    cmd->iscsi_tmf = 0;

    struct scsi_task *t = &cmd->task;
    t->nexus = part->session->nexus;
    t->lun = it->lun;
    t->cdb = it->cdb;
    t->cdb_len = it->cdb_len;
    t->attr = it->attr;
    t->priority = it->priority;
    t->tag = it->itt;
    t->out_expected = it->out_expected;
    t->in_expected = it->in_expected;
    t->bio.lent = NULL;
    return cmd;
}

/* Pages of a store that stay in use for this command: lent, they can not be used again when they
 * are overwritten; granted, they are taken beside those that hold the old data. */
static bool charge(struct tgt_cmd *cmd, uint64_t bytes)
{
    struct tgt_reactor *r = tgt_cmd_reactor(cmd);
    if (!tgt_buffers_charge(&r->buffers, &cmd->part->account, bytes))
        return false;
    cmd->charged_bytes += bytes;
    tgt_reactor_watch_memory(r);
    return true;
}

static void uncharge(struct tgt_cmd *cmd)
{
    struct tgt_reactor *r = tgt_cmd_reactor(cmd);
    if (cmd->charged_bytes)
        tgt_buffers_uncharge(&r->buffers, &cmd->part->account, cmd->charged_bytes);
    cmd->charged_bytes = 0;
}

static void put_data(struct tgt_cmd *cmd)
{
    struct tgt_reactor *r = tgt_cmd_reactor(cmd);
    if (cmd->lent) {
        store_lend_end(cmd->lend_ch, &cmd->task.bio);
        cmd->lent = false;
    }
    struct tgt_account *account = &cmd->part->account;
    tgt_buffers_put(&r->buffers, account, cmd->in.buf, cmd->in.cap);
    tgt_buffers_put(&r->buffers, account, cmd->out.buf, cmd->out.cap);
    if (cmd->task.buf) {
        tgt_buffers_put(&r->buffers, account, cmd->task.buf, cmd->buf_cap);
        cmd->task.buf = NULL;
    }
    uncharge(cmd);
    tgt_reactor_watch_memory(r);
}

/* Give back memory the payload of a write was to be built in, unwritten. */
static void revoke_grant(struct tgt_cmd *cmd)
{
    struct bio *bio = &cmd->task.bio;
    bio->lent = cmd->grant_lent;
    bio->off = cmd->task.out_off;
    bio->len = cmd->grant_len;
    bio->iov = cmd->task.out;
    bio->iovcnt = cmd->task.out_cnt;
    store_write_revoke(cmd->lane->ch, bio);
    bio->lent = NULL;
    cmd->granted = false;
}

/* Nobody shall look at it any more for what it was. The core has let go of it, inside the lock: no
 * note can come any more, and those that came are seen. */
static void forget_notes(struct tgt_cmd *cmd)
{
    struct tgt_session *s = cmd->part->session;
    if (!cmd->notes)
        return;
    tgt_session_lock(s);
    if (cmd->notes) {
        cmd->notes = 0;
        list_del(&cmd->mail);
    }
    tgt_session_unlock(s);
}

void tgt_cmd_release(struct tgt_cmd *cmd)
{
    struct tgt_part *part = cmd->part;
    if (cmd->granted)
        revoke_grant(cmd);
    put_data(cmd);
    forget_notes(cmd);
    cmd->state = TGT_CMD_FREE;
    cmd->next_free = part->free_cmds;
    part->free_cmds = cmd;
    tgt_part_cmd_done(part);
}

void tgt_cmd_begin(struct tgt_cmd *cmd)
{
    struct tgt_part *part = cmd->part;
    if (part->session->shared)
        scsi_branch_start(part->branch, &cmd->task);
    else
        scsi_task_start(&cmd->task);
}

/* ---- memory ---- */

/* SAM-6 5.3.1: TASK SET FULL while other commands of the initiator are there to end, else BUSY. */
static uint8_t full_status(const struct tgt_cmd *cmd)
{
    return scsi_branch_tasks(cmd->part->branch) > 1 ? SCSI_STATUS_TASK_SET_FULL : SCSI_STATUS_BUSY;
}

/* Memory for len bytes, described by d->iov. */
static bool get_data(struct tgt_cmd *cmd, struct tgt_data *d, uint64_t len)
{
    struct tgt_reactor *r = tgt_cmd_reactor(cmd);
    assert(!d->buf);
    d->buf = tgt_buffers_get(&r->buffers, &cmd->part->account, len, &d->cap);
    if (!d->buf)
        return false;
    tgt_reactor_watch_memory(r);
    d->iov = (struct iovec){ .iov_base = d->buf, .iov_len = len };
    return true;
}

static void give_buf(struct tgt_cmd *cmd)
{
    struct tgt_reactor *r = tgt_cmd_reactor(cmd);
    struct tgt_account *account = &cmd->part->account;
    struct scsi_task *t = &cmd->task;
    if (t->buf)
        tgt_buffers_put(&r->buffers, account, t->buf, cmd->buf_cap);
    t->buf = tgt_buffers_get(&r->buffers, account, t->want_len, &cmd->buf_cap);
    t->buf_len = t->buf ? cmd->buf_cap : 0;
    tgt_reactor_watch_memory(r);
    if (t->buf)
        scsi_task_resume(t, 0);
    else
        scsi_task_fail(t, full_status(cmd), 0);
}

/* ---- data-out ---- */

/* Ask the store for memory in which the payload can land. */
static int ask_grant(struct tgt_cmd *cmd)
{
    const struct scsi_task *t = &cmd->task;
    struct bio *bio = &cmd->task.bio;
    /* The device server keeps what it will write in the bio: only lend it to the store. */
    const enum bio_op op = bio->op;
    const uint32_t flags = bio->flags;
    const uint64_t off = bio->off, len = bio->len;
    bio->op = BIO_WRITE;
    bio->flags = 0;
    bio->off = t->out_off;
    bio->len = t->want_len;
    int err = store_write_grant(cmd->lane->ch, bio);
    bio->op = op;
    bio->flags = flags;
    bio->off = off;
    bio->len = len;
    return err;
}

/* Let the payload land in memory of the store itself, so that the write copies nothing. */
static bool get_grant(struct tgt_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct bio *bio = &t->bio;
    if (!charge(cmd, t->want_len))
        return false;
    if (ask_grant(cmd)) {
        uncharge(cmd);
        return false;
    }
    t->out = bio->iov;
    t->out_cnt = bio->iovcnt;
    cmd->grant_lent = bio->lent;
    cmd->grant_len = t->want_len;
    cmd->granted = true;
    bio->lent = NULL;
    if (t->out_cnt > ISCSI_OUT_IOV_MAX) {
        revoke_grant(cmd);
        uncharge(cmd);
        return false;
    }
    return true;
}

/* Returns false if the task was failed instead. */
static bool want_data(struct tgt_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    bool medium = t->out_off != UINT64_MAX;
    if (!(medium && cmd->lane->lun->can_grant && get_grant(cmd))) {
        if (!get_data(cmd, &cmd->out, t->want_len)) {
            scsi_task_fail(t, full_status(cmd), 0);
            return false;
        }
        t->out = &cmd->out.iov;
        t->out_cnt = 1;
    }
    struct tgt_session *s = cmd->part->session;
    tgt_session_lock(s);
    iscsi_task_want_data(cmd->it, t->out, t->out_cnt, t->want_len);
    /* Mostly the events of its connection are being taken, and it is the only one. */
    if (s->several || !cmd->part->pumping)
        tgt_task_wake_unless_awake(s, cmd->it, cmd->part->reactor);
    tgt_session_unlock(s);
    return true;
}

/* Sense for data that did not come whole (RFC 7143 11.4.7.2). */
static uint32_t data_sense(int err)
{
    switch (err) {
    case USAN_EDIGEST:
        return SENSE_PROTOCOL_SERVICE_CRC_ERROR;
    case USAN_EPROTO:
        return SCSI_KAQ(SENSE_KEY_ABORTED_COMMAND, 0x0c, 0x0d); /* not enough unsolicited data */
    default:
        return SENSE_COMMAND_ABORTED;
    }
}

void tgt_cmd_data(struct tgt_cmd *cmd)
{
    const struct iscsi_task *it = cmd->it;
    if (cmd->state != TGT_CMD_RUNNING || cmd->task.want != SCSI_WANT_DATA)
        return; /* aborted meanwhile: the lane hands it out */
    /* Out of memory: there was no room for what came unsolicited. */
    if (it->data_err == USAN_ENOMEM)
        scsi_task_fail(&cmd->task, full_status(cmd), 0);
    else if (it->data_err)
        scsi_task_fail(&cmd->task, SCSI_STATUS_CHECK_CONDITION, data_sense(it->data_err));
    else
        scsi_task_resume(&cmd->task, 0);
    tgt_cmd_continue(cmd);
}

/* ---- storage ---- */

/* READ for the initiator: memory of the store if it lends, else a buffer. */
static bool attach_read(struct tgt_cmd *cmd, struct tgt_lane *lane)
{
    struct bio *bio = &cmd->task.bio;
    tgt_count(&cmd->part->read_ios, 1);
    tgt_count(&cmd->part->read_bytes, bio->len);
    if (lane->lun->can_lend) {
        /* A command has one READ for the initiator: nothing is lent to it yet. */
        assert(!cmd->lent);
        if (!charge(cmd, bio->len))
            return false;
        bio->flags |= BIO_F_LEND;
        cmd->lent = true;
        cmd->lend_ch = lane->ch;
        return true;
    }
    if (!get_data(cmd, &cmd->in, bio->len))
        return false;
    bio->iov = &cmd->in.iov;
    bio->iovcnt = 1;
    return true;
}

static void attach_write(struct tgt_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct bio *bio = &t->bio;
    tgt_count(&cmd->part->write_ios, 1);
    tgt_count(&cmd->part->write_bytes, bio->len);
    bio->iov = t->out;
    bio->iovcnt = t->out_cnt;
    /* A write of anything but the whole grant is a copy; the grant is given back at the end. */
    if (cmd->granted && bio->off == t->out_off && bio->len == cmd->grant_len &&
        t->io_lu == cmd->lane->lun->lu) {
        bio->lent = cmd->grant_lent;
        cmd->granted = false;
    }
}

static struct tgt_lane *io_lane(const struct tgt_cmd *cmd)
{
    const struct scsi_task *t = &cmd->task;
    if (t->io_lu == cmd->lane->lun->lu)
        return cmd->lane;
    struct tgt_lun *lun = scsi_lu_user(t->io_lu); /* the other side of a third-party copy */
    return &lun->lanes[tgt_cmd_reactor(cmd)->index];
}

static void io_done(struct bio *bio)
{
    struct tgt_cmd *cmd = list_entry(bio, struct tgt_cmd, task.bio);
    if (cmd->lent && !bio->lent) /* nothing was lent: the read failed, or read into a buffer */
        cmd->lent = false;
    /* A third-party copy may leave the section of the other unit here. */
    struct tgt_lane *other = cmd->task.io_lu == cmd->lane->lun->lu ? NULL : io_lane(cmd);
    if (bio->err)
        tgt_lun_io_failed(other ? other->lun : cmd->lane->lun, bio, bio->err);
    scsi_task_resume(&cmd->task, bio->err);
    tgt_cmd_continue(cmd);
    if (other)
        tgt_lane_touch(other);
}

/* Returns false if the task was resumed with an error instead. */
static bool submit(struct tgt_cmd *cmd)
{
    struct bio *bio = &cmd->task.bio;
    struct tgt_lane *lane = io_lane(cmd);
    int err = tgt_lane_open(lane);
    if (err) {
        tgt_lun_io_failed(lane->lun, bio, err);
        scsi_task_resume(&cmd->task, err);
        return false;
    }
    bio->done = io_done;
    if (bio->iovcnt == 0 && bio->op == BIO_READ) {
        if (!attach_read(cmd, lane)) {
            cmd->no_memory = true;
            scsi_task_resume(&cmd->task, USAN_ENOMEM);
            return false;
        }
    } else if (bio->iovcnt == 0 && bio->op == BIO_WRITE) {
        attach_write(cmd);
    }
    store_submit(lane->ch, bio);
    return true;
}

/* ---- the end ---- */

/* Inside the lock. false: nobody is there to be answered. */
static bool respond(struct tgt_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct iscsi_response rsp = {
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
    if (cmd->no_memory)
        rsp = (struct iscsi_response){ .status = full_status(cmd) };
    struct tgt_conn *conn = tgt_task_conn(cmd->it);
    if (conn && conn->left > 0)
        return false;
    iscsi_task_respond(cmd->it, &rsp);
    cmd->state = TGT_CMD_SENDING;
    /* Over for SAM: nobody waits for an initiator that is slow to take its answer. */
    scsi_task_fini(t);
    if (conn)
        tgt_conn_wake(conn, cmd->part->reactor);
    else
        tgt_session_events(cmd->part->session);
    return true;
}

void tgt_cmd_respond(struct tgt_cmd *cmd)
{
    struct tgt_cmd *next, *lost = NULL;
    struct tgt_part *part = cmd->part;
    struct tgt_session *s = part->session;
    tgt_session_lock(s);
    for (; cmd; cmd = next) {
        next = cmd->next_event;
        if (respond(cmd))
            continue;
        cmd->next_event = lost;
        lost = cmd;
    }
    if (s->several) /* answers that waited for these */
        tgt_session_kicks(s, part->reactor);
    tgt_session_unlock(s);
    for (; lost; lost = next) {
        next = lost->next_event;
        tgt_cmd_aborted(lost);
    }
}

void tgt_cmd_aborted(struct tgt_cmd *cmd)
{
    struct tgt_session *s = cmd->part->session;
    scsi_task_fini(&cmd->task);
    cmd->state = TGT_CMD_SENDING;
    tgt_session_lock(s);
    bool gone = tgt_task_drop(s, cmd->it, cmd->part->reactor);
    tgt_session_unlock(s);
    if (gone)
        tgt_cmd_release(cmd);
    /* else a part of it is on the wire: SENT comes */
}

/* Answers of a shared session go out together: one visit to its lock. */
static void finished(struct tgt_cmd *cmd)
{
    cmd->next_event = NULL;
    if (cmd->part->session->shared)
        tgt_part_answer(cmd);
    else
        tgt_cmd_respond(cmd);
}

void tgt_cmd_continue(struct tgt_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    /* May be gone with the context when the loop ends. */
    struct tgt_lane *lane = cmd->lane;
    for (bool go_on = true; go_on;) {
        switch (t->want) {
        case SCSI_WANT_BUF:
            give_buf(cmd);
            break;
        case SCSI_WANT_DATA:
            go_on = !want_data(cmd);
            break;
        case SCSI_WANT_IO:
            go_on = !submit(cmd);
            break;
        case SCSI_WANT_SAVE:
            tgt_lane_touch(lane);
            tgt_lun_state_save(lane, t);
            return;
        case SCSI_WANT_WAIT:
            go_on = false;
            break;
        case SCSI_DONE:
            if (cmd->part->closing) /* nobody is there to be answered */
                tgt_cmd_aborted(cmd);
            else if (cmd->iscsi_tmf)
                tgt_tmf_done(cmd);
            else
                finished(cmd);
            go_on = false;
            break;
        case SCSI_ABORTED:
            tgt_part_touch(cmd->part); /* a function that waits for it may be on any LUN's lane */
            tgt_cmd_aborted(cmd);
            go_on = false;
            break;
        }
    }
    if (lane)
        tgt_lane_touch(lane);
}

void tgt_cmd_sent(struct tgt_cmd *cmd)
{
    if (cmd->cold_reset) {
        const struct tgt_session *s = cmd->part->session;
        tgt_session_close_target(cmd->part->reactor->tgt, s->target, "target cold reset");
    }
    tgt_cmd_release(cmd);
}

struct tgt_cmd *tgt_cmd_admit(struct tgt_conn *conn, struct iscsi_task *it)
{
    struct tgt_part *part = conn->part;
    tgt_count(&part->commands, 1);
    struct tgt_cmd *cmd = part->branch ? tgt_cmd_get(part, it) : NULL;
    if (!cmd) {
        /* Immediate commands beyond all measure, or no memory at all. */
        ref_of(it)->cmd = NULL;
        iscsi_task_respond(it, &(struct iscsi_response){ .status = SCSI_STATUS_BUSY });
        tgt_task_wake(part->session, it, part->reactor);
        return NULL;
    }
    cmd->lane = tgt_part_lane(part, it->lun);
    cmd->task.tmf = SCSI_TMF_NONE;
    tgt_cmd_begin(cmd);
    return cmd;
}

void tgt_cmd_noted(struct tgt_cmd *cmd, uint32_t notes)
{
    if (notes & TGT_NOTE_SENT) {
        tgt_cmd_sent(cmd);
    } else if (notes & TGT_NOTE_ABORT) {
        if (cmd->state != TGT_CMD_RUNNING)
            return; /* it has been answered meanwhile */
        scsi_branch_abort_task(&cmd->task);
        tgt_part_touch(cmd->part);
    } else if (notes & TGT_NOTE_DATA) {
        tgt_cmd_data(cmd);
    }
}
