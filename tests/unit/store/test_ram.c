/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory store: what is lent does not change, what is granted is not copied, memory is bounded
 * and comes back, and threads do not disturb each other. */
#include "base/crc32c.h"
#include "rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define K 1024u
#define M (1024u * K)

static uint8_t buf[8 * M], want[8 * M];

static void lend(struct rig *r, struct io *io, uint64_t off, uint64_t len)
{
    *io = (struct io){ .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .off = off, .len = len } };
    assert_int_equal(rig_do(r, io), 0);
    assert_non_null(io->bio.lent);
}

static void gather(const struct bio *bio, uint8_t *to)
{
    for (int i = 0; i < bio->iovcnt; i++) {
        memcpy(to, bio->iov[i].iov_base, bio->iov[i].iov_len);
        to += bio->iov[i].iov_len;
    }
}

static uint64_t used(struct rig *r)
{
    struct store_space space;
    store_space(r->store, &space);
    return space.used_bytes;
}

/* ---- lending ---- */

static void lent_pages_do_not_change(void **state)
{
    struct rig r;
    struct io io[3];
    (void)state;
    rig_open(&r, "ram:8M", LOOP_ENGINE_AUTO);
    pattern(want, 64 * K, 0, 1);
    assert_int_equal(rig_write(&r, 0, want, 64 * K, 0), 0);
    lend(&r, &io[0], 0, 64 * K);
    lend(&r, &io[1], 4 * K, 4 * K); /* the same page twice */

    /* change them in every way there is */
    pattern(buf, 64 * K, 0, 2);
    assert_int_equal(rig_write(&r, 0, buf, 16 * K, 0), 0);
    assert_int_equal(rig_write(&r, 16 * K + 512, buf, 512, 0), 0);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 24 * K, 8 * K, 0), 0);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 32 * K + 512, 1024, 0), 0);
    assert_int_equal(rig_op(&r, BIO_WRITE_ZEROES, 40 * K, 8 * K, 0), 0);
    struct io w = { .bio = { .op = BIO_WRITE, .off = 48 * K, .len = 8 * K } };
    assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
    memset(w.bio.iov->iov_base, 0x77, 8 * K);
    assert_int_equal(rig_do(&r, &w), 0);
    lend(&r, &io[2], 0, 64 * K);

    gather(&io[0].bio, buf);
    assert_memory_equal(buf, want, 64 * K);
    gather(&io[1].bio, buf);
    assert_memory_equal(buf, want + 4 * K, 4 * K);

    /* what is there now */
    pattern(want, 16 * K, 0, 2);
    memcpy(want + 16 * K + 512, want, 512);
    memset(want + 24 * K, 0, 8 * K);
    memset(want + 32 * K + 512, 0, 1024);
    memset(want + 40 * K, 0, 8 * K);
    memset(want + 48 * K, 0x77, 8 * K);
    gather(&io[2].bio, buf);
    assert_memory_equal(buf, want, 64 * K);
    assert_int_equal(rig_read(&r, 0, buf, 64 * K), 0);
    assert_memory_equal(buf, want, 64 * K);
    assert_int_equal(used(&r), 56 * K); /* 8 K are holes; old pages that are lent do not count */

    for (int i = 0; i < 3; i++)
        store_lend_end(r.ch, &io[i].bio);
    rig_close(&r);
}

/* Pages that nobody has any more are used again: far more is written than memory is taken. */
static void pages_come_back(void **state)
{
    struct rig r;
    struct io io, w;
    (void)state;
    rig_open(&r, "ram:4M", LOOP_ENGINE_AUTO);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t off = i % 8 * 512 * K;
        lend(&r, &io, off, 256 * K);
        w = (struct io){ .bio = { .op = BIO_WRITE, .off = off, .len = 512 * K } };
        assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
        assert_int_equal(rig_do(&r, &w), 0);
        store_lend_end(r.ch, &io.bio);
    }
    assert_int_equal(used(&r), 4 * M);
    assert_true(rig_stat(&r, "ram.pool_bytes") <= 32 * M);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 0, 4 * M, 0), 0);
    assert_int_equal(used(&r), 0);
    rig_close(&r);
}

