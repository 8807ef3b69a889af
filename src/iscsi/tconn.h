/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connection, session and task of the target role, as its files share them:
 *
 *   tconn.c      life of a connection, what a received PDU leads to, events, time
 *   tlogin.c     the login phase around login.c
 *   tctl.c       PDUs the target makes by itself: NOP-In, reject, async message, logout, text
 *   ttext.c      text requests: SendTargets, negotiation in full feature phase
 *   tsess.c      session: command window, ordering, the task pool
 *   ttask_rx.c   commands, unsolicited and solicited data
 *   ttask_tx.c   R2T, Data-In, responses
 */
#ifndef USAN_ISCSI_TCONN_H
#define USAN_ISCSI_TCONN_H

#include "iscsi/conn_fsm.h"
#include "iscsi/login.h"
#include "iscsi/sess_fsm.h"
#include "iscsi/target.h"
#include "iscsi/wire.h"

enum {
    TCONN_CTL_MAX = 1024,          /* answers queued for a peer that does not read them ... */
    TCONN_CTL_BYTES_MAX = 1 << 20, /* ... and their bytes; then the connection is closed */
    TSESS_IMMEDIATE_TASKS = 16,    /* tasks beyond the queue depth, for immediate commands */
    TTASK_BURSTS = 8,              /* most R2Ts outstanding per task */
    TTASK_RANGES = 16,             /* disjoint pieces of a burst with DataPDUInOrder=No */
    TSESS_CHUNK = 16,              /* tasks the pool grows by */
    TSESS_CHUNKS_MAX = (ISCSI_QUEUE_DEPTH_MAX + TSESS_IMMEDIATE_TASKS) / TSESS_CHUNK,
    TTASK_SPAN_MAX = 256, /* payload iovecs of one Data-In PDU */
};

/* What waits in a connection's send queue; first member of everything that can. */
enum txjob_kind {
    TXJOB_IDLE, /* in no queue */
    TXJOB_CTL,
    TXJOB_R2T,
    TXJOB_RESPONSE, /* Data-In PDUs and status */
    TXJOB_TMF,
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
    bool queued;        /* handed to the wire */
    uint32_t len;
    struct iovec iov;
    uint8_t data[];
};

/* One sequence of Data-Out PDUs: what an R2T asked for, or the unsolicited data. */
struct tburst {
    uint32_t ttt; /* ISCSI_TAG_NONE: unsolicited */
    uint32_t off, len, got;
    uint32_t next_data_sn;
    bool active, sent;
};

/* DataPDUInOrder=No: the pieces of a burst that came, disjoint. */
struct tranges {
    unsigned count;
    struct {
        uint32_t off, end;
    } range[TTASK_RANGES];
};

enum ttask_state {
    TTASK_FREE,
    TTASK_HELD,    /* waits for its CmdSN's turn */
    TTASK_OWNED,   /* with the owner */
    TTASK_SENDING, /* response queued */
    TTASK_SENT,    /* to be reported by EV_SENT */
};

struct ttask {
    struct iscsi_task pub; /* first member */
    struct txjob job;
    struct iscsi_tconn *conn; /* allegiance, 4.2.2; NULL when its connection is gone */
    struct iscsi_tsess *sess;
    struct list node;  /* session: all tasks in use */
    struct list event; /* connection: tasks with an event to report */
    struct ttask *hash_next;
    enum ttask_state state;
    uint16_t slot;
    uint16_t generation;
    bool ghost;      /* held place of a CmdSN that needs no delivery */
    bool data_ready; /* EV_DATA is due */
    bool data_done;  /* EV_DATA was due: nothing more is taken in */
    bool counted;    /* counts against the command window */

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
    struct tburst unsol;
    struct tburst bursts[TTASK_BURSTS];
    struct tranges *ranges; /* one for each burst; NULL with DataPDUInOrder=Yes */
    uint8_t *stash;         /* unsolicited data that came before the owner said where to put it */
    uint32_t stash_cap;

    /* response */
    uint8_t status, response;
    uint8_t resid_flags;
    uint16_t qualifier;
    uint32_t residual, bidi_residual;
    const struct iovec *in;
    int in_cnt;
    uint64_t in_len, in_pos;
    size_t in_skip; /* bytes of in[0] already queued */
    uint32_t data_sn;
    uint32_t burst_pos; /* bytes of the current Data-In sequence */
    bool on_wire;       /* a part of the response is queued on the wire */
    bool dropped;       /* the owner gave it up while it was on the wire */
    uint32_t sense_len;
    struct iovec sense_iov;
    uint8_t sense[2 + ISCSI_SENSE_MAX]; /* SenseLength, sense data */

    uint8_t cdb[ISCSI_CDB_MAX];
    uint64_t priv_align[];
};

struct iscsi_tconn {
    struct iscsi_tconn_config cfg;
    const struct alloc *a;
    char *address;
    struct list node; /* in its session */
    enum iscsi_conn_state state;
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
    uint32_t stat_sn;     /* next to be assigned */
    uint32_t exp_stat_sn; /* as acknowledged by the initiator */

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

    /* logout of another connection */
    bool report_logout_other;
    uint16_t logout_cid;

    /* end */
    bool closing; /* nothing is taken in any more */
    bool closed;  /* EV_CLOSE was reported */
    int close_err;
    const char *close_why;
    uint16_t close_status; /* of the login that was refused */

    /* time */
    uint64_t now_ns, started_ns, last_rx_ns, nop_sent_ns, idle_since_ns;
    uint64_t timer_ns, drain_ns;
    uint32_t nop_ttt;
};

struct iscsi_tsess {
    const struct alloc *a;
    enum iscsi_sess_state state;
    uint16_t tsih;
    uint8_t isid[6];
    char *initiator_name;
    struct iscsi_params params;
    struct list conns;
    unsigned conn_count;

