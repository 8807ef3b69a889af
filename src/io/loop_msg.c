/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages from other threads: a lock-free stack that the receiver takes as a whole and reverses,
 * which keeps the order of each sender. The eventfd is written only if the receiver sleeps or is
 * about to.
 *
 * Sleeper: sleeping = true; if the inbox is empty, sleep. Sender: push; if sleeping, wake. Both
 * use sequentially consistent operations, so at least one of the two sees the other.
 */
#include "io/loop_priv.h"

#include <errno.h>
#include <unistd.h>

void loop_wake(struct loop *loop)
{
    if (!atomic_load(&loop->sleeping) || !atomic_exchange(&loop->sleeping, false))
        return;
    int saved = errno; /* signal handlers come here too */
    uint64_t one = 1;
    ssize_t rc;
    do
        rc = write(loop->wake_fd, &one, sizeof one);
    while (rc < 0 && errno == EINTR);
    errno = saved;
}

void loop_post(struct loop *loop, struct loop_msg *m)
{
    m->next = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&loop->inbox, &m->next, m))
        ;
    loop_wake(loop);
}

bool loop_msgs_pending(struct loop *loop)
{
    return atomic_load(&loop->inbox) != NULL;
}

unsigned loop_msgs_run(struct loop *loop)
{
    if (!atomic_load_explicit(&loop->inbox, memory_order_relaxed))
        return 0;
    struct loop_msg *m = atomic_exchange(&loop->inbox, NULL);
    struct loop_msg *first = NULL;
    while (m) {
        struct loop_msg *older = m->next;
        m->next = first;
        first = m;
        m = older;
    }
    unsigned n = 0;
    while (first) {
        m = first;
        first = m->next;
        m->next = NULL;
        n++;
        m->deliver(m);
    }
    return n;
}
