/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash filter: flushed data is never lost, unflushed data may be, in the ways it says, and a
 * seed decides. The model holds, for each block, which versions may be there after a crash.
 */
#include "fake_loop.h"
#include "rig.h"

#include "store/crash/crash.h"

#include <stdio.h>
#include <stdlib.h>

#define K      1024u
#define BLOCK  512u
#define BLOCKS 128u
#define SIZE   (BLOCKS * BLOCK)

/* Versions 1, 2, 3 ... of a block; 0 is zeroes. The version stands at its start. */
static void fill_block(uint8_t *p, uint64_t block, uint32_t version)
{
    pattern(p, BLOCK, block * BLOCK, version);
    if (!version)
        memset(p, 0, BLOCK);
    memcpy(p, &version, sizeof version);
}

/* The version, UINT32_MAX if it is none that was ever written. */
static uint32_t version_of(const uint8_t *p, uint64_t block)
{
    uint8_t want[BLOCK];
    uint32_t version;
    memcpy(&version, p, sizeof version);
    fill_block(want, block, version);
    return memcmp(p, want, BLOCK) ? UINT32_MAX : version;
}

struct model {
    struct rig r;
    uint64_t random;
    uint32_t durable[BLOCKS]; /* must be there, or a later one */
    uint32_t latest[BLOCKS];  /* what is read now */
    uint32_t version;
    bool garble, drop, keep;
    unsigned lost, kept, torn, garbled;
    uint32_t begin[SIZE]; /* version -> first block and length of that write, for tearing */
    uint32_t len[SIZE];
};

static uint64_t pick(struct model *m, uint64_t n)
{
    return next_random(&m->random) % n;
}

static void write_blocks(struct model *m, uint32_t first, uint32_t count, uint32_t flags)
{
    static uint8_t data[SIZE];
    uint32_t v = ++m->version;
    assert_true(v < SIZE);
    for (uint32_t i = 0; i < count; i++)
        fill_block(data + (size_t)i * BLOCK, first + i, v);
    assert_int_equal(rig_write(&m->r, (uint64_t)first * BLOCK, data, (size_t)count * BLOCK, flags),
                     0);
    m->begin[v] = first;
    m->len[v] = count;
    for (uint32_t i = first; i < first + count; i++) {
        m->latest[i] = v;
        if (flags & BIO_F_FUA)
            m->durable[i] = v;
    }
}

static void step(struct model *m)
{
    uint32_t first = (uint32_t)pick(m, BLOCKS), count = 1 + (uint32_t)pick(m, 12);
    uint8_t data[12 * BLOCK];
    if (count > BLOCKS - first)
        count = BLOCKS - first;
    switch (pick(m, 16)) {
    case 0:
        assert_int_equal(rig_op(&m->r, BIO_FLUSH, 0, 0, 0), 0);
        memcpy(m->durable, m->latest, sizeof m->durable);
        break;
    case 1:
    case 2:
        write_blocks(m, first, count, BIO_F_FUA);
        break;
    case 3: /* goes to the store below at once */
        assert_int_equal(rig_op(&m->r, pick(m, 2) ? BIO_UNMAP : BIO_WRITE_ZEROES,
                                (uint64_t)first * BLOCK, (uint64_t)count * BLOCK, 0),
                         0);
        memset(m->latest + first, 0, count * sizeof *m->latest);
        memset(m->durable + first, 0, count * sizeof *m->durable);
        break;
    case 4:
    case 5:
    case 6:
        assert_int_equal(rig_read(&m->r, (uint64_t)first * BLOCK, data, (size_t)count * BLOCK), 0);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(version_of(data + (size_t)i * BLOCK, first + i), m->latest[first + i]);
        break;
    default:
        write_blocks(m, first, count, 0);
        break;
    }
}

/* A write of which only a part is visible though nothing newer lies on the rest. */
static void count_torn(struct model *m, const uint32_t *found)
{
    for (uint32_t v = 1; v <= m->version; v++) {
        uint32_t seen = 0, gone = 0;
        for (uint32_t i = m->begin[v]; i < m->begin[v] + m->len[v]; i++) {
            seen += found[i] == v;
            gone += m->latest[i] == v && found[i] != v;
        }
        m->torn += seen && gone;
    }
}

