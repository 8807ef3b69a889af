/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time of a test in which threads with loops talk to each other: it goes on, by no more than
 * five milliseconds, when each of them has had its turn and found nothing to do, and not before. A
 * machine that stalls one of them, or all, does not make the others believe that it was silent: a
 * time-out of 100 ms means that it had twenty turns. For the rest it is like the real one, and no
 * faster.
 *
 * What threads wait with is wrapped by the linker: epoll_wait(), epoll_pwait2(), usleep(),
 * pthread_join(), and so is clock_now_ns(). Needs loops of the epoll engine.
 */
#include "io/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };

#define STEP_NS (5 * NS_PER_MS)
/* One that waits for another in a way not known here would stop the time for good. */
#define HANGS_NS (20 * NS_PER_SEC)

enum turn {
    TURN_NONE, /* free */
    TURN_BUSY,
    TURN_OVER,   /* since the last step */
    TURN_ASLEEP, /* to be woken in time */
    TURN_AWAY,   /* it waits for another thread's end */
};

struct part {
    enum turn turn;
    uint64_t until_ns; /* asleep */
};

static struct {
    pthread_once_t once;
    pthread_key_t key;
    pthread_mutex_t lock;
    struct part parts[THREADS_MAX];
    uint64_t stepped_ns; /* real time of the last step */
    atomic_ullong now_ns;
} turns = { .once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t __real_clock_now_ns(void);
uint64_t __wrap_clock_now_ns(void);
int __real_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout_ms);
int __wrap_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout_ms);
int __wrap_epoll_pwait2(int ep, struct epoll_event *ev, int max, const struct timespec *timeout,
                        const sigset_t *mask);
int __wrap_usleep(useconds_t us);
int __real_pthread_join(pthread_t thread, void **ret_value);
int __wrap_pthread_join(pthread_t thread, void **ret_value);

static void set_turn(struct part *p, enum turn turn)
{
    pthread_mutex_lock(&turns.lock);
    p->turn = turn;
    pthread_mutex_unlock(&turns.lock);
}

static void thread_ended(void *part)
{
    set_turn(part, TURN_NONE);
}

static void begin(void)
{
    if (pthread_key_create(&turns.key, thread_ended))
        abort();
    turns.stepped_ns = __real_clock_now_ns();
    atomic_store(&turns.now_ns, turns.stepped_ns);
}

uint64_t __wrap_clock_now_ns(void)
{
    (void)pthread_once(&turns.once, begin);
    return atomic_load(&turns.now_ns);
}

/* This thread's; it takes part from now on. */
static struct part *take_part(void)
{
    (void)pthread_once(&turns.once, begin);
    struct part *p = pthread_getspecific(turns.key);
    if (p)
        return p;
    pthread_mutex_lock(&turns.lock);
    for (unsigned i = 0; i < THREADS_MAX && !p; i++) {
        if (turns.parts[i].turn == TURN_NONE)
            p = &turns.parts[i];
    }
    if (!p || pthread_setspecific(turns.key, p))
        abort();
    p->turn = TURN_BUSY;
    pthread_mutex_unlock(&turns.lock);
    return p;
}

/* With the lock: is somebody still to have his turn? Else how far the time may go. */
static bool somebody_busy(uint64_t now, uint64_t *ret_to)
{
    uint64_t to = now + STEP_NS;
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        const struct part *p = &turns.parts[i];
        if (p->turn == TURN_BUSY || (p->turn == TURN_ASLEEP && p->until_ns <= now))
            return true;
        if (p->turn == TURN_ASLEEP)
            to = time_min(to, p->until_ns);
    }
    *ret_to = to;
    return false;
}

static void maybe_step(void)
{
    uint64_t real = __real_clock_now_ns(), past = real - turns.stepped_ns;
    uint64_t now = atomic_load(&turns.now_ns), to = now + STEP_NS;
    if (somebody_busy(now, &to) && past < HANGS_NS)
        return;
    atomic_store(&turns.now_ns, time_min(to, now + past));
    turns.stepped_ns = real;
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (turns.parts[i].turn == TURN_OVER)
            turns.parts[i].turn = TURN_BUSY;
    }
}

/* It found nothing to do. */
static void turn_over(struct part *p)
{
    pthread_mutex_lock(&turns.lock);
    p->turn = TURN_OVER;
    maybe_step();
    pthread_mutex_unlock(&turns.lock);
}

static int wait_until(int ep, struct epoll_event *ev, int max, uint64_t end_ns)
{
    struct part *p = take_part();
    for (;;) {
        int n = __real_epoll_wait(ep, ev, max, 1);
        if (n || atomic_load(&turns.now_ns) >= end_ns) {
            set_turn(p, TURN_BUSY);
            return n;
        }
        turn_over(p);
    }
}

int __wrap_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout_ms)
{
    if (timeout_ms == 0)
        return __real_epoll_wait(ep, ev, max, 0);
    if (timeout_ms < 0)
        return wait_until(ep, ev, max, TIME_NEVER);
    return wait_until(ep, ev, max, __wrap_clock_now_ns() + (unsigned)timeout_ms * NS_PER_MS);
}

int __wrap_epoll_pwait2(int ep, struct epoll_event *ev, int max, const struct timespec *timeout,
                        const sigset_t *mask)
{
    if (mask)
        abort();
    return wait_until(ep, ev, max,
                      timeout ? __wrap_clock_now_ns() + (uint64_t)timeout->tv_sec * NS_PER_SEC +
                                    (uint64_t)timeout->tv_nsec
                              : TIME_NEVER);
}

int __wrap_usleep(useconds_t us)
{
    const struct timespec nap = { .tv_nsec = (long)(NS_PER_MS / 2) };
    struct part *p = take_part();
    pthread_mutex_lock(&turns.lock);
    p->until_ns = atomic_load(&turns.now_ns) + us * UINT64_C(1000);
    p->turn = TURN_ASLEEP;
    while (atomic_load(&turns.now_ns) < p->until_ns) {
        pthread_mutex_unlock(&turns.lock);
        (void)nanosleep(&nap, NULL);
        pthread_mutex_lock(&turns.lock);
        maybe_step();
    }
    p->turn = TURN_BUSY;
    pthread_mutex_unlock(&turns.lock);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret_value)
{
    struct part *p = take_part();
    set_turn(p, TURN_AWAY);
    int rc = __real_pthread_join(thread, ret_value);
    set_turn(p, TURN_BUSY);
    return rc;
}
