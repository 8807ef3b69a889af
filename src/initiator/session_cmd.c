/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_cmd.h"

#include "initiator/session_conn.h"
#include "initiator/session_late.h"

#define LATE_MAX 2 /* times that a command is not answered: then it fails */

static const char late_why[] = "not answered within command_timeout, and aborted";

/* ---- over ---- */

static void run_done(struct loop_work *w)
{
    struct ini_session *s = list_entry(w, struct ini_session, complete);
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &s->over);
    while (!list_empty(&batch)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&batch), struct ini_cmd, node);
        cmd->done(cmd);
    }
}

void ini_cmd_finish(struct ini_session *s, struct ini_cmd *cmd, int err, const char *why)
{
    cmd->scsi.err = err;
    cmd->scsi.why = why;
    list_push_back(&s->over, &cmd->node);
    loop_work_queue(s->loop, &s->complete);
}

/* ---- to the core ---- */

static void send_cmd(struct ini_session *s, struct ini_cmd *cmd)
{
    cmd->at_ns = loop_now(s->loop);
    cmd->place = s->place;
    list_push_back(&s->active, &cmd->node);
    int err = iscsi_isess_submit(s->core, &cmd->scsi);
    if (err) {
        list_del(&cmd->node);
        ini_cmd_finish(s, cmd, err, usan_strerror(err));
        return;
    }
    if (ini_late_unarmed(s))
        ini_late_arm(s);
    ini_conns_kick(s);
}

void ini_session_submit(struct ini_session *s, struct ini_cmd *cmd)
{
    cmd->resent = 0;
    cmd->late = 0;
    cmd->seen = cmd->dead = cmd->canceled = false;
    cmd->scsi.sent = cmd->scsi.moved = false;
    cmd->scsi.response = 0;
    if (s->phase == INI_PHASE_UP || (s->phase == INI_PHASE_CHECK && cmd->probe))
        send_cmd(s, cmd);
    else if (cmd->once || cmd->probe || s->given_up || s->phase == INI_PHASE_ENDED)
        ini_cmd_finish(s, cmd, s->error_code ? s->error_code : USAN_ECLOSED,
                       "there is no session with the target");
    else
        list_push_back(&s->again, &cmd->node);
}

/* ---- back from it ---- */

bool ini_cmd_done(struct ini_session *s, struct iscsi_icmd *scsi)
{
    struct ini_cmd *cmd = list_entry(scsi, struct ini_cmd, scsi);
    if (s->active.next == &cmd->node && !cmd->late)
        s->head_ns = loop_now(s->loop);
    list_del(&cmd->node);
    /* Answered by the target, with whatever; or not. */
    if (scsi->err == 0 || scsi->response) {
        cmd->done(cmd);
        return true;
    }
    list_push_back(&s->lost, &cmd->node);
    return false;
}

/* The target has ended it. True: it has been sent again. */
static bool try_again(struct ini_session *s, struct ini_cmd *cmd)
{
    if (cmd->canceled || cmd->once || cmd->probe || cmd->again == INI_AGAIN_NEVER ||
        cmd->late >= LATE_MAX || cmd->resent == INI_RESENDS_MAX)
        return false;
    cmd->seen = true;
    cmd->resent++;
    s->stats.resent++;
    send_cmd(s, cmd);
    return true;
}

void ini_cmds_alive(struct ini_session *s)
{
    while (!list_empty(&s->lost)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&s->lost), struct ini_cmd, node);
        /* aborted, also because its data came damaged; or, after recovery at level 2, not known to
         * the target any more */
        int err = cmd->scsi.err;
        cmd->dead = err == USAN_ECANCELED || err == USAN_ECLOSED || err == USAN_EDIGEST;
        if (cmd->dead && try_again(s, cmd))
            continue;
        if (cmd->dead && cmd->late) {
            cmd->scsi.err = USAN_ETIMEOUT;
            cmd->scsi.why = late_why;
        }
        cmd->done(cmd);
    }
}

void ini_cmds_lost(struct ini_session *s)
{
    while (!list_empty(&s->lost)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&s->lost), struct ini_cmd, node);
        bool again = !cmd->scsi.sent || cmd->again != INI_AGAIN_NEVER;
        if (cmd->canceled)
            ini_cmd_finish(s, cmd, USAN_ECANCELED, "canceled, and then the session was lost");
        else if (!again || cmd->once || cmd->probe || s->given_up || s->phase == INI_PHASE_ENDED ||
                 cmd->resent == INI_RESENDS_MAX)
            ini_cmd_finish(s, cmd, cmd->scsi.err, cmd->scsi.why);
        else
            list_push_back(&s->again, &cmd->node);
    }
}

/* Nothing but these is pending while there is no connection. */
void ini_cmds_take_back(struct ini_session *s)
{
    struct iscsi_ievent ev;
    iscsi_isess_fail_queued(s->core, USAN_ECLOSED, "the session was lost");
    while (iscsi_isess_next(s->core, &ev)) {
        if (ev.type == ISCSI_IEV_DONE)
            (void)ini_cmd_done(s, ev.cmd);
    }
    ini_cmds_lost(s);
}

/* ---- a new session ---- */

static const char elsewhere_why[] =
    "the session came back at another address: the write may be under way at the first one";

void ini_cmds_send_waiting(struct ini_session *s)
{
    bool unsure = false, same = ini_portal_same_addr(&s->addr, &s->last_addr);
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &s->again);
    while (!list_empty(&batch)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&batch), struct ini_cmd, node);
        cmd->seen |= cmd->scsi.sent; /* it may not be sent before the next loss */
        if (cmd->late >= LATE_MAX) {
            cmd->dead = same; /* the new login has ended it */
            ini_cmd_finish(s, cmd, USAN_ETIMEOUT, late_why);
        } else if (cmd->seen && cmd->again == INI_AGAIN_WRITE && !same) {
            unsure = true;
            s->stats.unsure++;
            ini_cmd_finish(s, cmd, USAN_EIO, elsewhere_why);
        } else {
            cmd->resent += cmd->scsi.sent;
            s->stats.resent += cmd->scsi.sent;
            cmd->scsi.sent = false;
            send_cmd(s, cmd);
        }
    }
    if (unsure)
        ini_session_set_error(s, USAN_EIO, "%s", elsewhere_why);
}

void ini_cmds_fail_waiting(struct ini_session *s, int err, const char *why)
{
    while (!list_empty(&s->again))
        ini_cmd_finish(s, list_entry(list_pop_front(&s->again), struct ini_cmd, node), err, why);
}

/* ---- life ---- */

void ini_cmds_init(struct ini_session *s)
{
    list_init(&s->active);
    list_init(&s->lost);
    list_init(&s->again);
    list_init(&s->over);
    loop_work_init(&s->complete, run_done);
}

void ini_cmds_fini(struct ini_session *s)
{
    loop_work_cancel(&s->complete);
}
