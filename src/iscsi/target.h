/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The target role of iSCSI (RFC 7143, RFC 7144) without I/O.
 *
 * One struct iscsi_tconn per TCP connection. The owner moves bytes and time in and pulls events
 * and bytes out; nothing here calls back.
 *
 *   received:  iscsi_tconn_rx_space() says where the next bytes are to land, iscsi_tconn_rx()
 *              that they did; then iscsi_tconn_next() until it returns false.
 *   to send:   iscsi_tconn_tx() gives iovecs, iscsi_tconn_tx_done() says how much went out.
 *   time:      iscsi_tconn_deadline(), iscsi_tconn_tick().
 *
 * Payload lands in its final buffer: a write command comes up as an event before its data is
 * taken from the stream, and the owner answers with the memory (iscsi_task_want_data).
 *
 * A session with several connections is used by one thread at a time, all its connections with it.
 * What happens on one of them may make events due, or bytes to send, on others: a logout closes
 * them, a command that came early on one is due when another has brought what was missing. After
 * pulling the events of a connection take what iscsi_tsess_take_kick() gives and look after those
 * as well. A command is reported by the connection that made it due; the one it came on, where its
 * data comes from and its answer goes to, is iscsi_task_conn(). What has to be done to a connection
 * with the same CID (reinstatement, 6.3.4), or with others at a logout, the core does by itself:
 * their event CLOSE follows. A logout, and a login that takes another one's place, are answered
 * when the owner has responded to the tasks that end with it, or dropped them: also on its calls
 * for tasks there may be kicks to take.
 *
 * Recovery (RFC 7143 section 7). At ErrorRecoveryLevel 0 nothing of what follows happens.
 *   Level 1   Answers are kept until the initiator has acknowledged them (ExpStatSN, DataACK), to
 *             be sent again when it asks (SNACK): statuses here, data-in in the memory that the
 *             owner has lent. So SENT comes later than at level 0; it still means "no longer
 *             needed". Past TSESS_KEEP_BYTES, _TASKS (tstate.h) data-in is given back all the same,
 *             and a SNACK for it is refused. Data-out that a digest found bad, or that is missing
 *             in a sequence, is asked for once more. A header with a bad digest ends the
 *             connection: its lengths can not be trusted, so nobody knows where the next one is.
 *   Level 2   A connection that ends without an orderly logout leaves its tasks to the session
 *             (ev.retained with CLOSE): the owner frees the connection, keeps the session and goes
 *             on with the commands; what it responds is kept. For Time2Wait + Time2Retain another
 *             connection may take them over (TASK REASSIGN, which the core answers), also when it
 *             is the first one after all were lost (states Q4, Q5). Meanwhile the owner looks after
 *             the session: iscsi_tsess_next() after each call that may concern it (a CLOSE, a
 *             response to a task whose iscsi_task_conn() is NULL, a tick), iscsi_tsess_deadline(),
 *             iscsi_tsess_tick().
 */
#ifndef USAN_ISCSI_TARGET_H
#define USAN_ISCSI_TARGET_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "iscsi/params.h"
#include "iscsi/steps.h"
#include "iscsi/tmf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- configuration ---- */

/* What this end offers by default. */
extern const struct iscsi_params_cfg iscsi_params_default;

struct iscsi_tconn_config {
    struct iscsi_params_cfg params;
    uint16_t portal_group_tag;
    uint32_t queue_depth;      /* commands one session may have outstanding */
    uint32_t task_priv_bytes;  /* room for the owner in every task */
    uint64_t login_timeout_ns; /* the whole login phase; default 15 s */
    uint64_t nop_interval_ns;  /* silence after which a NOP-In is sent; 0 = never */
    uint64_t nop_timeout_ns;   /* then, silence after which the connection is given up */
    /* The connection is closed when data that the initiator owes us does not move for that long, or
     * a request that early ones wait for does not come, or when it takes none of what waits to be
     * sent; 0 = never. Noticed up to a quarter later. */
    uint64_t progress_timeout_ns;
    uint8_t seed[32];    /* random, different for every connection: CHAP, tags */
    const char *address; /* local "ip:port" or "[ip]:port", for SendTargets; copied */
    void *user;          /* the owner's: iscsi_tconn_user() */
    /* Where transitions are noted, those of the session that this connection makes as well; NULL =
     * nowhere. */
    struct iscsi_steps *steps;
};