    uint32_t exp_cmd_sn, max_cmd_sn;
    uint32_t depth;           /* of the task pool, without the immediate ones */
    uint32_t window;          /* commands let in; <= depth */
    uint32_t outstanding;     /* tasks that count against the window */
    uint32_t immediate_count; /* tasks of immediate requests, and places kept by tsess_pass_turn */
    struct list held;         /* ttask.node, by CmdSN: they wait for earlier ones */
    struct list tasks;        /* ttask.node: with the owner, or being answered */
    unsigned task_count;

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

/* ---- tconn.c ---- */
/* Take a step of the state machines. Once a connection is down, what else happens to it changes
 * nothing any more. */
void tconn_event(struct iscsi_tconn *conn, enum iscsi_conn_event ev);
void tsess_event(struct iscsi_tsess *sess, enum iscsi_sess_event ev);
void tconn_close(struct iscsi_tconn *conn, int err, const char *why);

/* ---- tlogin.c ---- */
/* A Login Request with its text is complete. */
void tlogin_request(struct iscsi_tconn *conn, const uint8_t *bhs, const void *text, size_t len);
/* Fills in the login event that is due. */
bool tlogin_event(struct iscsi_tconn *conn, struct iscsi_event *ev);

/* ---- tctl.c ---- */
struct tctl *tctl_new(struct iscsi_tconn *conn, uint32_t data_len);
void tctl_queue(struct iscsi_tconn *conn, struct tctl *ctl);
void tctl_sent(struct iscsi_tconn *conn, struct tctl *ctl);
void tctl_reject(struct iscsi_tconn *conn, enum iscsi_reject reason, const uint8_t *bhs);
void tctl_nop_out(struct iscsi_tconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len);
void tctl_ping(struct iscsi_tconn *conn);
void tctl_logout(struct iscsi_tconn *conn, const uint8_t *bhs);

/* ---- ttext.c ---- */
/* True if an event is to be reported (SEND_TARGETS). */
bool ttext_request(struct iscsi_tconn *conn, const uint8_t *bhs, const char *text, size_t len,
                   struct iscsi_event *ev);
void ttext_abandon(struct iscsi_tconn *conn);

/* ---- tsess.c ---- */
enum tsess_order { TSESS_NOW, TSESS_LATER, TSESS_IGNORE };
/* What a request with this CmdSN is: in its turn (then ExpCmdSN has moved on), early, or to be
 * ignored (4.2.2.1). */
enum tsess_order tsess_take_cmd_sn(struct iscsi_tsess *sess, uint32_t cmd_sn, bool immediate);
/* NULL: no task left (only immediate commands can see that), or out of memory. */
struct ttask *tsess_task_get(struct iscsi_tsess *sess, uint32_t itt, bool immediate);
void tsess_task_put(struct ttask *t);
struct ttask *tsess_find(struct iscsi_tsess *sess, uint32_t itt);
struct ttask *tsess_find_ttt(struct iscsi_tsess *sess, uint32_t ttt, struct tburst **ret_burst);
/* Keep an early task (TSESS_LATER) until its turn. */
void tsess_hold(struct iscsi_tsess *sess, struct ttask *t);
/* Keep the place of an early CmdSN that needs no delivery. False: the connection was closed. */
bool tsess_hold_place(struct iscsi_tconn *conn, uint32_t cmd_sn);
/* A request that is no task: carried out as it comes, in its turn or early (then its place in the
 * sequence is kept). False if it is to be ignored. */
bool tsess_pass_turn(struct iscsi_tconn *conn, uint32_t cmd_sn, bool immediate);
/* The next held task whose turn has come, NULL if none. ExpCmdSN moves on. */
struct ttask *tsess_next_held(struct iscsi_tsess *sess);
/* The command no longer counts against the window. */
void tsess_uncount(struct ttask *t);
/* Recompute MaxCmdSN; it never goes back. */
uint32_t tsess_max_cmd_sn(struct iscsi_tsess *sess);
void tsess_leave(struct iscsi_tconn *conn);

/* ---- ttask_rx.c ---- */
/* SCSI Command or TMF header; true if ev was filled in. */
bool ttask_command(struct iscsi_tconn *conn, struct iscsi_event *ev);
bool ttask_tmf(struct iscsi_tconn *conn, struct iscsi_event *ev);
void ttask_deliver(struct ttask *t, struct iscsi_event *ev);
void ttask_data_out(struct iscsi_tconn *conn);
/* Say where the data segment under way goes; called before bytes are taken from the stream. */
void ttask_place(struct iscsi_tconn *conn);
/* The data segment is complete. */
void ttask_data_complete(struct iscsi_tconn *conn, bool digest_ok);
/* The data did not come as it should: EV_DATA says so, what still comes is thrown away. */
void ttask_data_failed(struct ttask *t, int err);
/* Nothing may land in the task's memory any more. */
void ttask_stop_rx(struct ttask *t);

/* ---- ttask_tx.c ---- */
/* Put queued jobs on the wire as far as there is room. */
void ttask_fill_wire(struct iscsi_tconn *conn);
/* Ask for the data that is missing, as far as MaxOutstandingR2T allows. */
void ttask_ask(struct ttask *t);
void txjob_cancel(struct txjob *job);

static inline struct ttask *ttask_of(struct iscsi_task *task)
{
    return (struct ttask *)(void *)task;
}

/* A sequence error, a failed digest, ...: the owner learns of it with EV_DATA. */
static inline void ttask_event(struct ttask *t)
{
    if (t->conn && list_empty(&t->event))
        list_push_back(&t->conn->events, &t->event);
}

#endif
