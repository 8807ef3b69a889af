/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session: what an initiator port has open with a target. Lives on the reactor of the connection
 * that opened it, also when that one is gone.
 *
 *   login            tgt_session_new, entered in the registry
 *   more connections tgt_session_join (share.h)
 *   connection ends  tgt_session_conn_closed: its commands are aborted, or kept for another one
 *   session ends     every command is aborted, on every reactor; parts and connections are freed
 *                    each on its own, then the session
 *
 * A session whose connections are all on one reactor takes no lock. From the moment that one on
 * another reactor joins, it is `shared`, for good: every call into the iSCSI core, and the start of
 * every SCSI task, is made inside the session's lock, by whichever reactor; storage, sockets and
 * all other work on tasks stay outside, the digests of data and the log too. Inside the lock no
 * other one is taken but the registry's.
 */
#ifndef USAN_TARGET_SESSION_H
#define USAN_TARGET_SESSION_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/socket.h"
#include "target/core_alloc.h"
#include "target/log.h"
#include "target/part.h"
#include "target/registry.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct iscsi_tsess;
struct scsi_nexus;
struct tgt;
struct tgt_conn;
struct tgt_node;

struct tgt_session {
    struct tgt_part home;
    bool shared;          /* see above; set on the home reactor before others know of the session */
    bool several;         /* it has, or had, more than one connection [S] */
    bool opened;          /* it has been logged in, and the log says so [S] */
    bool down;            /* [S] the core has no connection of it, and none can come */
    bool closing;         /* [S] */
    bool finishing;       /* [S] */
    pthread_mutex_t lock; /* of what is marked [S], and of tsess */
    struct list parts;    /* tgt_part.of_session [S] */
    unsigned part_count;  /* [S] */
    unsigned idle_parts;  /* [S] */
    struct list conns;    /* tgt_conn.of_session: until they are freed [S] */
    unsigned live;        /* of them, those with a socket [S] */
    unsigned joining;     /* logins that are about to join [S] */

    struct scsi_nexus *nexus;   /* NULL: a discovery session */
    struct tgt_core_alloc core; /* memory of tsess */
    _Atomic uint64_t held_total;
    struct iscsi_tsess *tsess;
    struct tgt_node *target; /* NULL: a discovery session */
    struct tgt_entry entry;
    struct list node;        /* in the home reactor's list */
    struct loop_timer clock; /* of lost connections, at recovery level 2 */
    const char *why;         /* it ends; static [S] */
    /* for status output */
    uint64_t opened_ns;
    char peer[SOCK_ADDR_TEXT_BYTES]; /* of the connection that opened it */
};

/*
 * Make the session of a connection whose login asks for one. USAN_EAGAIN: a session of that name
 * has to end first and was asked to; conn->waiter is used and tgt_conn_retry_bind() will be called.
 * USAN_ELIMIT, USAN_ENOMEM and others: no session.
 */
USAN_MUST_CHECK
int tgt_session_new(struct tgt_conn *conn, struct tgt_session **ret_s);
/* Its socket is closed. On the connection's reactor, not inside the lock. */
void tgt_session_conn_closed(struct tgt_conn *conn);
/* It is freed: inside the lock, the last call on it. */
void tgt_session_conn_freed(struct tgt_conn *conn);
/* End it: close its connections, wherever they are. On the home reactor. */
void tgt_session_end(struct tgt_session *s, bool reinstated, const char *why);
/* What the core has to say of the session itself. Inside the lock. */
void tgt_session_events(struct tgt_session *s);
/* Everything has ended, perhaps: then the home reactor frees it. Inside the lock. */
void tgt_session_settle(struct tgt_session *s);
/* Set its clock anew. On the home reactor, not inside the lock. */
void tgt_session_set_clock(struct tgt_session *s);
/* All parts but the home one are freed. On the home reactor, not inside the lock. */
void tgt_session_free(struct tgt_session *s);
void tgt_session_set_window(struct tgt_session *s, uint32_t n);
/* One line of the log with names and counts. */
void tgt_session_report(struct tgt_session *s, enum tgt_log_level level, const char *event);
/* Close all sessions of a target on every reactor, soon. */
void tgt_session_close_target(struct tgt *tgt, const struct tgt_node *target, const char *why);

static inline void tgt_session_lock(struct tgt_session *s)
{
    if (s->shared)
        pthread_mutex_lock(&s->lock);
}

static inline void tgt_session_unlock(struct tgt_session *s)
{
    if (s->shared)
        pthread_mutex_unlock(&s->lock);
}

#endif
