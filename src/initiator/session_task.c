/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_task.h"

#include "initiator/session_cmd.h"
#include "initiator/session_conn.h"

static const char canceled[] = "canceled";

/* Not with the core: it waits for the next login, or to be told. */
static bool waits(const struct list *l, const struct ini_cmd *cmd)
{
    list_for_each (l, pos) {
        if (pos == &cmd->node)
            return true;
    }
    return false;
}

int ini_session_cancel(struct ini_session *s, struct ini_cmd *cmd)
{
    if (waits(&s->over, cmd))
        return 0;
    if (waits(&s->again, cmd)) {
        list_del(&cmd->node);
        ini_cmd_finish(s, cmd, USAN_ECANCELED, canceled);
        return 0;
    }
    int err = iscsi_isess_cancel(s->core, &cmd->scsi, loop_now(s->loop));
    if (err)
        return err;
    cmd->canceled = true;
    ini_conns_wake(s); /* what to send, and what has ended */
    return 0;
}

int ini_session_tmf(struct ini_session *s, struct ini_tmf *tmf)
{
    int err = iscsi_isess_tmf(s->core, &tmf->scsi, loop_now(s->loop));
    if (!err)
        ini_conns_wake(s);
    return err;
}
