/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command between the two cores: what the SCSI task wants is got from the iSCSI task, the data
 * buffers and the store.
 *
 *   COMMAND event -> tgt_cmd_start -> tgt_cmd_continue ... until the SCSI task waits for
 *     data from the initiator   DATA event -> tgt_cmd_data
 *     the store                 bio done
 *     durable state             tgt_lun_state_save
 *     other commands            tgt_lane_pull
 *   DONE -> response queued; memory is kept until SENT event -> tgt_cmd_sent
 *
 * The context of a command comes from its session's pool and is not cleared between uses.
 */
#ifndef USAN_TARGET_COMMAND_H
#define USAN_TARGET_COMMAND_H

#include "iscsi/target.h"
#include "scsi/scsi.h"
#include "target/access.h"

#include <stdbool.h>
#include <stdint.h>

struct store_channel;
struct tgt_conn;
struct tgt_lane;
struct tgt_reactor;
struct tgt_session;

enum tgt_cmd_state {
    TGT_CMD_FREE,
    TGT_CMD_RUNNING, /* the SCSI task is not over */
    TGT_CMD_SENDING, /* the response is queued; its memory is still needed */
};

/* A buffer and the iovec that describes what of it is used. */
struct tgt_data {
    void *buf; /* NULL = none */
    size_t cap;
    struct iovec iov;
};

struct tgt_cmd {
    enum tgt_cmd_state state;
    bool lent;       /* task.bio holds memory of lend_ch */
    bool granted;    /* grant_lent is memory of lane's channel, to be written or given back */
    bool no_memory;  /* a READ found no buffer: answer BUSY */
    bool cold_reset; /* with its response sent, all sessions of the target end */
    uint8_t iscsi_tmf;
    uint16_t reset_at; /* TARGET RESET: index of the LUN being reset */
    struct tgt_session *session;
    struct iscsi_task *it;
    struct tgt_lane *lane; /* of the addressed LUN; NULL: no such LUN */
    struct tgt_cmd *next_free;
    struct store_channel *lend_ch;
    void *grant_lent;
    uint64_t grant_len;
    uint64_t charged_bytes;  /* memory of stores, counted for the session until the end */
    struct tgt_data in, out; /* data-in of a READ; data-out */
    size_t buf_cap;          /* of task.buf */
    struct scsi_task task;
};

/* What iscsi_task.priv points at. */
struct tgt_cmd_ref {
    struct tgt_cmd *cmd; /* NULL: answered without a context */
};

void tgt_cmd_start(struct tgt_conn *conn, struct iscsi_task *it);
void tgt_cmd_data(struct iscsi_task *it);
void tgt_cmd_sent(struct iscsi_task *it);
/* Do what the SCSI task wants, until it waits for something or is over. */
void tgt_cmd_continue(struct tgt_cmd *cmd);
struct tgt_reactor *tgt_cmd_reactor(const struct tgt_cmd *cmd);

/* A context of the session with the SCSI task's fields for `it` filled in, but those that say
 * what it is; NULL when all are in use, or the program's memory is. */
struct tgt_cmd *tgt_cmd_get(struct tgt_session *s, struct iscsi_task *it);
/* Give memory and context back. The SCSI task is finished. */
void tgt_cmd_release(struct tgt_cmd *cmd);

/* ---- tmf.c ---- */
void tgt_tmf_start(struct tgt_conn *conn, struct iscsi_task *it);
/* The SCSI task of a task management function is over: go on, or respond. */
void tgt_tmf_done(struct tgt_cmd *cmd);

#endif
