/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every transition of every session and connection of a simulation, of both roles, in the order of
 * simulated time. Names come from the tables that drive the code (RFC 7143 section 8). */
#ifndef USAN_SIM_TIMELINE_H
#define USAN_SIM_TIMELINE_H

#include "base/err.h"
#include "iscsi/steps.h"

#include <stddef.h>

struct sim_step {
    uint64_t at_ns;
    enum iscsi_role role;
    uint32_t initiator; /* whose session or connection it is, from 1 on */
    bool session;
    int32_t cid;                   /* of a connection; -1: not known before the login */
    const char *transition;        /* "T5", "N3", "M1" */
    const char *from, *to, *event; /* "S4 IN_LOGIN"; what happened, in words */
};

struct sim_timeline {
    struct sim_step *v;
    size_t count, cap;
};

/* Take what the log has; who: whose all of it is. USAN_ENOMEM; USAN_ELIMIT: the log had no room for
 * some. */
USAN_MUST_CHECK
int sim_timeline_take(struct sim_timeline *t, struct iscsi_steps *log,
                      uint32_t (*who)(void *ctx, const struct iscsi_step *step), void *ctx);
void sim_timeline_free(struct sim_timeline *t);

#endif
