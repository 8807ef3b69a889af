/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The io_uring engine: sockets and files on one ring, so that one system call submits all file
 * requests of an iteration, watches descriptors again and waits.
 *
 * Descriptors are watched with one-shot POLL_ADD, put in again with the next enter: that is level
 * triggered without a further receive call to learn that a socket is empty, and a descriptor that
 * a spinning loop looks after itself ("hot") is simply not put in again until the loop sleeps, so
 * that arriving packets cost no wake-up work meanwhile.
 *
 * A poll that the kernel holds names a struct watch, not the owner's loop_fd: the owner may free
 * that at any time, the watch lives until its last completion has come.
 */
#include "io/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define SQ_ENTRIES 256u
/* What does not fit is kept by the kernel and delivered later; this avoids it normally. */
#define CQ_ENTRIES 4096u
/* When the kernel was short of memory for a submission, try again after this. */
#define RETRY_NS (1 * NS_PER_MS)

/* Lowest bits of user_data. */
enum { TAG_WATCH, TAG_FILE, TAG_WAKE, TAG_IGNORE, TAG_MASK = 3 };

struct watch {
    struct loop_fd *lfd; /* NULL: deleted, waiting for the last completion */
    struct list node;    /* in live, or in dead when deleted */
    bool armed;          /* the kernel holds a poll */
};

struct uring {
    struct engine eng;
    struct io_uring ring;
    struct list dirty; /* loop_fd.node: to be watched (with other events) */
    struct list files; /* loop_file_req.node: to be submitted */
    struct list done;  /* loop_file_req.node: completed while the loop was stopping */
    struct list live;  /* all watches that have an owner */
    struct list dead;  /* those whose last completion is due */
    bool flush;        /* something was put in dirty or files since the last poll */
    bool retry;        /* the kernel did not take all submissions */
    bool started;
    bool wake_armed;
};

/* Where the eventfd's value is read to; nobody looks at it. Not in struct uring, since the kernel
 * winds a ring up some time after it was closed. */
static uint64_t wake_sink;

static struct uring *to_uring(struct engine *eng)
{
    return list_entry(eng, struct uring, eng);
}

static uint64_t tagged(const void *p, unsigned tag)
{
    assert(((uintptr_t)p & TAG_MASK) == 0);
    return (uint64_t)(uintptr_t)p | tag;
}

static void *untagged(uint64_t user_data)
{
    return (void *)(uintptr_t)(user_data & ~(uint64_t)TAG_MASK);
}

/* ---- set-up ---- */

static int ring_open(struct io_uring *ring)
{
    /* Best first. The ring starts disabled, because the thread that runs the loop, not the one
     * that makes it, is to be its single issuer. */
    static const unsigned flag_sets[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int rc = -EINVAL;
    for (size_t i = 0; i < sizeof flag_sets / sizeof flag_sets[0] && rc == -EINVAL; i++) {
        struct io_uring_params p = { 0 };
        p.flags = flag_sets[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
        p.cq_entries = CQ_ENTRIES;
        rc = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);
    }
    return rc;
}

/* What the engine relies on: completions are not dropped, waiting takes a time, polls can be
 * changed (kernel 5.13), and every operation used is there. */
static bool ring_usable(struct io_uring *ring)
{
    static const int ops[] = {
        IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_READ,  IORING_OP_WRITE,
        IORING_OP_READV,    IORING_OP_WRITEV,      IORING_OP_FSYNC, IORING_OP_FALLOCATE,
    };
    const unsigned need = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS;
    if ((ring->features & need) != need)
        return false;
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (!probe)
        return false;
    bool ok = true;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        ok = ok && io_uring_opcode_supported(probe, ops[i]);
    io_uring_free_probe(probe);
    return ok;
}

static int uring_open(struct loop *loop, int wake_fd, struct engine **ret_eng, struct err_text *e)
{
    struct uring *u = calloc(1, sizeof *u);
    if (!u)
        return err_set(e, USAN_ENOMEM, "out of memory");
    int rc = ring_open(&u->ring);
    if (rc < 0) {
        free(u);
        return err_set(e, usan_err_from_errno(-rc), "io_uring is not usable here: %s",
                       strerror(-rc));
    }
    if (!ring_usable(&u->ring)) {
        io_uring_queue_exit(&u->ring);
        free(u);
        return err_set(e, USAN_ENOTSUP, "io_uring is not usable here: the kernel's is too old");
    }
    u->eng = (struct engine){ .ops = &engine_uring, .loop = loop, .wake_fd = wake_fd };
    list_init(&u->dirty);
    list_init(&u->files);
    list_init(&u->done);
    list_init(&u->live);
    list_init(&u->dead);
    *ret_eng = &u->eng;
    return 0;
}

static void uring_close(struct engine *eng)
{
    struct uring *u = to_uring(eng);
    io_uring_queue_exit(&u->ring);
    list_for_each_safe (&u->dead, node) {
        free(list_entry(node, struct watch, node));
    }
    assert(list_empty(&u->live) && list_empty(&u->files) && list_empty(&u->done));
    free(u);
}

static int uring_start(struct engine *eng)
{
    struct uring *u = to_uring(eng);
    if (u->started)
        return 0;
    /* Not io_uring_enable_rings(): liburing 2.3 forgets to export it. */
    int rc = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (rc < 0)
        return usan_err_from_errno(-rc);
    u->started = true;
    /* Saves a descriptor look-up per enter; refused where too many are registered. */
    (void)io_uring_register_ring_fd(&u->ring);
    return 0;
}

/* ---- submission ---- */

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (sqe || !u->started)
        return sqe;
    (void)io_uring_submit(&u->ring);
    return io_uring_get_sqe(&u->ring);
}

