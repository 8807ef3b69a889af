/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store: a request takes effect at one time, block by block, and completes at a later one; both
 * are drawn, so requests overtake each other. Memory is read and written when it takes effect. */
#include "sim.h"

#include "base/err.h"

struct sim_io {
    struct sim *sim;
    struct list node; /* in the disk's */
    struct bio *bio;
    struct sim_event ev;
    bool applied;
    bool refused; /* nothing of it is done */
    int err;
    uint64_t err_off;
    uint64_t done_ns;        /* from taking effect to completion */
    uint8_t late[SIM_BLOCK]; /* SIM_LATE, SIM_REPEATS: what is written after completion */
};

static void copy(const struct bio *bio, uint64_t off, uint8_t *mem, size_t len, bool from_iov)
{
    for (int i = 0; i < bio->iovcnt && len; i++) {
        if (off >= bio->iov[i].iov_len) {
            off -= bio->iov[i].iov_len;
            continue;
        }
        size_t k = bio->iov[i].iov_len - off;
        if (k > len)
            k = len;
        uint8_t *p = (uint8_t *)bio->iov[i].iov_base + off;
        if (from_iov)
            memcpy(mem, p, k);
        else
            memcpy(p, mem, k);
        mem += k;
        len -= k;
        off = 0;
    }
}

static void flush_block(struct sim *sim, uint32_t lba)
{
    struct sim_disk *d = &sim->disk;
    d->dirty[lba] = false;
    if (sim->opt.mutant == SIM_FORGETS && sim_chance(sim, 200))
        return;
    memcpy(d->medium + lba * SIM_BLOCK, d->data + lba * SIM_BLOCK, SIM_BLOCK);
}

/* Everything that ever reaches the medium comes by here. */
static void put_block(struct sim *sim, uint32_t lba, const uint8_t *block, bool durable)
{
    uint8_t *at = sim->disk.data + lba * SIM_BLOCK;
    uint32_t version = sim_block_version(sim, lba, block);
    if (version == SIM_ZERO)
        sim_zero_check(sim, lba);
    else if (version && sim->ended[version])
        sim_violation(sim,
                      "block %u: version %u takes effect after its initiator saw its end "
                      "(version %u was there)",
                      lba, version, be32_get(at));
    else if (version && sim->writer[version] == sim->fenced)
        sim_violation(sim, "block %u: version %u of a preempted initiator takes effect", lba,
                      version);
    else if (version && sim_excluded(sim, sim->writer[version]))
        sim_violation(sim, "block %u: version %u takes effect under another's reservation", lba,
                      version);
    if (version != SIM_ZERO)
        sim_applied(sim, lba, version, be32_get(at));
    memcpy(at, block, SIM_BLOCK);
    sim->disk.dirty[lba] = true;
    if (durable)
        flush_block(sim, lba);
}

static void apply_write(struct sim_io *io, uint64_t skip)
{
    struct sim *sim = io->sim;
    const struct bio *bio = io->bio;
    uint32_t lba = (uint32_t)(bio->off / SIM_BLOCK), n = (uint32_t)((bio->len - skip) / SIM_BLOCK);
    if (bio->op == BIO_COMPARE_AND_WRITE)
        n = (uint32_t)(skip / SIM_BLOCK);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t block[SIM_BLOCK];
        /* What fails may have written some of its blocks, never the one it blames. */
        if (io->err && (bio->off + i * SIM_BLOCK == io->err_off || sim_rand(sim, 2)))
            continue;
        copy(bio, skip + i * SIM_BLOCK, block, SIM_BLOCK, true);
        if (sim->opt.mutant == SIM_LOSES && sim_chance(sim, 200))
            continue;
        if (sim->opt.mutant == SIM_TEARS && sim_chance(sim, 200)) {
            memcpy(sim->disk.data + (lba + i) * SIM_BLOCK, block, SIM_BLOCK / 2);
            continue;
        }
        if (i == 0)
            memcpy(io->late, block, SIM_BLOCK);
        put_block(sim, lba + i, block, bio->flags & BIO_F_FUA);
    }
}