static void check_survivors(struct model *m)
{
    static uint8_t all[SIZE];
    uint32_t found[BLOCKS];
    assert_int_equal(rig_read(&m->r, 0, all, SIZE), 0);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint32_t v = version_of(all + (size_t)i * BLOCK, i);
        bool flushed = m->latest[i] == m->durable[i];
        found[i] = v;
        if (v == UINT32_MAX && m->garble && !flushed) {
            m->garbled++;
            found[i] = 0;
            continue;
        }
        if (v == UINT32_MAX || v > m->latest[i] || (flushed && v != m->durable[i]))
            fail_msg("block %u: version %u, durable %u, latest %u", i, v, m->durable[i],
                     m->latest[i]);
        /* Versions between the two: those that were written to this block, no others. */
        assert_true(v == 0 || (i >= m->begin[v] && i < m->begin[v] + m->len[v]));
        assert_true(v >= m->durable[i]);
        if (m->drop)
            assert_int_equal(v, m->durable[i]);
        if (m->keep)
            assert_int_equal(v, m->latest[i]);
        m->lost += v != m->latest[i];
        m->kept += v == m->latest[i] && !flushed;
    }
    count_torn(m, found);
    /* Start afresh, with versions that can be told from the old ones. */
    for (uint32_t i = 0; i < BLOCKS; i += 8)
        write_blocks(m, i, 8, BIO_F_FUA);
}

static void run(struct model *m, const char *opts, uint64_t seed, unsigned crashes)
{
    char spec[128];
    (void)snprintf(spec, sizeof spec, "crash(%s%sseed=%llu)+ram:64K", opts, *opts ? "," : "",
                   (unsigned long long)seed);
    *m = (struct model){ .random = seed * 2 + 1,
                         .garble = !strstr(opts, "mode=") || strstr(opts, "garble"),
                         .drop = strstr(opts, "drop") != NULL,
                         .keep = strstr(opts, "keep") != NULL };
    rig_open(&m->r, spec, LOOP_ENGINE_AUTO);
    for (unsigned i = 0; i < crashes; i++) {
        for (uint64_t n = pick(m, 40); n; n--)
            step(m);
        assert_false(store_crash_is_down(m->r.store));
        store_crash_now(m->r.store);
        assert_true(store_crash_is_down(m->r.store));
        if (pick(m, 2)) {
            uint8_t block[BLOCK] = { 0 };
            assert_int_equal(rig_write(&m->r, 0, block, BLOCK, 0), USAN_ECLOSED);
            assert_int_equal(rig_read(&m->r, 0, block, BLOCK), USAN_ECLOSED);
            assert_int_equal(rig_op(&m->r, BIO_FLUSH, 0, 0, 0), USAN_ECLOSED);
        }
        store_crash_restart(m->r.store);
        assert_false(store_crash_is_down(m->r.store));
        check_survivors(m);
    }
    assert_int_equal(rig_stat(&m->r, "crash.crashes"), crashes);
    rig_close(&m->r);
}

static struct model model;

