/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connection, session and task of the target role: the state that its files share, and the few
 * steps on it that all of them need. The files, each using only what stands below it:
 *
 *   tconn.c       life of a connection, what a received PDU leads to, events
 *   ttick.c       its time
 *   tlogin.c      the login phase around login.c
 *   ttask_cmd.c   commands and task management requests as they come in
 *   ttask_tx.c    R2T, Data-In, responses on their way to the wire
 *   ttask_data.c  data-out, unsolicited and solicited
 *   ttext.c       text requests: SendTargets, negotiation in full feature phase
 *   tlogout.c     logout requests
 *   tawait.c      answers that wait for the end of tasks
 *   tsnack.c      requests to send something again
 *   tkeep.c       answers kept until they are acknowledged
 *   tmissing.c    data-out that is asked for once more
 *   tranges.c     pieces of data that comes in any order
 *   tctl.c        PDUs the target makes by itself: NOP-In, reject, async message
 *   tjoin.c       session: connections that join it, and that others log out
 *   treassign.c   tasks of lost connections taken over by others
 *   tlost.c       session: what is left of lost connections, the session without any
 *   tgap.c        session: CmdSNs that went down with a connection
 *   tsess.c       session: command window, ordering, the task pool
 *   tclose.c      the end of a connection
 *   tstate.c      this
 */
#ifndef USAN_ISCSI_TSTATE_H
#define USAN_ISCSI_TSTATE_H

#include "iscsi/conn_fsm.h"
#include "iscsi/login.h"
#include "iscsi/sess_fsm.h"
#include "iscsi/target.h"
#include "iscsi/tranges.h"
#include "iscsi/wire.h"

enum {
    TCONN_CTL_MAX = 1024,          /* answers queued for a peer that does not read them ... */
    TCONN_CTL_BYTES_MAX = 1 << 20, /* ... and their bytes; then the connection is closed */
    TSESS_IMMEDIATE_TASKS = 16,    /* tasks beyond the queue depth, for immediate commands */
    /* ... and for the answer that each connection has partly sent: the initiator has seen in its
     * header that there is room again, while the task is still needed. */
    TSESS_ANSWERED_TASKS = 16,
    TTASK_BURSTS = 8,     /* most R2Ts outstanding per task */
    TSESS_CHUNK = 16,     /* tasks the pool grows by */
    TTASK_SPAN_MAX = 256, /* payload iovecs of one Data-In PDU */
    /* Unsolicited data of a session that waits for the owner to say where it goes: what 128 writes
     * with a FirstBurstLength of 256 KiB send. More fails its command (EV_DATA, USAN_ENOMEM). */
    TSESS_STASH_MAX = 32 << 20,
    TSESS_LATE_BYTES_MAX = 1 << 20, /* data of requests that came early and are no tasks */

    /* Recovery levels 1 and 2. What one session keeps to be sent again: data-in (the owner's
     * memory) of answered commands, and the answers themselves with their data; how many such
     * commands; how many answers of a connection. Past them the oldest go. */
    TSESS_KEEP_BYTES = 16 << 20,
    TSESS_KEEP_TASKS = 64,
    TCONN_KEEP_ANSWERS = 1024,
    TCONN_RESENDS_MAX = 64,    /* runs of Data-In PDUs waiting to be sent again */
    TTASK_RECOVERIES_MAX = 32, /* sequences of a command's data that come incomplete */
    TSESS_LOST_MAX = 64,       /* connections that left tasks; past it the oldest ones' go */

    TSESS_CHUNKS_MAX =
        (ISCSI_QUEUE_DEPTH_MAX + TSESS_IMMEDIATE_TASKS + TSESS_ANSWERED_TASKS + TSESS_KEEP_TASKS) /
        TSESS_CHUNK,
};

/* The send queue's memory is given back after so long without use. */
#define TX_BLOCK_IDLE_NS (5 * NS_PER_SEC)
/* Answers that stay unacknowledged for that long are asked about. */
#define TCONN_ACK_WAIT_NS (2 * NS_PER_SEC)
/* A TMF response waits no longer for an initiator that does not acknowledge statuses it has. */
#define TCONN_FENCE_NS (10 * NS_PER_SEC)

/* What waits in a connection's send queue; first member of everything that can. */
enum txjob_kind {
    TXJOB_IDLE, /* in no queue */
    TXJOB_CTL,
    TXJOB_R2T,
    TXJOB_RESPONSE, /* Data-In PDUs and status */
    TXJOB_TMF,
    TXJOB_KEPT,   /* an answer once more */
    TXJOB_RESEND, /* Data-In PDUs once more */
};

