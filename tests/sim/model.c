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

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, SIM_BLOCK - 1) == 0;
}

static struct sim_write *find(struct sim_block *b, uint32_t version)
{
    for (size_t i = b->count; i-- > 0;) {
        if (b->w[i].version == version)
            return &b->w[i];
    }
    return NULL;
}

void sim_content(struct sim *sim, uint8_t *block, uint32_t lba, uint32_t version)
{
    const struct sim_write *w = find(&sim->blocks[lba], version);
    if (w && w->zero)
        memset(block, 0, SIM_BLOCK);
    else
        sim_fill(block, version && sim->same[version] ? sim->same[version] - 1u : lba, version);
}

uint32_t sim_block_version(struct sim *sim, uint32_t lba, const uint8_t *block)
{
    uint8_t want[SIM_BLOCK];
    uint32_t version = be32_get(block);
    if (is_zero(block))
        return SIM_ZERO;
    if (version >= SIM_VERSIONS)
        version = 0; /* torn at its start */
    sim_content(sim, want, lba, version);
    if (memcmp(want, block, SIM_BLOCK) != 0) {
        int at = 0;
        while (want[at] == block[at])
            at++;
        sim_violation(sim, "block %u is torn: version %u up to byte %d", lba, version, at);
    }
    return version;
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

static uint32_t begin(struct sim *sim, unsigned writer, uint8_t attr, uint32_t lba, uint32_t n,
                      bool zero)
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
            add(&sim->blocks[i], &(struct sim_write){ .durable = true }); /* what was there first */
        add(&sim->blocks[i], &(struct sim_write){ .version = version,
                                                  .attr = attr,
                                                  .writer = (uint8_t)writer,
                                                  .zero = zero,
                                                  .start = sim->steps,
                                                  .end = UINT64_MAX,
                                                  .eff = UINT64_MAX });
    }
    return version;
}

uint32_t sim_write_begin(struct sim *sim, unsigned writer, uint8_t attr, uint32_t lba, uint32_t n)
{
    return begin(sim, writer, attr, lba, n, false);
}

uint32_t sim_zero_begin(struct sim *sim, unsigned writer, uint8_t attr, uint32_t lba, uint32_t n)
{
    return begin(sim, writer, attr, lba, n, true);
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

void sim_write_unordered(struct sim *sim, uint32_t lba, uint32_t n, uint32_t version)
{
    for (uint32_t i = lba; i < lba + n; i++) {
        struct sim_write *w = find(&sim->blocks[i], version);
        if (w)
            w->attr = 0;
    }
}

/* ---- what a loss of power may undo ---- */

void sim_write_durable(struct sim *sim, uint32_t lba, uint32_t n, uint32_t version)
{
    for (uint32_t i = lba; i < lba + n; i++) {
        struct sim_write *w = find(&sim->blocks[i], version);
        if (w)
            w->durable = true;
    }
}

void sim_flush_done(struct sim *sim, uint64_t start)
{
    for (uint32_t i = 0; i < SIM_BLOCKS; i++) {
        struct sim_block *b = &sim->blocks[i];
        for (size_t k = 0; k < b->count; k++)
            b->w[k].durable = b->w[k].durable || b->w[k].eff <= start;
    }
}

void sim_applied(struct sim *sim, uint32_t lba, uint32_t version, uint32_t old)
{
    struct sim_write *w = find(&sim->blocks[lba], version);
    if (!w)
        return;
    if (w->applied && old != version)
        sim_violation(sim, "block %u: version %u takes effect again, in the place of version %u",
                      lba, version, old);
    w->applied = true;
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

/* The write that must have replaced v before the read began; NULL: v may be read. */
static const struct sim_write *replaced_by(const struct sim_block *b, const struct sim_write *v,
                                           uint64_t start)
{
    for (size_t i = 0; i < b->count; i++) {
        if (before(v, &b->w[i]) && b->w[i].eff < start)
            return &b->w[i];
    }
    return NULL;
}

/* Zeroes were read: some write of zeroes may be read. If it is one alone, it is in force. */
static void check_zero(struct sim *sim, uint32_t lba, uint64_t start)
{
    struct sim_block *b = &sim->blocks[lba];
    struct sim_write *v = NULL;
    unsigned count = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->w[i].zero && start <= b->w[i].undone)
            return;
        if (b->w[i].zero && !b->w[i].never && !b->w[i].undone && !replaced_by(b, &b->w[i], start)) {
            v = &b->w[i];
            count++;
        }
    }
    if (count == 0)
        sim_violation(sim, "block %u: zeroes, which nobody wrote, or which were replaced", lba);
    else if (count == 1 && sim->steps < v->eff)
        v->eff = sim->steps;
}