static void survivors(void **state)
{
    static const struct {
        const char *opts;
        bool loses, keeps, tears, garbles;
    } t[] = {
        { "mode=drop", true, false, false, false },
        { "mode=keep", false, true, false, false },
        { "mode=tear", true, true, true, false },
        { "mode=garble", true, true, true, true },
        { "", true, true, true, true },
        { "cache=8K", true, true, true, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        unsigned lost = 0, kept = 0, torn = 0, garbled = 0;
        for (uint64_t seed = 1; seed <= 20; seed++) {
            print_message("# %s, seed %llu\n", t[i].opts, (unsigned long long)seed);
            run(&model, t[i].opts, seed, 10);
            lost += model.lost;
            kept += model.kept;
            torn += model.torn;
            garbled += model.garbled;
        }
        assert_int_equal(lost > 0, t[i].loses);
        assert_int_equal(kept > 0, t[i].keeps);
        if (t[i].tears)
            assert_true(torn > 0);
        assert_int_equal(garbled > 0, t[i].garbles);
    }
}

/* The same seed, the same survivors. */
static void repeatable(void **state)
{
    static uint8_t a[SIZE], b[SIZE], c[SIZE];
    static uint8_t *const to[] = { a, b, c };
    static const char *const specs[] = { "crash(seed=7)+ram:64K", "crash(seed=7)+ram:64K",
                                         "crash(seed=8)+ram:64K" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        model = (struct model){ .random = 1 };
        rig_open(&model.r, specs[i], LOOP_ENGINE_AUTO);
        for (uint32_t k = 0; k < 60; k++)
            write_blocks(&model, k * 2, 2, 0);
        store_crash_now(model.r.store);
        store_crash_restart(model.r.store);
        assert_int_equal(rig_read(&model.r, 0, to[i], SIZE), 0);
        rig_close(&model.r);
    }
    assert_memory_equal(a, b, SIZE);
    assert_memory_not_equal(a, c, SIZE);
}

/* A sector of 4 KiB is there as a whole or not at all, a larger write in parts. */
static void sectors_are_whole(void **state)
{
    static uint8_t all[SIZE];
    unsigned partial = 0;
    (void)state;
    for (uint64_t seed = 1; seed < 30; seed++) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "crash(mode=tear,sector=4K,seed=%llu)+ram:64K",
                       (unsigned long long)seed);
        model = (struct model){ .random = 1 };
        rig_open(&model.r, spec, LOOP_ENGINE_AUTO);
        write_blocks(&model, 0, BLOCKS, 0);
        store_crash_now(model.r.store);
        store_crash_restart(model.r.store);
        assert_int_equal(rig_read(&model.r, 0, all, SIZE), 0);
        unsigned whole = 0;
        for (uint32_t i = 0; i < BLOCKS; i += 8) {
            uint32_t first = version_of(all + (size_t)i * BLOCK, i);
            assert_in_range(first, 0, 1);
            for (uint32_t k = i; k < i + 8; k++)
                assert_int_equal(version_of(all + (size_t)k * BLOCK, k), first);
            whole += first;
        }
        partial += whole > 0 && whole < BLOCKS / 8;
        rig_close(&model.r);
    }
    assert_true(partial > 20);
}

/* The power goes with the fifth write: four are answered, the fifth is in the dice too. */
static void after_a_number_of_writes(void **state)
{
    struct rig r;
    uint8_t block[BLOCK], buf[BLOCK];
    (void)state;
    rig_open(&r, "crash(after=5,mode=keep)+ram:64K", LOOP_ENGINE_AUTO);
    for (uint32_t i = 1; i <= 8; i++) {
        fill_block(block, i, i);
        assert_int_equal(rig_write(&r, i * BLOCK, block, BLOCK, i == 3 ? BIO_F_FUA : 0),
                         i < 5 ? 0 : USAN_ECLOSED);
        assert_int_equal(store_crash_is_down(r.store), i >= 5);
    }
    store_crash_restart(r.store);
    for (uint32_t i = 1; i <= 8; i++) {
        assert_int_equal(rig_read(&r, i * BLOCK, buf, BLOCK), 0);
        assert_int_equal(version_of(buf, i), i <= 5 ? i : 0);
    }
    assert_int_equal(rig_write(&r, 0, block, BLOCK, 0), 0); /* once only */
    assert_int_equal(rig_stat(&r, "crash.crashes"), 1);
    rig_close(&r);

    rig_open(&r, "crash(after=2,mode=drop,restart=1)+ram:64K", LOOP_ENGINE_AUTO);
    fill_block(block, 0, 1);
    assert_int_equal(rig_write(&r, 0, block, BLOCK, 0), 0);
    assert_int_equal(rig_write(&r, BLOCK, block, BLOCK, BIO_F_FUA), USAN_ECLOSED);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 0), 0); /* gone, and it is up again */
    assert_int_equal(rig_write(&r, 0, block, BLOCK, 0), 0);
    assert_int_equal(rig_op(&r, BIO_FLUSH, 0, 0, 0), 0);
    rig_close(&r);
}

