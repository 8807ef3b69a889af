/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which worlds this program has. */
#ifndef USAN_SIM_WORLD_H
#define USAN_SIM_WORLD_H

#include "sim/net.h"

#define SIM_WORLDS "pipe|ns3" /* there may be in any program */

/* NULL: not in this one. */
const struct sim_world *sim_world_find(const char *name);
/* One more, before the first is looked for; w is borrowed for ever. */
void sim_world_add(const struct sim_world *w);

#endif
