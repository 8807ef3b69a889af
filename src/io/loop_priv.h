/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Internal to src/io: the loop itself, split over loop.c, loop_fd.c, loop_file.c, loop_msg.c,
 * loop_spin.c, loop_step.c and loop_timer.c. */
#ifndef USAN_IO_LOOP_PRIV_H
#define USAN_IO_LOOP_PRIV_H

#include "io/engine.h"

#include <stdatomic.h>

/* Descriptors that a spinning loop calls directly instead of asking the engine. */
#define LOOP_HOT_MAX 4u

struct loop_timers {
    struct loop_timer **heap; /* heap[0] is the earliest */
    size_t count, cap;
};

/* State of adaptive polling; see loop_spin.c. */
struct loop_spin {
    uint64_t max_ns;        /* longest fruitless spin */
    uint64_t gap_ns;        /* weighted mean of the time between the end of work and new work */
    uint64_t last_work_ns;  /* when work last ended */
    uint64_t off_until_ns;  /* the core is shared: do not spin before */
    uint64_t off_ns;        /* length of the last such ban */
    uint64_t check_ns;      /* when to look again whether we are alone on the core */
    long preempted;         /* involuntary context switches at the last look */
    uint64_t hot_off_until; /* too many active descriptors for direct calls */
    unsigned debt;          /* turns since the engine was last asked */
};

struct loop {
    struct engine *eng;
    enum loop_poll_mode mode;
    int cpu;
    uint64_t now_ns;

    struct loop_timers timers;
    struct list works;
    struct loop_fd *current; /* whose ready callback runs; NULL once it is deleted */
    struct loop_fd *hot[LOOP_HOT_MAX];
    unsigned hot_count;
    struct loop_spin spin;
    size_t fd_count, file_count; /* registered; in flight */
    struct list here;            /* loop_file_req.node: to be carried out by this thread, */
    struct loop_work here_work;  /* which is queued while there are any */
    bool stepped;                /* by loop_step(): the engine is started */

    /* Touched by other threads, hence on a cache line of their own. */
    _Alignas(64) _Atomic(struct loop_msg *) inbox; /* newest first */
    atomic_bool sleeping;                          /* the eventfd has to be written */
    atomic_bool stop;
    int wake_fd;
};

/* loop.c */
/* Timers that are due, messages, deferred work; returns how many callbacks were called. */
unsigned loop_pass(struct loop *loop);

/* loop_timer.c */
void loop_timers_fini(struct loop *loop);
/* Fire what is due; returns how many. */
unsigned loop_timers_run(struct loop *loop);
uint64_t loop_timers_next(const struct loop *loop);

/* loop_msg.c */
/* Deliver what is there now; returns how many. */
unsigned loop_msgs_run(struct loop *loop);
bool loop_msgs_pending(struct loop *loop);

/* loop_fd.c */
/* Ask the hot descriptors for input; returns how many had some. */
unsigned loop_hot_ask(struct loop *loop);

/* loop_file.c */
void loop_file_init(struct loop *loop);

/* loop_spin.c */
void loop_spin_init(struct loop *loop, uint32_t spin_max_us);
/* Step 5 of an iteration: find something to do, by spinning or sleeping as the mode says. `did`:
 * how much this iteration did. Returns how many callbacks did useful work. */
unsigned loop_wait(struct loop *loop, unsigned did);

#endif
