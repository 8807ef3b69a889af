/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection: moves bytes between its socket and the protocol core, and answers the core's
 * login events. Fields marked [S] are used inside the session's lock, all others by its reactor.
 */
#ifndef USAN_TARGET_CONN_H
#define USAN_TARGET_CONN_H

#include "base/list.h"
#include "io/loop.h"
#include "io/socket.h"
#include "iscsi/target.h"
#include "target/core_alloc.h"
#include "target/registry.h"
#include "target/share.h"

#include <stdbool.h>
#include <stdint.h>

struct tgt_node;
struct tgt_part;
struct tgt_reactor;
struct tgt_session;

enum { TGT_CONN_LOGOUTS = 8 };

/* What the log is to say when the session's lock has been left. */
struct tgt_conn_report {
    bool opened, added; /* the session; the connection, to one that was there */
    uint16_t refused;   /* status of its login */
    uint8_t logouts;    /* of others, by requests on it; more of them at once are not told */
    uint16_t logout_cids[TGT_CONN_LOGOUTS];
};

struct tgt_conn {
    struct loop_fd lfd;
    struct iscsi_tconn *tconn;
    struct tgt_core_alloc core; /* memory of tconn */
    struct tgt_reactor *reactor;
    struct tgt_session *session; /* NULL before login */
    struct tgt_part *part;       /* of it, on this reactor */
    uint16_t cid;
    struct loop_work rest; /* receives what one call did not take */
    struct loop_work flush;
    struct loop_timer timer;
    bool closed;        /* no socket any more */
    bool ended;         /* by the peer or by an error: no reason to wait for more */
    bool close_flushed; /* to be closed when everything was sent */
    bool waiting;       /* conn->waiter or conn->join is out */
    bool pumping;       /* its events are being taken */
    bool logged_in;     /* full feature phase was reached */
    bool retained;      /* its tasks stay with the session */
    bool deaf;          /* nothing more is taken in: the program or the connection ends */
    bool refused;       /* its login was, and the log says so */
    bool unknown_user;  /* it named one that may not log in here */
    struct tgt_conn_report report;
    const char *why; /* it ends; static */

    struct list node;        /* in the reactor's list */
    struct loop_work reap;   /* frees it */
    struct tgt_node *target; /* NULL: none named yet, or discovery */
    bool discovery;
    uint8_t isid[6];
    char initiator[ISCSI_NAME_MAX + 1];
    char *user; /* CHAP name it gave; NULL: none */
    struct tgt_waiter waiter;
    struct tgt_join join;
    struct list of_session; /* [S] */
    unsigned left;          /* tasks that the core has to let go of, once it is closed [S] */
    bool kicked;            /* kick is out [S] */
    struct loop_msg kick;   /* other reactors have something for it */
    char peer[SOCK_ADDR_TEXT_BYTES];  /* "ip:port", for logs */
    char local[SOCK_ADDR_TEXT_BYTES]; /* likewise; what discovery tells the initiator */
};

/* Take a connected, non-blocking socket over (closed on failure too). On the reactor's thread; the
 * reactor's conn_count already counts it. */
void tgt_conn_open(struct tgt_reactor *r, int fd);
/* Close the socket at once. The object goes away later, from the loop. */
void tgt_conn_close(struct tgt_conn *conn, const char *why);
/* It is closed: free it soon, if nothing is to come any more. */
void tgt_conn_settle(struct tgt_conn *conn);
/* Send what there is, at the end of this iteration. */
void tgt_conn_want_flush(struct tgt_conn *conn);
/* Take the core's events after something was done to it. */
void tgt_conn_pump(struct tgt_conn *conn);
/* The program ends: ask the initiator to log out, within seconds. */
void tgt_conn_ask_logout(struct tgt_conn *conn, uint16_t seconds);

/* One line of the log: a connection of a session. */
void tgt_conn_report(struct tgt_conn *conn);
/* Take nothing more from the socket; what was accepted goes on. */
void tgt_conn_deaf(struct tgt_conn *conn);

/* ---- conn_login.c ---- */
/* Answer one of the login and discovery events. */
void tgt_conn_login_event(struct tgt_conn *conn, const struct iscsi_event *ev);
/* The core has refused the login with this status: say so in the log, once. */
void tgt_conn_login_refused(struct tgt_conn *conn, uint16_t status);
/* The session in the way is gone. */
void tgt_conn_retry_bind(struct tgt_conn *conn);
/* conn->join has been answered. */
void tgt_conn_joined(struct tgt_conn *conn);

#endif
