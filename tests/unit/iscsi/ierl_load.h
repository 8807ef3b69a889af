/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A load on the pair of ipair.h whose wires are bad, and an owner who connects again. */
#ifndef TESTS_IERL_LOAD_H
#define TESTS_IERL_LOAD_H

#include "ipair.h"

enum { IERL_CMDS = 12, IERL_BLOCKS = 8 };

/* Commands 1, 3, ... write, 5, 11, ... read at the same time; the others read; each blocks of its
 * own. */
struct ierl_load {
    unsigned cmds, conns;
    uint16_t blocks; /* of each */
    struct pair_cmd cmd[IERL_CMDS];
    uint8_t buf[IERL_CMDS][IERL_BLOCKS * PAIR_BLOCK], in[IERL_CMDS][IERL_BLOCKS * PAIR_BLOCK];
    uint8_t round;
    uint16_t cid;    /* of the next connection */
    unsigned losses; /* sessions */
    unsigned unsure; /* commands that came back with `sent`, and were sent again */
};

/* Digests, pings, Time2Wait of a second, this recovery level; all else as it is in p. */
void ierl_config(struct pair *p, uint8_t level);
/* Log in on all connections. The wires count from here on: logins have no digests. */
void ierl_begin(struct pair *p, struct ierl_load *l);
/* All commands, with other data than in the last round. */
void ierl_submit(struct pair *p, struct ierl_load *l);
/* Until all are done and all connections are there; false: that takes too long. `more` (may be
 * NULL) is called every tenth of a second. */
bool ierl_finish(struct pair *p, struct ierl_load *l, void (*more)(struct pair *p));
bool ierl_done(const struct ierl_load *l);
/* Each command is done once, with the right data, and nothing is left. */
void ierl_check(const struct pair *p, struct ierl_load *l);

#endif
