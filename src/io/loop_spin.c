/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a loop waits.
 *
 * A thread that sleeps needs tens of microseconds to wake, and so does its peer; a loop that is
 * about to get work within that time does better to look for it. AUTO therefore keeps a weighted
 * mean of the gap between the end of work and the next piece of work, and spins only while that
 * mean is shorter than the longest spin allowed: a loop whose spinning does not pay sees long gaps
 * and goes back to sleeping at once, one with regular short gaps starts to spin after a few of
 * them. An idle loop has no work and hence never starts.
 *
 * A turn of the spin asks the few descriptors that were active last directly (loop_fd.c). The
 * engine is asked every few turns, or whenever it shows events without a system call.
 *
 * Spinning is for a core of one's own. Two signs say that it is not: giving way lets somebody run
 * for long, or wake-ups of a peer on the same core preempt the loop all the time. Either bans
 * spinning for a while, twice as long each time in a row.
 */
#include "io/loop_priv.h"

#include "io/clock.h"

#include <sched.h>
#include <sys/resource.h>

#define SPIN_MAX_DEFAULT_US 100u
/* A gap counts as at most so many times the longest spin: long sleeps must not take long to be
 * forgotten when a burst begins. */
#define GAP_CAP_FACTOR 4u
#define GAP_WEIGHT     8u
/* The engine is asked after so many turns; one that found work counts more, since it is longer. */
#define ENGINE_TURNS   16u
#define FRUITFUL_TURNS 4u
/* Every so many turns the scheduler is asked whether someone else wants the core. */
#define YIELD_TURNS 64u
/* A yield that takes longer let somebody run. */
#define YIELD_ALONE_NS (20 * NS_PER_US)
#define OFF_MIN_NS     (1 * NS_PER_MS)
#define OFF_MAX_NS     (64 * NS_PER_MS)
/* How often it is checked whether others take the core from us, and how many times in that span
 * are too often. A thread alone on its core is interrupted a few times a second. */
#define CHECK_NS       (1 * NS_PER_MS)
#define PREEMPTED_MANY 3

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

void loop_spin_init(struct loop *loop, uint32_t spin_max_us)
{
    struct loop_spin *s = &loop->spin;
    s->max_ns = (spin_max_us ? spin_max_us : SPIN_MAX_DEFAULT_US) * NS_PER_US;
    s->gap_ns = s->max_ns * GAP_CAP_FACTOR;
    s->last_work_ns = loop->now_ns;
    s->off_ns = OFF_MIN_NS;
}

/* ---- spinning ---- */

static bool interrupted(struct loop *loop)
{
    return loop_msgs_pending(loop) || atomic_load_explicit(&loop->stop, memory_order_relaxed);
}

/* One turn; returns how many callbacks did useful work. */
static unsigned turn(struct loop *loop)
{
    struct engine *eng = loop->eng;
    struct loop_spin *s = &loop->spin;
    unsigned did = 0;
    bool ask = eng->ops->pending(eng);
    if (!ask && !eng->ops->pending_is_exact)
        ask = s->debt >= ENGINE_TURNS || loop->hot_count == 0;
    if (ask) {
        s->debt = 0;
        did = eng->ops->poll(eng, 0, true);
    } else if (loop->hot_count == 0) {
        cpu_relax();
    }
    did += loop_hot_ask(loop);
    s->debt += did ? FRUITFUL_TURNS : 1;
    return did;
}

/* Give way; true if somebody else wanted the core. */
static bool shared_core(struct loop *loop)
{
    uint64_t before = clock_now_ns();
    (void)sched_yield();
    loop->now_ns = clock_now_ns();
    return loop->now_ns - before > YIELD_ALONE_NS;
}

static void ban_spinning(struct loop_spin *s, uint64_t now_ns)
{
    s->off_until_ns = now_ns + s->off_ns;
    s->off_ns = s->off_ns * 2 < OFF_MAX_NS ? s->off_ns * 2 : OFF_MAX_NS;
}

/* Look for work until until_ns. True if there is something to do: *ret_did callbacks did useful
 * work, or a timer is due, a message is there or the loop is to stop. */
