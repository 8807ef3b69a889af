/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the service actions of PERSISTENT RESERVE OUT do to the state. Internal to persist*.c. */
#ifndef USAN_SCSI_PERSIST_ACT_H
#define USAN_SCSI_PERSIST_ACT_H

#include "scsi/persist.h"

enum { /* SPC-6 table "PERSISTENT RESERVE OUT service action codes" */
       PR_OUT_REGISTER = 0x00,
       PR_OUT_RESERVE = 0x01,
       PR_OUT_RELEASE = 0x02,
       PR_OUT_CLEAR = 0x03,
       PR_OUT_PREEMPT = 0x04,
       PR_OUT_PREEMPT_AND_ABORT = 0x05,
       PR_OUT_REGISTER_AND_IGNORE = 0x06,
       PR_OUT_REGISTER_AND_MOVE = 0x07,
};

enum pr_verdict {
    PR_CHANGED, /* pr_change.next is to be put in force */
    PR_NOTHING, /* GOOD, and nothing changes */
    PR_CONFLICT,
    PR_BAD_CDB,   /* bad_byte, bad_bit say which field */
    PR_BAD_PARAM, /* likewise */
    PR_BAD_RELEASE,
    PR_FULL, /* no more registrations */
};

struct pr_change {
    /* what is asked */
    uint8_t sa, scope, type;
    uint64_t rk, sark; /* RESERVATION KEY, SERVICE ACTION RESERVATION KEY */
    bool spec_i_pt, all_tg_pt, aptpl, unreg;
    uint16_t rel_port;   /* REGISTER AND MOVE */
    const uint8_t *tids; /* TransportIDs, in the parameter list from byte tids_at on */
    size_t tids_len, tids_at;

    /* what comes of it */
    struct scsi_pr *next;
    uint16_t lost_ua; /* for nexuses that are no longer registered; 0 = none */
    uint16_t kept_ua; /* for the other registered nexuses; 0 = none */
    uint16_t bad_byte;
    int8_t bad_bit;
};

/* Change c->next, a copy of the state, as t asks for. */
enum pr_verdict scsi_pr_act(const struct scsi_task *t, struct pr_change *c);

#endif
