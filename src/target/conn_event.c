/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the core of a connection reports. */
#include "target/command.h"
#include "target/conn_priv.h"
#include "target/log.h"
#include "target/reactor.h"

/* Of a shared session: commands with something to do outside the lock. */
struct batch {
    struct tgt_cmd *first, **end;
};

static void later(struct batch *b, struct tgt_cmd *cmd, uint8_t event)
{
    cmd->event = event;
    cmd->next_event = NULL;
    *b->end = cmd;
    b->end = &cmd->next_event;
}

static void begin(struct tgt_cmd *cmd)
{
    if (cmd->iscsi_tmf)
        tgt_tmf_log(cmd);
    tgt_cmd_continue(cmd);
}

static void run(struct tgt_cmd *cmd, uint8_t event)
{
    if (event == TGT_NOTE_SENT)
        tgt_cmd_sent(cmd);
    else if (event == TGT_NOTE_DATA)
        tgt_cmd_data(cmd);
    else
        begin(cmd);
}

static void run_batch(const struct batch *b)
{
    struct tgt_cmd *next;
    for (struct tgt_cmd *cmd = b->first; cmd; cmd = next) {
        next = cmd->next_event;
        /* One that was aborted by a function in the same batch is handed out by its lane. */
        if (cmd->event || cmd->task.want != SCSI_ABORTED)
            run(cmd, cmd->event);
    }
}

static void on_close(struct tgt_conn *conn, const struct iscsi_event *ev)
{
    conn->close_flushed = true;
    conn->retained = ev->retained;
    conn->report.refused = ev->status;
    if (!conn->why)
        conn->why = ev->why ? ev->why : usan_strerror(ev->err);
}

static void on_logged_in(struct tgt_conn *conn)
{
    struct tgt_session *s = conn->session;
    conn->logged_in = true;
    if (s->opened)
        conn->report.added = true;
    else
        conn->report.opened = true;
    s->opened = true;
}

/* b: NULL if there is no lock to be left first. */
static void on_begun(struct tgt_cmd *cmd, struct batch *b)
{
    if (cmd && b)
        later(b, cmd, 0);
    else if (cmd)
        begin(cmd);
}

static void on_task(struct tgt_conn *conn, const struct iscsi_task *it, uint8_t event,
                    struct batch *b)
{
    struct tgt_cmd *cmd = tgt_cmd_of(it);
    if (!cmd)
        return;
    if (cmd->part != conn->part)
        tgt_part_note(cmd, event);
    else if (event == TGT_NOTE_DATA && cmd->task.want != SCSI_WANT_DATA)
        return; /* it has ended; it may be among those to be answered */
    else if (b)
        later(b, cmd, event);
    else
        run(cmd, event);
}

static void on_event(struct tgt_conn *conn, const struct iscsi_event *ev, struct batch *b)
{
    switch (ev->type) {
    case ISCSI_EV_COMMAND:
        on_begun(tgt_cmd_admit(conn, ev->task), b);
        break;
    case ISCSI_EV_SENT:
        on_task(conn, ev->task, TGT_NOTE_SENT, b);
        break;
    case ISCSI_EV_DATA:
        on_task(conn, ev->task, TGT_NOTE_DATA, b);
        break;
    case ISCSI_EV_TASK_LOST:
        tgt_task_note(ev->task, TGT_NOTE_ABORT);
        break;
    case ISCSI_EV_TMF:
        on_begun(tgt_tmf_admit(conn, ev->task), b);
        break;
    case ISCSI_EV_LOGIN_TARGET:
    case ISCSI_EV_LOGIN_USER:
    case ISCSI_EV_LOGIN_BIND:
    case ISCSI_EV_SEND_TARGETS:
        tgt_conn_login_event(conn, ev);
        break;
    case ISCSI_EV_LOGGED_IN:
        on_logged_in(conn);
        break;
    case ISCSI_EV_LOGOUT_OTHER:
        if (conn->report.logouts < TGT_CONN_LOGOUTS)
            conn->report.logout_cids[conn->report.logouts++] = ev->cid;
        break;
    case ISCSI_EV_CLOSE:
        on_close(conn, ev);
        break;
    }
}

/* Lines of the log for what the events were: not inside the lock. */
static void write_report(struct tgt_conn *conn)
{
    const struct tgt_conn_report r = conn->report;
    const struct tgt_session *s = conn->session;
    conn->report = (struct tgt_conn_report){ 0 };
    if (r.refused)
        tgt_conn_login_refused(conn, r.refused);
    if (r.added)
        tgt_log(TGT_LOG_INFO, "connection-added", "tsih=%u cid=%u peer=%s reactor=%u",
                s->entry.tsih, conn->cid, conn->peer, conn->reactor->index);
    for (unsigned i = 0; i < r.logouts; i++)
        tgt_log(TGT_LOG_INFO, "connection-logout", "tsih=%u cid=%u of=%s peer=%s", s->entry.tsih,
                r.logout_cids[i], r.logout_cids[i] ? "connection" : "session", conn->peer);
    if (r.opened)
        tgt_session_report(conn->session, TGT_LOG_INFO, "session-opened");
}

void tgt_conn_take_events(struct tgt_conn *conn)
{
    struct batch b = { .first = NULL };
    b.end = &b.first;
    bool shared = conn->session && conn->session->shared;
    struct iscsi_event ev;
    conn->pumping = true;
    if (conn->part)
        conn->part->pumping = true;
    while (iscsi_tconn_next(conn->tconn, &ev))
        on_event(conn, &ev, shared ? &b : NULL);
    conn->pumping = false;
    if (conn->part)
        conn->part->pumping = false;
    if (conn->session && conn->session->several) {
        tgt_session_events(conn->session); /* a logout of a lost connection ends its commands */
        tgt_session_kicks(conn->session, conn->reactor);
    }
    tgt_conn_leave(conn);
    run_batch(&b);
    if (conn->report.refused || conn->report.added || conn->report.opened || conn->report.logouts)
        write_report(conn);
}

void tgt_conn_arm_timer(struct tgt_conn *conn, uint64_t at)
{
    if (at >= conn->timer.deadline_ns)
        return;
    if (loop_timer_set(conn->reactor->loop, &conn->timer, at))
        tgt_conn_close(conn, "out of memory for a timer");
}

void tgt_conn_look_after(struct tgt_conn *conn)
{
    if (conn->closed)
        return;
    tgt_conn_enter(conn);
    bool pending = iscsi_tconn_tx_pending(conn->tconn);
    uint64_t deadline = iscsi_tconn_deadline(conn->tconn);
    tgt_conn_leave(conn);
    if (pending || conn->close_flushed)
        tgt_conn_want_flush(conn);
    tgt_conn_arm_timer(conn, deadline);
}

void tgt_conn_pump(struct tgt_conn *conn)
{
    tgt_conn_enter(conn);
    tgt_conn_take_events(conn);
    tgt_conn_look_after(conn);
}
