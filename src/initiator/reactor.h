/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reactor of an attached store: one thread with its loop, its channel of the store, its memory
 * and its connections. Nothing in here is touched by another thread while it runs, but what is
 * marked [T].
 */
#ifndef USAN_INITIATOR_REACTOR_H
#define USAN_INITIATOR_REACTOR_H

#include "initiator/attach.h"
#include "initiator/payload.h"
#include "io/thread.h"
#include "store/store.h"

#include <stdatomic.h>
#include <sys/uio.h>

enum {
    REACTOR_RX_BYTES = 128 * 1024, /* receive buffer, shared by the connections */
    REACTOR_TX_IOV = 1024,         /* iovecs of one sendmsg: UIO_MAXIOV */
};

struct attach_reactor {
    const struct attach_config *cfg;
    struct store *store; /* shared */
    unsigned index;
    struct loop *loop;
    struct thread thread;
    struct store_channel *ch;

    uint8_t *rx_buf;
    struct iovec tx_iov[REACTOR_TX_IOV];

    struct payload_pool pool;
    struct list waiting;           /* nbd_io.node: requests without memory, oldest first */
    struct loop_work retry;        /* memory was put back */
    struct loop_timer retry_later; /* ... or by another reactor, perhaps */

    struct list conns;      /* nbd_conn.node */
    atomic_uint conn_count; /* [T] connections given to this reactor */
    struct loop_msg stop_msg;

    bool draining;
    uint64_t drain_ns; /* since when */
    struct loop_timer drain_timer;
    void (*drained)(struct attach_reactor *r);
    void *drained_arg;
    struct loop_msg drain_msg;
};

/* All pointers are borrowed. */
USAN_MUST_CHECK
int attach_reactor_new(const struct attach_config *cfg, struct store *store,
                       struct payload_limit *limit, unsigned index, unsigned count,
                       struct attach_reactor **ret_r, struct err_text *e);
/* Its thread has ended or never ran; no connection is left. r may be NULL. */
void attach_reactor_free(struct attach_reactor *r);
USAN_MUST_CHECK
int attach_reactor_start(struct attach_reactor *r, struct err_text *e);
/* Ask the loop to end and wait for that. */
void attach_reactor_stop(struct attach_reactor *r);
/* From any thread: no new requests; end the connections as what they asked for is done, then call
 * drained on the reactor's thread. Once. */
void attach_reactor_drain(struct attach_reactor *r, void (*drained)(struct attach_reactor *r),
                          void *arg);

/* A socket that was accepted, to be served here: on the reactor's thread. conn_count has been
 * raised. The descriptor is taken over. */
void attach_reactor_serve(struct attach_reactor *r, int fd);

/* "key=value ..." to the report function. */
__attribute__((format(printf, 4, 5))) void attach_report(const struct attach_config *cfg,
                                                         enum attach_level level, const char *event,
                                                         const char *fmt, ...);

#endif
