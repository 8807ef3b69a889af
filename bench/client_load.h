/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the loads through an initiator library share, whichever library it is: options, the request
 * that comes next, the time that is measured, the line that is printed.
 */
#ifndef USAN_BENCH_CLIENT_LOAD_H
#define USAN_BENCH_CLIENT_LOAD_H

#include "measure.h"

#include <stdbool.h>

#define CLIENT_DEPTH_MAX 1024u

struct client_load {
    uint32_t io_bytes, depth;
    bool write, sequential;
    double seconds, warmup;
    int cpu; /* to run on; -1: any */
    const char *url;

    uint64_t slots; /* the disk in units of io_bytes: set by who opened it */
    uint64_t next, rng;
    void *written; /* by all writes */
    uint64_t begin_ns, end_ns;
    uint64_t from_ns, from_cpu, from_done, to_ns, to_cpu; /* of what is measured */
    uint64_t done;
    struct hist latency;
};

/* An option of one program, "-r". */
struct client_flag {
    const char *help;
    bool set;
};

/* Options of the command line into *ret_load. `name` and `argument` are for the usage text; `flag`
 * (NULL: none) says what "-r" does. Ends the process with 2
 * when the command line is wrong. */
void client_load_parse(int argc, char **argv, const char *name, const char *argument,
                       struct client_flag *flag, struct client_load *ret_load);

/* The disk is open: the time runs from now on. */
void client_load_begin(struct client_load *l);
/* A buffer of io_bytes for one more request: of its own to read into, one for all writes, so that
 * it stays in the processor's cache as rawload's does. Nobody frees it. */
void *client_load_buffer(struct client_load *l);
/* Byte offset of the next request. */
uint64_t client_load_offset(struct client_load *l);
/* Begins to measure after the warm-up; false when enough is measured. */
bool client_load_on_time(struct client_load *l, uint64_t now_ns);
/* A request is over. */
void client_load_done(struct client_load *l, uint64_t start_ns, uint64_t now_ns);
/* One line of key=value; ends the process when no request finished in time. */
void client_load_print(const struct client_load *l);

#endif