bool sim_excluded(const struct sim *sim, unsigned writer)
{
    return sim->holder >= 0 && (int)writer != sim->holder;
}

/* May this write not happen because of another's reservation? */
static bool is_excluded(const struct sim *sim, const struct sim_write *w)
{
    return sim_excluded(sim, w->writer) &&
           !(sim->goes_on[w->version] && w->start <= sim->held_since);
}

void sim_zero_check(struct sim *sim, uint32_t lba)
{
    const struct sim_block *b = &sim->blocks[lba];
    for (size_t i = 0; i < b->count; i++) {
        const struct sim_write *w = &b->w[i];
        if (w->zero && !sim->ended[w->version] && w->writer != sim->fenced && !is_excluded(sim, w))
            return;
    }
    sim_violation(sim, "block %u: zeroes take effect, and nobody may write them now", lba);
}

static void check_block(struct sim *sim, uint32_t lba, uint32_t version, uint64_t start)
{
    struct sim_block *b = &sim->blocks[lba];
    if (version == SIM_ZERO) {
        check_zero(sim, lba, start);
        return;
    }
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
    if (v->undone) { /* the answer was under way when the power went */
        if (start > v->undone)
            sim_violation(sim, "block %u: version %u was lost with the power", lba, version);
        return;
    }
    const struct sim_write *w = replaced_by(b, v, start);
    if (w) {
        sim_violation(sim,
                      "block %u: reads version %u, which ended at %llu; version %u began at "
                      "%llu and was in force at %llu, before the read began at %llu",
                      lba, version, (unsigned long long)v->end, w->version,
                      (unsigned long long)w->start, (unsigned long long)w->eff,
                      (unsigned long long)start);
        return;
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

/* Is this what may be left of the block? */
static bool may_survive(const struct sim_block *b, const struct sim_write *v)
{
    if (v->never || v->undone)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        if (b->w[i].durable && before(v, &b->w[i]))
            return false;
    }
    return true;
}

/* Of the others, those that have ended are history; the rest may still come. */
void sim_power_lost(struct sim *sim, uint32_t lba, const uint8_t *block)
{
    struct sim_block *b = &sim->blocks[lba];
    uint32_t version = sim_block_version(sim, lba, block);
    size_t left = 0;
    if (b->count == 0)
        return;
    for (size_t i = 0; i < b->count; i++) {
        struct sim_write *w = &b->w[i];
        bool its = version == SIM_ZERO ? w->zero : w->version == version;
        w->left = its && may_survive(b, w);
        left += w->left;
    }
    if (!left)
        sim_violation(sim, "block %u: version %u is left, and a later one was said to be durable",
                      lba, version);
    for (size_t i = 0; i < b->count; i++) {
        struct sim_write *w = &b->w[i];
        w->durable = w->left && left == 1;
        w->eff = w->durable ? sim->steps : UINT64_MAX;
        w->applied = w->left;
        w->replaced = w->replaced && !w->left;
        if (!w->left && w->end != UINT64_MAX && !w->undone)
            w->undone = sim->steps;
    }
}

void sim_miscompare_check(struct sim *sim, uint32_t lba, const uint8_t *expect, uint32_t at)
{
    struct sim_block *b = &sim->blocks[lba];
    for (size_t i = 0; i < b->count; i++) {
        uint8_t is[SIM_BLOCK];
        uint32_t k = 0;
        sim_content(sim, is, lba, b->w[i].version);
        while (k < SIM_BLOCK && is[k] == expect[k])
            k++;
        if (k == at && k < SIM_BLOCK)
            return;
    }
    sim_violation(sim,
                  "block %u is torn: its first byte that was not expected is number %u, and no "
                  "version of it has that",
                  lba, at);
}

void sim_caw_check(struct sim *sim, uint32_t lba, uint32_t expect, uint64_t start)
{
    sim->steps++;
    struct sim_write *v = find(&sim->blocks[lba], expect);
    check_block(sim, lba, v && v->zero ? SIM_ZERO : expect, start);
    if (v && v->zero)
        return; /* there may be more zeroes than these */
    if (v && v->replaced)
        sim_violation(sim, "block %u: two COMPARE AND WRITE found version %u", lba, expect);
    if (v)
        v->replaced = true;
}
