/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the program ends without losing anything: initiators are asked to log out, what was accepted
 * is finished, stores are flushed, then everything is closed.
 */
#ifndef USAN_TARGET_DRAIN_H
#define USAN_TARGET_DRAIN_H

#include "base/clock.h"
#include "io/loop.h"

#include <stdbool.h>

struct tgt;
struct tgt_reactor;

/* After the start of the stop. */
#define TGT_DRAIN_IDLE_NS    (1 * NS_PER_SEC)   /* sessions without commands are closed */
#define TGT_DRAIN_DEAF_NS    (2 * NS_PER_SEC)   /* no more commands are taken in */
#define TGT_DRAIN_ABORT_NS   (3500 * NS_PER_MS) /* commands are aborted */
#define TGT_DRAIN_GIVE_UP_NS (5 * NS_PER_SEC)   /* the storage hangs: end without it */

/* Part of a reactor. */
struct tgt_drain {
    struct loop_timer timer;
    uint64_t started_ns;
    void (*done)(struct tgt_reactor *r);
    struct loop_msg done_msg; /* for the use of `done` */
};

/* On the reactor's thread: drain it; done(r) is called there when no connection is left. */
void tgt_drain_start(struct tgt_reactor *r, void (*done)(struct tgt_reactor *r));

/*
 * Flush every store through this reactor, on its thread, which has been drained. done(r, ok) is
 * called there when all are durable (ok) or one failed.
 */
void tgt_flush_stores(struct tgt_reactor *r, void (*done)(struct tgt_reactor *r, bool ok));

#endif
