/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single commands of a session: taken back, and task management. On the loop's thread. */
#ifndef USAN_INITIATOR_SESSION_TASK_H
#define USAN_INITIATOR_SESSION_TASK_H

#include "initiator/session.h"

/* A task management request. In place, with the command it is about, until done. */
struct ini_tmf {
    struct iscsi_itmf scsi; /* in: its "in" fields; out: its "out" fields */
    void (*done)(struct ini_tmf *tmf);
};

/*
 * End a command that was submitted and is not done. One that waits in the session ends at once, for
 * another ABORT TASK is sent; it ends with the answer to that or its own, whichever comes first. A
 * command that is lost with its connection is not sent again. cmd->done is called once in any
 * case, from the loop; USAN_ECANCELED says that it ended early: what it was to write may have been
 * written. USAN_EAGAIN: too many of them at a time, and nothing has happened.
 */
USAN_MUST_CHECK
int ini_session_cancel(struct ini_session *s, struct ini_cmd *cmd);

/* Sent at once. Errors: as iscsi_isess_tmf(), and then done is not called. It may be told the loss
 * of the session (err); it is never sent again. */
USAN_MUST_CHECK
int ini_session_tmf(struct ini_session *s, struct ini_tmf *tmf);

#endif