/* Requests on their way when the power goes: none of them is answered as done afterwards. */
static void crash_in_the_middle(void **state)
{
    struct rig r;
    struct io io[6];
    uint8_t block[6][BLOCK], buf[BLOCK];
    (void)state;
    /* the store below takes a millisecond for everything */
    rig_open(&r, "crash(mode=drop)+delay(time=1ms)+ram:64K", LOOP_ENGINE_AUTO);
    for (uint32_t i = 0; i < 4; i++) {
        fill_block(block[i], i, i + 1);
        assert_int_equal(rig_write(&r, i * BLOCK, block[i], BLOCK, 0), 0);
    }
    memset(io, 0, sizeof io);
    io[0].bio = (struct bio){ .op = BIO_FLUSH };
    io[1].bio = (struct bio){ .op = BIO_WRITE, .flags = BIO_F_FUA, .off = 8 * BLOCK, .len = BLOCK };
    io[2].bio = (struct bio){ .op = BIO_UNMAP, .off = 16 * BLOCK, .len = BLOCK };
    io[3].bio = (struct bio){ .op = BIO_FLUSH };
    fill_block(block[4], 8, 9);
    io[1].iov = (struct iovec){ .iov_base = block[4], .iov_len = BLOCK };
    io[1].bio.iov = &io[1].iov;
    io[1].bio.iovcnt = 1;
    for (int i = 0; i < 4; i++)
        rig_submit(&r, &io[i]);
    store_crash_now(r.store);
    rig_wait(&r);
    for (int i = 0; i < 4; i++)
        assert_int_equal(io[i].bio.err, USAN_ECLOSED);
    store_crash_restart(r.store);
    /* the first write was on its way down, the others were not */
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(rig_read(&r, i * BLOCK, buf, BLOCK), 0);
        assert_int_equal(version_of(buf, i), i == 0);
    }
    assert_int_equal(rig_read(&r, 8 * BLOCK, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 8), 0);
    rig_close(&r);
}

/* As above, but it is the store below that has the write in hand: it may be there or not, and it is
 * not answered as done. */
static void crash_during_fua(void **state)
{
    struct rig r;
    struct io io = { .bio = { .op = BIO_WRITE, .flags = BIO_F_FUA, .len = BLOCK, .iovcnt = 1 } };
    uint8_t block[BLOCK], buf[BLOCK];
    (void)state;
    rig_open(&r, "crash(mode=drop)+delay(time=1ms)+ram:64K", LOOP_ENGINE_AUTO);
    fill_block(block, 0, 1);
    io.iov = (struct iovec){ .iov_base = block, .iov_len = BLOCK };
    io.bio.iov = &io.iov;
    rig_submit(&r, &io);
    store_crash_now(r.store);
    store_crash_restart(
        r.store); /* on again before the answer comes: it was in flight all the same */
    rig_wait(&r);
    assert_int_equal(io.bio.err, USAN_ECLOSED);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_in_range(version_of(buf, 0), 0, 1);
    rig_close(&r);
}

/* A plain write that comes while a durable one to the same place is under way is the newer one. */
static void rewrite_beside_fua(void **state)
{
    struct rig r;
    struct io io[2];
    uint8_t block[2][BLOCK], buf[BLOCK];
    (void)state;
    rig_open(&r, "crash(mode=keep)+delay(time=1ms,op=write)+ram:64K", LOOP_ENGINE_AUTO);
    memset(io, 0, sizeof io);
    for (uint32_t i = 0; i < 2; i++) {
        fill_block(block[i], 0, i + 1);
        io[i].iov = (struct iovec){ .iov_base = block[i], .iov_len = BLOCK };
        io[i].bio = (struct bio){ .op = BIO_WRITE, .len = BLOCK, .iov = &io[i].iov, .iovcnt = 1 };
        io[i].bio.flags = i ? 0 : BIO_F_FUA;
        rig_submit(&r, &io[i]);
    }
    rig_wait(&r);
    assert_true(io[1].done_ns < io[0].done_ns);
    assert_int_equal(io[0].bio.err | io[1].bio.err, 0);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 0), 2);
    store_crash_now(r.store);
    store_crash_restart(r.store);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 0), 2);
    rig_close(&r);
}

