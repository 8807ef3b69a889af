/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command of the owner's: what the SCSI task wants is got from the iSCSI task and the disk.
 * Memory is poisoned when it is given back. */
#include "sim.h"

#include "base/err.h"
#include "scsi/sense.h"

#include <stdlib.h>

struct sim_cmd {
    struct sim_session *s;
    struct list node; /* in s->cmds */
    struct iscsi_task *it;
    unsigned lane;
    bool answered;          /* over for the unit, the answer is on its way */
    bool again;             /* SIM_TWICE */
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
    list_del(&cmd->node);
    memset(cmd, 0xdd, sizeof(*cmd));
    sim_put(cmd);
    sim_session_settle(s);
}

static struct sim_conn *conn_of(const struct iscsi_task *it)
{
    const struct iscsi_tconn *tconn = iscsi_task_conn(it);
    return tconn ? iscsi_tconn_user(tconn) : NULL;
}

/* ---- executed once ---- */

static void exec_add(struct sim *sim, uint64_t key)
{
    size_t at = key & (sim->exec_cap - 1);
    while (sim->execs[at])
        at = (at + 1) & (sim->exec_cap - 1);
    sim->execs[at] = key;
}

static bool exec_has(const struct sim *sim, uint64_t key)
{
    if (!sim->exec_cap)
        return false;
    for (size_t at = key & (sim->exec_cap - 1); sim->execs[at]; at = (at + 1) & (sim->exec_cap - 1))
        if (sim->execs[at] == key)
            return true;
    return false;
}

/* A command is (session, task tag, CmdSN): each is begun once, however often it is sent. */
static void note_execution(struct sim_cmd *cmd)
{
    struct sim *sim = cmd->s->sim;
    const struct iscsi_task *it = cmd->it;
    uint64_t key = ((uint64_t)it->itt << 32 | it->cmd_sn) ^
                   (uint64_t)iscsi_tsess_tsih(cmd->s->tsess) * 0x9e3779b97f4a7c15ull;
    key = (key ^ key >> 31) * 0xbf58476d1ce4e5b9ull;
    key ^= key >> 29;
    key += key == 0;
    if (exec_has(sim, key))
        sim_violation(sim, "itt %x, CmdSN %x of session %u is carried out twice", it->itt,
                      it->cmd_sn, iscsi_tsess_tsih(cmd->s->tsess));
    if (2 * (sim->exec_count + 1) > sim->exec_cap) {
        uint64_t *old = sim->execs;
        size_t cap = sim->exec_cap;
        sim->exec_cap = cap ? 2 * cap : 1024;
        sim->execs = calloc(sim->exec_cap, sizeof(*sim->execs));
        if (!sim->execs)
            abort();
        for (size_t i = 0; i < cap; i++)
            if (old[i])
                exec_add(sim, old[i]);
        free(old);
    }
    exec_add(sim, key);
    sim->exec_count++;
}

/* ---- memory and disk ---- */

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
    struct sim *sim = cmd->s->sim;
    if (sim->opt.mutant == SIM_STALE && bio->op == BIO_READ && !bio->err && sim_chance(sim, 100) &&
        bio->iov == cmd->iov) {
        for (uint32_t i = 0; i < bio->len / SIM_BLOCK; i++)
            sim_fill(cmd->data + i * SIM_BLOCK, (uint32_t)(bio->off / SIM_BLOCK) + i, 0);
    }
    scsi_task_resume(&cmd->task, bio->err);
    sim_cmd_continue(&cmd->task);
}

/* SIM_EARLY: the write goes on without its command. */
struct early {
    struct bio bio;
    struct iovec iov;
    struct sim_event ev;
    struct sim *sim;
    uint8_t data[];
};

static void early_done(struct bio *bio)
{
    sim_put(list_entry(bio, struct early, bio));
}

static void early_fire(struct sim_event *ev)
{
    struct early *e = list_entry(ev, struct early, ev);
    sim_disk_submit(e->sim, &e->bio);
}

