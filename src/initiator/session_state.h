/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session's state, which its files share. From top to bottom, each using only what stands below
 * it:
 *
 *   session.c        life; what the protocol core's events lead to
 *   session_login.c  one attempt to log in after the other: addresses, redirects, back-off
 *   session_recover.c  connections that are lost, of a session that goes on
 *   session_more.c   the connections beside the first one
 *   session_task.c   taking back one command, task management
 *   session_cmd.c    commands, and what becomes of them when the session is lost
 *   session_late.c   commands that are not answered: abort, reset, drop
 *   session_conn.c   a connection: bytes between socket and protocol core
 *   session_state.c  this
 *
 * What goes up: the core's events and the end of a connection, through struct ini_conn_ops.
 */
#ifndef USAN_INITIATOR_SESSION_STATE_H
#define USAN_INITIATOR_SESSION_STATE_H

#include "initiator/isid.h"
#include "initiator/session_task.h"

/* How long a logout may take at the end. */
#define INI_LOGOUT_NS (200 * NS_PER_MS)

enum {
    INI_RX_BYTES = 64 * 1024, /* receive buffer for what has no place of its own yet */
    INI_TX_IOV = 256
};

enum ini_phase {
    INI_PHASE_IDLE,    /* no connection, an attempt will follow */
    INI_PHASE_CONNECT, /* TCP and login of the first connection */
    INI_PHASE_CHECK,   /* logged in; the owner looks whether the unit is the one it was */
    INI_PHASE_UP,
    INI_PHASE_ENDED, /* no connection, no attempt will follow */
};

enum ini_conn_phase { INI_CONN_CONNECTING, INI_CONN_LOGIN, INI_CONN_UP };

struct ini_conn {
    struct ini_session *s;
    struct list node; /* of the session's conns, then of its gone */
    struct iscsi_iconn *core;
    enum ini_conn_phase phase;
    struct loop_fd lfd;
    struct loop_timer timer; /* the core's deadline */
    struct loop_work flush, rest;
    struct sockaddr_storage addr;
    uint16_t cid;
    bool leading;   /* its login makes the session */
    bool got_close; /* the core's last event of it has come */
    bool dropped;   /* by us, and the error has been told */
    bool leaving;   /* gets no more commands, and is logged out when it has none */
};

struct ini_conn_ops {
    void (*event)(struct ini_conn *c, const struct iscsi_ievent *ev);
    /* That were all events for now, and c goes on. */
    void (*pulled)(struct ini_conn *c);
    /* c is closed and no more among the session's; it is freed later, from the loop. */
    void (*gone)(struct ini_conn *c);
};

/* One login with its redirects. */
struct ini_attempt {
    struct ini_portal at; /* where it is now */
    unsigned addr;        /* which of its addresses */
    unsigned hops;
    char been[INI_REDIRECTS_MAX + 1][INI_PORTAL_TEXT]; /* where it was redirected from */
    bool permanent;                                    /* all redirects so far were */
    bool hop;                                          /* this connection was redirected */
    bool on;                                           /* goes on with its next address */
    bool reached;                                      /* this connection got further than TCP */
    bool again;                                        /* the same address, with MD5 alone */
};

/* A connection that is lost, of a session that goes on: recovery level 2. */
struct ini_lost_conn {
    uint16_t cid;
    bool trying; /* a new one is under way */
    uint64_t at_ns;
};

/* What is done about a command that is not answered. */
enum ini_late { INI_LATE_NONE, INI_LATE_ABORT, INI_LATE_RESET };

struct ini_session {
    struct loop *loop;
    const struct ini_session_ops *ops;
    void *user;
    struct ini_url url;
    bool discovery, one_of_many, retry_first;
    bool md5_only; /* this target takes no other hash than the oldest, though it may say so */
    struct ini_isid *isid;
    struct iscsi_isess *core;
    enum ini_phase phase;

    /* connections */
    const struct ini_conn_ops *conn_ops;
    struct list conns, gone; /* ini_conn.node; to be freed */
    struct loop_work reap;
    unsigned conn_count;
    uint16_t cid; /* given last */
    uint8_t *rx_buf;
    struct iovec tx_iov[INI_TX_IOV];
    char peer[SOCK_ADDR_TEXT_BYTES];
    struct sockaddr_storage addr, last_addr; /* of this session; of the one before */
    unsigned place;                          /* how often that was another one */

    /* connections beside the first */
    unsigned want; /* how many in all */
    struct loop_timer more;
    unsigned more_failures; /* in a row */

    /* recovery level 2: lost connections, each to be made again with its CID */
    struct ini_lost_conn lost_conns[INI_CONNECTIONS_MAX];
    unsigned lost_count;
    struct loop_timer recover, clock; /* the next of them; the core's deadline */
    void (*session_event)(struct ini_session *s, const struct iscsi_ievent *ev);
    void (*session_pulled)(struct ini_session *s);
    bool abandon; /* all connections are dropped, and the session with them */
    bool down;    /* the core says so; its connections are about to go */

    /* logging in */
    struct ini_portal home; /* where every login starts */
    struct ini_attempt attempt;
    struct loop_timer retry; /* the next attempt, or the end of waiting */
    uint64_t next_ns, give_up_ns, first_ns;
    uint16_t time2wait; /* seconds, of the session that was lost */
    unsigned failures;  /* in a row */
    bool was_up;        /* it has been logged in before */
    bool given_up;      /* commands do not wait any more */
    bool refused;       /* the owner does not want what it found: the end */

    /* commands: ini_cmd.node */
    struct list active; /* with the core, oldest first */
    struct list lost;   /* unanswered, their fate is undecided */
    struct list again;  /* to be sent after the next login */
    struct list over;   /* to be completed from the loop */
    struct loop_work complete;

    /* commands that take too long */
    struct loop_timer watch;
    uint64_t head_ns; /* when an oldest command was answered last */
    enum ini_late late;
    struct ini_tmf abort, reset;
    bool abort_out, reset_out; /* with the core */

    /* ini_session_end() */
    void (*ended)(void *user);
    void *ended_user;
    bool end_told;
    struct loop_timer end_timer;
    struct loop_work end_work;

    struct err_text error;
    int error_code;
    struct ini_session_stats stats;
};

/* "PORTAL, TARGET: " and the reason become the session's error. */
__attribute__((format(printf, 3, 4))) void ini_session_set_error(struct ini_session *s, int code,
                                                                 const char *fmt, ...);
void ini_session_changed(struct ini_session *s, enum ini_change change);

#endif
