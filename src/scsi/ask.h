/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management functions that concern tasks on several lanes of one nexus. Internal to src/scsi.
 *
 * A task is touched by its own lane only. So such a function does what it says on its own seat, and
 * asks the other seats of its I_T_L nexus to do the same: it takes the turn (itl->asker; one
 * function at a time, for what it asks is read from its task), counts the seats in itl->answers and
 * calls them. A seat answers when the tasks that it aborted have ended. No gate is closed: other
 * nexuses are not concerned.
 *
 * Only tasks that are older than the function (scsi_task.seq) are meant: others may have started on
 * other lanes before these are called.
 */
#ifndef USAN_SCSI_ASK_H
#define USAN_SCSI_ASK_H

#include "scsi/task.h"

/* t has done its part on its own seat: have the others asked. t waits, with phase SCSI_TMF_TURN if
 * it is not its turn: then this is to be repeated when t is run; else with SCSI_TMF_WAITS. */
void scsi_ask_seats(struct scsi_task *t);
/* The calls of this lane's seats. */
void scsi_ask_calls(struct scsi_lane *lane);

/* The task of that tag on a seat, if it is older than seq; NULL: there is none. */
struct scsi_task *scsi_ask_find(const struct scsi_seat *seat, uint64_t tag, uint64_t seq);
/* CLEAR ACA, on a seat. */
void scsi_ask_clear_aca(struct scsi_seat *seat);

#endif
