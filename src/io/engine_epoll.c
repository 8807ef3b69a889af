/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The epoll engine, for machines where io_uring is closed. Descriptors are level triggered by
 * epoll itself. Files: a read is first tried without blocking, which serves what is in the page
 * cache at the cost of one system call; everything else goes to a few threads.
 */
#include "io/engine.h"
#include "io/file_pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64

struct epoll_engine {
    struct engine eng;
    int ep;
    bool no_pwait2;    /* the kernel (before 5.11) knows milliseconds only */
    struct list dirty; /* loop_fd.node: the kernel is to be told of other events */
    struct list files; /* loop_file_req.node: to be submitted */
    struct list done;  /* requests that were finished without blocking */
    struct file_pool *pool;
    int fetched, next; /* of ev: how many are there, the next to be dispatched */
    struct epoll_event ev[BATCH];
};

static struct epoll_engine *to_epoll(struct engine *eng)
{
    return list_entry(eng, struct epoll_engine, eng);
}

/* ---- set-up ---- */

static void epoll_close(struct engine *eng)
{
    struct epoll_engine *ee = to_epoll(eng);
    file_pool_free(ee->pool);
    if (ee->ep >= 0)
        (void)close(ee->ep);
    free(ee);
}

static int epoll_open(struct loop *loop, int wake_fd, struct engine **ret_eng, struct err_text *e)
{
    struct epoll_engine *ee = calloc(1, sizeof *ee);
    if (!ee)
        return err_set(e, USAN_ENOMEM, "out of memory");
    ee->eng = (struct engine){ .ops = &engine_epoll, .loop = loop, .wake_fd = wake_fd };
    list_init(&ee->dirty);
    list_init(&ee->files);
    list_init(&ee->done);
    ee->ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN, .data = { .ptr = NULL } };
    if (ee->ep < 0 || epoll_ctl(ee->ep, EPOLL_CTL_ADD, wake_fd, &ev)) {
        int err = errno;
        epoll_close(&ee->eng);
        return err_set(e, usan_err_from_errno(err), "epoll: %s", strerror(err));
    }
    *ret_eng = &ee->eng;
    return 0;
}

static int epoll_start(struct engine *eng)
{
    (void)eng;
    return 0;
}

static void epoll_stop(struct engine *eng)
{
    (void)eng; /* epoll drops a file when it is closed */
}

/* ---- descriptors ---- */

static int control(const struct epoll_engine *ee, int op, struct loop_fd *lfd)
{
    struct epoll_event ev = { .data = { .ptr = lfd } };
    if (lfd->events & LOOP_IN)
        ev.events |= EPOLLIN;
    if (lfd->events & LOOP_OUT)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(ee->ep, op, lfd->fd, &ev))
        return -errno;
    lfd->armed = lfd->events;
    return 0;
}

static int epoll_fd_add(struct engine *eng, struct loop_fd *lfd)
{
    switch (-control(to_epoll(eng), EPOLL_CTL_ADD, lfd)) {
    case 0:
        return 0;
    case ENOMEM:
        return USAN_ENOMEM;
    case ENOSPC: /* fs.epoll.max_user_watches */
        return USAN_ELIMIT;
    default:
        return USAN_EINVAL;
    }
}

static void epoll_fd_update(struct engine *eng, struct loop_fd *lfd)
{
    /* Told at the next poll: interest that comes and goes within an iteration costs nothing. */
    if (lfd->events != lfd->armed && list_empty(&lfd->node))
        list_push_back(&to_epoll(eng)->dirty, &lfd->node);
}

static void epoll_fd_del(struct engine *eng, struct loop_fd *lfd)
{
    struct epoll_engine *ee = to_epoll(eng);
    list_del(&lfd->node);
    (void)epoll_ctl(ee->ep, EPOLL_CTL_DEL, lfd->fd, NULL);
    /* Events that were fetched already must not find it. */
    for (int i = ee->next; i < ee->fetched; i++) {
        if (ee->ev[i].data.ptr == lfd)
            ee->ev[i].events = 0;
    }
}

/* ---- files ---- */

static void epoll_file_submit(struct engine *eng, struct loop_file_req *req)
{
    list_push_back(&to_epoll(eng)->files, &req->node);
}

/* True if req was finished (res is set) without waiting for a device. */
static bool run_cached(struct loop_file_req *req)
{
    if (req->op != LOOP_FILE_READV)
        return false;
    int fl = fcntl(req->fd, F_GETFL);
    if (fl < 0 || (fl & O_DIRECT))
        return false; /* RWF_NOWAIT does wait for a direct read's completion */
    int64_t rc = file_req_run(req, RWF_NOWAIT);
    if (rc == -EAGAIN || rc == -EOPNOTSUPP || rc == -EINTR)
        return false;
    req->res = rc;
    return true;
}