static unsigned poll_mask(uint32_t events)
{
    unsigned mask = 0;
    if (events & LOOP_IN)
        mask |= POLLIN;
    if (events & LOOP_OUT)
        mask |= POLLOUT;
    return mask; /* errors and hang-ups are always reported */
}

/* Returns false if the submission queue is full. */
static bool arm(struct uring *u, struct loop_fd *lfd)
{
    struct watch *w = lfd->engine_priv;
    if (w->armed && (lfd->events & ~lfd->armed) == 0)
        return true; /* what is watched in excess is filtered when it comes */
    struct io_uring_sqe *sqe = get_sqe(u);
    if (!sqe)
        return false;
    if (w->armed) {
        /* Too late if it has just fired: then that completion leads back here. */
        io_uring_prep_poll_update(sqe, tagged(w, TAG_WATCH), 0, poll_mask(lfd->events),
                                  IORING_POLL_UPDATE_EVENTS);
        io_uring_sqe_set_data64(sqe, TAG_IGNORE);
    } else {
        io_uring_prep_poll_add(sqe, lfd->fd, poll_mask(lfd->events));
        io_uring_sqe_set_data64(sqe, tagged(w, TAG_WATCH));
        w->armed = true;
    }
    lfd->armed = lfd->events;
    return true;
}

static void arm_dirty(struct uring *u, bool spinning)
{
    struct list hot; /* stays for the time when spinning ends */
    list_init(&hot);
    struct list *node;
    while ((node = list_pop_front(&u->dirty))) {
        struct loop_fd *lfd = list_entry(node, struct loop_fd, node);
        if (spinning && lfd->hot && lfd->events == LOOP_IN) {
            list_push_back(&hot, node);
        } else if (!arm(u, lfd)) {
            list_push_front(&u->dirty, node);
            u->retry = true;
            break;
        }
    }
    list_splice_back(&u->dirty, &hot);
}

static void prep_file(struct io_uring_sqe *sqe, const struct loop_file_req *req)
{
    unsigned n = req->iovcnt < IOV_MAX ? (unsigned)req->iovcnt : IOV_MAX;
    switch (req->op) {
    case LOOP_FILE_READV:
        if (n == 1 && req->iov->iov_len <= INT_MAX)
            io_uring_prep_read(sqe, req->fd, req->iov->iov_base, (unsigned)req->iov->iov_len,
                               req->off);
        else
            io_uring_prep_readv(sqe, req->fd, req->iov, n, req->off);
        sqe->rw_flags = (__kernel_rwf_t)req->flags;
        break;
    case LOOP_FILE_WRITEV:
        if (n == 1 && req->iov->iov_len <= INT_MAX)
            io_uring_prep_write(sqe, req->fd, req->iov->iov_base, (unsigned)req->iov->iov_len,
                                req->off);
        else
            io_uring_prep_writev(sqe, req->fd, req->iov, n, req->off);
        sqe->rw_flags = (__kernel_rwf_t)req->flags;
        break;
    case LOOP_FILE_DATASYNC:
        io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC);
        break;
    case LOOP_FILE_FALLOCATE:
        io_uring_prep_fallocate(sqe, req->fd, (int)req->flags, (off_t)req->off, (off_t)req->len);
        break;
    default:
        assert(false && "unknown file operation");
    }
}

