/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A load on the pair of ipair.h: several commands at a time, each on a part of the disk of its own.
 */
#ifndef TESTS_IPAIR_LOAD_H
#define TESTS_IPAIR_LOAD_H

#include "ipair.h"

enum { PAIR_LANES = 6 };

/* Reads and writes whose results are compared with a model of the disk. */
void pair_load(struct pair *p, unsigned rounds);
/* Close the session in order. */
void pair_log_out(struct pair *p);

#endif