/* What was written in order is one iovec, whichever way it was written. */
static void sequential_is_contiguous(void **state)
{
    struct rig r;
    struct io io;
    (void)state;
    rig_open(&r, "ram:64M", LOOP_ENGINE_AUTO);
    for (uint64_t off = 0; off < M; off += 4 * K)
        assert_int_equal(rig_write(&r, off, buf, 4 * K, 0), 0);
    for (uint64_t off = M; off < 2 * M; off += 512 * K)
        assert_int_equal(rig_write(&r, off, buf, 512 * K, 0), 0);
    for (int round = 0; round < 3; round++) {
        for (uint64_t off = 2 * M; off < 4 * M; off += 512 * K) {
            struct io w = { .bio = { .op = BIO_WRITE, .off = off, .len = 512 * K } };
            assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
            assert_int_equal(w.bio.iovcnt, 1);
            assert_int_equal(rig_do(&r, &w), 0);
        }
    }
    for (uint64_t off = 0; off < 4 * M; off += 512 * K) {
        lend(&r, &io, off, 512 * K);
        assert_int_equal(io.bio.iovcnt, 1);
        store_lend_end(r.ch, &io.bio);
    }
    lend(&r, &io, 512, M - 1024); /* not in whole pages */
    assert_int_equal(io.bio.iovcnt, 1);
    assert_int_equal(io.bio.iov->iov_len, M - 1024);
    store_lend_end(r.ch, &io.bio);
    rig_close(&r);
}

/* Holes are zeroes of which there is one megabyte. */
static void holes_are_lent(void **state)
{
    struct rig r;
    struct io io;
    (void)state;
    rig_open(&r, "ram:1T", LOOP_ENGINE_AUTO);
    lend(&r, &io, 512ull << 30, 3 * M);
    assert_int_equal(io.bio.iovcnt, 3);
    store_lend_end(r.ch, &io.bio);
    memset(buf, 1, 4 * K);
    assert_int_equal(rig_write(&r, (512ull << 30) + M + 8 * K, buf, 4 * K, 0), 0);
    lend(&r, &io, 512ull << 30, 3 * M);
    memset(want, 0, 3 * M);
    memset(want + M + 8 * K, 1, 4 * K);
    gather(&io.bio, buf);
    assert_memory_equal(buf, want, 3 * M);
    assert_int_equal(io.bio.iov[0].iov_len, M);
    assert_int_equal(io.bio.iov[1].iov_len, 8 * K);
    assert_int_equal(io.bio.iov[2].iov_len, 4 * K);
    store_lend_end(r.ch, &io.bio);
    assert_int_equal(used(&r), 4 * K);
    rig_close(&r);
}

/* ---- granting ---- */

static void grants_are_not_copied(void **state)
{
    struct rig r;
    struct io w = { .bio = { .op = BIO_WRITE, .off = 8 * K, .len = 16 * K } }, io;
    (void)state;
    rig_open(&r, "ram:8M", LOOP_ENGINE_AUTO);
    assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
    assert_int_equal(w.bio.iovcnt, 1);
    uint8_t *p = w.bio.iov->iov_base;
    pattern(p, 16 * K, 8 * K, 3);
    assert_int_equal(rig_read(&r, 8 * K, buf, 16 * K), 0); /* not there yet */
    assert_true(!buf[0] && !memcmp(buf, buf + 1, 16 * K - 1));
    assert_int_equal(used(&r), 0);
    assert_int_equal(rig_do(&r, &w), 0);
    lend(&r, &io, 8 * K, 16 * K);
    assert_ptr_equal(io.bio.iov->iov_base, p);
    pattern(want, 16 * K, 8 * K, 3);
    assert_memory_equal(p, want, 16 * K);
    store_lend_end(r.ch, &io.bio);
    rig_close(&r);
}

static void grants_cover_whole_pages(void **state)
{
    static const struct {
        uint64_t off, len;
        int err;
    } t[] = {
        { 0, 4 * K, 0 },          { 512, 4 * K, USAN_ENOTSUP }, { 0, 4 * K + 512, USAN_ENOTSUP },
        { 0, 512, USAN_ENOTSUP }, { 4 * K, 8 * M - 4 * K, 0 },  { 8 * M, 4 * K, USAN_ENOTSUP },
    };
    struct rig r;
    (void)state;
    rig_open(&r, "ram:8M", LOOP_ENGINE_AUTO);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct io w = { .bio = { .op = BIO_WRITE, .off = t[i].off, .len = t[i].len } };
        assert_int_equal(store_write_grant(r.ch, &w.bio), t[i].err);
        if (!t[i].err)
            store_write_revoke(r.ch, &w.bio);
    }
    assert_int_equal(used(&r), 0);
    rig_close(&r);
}

