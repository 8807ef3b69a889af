/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Worlds that other programs have. */
#ifndef USAN_CLI_SIM_WORLD_H
#define USAN_CLI_SIM_WORLD_H

#include "base/err.h"

/* Become the program that has this world, with the command "sim run" and these arguments. Returns
 * only if that can not be; e says why. */
int cli_sim_become(const char *world, int argc, char *const *argv, struct err_text *e);

#endif
