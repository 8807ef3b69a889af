/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

void initiator_map(struct world *w, unsigned reactor, unsigned unit)
{
    struct initiator *it = &w->initiators[reactor];
    bool read_only = reactor == 1 && (w->setup & SETUP_READ_ONLY);
    int err = scsi_nexus_map(it->nexus, unit, w->units[unit].lanes[reactor], read_only);
    must(err == 0 || err == USAN_EEXIST || err == USAN_ENOMEM);
    settle(w, reactor);
}

static void initiator_share(struct world *w, unsigned reactor)
{
    struct initiator *it = &w->initiators[reactor];
    unsigned other = 1 - reactor;
    scsi_nexus_share(it->nexus);
    it->branch = scsi_branch_new(it->nexus);
    for (unsigned u = 0; u < UNITS && it->branch; u++) {
        int err = scsi_branch_map(it->branch, u, w->units[u].lanes[other]);
        must(err == 0 || err == USAN_ENOENT || err == USAN_ENOMEM);
        settle(w, other);
    }
}

bool initiator_idle(const struct initiator *it)
{
    return scsi_nexus_tasks(it->nexus) == 0 && (!it->branch || scsi_branch_tasks(it->branch) == 0);
}

void initiator_abort(struct world *w, unsigned reactor, uint64_t lun)
{
    struct initiator *it = &w->initiators[reactor];
    scsi_nexus_abort(it->nexus, lun);
    settle(w, reactor);
    if (it->branch) {
        scsi_branch_abort(it->branch, lun);
        settle(w, 1 - reactor);
    }
}

void initiator_free(struct world *w, unsigned reactor)
{
    struct initiator *it = &w->initiators[reactor];
    scsi_branch_free(it->branch);
    it->branch = NULL;
    settle(w, 1 - reactor);
    scsi_nexus_free(it->nexus);
    it->nexus = NULL;
    settle(w, reactor);
}

void initiator_new(struct world *w, unsigned reactor)
{
    static const char *const names[] = { "iqn.2001-04.com.example:a,i,0x800000000001",
                                         "iqn.2001-04.com.example:b,i,0x800000000002" };
    uint8_t id[4 + 44] = { 0x45, 0, 0, 44 }; /* SPC-6 7.6.4.6 */
    memcpy(id + 4, names[reactor], strlen(names[reactor]));
    struct scsi_nexus_config cfg = {
        .initiator_port = names[reactor],
        .target_port = "iqn.2001-04.com.example:t,t,0x0001",
        .target_device = "iqn.2001-04.com.example:t",
        .rel_target_port = (uint16_t)(1 + reactor),
        .target_port_group = (uint16_t)(1 + reactor),
        .protocol_id = 5,
        .transport_id = id,
        .transport_id_len = sizeof id,
    };
    struct initiator *it = &w->initiators[reactor];
    it->nexus = scsi_nexus_new(&cfg, &w->a);
    it->life = LIFE_GOOD;
    it->branch = NULL;
    for (unsigned u = 0; u < UNITS && it->nexus; u++)
        initiator_map(w, reactor, u);
    if (it->nexus && (w->setup & SETUP_SHARED))
        initiator_share(w, reactor);
}

/* What had to wait until a nexus has no tasks. */
void bury(struct world *w, unsigned reactor)
{
    struct initiator *it = &w->initiators[reactor];
    if (it->life == LIFE_GOOD || !initiator_idle(it))
        return;
    if (it->life == LIFE_TO_UNMAP)
        scsi_nexus_unmap(it->nexus, it->unmap);
    else
        initiator_free(w, reactor);
    it->life = LIFE_GOOD;
    settle(w, reactor);
}
