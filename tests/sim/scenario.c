/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scenario.h"

/* Ends of ops are not looked at here: with faults about, any may be missing. The model, and the
 * checks of the initiator, say whether it was right. */
static bool go(struct sim *sim, struct sim_op *op)
{
    return op && sim_wait(sim, op);
}

bool scenario(struct sim_ini *ini)
{
    static const uint8_t inquiry[16] = { 0x12, 0, 0, 0, 96 };
    struct sim *sim = ini->sim;
    struct sim_op *a, *b;
    if (!sim_clear_ua(ini))
        return false;
    /* one block: immediate data; 8 blocks: unsolicited too; 16: R2T */
    if (!go(sim, sim_write(ini, 3, 1)) || !go(sim, sim_write(ini, 10, 8)) ||
        !go(sim, sim_write(ini, 20, 16)))
        return false;
    if (!go(sim, sim_read(ini, 0, 16)) || !go(sim, sim_cdb(ini, inquiry, NULL, 0, 96)))
        return false;
    a = sim_write(ini, 20, 16);
    b = sim_read(ini, 16, 16);
    struct sim_op *abort = a ? sim_tmf(ini, 1, a) : NULL;
    if (!a || !b || !go(sim, abort) || !go(sim, b))
        return false;
    if (!go(sim, sim_write(ini, 22, 4)))
        return false;
    if (!go(sim, sim_caw(ini, 3, be32_get(sim->disk.data + 3 * SIM_BLOCK))))
        return false;
    return go(sim, sim_logout(ini));
}

void scenario_verify(struct sim *sim)
{
    for (unsigned i = 0; i < sim->opt.inis; i++)
        sim_verify(sim->inis[i]);
}
