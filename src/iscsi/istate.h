/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connection, session and task of the initiator role: the state that its files share, and the few
 * steps on it that all of them need. The files, each using only what stands below it:
 *
 *   iconn.c       life of a connection, events, bytes out, time
 *   iconn_rx.c    what a received PDU leads to
 *   ilost.c       level 2: lost connections, their logout, reassignment of their tasks
 *   iretry.c      level 1: commands that did not arrive
 *   ilogin_pdu.c  the login phase around ilogin.c
 *   ictl.c        NOP, Async Message, logout, Reject
 *   itext.c       text requests: SendTargets, negotiation in full feature phase
 *   itmf.c        task management
 *   isess.c       session: command window, queue, connections to choose from
 *   itask_rx.c    Data-In, R2T, SCSI Response
 *   isnack.c      level 1: what did not come, or came damaged, is asked for again
 *   itask_tx.c    commands and Data-Out on their way to the wire
 *   itask.c       the task pool; how a task ends
 *   istate.c      this
 *
 * Below iconn.c nothing closes a connection: iconn_fail() notes why it must be, and iconn.c does
 * so when it is asked for the next event.
 */
#ifndef USAN_ISCSI_ISTATE_H
#define USAN_ISCSI_ISTATE_H

#include "iscsi/conn_fsm.h"
#include "iscsi/icursor.h"
#include "iscsi/initiator.h"
#include "iscsi/irange.h"
#include "iscsi/sess_fsm.h"
#include "iscsi/wire.h"

enum {
    ICTL_MAX = 256,   /* PDUs of our own queued to a target that does not take them */
    ITMF_TASKS = 16,  /* task management requests at a time */
    ITASK_CHUNK = 16, /* tasks the pool grows by */
    ITASK_CHUNKS_MAX = (ISCSI_QUEUE_DEPTH_MAX + ITMF_TASKS) / ITASK_CHUNK,
    ITASK_SPAN_MAX = 256,    /* payload iovecs of one PDU */
    ITASK_SLOT_BITS = 12,    /* of an ITT: which task; above them a generation */
    ITASK_LOAD = 4096,       /* what a command weighs beside its data */
    IADDRESS_MAX = 256,      /* of a TargetAddress, NUL included */
    ICONN_SMALL = 512,       /* a data segment that needs no memory of its own */
    ILOST_MAX = 64,          /* lost connections of a session that are not settled */
    ILOSSES_MAX = 16,        /* connections that may be lost with one task */
    IHOLES_MAX = 16,         /* runs of Data-In PDUs of one task that are missing */
    ISTAT_GAP_MAX = 1 << 12, /* how far a StatSN, ... */
    IDATA_GAP_MAX = 1 << 20, /* ... a DataSN may be ahead of what came */
};

/* ATTR of a command, RFC 7143 11.3.1: those whose place in the order matters. */
enum { IATTR_ORDERED = 2, IATTR_HEAD_OF_QUEUE = 3 };

/* ITTs of PDUs that are no tasks: slots beyond any task's, and never all ones. */
enum islot { ISLOT_LOGIN = 0xff0, ISLOT_NOP, ISLOT_TEXT, ISLOT_LOGOUT };

/* What waits for its turn on the wire; first member of everything that can. */
enum ijob_kind { IJOB_CTL, IJOB_TASK, IJOB_UNSOLICITED, IJOB_R2T };

struct ijob {
    struct list node;
    enum ijob_kind kind;
};

/* A request that is no task. */
struct ictl {
    struct ijob job;
    bool plug; /* carries cmd_sn instead of the session's next CmdSN */
    uint32_t cmd_sn;
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t len;
    struct iovec iov;
    uint8_t data[];
};

/* An R2T to be answered. */
struct ir2t {
    struct ijob job;
    struct itask *task;
    bool used;
    uint64_t lun;
    uint32_t ttt, off, len, done, data_sn;
};

enum itask_state {
    ITASK_FREE,
    ITASK_STARTED, /* has a connection, is not on the wire */
    ITASK_ACTIVE,  /* its PDU is on the wire or gone */
    ITASK_ORPHAN,  /* its connection is lost; waits to be reassigned (level 2) */
    ITASK_ENDED,   /* over, but the wire still refers to its memory */
};

/* What of a task did not come as it should (levels 1, 2). Made when it happens for the first time,
 * and kept for the next one. */