struct txjob {
    struct list node;
    enum txjob_kind kind;
};

/* A PDU made by the target itself. */
struct tctl {
    struct txjob job;
    uint8_t bhs[ISCSI_BHS_LEN];
    bool takes_stat_sn; /* the PDU carries a status and so advances StatSN */
    bool closes;        /* the connection ends after it */
    /* A Logout Response that waits (tawait.c) in this connection's session, for the tasks of that,
     * or of its connection with this CID. */
    struct iscsi_tconn *conn;
    bool session;
    uint16_t cid;
    uint32_t len;
    struct iovec iov;
    uint8_t data[];
};

/* An answer that has a StatSN, until the initiator acknowledges it; level 1 and up. */
struct tkept {
    struct txjob job;   /* it is being sent again */
    struct list node;   /* tconn.kept, in the order of StatSN */
    struct ttask *task; /* as long as it is there: its response is on the way, or its data kept */
    uint32_t stat_sn, itt;
    uint32_t len; /* of data */
    bool over;    /* acknowledged while it was being sent again */
    bool in_data; /* it went with the last Data-In PDU; bhs is what stands for it */
    bool moved;   /* of a lost connection: the next StatSN of this one is for it */
    uint32_t data_from, exp_data_sn; /* DataSN of the first of the command, and after the last */
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iovec iov;
    uint8_t data[];
};

/* A place in the data-in of a command. */
struct tcursor {
    const struct iovec *in;
    int in_cnt;
    size_t in_skip; /* bytes of in[0] before it */
    uint64_t pos;
    uint32_t data_sn;   /* of the PDU that begins there */
    uint32_t burst_pos; /* bytes of the Data-In sequence before it */
};

/* A connection that was lost at recovery level 2: tasks and answers wait for another one to take
 * them over. Which tasks these are, ttask.lost says. */
struct tlost {
    struct list node; /* tsess.lost, the oldest first */
    uint16_t cid;
    enum iscsi_conn_state state; /* S8 CLEANUP_WAIT until it is logged out */
    bool reassign;               /* it is: its tasks may be taken over, 7.2.2 */
    uint64_t until_ns;           /* 0: not set yet */
    struct list kept;            /* tkept.node: SCSI responses that were not acknowledged */
};

/* A run of Data-In PDUs that is sent again. */
struct tresend {
    struct txjob job;
    struct ttask *task;
    struct tcursor at;
    uint32_t end; /* DataSN after the last one */
};

/* One sequence of Data-Out PDUs: what an R2T asked for, or the unsolicited data. */
struct tburst {
    uint32_t seq; /* the order in which the connection was asked for its sequences */
    uint32_t ttt; /* ISCSI_TAG_NONE: unsolicited */
    uint32_t off, len, got;
    uint32_t next_data_sn;
    uint32_t r2t_sn;
    bool active, sent; /* of an R2T */
    bool again;        /* it is to be sent once more */
};

/* What became of a request that is no task. */
enum treq {
    TREQ_DONE,
    TREQ_EVENT, /* the owner is asked */
    TREQ_REJECTED,
};

/* A request that is no task (NOP-Out, Text, Logout) and came early: it waits for its turn. */
struct tlate {
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t len;
    uint8_t data[];
};

enum ttask_state {
    TTASK_FREE,
    TTASK_HELD,    /* waits for its CmdSN's turn */
    TTASK_OWNED,   /* with the owner */
    TTASK_FENCED,  /* a TMF that was answered, before its response is queued */
    TTASK_SENDING, /* response queued */
    TTASK_KEPT,    /* sent; its data-in is kept to be sent again */
    TTASK_WAIT,    /* answered, but there is no connection to send that on */
    TTASK_SENT,    /* to be reported by EV_SENT */
};

struct ttask {
    struct iscsi_task pub; /* first member */
    struct txjob job;
    struct iscsi_tconn *conn; /* allegiance, 4.2.2: it outlives that; NULL: there is none ... */
    struct tlost *lost;       /* ... but was to this one; NULL: nobody waits for its end */
    struct iscsi_tsess *sess;
    struct list node;  /* session: all tasks in use */
    struct list event; /* connection: tasks with an event to report */
    struct ttask *hash_next;
    enum ttask_state state;
    uint16_t slot;
    bool ghost;         /* held place of a CmdSN that needs no delivery ... */
    struct tlate *late; /* ... or of this request, which is no task */
    bool dropped;       /* a ghost: its connection has ended, and a retry may take its place */
    bool fenced;        /* a TMF: its tasks have ended, statuses are to be acknowledged */
    /* A TMF that the owner does not see: response code + 1; 0 = the owner answers. */
    uint16_t tmf_answer;
    bool data_ready; /* EV_DATA is due */
    /* EV_DATA was due: nothing more is taken in. With pub.data_err set and this not, what comes is
     * thrown away until the sequences that were asked for have ended. */
    bool data_done;
    bool counted;  /* counts against the command window */
    bool answered; /* ... but what its connection sends from now on says that it does not */

