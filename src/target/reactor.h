/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reactor: one thread with its loop, its buffers, its connections and sessions, and its lane of
 * every LUN. Nothing in here is touched by another thread, but the fields marked [T].
 */
#ifndef USAN_TARGET_REACTOR_H
#define USAN_TARGET_REACTOR_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/thread.h"
#include "target/buffers.h"
#include "target/config.h"
#include "target/drain.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct tgt;

enum {
    TGT_RX_BYTES = 192 * 1024, /* receive buffer, shared by the reactor's connections */
    TGT_TX_IOV = 1024,         /* iovecs of one sendmsg: UIO_MAXIOV */
};

struct tgt_reactor {
    struct tgt *tgt;
    unsigned index;
    struct loop *loop;
    struct thread thread;

    uint8_t *rx_buf;
    struct iovec tx_iov[TGT_TX_IOV];

    struct tgt_buffers buffers;
    uint64_t shrink_above;  /* buffers.used_bytes from which windows shrink ... */
    uint64_t restore_below; /* ... and under which they open again */
    bool shrunk;

    struct list dirty; /* tgt_lane.dirty_node */
    struct loop_work lanes_work;
    struct loop_msg stop_msg;

    struct list conns;     /* tgt_conn.node */
    struct list sessions;  /* tgt_session.node: those that live here */
    struct list parts;     /* tgt_part.node: of those and of others */
    struct list lingering; /* sockets that end, linger.c */
    uint32_t backgrounds;  /* tasks of the device servers themselves, background.c */
    bool draining;         /* the program stops: no new sessions */
    struct tgt_drain drain;

    atomic_uint conn_count; /* [T] sockets of connections given to this reactor */
};

/* tgt is borrowed. e says why not. */
USAN_MUST_CHECK
int tgt_reactor_new(struct tgt *tgt, unsigned index, struct tgt_reactor **ret_r,
                    struct err_text *e);
/* Its thread has ended; no connections are left. r may be NULL. */
void tgt_reactor_free(struct tgt_reactor *r);
USAN_MUST_CHECK
int tgt_reactor_start(struct tgt_reactor *r, struct err_text *e);
/* Ask its loop to end after all messages it has by now, and wait for that. */
void tgt_reactor_stop(struct tgt_reactor *r);

/* After buffers were got or put: open or narrow the command windows of the sessions here. */
void tgt_reactor_watch_memory(struct tgt_reactor *r);
/* Commands a session of this reactor may have outstanding at this moment. */
uint32_t tgt_reactor_window(const struct tgt_reactor *r);

/* Run fn(r, arg) on the reactor's thread soon. USAN_ENOMEM. */
USAN_MUST_CHECK
int tgt_reactor_call(struct tgt_reactor *r, void (*fn)(struct tgt_reactor *r, void *arg),
                     void *arg);

#endif
