/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket of an attached store. One line is asked, lines are answered until the end:
 *
 *   show            KEY=VALUE lines; path.N.KEY=VALUE are of the N-th path of a multipath store
 *   detach          "ok", or "error TEXT": when the program has stopped and flushed, or refuses
 *   detach force    likewise, and the mount may be in use
 *
 * Only its owner can connect.
 */
#ifndef USAN_ATTACH_CONTROL_H
#define USAN_ATTACH_CONTROL_H

#include "attach/record.h"
#include "io/loop.h"

#include <stdio.h>

enum { CONTROL_CLIENTS_MAX = 16, CONTROL_LINE_MAX = 64, CONTROL_ANSWER_MAX = 16 << 20 };

struct control_client {
    struct loop_fd lfd; /* .fd -1: free */
    struct attach_control *control;
    char line[CONTROL_LINE_MAX];
    size_t len;
    char *answer; /* what it has not taken in yet stands from answer_at on; NULL: there is none */
    size_t answer_len, answer_at;
    bool waits; /* for the end of the program */
};

/* Of one thread, but init, open and fini, when that does not run. */
struct attach_control {
    struct loop_fd lfd; /* .fd -1: none */
    struct control_client clients[CONTROL_CLIENTS_MAX];
    void (*show)(struct attach_control *c, FILE *out);
    /* Begin to stop; false with a text if not. */
    bool (*detach)(struct attach_control *c, bool force, struct err_text *e);
};

void attach_control_init(struct attach_control *c);
USAN_MUST_CHECK
int attach_control_open(struct attach_control *c, struct loop *loop, const struct sockaddr_un *sa,
                        struct err_text *e);
/* Listen no more. Those who wait for the end go on waiting. */
void attach_control_close(struct attach_control *c);
/* Tell them how it ended: NULL = well. */
void attach_control_end(struct attach_control *c, const char *error);

/* ---- the other side ---- */

/* Ask; the whole answer is on the heap, ends with 0. USAN_ECLOSED: it does not answer, or says
 * nothing for so long: timeout_ms, -1 = none. USAN_ELIMIT: more than CONTROL_ANSWER_MAX. */
USAN_MUST_CHECK
int attach_control_ask(const struct sockaddr_un *sa, const char *line, int timeout_ms,
                       char **ret_answer, struct err_text *e);

enum { ATTACH_STATE_BYTES = 16 };

/* Ask the program of `name` in the run directory for its state: "attached"; "lost" or "given-up"
 * (requests fail) while the session of an iSCSI store is, or all paths are; "stopping". "silent" if
 * it does not answer soon. */
struct attach_state {
    char text[ATTACH_STATE_BYTES];
};
struct attach_state attach_control_state(const char *dir, const char *name);

#endif