struct irec {
    struct list node; /* of its connection's `mending` while something is missing */
    struct itask *task;
    unsigned holes; /* runs of DataSN/R2TSN that are missing, all below the task's exp_data_sn */
    struct {
        uint32_t from, to; /* without to */
    } hole[IHOLES_MAX];
    unsigned tries;
    bool restart; /* nothing counts but the PDU with exp_data_sn: the target begins there anew */
    bool again;   /* bytes may come that came before */
    bool fresh;   /* reassigned: the target says with its first PDU where it goes on */
    bool ack;     /* a DataACK that has to wait for the holes below it */
    uint32_t ack_sn, ack_ttt;
    uint64_t ack_lun;
    bool status_came; /* waits for the holes */
    struct pdu_scsi_status status;
    bool held; /* a status came, and is not acknowledged, for that would acknowledge the data too */
    uint32_t stat_sn; /* of it */
    uint32_t tag;     /* of the R-Data SNACK that was sent, 0 = none */
};

struct itask {
    struct ijob job;   /* the command or task management PDU; also the wire's mark */
    struct ijob unsol; /* Data-Out without R2T */
    struct list node;  /* of its connection */
    struct iscsi_isess *sess;
    struct iscsi_iconn *conn; /* allegiance, 4.2.2 */
    struct itask *next_free;
    enum itask_state state;
    uint32_t itt, generation;
    uint16_t slot;
    uint32_t cmd_sn; /* ACTIVE: as it was sent */
    uint32_t order;  /* of all tasks of the session, as they were sent */
    bool immediate;
    unsigned wire_refs; /* PDUs on the wire that borrow its memory */
    uint64_t load;      /* part of its connection's */

    struct iscsi_icmd *cmd;
    /* task management; tmf NULL = an abort of our own */
    struct iscsi_itmf *tmf;
    uint8_t function;
    uint64_t lun;
    uint32_t ref_itt, ref_cmd_sn;
    struct itask *victim;  /* the task an abort of our own is for, or a TASK REASSIGN */
    struct itask *aborter; /* the other way round */
    uint32_t ref_data_sn;  /* ExpDataSN of TASK REASSIGN */

    /* data-out */
    uint32_t immediate_len;        /* in the command PDU */
    uint32_t unsol_end, unsol_pos; /* Data-Out without R2T: up to unsol_end */
    uint32_t unsol_sn;
    uint32_t asked_end; /* highest end of an R2T */
    unsigned r2t_count;
    struct ir2t r2t[ISCSI_IR2T_MAX];
    struct icursor out_at;
    uint8_t *ahs; /* ITASK_AHS_MAX bytes once it was needed */
    uint32_t ahs_len;

    /* data-in */
    uint32_t
        exp_data_sn;  /* of the next Data-In or R2T; bidirectional commands count both, 4.2.2.3 */
    uint32_t in_next; /* offset of the next Data-In when they come in order */
    struct icursor in_at;
    struct irange *ranges; /* what came, when they need not; once it was needed */

    /* recovery, levels 1 and 2 */
    bool mending;      /* rec counts; data is placed by `ranges` */
    bool resend;       /* the command is queued to go out again, with its CmdSN */
    unsigned retries;  /* so often it has been, or was tried to be reassigned */
    unsigned losses;   /* connections that were lost with it */
    uint32_t acked_sn; /* data below is acknowledged (DataACK) */
    uint32_t epoch;    /* of its connection, when the target began to send */
    struct irec *rec;
    struct ilost *lost; /* ORPHAN */

    bool unwanted; /* the owner sent an ABORT TASK for it: it is not sent again without another */
    int fail_err;  /* it can not end well any more: data-in is thrown away */
    const char *fail_why;
    int err;
    const char *why;
};

/* No later command is to get a lower CmdSN. NULL: a request that is no command. */
static inline bool itask_is_fence(const struct iscsi_icmd *cmd)
{
    return cmd && (cmd->attr == IATTR_ORDERED || cmd->attr == IATTR_HEAD_OF_QUEUE);
}

/* What StatSN says about a PDU, 4.2.2.2. */
enum isn {
    ISN_NONE, /* it does not take one */
    ISN_NEXT,
    ISN_OLD, /* it came before */
    ISN_GAP, /* others before it did not come */
    ISN_BAD,
};

