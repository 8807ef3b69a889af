/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening sockets. They live on reactor 0; an accepted connection goes to the reactor that has
 * the fewest.
 */
#ifndef USAN_TARGET_PORTAL_H
#define USAN_TARGET_PORTAL_H

#include "base/err.h"
#include "io/loop.h"
#include "io/socket.h"
#include "target/config.h"

#include <stdbool.h>
#include <stdint.h>

struct tgt;

struct tgt_portal {
    struct loop_fd lfd;
    struct loop_timer retry; /* out of descriptors: accept again a little later */
    struct tgt *tgt;
    bool watching;
    bool starved;  /* the last accept found no descriptor or memory, and the log says so */
    bool wildcard; /* bound to all addresses of the machine */
    uint16_t port; /* really bound */
    char text[SOCK_ADDR_TEXT_BYTES]; /* "ip:port" */
};

/* Bind and listen; e says what is wrong and what to do. tgt is borrowed. */
USAN_MUST_CHECK
int tgt_portal_open(struct tgt_portal *p, struct tgt *tgt, const struct tgt_config_portal *cfg,
                    struct err_text *e);
/* Take connections, from here on. On reactor 0's thread, as all that follow. */
USAN_MUST_CHECK
int tgt_portal_start(struct tgt_portal *p);
/* Close it; no effect if it is not open. Not watched any more when called from elsewhere. */
void tgt_portal_close(struct tgt_portal *p);

/* "HOST:PORT" a client can use: of a wildcard portal, with an address of this machine. */
void tgt_portal_url_host(const struct tgt_portal *p, char *buf, size_t cap);

#endif