/* What fails may have zeroed some of its blocks, never the one it blames. */
static void apply_zeroes(struct sim_io *io)
{
    static const uint8_t zeroes[SIM_BLOCK];
    for (uint64_t off = io->bio->off; off < io->bio->off + io->bio->len; off += SIM_BLOCK) {
        if (!io->err || (off != io->err_off && sim_rand(io->sim, 2)))
            put_block(io->sim, (uint32_t)(off / SIM_BLOCK), zeroes, io->bio->flags & BIO_F_FUA);
    }
}

static void apply(struct sim_io *io)
{
    struct sim *sim = io->sim;
    struct bio *bio = io->bio;
    uint8_t *at = sim->disk.data + bio->off;
    switch (bio->op) {
    case BIO_READ:
        if (!io->err)
            copy(bio, 0, at, bio->len, false);
        break;
    case BIO_WRITE:
        apply_write(io, 0);
        break;
    case BIO_COMPARE_AND_WRITE: {
        uint8_t expect[SIM_BLOCK] = { 0 };
        for (uint64_t i = 0; i < bio->len && !io->err; i += SIM_BLOCK) {
            copy(bio, i, expect, SIM_BLOCK, true);
            for (uint64_t k = 0; k < SIM_BLOCK && !io->err; k++) {
                if (expect[k] != at[i + k]) {
                    io->err = USAN_EMISCOMPARE;
                    io->err_off = bio->off + i + k;
                }
            }
        }
        if (!io->err)
            apply_write(io, bio->len);
        break;
    }
    case BIO_FLUSH:
        for (uint32_t i = 0; i < SIM_BLOCKS && !io->err; i++)
            flush_block(sim, i);
        break;
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
        apply_zeroes(io);
        break;
    case BIO_MAP_STATUS:
    case BIO_OP_COUNT:
        io->err = USAN_ENOTSUP;
        break;
    }
}

static void fire(struct sim_event *ev)
{
    struct sim_io *io = list_entry(ev, struct sim_io, ev);
    struct sim *sim = io->sim;
    struct bio *bio = io->bio;
    if (!io->applied) {
        io->applied = true;
        if (!io->refused)
            apply(io);
        sim_event_in(sim, &io->ev, io->done_ns);
        return;
    }
    if (bio) {
        bool again = bio->op == BIO_WRITE && !io->err &&
                     (sim->opt.mutant == SIM_LATE || sim->opt.mutant == SIM_REPEATS);
        uint32_t lba = (uint32_t)(bio->off / SIM_BLOCK);
        bio->err = io->err;
        bio->err_off = io->err_off;
        if (again && sim_chance(sim, 300)) {
            io->bio = NULL;
            io->err_off = lba;
            sim_event_in(sim, &io->ev, 3 * sim->opt.disk_ns);
            bio->done(bio);
            return;
        }
        sim->disk.busy--;
        list_del(&io->node);
        sim_put(io);
        bio->done(bio);
        return;
    }
    /* sabotage: once more, long after; LATE goes behind the disk's own check */
    if (sim->opt.mutant == SIM_LATE)
        memcpy(sim->disk.data + io->err_off * SIM_BLOCK, io->late, SIM_BLOCK);
    else
        put_block(sim, (uint32_t)io->err_off, io->late, false);
    sim->disk.busy--;
    list_del(&io->node);
    sim_put(io);
}

