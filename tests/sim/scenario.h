/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fixed piece of work that has all of it: writes with immediate, unsolicited and solicited data,
 * reads, an aborted write, COMPARE AND WRITE, logout. For enumerated faults. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "sim.h"

/* The initiator is logged in. True if all of it was answered. */
bool scenario(struct sim_ini *ini);
/* Both initiators log in (again) and read everything. */
void scenario_verify(struct sim *sim);

#endif
