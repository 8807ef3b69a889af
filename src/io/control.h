/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control thread of a program that serves: its loop, and the signals it is told things by.
 * SIGTERM and SIGINT mean stop, SIGHUP reload, SIGUSR1 report; the caller has blocked them in all
 * threads.
 */
#ifndef USAN_IO_CONTROL_H
#define USAN_IO_CONTROL_H

#include "io/loop.h"

struct control {
    struct loop *loop; /* on epoll: it waits most of the time */
    struct loop_fd lfd;
    /* A signal has come; set before control_start(). */
    void (*on_signal)(struct control *c, int number);
    uint64_t stopping_ns; /* when it was told to stop; 0 = it was not */
};

enum control_wish { CONTROL_STOP, CONTROL_STOP_AT_ONCE, CONTROL_HEARD };

/* signals false: they are somebody else's. */
USAN_MUST_CHECK
int control_open(struct control *c, bool signals, struct err_text *e);
/* Hear signals from here on, when the loop runs. */
USAN_MUST_CHECK
int control_start(struct control *c, struct err_text *e);
/* Told to stop, by a signal or otherwise: what is to be done? A second time it is to be cut short,
 * but not within half a second: timeout(1) and terminals signal a process and its group, and so
 * close together that is one wish. */
enum control_wish control_told_to_stop(struct control *c);
/* Hear none any more. */
void control_end(struct control *c);
/* Nothing is registered with the loop any more. No effect on zeroes. */
void control_close(struct control *c);

#endif
