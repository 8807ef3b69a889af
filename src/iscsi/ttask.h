/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks: commands and task management requests, their data, their answers. */
#ifndef USAN_ISCSI_TTASK_H
#define USAN_ISCSI_TTASK_H

#include "iscsi/tstate.h"

/* ---- ttask_cmd.c ---- */
/* SCSI Command or TMF header; true if ev was filled in. */
bool ttask_command(struct iscsi_tconn *conn, struct iscsi_event *ev);
/* The same for one whose header is in rx_bhs, and whose immediate data (then its AHS) in rx_buf. */
bool ttask_command_whole(struct iscsi_tconn *conn, struct iscsi_event *ev);
bool ttask_tmf(struct iscsi_tconn *conn, struct iscsi_event *ev);
/* Its turn has come. False: it was answered here. */
bool ttask_deliver(struct ttask *t, struct iscsi_event *ev);

/* ---- ttask_data.c ---- */
/* Is the unsolicited data that comes with this header allowed? */
bool ttask_unsolicited_ok(const struct iscsi_tconn *conn, const struct pdu_scsi_command *c);
/* The header of a write came: its data segment, if it has one, and what follows unsolicited. */
void ttask_begin_unsolicited(struct iscsi_tconn *conn, struct ttask *t, bool final);
/* Data-Out header. */
void ttask_data_out(struct iscsi_tconn *conn);
/* Say where the data segment under way goes; called before bytes are taken from the stream. */
void ttask_place(struct iscsi_tconn *conn);
/* The data segment is complete. */
void ttask_data_complete(struct iscsi_tconn *conn, bool digest_ok);
/* All of the segment is in the caller's memory. */
void ttask_data_whole(struct iscsi_tconn *conn, const uint8_t *data);
/* Data of the segment under way came. */
void ttask_data_moved(struct iscsi_tconn *conn);
/* For a tick: since when none of the data came that the initiator owes on this connection, the
 * command counting that waits longest; TIME_NEVER = it owes none. An initiator that sends what it
 * was asked for one after the other is not late with the later ones. */
uint64_t ttask_data_awaited(struct iscsi_tconn *conn);
/* Its connection is lost: no data comes any more of what it has asked for. */
void ttask_data_lost(struct ttask *t);
/* It has another one: ask there for what is missing. */
void ttask_data_resume(struct ttask *t);
/* No data is taken in for the task any more, and none is asked for. */
void ttask_data_stop(struct ttask *t);

/* ---- ttask_tx.c ---- */
/* Where the Data-In PDU with that number begins: not acknowledged, and one that was sent. */
void ttask_seek(const struct ttask *t, uint32_t data_sn, struct tcursor *ret_at);
/* Put queued jobs on the wire as far as there is room. */
void ttask_fill_wire(struct iscsi_tconn *conn);

#endif
