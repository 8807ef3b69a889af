/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A loop that is turned by somebody else's, on epoll. A ring can not be waited for from outside:
 * who polls its descriptor is not woken for completions that wait until the issuer enters the
 * kernel (IORING_SETUP_DEFER_TASKRUN), and an eventfd registered with it is not written, or late,
 * for what another eventfd has woken, which is how messages come.
 */
#include "io/loop_priv.h"

#include <assert.h>

/* Work may make work; after so many rounds the owner gets its turn, and comes back at once. */
#define STEP_ROUNDS_MAX 8

/* Is there something to do that no descriptor shows? */
static bool busy(const struct loop *loop)
{
    return !list_empty(&loop->works) || atomic_load(&loop->inbox) ||
           loop->eng->ops->pending(loop->eng);
}

int loop_step_fd(const struct loop *loop)
{
    const struct engine_ops *ops = loop->eng->ops;
    return ops->step_fd ? ops->step_fd(loop->eng) : -1;
}

uint64_t loop_step_deadline(const struct loop *loop)
{
    return busy(loop) ? 0 : loop_timers_next(loop);
}

void loop_step_enter(struct loop *loop)
{
    loop_time_refresh(loop);
}

/* As if the thread went to sleep: who posts a message from now on writes the eventfd. False: it
 * would have to get up at once. */
static bool rest(struct loop *loop)
{
    atomic_store(&loop->sleeping, true);
    if (!busy(loop))
        return true;
    atomic_store(&loop->sleeping, false);
    return false;
}

/* How long the engine may wait: not at all if there is something to do that it does not see. */
static uint64_t wait_ns(struct loop *loop, uint64_t max_wait_ns)
{
    /* Who has posted since the last step wrote the eventfd; who does from now on does so, too. */
    if (!max_wait_ns || busy(loop))
        return 0;
    uint64_t at = loop_timers_next(loop);
    if (at == TIME_NEVER)
        return max_wait_ns;
    return time_min(max_wait_ns, at > loop->now_ns ? at - loop->now_ns : 0);
}

unsigned loop_step(struct loop *loop, uint64_t max_wait_ns)
{
    unsigned did = 0;
    assert(loop->eng->ops->step_fd);
    if (!loop->stepped) {
        int rc = loop->eng->ops->start(loop->eng);
        assert(rc == 0); /* only a second thread turning the same loop can make it fail */
        (void)rc;
        loop->stepped = true;
        max_wait_ns = 0; /* nobody would wake it */
    }
    loop_time_refresh(loop);
    max_wait_ns = wait_ns(loop, max_wait_ns);
    for (int round = 0; round < STEP_ROUNDS_MAX; round++) {
        did += loop->eng->ops->poll(loop->eng, max_wait_ns, false);
        max_wait_ns = 0;
        atomic_store(&loop->sleeping, false);
        did += loop_pass(loop);
        if (rest(loop))
            break;
    }
    return did;
}

void loop_step_end(struct loop *loop)
{
    atomic_store(&loop->sleeping, false);
    if (!loop->stepped)
        return;
    loop->eng->ops->stop(loop->eng);
    loop->stepped = false;
}