/* ---- bounds ---- */

static void memory_is_capped(void **state)
{
    struct rig r;
    struct store_space space;
    (void)state;
    rig_open(&r, "ram:1G?mem=1M", LOOP_ENGINE_AUTO);
    pattern(buf, M, 0, 1);
    assert_int_equal(rig_write(&r, 0, buf, M - 4 * K, 0), 0);
    store_space(r.store, &space);
    assert_int_equal(space.used_bytes, M - 4 * K);
    assert_int_equal(space.avail_bytes, 4 * K);
    assert_int_equal(rig_write(&r, 16 * M, buf, 8 * K, 0), USAN_ENOSPC);
    struct io w = { .bio = { .op = BIO_WRITE, .off = 32 * M, .len = 8 * K } };
    assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
    assert_int_equal(rig_do(&r, &w), USAN_ENOSPC);
    assert_int_equal(rig_op(&r, BIO_WRITE_ZEROES, 48 * M, 8 * K, 0), USAN_ENOSPC);
    assert_int_equal(rig_op(&r, BIO_WRITE_ZEROES, 48 * M, 8 * K, BIO_F_MAY_UNMAP), 0);
    /* full: overwriting is still possible, with lent pages too, and what is there stays */
    struct io io;
    lend(&r, &io, 0, 64 * K);
    assert_int_equal(rig_write(&r, 0, buf + 4 * K, 64 * K, 0), 0);
    gather(&io.bio, want);
    assert_memory_equal(want, buf, 64 * K);
    store_lend_end(r.ch, &io.bio);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 0, 512 * K, 0), 0);
    assert_int_equal(rig_write(&r, 64 * M, buf, 512 * K, 0), 0);
    assert_int_equal(rig_write(&r, 128 * M, buf, 512 * K, 0), USAN_ENOSPC);
    rig_close(&r);
}

/* A grant that only partly fits: the part that does not is freed, not leaked. */
static void failed_grants_leak_nothing(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "ram:1G?mem=1M", LOOP_ENGINE_AUTO);
    for (int i = 0; i < 2000; i++) {
        struct io w = { .bio = { .op = BIO_WRITE, .off = 2 * M - 512 * K, .len = 4 * M } };
        assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
        assert_int_equal(rig_do(&r, &w), USAN_ENOSPC);
        assert_true(used(&r) <= M);
    }
    assert_true(rig_stat(&r, "ram.pool_bytes") <= 64 * M);
    rig_close(&r);
}

static void unmapping_frees(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "ram:8M", LOOP_ENGINE_AUTO);
    pattern(buf, 8 * M, 0, 1);
    memcpy(want, buf, 8 * M);
    assert_int_equal(rig_write(&r, 0, buf, 8 * M, 0), 0);
    assert_int_equal(used(&r), 8 * M);
    /* partial pages at both ends are zeroed and stay */
    assert_int_equal(rig_op(&r, BIO_UNMAP, 4 * K + 512, 7 * M, 0), 0);
    memset(want + 4 * K + 512, 0, 7 * M);
    assert_int_equal(used(&r), M + 4 * K);
    assert_int_equal(rig_read(&r, 0, buf, 8 * M), 0);
    assert_memory_equal(buf, want, 8 * M);
    /* nothing becomes something by zeroing a part of it */
    assert_int_equal(rig_op(&r, BIO_UNMAP, 64 * K + 512, 512, 0), 0);
    assert_int_equal(used(&r), M + 4 * K);
    assert_int_equal(rig_op(&r, BIO_WRITE_ZEROES, 64 * K + 512, 512, 0), 0);
    assert_int_equal(used(&r), M + 8 * K);
    rig_close(&r);
}

/* Empty terabytes are unmapped and asked about in no time, and in steps. */
static void huge_and_empty(void **state)
{
    struct rig r;
    bool mapped;
    uint64_t run, off = 0, calls = 0;
    const uint64_t size = 10ull << 40, place = 7ull << 40;
    (void)state;
    rig_open(&r, "ram:10T", LOOP_ENGINE_AUTO);
    assert_int_equal(rig_write(&r, place, buf, 8 * K, 0), 0);
    while (off < place) {
        assert_int_equal(rig_status(&r, off, size - off, &mapped, &run), 0);
        assert_false(mapped);
        off += run;
        assert_true(off <= place);
        assert_true(++calls < 100);
    }
    assert_int_equal(rig_status(&r, off, size - off, &mapped, &run), 0);
    assert_true(mapped);
    assert_int_equal(run, 8 * K);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 0, size, 0), 0);
    assert_int_equal(used(&r), 0);
    rig_close(&r);
}

