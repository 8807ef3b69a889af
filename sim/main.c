/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan with the world of ns-3. A program of its own: `usan` runs it when a scenario asks for that
 * world, and needs neither ns-3 nor C++ itself. */
#include "cli/command.h"
#include "net_ns3.h"
#include "sim/world.h"

int main(int argc, char **argv)
{
    sim_world_add(&sim_world_ns3);
    return cli_main(argc, argv);
}