    /* data-out */
    bool wants;       /* iscsi_task_want_data was called */
    bool unsolicited; /* Data-Out PDUs without R2T still come */
    struct iovec *out;
    int out_cnt;
    uint64_t want_len;
    uint64_t got;       /* bytes taken in, of want_len */
    uint64_t asked;     /* offset up to which data came unsolicited or was asked for */
    uint64_t unsol_got; /* unsolicited bytes seen */
    uint32_t r2t_sn;
    uint64_t data_ns; /* when data of it moved, or was asked for */
    uint64_t r2t_end; /* the end of its last R2T in what the connection sends */
    struct tburst unsol;
    struct tburst bursts[TTASK_BURSTS];
    /* One for each burst, and NULL with DataPDUInOrder=Yes; at recovery level 1 and up the first
     * one has what came, well, of all the data. */
    struct tranges *ranges;
    uint8_t *stash; /* unsolicited data that came before the owner said where to put it */
    uint32_t stash_cap;

    /* response */
    uint8_t status, response;
    uint8_t resid_flags;
    uint16_t qualifier;
    uint32_t residual, bidi_residual;
    uint64_t in_len;
    struct tcursor cur; /* what is sent next */
    bool on_wire;       /* a part of the response is queued on the wire */
    uint32_t sense_len;
    struct iovec sense_iov;
    uint8_t sense[2 + ISCSI_SENSE_MAX]; /* SenseLength, sense data */

    /* recovery */
    struct tkept *kept;   /* its answer, that is not acknowledged */
    struct tcursor acked; /* data-in before that was acknowledged */
    uint32_t seg;         /* MaxRecvDataSegmentLength that it was sent with ... */
    uint16_t tx_changes;  /* ... unless this is not the connection's any more */
    uint16_t resends;     /* struct tresend */
    uint16_t recoveries;  /* sequences of data-out that came incomplete */
    uint32_t ack_ttt;     /* in Data-In PDUs that ask for a DataACK; ISCSI_TAG_NONE = none did */
    uint32_t snack_tag;   /* of an R-Data SNACK; 0 = none */
    uint32_t stat_sn;
    uint32_t keep_bytes; /* counted in the session's */
    bool aside;          /* out of the window, and not known by its ITT any more */
    bool keeping;        /* counted among those that are kept */
    bool over;           /* goes when what is being sent of it again has been sent */
    bool again;          /* its response was sent before */
    bool rewind;         /* ... and is to be sent again as soon as it was */
    bool mixed;          /* seg is not the length of all segments that were sent */
    bool waits;   /* TASK REASSIGN in its turn, until a connection has let go (t->state: HELD) */
    bool end_due; /* TASK_LOST is */
    uint32_t exp_data_sn; /* TASK REASSIGN */
    uint32_t r2t_acked;   /* R2TSN after the last one that was answered */

    uint8_t cdb[ISCSI_CDB_MAX];
    uint64_t priv_align[];
};

struct iscsi_tconn {
    struct iscsi_tconn_config cfg;
    const struct alloc *a;
    char *address;
    struct list node; /* in its session; before, with `continues`, in that one's list */
    struct iscsi_tsess *continues; /* its login names that session */
    struct list kick;              /* in its session's list of those to look after */
    enum iscsi_conn_state state;
    uint32_t taken; /* transitions of it */
    struct iscsi_tsess *sess;
    struct iscsi_login *login; /* NULL once in full feature phase */
    struct iscsi_params params;
    uint16_t cid;
    uint8_t isid[6];
    uint16_t tsih;
    bool discovery;
    char *initiator_name;

    struct wire_rx rx;
    struct wire_tx tx;
    uint32_t stat_sn;    /* next to be assigned */
    uint32_t max_cmd_sn; /* as last sent here */
    uint32_t answered;   /* tasks whose answers are on the wire, not wholly sent */

    bool attend; /* tconn_attend() */