static void write_later(const struct sim_cmd *cmd)
{
    struct sim *sim = cmd->s->sim;
    const struct bio *bio = &cmd->task.bio;
    struct early *e = sim_get_zero(sim, sizeof(*e) + bio->len);
    e->sim = sim;
    e->iov = (struct iovec){ e->data, bio->len };
    memcpy(e->data, cmd->data, bio->len);
    e->bio = (struct bio){ .op = BIO_WRITE,
                           .off = bio->off,
                           .len = bio->len,
                           .iov = &e->iov,
                           .iovcnt = 1,
                           .done = early_done };
    sim_event_init(&e->ev, early_fire);
    sim_event_in(sim, &e->ev, 4 * sim->opt.disk_ns);
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
        if (cmd->s->sim->opt.mutant == SIM_EARLY && sim_chance(cmd->s->sim, 200)) {
            write_later(cmd);
            scsi_task_resume(t, 0);
            return false;
        }
    }
    bio->done = io_done;
    sim_disk_submit(cmd->s->sim, bio);
    return true;
}

static void saved(struct sim_event *ev)
{
    struct sim_cmd *cmd = list_entry(ev, struct sim_cmd, saved);
    struct sim *sim = cmd->s->sim;
    size_t len = scsi_lu_state(sim->lu, sim->state, sizeof(sim->state));
    sim->in_state = len <= sizeof(sim->state);
    sim->state_len = len;
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

/* Nobody is there to be answered. */
static bool unheard(const struct sim_cmd *cmd)
{
    const struct sim_conn *conn = conn_of(cmd->it);
    return cmd->s->closing || (conn && conn->closed && !conn->retained);
}

static void look_after(struct sim_session *s, struct sim_conn *conn)
{
    if (conn)
        sim_conn_wake(conn);
    sim_session_look(s);
}

static void respond(struct sim_cmd *cmd)
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
    iscsi_task_respond(cmd->it, &rsp);
}

static void aborted(struct sim_cmd *cmd)
{
    struct sim_session *s = cmd->s;
    struct sim_conn *conn = conn_of(cmd->it);
    bool tell = !cmd->it->tmf && !unheard(cmd) && sim_unit_going(s->sim);
    scsi_task_fini(&cmd->task);
    cmd->answered = true;
    if (tell) { /* SAM-6 5.3.1: TASK ABORTED */
        iscsi_task_respond(cmd->it, &(struct iscsi_response){ .status = SCSI_STATUS_TASK_ABORTED });
        look_after(s, conn);
    } else if (iscsi_task_drop(cmd->it)) {
        release(cmd);
        look_after(s, conn); /* answers may have waited for it, and so may a closed connection */
    }
}

static void begin(struct sim_cmd *cmd);

/* Not honest: true if the answer does not follow. */
static bool misbehave(struct sim_cmd *cmd)
{
    struct sim *sim = cmd->s->sim;
    struct scsi_task *t = &cmd->task;
    bool write = cmd->it->cdb[0] == 0x2a && !cmd->it->tmf && t->status == SCSI_STATUS_GOOD;
    if (sim->opt.mutant == SIM_SILENT && write && sim_chance(sim, 50))
        return true;
    if (sim->opt.mutant != SIM_TWICE || !write || cmd->again || !sim_chance(sim, 50))
        return false;
    scsi_task_fini(t);
    give_back(t->buf, t->buf ? t->buf_len : 0);
    cmd->again = true;
    begin(cmd);
    return true;
}

static void ended(struct sim_cmd *cmd)
{
    struct scsi_task *t = &cmd->task;
    struct sim_session *s = cmd->s;
    if (unheard(cmd)) {
        aborted(cmd);
        return;
    }
    if (s->sim->opt.mutant != SIM_HONEST && misbehave(cmd))
        return;
    struct sim_conn *conn = conn_of(cmd->it);
    cmd->answered = true;
    sim_trace(s->sim, "tgt ends itt %x, status %02x rsp %u%s", cmd->it->itt, t->status, t->tmf_rsp,
              conn ? "" : ", without connection");
    if (t->tmf)
        iscsi_task_respond_tmf(cmd->it, tmf_response(t->tmf_rsp));
    else
        respond(cmd);
    scsi_task_fini(t);
    look_after(s, conn);
}