static void map_status(void **state)
{
    struct rig r;
    bool mapped;
    uint64_t run;
    (void)state;
    rig_open(&r, "ram:8M", LOOP_ENGINE_AUTO);
    assert_int_equal(rig_write(&r, 1 * M, buf, 3 * M, 0), 0); /* across leaves */
    static const struct {
        uint64_t off, len;
        bool mapped;
        uint64_t run;
    } t[] = {
        { 0, 8 * M, false, 1 * M },
        { 512, 8 * M - 512, false, M - 512 },
        { M, 7 * M, true, 3 * M },
        { M + 512, 7 * M - 512, true, 3 * M - 512 },
        { 4 * M, 4 * M, false, 4 * M },
        { 4 * M - 512, 512, true, 512 },
        { 4 * M - 512, 1024, true, 512 },
        { 8 * M - 512, 512, false, 512 },
        { 2 * M + 4 * K, 4 * K, true, 4 * K },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_int_equal(rig_status(&r, t[i].off, t[i].len, &mapped, &run), 0);
        assert_int_equal(mapped, t[i].mapped);
        assert_int_equal(run, t[i].run);
    }
    rig_close(&r);
}

/* Cut off and grown again it reads as zeroes, even within a page. */
static void resized(void **state)
{
    struct rig r;
    struct err_text e = { "" };
    (void)state;
    rig_open(&r, "ram:1M", LOOP_ENGINE_AUTO);
    pattern(buf, M, 0, 1);
    assert_int_equal(rig_write(&r, 0, buf, M, 0), 0);
    assert_int_equal(store_resize(r.store, 64 * K + 512, &e), 0);
    assert_int_equal(used(&r), 68 * K);
    assert_int_equal(store_resize(r.store, 4 * M, &e), 0);
    memcpy(want, buf, 64 * K + 512);
    memset(want + 64 * K + 512, 0, 4 * M - 64 * K - 512);
    assert_int_equal(rig_read(&r, 0, buf, 4 * M), 0);
    assert_memory_equal(buf, want, 4 * M);
    assert_int_equal(rig_write(&r, 0, buf, 4 * M, 0), 0); /* the cap has grown too */
    assert_int_equal(store_resize(r.store, 17ull << 40, &e), USAN_ERANGE);
    assert_string_equal(e.text, "ram: cannot grow beyond 17592186044416 bytes while open");
    rig_close(&r);
}

/* Memory of a store that was emptied goes back to the system. */
static void emptied_memory_is_returned(void **state)
{
    struct rig r;
    char line[256];
    long before = -1, after = -1;
    (void)state;
    rig_open(&r, "ram:256M?huge=no", LOOP_ENGINE_AUTO);
    for (uint64_t off = 0; off < 256 * M; off += 8 * M)
        assert_int_equal(rig_write(&r, off, buf, 8 * M, 0), 0);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen("/proc/self/status", "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f)) {
            if (!strncmp(line, "VmRSS:", 6))
                *(i ? &after : &before) = strtol(line + 6, NULL, 10);
        }
        assert_int_equal(fclose(f), 0);
        if (!i)
            assert_int_equal(rig_op(&r, BIO_UNMAP, 0, 256 * M, 0), 0);
    }
    assert_true(before > 256 * 1024);
    assert_true(after < before - 150 * 1024);
    rig_close(&r);
}

/* ---- threads ---- */

#define WORKERS    3
#define PER_WORKER 6000
#define SPAN       (256 * K)
#define SHARED_OFF (4 * M)

/*
 * Each worker writes its own blocks of a page that it shares with the others, and whole pages
 * that all of them fight for. Blocks begin with a checksum of the rest, so that torn data shows,
 * in what is lent (also after a while) as in what is copied.
 */
struct worker {
    struct store *store;
    struct rig rig;
    pthread_t thread;
    uint64_t random;
    unsigned id;
    unsigned bad;
    uint32_t last[SPAN / 512 / WORKERS]; /* checksum of my blocks of the shared pages */
};

