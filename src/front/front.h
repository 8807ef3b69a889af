/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the front ends of an attached store (NBD, FUSE) stand on: one struct front for each
 * reactor, with the reactor's loop, its channel of the store and its memory. Nothing in here is
 * touched by another thread while the reactor runs.
 */
#ifndef USAN_FRONT_FRONT_H
#define USAN_FRONT_FRONT_H

#include "front/payload.h"
#include "store/store.h"

#include <stdarg.h>
#include <sys/uio.h>

enum {
    FRONT_RX_BYTES = 128 * 1024, /* receive buffer, shared by the connections */
    FRONT_TX_IOV = 1024,         /* iovecs of one sendmsg: UIO_MAXIOV */
};

enum front_level {
    FRONT_STATUS /* the operator asked for it */,
    FRONT_ERROR,
    FRONT_WARN,
    FRONT_INFO,
    FRONT_DEBUG
};

/* What the operator chose; borrowed. */
struct front_config {
    const char *name;     /* of the export; "" = only the default one */
    uint32_t queue_depth; /* requests of one client in hand */
    uint64_t handshake_timeout_ns, stall_timeout_ns;
    /* One event an operator can act on: its name and its details as key=value pairs. Called from
     * any thread. Never for a single request. */
    void (*report)(enum front_level level, const char *event, const char *details);
};

/* What a front end has on a reactor: embedded by it, in the list of its struct front. All of it is
 * called on the reactor's thread, when the program stops. */
struct front_part {
    struct list node;
    /* Once, first: nothing new is begun. */
    void (*drain)(struct front_part *p);
    /* age_ns after that, again and again: true if nothing of it is under way any more. */
    bool (*drained)(struct front_part *p, uint64_t age_ns);
};

struct front {
    const struct front_config *cfg;
    struct store *store; /* shared */
    unsigned index;
    struct loop *loop;
    struct store_channel *ch;

    uint8_t *rx_buf;
    struct iovec tx_iov[FRONT_TX_IOV];

    struct payload_pool pool;
    struct list waiting;           /* front_waiter.node, oldest first */
    struct loop_work retry;        /* memory was put back */
    struct loop_timer retry_later; /* ... or by another reactor, perhaps */

    struct list parts; /* front_part.node */
};

/* One who waits for memory. In place, and as it is, while it waits. */
struct front_waiter {
    struct list node;
    bool waits;
    size_t bytes;
    void (*got)(struct front_waiter *w, void *buf, size_t cap);
};

/* All pointers are borrowed. On failure nothing is left behind. store NULL: there is none to be
 * used, nor a channel. */
USAN_MUST_CHECK
int front_open(struct front *f, const struct front_config *cfg, struct store *store,
               const struct loop_config *lc, struct payload_limit *limit, unsigned index,
               unsigned count, struct err_text *e);
/* Nobody waits any more, the loop does not run; no effect on one that was never opened. */
void front_close(struct front *f);

/* Memory for `bytes`, to be put back with *ret_cap; NULL: there is none now, and w->got is called
 * when there is, in the order they came. w->got is set by the caller. */
void *front_get(struct front *f, struct front_waiter *w, size_t bytes, size_t *ret_cap);
/* The same without waiting. */
void *front_try(struct front *f, size_t bytes, size_t *ret_cap);
/* buf may be NULL. */
void front_put(struct front *f, void *buf, size_t cap);
/* It waits no more, if it did. */
void front_forget(struct front_waiter *w);

/* "key=value ..." to the report function. */
__attribute__((format(printf, 4, 5))) void front_report(const struct front_config *cfg,
                                                        enum front_level level, const char *event,
                                                        const char *fmt, ...);

#endif
