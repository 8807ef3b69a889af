/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

static void pump(struct world *w, unsigned reactor)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (unsigned u = 0; u < UNITS; u++) {
            struct scsi_task *t;
            while ((t = scsi_lane_next(w->units[u].lanes[reactor]))) {
                moved = true;
                must(t->want != SCSI_WANT_WAIT);
                if (t->nexus)
                    drive(w, t->user);
                else
                    background_drive(w, t);
            }
        }
    }
    for (unsigned u = 0; u < UNITS; u++)
        w->units[u].polls |= scsi_lu_take_kicks(w->units[u].lu);
}

void admin_try(struct unit *u, unsigned reactor)
{
    struct scsi_lane *lane = u->lanes[reactor];
    uint64_t v = u->admin[reactor].value;
    int err = 0;
    switch (u->admin[reactor].what) {
    case ADMIN_NONE:
        return;
    case ADMIN_SIZE:
        err = scsi_lu_set_block_count(lane, v);
        must(err == 0 || err == USAN_EAGAIN);
        break;
    case ADMIN_ALUA:
        err = scsi_lu_set_alua(lane, (uint16_t)(v >> 8), (enum scsi_alua_state)(v & 0xf));
        break;
    }
    if (err != USAN_EAGAIN)
        u->admin[reactor].what = ADMIN_NONE;
}

void poll_all(struct world *w)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (unsigned i = 0; i < UNITS * REACTORS; i++) {
            struct unit *u = &w->units[i / REACTORS];
            unsigned reactor = i % REACTORS;
            if (!(u->polls >> reactor & 1))
                continue;
            must(++w->steps < STEPS_MAX);
            u->polls &= ~(UINT64_C(1) << reactor);
            scsi_lane_poll(u->lanes[reactor]);
            admin_try(u, reactor);
            pump(w, reactor);
            moved = true;
        }
        must((w->units[0].polls | w->units[1].polls) < 1u << REACTORS);
    }
}

/* After any call on lanes of this reactor. */
void settle(struct world *w, unsigned reactor)
{
    pump(w, reactor);
    if (!w->hold_polls)
        poll_all(w);
}