/* CHAP credentials the owner answers with; all borrowed until the next event. */
struct iscsi_auth {
    bool required;
    bool optional; /* not required, but an initiator that asks for CHAP before None gets it */
    /* Secret of the user that logs in: set after looking up ev->user; NULL = unknown user. */
    const char *user, *secret;
    /* For mutual CHAP; NULL = the target does not authenticate itself. */
    const char *target_user, *target_secret;
};

struct iscsi_task;
struct iscsi_tconn;
struct iscsi_tsess;

/* ---- tasks ---- */

/* A SCSI command or task management request in hand. Memory belongs to the session; it is valid
 * from its event until the SENT event (or iscsi_task_drop). */
struct iscsi_task {
    uint32_t itt;
    uint64_t lun;
    const uint8_t *cdb; /* points into the task, 16 bytes or cdb_len */
    uint16_t cdb_len;
    uint8_t attr;     /* ATTR field; enum scsi_attr has the same numbers */
    uint8_t priority; /* RFC 7144 */
    uint8_t tmf;      /* enum iscsi_tmf_function; 0 = a SCSI command */
    bool immediate, read, write;
    uint64_t out_expected, in_expected; /* from EDTL and the bidirectional AHS */
    uint32_t ref_itt;                   /* TMF: Referenced Task Tag */
    uint32_t ref_cmd_sn;
    uint32_t cmd_sn;
    /* task_priv_bytes; zeroed once, when the session is made: what the owner keeps there it finds
     * again with a later task. */
    void *priv;
    uint32_t tmf_info; /* TMF: the owner's, before it responds: 3 bytes of additional response
                        * information (RFC 7144 6.1); 0 at first */
    int data_err;      /* with EV_DATA: 0, or why the data did not come whole (USAN_EDIGEST, ...) */
};

/* ---- events ---- */

enum iscsi_ev {
    /* Login names a target: answer with iscsi_tconn_login_accept/_redirect/_reject. */
    ISCSI_EV_LOGIN_TARGET,
    /* CHAP name came: answer with iscsi_tconn_login_secret. */
    ISCSI_EV_LOGIN_USER,
    /* Login is about to finish: answer with iscsi_tconn_bind (a new session, or one of ours) or
     * iscsi_tconn_login_reject. */
    ISCSI_EV_LOGIN_BIND,
    /* Full feature phase reached. */
    ISCSI_EV_LOGGED_IN,
    /* SendTargets: answer with iscsi_tconn_target_record() for each visible target, then
     * iscsi_tconn_targets_end(). */
    ISCSI_EV_SEND_TARGETS,
    /* A command or TMF, in CmdSN order: ev.task. An ABORT TASK of a command that has not come up
     * itself is answered without the owner. */
    ISCSI_EV_COMMAND,
    ISCSI_EV_TMF,
    /* The data asked for with iscsi_task_want_data is there: ev.task. Or it did not come as it
     * should (data_err), and the sequences that were asked for have ended. */
    ISCSI_EV_DATA,
    /* The initiator logs this connection out: abort ev.task (iscsi_task_drop), or respond, to
     * nobody. The Logout Response waits for that. */
    ISCSI_EV_TASK_LOST,
    /* Its response has been handed to the transport whole: data-in memory may be reused; the task
     * is gone after this event. */
    ISCSI_EV_SENT,
    /* For the owner's books: the connection with ev.cid was logged out (0: the whole session) by a
     * request on this one. */
    ISCSI_EV_LOGOUT_OTHER,
    /* Close the socket when iscsi_tconn_tx() has nothing left (ev.err says why; 0 = orderly
     * logout). Last event of a connection. */
    ISCSI_EV_CLOSE,
};

