/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A log of the transitions that the state machines of sessions and connections take, for owners
 * that draw time-lines: in their own memory, which outlives all objects that were given it. One
 * thread uses it, with all of those.
 */
#ifndef USAN_ISCSI_STEPS_H
#define USAN_ISCSI_STEPS_H

#include "iscsi/role.h"

#include <stdbool.h>
#include <stdint.h>

enum { ISCSI_STEPS_MAX = 64 }; /* until the owner has taken them */

struct iscsi_step {
    uint64_t at_ns;
    enum iscsi_role role;
    bool session;             /* sess_fsm.h has the states and events, else conn_fsm.h */
    uint16_t tsih, cid;       /* 0 as long as they are not known */
    void *user;               /* a connection of a target that was not lost: its owner's */
    unsigned from, event, to; /* enumerators of these headers */
    const char *transition;   /* "T5"; a static string */
};

struct iscsi_steps {
    const uint64_t *now_ns; /* the owner's clock */
    uint32_t count, dropped;
    struct iscsi_step v[ISCSI_STEPS_MAX];
};

/* log may be NULL. */
static inline void iscsi_steps_add(struct iscsi_steps *log, const struct iscsi_step *step)
{
    if (!log)
        return;
    if (log->count == ISCSI_STEPS_MAX) {
        log->dropped++;
        return;
    }
    log->v[log->count] = *step;
    log->v[log->count++].at_ns = *log->now_ns;
}

#endif
