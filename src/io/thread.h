/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads: reactors and the workers of the file pool. */
#ifndef USAN_IO_THREAD_H
#define USAN_IO_THREAD_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>

struct loop;

/* Embedded by the owner, in place until thread_join(). Zero-initialise. */
struct thread {
    bool started;
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
    char name[16]; /* as ps and top show it; cut */
};

/*
 * Start run(arg) in a new thread. All signals are blocked in it, so that the thread that called
 * main() takes them. Returns USAN_EAGAIN when the system has no room for another thread.
 */
USAN_MUST_CHECK
int thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg,
                 struct err_text *e);
/* As thread_start with loop_run(loop): a reactor. End it with loop_stop() and thread_join(). */
USAN_MUST_CHECK
int thread_start_loop(struct thread *t, const char *name, struct loop *loop, struct err_text *e);
/* Wait for its end. No effect if it was never started. */
void thread_join(struct thread *t);

#endif
