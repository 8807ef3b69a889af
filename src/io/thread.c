/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/thread.h"

#include "io/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->run(t->arg);
    return NULL;
}

static void run_loop(void *arg)
{
    loop_run(arg);
}

int thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg,
                 struct err_text *e)
{
    assert(!t->started);
    t->run = run;
    t->arg = arg;
    (void)snprintf(t->name, sizeof t->name, "%s", name);

    /* The mask is inherited: blocked before the start, so that not even the first instruction of
     * the new thread can take a signal. */
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->id, NULL, thread_main, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return err_set(e, usan_err_from_errno(rc), "cannot start thread %s: %s", t->name,
                       strerror(rc));
    t->started = true;
    return 0;
}

int thread_start_loop(struct thread *t, const char *name, struct loop *loop, struct err_text *e)
{
    return thread_start(t, name, run_loop, loop, e);
}

void thread_join(struct thread *t)
{
    if (!t->started)
        return;
    (void)pthread_join(t->id, NULL);
    t->started = false;
}
