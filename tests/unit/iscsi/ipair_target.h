/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The target of the pair: its device, and who owns it. Only ipair.c uses this. */
#ifndef TESTS_IPAIR_TARGET_H
#define TESTS_IPAIR_TARGET_H

#include "ipair.h"

enum { PAIR_READ_10 = 0x28, PAIR_WRITE_10 = 0x2a, PAIR_BIDI_10 = 0x53 };
/* Room the device needs in each task. */
enum { PAIR_PRIV = 2 * sizeof(struct iovec) };

/* Drop all tasks of the target's session. */
void pair_drop_tasks(struct pair *p);
/* Take the events of a connection, or of the session apart from them. True: there were some. */
bool pair_target_events(struct pair_conn *c);
bool pair_target_session(struct pair *p);

#endif
