/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where clients connect: one listening socket, and the connections handed to the reactors. */
#ifndef USAN_ATTACH_LISTEN_H
#define USAN_ATTACH_LISTEN_H

#include "attach/attach.h"
#include "attach/reactor.h"

#include <sys/stat.h>
#include <sys/un.h>

struct attach_listener {
    const struct attach_config *cfg;
    struct attach_reactor **reactors; /* borrowed; the first one accepts */
    unsigned reactor_count;
    struct loop_fd lfd; /* .fd -1: not open */
    bool watching;
    struct loop_timer retry; /* out of descriptors: look again then */
    uint64_t complained_ns;
    struct sockaddr_un path; /* of a Unix socket; sun_path[0] == 0: none */
    dev_t dev;               /* ... and which file it is */
    ino_t ino;
    char *uri;
};

/* A front end of the configuration: its kind and its place. USAN_EINVAL with a text. */
USAN_MUST_CHECK
int attach_listener_check(const char *front, struct err_text *e);
/* Listen; nothing is accepted yet. e says why not. l is to be closed in any case. */
USAN_MUST_CHECK
int attach_listener_open(struct attach_listener *l, const struct attach_config *cfg,
                         const char *front, struct err_text *e);
/* Accept from now on; the reactors do not run yet. */
USAN_MUST_CHECK
int attach_listener_start(struct attach_listener *l, struct attach_reactor **reactors,
                          unsigned count);
/* Accept no more, remove the path; on the first reactor's thread, or when that does not run.
 * Again does nothing. The URI stays. */
void attach_listener_close(struct attach_listener *l);
void attach_listener_free(struct attach_listener *l);

#endif
