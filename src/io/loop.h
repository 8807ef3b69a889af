/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop of one reactor: sockets, files, timers, messages from other reactors and
 * deferred work, on io_uring or on epoll. One thread runs a loop; nothing here is called from
 * another thread except loop_post() and loop_stop().
 *
 * Sockets are readiness based: the owner is told that bytes may be there and then calls recvmsg
 * and sendmsg itself, so that data lands where a protocol core wants it and many PDUs leave with
 * one call. Files are completion based.
 */
#ifndef USAN_IO_LOOP_H
#define USAN_IO_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum loop_engine_kind { LOOP_ENGINE_AUTO, LOOP_ENGINE_URING, LOOP_ENGINE_EPOLL };

/* How a loop waits. AUTO spins for a while after work and only while spinning finds work. */
enum loop_poll_mode { LOOP_POLL_AUTO, LOOP_POLL_NEVER, LOOP_POLL_ALWAYS };

struct loop_config {
    enum loop_engine_kind engine; /* AUTO: io_uring if a probe finds it usable, else epoll */
    enum loop_poll_mode poll;
    uint32_t spin_max_us; /* AUTO: longest fruitless spin; 0 = default */
    int cpu;              /* pin the thread that runs the loop; -1 = not */
};

struct loop;

/* Do not fork() while a loop exists, unless exec follows: the child would share the kernel's side
 * of it, and files would stay open. */
USAN_MUST_CHECK
int loop_new(const struct loop_config *cfg, struct loop **ret_loop, struct err_text *e);
/* Nothing may be registered any more. loop may be NULL. */
void loop_free(struct loop *loop);
/* "io_uring" or "epoll". */
const char *loop_engine_name(const struct loop *loop);
/* Run until loop_stop(); at once back if that was called before. Always by the same thread, which
 * need not be the one that called loop_new(). Before it runs and after it has returned, another
 * thread may add and delete descriptors, set timers and submit requests. */
void loop_run(struct loop *loop);
/* From any thread or signal handler. */
void loop_stop(struct loop *loop);
/* From any thread or signal handler: the loop does not sleep on. */
void loop_wake(struct loop *loop);
/* Time of this iteration; refreshed after each wait. */
uint64_t loop_now(const struct loop *loop);

/* ---- a loop inside another one ----
 *
 * Instead of loop_run(): the owner's thread waits, in whatever way it likes, until loop_step_fd()
 * is readable or the time loop_step_deadline() has come, and then calls loop_step(). What is asked
 * of the loop between two steps (timers, requests, deferred work) is noticed by the next one only:
 * loop_step_enter() comes before it and loop_wake() after it, which makes the descriptor readable.
 * The first step comes before the first wait; steps are made by one thread at a time. Only a loop
 * on epoll can be stepped.
 */

/* The same from loop_new() to loop_free(); -1: it can not be stepped. */
int loop_step_fd(const struct loop *loop);
/* loop_now() time; 0: at once; TIME_NEVER. Changes with every step. */
uint64_t loop_step_deadline(const struct loop *loop);
/* What loop_now() says is true again. */
void loop_step_enter(struct loop *loop);
/* Do what there is to do; returns how many callbacks were called. If there is nothing it waits, as
 * long as max_wait_ns allows (0: not at all; TIME_NEVER), for something to do, a time that has come
 * or a signal. */
unsigned loop_step(struct loop *loop, uint64_t max_wait_ns);
/* No step follows for now: afterwards any thread may delete descriptors and free the loop. */
void loop_step_end(struct loop *loop);

/* ---- file descriptors ---- */

/* HUP: error or both directions closed; reported without being asked for, together with what is
 * wanted, and again and again until the owner deletes the descriptor. */
enum { LOOP_IN = 1u << 0, LOOP_OUT = 1u << 1, LOOP_HUP = 1u << 2 };

/* Embedded by the owner, who keeps it in place until loop_fd_del(). */
struct loop_fd {
    int fd;          /* borrowed; non-blocking */
    uint32_t events; /* wanted: LOOP_IN | LOOP_OUT; level triggered; 0 = paused */
    /* Bytes may be there (also called speculatively while spinning: expect EAGAIN). Returns true
     * if it did useful work. It may delete any loop_fd, this one included. */
    bool (*ready)(struct loop_fd *lfd, uint32_t events);
    /* kept by the loop */
    struct list node; /* in the engine's list of those the kernel has to be told about */
    bool hot;         /* among the few that a spinning loop calls directly */
    uint64_t hot_ns;  /* when it last did useful work */
    uint32_t armed;   /* events the kernel watches */
    struct loop *loop;
    void *engine_priv;
};

USAN_MUST_CHECK
int loop_fd_add(struct loop *loop, struct loop_fd *lfd);
/* After changing lfd->events. */
void loop_fd_update(struct loop_fd *lfd);
/* The owner may free lfd and close the descriptor afterwards; not before, or the kernel would go
 * on watching. No effect on one that was zero-initialised and never added. */
void loop_fd_del(struct loop_fd *lfd);

/* ---- timers ---- */

struct loop_timer {
    uint64_t deadline_ns; /* set by loop_timer_set; TIME_NEVER = idle */
    void (*fire)(struct loop_timer *t);
    size_t heap_index; /* kept by the loop */
};

void loop_timer_init(struct loop_timer *t, void (*fire)(struct loop_timer *t));
/* deadline_ns TIME_NEVER cancels. Setting it to what it already is costs nothing. */
USAN_MUST_CHECK
int loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *t);

/* ---- deferred work: run once, later in this iteration, before the loop waits ---- */

struct loop_work {
    void (*run)(struct loop_work *w);
    struct list node;
};

void loop_work_init(struct loop_work *w, void (*run)(struct loop_work *w));
/* No effect if already queued. Works run in the order they were queued. */
void loop_work_queue(struct loop *loop, struct loop_work *w);
void loop_work_cancel(struct loop_work *w);

/* ---- messages between reactors ---- */

struct loop_msg {
    void (*deliver)(struct loop_msg *m); /* on the receiving loop's thread; may free m */
    struct loop_msg *next;               /* kept by the loop */
};

/* Thread-safe; m belongs to the receiver from here on. Order of one sender is kept. */
void loop_post(struct loop *loop, struct loop_msg *m);

/* ---- files ---- */

enum loop_file_op {
    LOOP_FILE_READV,
    LOOP_FILE_WRITEV,
    LOOP_FILE_DATASYNC,
    LOOP_FILE_FALLOCATE, /* mode in `flags` */
};

/* Embedded in the requester's request; stays in place until done is called. */
struct loop_file_req {
    enum loop_file_op op;
    int fd;
    /* Carry it out on the loop's own thread with an ordinary system call. For files whose data is
     * in memory, where that waits for nothing and is the fastest way; anything else would hold up
     * all that the loop serves. */
    bool here;
    uint32_t flags; /* READV/WRITEV: RWF_...; FALLOCATE: mode */
    uint64_t off, len;
    const struct iovec *iov;
    int iovcnt;
    int64_t res; /* bytes, or -errno */
    void (*done)(struct loop_file_req *req);
    struct list node; /* kept by the loop */
    struct loop *loop;
};

/* done is called later from the loop, never from in here. Submissions of one iteration go to the
 * kernel together. */
void loop_file_submit(struct loop *loop, struct loop_file_req *req);

#endif
