/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Simulated time: timers in a heap, those of one instant in the order in which they were set. The
 * clock moves only when a world moves it. Nothing here allocates.
 */
#ifndef USAN_SIM_CLOCK_H
#define USAN_SIM_CLOCK_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sim_timer {
    uint64_t at_ns;
    void (*fire)(struct sim_timer *t);
    /* of the clock: a pairing heap, ordered by time and by when it was set */
    uint64_t seq;                           /* 0: not set */
    struct sim_timer *child, *next, **link; /* link: what points here */
};

struct sim_clock {
    uint64_t now_ns;
    uint64_t fired;
    uint64_t seq;
    struct sim_timer *first;
    /* A world with a schedule of its own hears when the first timer is earlier than before; NULL =
     * nobody. */
    void (*earlier)(void *ctx);
    void *ctx;
};

void sim_timer_init(struct sim_timer *t, void (*fire)(struct sim_timer *t));
static inline bool sim_timer_set(const struct sim_timer *t)
{
    return t->seq != 0;
}
/* Set, or move. What is past is due now; TIME_NEVER cancels. */
void sim_timer_at(struct sim_clock *c, struct sim_timer *t, uint64_t at_ns);
static inline void sim_timer_in(struct sim_clock *c, struct sim_timer *t, uint64_t delay_ns)
{
    sim_timer_at(c, t, c->now_ns + delay_ns);
}
void sim_timer_cancel(struct sim_clock *c, struct sim_timer *t);

/* When the first timer is due; TIME_NEVER if there is none. */
uint64_t sim_clock_next(const struct sim_clock *c);
/* Move to a time that is not past the first timer. */
void sim_clock_move(struct sim_clock *c, uint64_t now_ns);
/* Fire the first timer, if it is due. */
bool sim_clock_fire(struct sim_clock *c);

#ifdef __cplusplus
}
#endif

#endif