/* A read that is on its way keeps what was cached when it came, although a flush empties the
 * cache and another write follows. */
static void read_beside_flush(void **state)
{
    struct rig r;
    struct io io[3];
    uint8_t a[BLOCK], b[BLOCK], buf[BLOCK];
    (void)state;
    rig_open(&r, "crash+delay(time=1ms,op=read)+ram:64K", LOOP_ENGINE_AUTO);
    fill_block(a, 0, 1);
    fill_block(b, 0, 2);
    assert_int_equal(rig_write(&r, 0, a, BLOCK, 0), 0);
    memset(io, 0, sizeof io);
    io[0].bio = (struct bio){ .op = BIO_READ, .len = BLOCK, .iov = &io[0].iov, .iovcnt = 1 };
    io[0].iov = (struct iovec){ .iov_base = buf, .iov_len = BLOCK };
    io[1].bio = (struct bio){ .op = BIO_FLUSH };
    io[2].bio = (struct bio){ .op = BIO_WRITE, .len = BLOCK, .iov = &io[2].iov, .iovcnt = 1 };
    io[2].iov = (struct iovec){ .iov_base = b, .iov_len = BLOCK };
    for (int i = 0; i < 3; i++)
        rig_submit(&r, &io[i]);
    rig_wait(&r);
    for (int i = 0; i < 3; i++)
        assert_int_equal(io[i].bio.err, 0);
    assert_int_equal(version_of(buf, 0), 1);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 0), 2);
    rig_close(&r);
}

/* A write that comes while the flush of an older one to the same place is under way wins. */
static void rewrite_beside_flush(void **state)
{
    struct rig r;
    struct io io[2];
    uint8_t a[BLOCK], b[BLOCK], buf[BLOCK];
    (void)state;
    rig_open(&r, "crash(mode=drop)+delay(time=1ms,op=write)+ram:64K", LOOP_ENGINE_AUTO);
    fill_block(a, 0, 1);
    fill_block(b, 0, 2);
    for (int fua = 0; fua < 2; fua++) {
        assert_int_equal(rig_write(&r, 0, a, BLOCK, 0), 0);
        memset(io, 0, sizeof io);
        io[0].bio = (struct bio){ .op = BIO_FLUSH };
        io[1].bio = (struct bio){ .op = BIO_WRITE, .len = BLOCK, .iov = &io[1].iov, .iovcnt = 1 };
        io[1].bio.flags = fua ? BIO_F_FUA : 0;
        io[1].iov = (struct iovec){ .iov_base = b, .iov_len = BLOCK };
        rig_submit(&r, &io[0]);
        rig_submit(&r, &io[1]);
        rig_wait(&r);
        assert_int_equal(io[0].bio.err | io[1].bio.err, 0);
        assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
        assert_int_equal(version_of(buf, 0), 2);
        store_crash_now(r.store);
        store_crash_restart(r.store);
        assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
        assert_int_equal(version_of(buf, 0), fua ? 2 : 1);
    }
    rig_close(&r);
}

