/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a read may return. Every write is a version of its blocks with an interval: from the step at
 * which the initiator sent it to the one at which its end was known. A version v may be read at
 * [start, now] unless another write began after v had ended and was in force before the read began.
 * A version that was read is in force from then on. Of two writes of one initiator, of which one is
 * ORDERED and none HEAD OF QUEUE, the earlier may not be read once the later is in force (SAM-6
 * 8.6.3).
 */
#include "sim.h"

#include <stdlib.h>

/* version and LBA, then bytes that follow from both: no two blocks share a piece */
void sim_fill(uint8_t *block, uint32_t lba, uint32_t version)
{
    uint64_t x = ((uint64_t)version << 32 | lba) * 0x9e3779b97f4a7c15ull + 1;
    be32_put(block, version);
    be32_put(block + 4, lba);
    for (int i = 8; i < SIM_BLOCK; i += 8) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        be64_put(block + i, x);
    }
}

uint32_t sim_block_version(struct sim *sim, uint32_t lba, const uint8_t *block)
{
    uint8_t want[SIM_BLOCK];
    uint32_t version = be32_get(block);
    sim_fill(want, lba, version);
    if (memcmp(want, block, SIM_BLOCK) != 0) {
        int at = 0;
        while (want[at] == block[at])
            at++;
        sim_violation(sim, "block %u is torn: version %u up to byte %d", lba, version, at);
    }
    return version;
}

static struct sim_write *find(struct sim_block *b, uint32_t version)
{
    for (size_t i = b->count; i-- > 0;) {
        if (b->w[i].version == version)
            return &b->w[i];
    }
    return NULL;
}

static void add(struct sim_block *b, const struct sim_write *w)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->w = realloc(b->w, b->cap * sizeof(*b->w));
        if (!b->w)
            abort();
    }
    b->w[b->count++] = *w;
}

uint32_t sim_write_begin(struct sim *sim, unsigned writer, uint8_t attr, uint32_t lba, uint32_t n)
{
    uint32_t version = ++sim->versions;
    if (version >= SIM_VERSIONS) {
        sim_violation(sim, "too many writes for one run");
        return 0;
    }
    sim->writer[version] = (uint8_t)writer;
    sim->steps++;
    for (uint32_t i = lba; i < lba + n; i++) {
        if (sim->blocks[i].count == 0)
            add(&sim->blocks[i], &(struct sim_write){ 0 }); /* what was there first */
        add(&sim->blocks[i], &(struct sim_write){

                                 .version = version,
                                 .attr = attr,
                                 .writer = (uint8_t)writer,
                                 .start = sim->steps,
                                 .end = UINT64_MAX,
                                 .eff = UINT64_MAX });
    }
    return version;
}

void sim_write_end(struct sim *sim, uint32_t lba, uint32_t n, uint32_t version, enum sim_fate fate)
{
    sim->steps++;
    sim->ended[version] = true;
    for (uint32_t i = lba; i < lba + n; i++) {
        struct sim_write *w = find(&sim->blocks[i], version);
        if (!w)
            abort();
        w->end = sim->steps;
        if (fate == SIM_DONE && sim->steps < w->eff)
            w->eff = sim->steps;
        if (fate == SIM_NEVER) {
            w->never = true;
            if (w->eff != UINT64_MAX)
                sim_violation(sim, "block %u: version %u was read, then said not to be written", i,
                              version);
        }
    }
}

/* Must v have taken effect before w could? */
static bool before(const struct sim_write *v, const struct sim_write *w)
{
    if (w->start > v->end)
        return true;
    return v->attr && w->attr && v->writer == w->writer && v->version < w->version &&
           v->attr != SCSI_ATTR_HEAD_OF_QUEUE && w->attr != SCSI_ATTR_HEAD_OF_QUEUE &&
           (v->attr == SCSI_ATTR_ORDERED || w->attr == SCSI_ATTR_ORDERED);
}

static void check_block(struct sim *sim, uint32_t lba, uint32_t version, uint64_t start)
{
    struct sim_block *b = &sim->blocks[lba];
    if (b->count == 0) {
        if (version != 0)
            sim_violation(sim, "block %u: version %u was never written", lba, version);
        return;
    }
    struct sim_write *v = find(b, version);
    if (!v || v->never) {
        sim_violation(sim, "block %u: version %u was %s", lba, version,
                      v ? "refused, and is there" : "never written");
        return;
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct sim_write *w = &b->w[i];
        if (before(v, w) && w->eff < start) {
            sim_violation(sim,
                          "block %u: reads version %u, which ended at %llu; version %u began at "
                          "%llu and was in force at %llu, before the read began at %llu",
                          lba, version, (unsigned long long)v->end, w->version,
                          (unsigned long long)w->start, (unsigned long long)w->eff,
                          (unsigned long long)start);
            return;
        }
    }
    if (sim->steps < v->eff)
        v->eff = sim->steps;
}

void sim_read_check(struct sim *sim, uint32_t lba, uint32_t n, const uint8_t *data, uint64_t start)
{
    sim->steps++;
    for (uint32_t i = 0; i < n && !sim->bad[0]; i++) {
        uint32_t version = sim_block_version(sim, lba + i, data + i * SIM_BLOCK);
        if (!sim->bad[0])
            check_block(sim, lba + i, version, start);
    }
}

void sim_caw_check(struct sim *sim, uint32_t lba, uint32_t expect, uint64_t start)
{
    sim->steps++;
    check_block(sim, lba, expect, start);
    struct sim_write *v = find(&sim->blocks[lba], expect);
    if (v && v->replaced)
        sim_violation(sim, "block %u: two COMPARE AND WRITE found version %u", lba, expect);
    if (v)
        v->replaced = true;
}
