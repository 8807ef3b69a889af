/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parameter lists of PERSISTENT RESERVE OUT (SPC-6 6.17). */
#ifndef USAN_CLI_PR_OUT_H
#define USAN_CLI_PR_OUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Service actions, SPC-6 table 240. */
enum pr_out {
    PR_REGISTER = 0,
    PR_RESERVE = 1,
    PR_RELEASE = 2,
    PR_CLEAR = 3,
    PR_PREEMPT = 4,
    PR_PREEMPT_AND_ABORT = 5,
    PR_REGISTER_AND_IGNORE = 6,
    PR_REGISTER_AND_MOVE = 7,
};

enum {
    PR_LIST_BYTES = 24, /* without TransportIDs */
    PR_ID_BYTES = 248, /* of the longest TransportID: 4, name 223, ",i,0x", ISID 12, NUL, padding */
    PR_IDS_MAX = 32,
    PR_OUT_BYTES = PR_LIST_BYTES + 4 + PR_IDS_MAX * PR_ID_BYTES,
};

struct pr_out_list {
    enum pr_out code;
    uint64_t key, service; /* RESERVATION KEY, SERVICE ACTION RESERVATION KEY */
    bool aptpl, all_ports;
    bool unregister;           /* of a move: the one that it leaves */
    uint16_t to_port;          /* of a move: RELATIVE TARGET PORT IDENTIFIER */
    const char *const *others; /* of a move one: whereto; of REGISTER: for whom, too (SPEC_I_PT) */
    size_t other_count;
};

/* The ISID of `usan pr`, of one name always the same: a registration belongs to an I_T nexus, and
 * that to the ISID. Type 10b, random (RFC 7143 11.12.5). */
void pr_isid(const char *initiator, uint8_t ret_isid[6]);

/* Lay the list out and tell its length. USAN_EINVAL with a text: one of others is no name of an
 * iSCSI initiator, "NAME" (with the ISID of pr_isid()) or "NAME,i,0xISID"; USAN_ELIMIT: there are
 * more than PR_IDS_MAX. */
USAN_MUST_CHECK
int pr_out_build(const struct pr_out_list *l, uint8_t ret_list[PR_OUT_BYTES], size_t *ret_len,
                 struct err_text *e);

#endif