struct iscsi_event {
    enum iscsi_ev type;
    struct iscsi_task *task;
    /* login; borrowed until the next call on the connection */
    const char *initiator_name, *target_name, *user;
    bool discovery;      /* SessionType=Discovery; target_name may be NULL */
    const uint8_t *isid; /* 6 bytes */
    uint16_t tsih;       /* LOGIN_BIND: 0 = new session wanted */
    uint16_t cid;
    /* SEND_TARGETS: "All", a target name, or "" for the session's own target */
    const char *send_targets;
    int err;
    const char *why; /* CLOSE: for the log; static string */
    uint16_t status; /* CLOSE: of the login that was refused, class << 8 | detail; else 0 */
    bool retained;   /* CLOSE: its tasks stay with the session, which goes on (level 2) */
};

/* ---- connections ---- */

/* Copies cfg. now starts the login clock. NULL when out of memory. a must outlive the object. */
struct iscsi_tconn *iscsi_tconn_new(const struct iscsi_tconn_config *cfg, const struct alloc *a,
                                    uint64_t now_ns);
/* Tasks still with the owner have been dropped. conn may be NULL. Leaves its session. */
void iscsi_tconn_free(struct iscsi_tconn *conn);

/*
 * Where the next received bytes have to go: up to ISCSI_RX_IOV_MAX iovecs, filled in order. The
 * last one is (a part of) buf, which the caller may share among all its connections: it is free
 * for others as soon as iscsi_tconn_next() returned false. Returns 0 when the connection takes
 * nothing in any more (it is being closed).
 */
enum { ISCSI_RX_IOV_MAX = ISCSI_OUT_IOV_MAX + 3 };
int iscsi_tconn_rx_space(struct iscsi_tconn *conn, void *buf, size_t cap,
                         struct iovec iov[ISCSI_RX_IOV_MAX]);
/* n bytes landed there. */
void iscsi_tconn_rx(struct iscsi_tconn *conn, size_t n, uint64_t now_ns);
/* Next event; false when more bytes are needed. */
bool iscsi_tconn_next(struct iscsi_tconn *conn, struct iscsi_event *ev);
/* The TCP connection ended; event CLOSE follows. */
void iscsi_tconn_rx_eof(struct iscsi_tconn *conn);

/* Bytes to send, at most max iovecs; returns their number, 0 when there is nothing. The memory
 * stays valid until iscsi_tconn_tx_done() covers it. Calling again without tx_done gives the same
 * bytes (and more). */
int iscsi_tconn_tx(struct iscsi_tconn *conn, struct iovec *iov, int max);
void iscsi_tconn_tx_done(struct iscsi_tconn *conn, size_t n, uint64_t now_ns);
/* Cheap: is there anything to send? */
bool iscsi_tconn_tx_pending(const struct iscsi_tconn *conn);

/*
 * For connections of one session that several threads use, one at a time: while a thread moves the
 * bytes of what iscsi_tconn_tx() or _rx_space() named, others may call into the session. Between
 * lend true and false nothing named goes away and nothing lands elsewhere, even if the connection
 * is closed meanwhile; iscsi_tconn_rx() and _tx_done() come after lend false. But for memory of a
 * task that another thread may drop: see iscsi_tconn_rx_task().
 */
void iscsi_tconn_lend(struct iscsi_tconn *conn, bool lent);
/*
 * The digests of data take their time: such an owner has them computed while it has lent the
 * connection. iscsi_tconn_tx_bare() is iscsi_tconn_tx() without them, and _tx_digest() comes before
 * the bytes are sent. _rx_digest() may come before iscsi_tconn_rx(), with the iovecs that
 * _rx_space() gave and the n bytes that landed in them.
 */
int iscsi_tconn_tx_bare(struct iscsi_tconn *conn, struct iovec *iov, int max);
void iscsi_tconn_tx_digest(struct iscsi_tconn *conn);
void iscsi_tconn_rx_digest(struct iscsi_tconn *conn, const struct iovec *iov, size_t n);
/* After iscsi_tconn_rx_space(): the task in whose memory bytes would land; NULL: none. *ret_stash:
 * in memory of the session, that a call on another connection may free. */
struct iscsi_task *iscsi_tconn_rx_task(const struct iscsi_tconn *conn, bool *ret_stash);
void *iscsi_tconn_user(const struct iscsi_tconn *conn);