static void submit_files(struct epoll_engine *ee)
{
    struct list slow;
    list_init(&slow);
    struct list *node;
    while ((node = list_pop_front(&ee->files))) {
        struct loop_file_req *req = list_entry(node, struct loop_file_req, node);
        list_push_back(run_cached(req) ? &ee->done : &slow, node);
    }
    if (list_empty(&slow))
        return;
    if (!ee->pool && file_pool_new(ee->eng.loop, &ee->pool)) {
        /* Out of memory for the pool itself: these fail, the next ones may not. */
        list_for_each (&slow, pos) {
            list_entry(pos, struct loop_file_req, node)->res = -ENOMEM;
        }
        list_splice_back(&ee->done, &slow);
        return;
    }
    file_pool_submit(ee->pool, &slow);
}

static unsigned deliver_done(struct epoll_engine *ee)
{
    unsigned n = 0;
    struct list done;
    list_init(&done);
    list_splice_back(&done, &ee->done);
    struct list *node;
    while ((node = list_pop_front(&done))) {
        struct loop_file_req *req = list_entry(node, struct loop_file_req, node);
        n++;
        loop_file_complete(req, req->res);
    }
    return n;
}

/* ---- waiting ---- */

static void apply_dirty(struct epoll_engine *ee)
{
    struct list *node;
    while ((node = list_pop_front(&ee->dirty))) {
        struct loop_fd *lfd = list_entry(node, struct loop_fd, node);
        if (lfd->events != lfd->armed)
            (void)control(ee, EPOLL_CTL_MOD, lfd); /* it is registered: cannot fail */
    }
}

static int fetch(struct epoll_engine *ee, uint64_t timeout_ns)
{
    int n;
    if (timeout_ns == 0)
        return epoll_wait(ee->ep, ee->ev, BATCH, 0);
    if (timeout_ns == TIME_NEVER)
        return epoll_wait(ee->ep, ee->ev, BATCH, -1);
    if (!ee->no_pwait2) {
        struct timespec ts = { .tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                               .tv_nsec = (long)(timeout_ns % NS_PER_SEC) };
        n = epoll_pwait2(ee->ep, ee->ev, BATCH, &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        ee->no_pwait2 = true;
    }
    /* Rounded up, or the loop would turn idly for the rest of the millisecond. */
    uint64_t ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
    return epoll_wait(ee->ep, ee->ev, BATCH, ms < 60000 ? (int)ms : 60000);
}

static unsigned dispatch(struct epoll_engine *ee)
{
    unsigned did = 0;
    while (ee->next < ee->fetched) {
        const struct epoll_event *ev = &ee->ev[ee->next++];
        struct loop_fd *lfd = ev->data.ptr;
        if (!lfd) {
            uint64_t value;
            ssize_t rc = read(ee->eng.wake_fd, &value, sizeof value);
            (void)rc; /* only this thread reads it, so it is there */
            continue;
        }
        uint32_t events = 0;
        if (ev->events & EPOLLIN)
            events |= LOOP_IN;
        if (ev->events & EPOLLOUT)
            events |= LOOP_OUT;
        if (ev->events & (EPOLLERR | EPOLLHUP))
            events |= LOOP_HUP | LOOP_IN | LOOP_OUT;
        /* Deleted (no events), or the interest was changed by a callback of this batch. */
        if (ev->events)
            events &= lfd->events | LOOP_HUP;
        if (events)
            did += loop_dispatch_fd(ee->eng.loop, lfd, events);
    }
    return did;
}

static bool epoll_pending(struct engine *eng)
{
    const struct epoll_engine *ee = to_epoll(eng);
    return !list_empty(&ee->files) || !list_empty(&ee->dirty) || !list_empty(&ee->done);
}

static unsigned epoll_poll(struct engine *eng, uint64_t timeout_ns, bool spinning)
{
    struct epoll_engine *ee = to_epoll(eng);
    (void)spinning;
    submit_files(ee);
    apply_dirty(ee);
    if (!list_empty(&ee->done))
        timeout_ns = 0;
    int n = fetch(ee, timeout_ns);
    if (timeout_ns)
        loop_time_refresh(eng->loop);
    ee->next = 0;
    ee->fetched = n > 0 ? n : 0; /* negative: a signal */
    unsigned did = dispatch(ee);
    ee->next = ee->fetched = 0;
    return did + deliver_done(ee);
}

static int epoll_step_fd(struct engine *eng)
{
    return to_epoll(eng)->ep; /* which has the eventfd as well */
}

const struct engine_ops engine_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .start = epoll_start,
    .stop = epoll_stop,
    .fd_add = epoll_fd_add,
    .fd_update = epoll_fd_update,
    .fd_del = epoll_fd_del,
    .file_submit = epoll_file_submit,
    .pending = epoll_pending,
    .pending_is_exact = false,
    .poll = epoll_poll,
    .step_fd = epoll_step_fd,
};