    /* recovery */
    uint8_t erl;            /* ErrorRecoveryLevel; 0 in login and discovery */
    uint16_t tx_changes;    /* how often the initiator's MaxRecvDataSegmentLength changed */
    uint32_t acked_stat_sn; /* ExpStatSN of the initiator */
    struct list kept;       /* tkept.node */
    unsigned kept_count;    /* in it */
    unsigned resend_count;  /* struct tresend */
    uint64_t ack_ns;        /* when there was the last progress in it */

    /* the PDU whose data segment is under way */
    struct ttask *rx_task;
    struct tburst *rx_burst;
    uint64_t rx_off; /* offset of the segment within the task's data */
    bool rx_final;   /* the PDU's F bit */
    bool rx_stashed; /* it lands in the task's stash */
    uint8_t *rx_buf; /* memory of our own for it */
    struct iovec rx_iov;
    uint8_t rx_bhs[ISCSI_BHS_LEN]; /* its header */

    struct list jobs; /* txjob.node: not yet (wholly) on the wire */
    unsigned ctl_count;
    size_t ctl_bytes;
    struct list events; /* ttask.event */
    struct ttask *reap; /* reported by SENT: released at the next call */

    /* login */
    uint32_t login_itt;
    bool login_waits; /* for an answer of the owner's */
    int login_event;  /* enum iscsi_login_want to be reported; -1 = none */
    bool leading_cmd_sn_known;
    uint32_t first_cmd_sn;
    bool report_logged_in;

    /* text negotiation */
    uint32_t text_itt;
    char *text_in, *text_out;
    size_t text_in_len, text_out_len, text_out_pos;
    uint32_t text_ttt;
    bool text_targets; /* collecting records */
    bool text_final;   /* the F bit of the last request */

    /* several connections */
    bool fenced;             /* TMF responses wait for the initiator to acknowledge ... */
    uint32_t fence_sn;       /* ... all before this StatSN; ... */
    uint32_t seen_stat_sn;   /* ... those before this it has: not known of an only connection */
    uint64_t fence_since_ns; /* 0: not set yet */
    bool bind_waits;         /* the login waits for tasks of the connection that it replaces ... */
    bool bind_due;           /* ... that have ended */
    bool ask;                /* send a NOP-In with the next tick */
    /* Of a session that is broken: CmdSNs before this one do not come on this connection any more,
     * but those that were rejected, and this is the range of, until ExpCmdSN is past it. */
    uint32_t shown_sn, rejected_sn, rejected_last;
    bool rejected;
    bool asked; /* at ExpCmdSN = */
    uint32_t asked_sn;

    /* logout of another connection */
    bool report_logout_other;
    uint16_t logout_cid;

    /* end */
    bool lent;      /* iscsi_tconn_lend */
    bool flush_due; /* closed while it was */
    bool closing;   /* nothing is taken in any more */
    bool closed;    /* EV_CLOSE was reported */
    int close_err;
    const char *close_why;
    uint16_t close_status; /* of the login that was refused */
    bool retained;         /* its tasks stay with the session */
    bool gone;             /* nothing is queued or kept any more */
    bool replaced;         /* by a login with its CID */
    bool recovery_logout;  /* it ends by a logout of reason 2 on itself */
    struct tlost *lost;    /* level 2: memory for what is left of it; with retained, in use */

    /* time */
    uint64_t now_ns, started_ns, last_rx_ns, nop_sent_ns, idle_since_ns;
    uint64_t timer_ns, drain_ns;
    uint64_t buf_ns, sent_ns, text_ns; /* last progress: of rx_buf, bytes sent, text exchange */
    uint64_t sent_bytes;
    /* Of the sequences whose data moved since the last tick, the one asked for first, and when;
     * 0 = none. */
    uint64_t moved_ns;
    uint32_t moved_seq;
    uint32_t next_seq; /* tburst.seq */
    /* what is waited for, since when; 0 = nothing. First seen by a tick: nothing to do for each
     * command. */
    uint64_t send_since_ns, turn_since_ns;
    uint32_t seen_cmd_sn; /* ExpCmdSN when the last tick looked, */
    uint64_t turn_ns;     /* and when it was seen to have moved */
    uint32_t nop_ttt;
};