uint64_t iscsi_tconn_deadline(const struct iscsi_tconn *conn);
void iscsi_tconn_tick(struct iscsi_tconn *conn, uint64_t now_ns);

/* ---- answers to login events ---- */
void iscsi_tconn_login_accept(struct iscsi_tconn *conn, const struct iscsi_auth *auth,
                              const char *target_alias);
void iscsi_tconn_login_secret(struct iscsi_tconn *conn, const struct iscsi_auth *auth);
/* address "ip[:port][,tpgt]"; RFC 7143 11.13.5 status class 1. */
void iscsi_tconn_login_redirect(struct iscsi_tconn *conn, const char *address, bool permanent);
/* status class << 8 | detail, RFC 7143 11.13.5, e.g. 0x0203 target not found. */
void iscsi_tconn_login_reject(struct iscsi_tconn *conn, uint16_t status);
/* sess: a new one, or the one that ev.tsih names (with the same initiator name, ISID and target,
 * which the owner has checked). An existing one takes the connection in the place of the one with
 * the same CID, if there is such (6.3.4), or as a further one up to MaxConnections, else it is
 * refused here. */
void iscsi_tconn_bind(struct iscsi_tconn *conn, struct iscsi_tsess *sess);
/* One target and the portals it is reached on ("ip:port,tpgt", NULL-terminated). */
void iscsi_tconn_target_record(struct iscsi_tconn *conn, const char *name,
                               const char *const *addresses);
void iscsi_tconn_targets_end(struct iscsi_tconn *conn);

const struct iscsi_params *iscsi_tconn_params(const struct iscsi_tconn *conn);
/* "S5 LOGGED_IN" etc., for status output. */
const char *iscsi_tconn_state(const struct iscsi_tconn *conn);

/* ---- sessions ---- */

/* A session for the connection that reported LOGIN_BIND; tsih != 0, chosen by the owner. NULL when
 * out of memory. Of its tasks a first chunk of 16 is allocated here; the pool grows as they are
 * used, up to queue_depth and a few for immediate commands and for answers under way, and never
 * shrinks. Without memory to grow, a command in its turn is answered with TASK SET FULL and any
 * other request that needs a task is rejected. */
struct iscsi_tsess *iscsi_tsess_new(const struct iscsi_tconn *conn, uint16_t tsih,
                                    const struct alloc *a);
/* No connection is left on it. */
void iscsi_tsess_free(struct iscsi_tsess *sess);
uint16_t iscsi_tsess_tsih(const struct iscsi_tsess *sess);
const char *iscsi_tsess_initiator(const struct iscsi_tsess *sess);
unsigned iscsi_tsess_task_count(const struct iscsi_tsess *sess);
const char *iscsi_tsess_state(const struct iscsi_tsess *sess);
/* Fewer commands are let in while memory is short: n of queue_depth. Takes effect as the window
 * moves (MaxCmdSN never goes back). */
void iscsi_tsess_set_window(struct iscsi_tsess *sess, uint32_t n);
/* Its connections that are not closed. */
unsigned iscsi_tsess_conn_count(const struct iscsi_tsess *sess);
/* A connection (of a session with several) on which events are due, or bytes to send, since it was
 * taken last; NULL: no more. Also the one that the call was made on. */
struct iscsi_tconn *iscsi_tsess_take_kick(struct iscsi_tsess *sess);
/* At LOGIN_TARGET (or later) of a connection whose ev.tsih names this session: a session that has
 * lost all its connections is in state Q5 until that login succeeds or fails, and a lost connection
 * with its CID is being cleaned up. Without this call both begin with iscsi_tconn_bind(). */
void iscsi_tsess_continue(struct iscsi_tsess *sess, struct iscsi_tconn *conn);
/* The session is over: reinstated by a new login of the initiator port (6.3.5), or for a reason of
 * the owner's. All connections are closed (event CLOSE of each), nothing is retained; tasks that
 * have no connection any more come up with TASK_LOST. why is a static string. */
void iscsi_tsess_close(struct iscsi_tsess *sess, bool reinstated, const char *why);

