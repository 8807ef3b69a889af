/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of a session: from the owner to the core and back, and their fate when it is lost. */
#ifndef USAN_INITIATOR_SESSION_CMD_H
#define USAN_INITIATOR_SESSION_CMD_H

#include "initiator/session_state.h"

void ini_cmds_init(struct ini_session *s);
void ini_cmds_fini(struct ini_session *s);
/* It is over; done follows from the loop. */
void ini_cmd_finish(struct ini_session *s, struct ini_cmd *cmd, int err, const char *why);
/* The core is done with it. True: it is over, and cmd->done has been called. False: it is in
 * s->lost, where ini_cmds_alive() or ini_cmds_lost() decides about it. */
bool ini_cmd_done(struct ini_session *s, struct iscsi_icmd *scsi);
/* Of those in s->lost: their connection goes on, so that the target has ended them. */
void ini_cmds_alive(struct ini_session *s);
/* Their connection is gone. */
void ini_cmds_lost(struct ini_session *s);
/* The session is gone: what the core has queued has to wait for a check at the next login. */
void ini_cmds_take_back(struct ini_session *s);
/* Logged in: what waits goes out. */
void ini_cmds_send_waiting(struct ini_session *s);
/* Commands wait no longer. */
void ini_cmds_fail_waiting(struct ini_session *s, int err, const char *why);

#endif
