/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The initiator role of iSCSI (RFC 7143, RFC 7144) without I/O.
 *
 * One struct iscsi_isess per session, one struct iscsi_iconn per TCP connection. A session is made
 * first and outlives its connections: when all of them are lost, a new leading connection
 * reinstates it (6.3.5). The owner moves bytes and time in and pulls events and bytes out; nothing
 * here calls back. A session and its connections are used by one thread at a time.
 *
 *   connect:   iscsi_iconn_new() when the TCP connection is asked for, iscsi_iconn_connected()
 *              when it is there, iscsi_iconn_lost() when it failed or ended.
 *   received:  iscsi_iconn_rx_space() says where the next bytes are to land, iscsi_iconn_rx()
 *              that they did; then iscsi_iconn_next() until it returns false. Between the first
 *              two nothing else is called on the session or its connections.
 *   to send:   iscsi_iconn_tx() gives iovecs, iscsi_iconn_tx_done() says how much went out.
 *   time:      iscsi_iconn_deadline(), iscsi_iconn_tick().
 *
 * Any call may make an event due, or bytes to send, on any connection of the session: afterwards
 * pull iscsi_iconn_next() of the connection (it gives the session's events as well) and look at
 * iscsi_iconn_tx_pending() of the session's connections. Data of a read lands in the caller's
 * memory; data of a write is sent from there.
 *
 * What the peer does against the protocol ends the connection, with a code and words that say
 * which rule (event CLOSE). What follows from the loss of a connection, and from damaged PDUs,
 * depends on the ErrorRecoveryLevel that was negotiated (RFC 7143 section 7):
 *
 * Level 0. When a connection fails, the session fails (7.1.4.1): commands the target may have seen
 * come back with an error (`sent` is set), and those that it cannot have seen stay queued for the
 * next login.
 *
 * Level 1. As 0, but what a data digest found damaged, or what did not come, is asked for again
 * (SNACK), and a command that did not arrive is sent again with its CmdSN; nothing of it is seen
 * outside. What stays unanswered ISCSI_IRECOVERY_TRIES times fails the connection. So does a
 * header digest error, as nobody knows where the next PDU begins (7.8).
 *
 * Level 2. As 1, but the session survives its connections. One that is lost comes up with CLOSE and
 * with RECOVER; its commands stay with the session. Then
 *
 *   - if others are left: once Time2Wait is over, the core logs the lost connection out on one of
 *     them (11.14.1 reason 2) and has its tasks reassigned to those with the least to do. The owner
 *     needs to do nothing; it may add a new connection at any time, with any cid.
 *   - in any case the owner may make a new connection with the *same cid*, after Time2Wait: it
 *     reinstates the lost one (6.3.4), and the tasks are reassigned when it is logged in.
 *   - if none is left, the session waits in state Q4 for Time2Wait + Time2Retain. A connection that
 *     the owner makes in that time, with the cid of a lost one or any other, continues the session
 *     (6.3.6). If there is none in time, or the target does not know the session any more, or the
 *     owner gives up (iscsi_isess_abandon), SESSION_DOWN comes and it goes on as at level 0: the
 *     next connection is a leading one and reinstates the session.
 *
 * RECOVERED says that all tasks of a lost connection are settled. Commands that could not be
 * reassigned because the target does not know them are DONE with `sent`; a target that knows them
 * but does not reassign them makes the session fail, for only its reinstatement is known to end
 * them. All along, the owner calls iscsi_isess_tick() at iscsi_isess_deadline().
 */
#ifndef USAN_ISCSI_INITIATOR_H
#define USAN_ISCSI_INITIATOR_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "iscsi/login_types.h"
#include "iscsi/params.h"
#include "iscsi/steps.h"
#include "iscsi/tmf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- limits ---- */
enum {
    ISCSI_IR2T_MAX = 16,               /* R2Ts a command may have outstanding */
    ISCSI_ISEGMENT_MAX = 1 << 20,      /* data segment of a PDU other than Data-In */
    ISCSI_ITARGETS_MAX = 16 << 20,     /* bytes of one SendTargets answer */
    ISCSI_IRX_IOV_MAX = 256 + 1,       /* iovecs of iscsi_iconn_rx_space */
    ISCSI_IV_MAX = 1 << 16,            /* iovecs of one command's buffer, in each direction */
    ISCSI_ICONNS_MAX = 64,             /* connections of one session */
    ISCSI_IRECOVERY_TRIES = 4,         /* times that one thing is asked for again */
    ISCSI_IDATA_MAX = INT32_MAX & ~511 /* bytes of one command, in each direction */
};

/* ---- configuration ---- */

/* What an initiator offers by default. */
extern const struct iscsi_params_cfg iscsi_iparams_default;

/* CHAP (RFC 7143 12.1.3). */
struct iscsi_iauth {
    const char *user, *secret; /* of this end; secret NULL = no authentication is offered */
    bool optional;             /* offer None as well: the target decides */
    unsigned algs;             /* bit n: the hash with CHAP_A value n (5..8); 0 = all there are */
    /* Mutual: the target has to prove that it knows target_secret (NULL = it need not), and to
     * call itself target_user (NULL = any name). Must not be the secret of this end. */
    const char *target_user, *target_secret;
};

struct iscsi_isess_config {
    /* error_recovery_level 1 and 2 with data_sequence_in_order: at most one R2T is offered, 13.19
     */
    struct iscsi_params_cfg params;
    const char *initiator_name;  /* an iSCSI name */
    const char *initiator_alias; /* NULL = none */
    const char *target_name;     /* NULL only with discovery */
    struct iscsi_iauth auth;
    bool discovery; /* SessionType=Discovery */
    uint8_t isid[6];
    uint16_t queue_depth;        /* commands with the target at a time, 1..ISCSI_QUEUE_DEPTH_MAX */
    uint64_t login_timeout_ns;   /* TCP connect and login together */
    uint64_t request_timeout_ns; /* for the answer to a logout, text request or abort of ours */
    uint64_t nop_interval_ns;    /* silence after which a NOP-Out is sent; 0 = never */
    uint64_t nop_timeout_ns;     /* then, silence after which the connection is given up */
    uint64_t
        recovery_timeout_ns; /* levels 1, 2: when what is missing is asked for again; 0 = 1 s */
    uint8_t seed[32];        /* random, different for every session: challenges, numbers */
    /* Where transitions of the session and of its connections are noted; NULL = nowhere. */
    struct iscsi_steps *steps;
};

struct iscsi_isess;
struct iscsi_iconn;

/* ---- commands ---- */

enum iscsi_resid { ISCSI_RESID_NONE, ISCSI_RESID_UNDERFLOW, ISCSI_RESID_OVERFLOW };

/* A SCSI command. The struct and all it points to belong to the caller, who leaves them alone
 * from iscsi_isess_submit() to event DONE. Zeroed before its first use. */
struct iscsi_icmd {
    /* in */
    uint64_t lun;       /* as in the LUN field, SAM-6 4.7 */
    const uint8_t *cdb; /* 1 .. ISCSI_CDB_MAX bytes; over 16 they go as an extended CDB, 11.2.2.4 */
    uint16_t cdb_len;
    uint8_t attr; /* ATTR field, 11.3.1: 0 untagged, 1 simple, 2 ordered, 3 head of queue, 4 ACA;
                   * what is kept of the order: iscsi_isess_submit() */
    uint8_t priority; /* RFC 7144 4, 0..15; needs iSCSIProtocolLevel 2, else it is not sent */
    bool immediate;   /* not in the order of commands, nor held back by the window: 4.2.2.1 */
    struct iovec *in; /* where data-in lands; both directions = bidirectional */
    int in_cnt;
    uint32_t in_len; /* bytes of in expected, at most ISCSI_IDATA_MAX; the iovecs have them */
    const struct iovec *out;
    int out_cnt;
    uint32_t out_len;
    void *sense; /* may be NULL */
    uint16_t sense_cap;
    void *user;

    /* out, with event DONE */
    int err;          /* 0 = the target answered with status; else USAN_E... and why */
    const char *why;  /* static string, NULL with err 0 */
    bool sent;        /* it went to the transport whole: with err, the target may have done it */
    uint8_t status;   /* SCSI status */
    uint8_t response; /* 11.4.3; not 0 with err USAN_EIO: status means nothing */
    uint16_t status_qualifier;
    uint16_t sense_len; /* stored in sense */
    uint32_t in_got;    /* bytes of data-in received */
    uint32_t out_sent;  /* bytes of data-out handed to the transport, or about to be */
    enum iscsi_resid resid, in_resid; /* 11.4.5; in_resid: of bidirectional commands, the read */
    uint32_t residual, in_residual;
    /* level 2, at any time: it has come to another connection; the owner may clear it */
    bool moved;

    /* of the session, while it has the command */
    struct list node;
    uint64_t place; /* in the order of submission */
    void *task;
    bool queued, canceled;
};

/* A task management request; ownership as with a command. */
struct iscsi_itmf {
    enum iscsi_tmf_function function;
    uint64_t lun;
    struct iscsi_icmd *cmd; /* ABORT TASK, QUERY TASK: the command, which is with the session */
    void *user;
    /* out, with event TMF_DONE */
    int err;          /* 0 = the target answered with response */
    const char *why;  /* static string, NULL with err 0 */
    uint8_t response; /* 11.6.1; iscsi_tmf_response_text() */
    uint32_t info;    /* additional response information of RFC 7144, 24 bits */
    struct list node; /* of the session */
    void *task;
};

/* ---- events ---- */

enum iscsi_iev {
    /* Full feature phase reached. */
    ISCSI_IEV_LOGGED_IN,
    /* The target is elsewhere (status class 1): ev.address, ev.permanent. CLOSE follows. Whom to
     * believe how often is the owner's to decide. */
    ISCSI_IEV_REDIRECT,
    /* A command is done, its memory the caller's again: ev.cmd. */
    ISCSI_IEV_DONE,
    /* A task management request is: ev.tmf. Commands it ended come up as DONE as well. */
    ISCSI_IEV_TMF_DONE,
    /* SendTargets: ev.target_name and one of its addresses in ev.address, "host[:port][,tag]";
     * NULL when the target gave none: it is where this connection leads (13.8). */
    ISCSI_IEV_TARGET,
    /* The text request is over: ev.err, ev.why. */
    ISCSI_IEV_TEXT_DONE,
    /* Async Message, 11.9: ev.async. What the RFC wants done is done by the connection. */
    ISCSI_IEV_ASYNC,
    /* Close the socket. Last event of a connection; ev.err 0 = orderly logout or redirect. */
    ISCSI_IEV_CLOSE,
    /* The last connection of a session that was logged in is gone: ev.err and why (0 = logged
     * out). A login before time2wait seconds are over may be refused; 13.15. */
    ISCSI_IEV_SESSION_DOWN,
    /* Level 2: the connection ev.cid is lost, the session goes on. A new connection with this cid,
     * or any one if ev.last (no other is left), may be made from ev.time2wait seconds on, and until
     * ev.time2retain more seconds have passed. ev.err and why: as in its CLOSE. */
    ISCSI_IEV_RECOVER,
    /* Level 2: all tasks of the lost connection ev.cid are settled; ev.reassigned of them go on. */
    ISCSI_IEV_RECOVERED,
};

/* 11.9.1 */
enum iscsi_async_event {
    ISCSI_ASYNC_SCSI_EVENT = 0,
    ISCSI_ASYNC_LOGOUT_REQUEST = 1,
    ISCSI_ASYNC_DROP_CONNECTION = 2,
    ISCSI_ASYNC_DROP_SESSION = 3,
    ISCSI_ASYNC_NEGOTIATE = 4,
    ISCSI_ASYNC_TASKS_TERMINATED = 5,
    ISCSI_ASYNC_VENDOR = 255,
};

struct iscsi_iasync {
    uint8_t event, vendor_code;
    uint64_t lun;
    uint16_t param1, param2, param3;
    const void *data; /* sense data of SCSI_EVENT without its length field, or vendor data */
    uint32_t data_len;
};

/* Everything pointed to but cmd and tmf is borrowed until the next call on the connection. */
struct iscsi_ievent {
    enum iscsi_iev type;
    struct iscsi_icmd *cmd;
    struct iscsi_itmf *tmf;
    const char *target_name, *address;
    bool permanent;
    struct iscsi_iasync async;
    int err;
    const char *why; /* static string, never NULL in CLOSE, SESSION_DOWN and TEXT_DONE */
    const char *key; /* CLOSE, TEXT_DONE: the text key that is meant, or NULL */
    uint16_t status; /* CLOSE: of the login that was refused, class << 8 | detail; else 0 */
    uint16_t time2wait, time2retain; /* SESSION_DOWN, RECOVER: seconds */
    uint16_t cid;                    /* RECOVER, RECOVERED */
    bool last;                       /* RECOVER */
    unsigned reassigned;             /* RECOVERED */
};

/* ---- sessions ---- */

/*
 * Copies cfg with its strings. USAN_EINVAL: a name is no iSCSI name, queue_depth is 0 or too
 * large, both CHAP secrets are the same, a target_secret without a secret, or an
 * error_recovery_level over 2. USAN_ENOTSUP: libcrypto has none of the hashes. USAN_ENOMEM. a must
 * outlive the session.
 */
USAN_MUST_CHECK
int iscsi_isess_new(const struct iscsi_isess_config *cfg, const struct alloc *a,
                    struct iscsi_isess **ret_sess);
/* All its connections are freed. Commands still with it are forgotten. sess may be NULL. */
void iscsi_isess_free(struct iscsi_isess *sess);
/* Offer these hashes of CHAP from the next login on; as in struct iscsi_iauth. */
void iscsi_isess_set_hashes(struct iscsi_isess *sess, unsigned algs);

/*
 * Send the command as soon as the target's window and queue_depth allow. It goes to the connection
 * with the fewest bytes outstanding, and stays queued while there is none.
 *
 * The order the target sees is that of CmdSN (4.2.2.1), which a command gets when it goes out. On
 * one connection that is the order of submission. With several, commands that are submitted while
 * others are not sent yet may overtake these; but an ORDERED command is overtaken by none and
 * overtakes none, and a HEAD OF QUEUE one is not overtaken, so that task attributes mean what
 * SAM-6 8.6 says: both wait for connections that do not take what is queued on them. What waits for
 * the next login because its connection was lost keeps its place among all others. Immediate
 * commands are in no order, nor is what comes back with an error and is submitted again.
 *
 * USAN_EINVAL: fields out of range; USAN_ENOTSUP: a discovery session; USAN_ECLOSED: a logout has
 * begun. DONE follows in no other case but success.
 */
USAN_MUST_CHECK
int iscsi_isess_submit(struct iscsi_isess *sess, struct iscsi_icmd *cmd);
/*
 * End a command. One that was not sent is done at once (USAN_ECANCELED), for another ABORT TASK
 * is sent; DONE comes with its answer, or the command's own, whichever is first. A target that
 * refuses to abort lets the command run on. USAN_EAGAIN: too many of them at a time.
 */
USAN_MUST_CHECK
int iscsi_isess_cancel(struct iscsi_isess *sess, struct iscsi_icmd *cmd, uint64_t now_ns);
/* Take all commands that are queued and not sent back: DONE with this error. */
void iscsi_isess_fail_queued(struct iscsi_isess *sess, int err, const char *why);
/*
 * Task management; sent at once, as an immediate request. USAN_EINVAL: no such function, or a
 * command that the session does not have. USAN_ENOTSUP: TASK REASSIGN (recovery level 2), a
 * function of RFC 7144 without its protocol level, a discovery session. USAN_ECLOSED: no
 * connection. USAN_EAGAIN: too many at a time.
 */
USAN_MUST_CHECK
int iscsi_isess_tmf(struct iscsi_isess *sess, struct iscsi_itmf *tmf, uint64_t now_ns);
/* Close the session in order, on one of its connections (11.14.1 reason 0). Commands with the
 * target are aborted by it; wait for them first. USAN_ECLOSED: not logged in. */
USAN_MUST_CHECK
int iscsi_isess_logout(struct iscsi_isess *sess, uint64_t now_ns);
/* Events that belong to no connection: DONE, TMF_DONE, SESSION_DOWN, RECOVER, RECOVERED. */
bool iscsi_isess_next(struct iscsi_isess *sess, struct iscsi_ievent *ev);
/* When iscsi_isess_tick() is due: lost connections are to be logged out, or given up. TIME_NEVER
 * below level 2, and while nothing is lost. */
uint64_t iscsi_isess_deadline(const struct iscsi_isess *sess);
void iscsi_isess_tick(struct iscsi_isess *sess, uint64_t now_ns);
/* All connections are lost, and the session is not to be continued: SESSION_DOWN follows. Nothing
 * happens in any other state. why is a static string. */
void iscsi_isess_abandon(struct iscsi_isess *sess, int err, const char *why);

/* What recovery has done so far; nothing at level 0. */
struct iscsi_isess_stats {
    uint64_t data_snacks, status_snacks, rdata_snacks; /* requests sent, 11.16 */
    uint64_t data_acks;
    uint64_t retries;    /* commands sent again with their CmdSN, 7.2.1 */
    uint64_t lost;       /* connections that were lost and recovered from */
    uint64_t reassigned; /* tasks, 7.2.2 */
    uint64_t continued;  /* sessions: all connections were lost */
};
const struct iscsi_isess_stats *iscsi_isess_stats(const struct iscsi_isess *sess);

const struct iscsi_params *iscsi_isess_params(const struct iscsi_isess *sess);
uint16_t iscsi_isess_tsih(const struct iscsi_isess *sess);
const char *iscsi_isess_state(const struct iscsi_isess *sess); /* "Q3 LOGGED_IN" etc. */
/* Commands with the target; commands waiting for its window. */
unsigned iscsi_isess_active(const struct iscsi_isess *sess);
unsigned iscsi_isess_queued(const struct iscsi_isess *sess);
/* It fails as a whole: what is left of its connections ends as well, and nobody knows what became
 * of the commands that were sent. */
bool iscsi_isess_failing(const struct iscsi_isess *sess);
/* Walk the connections that have not come up with CLOSE; prev NULL starts. */
struct iscsi_iconn *iscsi_isess_next_conn(struct iscsi_isess *sess, struct iscsi_iconn *prev);

/* ---- connections ---- */

/*
 * A TCP connection is being made for the session: its leading one, or when the session is logged
 * in a further one. cid is unique within the session. USAN_EBUSY: the leading login is under way,
 * or an old connection is still to be freed before the session can be reinstated; USAN_ELIMIT:
 * MaxConnections; USAN_EEXIST: the cid is in use; USAN_EAGAIN: Time2Wait is not over, or the lost
 * connection with this cid is being logged out; USAN_ENOMEM.
 */
USAN_MUST_CHECK
int iscsi_iconn_new(struct iscsi_isess *sess, uint16_t cid, uint64_t now_ns,
                    struct iscsi_iconn **ret_conn);
/* conn may be NULL. After CLOSE; before it, as if the connection were lost. */
void iscsi_iconn_free(struct iscsi_iconn *conn);
/* TCP is connected: the login begins. */
void iscsi_iconn_connected(struct iscsi_iconn *conn, uint64_t now_ns);
/* TCP could not be connected, or ended; err is a USAN_E... code. CLOSE follows. */
void iscsi_iconn_lost(struct iscsi_iconn *conn, int err);

/* As iscsi_tconn_rx_space(), _rx(), _next(), _tx(), _tx_done(), _tx_pending(), _deadline() and
 * _tick(); see target.h. */
int iscsi_iconn_rx_space(struct iscsi_iconn *conn, void *buf, size_t cap,
                         struct iovec iov[ISCSI_IRX_IOV_MAX]);
void iscsi_iconn_rx(struct iscsi_iconn *conn, size_t n, uint64_t now_ns);
bool iscsi_iconn_next(struct iscsi_iconn *conn, struct iscsi_ievent *ev);
int iscsi_iconn_tx(struct iscsi_iconn *conn, struct iovec *iov, int max);
void iscsi_iconn_tx_done(struct iscsi_iconn *conn, size_t n, uint64_t now_ns);
bool iscsi_iconn_tx_pending(const struct iscsi_iconn *conn);
uint64_t iscsi_iconn_deadline(const struct iscsi_iconn *conn);
void iscsi_iconn_tick(struct iscsi_iconn *conn, uint64_t now_ns);

/* Start no more commands on this connection, which goes on with those that it has:
 * iscsi_iconn_load() is 0 when it has none. Before a logout that aborts nothing. */
void iscsi_iconn_hold(struct iscsi_iconn *conn);
/* Close this connection in order (11.14.1 reason 1); the last one closes the session. Commands
 * on it are aborted by the target. USAN_ECLOSED: not logged in, or a logout has begun. */
USAN_MUST_CHECK
int iscsi_iconn_logout(struct iscsi_iconn *conn, uint64_t now_ns);
/* Ask for targets (13.3): "All" (discovery sessions), a target's name, or "" for the session's
 * own. Events TARGET, then TEXT_DONE. USAN_EBUSY: another text request is under way; USAN_EINVAL:
 * no name; USAN_ECLOSED: not logged in. */
USAN_MUST_CHECK
int iscsi_iconn_send_targets(struct iscsi_iconn *conn, const char *which, uint64_t now_ns);
/* Declare another MaxRecvDataSegmentLength (13.12), 512 .. 2^24-1. Event TEXT_DONE. Errors as
 * above. */
USAN_MUST_CHECK
int iscsi_iconn_renegotiate(struct iscsi_iconn *conn, uint32_t max_recv_data_segment,
                            uint64_t now_ns);

const struct iscsi_params *iscsi_iconn_params(const struct iscsi_iconn *conn);
uint16_t iscsi_iconn_cid(const struct iscsi_iconn *conn);
uint64_t iscsi_iconn_load(const struct iscsi_iconn *conn);     /* bytes outstanding */
const char *iscsi_iconn_state(const struct iscsi_iconn *conn); /* "S5 LOGGED_IN" etc. */

/* ---- words ---- */
/* Static strings, never NULL. */
const char *iscsi_login_status_text(uint16_t status);  /* 11.13.5 */
const char *iscsi_tmf_response_text(uint8_t response); /* 11.6.1 */
const char *iscsi_reject_text(uint8_t reason);         /* 11.17.1 */
const char *iscsi_async_text(uint8_t event);           /* 11.9.1 */

#endif
