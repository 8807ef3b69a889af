/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A loop that is turned by somebody else's. */
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
    return loop->eng->ops->rest_fd(loop->eng);
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
    loop->eng->ops->rest(loop->eng);
    atomic_store(&loop->sleeping, true);
    if (!busy(loop))
        return true;
    atomic_store(&loop->sleeping, false);
    return false;
}

unsigned loop_step(struct loop *loop)
{
    unsigned did = 0;
    if (!loop->stepped) {
        int rc = loop->eng->ops->start(loop->eng);
        assert(rc == 0); /* only a second thread turning the same loop can make it fail */
        (void)rc;
        loop->stepped = true;
    }
    atomic_store(&loop->sleeping, false);
    for (int round = 0; round < STEP_ROUNDS_MAX; round++) {
        did += loop_pass(loop);
        did += loop->eng->ops->poll(loop->eng, 0, false);
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