struct iscsi_tsess {
    const struct alloc *a;
    enum iscsi_sess_state state;
    uint16_t tsih;
    struct iscsi_steps *steps;
    char *initiator_name;
    struct iscsi_params params;
    struct list conns;
    unsigned conn_count;
    unsigned live;      /* of them, those that are not closed */
    struct list kicks;  /* iscsi_tconn.kick */
    uint32_t taken;     /* transitions of it, and of its lost connections */
    bool params_known;  /* a connection has been logged in */
    bool ended;         /* iscsi_tsess_close() */
    bool reinstated;    /* ... by a new login */
    bool down_reported; /* ISCSI_TSESS_EV_DOWN */
    struct list logins; /* iscsi_tconn.node of those that want to continue it */
    struct list lost;   /* tlost.node */
    unsigned lost_count;
    unsigned awaited;    /* answers that wait for something (tawait.c): */
    struct list logouts; /* tctl.job.node */
    struct list tmfs;    /* ttask.job.node */
    unsigned fences;     /* connections with a fence */
    bool broken;         /* below level 2: a connection ended while others were there (tgap.c) */
    uint64_t until_ns;   /* without connections: it is given up then; 0 = it was, or never lived */
    struct list events;  /* ttask.event of tasks without connection */
    struct ttask *reap;  /* reported: released at the next call */

    uint32_t exp_cmd_sn, max_cmd_sn; /* the highest that was ever sent */
    uint32_t depth;                  /* of the task pool, without the immediate ones */
    uint32_t window;                 /* commands let in; <= depth */
    uint32_t outstanding;            /* tasks that count against the window */
    uint32_t immediate_count;        /* tasks of immediate requests */
    struct list held;                /* ttask.node, by CmdSN: they wait for earlier ones */
    struct list tasks;               /* ttask.node: with the owner, or being answered */
    struct list kept;                /* ttask.node: answered and kept, the oldest first */
    unsigned task_count;
    unsigned keep_tasks; /* in `kept`, or from there and being sent again */
    size_t keep_bytes;
    size_t stash_bytes; /* in the stashes of its tasks */
    size_t late_bytes;  /* data of early requests that are no tasks */

    /* The pool grows to what the initiator really uses, so that a session that only waits is
     * cheap; it never shrinks, so that nothing is allocated in steady state. */
    size_t task_bytes;
    uint32_t pool_count, pool_max;
    uint8_t *chunks[TSESS_CHUNKS_MAX];
    struct ttask *free_list; /* through hash_next */
    struct ttask **hash;     /* by ITT */
    uint32_t hash_mask;
    uint16_t next_ttt;
};

/* Take a step of the state machines. Once a connection is down, what else happens to it changes
 * nothing any more. */
void tconn_event(struct iscsi_tconn *conn, enum iscsi_conn_event ev);
void tsess_event(struct iscsi_tsess *sess, enum iscsi_sess_event ev);
void tlost_event(struct iscsi_tsess *sess, struct tlost *l, enum iscsi_conn_event ev);

/* ---- tclose.c ---- */
/* The end: nothing more comes in or goes out; EV_CLOSE is due. */
void tconn_close(struct iscsi_tconn *conn, int err, const char *why);
/* The same where the state machine is told what it was. */
void tconn_close_by(struct iscsi_tconn *conn, enum iscsi_conn_event ev, int err, const char *why);

/* The owner has to look after this connection, perhaps because of a call on another one. */
static inline void tconn_kick(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess;

    if (s && (s->conn_count > 1 || s->awaited) && list_empty(&conn->kick))
        list_push_back(&s->kicks, &conn->kick);
}

/* Have the headers that come on it looked at for more than the request, if that is necessary. */
static inline void tconn_attend(struct iscsi_tconn *conn)
{
    conn->attend = conn->erl > 0 || conn->sess->conn_count > 1;
}

/* Have it send a NOP-In soon. */
static inline void tconn_ask(struct iscsi_tconn *conn)
{
    conn->ask = true;
    conn->timer_ns = 0;
    tconn_kick(conn);
}

/* Put at the end of the send queue, from wherever in it the job is. */
void txjob_queue(struct iscsi_tconn *conn, struct txjob *job, enum txjob_kind kind);
void txjob_cancel(struct txjob *job);

/* Nothing may land in the task's memory any more. */
void ttask_stop_rx(struct ttask *t);

static inline struct ttask *ttask_of(struct iscsi_task *task)
{
    return (struct ttask *)(void *)task;
}

/* The owner has something to learn of the task: DATA or SENT. */
static inline void ttask_event(struct ttask *t)
{
    if (!list_empty(&t->event))
        return;
    list_push_back(t->conn ? &t->conn->events : &t->sess->events, &t->event);
    if (t->conn)
        tconn_kick(t->conn);
}

#endif