static void submit_files(struct uring *u)
{
    while (!list_empty(&u->files)) {
        struct io_uring_sqe *sqe = get_sqe(u);
        if (!sqe) {
            u->retry = true;
            return;
        }
        struct loop_file_req *req = list_entry(u->files.next, struct loop_file_req, node);
        list_del(&req->node);
        prep_file(sqe, req);
        io_uring_sqe_set_data64(sqe, tagged(req, TAG_FILE));
    }
}

/* The eventfd is read by the ring: waking costs the loop no system call of its own. */
static void arm_wake(struct uring *u)
{
    if (u->wake_armed)
        return;
    struct io_uring_sqe *sqe = get_sqe(u);
    if (!sqe) {
        u->retry = true;
        return;
    }
    io_uring_prep_read(sqe, u->eng.wake_fd, &wake_sink, sizeof wake_sink, 0);
    io_uring_sqe_set_data64(sqe, TAG_WAKE);
    u->wake_armed = true;
}

static void uring_file_submit(struct engine *eng, struct loop_file_req *req)
{
    struct uring *u = to_uring(eng);
    list_push_back(&u->files, &req->node);
    u->flush = true;
}

/* ---- descriptors ---- */

static int uring_fd_add(struct engine *eng, struct loop_fd *lfd)
{
    struct uring *u = to_uring(eng);
    /* The poll itself would report a bad descriptor much later. */
    if (fcntl(lfd->fd, F_GETFD) < 0)
        return USAN_EINVAL;
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return USAN_ENOMEM;
    w->lfd = lfd;
    list_push_back(&u->live, &w->node);
    lfd->engine_priv = w;
    list_push_back(&u->dirty, &lfd->node);
    u->flush = true;
    return 0;
}

static void uring_fd_update(struct engine *eng, struct loop_fd *lfd)
{
    struct uring *u = to_uring(eng);
    const struct watch *w = lfd->engine_priv;
    if (w->armed && (lfd->events & ~lfd->armed) == 0)
        return;
    if (list_empty(&lfd->node))
        list_push_back(&u->dirty, &lfd->node);
    u->flush = true;
}

static void uring_fd_del(struct engine *eng, struct loop_fd *lfd)
{
    struct uring *u = to_uring(eng);
    struct watch *w = lfd->engine_priv;
    list_del(&lfd->node);
    lfd->engine_priv = NULL;
    list_del(&w->node);
    if (!w->armed) {
        free(w);
        return;
    }
    w->lfd = NULL;
    list_push_back(&u->dead, &w->node);
    /* A poll holds a reference to the file. Without removing it right now, the owner's close()
     * would neither end the connection nor free the port. */
    struct io_uring_sqe *sqe = get_sqe(u);
    if (sqe) {
        io_uring_prep_poll_remove(sqe, tagged(w, TAG_WATCH));
        io_uring_sqe_set_data64(sqe, TAG_IGNORE);
        (void)io_uring_submit_and_get_events(&u->ring);
    }
}

/* ---- completion ---- */

/* The poll has ended. Returns its owner, who has to be watched again, or NULL. */
static struct loop_fd *disarmed(struct uring *u, struct watch *w)
{
    struct loop_fd *lfd = w->lfd;
    w->armed = false;
    if (!lfd) {
        list_del(&w->node);
        free(w);
        return NULL;
    }
    lfd->armed = 0;
    if (list_empty(&lfd->node))
        list_push_back(&u->dirty, &lfd->node);
    u->flush = true;
    return lfd;
}

static bool watch_fired(struct uring *u, struct watch *w, int res)
{
    struct loop_fd *lfd = disarmed(u, w);
    if (!lfd)
        return false;
    uint32_t events = 0;
    if (res < 0) {
        events = LOOP_HUP;
    } else {
        if (res & POLLIN)
            events |= LOOP_IN;
        if (res & POLLOUT)
            events |= LOOP_OUT;
        if (res & (POLLERR | POLLHUP))
            events |= LOOP_HUP | LOOP_IN | LOOP_OUT;
    }
    events &= lfd->events | LOOP_HUP;
    return events && loop_dispatch_fd(u->eng.loop, lfd, events);
}

static bool handle_cqe(struct uring *u, uint64_t user_data, int res)
{
    switch (user_data & TAG_MASK) {
    case TAG_WATCH:
        return watch_fired(u, untagged(user_data), res);
    case TAG_FILE:
        loop_file_complete(untagged(user_data), res);
        return true;
    case TAG_WAKE:
        u->wake_armed = false;
        return false;
    default:
        return false;
    }
}