/* What happens to a session apart from its connections, at recovery level 2. */
enum iscsi_tsess_ev {
    /* ev.task is not needed any more: as ISCSI_EV_SENT, of a task without connection. */
    ISCSI_TSESS_EV_SENT,
    /* As ISCSI_EV_DATA, likewise. */
    ISCSI_TSESS_EV_DATA,
    /* Nobody took ev.task over in time: abort it (iscsi_task_drop), or respond, to nobody. */
    ISCSI_TSESS_EV_TASK_LOST,
    /* There is no connection any more and none can come: end it. After this only SENT of tasks that
     * the owner still responds to. */
    ISCSI_TSESS_EV_DOWN,
};
struct iscsi_tsess_event {
    enum iscsi_tsess_ev type;
    struct iscsi_task *task;
};
bool iscsi_tsess_next(struct iscsi_tsess *sess, struct iscsi_tsess_event *ev);
/* When lost connections, or the session without any, are given up; TIME_NEVER = not now, 0 = a tick
 * is due at once: the time begins with it. */
uint64_t iscsi_tsess_deadline(const struct iscsi_tsess *sess);
void iscsi_tsess_tick(struct iscsi_tsess *sess, uint64_t now_ns);

/* Which transitions of the state machines were taken so far, for tests and status output: bit n
 * stands for Tn of a connection, Nn of a session, bit 20 + n for Mn of its lost connections. */
uint32_t iscsi_tconn_transitions(const struct iscsi_tconn *conn);
uint32_t iscsi_tsess_transitions(const struct iscsi_tsess *sess);

/* Walk the tasks the owner has in hand; prev NULL starts. */
struct iscsi_task *iscsi_tsess_next_task(struct iscsi_tsess *sess, struct iscsi_task *prev);

/* ---- working on a task ---- */

/* The connection it belongs to (4.2.2 "connection allegiance"); NULL: that one was lost. */
struct iscsi_tconn *iscsi_task_conn(const struct iscsi_task *task);

/* Land the first len bytes of data-out in iov (borrowed until EV_DATA or drop); R2Ts are sent for
 * what does not come unsolicited. Event DATA when all is there. Call it from the COMMAND event on,
 * at most once; a task that never calls it has its unsolicited data thrown away. */
void iscsi_task_want_data(struct iscsi_task *task, struct iovec *iov, int iovcnt, uint64_t len);

struct iscsi_response {
    uint8_t status;   /* SCSI status */
    uint8_t response; /* 0 = completed at target, else RFC 7143 11.4.3 */
    uint16_t status_qualifier;
    const void *sense; /* copied */
    uint16_t sense_len;
    const struct iovec *in; /* data-in; borrowed until SENT (the array too) */
    int in_cnt;
    uint64_t in_len;
    uint64_t in_used, out_used; /* what the command called for; gives the residual counts */
};
/* Data-in and status (in the last Data-In PDU when that is allowed). Event SENT follows. */
void iscsi_task_respond(struct iscsi_task *task, const struct iscsi_response *rsp);
/* enum iscsi_tmf_response; task->tmf_info goes with it. Event SENT follows. The response goes out
 * when the commands that it is about, as far as they came up before it, have been responded to or
 * dropped; with several connections, when what was answered on the others is acknowledged. */
void iscsi_task_respond_tmf(struct iscsi_task *task, uint8_t response);
/* Aborted: nothing is sent, data-out that still comes is thrown away; true: the task is gone. If a
 * part of its response is already queued on the wire, the rest of the response follows as if
 * nothing had happened: then false is returned, data-in memory stays borrowed, and SENT comes. */
bool iscsi_task_drop(struct iscsi_task *task);

/* ---- things the target starts ---- */
/* These do nothing before the full feature phase and when the connection is being closed. */
/* Async message: ask for logout (event 1) within seconds; RFC 7143 11.9. */
void iscsi_tconn_ask_logout(struct iscsi_tconn *conn, uint16_t seconds);
/* Async message: connection / all connections will be dropped (events 2, 3). */
void iscsi_tconn_announce_drop(struct iscsi_tconn *conn, bool whole_session);
/* SCSI asynchronous event (event 0) with sense data. */
void iscsi_tconn_scsi_event(struct iscsi_tconn *conn, uint64_t lun, const void *sense,
                            uint16_t sense_len);

#endif
