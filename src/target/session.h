/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session: what an initiator port has open with a target. Lives on the reactor of its
 * connection, with its SCSI nexus, its LUNs and the contexts of its commands.
 *
 *   login            tgt_session_new, entered in the registry
 *   connection lost  tgt_session_lost: every command is aborted
 *   last command     the session and its connection are freed, from the loop
 */
#ifndef USAN_TARGET_SESSION_H
#define USAN_TARGET_SESSION_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "scsi/lun.h"
#include "target/buffers.h"
#include "target/core_alloc.h"
#include "target/log.h"
#include "target/registry.h"

#include <stdbool.h>
#include <stdint.h>

struct iscsi_tsess;
struct scsi_nexus;
struct tgt;
struct tgt_cmd;
struct tgt_conn;
struct tgt_lane;
struct tgt_node;
struct tgt_reactor;

struct tgt_session {
    struct tgt_reactor *reactor;
    struct tgt_conn *conn;
    struct scsi_nexus *nexus; /* NULL: a discovery session */
    struct tgt_lane **lanes;  /* by LUN; NULL where there is none */
    uint32_t lane_count;
    uint32_t busy; /* contexts in use */
    struct tgt_cmd *free_cmds;
    bool closing; /* no connection any more; freed when busy is 0 */

    /* All contexts, zeroed. Those from cmds_made on were never touched: neither the system nor the
     * program's limit has memory for them yet. */
    struct tgt_cmd *cmds;
    uint32_t cmd_count, cmds_made;
    struct tgt_account account; /* what its commands hold at this moment */
    struct tgt_core_alloc core; /* memory of tsess */
    struct iscsi_tsess *tsess;
    struct tgt_node *target; /* NULL: a discovery session */
    struct tgt_entry entry;
    struct list node; /* in the reactor's list */
    struct loop_work finish;
    const char *why; /* it ends; static */
    /* for status output */
    uint64_t opened_ns, commands, read_ios, read_bytes, write_ios, write_bytes;
};

/*
 * Make the session of a connection whose login asks for one. USAN_EAGAIN: a session of that name
 * has to end first and was asked to; conn->waiter is used and tgt_conn_retry_bind() will be called.
 * USAN_ELIMIT, USAN_ENOMEM and others: no session.
 */
USAN_MUST_CHECK
int tgt_session_new(struct tgt_conn *conn, struct tgt_session **ret_s);
/* Its connection is gone (the socket is closed): abort what runs, then free both. */
void tgt_session_lost(struct tgt_session *s, const char *why);
/* A context came back. */
void tgt_session_cmd_done(struct tgt_session *s);
void tgt_session_set_window(struct tgt_session *s, uint32_t n);
/* One line of the log with names and counts. */
void tgt_session_report(const struct tgt_session *s, enum tgt_log_level level, const char *event);
/* Close all sessions of a target on every reactor, soon. */
void tgt_session_close_target(struct tgt *tgt, const struct tgt_node *target, const char *why);

/* Lane of a LUN field; NULL: there is no such LUN. */
static inline struct tgt_lane *tgt_session_lane(const struct tgt_session *s, uint64_t lun)
{
    uint64_t n;
    return scsi_lun_decode(lun, &n) && n < s->lane_count ? s->lanes[n] : NULL;
}

#endif