static void seal(uint8_t *p, size_t len, uint64_t *random)
{
    for (size_t i = 4; i < len; i += 4) {
        uint32_t v = (uint32_t)next_random(random);
        memcpy(p + i, &v, 4);
    }
    uint32_t crc = crc32c(p + 4, len - 4);
    memcpy(p, &crc, 4);
}

static bool sealed(const uint8_t *p, size_t len)
{
    uint32_t crc;
    memcpy(&crc, p, 4);
    if (crc == crc32c(p + 4, len - 4))
        return true;
    return !p[0] && !memcmp(p, p + 1, len - 1); /* never written */
}

/* cmocka's assertions are for the main thread: count what is wrong instead. */
static void expect(struct worker *w, bool ok)
{
    w->bad += !ok;
}

static int run_one(struct worker *w, struct io *io)
{
    rig_submit(&w->rig, io);
    loop_run(w->rig.loop);
    return io->bio.err;
}

static void write_page(struct worker *w, uint64_t off, uint8_t *page)
{
    struct io io = { .bio = { .op = BIO_WRITE, .off = off, .len = 4 * K, .iovcnt = 1 },
                     .iov = { .iov_base = page, .iov_len = 4 * K } };
    io.bio.iov = &io.iov;
    if (next_random(&w->random) % 2 && !store_write_grant(w->rig.ch, &io.bio))
        page = io.bio.iov->iov_base;
    seal(page, 4 * K, &w->random);
    expect(w, !run_one(w, &io));
}

static void read_page(struct worker *w, uint64_t off, uint8_t *page)
{
    struct io io = { .bio = { .op = BIO_READ, .off = off, .len = 4 * K } };
    io.iov = (struct iovec){ .iov_base = page, .iov_len = 4 * K };
    bool lent = next_random(&w->random) % 2;
    if (lent) {
        io.bio.flags = BIO_F_LEND;
    } else {
        io.bio.iov = &io.iov;
        io.bio.iovcnt = 1;
    }
    expect(w, !run_one(w, &io));
    const uint8_t *p = io.bio.iov->iov_base;
    expect(w, sealed(p, 4 * K));
    if (!lent)
        return;
    uint32_t before = crc32c(p, 4 * K);
    for (int i = 0; i < 3; i++)
        expect(w, crc32c(p, 4 * K) == before);
    store_lend_end(w->rig.ch, &io.bio);
}

/* Every third block of the shared span is mine: nobody else's write may undo mine. */
static void my_block(struct worker *w, uint8_t *block)
{
    size_t n = next_random(&w->random) % (SPAN / 512 / WORKERS);
    uint64_t off = SHARED_OFF + (n * WORKERS + w->id) * 512;
    struct io io = { .bio = { .op = BIO_READ, .off = off, .len = 512, .iovcnt = 1 },
                     .iov = { .iov_base = block, .iov_len = 512 } };
    io.bio.iov = &io.iov;
    expect(w, !run_one(w, &io));
    uint32_t crc;
    memcpy(&crc, block, 4);
    expect(w, sealed(block, 512) && crc == w->last[n]);
    seal(block, 512, &w->random);
    memcpy(&w->last[n], block, 4);
    io.bio.op = BIO_WRITE;
    expect(w, !run_one(w, &io));
}

static void *work(void *arg)
{
    struct worker *w = arg;
    static _Thread_local uint8_t page[4096];
    for (unsigned i = 0; i < PER_WORKER; i++) {
        uint64_t off = next_random(&w->random) % (SPAN / 4 / K) * 4 * K;
        switch (next_random(&w->random) % 8) {
        case 0:
        case 1:
            write_page(w, off, page);
            break;
        case 2:
        case 3:
            read_page(w, off, page);
            break;
        case 4: {
            struct io io = { .bio = { .op = BIO_UNMAP, .off = off, .len = 4 * K } };
            expect(w, !run_one(w, &io));
            break;
        }
        default:
            my_block(w, page);
            break;
        }
    }
    return NULL;
}

