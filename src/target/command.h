/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command between the two cores: what the SCSI task wants is got from the iSCSI task, the data
 * buffers and the store.
 *
 *   COMMAND event -> tgt_cmd_admit -> tgt_cmd_continue ... until the SCSI task waits for
 *     data from the initiator   DATA event -> tgt_cmd_data
 *     the store                 bio done
 *     durable state             tgt_lun_state_save
 *     other commands            tgt_lane_pull
 *   DONE -> response queued; memory is kept until SENT event -> tgt_cmd_sent
 *
 * The context of a command comes from the pool of its part of the session, and is not cleared
 * between uses. Calls are made on the part's reactor and outside the session's lock, unless they
 * say otherwise.
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
struct tgt_part;
struct tgt_reactor;

enum tgt_cmd_state {
    TGT_CMD_FREE,
    TGT_CMD_RUNNING, /* the SCSI task is not over */
    TGT_CMD_SENDING, /* the response is queued; its memory is still needed */
};

/* What another reactor has learnt about a command, tgt_part_note(). */
enum {
    TGT_NOTE_DATA = 1u << 0,  /* event DATA */
    TGT_NOTE_SENT = 1u << 1,  /* event SENT */
    TGT_NOTE_ABORT = 1u << 2, /* its connection is gone */
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
    struct tgt_part *part;
    struct iscsi_task *it;
    struct list mail;           /* in the part's, if there are notes [S] */
    uint32_t notes;             /* TGT_NOTE_... [S] */
    uint8_t event;              /* TGT_NOTE_... or 0: what conn_event.c has got for it, ... */
    struct tgt_cmd *next_event; /* ... and the next one; or that of those to be answered */
    struct tgt_lane *lane;      /* of the addressed LUN; NULL: no such LUN */
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

/* Start a command that the connection reports; NULL: it has been answered. Inside the lock; then
 * tgt_cmd_continue(). */
struct tgt_cmd *tgt_cmd_admit(struct tgt_conn *conn, struct iscsi_task *it);
/* The context of a task that has come up; NULL: it was answered without one. */
struct tgt_cmd *tgt_cmd_of(const struct iscsi_task *it);
void tgt_cmd_data(struct tgt_cmd *cmd);
void tgt_cmd_sent(struct tgt_cmd *cmd);
/* A note has come. */
void tgt_cmd_noted(struct tgt_cmd *cmd, uint32_t notes);
/* Do what the SCSI task wants, until it waits for something or is over. */
void tgt_cmd_continue(struct tgt_cmd *cmd);
struct tgt_reactor *tgt_cmd_reactor(const struct tgt_cmd *cmd);

/* A context of the part with the SCSI task's fields for `it` filled in, but those that say what it
 * is; NULL when all are in use, or the program's memory is. Inside the lock. */
struct tgt_cmd *tgt_cmd_get(struct tgt_part *part, struct iscsi_task *it);
/* Start its SCSI task. Inside the lock. */
void tgt_cmd_begin(struct tgt_cmd *cmd);
/* Answer this one and those behind it (next_event), all of one part. */
void tgt_cmd_respond(struct tgt_cmd *cmd);
/* The SCSI task was aborted, or nobody is left to be answered: drop it. */
void tgt_cmd_aborted(struct tgt_cmd *cmd);
/* Give memory and context back. The SCSI task is finished. */
void tgt_cmd_release(struct tgt_cmd *cmd);

/* ---- tmf.c ---- */
/* As tgt_cmd_admit. */
struct tgt_cmd *tgt_tmf_admit(struct tgt_conn *conn, struct iscsi_task *it);
/* A function has begun: a line of the log. */
void tgt_tmf_log(const struct tgt_cmd *cmd);
/* The SCSI task of a task management function is over: go on, or respond. */
void tgt_tmf_done(struct tgt_cmd *cmd);

#endif
