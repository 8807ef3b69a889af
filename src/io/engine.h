/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internal to src/io: what an engine provides to the loop, and what the loop provides to an
 * engine. An engine only knows how to learn of readiness, how to carry out file requests and how
 * to sleep; order, timers, messages and the decision whether to sleep are the loop's (loop.c).
 */
#ifndef USAN_IO_ENGINE_H
#define USAN_IO_ENGINE_H

#include "io/loop.h"

/* First member of an engine's own struct. */
struct engine {
    const struct engine_ops *ops;
    struct loop *loop;
    int wake_fd; /* blocking eventfd, owned by the loop: it is written when the loop must wake */
};

struct engine_ops {
    const char *name;

    /* required. Called in any thread. Sets everything but the members of struct engine. */
    int (*open)(struct loop *loop, int wake_fd, struct engine **ret_eng, struct err_text *e);
    /* required. No fd and no file request is left. */
    void (*close)(struct engine *eng);
    /* required. On the thread that is about to poll; may be called again by the same thread. */
    int (*start)(struct engine *eng);
    /* required. The same thread will not poll for now, perhaps never again: the kernel is left
     * with no reference to a registered file, so that any thread may delete and close. */
    void (*stop)(struct engine *eng);

    /* required. Errors: USAN_EINVAL (not an open descriptor, or one that cannot be polled),
     * USAN_ENOMEM, USAN_ELIMIT. */
    int (*fd_add)(struct engine *eng, struct loop_fd *lfd);
    /* required. lfd->events or lfd->hot changed. Makes no system call. */
    void (*fd_update)(struct engine *eng, struct loop_fd *lfd);
    /* required. Nothing is dispatched for lfd afterwards, and the kernel holds no reference to
     * its file any more, so that close() takes effect at once. */
    void (*fd_del)(struct engine *eng, struct loop_fd *lfd);

    /* required. Queue the request; the next poll gives it to the kernel. */
    void (*file_submit)(struct engine *eng, struct loop_file_req *req);

    /* required. True if a poll would do something; costs no system call, may be false although
     * something is ready when the engine cannot see it that way. */
    bool (*pending)(struct engine *eng);
    /* True if pending() sees everything. */
    bool pending_is_exact;
    /*
     * required. Give the kernel what is queued, wait at most timeout_ns (0 = not at all,
     * TIME_NEVER = without end; a signal ends it early) and dispatch. `spinning`: descriptors with
     * lfd->hot are looked after by the loop, which calls them itself. Returns how many callbacks
     * did useful work.
     */
    unsigned (*poll)(struct engine *eng, uint64_t timeout_ns, bool spinning);

    /* optional; without it the loop can not be stepped. A descriptor that is readable when a poll
     * would dispatch something, or the loop was woken, unless pending() is true. */
    int (*step_fd)(struct engine *eng);
};

extern const struct engine_ops engine_uring;
extern const struct engine_ops engine_epoll;

/* ---- for engines ---- */

/* Call lfd->ready. Returns what it returned. lfd may be gone afterwards. */
bool loop_dispatch_fd(struct loop *loop, struct loop_fd *lfd, uint32_t events);
/* After a wait that may have slept, before anybody is called: what loop_now() says is true again.
 */
void loop_time_refresh(struct loop *loop);
/* Set the result and call req->done. req may be gone afterwards. */
void loop_file_complete(struct loop_file_req *req, int64_t res);

#endif