static bool spin(struct loop *loop, uint64_t until_ns, unsigned *ret_did)
{
    struct loop_spin *s = &loop->spin;
    for (unsigned n = 1;; n++) {
        unsigned did = turn(loop);
        loop->now_ns = clock_now_ns();
        if (did || !list_empty(&loop->works) || interrupted(loop) ||
            loop->now_ns >= loop_timers_next(loop)) {
            *ret_did = did;
            return true;
        }
        if (loop->now_ns >= until_ns)
            return false;
        if (n % YIELD_TURNS == 0 && shared_core(loop) && loop->mode == LOOP_POLL_AUTO) {
            /* Spinning only keeps others, perhaps our very peer, from running. */
            ban_spinning(s, loop->now_ns);
            return false;
        }
    }
}

/*
 * A peer on the same core runs as soon as we wake it, which needs no spinning and costs less
 * without; it shows as involuntary context switches, one for almost every message.
 */
static void check_core(struct loop *loop)
{
    struct loop_spin *s = &loop->spin;
    struct rusage ru;
    if (loop->now_ns < s->check_ns || getrusage(RUSAGE_THREAD, &ru))
        return;
    /* What happened while the loop slept or was banned from spinning says nothing. */
    if (loop->now_ns < s->check_ns + CHECK_NS && ru.ru_nivcsw - s->preempted > PREEMPTED_MANY)
        ban_spinning(s, loop->now_ns);
    s->preempted = ru.ru_nivcsw;
    s->check_ns = loop->now_ns + CHECK_NS;
}

/* ---- sleeping ---- */

static unsigned sleep_until(struct loop *loop, uint64_t deadline_ns)
{
    struct engine *eng = loop->eng;
    uint64_t timeout_ns = TIME_NEVER;
    if (deadline_ns != TIME_NEVER) {
        uint64_t now = clock_now_ns();
        timeout_ns = deadline_ns > now ? deadline_ns - now : 0;
    }
    loop->spin.debt = 0;
    if (timeout_ns == 0)
        return eng->ops->poll(eng, 0, false);
    atomic_store(&loop->sleeping, true);
    if (interrupted(loop))
        timeout_ns = 0;
    unsigned did = eng->ops->poll(eng, timeout_ns, false);
    atomic_store(&loop->sleeping, false);
    return did;
}

static void learn_gap(struct loop *loop)
{
    struct loop_spin *s = &loop->spin;
    uint64_t gap = loop->now_ns - s->last_work_ns;
    gap = time_min(gap, s->max_ns * GAP_CAP_FACTOR);
    s->gap_ns = (s->gap_ns * (GAP_WEIGHT - 1) + gap) / GAP_WEIGHT;
}

static unsigned wait_auto(struct loop *loop, unsigned did)
{
    struct loop_spin *s = &loop->spin;
    loop->now_ns = clock_now_ns();
    if (did)
        s->last_work_ns = loop->now_ns;
    unsigned found = 0;
    bool any = false;
    if (s->gap_ns <= s->max_ns && loop->now_ns >= s->off_until_ns &&
        loop->now_ns < s->last_work_ns + s->max_ns) {
        check_core(loop);
        any = spin(loop, s->last_work_ns + s->max_ns, &found);
        if (any && loop->now_ns >= s->off_until_ns + OFF_MAX_NS)
            s->off_ns = OFF_MIN_NS;
    }
    if (!any) {
        found = sleep_until(loop, loop_timers_next(loop));
        loop->now_ns = clock_now_ns();
        any = found || interrupted(loop);
    }
    if (any)
        learn_gap(loop);
    return found;
}

unsigned loop_wait(struct loop *loop, unsigned did)
{
    unsigned found = 0;
    if (!list_empty(&loop->works) || interrupted(loop))
        return loop->eng->ops->poll(loop->eng, 0, false);
    switch (loop->mode) {
    case LOOP_POLL_ALWAYS:
        loop->now_ns = clock_now_ns();
        (void)spin(loop, TIME_NEVER, &found);
        return found;
    case LOOP_POLL_AUTO:
        return wait_auto(loop, did);
    case LOOP_POLL_NEVER:
    default:
        return sleep_until(loop, loop_timers_next(loop));
    }
}
