/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_late.h"

#include "initiator/session_conn.h"

/* How long the target may take to abort or to reset, at most. */
#define ANSWER_MAX_NS (15 * NS_PER_SEC)

static void set_timer(struct ini_session *s, uint64_t at)
{
    /* The loop keeps room for a timer that it had: this one is set again and again. */
    if (loop_timer_set(s->loop, &s->watch, at))
        ini_session_set_error(s, USAN_ENOMEM, "out of memory for a timer: commands are not timed");
}

void ini_late_arm(struct ini_session *s)
{
    uint64_t now = loop_now(s->loop);
    s->head_ns = now;
    set_timer(s, now + s->url.command_timeout_ns);
}

/* ---- one step after the other ---- */

/* The last means: the session is lost, and the new one ends all that there was (RFC 7143 6.3.5). */
static void drop(struct ini_session *s, const char *why)
{
    s->stats.drops++;
    s->late = INI_LATE_NONE;
    ini_session_set_error(s, USAN_ETIMEOUT, "%s", why);
    ini_conns_drop_all(s, USAN_ETIMEOUT);
}

static void step(struct ini_session *s, enum ini_late to)
{
    s->late = to;
    set_timer(s, loop_now(s->loop) + time_min(s->url.command_timeout_ns, ANSWER_MAX_NS));
    ini_conns_kick(s);
}

/* Look again after one more period. */
static void wait_more(struct ini_session *s)
{
    set_timer(s, loop_now(s->loop) + s->url.command_timeout_ns);
}

static void reset_done(struct ini_tmf *tmf)
{
    struct ini_session *s = list_entry(tmf, struct ini_session, reset);
    s->reset_out = false;
    if (s->late != INI_LATE_RESET)
        return; /* too late */
    s->late = INI_LATE_NONE;
    if (tmf->scsi.err) /* lost with its connection, as in abort_done() */
        wait_more(s);
    else if (tmf->scsi.response == ISCSI_TMF_RSP_COMPLETE)
        set_timer(s, loop_now(s->loop));
    else
        drop(s, "a command was neither answered nor aborted, and the reset of the unit failed");
}

static void reset_unit(struct ini_session *s, uint64_t lun)
{
    if (!s->reset_out)
        s->reset =
            (struct ini_tmf){ .scsi = { .function = ISCSI_TMF_LOGICAL_UNIT_RESET, .lun = lun },
                              .done = reset_done };
    if (s->reset_out || iscsi_isess_tmf(s->core, &s->reset.scsi, loop_now(s->loop))) {
        drop(s, "a command was neither answered nor aborted");
        return;
    }
    s->reset_out = true;
    s->stats.resets++;
    step(s, INI_LATE_RESET);
}

static void abort_done(struct ini_tmf *tmf)
{
    struct ini_session *s = list_entry(tmf, struct ini_session, abort);
    s->abort_out = false;
    if (s->late != INI_LATE_ABORT)
        return; /* too late */
    s->late = INI_LATE_NONE;
    if (tmf->scsi.err) /* lost with its connection, and the task comes to another one or ends */
        wait_more(s);
    else if (tmf->scsi.response == ISCSI_TMF_RSP_COMPLETE ||
             tmf->scsi.response == ISCSI_TMF_RSP_NO_TASK)
        set_timer(s, loop_now(s->loop)); /* the next one may be late as well */
    else
        reset_unit(s, tmf->scsi.lun);
}

static void abort_task(struct ini_session *s, struct ini_cmd *cmd)
{
    int err = 0;
    if (!s->abort_out) {
        s->abort = (struct ini_tmf){
            .scsi = { .function = ISCSI_TMF_ABORT_TASK, .lun = cmd->scsi.lun, .cmd = &cmd->scsi },
            .done = abort_done
        };
        err = iscsi_isess_tmf(s->core, &s->abort.scsi, loop_now(s->loop));
    }
    /* Others use the unit as well: it is not reset because this side can not ask yet. A connection
     * that is being recovered comes back or is given up in time, a slot becomes free with any
     * answer, and without any the connection ends. */
    if (err == USAN_ECLOSED || err == USAN_EAGAIN) {
        wait_more(s);
        return;
    }
    cmd->late++;
    s->stats.late++;
    if (s->abort_out || err) {
        reset_unit(s, cmd->scsi.lun);
        return;
    }
    s->abort_out = true;
    step(s, INI_LATE_ABORT);
}

/* ---- what happens ---- */

static void fired(struct loop_timer *t)
{
    struct ini_session *s = list_entry(t, struct ini_session, watch);
    uint64_t now = loop_now(s->loop);
    if (s->late == INI_LATE_ABORT) {
        reset_unit(s, s->abort.scsi.lun);
        return;
    }
    if (s->late == INI_LATE_RESET) {
        drop(s, "a command was neither answered nor aborted, and the unit was not reset");
        return;
    }
    if (list_empty(&s->active))
        return;
    /* Commands are answered in any order, but one that is older than all others has its time only
     * from when that began: a long queue at a slow disk is none that hangs. */
    struct ini_cmd *head = list_entry(s->active.next, struct ini_cmd, node);
    if (head->scsi.moved) { /* nor is one whose connection had to be recovered late at once */
        head->scsi.moved = false;
        head->at_ns = now;
    }
    uint64_t since = head->at_ns > s->head_ns ? head->at_ns : s->head_ns;
    uint64_t at = since + s->url.command_timeout_ns;
    if (now < at)
        set_timer(s, at);
    else
        abort_task(s, head);
}

void ini_late_stop(struct ini_session *s)
{
    s->late = INI_LATE_NONE;
    s->abort_out = s->reset_out = false;
    loop_timer_cancel(s->loop, &s->watch);
}

void ini_late_init(struct ini_session *s)
{
    loop_timer_init(&s->watch, fired);
}

void ini_late_fini(struct ini_session *s)
{
    loop_timer_cancel(s->loop, &s->watch);
}
