/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store attached to front ends: what `usan attach` runs. NBD on Unix sockets and on TCP; a file
 * or a loop device through FUSE.
 */
#ifndef USAN_ATTACH_ATTACH_H
#define USAN_ATTACH_ATTACH_H

#include "base/err.h"
#include "front/front.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    ATTACH_REACTORS_MAX = 256,
    ATTACH_FRONTS_MAX = 64,
    ATTACH_CONNECTIONS_MAX = 1 << 20,
};

/* Requests under way and flushing have that long when the program is told to stop. */
#define ATTACH_GIVE_UP_NS (4500 * NS_PER_MS)

struct attach_config {         /* all borrowed until attach_free() */
    const char *store;         /* specification */
    const char *const *fronts; /* "nbd:unix:PATH", "nbd:tcp:HOST:PORT", "fuse:DIR" */
    size_t front_count;
    struct front_config front;
    bool read_only;
    uint32_t cores;        /* reactors; 0 = one for each processor */
    uint32_t connections;  /* at one time */
    uint64_t memory_bytes; /* for the data of requests, at least ATTACH_MEMORY_MIN */
    mode_t mode;           /* permissions of Unix sockets and of files */
    bool loop;             /* a loop device over each file */
    enum loop_engine_kind engine;
    enum loop_poll_mode poll;
};

/* Two of the largest requests, in what the pools of a few reactors leave. */
#define ATTACH_MEMORY_MIN (128ull << 20)

struct attach;

/* What can be said without opening anything: a front end that is not known, names that are too
 * long. USAN_EINVAL with a text. */
USAN_MUST_CHECK
int attach_check(const struct attach_config *cfg, struct err_text *e);
/* Open the store, listen and mount; nothing is served yet. On failure nothing is left behind and e
 * says why. SIGTERM, SIGINT, SIGHUP and SIGUSR1 are blocked in the calling thread. */
USAN_MUST_CHECK
int attach_new(const struct attach_config *cfg, struct attach **ret_a, struct err_text *e);
/* Serve from here on. On failure free the object. */
USAN_MUST_CHECK
int attach_start(struct attach *a, struct err_text *e);
/* What clients reach the store by, the i-th; NULL past the last. After attach_start(). */
const char *attach_uri(const struct attach *a, size_t i);
/* The name by which it is listed; "" = it is not. After attach_start(). */
const char *attach_name(const struct attach *a);
/*
 * Wait for SIGTERM, SIGINT or somebody who asks for the end, and stop. 0; or USAN_ETIMEOUT:
 * requests hang in the store, then the object must not be freed; or the error of a flush at the
 * end.
 */
USAN_MUST_CHECK
int attach_run(struct attach *a, struct err_text *e);
/* As SIGTERM does; after attach_start() and before attach_run(). */
void attach_ask_to_stop(struct attach *a);
/* a may be NULL. */
void attach_free(struct attach *a);

#endif
