/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reactor of an attached store: one thread with what its front ends stand on and their parts of
 * it. Nothing in here is touched by another thread while it runs, but what is marked [T].
 */
#ifndef USAN_ATTACH_REACTOR_H
#define USAN_ATTACH_REACTOR_H

#include "front/front.h"
#include "io/thread.h"
#include "nbd/server.h"

struct attach_reactor {
    struct front front;
    struct nbd_server nbd; /* .conn_count [T] */
    struct thread thread;
    struct loop_msg stop_msg;

    uint64_t drain_ns; /* since when it drains */
    struct loop_timer drain_timer;
    void (*drained)(struct attach_reactor *r);
    void *drained_arg;
    struct loop_msg drain_msg;
};

/* All pointers are borrowed. index of count. */
USAN_MUST_CHECK
int attach_reactor_new(const struct front_config *cfg, struct store *store,
                       const struct loop_config *lc, struct payload_limit *limit, unsigned index,
                       unsigned count, struct attach_reactor **ret_r, struct err_text *e);
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

#endif
