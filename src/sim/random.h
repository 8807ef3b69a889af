/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Randomness from a seed. Everything that draws has a stream of its own, so that one more thing
 * that draws changes nothing for the others. */
#ifndef USAN_SIM_RANDOM_H
#define USAN_SIM_RANDOM_H

#include "base/err.h"

#include <stdint.h>

struct sim_random {
    uint64_t state;
};

/* Who draws. */
enum sim_stream { SIM_STREAM_LOAD, SIM_STREAM_THINK, SIM_STREAM_DISK, SIM_STREAM_CORE };

void sim_random_init(struct sim_random *r, uint64_t seed, enum sim_stream who, uint32_t index);
uint64_t sim_random_64(struct sim_random *r);
/* 0 .. below - 1; below 0 gives 0. */
uint64_t sim_random_below(struct sim_random *r, uint64_t below);

/* How long something takes. */
enum sim_dist_kind {
    SIM_DIST_CONSTANT,    /* always a */
    SIM_DIST_UNIFORM,     /* from a to b */
    SIM_DIST_EXPONENTIAL, /* mean a */
    SIM_DIST_LOGNORMAL,   /* half of them up to a, 99 % up to b */
};

struct sim_dist {
    enum sim_dist_kind kind;
    uint64_t a_ns, b_ns;
};

enum { SIM_DIST_MAX_S = 60 }; /* longest time in a text */

/* "80us", "uniform 50us 200us", "exponential 80us", "lognormal 80us 2ms". USAN_EINVAL, why says
 * what is wrong. */
USAN_MUST_CHECK
int sim_dist_parse(const char *text, struct sim_dist *ret, struct err_text *why);
uint64_t sim_dist_draw(const struct sim_dist *d, struct sim_random *r);

#endif