static void choose_error(struct sim_io *io)
{
    struct sim *sim = io->sim;
    struct sim_disk *d = &sim->disk;
    const struct bio *bio = io->bio;
    uint64_t bad = (uint64_t)d->fail_block * SIM_BLOCK;
    uint64_t size = (uint64_t)(sim->shrunk ? SIM_BLOCKS / 2 : SIM_BLOCKS) * SIM_BLOCK;
    /* The unit has got smaller since the command was checked. A wipe may finish what it began: one
     * that fails shuts the unit until the next. */
    if (bio->off + bio->len > size && bio->done != sim_background_done) {
        io->err = USAN_ERANGE;
        io->err_off = bio->off;
        io->refused = true;
    } else if (d->fail_next && bio->op == d->fail_op && bio->off <= bad &&
               bad < bio->off + bio->len) {
        d->fail_next = false;
        io->err = d->fail_err;
        io->err_off = bad;
    } else if (bio->done != sim_background_done && sim_chance(sim, sim->opt.error_permille)) {
        bool writes = bio->op != BIO_READ && bio->op != BIO_FLUSH;
        io->err = writes && sim_rand(sim, 3) == 0 ? USAN_ENOSPC : USAN_EIO;
        io->err_off = bio->off + (bio->len ? sim_rand64(sim, bio->len) / SIM_BLOCK * SIM_BLOCK : 0);
    }
    d->errors += io->err != 0;
}

void sim_disk_submit(struct sim *sim, struct bio *bio)
{
    struct sim_io *io = sim_get_zero(sim, sizeof(*io));
    io->sim = sim;
    io->bio = bio;
    sim_event_init(&io->ev, fire);
    if (bio->off + bio->len > sizeof(sim->disk.data) || bio->off % SIM_BLOCK ||
        bio->len % SIM_BLOCK)
        sim_violation(sim, "a request outside the disk: %llu+%llu", (unsigned long long)bio->off,
                      (unsigned long long)bio->len);
    choose_error(io);
    list_push_back(&sim->disk.ios, &io->node);
    sim->disk.busy++;
    if (bio->op == BIO_READ)
        sim->disk.reads++;
    else
        sim->disk.writes++;
    sim_trace(sim, "disk op %d off %llu len %llu err %d", (int)bio->op,
              (unsigned long long)bio->off, (unsigned long long)bio->len, io->err);
    io->done_ns = sim_rand64(sim, sim->opt.disk_ns);
    sim_event_in(sim, &io->ev, sim_rand64(sim, sim->opt.disk_ns));
}

/* With the power goes what was not flushed: each block as luck has it. */
static void lose_power(struct sim *sim)
{
    struct sim_disk *d = &sim->disk;
    sim->power_step = ++sim->steps;
    for (uint32_t i = 0; i < SIM_BLOCKS; i++) {
        uint8_t *data = d->data + i * SIM_BLOCK, *medium = d->medium + i * SIM_BLOCK;
        if (d->dirty[i] && sim_rand(sim, 2))
            memcpy(medium, data, SIM_BLOCK);
        memcpy(data, medium, SIM_BLOCK);
        d->dirty[i] = false;
        sim_power_lost(sim, i, data);
    }
}

void sim_disk_crash(struct sim *sim, bool power)
{
    struct list ios;
    list_init(&ios);
    list_splice_back(&ios, &sim->disk.ios);
    list_for_each (&ios, pos) {
        struct sim_io *io = list_entry(pos, struct sim_io, node);
        sim_event_cancel(&io->ev);
        if (!io->applied && io->bio && !io->refused && sim_rand(sim, 2)) {
            if (!io->err) { /* a part of it */
                io->err = USAN_EIO;
                io->err_off = sim_rand(sim, 2) ? UINT64_MAX : io->bio->off;
            }
            apply(io);
        }
    }
    if (power)
        lose_power(sim);
    while (!list_empty(&ios)) {
        struct sim_io *io = list_entry(list_pop_front(&ios), struct sim_io, node);
        struct bio *bio = io->bio;
        sim_put(io);
        sim->disk.busy--;
        if (!bio)
            continue;
        bio->err = USAN_ECLOSED;
        bio->err_off = bio->off;
        bio->done(bio);
    }
}
