/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an initiator asks of the unit: so many requests at a time, each followed by another one. */
#include "base/bytes.h"
#include "scsi/scsi.h"
#include "sim/ini.h"

#include <stdlib.h>
#include <string.h>

enum { OP_TEST_UNIT_READY = 0x00, OP_READ_16 = 0x88, OP_WRITE_16 = 0x8a };
/* After BUSY, TASK SET FULL and the like. */
enum { AGAIN_MS = 10 };

static void submit(struct sim_slot *slot)
{
    struct sim_ini *ini = slot->ini;
    int err = iscsi_isess_submit(ini->sess, &slot->cmd);
    if (err)
        sim_fail(ini->sim, USAN_EIO, "initiator %u can not send a command: %s", ini->index + 1,
                 usan_strerror(err));
    sim_ini_wake(ini);
}

/* ---- requests ---- */

static uint64_t pick(struct sim_ini *ini)
{
    if (ini->sim->sc->load.pattern == SIM_PATTERN_RANDOM)
        return sim_random_below(&ini->random, ini->blocks);
    uint64_t at = ini->next;
    ini->next = at + 1 < ini->blocks ? at + 1 : 0;
    return at;
}

static void begin(struct sim_slot *slot)
{
    struct sim_ini *ini = slot->ini;
    struct sim *sim = ini->sim;
    const struct sim_load_config *l = &sim->sc->load;
    struct iscsi_icmd *c = &slot->cmd;
    uint32_t per = l->block_bytes / sim->sc->target.disk.block_bytes;
    if (ini->ending)
        return;
    slot->op = sim_random_below(&ini->random, 100) < l->read_percent ? SIM_READ : SIM_WRITE;
    slot->cdb[0] = slot->op == SIM_READ ? OP_READ_16 : OP_WRITE_16;
    be64_put(slot->cdb + 2, (ini->first_block + pick(ini)) * per);
    be32_put(slot->cdb + 10, per);
    int n = sim_scratch(sim, l->block_bytes, slot->iov);
    bool read = slot->op == SIM_READ;
    c->in = read ? slot->iov : NULL;
    c->in_cnt = read ? n : 0;
    c->in_len = read ? l->block_bytes : 0;
    c->out = read ? NULL : slot->iov;
    c->out_cnt = read ? 0 : n;
    c->out_len = read ? 0 : l->block_bytes;
    slot->start_ns = sim->clock.now_ns;
    slot->used = true;
    ini->active++;
    submit(slot);
}

static void fired(struct sim_timer *t)
{
    struct sim_slot *slot = list_entry(t, struct sim_slot, timer);
    if (slot->used)
        submit(slot);
    else
        begin(slot);
}

static void slot_init(struct sim_ini *ini, struct sim_slot *slot)
{
    slot->ini = ini;
    sim_timer_init(&slot->timer, fired);
    slot->cmd.cdb = slot->cdb;
    slot->cmd.cdb_len = sizeof(slot->cdb);
    slot->cmd.attr = SCSI_ATTR_SIMPLE;
    slot->cmd.sense = slot->sense;
    slot->cmd.sense_cap = sizeof(slot->sense);
    slot->cmd.user = slot;
}

/* ---- answers ---- */

/* The same once more. A unit attention says nothing of the command (SAM-6 5.14), the target was
 * busy, or the connection was lost: then the core keeps it until there is another one. */
static bool again(struct sim_slot *slot)
{
    const struct iscsi_icmd *c = &slot->cmd;
    struct sim *sim = slot->ini->sim;
    bool attention = c->status == SCSI_STATUS_CHECK_CONDITION && c->sense_len > 2 &&
                     (slot->sense[2] & 0x0f) == 6; /* fixed format, SPC-6 4.4.3 */
    bool busy = c->status == SCSI_STATUS_BUSY || c->status == SCSI_STATUS_TASK_SET_FULL ||
                c->status == SCSI_STATUS_TASK_ABORTED;
    if (!c->err && !attention && !busy)
        return false;
    sim->result->repeated += sim->measuring;
    sim_timer_in(&sim->clock, &slot->timer, busy && !c->err ? AGAIN_MS * NS_PER_MS : 0);
    return true;
}

static void probe_done(struct sim_slot *slot)
{
    struct sim_ini *ini = slot->ini;
    if (again(slot))
        return;
    slot->used = false;
    ini->active--;
    if (slot->cmd.status) {
        sim_fail(ini->sim, USAN_EIO, "the unit answers initiator %u with status %02xh",
                 ini->index + 1, slot->cmd.status);
        return;
    }
    ini->ready = true;
    sim_ini_ready(ini->sim);
    for (uint32_t i = 0; i < ini->sim->sc->load.depth; i++)
        begin(&ini->slots[i]);
}

void sim_load_done(struct sim_slot *slot)
{
    struct sim_ini *ini = slot->ini;
    struct sim *sim = ini->sim;
    if (slot == &ini->probe) {
        probe_done(slot);
        return;
    }
    if (!ini->ending && again(slot))
        return;
    slot->used = false;
    ini->active--;
    if (sim->measuring && slot->cmd.status == SCSI_STATUS_GOOD)
        hist_add(&sim->result->latency[slot->op], sim->clock.now_ns - slot->start_ns);
    else
        sim->result->failed += sim->measuring;
    if (!ini->ending)
        sim_timer_in(&sim->clock, &slot->timer, sim_dist_draw(&sim->sc->load.think, &ini->think));
}

/* ---- life ---- */

void sim_load_probe(struct sim_ini *ini)
{
    slot_init(ini, &ini->probe);
    ini->probe.cdb[0] = OP_TEST_UNIT_READY;
    ini->probe.cmd.cdb_len = 6;
    ini->probe.used = true;
    ini->active++;
    submit(&ini->probe);
}

int sim_load_init(struct sim_ini *ini)
{
    const struct sim_scenario *sc = ini->sim->sc;
    sim_random_init(&ini->random, sc->seed, SIM_STREAM_LOAD, ini->index);
    sim_random_init(&ini->think, sc->seed, SIM_STREAM_THINK, ini->index);
    ini->blocks = sc->target.disk.size_bytes / sc->load.block_bytes / sc->initiator.count;
    ini->first_block = ini->index * ini->blocks;
    ini->slots = calloc(sc->load.depth, sizeof(*ini->slots));
    for (uint32_t i = 0; ini->slots && i < sc->load.depth; i++)
        slot_init(ini, &ini->slots[i]);
    return ini->slots ? 0 : USAN_ENOMEM;
}

void sim_load_fini(struct sim_ini *ini)
{
    sim_timer_cancel(&ini->sim->clock, &ini->probe.timer);
    for (uint32_t i = 0; ini->slots && i < ini->sim->sc->load.depth; i++)
        sim_timer_cancel(&ini->sim->clock, &ini->slots[i].timer);
    free(ini->slots);
    ini->slots = NULL;
}