static void threads(void **state)
{
    static struct worker w[WORKERS];
    struct store *s;
    (void)state;
    assert_int_equal(store_open_spec("ram:8M", false, &s, NULL), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){ .store = s, .id = i, .random = 77 + i };
        rig_open_on(&w[i].rig, s, LOOP_ENGINE_AUTO);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(w[i].bad, 0);
    /* every page is accounted for */
    assert_int_equal(rig_op(&w[0].rig, BIO_UNMAP, 0, 8 * M, 0), 0);
    assert_int_equal(used(&w[0].rig), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        store_channel_close(w[i].rig.ch);
        loop_free(w[i].rig.loop);
    }
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    store_stats(s, out);
    assert_int_equal(fclose(out), 0);
    unsigned long long pool = 0, idle = 1;
    const char *p = strstr(text, "ram.pool_bytes "), *q = strstr(text, "ram.pool_free_bytes ");
    assert_true(p && q);
    pool = strtoull(p + strlen("ram.pool_bytes "), NULL, 10);
    idle = strtoull(q + strlen("ram.pool_free_bytes "), NULL, 10);
    assert_int_equal(pool, idle);
    free(text);
    store_close(s);
}

/*
 * Two threads and two pages, as fast as they can: the requests of a batch are carried out one
 * right after the other. Each thread has every second block for its own; whatever the other one
 * does to the page (in place, by a copy because it is lent, or by a copy into a hole), mine stays.
 */
#define BATCH   64
#define BATCHES 3000

struct racer {
    struct rig rig;
    pthread_t thread;
    unsigned id, bad;
    struct io io[BATCH];
    uint8_t block[BATCH][512];
};

static void race_batch(struct racer *w, unsigned n)
{
    struct io lent = { .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .len = 8 * K } };
    rig_submit(&w->rig, &lent);
    for (size_t i = 0; i < BATCH; i++) {
        size_t slot = (i * 2 + w->id) % 16; /* of my blocks; the later ones overwrite */
        memset(w->block[i], (int)(n + i), sizeof w->block[i]);
        w->io[i].iov = (struct iovec){ .iov_base = w->block[i], .iov_len = 512 };
        w->io[i].bio = (struct bio){
            .op = BIO_WRITE, .off = slot * 512, .len = 512, .iov = &w->io[i].iov, .iovcnt = 1
        };
        rig_submit(&w->rig, &w->io[i]);
    }
    loop_run(w->rig.loop);
    w->bad += lent.bio.err != 0;
    store_lend_end(w->rig.ch, &lent.bio);
}

static void *race(void *arg)
{
    struct racer *w = arg;
    for (unsigned n = 0; n < BATCHES; n++) {
        race_batch(w, n);
        for (size_t i = 0; i < 8; i++) { /* the last write to each of my blocks */
            size_t last = BATCH - 8 + i;
            w->io[i].iov = (struct iovec){ .iov_base = w->block[0], .iov_len = 512 };
            w->io[i].bio = (struct bio){ .op = BIO_READ,
                                         .off = (last * 2 + w->id) % 16 * 512,
                                         .len = 512,
                                         .iov = &w->io[i].iov,
                                         .iovcnt = 1 };
            rig_submit(&w->rig, &w->io[i]);
            loop_run(w->rig.loop);
            for (size_t k = 0; k < 512; k++)
                w->bad += w->block[0][k] != (uint8_t)(n + last);
        }
    }
    return NULL;
}

static void threads_on_one_page(void **state)
{
    static struct racer w[2];
    struct store *s = NULL;
    (void)state;
    assert_int_equal(store_open_spec("ram:1M", false, &s, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        w[i].id = i;
        rig_open_on(&w[i].rig, s, LOOP_ENGINE_AUTO);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, race, &w[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(w[i].bad, 0);
    store_channel_close(w[1].rig.ch);
    loop_free(w[1].rig.loop);
    rig_close(&w[0].rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lent_pages_do_not_change),
        cmocka_unit_test(pages_come_back),
        cmocka_unit_test(sequential_is_contiguous),
        cmocka_unit_test(holes_are_lent),
        cmocka_unit_test(grants_are_not_copied),
        cmocka_unit_test(grants_cover_whole_pages),
        cmocka_unit_test(memory_is_capped),
        cmocka_unit_test(failed_grants_leak_nothing),
        cmocka_unit_test(unmapping_frees),
        cmocka_unit_test(huge_and_empty),
        cmocka_unit_test(map_status),
        cmocka_unit_test(resized),
        cmocka_unit_test(emptied_memory_is_returned),
        cmocka_unit_test(threads),
        cmocka_unit_test(threads_on_one_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