/* Level 2: a connection that is lost, until its tasks are settled. */
struct ilost {
    struct list node;        /* of the session's `lost` */
    struct list report_node; /* of its `reports`: an event is due */
    bool reported, over;     /* RECOVER was; it is done with */
    uint16_t cid;
    bool last;
    enum iscsi_conn_state state; /* S8, R2, S1 */
    uint32_t exp_stat_sn;        /* of the old connection */
    struct list tasks;           /* ORPHAN */
    unsigned reassigned, tries;
    uint16_t time2wait, time2retain;
    bool timed; /* wait_ns, until_ns are known */
    uint64_t wait_ns, until_ns;
    struct iscsi_iconn *by; /* who logs it out: explicitly, or by its login with the same cid */
    uint32_t logout_itt;
    uint64_t logout_ns; /* deadline */
    bool implicit;      /* ... the latter */
    bool free;          /* logged out: the tasks may be reassigned, */
    bool later;         /* but not before reassign_ns */
    uint64_t reassign_ns;
    int err;
    const char *why;
};

/* A text request, 11.10. */
struct itext {
    bool active, targets;
    uint32_t itt, ttt;
    uint32_t declared; /* MaxRecvDataSegmentLength, in force with the answer; 0 = not declared */
    char *buf;         /* what came and is not parsed */
    size_t len, pos, cap;
    size_t total;
    unsigned pdus;
    bool final, over; /* the last response came; the request is over */
    bool named, shown;
    char name[ISCSI_NAME_MAX + 1]; /* of the target whose addresses come */
    uint64_t deadline_ns;
    int err;
    const char *why, *key;
};

struct iscsi_iconn {
    struct iscsi_isess *sess;
    const struct alloc *a;
    struct list node; /* of its session */
    bool joined;      /* is in the session's list */
    bool leading;
    uint16_t cid;
    enum iscsi_conn_state state;
    struct iscsi_params params;
    struct ilogin *login; /* NULL before TCP is connected and in full feature phase */

    struct wire_rx rx;
    struct wire_tx tx;
    uint32_t exp_stat_sn; /* next StatSN to come */
    bool stat_sn_known;
    enum isn rx_sn; /* of the PDU at hand */
    bool rx_drop;   /* its data segment is of no interest */

    /* levels 1, 2 */
    uint32_t stat_end; /* stat_gap: StatSNs below this were sent */
    bool stat_gap;     /* and some of them did not come */
    unsigned stat_tries;
    bool holding; /* a status waits for data: ExpStatSN stays at held_sn */
    uint32_t held_sn;
    struct list mending; /* irec.node: tasks with holes */
    uint64_t mend_ns;    /* when to ask again; TIME_NEVER */
    uint32_t epoch;      /* changes with our MaxRecvDataSegmentLength */
    bool probing;        /* the NOP-Out under way is to tell whether a command got lost ... */
    uint32_t probe_sn;   /* ... the one with this CmdSN */

    struct list jobs; /* ijob.node: requests and commands */
    struct list data; /* ijob.node: Data-Out sequences, answered in the order they were asked for */
    unsigned ctl_count;
    struct list tasks;
    unsigned task_count;
    uint64_t load;

    /* the PDU whose data segment is under way */
    struct itask *rx_task; /* Data-In of this task */
    struct itask *spoiled; /* its data did not come as it should: to be aborted */
    uint8_t rx_bhs[ISCSI_BHS_LEN];
    uint8_t *rx_buf; /* small, or memory of our own; NULL = thrown away */
    struct iovec rx_iov;
    uint8_t small[ICONN_SMALL];

    uint32_t login_itt;
    bool report_logged_in, report_redirect, permanent;
    char address[IADDRESS_MAX];
    uint16_t close_status;

    bool dropped; /* the target said so, with its own waiting times (11.9.1): seconds */
    uint16_t drop_wait, drop_retain;

    bool failing; /* to be closed by iconn.c */
    bool closed, report_close;
    bool kept;    /* the session goes on with what it had (level 2) */
    bool was_up;  /* reached full feature phase */
    bool held;    /* gets no more commands */
    bool orderly; /* it ends by a logout */
    int err;
    const char *why, *key;

    /* logout */
    bool logout_sent, logout_session;
    int logout_err; /* what the logout is for, 0 = nothing bad */
    const char *logout_why;
    uint32_t logout_itt;
    uint64_t logout_deadline_ns, logout_by_ns; /* by_ns: the target asked for one, TIME_NEVER */

