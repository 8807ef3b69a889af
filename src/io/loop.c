/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop: creation, the order of an iteration, deferred work. */
#include "io/loop_priv.h"

#include "io/clock.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Works may queue works; after so many rounds sockets get their turn. */
#define WORK_ROUNDS_MAX 8

static int check_cpu(int cpu, struct err_text *e)
{
    cpu_set_t set;
    if (cpu < 0)
        return 0;
    if (cpu >= CPU_SETSIZE)
        return err_set(e, USAN_ERANGE, "cpu %d: no such processor", cpu);
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && !CPU_ISSET((size_t)cpu, &set))
        return err_set(e, USAN_ERANGE, "cpu %d: this process may not run there", cpu);
    return 0;
}

static void pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    /* Checked by loop_new(). If the processor was taken away since, running unpinned is better
     * than not running. */
    (void)sched_setaffinity(0, sizeof set, &set);
}

static int open_engine(struct loop *loop, enum loop_engine_kind kind, struct err_text *e)
{
    switch (kind) {
    case LOOP_ENGINE_URING:
        return engine_uring.open(loop, loop->wake_fd, &loop->eng, e);
    case LOOP_ENGINE_EPOLL:
        return engine_epoll.open(loop, loop->wake_fd, &loop->eng, e);
    case LOOP_ENGINE_AUTO:
        if (engine_uring.open(loop, loop->wake_fd, &loop->eng, NULL) == 0)
            return 0;
        return engine_epoll.open(loop, loop->wake_fd, &loop->eng, e);
    default:
        return err_set(e, USAN_EINVAL, "unknown event engine");
    }
}

int loop_new(const struct loop_config *cfg, struct loop **ret_loop, struct err_text *e)
{
    int rc = check_cpu(cfg->cpu, e);
    if (rc)
        return rc;
    struct loop *loop = aligned_alloc(_Alignof(struct loop), sizeof *loop);
    if (!loop)
        return err_set(e, USAN_ENOMEM, "out of memory");
    memset(loop, 0, sizeof *loop);
    loop->mode = cfg->poll;
    loop->cpu = cfg->cpu;
    loop->now_ns = clock_now_ns();
    list_init(&loop->works);
    loop_file_init(loop);
    loop_spin_init(loop, cfg->spin_max_us);
    atomic_init(&loop->inbox, NULL);
    atomic_init(&loop->sleeping, false);
    atomic_init(&loop->stop, false);

    loop->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        rc = err_set(e, usan_err_from_errno(errno), "eventfd: %s", strerror(errno));
        goto fail;
    }
    rc = open_engine(loop, cfg->engine, e);
    if (rc)
        goto fail;
    *ret_loop = loop;
    return 0;

fail:
    if (loop->wake_fd >= 0)
        (void)close(loop->wake_fd);
    free(loop);
    return rc;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    assert(loop->fd_count == 0 && loop->file_count == 0 && list_empty(&loop->here));
    assert(list_empty(&loop->works));
    loop->eng->ops->close(loop->eng);
    assert(!loop_msgs_pending(loop));
    loop_timers_fini(loop);
    (void)close(loop->wake_fd);
    free(loop);
}

const char *loop_engine_name(const struct loop *loop)
{
    return loop->eng->ops->name;
}

void loop_time_refresh(struct loop *loop)
{
    loop->now_ns = clock_now_ns();
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now_ns;
}

static unsigned run_works(struct loop *loop)
{
    unsigned n = 0;
    for (int round = 0; round < WORK_ROUNDS_MAX && !list_empty(&loop->works); round++) {
        struct list now;
        list_init(&now);
        list_splice_back(&now, &loop->works);
        struct list *node;
        while ((node = list_pop_front(&now))) {
            struct loop_work *w = list_entry(node, struct loop_work, node);
            n++;
            w->run(w);
        }
    }
    return n;
}

unsigned loop_pass(struct loop *loop)
{
    loop->now_ns = clock_now_ns();
    unsigned did = loop_timers_run(loop);
    did += loop_msgs_run(loop);
    return did + run_works(loop);
}

void loop_run(struct loop *loop)
{
    assert(!loop->stepped);
    pin(loop->cpu);
    int rc = loop->eng->ops->start(loop->eng);
    assert(rc == 0); /* only a second thread running the same loop can make it fail */
    (void)rc;
    unsigned did = 0;
    while (!atomic_load_explicit(&loop->stop, memory_order_relaxed)) {
        did += loop_pass(loop);
        did = loop_wait(loop, did);
    }
    /* What the last wait's callbacks deferred still belongs to its iteration. */
    (void)run_works(loop);
    loop->eng->ops->stop(loop->eng);
    atomic_store(&loop->stop, false);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    loop_wake(loop);
}

/* ---- deferred work ---- */

void loop_work_init(struct loop_work *w, void (*run)(struct loop_work *w))
{
    w->run = run;
    list_init(&w->node);
}

void loop_work_queue(struct loop *loop, struct loop_work *w)
{
    if (list_empty(&w->node))
        list_push_back(&loop->works, &w->node);
}

void loop_work_cancel(struct loop_work *w)
{
    list_del(&w->node);
}