static unsigned reap(struct uring *u)
{
    unsigned did = 0;
    /* Not more than is there now: deferred work comes before what arrives meanwhile. */
    unsigned n = io_uring_cq_ready(&u->ring);
    while (n--) {
        struct io_uring_cqe *cqe = NULL;
        if (io_uring_peek_cqe(&u->ring, &cqe) || !cqe)
            break;
        uint64_t user_data = cqe->user_data;
        int res = cqe->res;
        /* Given back first: the callback may enter the kernel and need the room. */
        io_uring_cqe_seen(&u->ring, cqe);
        did += handle_cqe(u, user_data, res);
    }
    return did;
}

/* The kernel has completions that it delivers only when entered. */
static bool kernel_waits(struct uring *u)
{
    return (*u->ring.sq.kflags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
}

static bool uring_pending(struct engine *eng)
{
    struct uring *u = to_uring(eng);
    return u->flush || !list_empty(&u->done) || io_uring_cq_ready(&u->ring) || kernel_waits(u);
}

static void enter(struct uring *u, uint64_t timeout_ns)
{
    if (u->retry)
        timeout_ns = time_min(timeout_ns, RETRY_NS);
    if (io_uring_cq_ready(&u->ring))
        timeout_ns = 0;
    /* Results are not looked at: what failed to be submitted stays in the queue and goes with the
     * next enter, a timeout or a signal shows as no completion. */
    if (timeout_ns == 0) {
        if (io_uring_sq_ready(&u->ring) || kernel_waits(u))
            (void)io_uring_submit_and_get_events(&u->ring);
    } else if (timeout_ns == TIME_NEVER) {
        (void)io_uring_submit_and_wait(&u->ring, 1);
    } else {
        struct __kernel_timespec ts = { .tv_sec = (long long)(timeout_ns / NS_PER_SEC),
                                        .tv_nsec = (long long)(timeout_ns % NS_PER_SEC) };
        struct io_uring_cqe *cqe = NULL;
        (void)io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
    }
}

static unsigned deliver_done(struct uring *u)
{
    unsigned n = 0;
    struct list *node;
    while ((node = list_pop_front(&u->done))) {
        struct loop_file_req *req = list_entry(node, struct loop_file_req, node);
        n++;
        loop_file_complete(req, req->res);
    }
    return n;
}

static unsigned uring_poll(struct engine *eng, uint64_t timeout_ns, bool spinning)
{
    struct uring *u = to_uring(eng);
    u->flush = false;
    u->retry = false;
    submit_files(u);
    arm_dirty(u, spinning);
    if (timeout_ns)
        arm_wake(u);
    if (u->retry)
        u->flush = true;
    if (!list_empty(&u->done))
        timeout_ns = 0;
    enter(u, timeout_ns);
    if (timeout_ns)
        loop_time_refresh(u->eng.loop);
    return reap(u) + deliver_done(u);
}

/* Take what there is without calling anybody: what fired is seen again by the next poll. */
static void reap_stopping(struct uring *u)
{
    struct io_uring_cqe *cqe = NULL;
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0 && cqe) {
        uint64_t user_data = cqe->user_data;
        int res = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        if ((user_data & TAG_MASK) == TAG_WATCH) {
            (void)disarmed(u, untagged(user_data));
        } else if ((user_data & TAG_MASK) == TAG_FILE) {
            struct loop_file_req *req = untagged(user_data);
            req->res = res;
            list_push_back(&u->done, &req->node);
        } else if ((user_data & TAG_MASK) == TAG_WAKE) {
            u->wake_armed = false;
        }
    }
}

static void uring_stop(struct engine *eng)
{
    struct uring *u = to_uring(eng);
    list_for_each (&u->live, node) {
        struct watch *w = list_entry(node, struct watch, node);
        struct io_uring_sqe *sqe = w->armed ? get_sqe(u) : NULL;
        if (!sqe)
            continue;
        io_uring_prep_poll_remove(sqe, tagged(w, TAG_WATCH));
        io_uring_sqe_set_data64(sqe, TAG_IGNORE);
    }
    (void)io_uring_submit_and_get_events(&u->ring);
    reap_stopping(u);
}

const struct engine_ops engine_uring = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .start = uring_start,
    .stop = uring_stop,
    .fd_add = uring_fd_add,
    .fd_update = uring_fd_update,
    .fd_del = uring_fd_del,
    .file_submit = uring_file_submit,
    .pending = uring_pending,
    .pending_is_exact = true,
    .poll = uring_poll,
};