/* What one channel has written another one reads, flushes and loses. Turns go from loop to loop. */
static void two_channels(void **state)
{
    struct rig a, b;
    struct store *s = NULL;
    struct io io[4];
    uint8_t block[BLOCK], buf[BLOCK];
    (void)state;
    assert_int_equal(
        store_open_spec("crash(mode=drop)+delay(time=1ms,op=write)+ram:64K", false, &s, NULL), 0);
    rig_open_on(&a, s, LOOP_ENGINE_AUTO);
    rig_open_on(&b, s, LOOP_ENGINE_AUTO);
    for (uint32_t i = 0; i < 4; i++) {
        fill_block(block, i, i + 1);
        assert_int_equal(rig_write(i % 2 ? &b : &a, i * BLOCK, block, BLOCK, 0), 0);
        assert_int_equal(rig_read(i % 2 ? &a : &b, i * BLOCK, buf, BLOCK), 0);
        assert_int_equal(version_of(buf, i), i + 1);
    }
    memset(io, 0, sizeof io);
    for (size_t i = 0; i < 4; i++) {
        io[i].bio = (struct bio){ .op = BIO_FLUSH };
        rig_submit(i % 2 ? &b : &a, &io[i]);
    }
    /* a's first flush has the turn, b's the next one */
    for (unsigned n = 0; n < 100 && (a.outstanding || b.outstanding); n++) {
        (void)fake_loop_step(a.loop);
        (void)fake_loop_step(b.loop);
    }
    /* each rig has asked its loop to stop when it was through */
    loop_run(a.loop);
    loop_run(b.loop);
    for (int i = 0; i < 4; i++)
        assert_int_equal(io[i].bio.err, 0);
    store_crash_now(s);
    assert_int_equal(rig_read(&b, 0, buf, BLOCK), USAN_ECLOSED);
    store_crash_restart(s);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(rig_read(i % 2 ? &a : &b, i * BLOCK, buf, BLOCK), 0);
        assert_int_equal(version_of(buf, i), i + 1);
    }
    store_channel_close(b.ch);
    loop_free(b.loop);
    rig_close(&a);
}

/* A store below that fails is not hidden, and the data is still there for the next flush. */
static void failing_below(void **state)
{
    struct rig r;
    uint8_t block[BLOCK], buf[BLOCK];
    (void)state;
    rig_open(&r, "crash(mode=drop)+error(op=write,err=nospc,count=2)+ram:64K", LOOP_ENGINE_AUTO);
    fill_block(block, 0, 1);
    assert_int_equal(rig_write(&r, 0, block, BLOCK, 0), 0);
    assert_int_equal(rig_op(&r, BIO_FLUSH, 0, 0, 0), USAN_ENOSPC);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 0), 1);
    assert_int_equal(rig_write(&r, BLOCK, block, BLOCK, BIO_F_FUA), USAN_ENOSPC);
    assert_int_equal(rig_op(&r, BIO_FLUSH, 0, 0, 0), 0);
    store_crash_now(r.store);
    store_crash_restart(r.store);
    assert_int_equal(rig_read(&r, 0, buf, BLOCK), 0);
    assert_int_equal(version_of(buf, 0), 1);
    rig_close(&r);
}

static void status(void **state)
{
    static const struct {
        uint32_t off, len;
        bool mapped;
        uint32_t run;
    } t[] = {
        { 0, 64 * K, false, 8 * K },
        { 8 * K, 56 * K, true, BLOCK },
        { 8 * K + BLOCK, 4 * K, false, 4 * K },
        { 16 * K, 48 * K, true, 4 * K },
        { 20 * K, 44 * K, true, BLOCK },
        { 20 * K + BLOCK, 32 * K, false, 32 * K },
    };
    struct rig r;
    static uint8_t data[4 * K];
    bool mapped;
    uint64_t run;
    (void)state;
    rig_open(&r, "crash+ram:64K", LOOP_ENGINE_AUTO);
    assert_int_equal(rig_write(&r, 16 * K, data, 4 * K, BIO_F_FUA), 0);
    assert_int_equal(rig_write(&r, 8 * K, data, BLOCK, 0), 0);
    assert_int_equal(rig_write(&r, 20 * K, data, BLOCK, 0), 0);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_int_equal(rig_status(&r, t[i].off, t[i].len, &mapped, &run), 0);
        assert_int_equal(mapped, t[i].mapped);
        assert_int_equal(run, t[i].run);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survivors),
        cmocka_unit_test(repeatable),
        cmocka_unit_test(sectors_are_whole),
        cmocka_unit_test(after_a_number_of_writes),
        cmocka_unit_test(crash_in_the_middle),
        cmocka_unit_test(crash_during_fua),
        cmocka_unit_test(rewrite_beside_fua),
        cmocka_unit_test(read_beside_flush),
        cmocka_unit_test(rewrite_beside_flush),
        cmocka_unit_test(two_channels),
        cmocka_unit_test(failing_below),
        cmocka_unit_test(status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
