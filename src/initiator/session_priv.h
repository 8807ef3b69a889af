/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of a session share:
 *
 *   session.c        its life, commands, what becomes of them when it is lost
 *   session_login.c  one attempt to log in after the other: addresses, redirects, back-off
 *   session_task.c   taking back one command, task management
 *   session_conn.c   the connection: bytes between socket and protocol core, events
 */
#ifndef USAN_INITIATOR_SESSION_PRIV_H
#define USAN_INITIATOR_SESSION_PRIV_H

#include "initiator/session.h"

enum {
    INI_RX_BYTES = 64 * 1024, /* receive buffer for what has no place of its own yet */
    INI_TX_IOV = 256
};

enum ini_phase {
    INI_PHASE_IDLE,       /* no connection, an attempt will follow */
    INI_PHASE_CONNECTING, /* TCP */
    INI_PHASE_LOGIN,
    INI_PHASE_UP,
    INI_PHASE_ENDED, /* no connection, no attempt will follow */
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
};

struct ini_session {
    struct loop *loop;
    const struct ini_session_ops *ops;
    void *user;
    struct ini_url url;
    bool discovery, retry_first;
    struct iscsi_isess *core;
    enum ini_phase phase;

    /* the connection; conn NULL = none */
    struct iscsi_iconn *conn;
    struct loop_fd lfd;
    struct loop_timer timer; /* the core's deadline */
    struct loop_work flush, rest;
    bool got_close; /* the core's last event of the connection has come */
    uint16_t cid;
    uint8_t *rx_buf;
    struct iovec tx_iov[INI_TX_IOV];
    char peer[SOCK_ADDR_TEXT_BYTES];
    struct sockaddr_storage addr, last_addr; /* of this connection; of the last session */

    /* logging in */
    struct ini_portal home; /* where every login starts */
    struct ini_attempt attempt;
    struct loop_timer retry; /* the next attempt, or the end of waiting */
    uint64_t next_ns, give_up_ns;
    uint16_t time2wait; /* seconds, of the session that was lost */
    unsigned failures;  /* in a row */
    bool was_up;        /* it has been logged in before */
    bool given_up;      /* commands do not wait any more */

    /* commands */
    struct list lost;  /* unanswered, the connection is failing: their fate is undecided */
    struct list again; /* to be sent again after the next login */
    struct list over;  /* to be completed from the loop */
    struct loop_work complete;

    struct err_text error;
    int error_code;
    struct ini_session_stats stats;
};

/* ---- session.c ---- */
/* The command is over; done follows from the loop. */
void ini_session_finish(struct ini_session *s, struct ini_cmd *cmd, int err, const char *why);
/* The connection is gone: sort out s->lost. */
void ini_session_sort_lost(struct ini_session *s);
/* Logged in: what has to be sent again goes out. */
void ini_session_send_again(struct ini_session *s);
/* Commands wait no longer. */
void ini_session_fail_waiting(struct ini_session *s);
void ini_session_changed(struct ini_session *s, enum ini_change change);

/* ---- session_login.c ---- */
void ini_login_redirected(struct ini_session *s, const char *address, bool permanent);
void ini_login_done(struct ini_session *s);
/* The connection of the attempt is gone; s->error says why. */
void ini_login_failed(struct ini_session *s);
/* The session was up and is not any more. */
void ini_login_lost(struct ini_session *s);
void ini_login_timer_fired(struct loop_timer *t);
/* "PORTAL, TARGET: " and the reason become the session's error. */
__attribute__((format(printf, 3, 4))) void ini_session_set_error(struct ini_session *s, int code,
                                                                 const char *fmt, ...);

/* ---- session_conn.c ---- */
/* Connect to addr. 0, or an errno value with nothing begun. */
int ini_conn_open(struct ini_session *s, const struct sockaddr_storage *addr);
/* Take the core's events, arm the timer, send what there is. */
void ini_conn_pump(struct ini_session *s);
/* Log out, waiting a moment for the answer, and close. */
void ini_conn_shut(struct ini_session *s);
void ini_conn_init(struct ini_session *s);

#endif