void sim_cmd_continue(struct scsi_task *t)
{
    struct sim_cmd *cmd = t->user;
    struct sim *sim = cmd->s->sim;
    sim->dirty[cmd->lane] = true;
    for (bool go_on = true; go_on;) {
        switch (t->want) {
        case SCSI_WANT_BUF:
            if (give_buf(cmd))
                scsi_task_resume(t, 0);
            else
                scsi_task_fail(t, SCSI_STATUS_BUSY, 0);
            break;
        case SCSI_WANT_DATA:
            if (cmd->again) { /* it has come */
                t->out = cmd->iov;
                t->out_cnt = 2;
                scsi_task_resume(t, 0);
            } else if (get_data(cmd, t->want_len)) {
                t->out = cmd->iov;
                t->out_cnt = 2;
                iscsi_task_want_data(cmd->it, t->out, t->out_cnt, t->want_len);
                look_after(cmd->s, conn_of(cmd->it));
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

static const uint8_t functions[] = {
    [1] = SCSI_TMF_ABORT_TASK,     [2] = SCSI_TMF_ABORT_TASK_SET,     [3] = SCSI_TMF_CLEAR_ACA,
    [4] = SCSI_TMF_CLEAR_TASK_SET, [5] = SCSI_TMF_LOGICAL_UNIT_RESET,
};

static void begin(struct sim_cmd *cmd)
{
    const struct iscsi_task *it = cmd->it;
    struct scsi_task *t = &cmd->task;
    memset(t, 0, sizeof(*t));
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
    sim_trace(cmd->s->sim, "tgt %u starts itt %x cdb %02x tmf %u", cmd->lane, it->itt, it->cdb[0],
              it->tmf);
    if (!it->tmf)
        note_execution(cmd);
    if (cmd->s->shared)
        scsi_branch_start(cmd->s->branch[cmd->lane], t);
    else
        scsi_task_start(t);
    sim_cmd_continue(t);
}

static void start(struct sim_conn *conn, struct iscsi_task *it)
{
    struct sim *sim = conn->sim;
    struct sim_conn *of = conn_of(it);
    if (it->tmf && (it->tmf >= sizeof(functions) || !functions[it->tmf])) {
        *ref_of(it) = NULL;
        iscsi_task_respond_tmf(it, 5);
        return;
    }
    if (sim->opt.mutant == SIM_LEAKS && it->cdb[0] == 0x5f && (it->cdb[1] & 0x1f) == 1) {
        *ref_of(it) = NULL;
        iscsi_task_respond(it, &(struct iscsi_response){ .out_used = it->out_expected });
        return;
    }
    if (!it->tmf && sim_unit_going(sim)) { /* LOGICAL UNIT NOT SUPPORTED */
        static const uint8_t sense[18] = { 0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x25 };
        *ref_of(it) = NULL;
        iscsi_task_respond(it, &(struct iscsi_response){ .status = SCSI_STATUS_CHECK_CONDITION,
                                                         .sense = sense,
                                                         .sense_len = sizeof(sense) });
        return;
    }
    struct sim_cmd *cmd = sim_get_zero(sim, sizeof(*cmd));
    *ref_of(it) = cmd;
    cmd->s = conn->session;
    cmd->it = it;
    cmd->lane = of ? of->lane : conn->lane;
    list_push_back(&cmd->s->cmds, &cmd->node);
    sim_event_init(&cmd->saved, saved);
    begin(cmd);
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

void sim_cmd_data(struct iscsi_task *it)
{
    struct sim_cmd *cmd = *ref_of(it);
    if (!cmd || cmd->answered || cmd->task.want != SCSI_WANT_DATA)
        return; /* aborted meanwhile: the lane hands it out */
    if (it->data_err)
        scsi_task_fail(&cmd->task, SCSI_STATUS_CHECK_CONDITION, data_sense(it->data_err));
    else
        scsi_task_resume(&cmd->task, 0);
    sim_cmd_continue(&cmd->task);
}

void sim_cmd_sent(struct iscsi_task *it)
{
    struct sim_cmd *cmd = *ref_of(it);
    *ref_of(it) = NULL;
    if (cmd)
        release(cmd);
}

void sim_cmd_abort(struct iscsi_task *it)
{
    struct sim_cmd *cmd = *ref_of(it);
    if (!cmd || cmd->answered)
        return;
    scsi_branch_abort_task(&cmd->task);
    cmd->s->sim->dirty[cmd->lane] = true;
}

void sim_cmd_lost(struct iscsi_task *it)
{
    const struct sim_cmd *cmd = *ref_of(it);
    if (cmd && !cmd->answered && cmd->s->sim->opt.mutant == SIM_LEAVES &&
        cmd->task.want == SCSI_WANT_IO && it->cdb[0] == 0x2a)
        write_later(cmd);
    sim_cmd_abort(it);
}

void sim_cmd_event(struct sim_conn *conn, const struct iscsi_event *ev)
{
    if (ev->type == ISCSI_EV_DATA)
        sim_cmd_data(ev->task);
    else if (ev->type == ISCSI_EV_SENT)
        sim_cmd_sent(ev->task);
    else
        start(conn, ev->task);
}