    struct itext text;

    unsigned aborts; /* of our own, not answered */
    uint64_t abort_deadline_ns;

    uint64_t now_ns, started_ns, last_rx_ns, nop_sent_ns, idle_since_ns;
    uint32_t nop_itt;
};

/* The session's own copy of its configuration's strings. */
struct iscsi_isess {
    const struct alloc *a;
    struct iscsi_isess_config cfg;
    char *strings; /* all strings of cfg, one after the other; wiped at the end */
    size_t strings_len;
    enum iscsi_sess_state state;
    uint16_t tsih;
    struct iscsi_params params;
    struct list conns;
    unsigned conn_count;
    uint32_t logins; /* so far: no challenge is used twice */
    bool closing;    /* a logout of the session has begun */
    bool report_down;
    int down_err;
    const char *down_why;

    uint32_t cmd_sn, exp_cmd_sn, max_cmd_sn;
    uint32_t promised;         /* commands that will take a CmdSN of the window when they go out */
    uint32_t fences;           /* those of them that no later one may overtake */
    bool fenced;               /* the next one waits until the promised ones are out */
    struct list urgent, queue; /* iscsi_icmd.node: immediate ones; the others */
    unsigned queued;
    uint64_t places;             /* iscsi_icmd.place: so many were submitted */
    struct list done, tmfs_done; /* to be reported */

    uint32_t generation, order;
    unsigned active, tmfs; /* tasks in use */
    uint32_t pool_count;
    struct itask *chunks[ITASK_CHUNKS_MAX];
    struct itask *free_list;

    /* levels 1, 2 */
    uint64_t unacked_ns;       /* since when ExpCmdSN stands still behind CmdSN */
    struct list lost, reports; /* ilost.node, ilost.report_node */
    unsigned reassigning;      /* TASK REASSIGN requests under way */
    bool giving_up;            /* the session fails as a whole, as at level 0 */
    struct iscsi_isess_stats stats;
    uint32_t conn_steps,
        sess_steps; /* transitions that were taken: bit n of Tn or Nn; 20+n of Mn */
};

/* Take a step of the state machines. Once a connection is down, what else happens to it changes
 * nothing any more. */
void iconn_step(struct iscsi_iconn *conn, enum iscsi_conn_event ev);
void isess_step(struct iscsi_isess *sess, enum iscsi_sess_event ev);
/* The same for a connection that is lost; the event has its place. */
void ilost_step(struct iscsi_isess *sess, struct ilost *lost, enum iscsi_conn_event ev);

/* The connection must end; the first reason counts. why is a static string, key may be NULL. */
void iconn_fail(struct iscsi_iconn *conn, int err, const char *why);
void iconn_fail_key(struct iscsi_iconn *conn, int err, const char *why, const char *key);

/* A tag for a PDU that is no task. */
uint32_t isess_tag(struct iscsi_isess *sess, enum islot slot);
/* A PDU to be filled in, with len bytes of data; NULL: the connection fails. */
struct ictl *ictl_new(struct iscsi_iconn *conn, uint32_t len);
void ictl_queue(struct iscsi_iconn *conn, struct ictl *ctl);

/* May commands be started on it? */
static inline bool iconn_accepts(const struct iscsi_iconn *conn)
{
    return conn->state == ISCSI_CONN_LOGGED_IN && !conn->failing && !conn->logout_sent &&
           !conn->held;
}

static inline bool iconn_full_feature(const struct iscsi_iconn *conn)
{
    return (conn->state == ISCSI_CONN_LOGGED_IN || conn->state == ISCSI_CONN_LOGOUT_REQUESTED) &&
           !conn->failing && !conn->logout_sent;
}

/* Error recovery level in force on it; 0 in its login. */
static inline unsigned iconn_erl(const struct iscsi_iconn *conn)
{
    return conn->params.error_recovery_level;
}

/* ExpStatSN for the target. */
static inline uint32_t iconn_ack_sn(const struct iscsi_iconn *conn)
{
    return conn->holding ? conn->held_sn : conn->exp_stat_sn;
}

static inline uint64_t isess_recovery_timeout(const struct iscsi_isess *sess)
{
    return sess->cfg.recovery_timeout_ns ? sess->cfg.recovery_timeout_ns : NS_PER_SEC;
}

static inline bool ijob_waits(const struct ijob *job)
{
    return !list_empty(&job->node);
}

#endif
