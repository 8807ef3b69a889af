/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a socket whose last bytes shall reach the peer. Closing it while something unread
 * waits in it makes the kernel send a reset, and that may take our last PDU (a Reject, a Logout or
 * Login Response) away from the peer. So: nothing more is sent, what still comes is thrown away
 * until the peer ends the connection too, or for a short while, and then it is closed.
 */
#ifndef USAN_TARGET_LINGER_H
#define USAN_TARGET_LINGER_H

#include "base/clock.h"

struct tgt_reactor;

#define TGT_LINGER_NS      (1 * NS_PER_SEC)
#define TGT_LINGER_STOP_NS (200 * NS_PER_MS) /* while the program stops */

enum {
    TGT_LINGER_BYTES_MAX = 16 << 20, /* thrown away; a peer that sends more gets the reset */
};

/* Take a socket over that is in no loop. On the reactor's thread; its conn_count counts the socket
 * until it is closed. */
void tgt_linger_start(struct tgt_reactor *r, int fd);
/* The program stops: whatever lingers ends within TGT_LINGER_STOP_NS. */
void tgt_linger_hurry(struct tgt_reactor *r);

#endif
