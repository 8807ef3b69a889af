/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks of a target as stores: what they are like, every request, errors, order, losses. */
#include "initiator/disk.h"
#include "initiator/iscsi_store.h"
#include "initiator/status.h"
#include "target_rig.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_NS (30 * NS_PER_SEC)
#define B           512u

static struct {
    struct rig *rig;
    struct loop *loop;
    struct loop_timer guard;
    struct store *store;
    struct store_channel *ch;
    unsigned pending;
    bool late;
} w;

static void guard_fired(struct loop_timer *t)
{
    (void)t;
    w.late = true;
    loop_stop(w.loop);
}

static int open_store(unsigned lun, const char *options, bool read_only, struct err_text *e)
{
    char spec[256];
    snprintf(spec, sizeof(spec), "iscsi://127.0.0.1:%u/" RIG_TARGET "/%u%s", w.rig->portals[0].port,
             lun, options);
    return store_open_spec(spec, read_only, &w.store, e);
}

static void begin(void)
{
    memset(&w, 0, sizeof(w));
    w.rig = rig_start();
}

static void begin_io(void)
{
    struct err_text e = { "" };
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    begin();
    if (open_store(0, "", false, &e))
        fail_msg("%s", e.text);
    assert_int_equal(loop_new(&lc, &w.loop, NULL), 0);
    loop_timer_init(&w.guard, guard_fired);
    assert_int_equal(store_channel_open(w.store, w.loop, &w.ch), 0);
    atomic_store(&w.rig->log_count, 0);
}

static void end_io(void)
{
    store_channel_close(w.ch);
    store_close(w.store);
    loop_timer_cancel(w.loop, &w.guard);
    loop_free(w.loop);
    rig_stop(w.rig);
}

static void wait_all(void)
{
    assert_int_equal(loop_timer_set(w.loop, &w.guard, clock_now_ns() + PATIENCE_NS), 0);
    while (w.pending && !w.late)
        loop_run(w.loop);
    assert_false(w.late);
    loop_timer_cancel(w.loop, &w.guard);
}

static void bio_done(struct bio *bio)
{
    (void)bio;
    if (--w.pending == 0)
        loop_stop(w.loop);
}

static void start(struct bio *bio)
{
    bio->done = bio_done;
    w.pending++;
    store_submit(w.ch, bio);
}

static int run(enum bio_op op, uint32_t flags, uint64_t block, uint64_t blocks, struct iovec *iov,
               int iovcnt, struct bio *ret_bio)
{
    struct bio bio = {
        .op = op, .flags = flags, .off = block * B, .len = blocks * B, .iov = iov, .iovcnt = iovcnt
    };
    start(&bio);
    wait_all();
    if (ret_bio)
        *ret_bio = bio;
    return bio.err;
}

static int run_one(enum bio_op op, uint32_t flags, uint64_t block, uint64_t blocks, void *data)
{
    struct iovec iov = { data, blocks * B * (op == BIO_COMPARE_AND_WRITE ? 2 : 1) };
    return run(op, flags, block, blocks, &iov, 1, NULL);
}

/* ---- properties ---- */

static void properties(void **st)
{
    (void)st;
    struct err_text e = { "" };
    begin();
    assert_int_equal(open_store(0, "?queue_depth=4", false, &e), 0);
    const struct store_info *i = &w.store->info;
    assert_int_equal(i->size_bytes, RIG_BLOCKS * B);
    assert_int_equal(i->block_bytes, 512);
    assert_int_equal(i->phys_block_bytes, 4096);
    assert_int_equal(i->unmap_gran_bytes, 8 * B);
    assert_true(i->unmap_zeroes && i->can_fua && i->can_compare_and_write);
    assert_true(i->volatile_cache && i->can_write_zeroes && !i->read_only);
    store_close(w.store);

    assert_int_equal(open_store(0, "", true, &e), 0);
    assert_true(w.store->info.read_only);
    store_close(w.store);
    atomic_store(&w.rig->protected, true);
    assert_int_equal(open_store(0, "", false, &e), 0);
    assert_true(w.store->info.read_only);
    store_close(w.store);
    /* A unit without vital product data is a disk, too. */
    atomic_store(&w.rig->no_vpd, true);
    assert_int_equal(open_store(0, "", false, &e), 0);
    assert_int_equal(w.store->info.unmap_gran_bytes, 0);
    assert_false(w.store->info.can_compare_and_write);
    store_close(w.store);
    /* Whatever it says first of all. */
    atomic_store(&w.rig->attention_code, 0x2900);
    atomic_store(&w.rig->attention, 5);
    atomic_store(&w.rig->busy, 2);
    assert_int_equal(open_store(0, "", false, &e), 0);
    store_close(w.store);
    rig_stop(w.rig);
}

static void says(int err, int want, const struct err_text *e, const char *text)
{
    assert_int_equal(err, want);
    if (!strstr(e->text, text))
        fail_msg("'%s' does not say '%s'", e->text, text);
}

static void bad_opens(void **st)
{
    (void)st;
    struct err_text e = { "" };
    begin();
    says(open_store(3, "", false, &e), USAN_ENOENT, &e, "LUN 3");
    says(open_store(0, "?speed=9", false, &e), USAN_EINVAL, &e, "unknown option 'speed'");
    says(open_store(0, "?user=a", false, &e), USAN_EINVAL, &e, "no secret");
    says(store_open_spec("iscsi://127.0.0.1", false, &w.store, &e), USAN_EINVAL, &e, "no target");
    says(store_open_spec("iscsi://127.0.0.1/" RIG_TARGET, false, &w.store, &e), USAN_EINVAL, &e,
         "no LUN");
    says(store_open_spec("iscsi:nonsense", false, &w.store, &e), USAN_EINVAL, &e, "iscsi://");
    says(store_open_spec("iscsi://127.0.0.1/iqn/0", false, &w.store, &e), USAN_EINVAL, &e, "iqn");
    /* %se is no escape: a URL is taken as it stands */
    char spec[256];
    snprintf(spec, sizeof(spec), "stats+iscsi:iscsi://alice%%secret-secret@127.0.0.1:%u/%s/0",
             w.rig->portals[0].port, RIG_TARGET);
    assert_int_equal(store_open_spec(spec, false, &w.store, &e), 0);
    store_close(w.store);
    rig_down(w.rig);
    says(open_store(0, "", false, &e), USAN_EIO, &e, "Connection refused");
    assert_null(strchr(e.text, '\n'));
    rig_stop(w.rig);
}

static void registry(void **st)
{
    (void)st;
    size_t n = 0;
    while (store_registry_at(n))
        n++;
    assert_ptr_equal(store_registry_at(n - 1), &iscsi_store_ops);
    assert_ptr_equal(store_find_ops("iscsi"), &iscsi_store_ops);
    assert_non_null(store_find_ops("stats"));
    assert_int_equal(store_registry_add(&iscsi_store_ops), USAN_EEXIST);
}

/* ---- requests ---- */

/* A request longer than a command may be, in pieces of memory that fit nowhere. */
static void split(void **st)
{
    (void)st;
    enum { BLOCKS = 1000 };
    static uint8_t out[BLOCKS * B], in[BLOCKS * B];
    begin_io();
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + i / B);
    struct iovec vo[3] = { { out, 100 }, { out + 100, 131072 }, { out + 131172, 0 } };
    vo[2].iov_len = sizeof(out) - 131172;
    assert_int_equal(run(BIO_WRITE, 0, 11, BLOCKS, vo, 3, NULL), 0);
    assert_memory_equal(rig_disk(w.rig) + 11 * B, out, sizeof(out));
    assert_int_equal(w.rig->log_count, 4); /* of 256 blocks at most */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(w.rig->log[i].opcode, 0x2a);
        assert_int_equal(w.rig->log[i].lba, 11 + 256 * i);
        assert_int_equal(w.rig->log[i].blocks, i < 3 ? 256 : 232);
    }
    struct iovec vi[4] = { { in, 1 }, { in + 1, 262143 }, { in + 262144, 512 }, { 0 } };
    vi[3] = (struct iovec){ in + 262656, sizeof(in) - 262656 };
    assert_int_equal(run(BIO_READ, 0, 11, BLOCKS, vi, 4, NULL), 0);
    assert_memory_equal(in, out, sizeof(out));
    end_io();
}

static void zeroes_and_unmap(void **st)
{
    (void)st;
    static const uint8_t zero[2000 * B];
    begin_io();
    memset(rig_disk(w.rig), 1, RIG_BLOCKS * B);
    rig_touched(w.rig);
    assert_int_equal(run(BIO_WRITE_ZEROES, 0, 3, 600, NULL, 0, NULL), 0);
    assert_memory_equal(rig_disk(w.rig) + 3 * B, zero, 600 * B);
    assert_int_equal(rig_disk(w.rig)[3 * B - 1], 1);
    assert_int_equal(rig_disk(w.rig)[603 * B], 1);
    assert_int_equal(w.rig->log_count, 2); /* 512 blocks at a time */
    assert_int_equal(w.rig->log[0].opcode, 0x93);
    assert_int_equal(w.rig->log[1].blocks, 88);

    assert_int_equal(run(BIO_UNMAP, BIO_F_FUA, 1000, 2000, NULL, 0, NULL), 0);
    assert_memory_equal(rig_disk(w.rig) + 1000 * B, zero, 2000 * B);
    assert_int_equal(rig_disk(w.rig)[3000 * B], 1);
    assert_int_equal(w.rig->log_count, 5); /* 1024 at a time, then to the medium */
    assert_int_equal(w.rig->log[2].opcode, 0x42);
    assert_int_equal(w.rig->log[3].blocks, 976);
    assert_int_equal(w.rig->log[4].opcode, 0x35);

    atomic_store(&w.rig->no_write_same, true); /* then they are written */
    assert_int_equal(run(BIO_WRITE_ZEROES, 0, 3500, 300, NULL, 0, NULL), 0);
    assert_memory_equal(rig_disk(w.rig) + 3500 * B, zero, 300 * B);
    assert_int_equal(w.rig->log[5].opcode, 0x2a);

    assert_int_equal(run(BIO_FLUSH, 0, 0, 0, NULL, 0, NULL), 0);
    assert_int_equal(w.rig->log[w.rig->log_count - 1].opcode, 0x35);
    end_io();
}

/* GET LBA STATUS (SBC-4 5.7): the run that begins where it was asked. */
static void map_status(void **st)
{
    (void)st;
    static const uint8_t hole[16] = { [7] = 100, [11] = 50, [12] = 1 };
    static const uint8_t data[16] = { [7] = 100, [11] = 50, [12] = 0 };
    static const uint8_t anchored[16] = { [7] = 100, [11] = 50, [12] = 2 };
    static const uint8_t large[16] = { [8] = 0xff, [9] = 0xff, [10] = 0xff, [11] = 0xff, [12] = 1 };
    static const struct {
        const uint8_t *d;
        uint64_t block, blocks;
        bool mapped;
        uint64_t run;
    } cases[] = {
        { hole, 100, 1000, false, 50 },  { hole, 120, 1000, false, 30 },
        { hole, 120, 10, false, 10 },    { data, 100, 1000, true, 50 },
        { anchored, 100, 9, true, 9 },   { large, 5, 4000, false, 4000 },
        { hole, 99, 1000, true, 1000 }, /* what it says is about something else */
        { hole, 150, 1000, true, 1000 },
    };
    struct bio bio;
    begin_io();
    atomic_store(&w.rig->lba_status, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        atomic_store(&w.rig->lba_descriptor, cases[i].d);
        assert_int_equal(run(BIO_MAP_STATUS, 0, cases[i].block, cases[i].blocks, NULL, 0, &bio), 0);
        assert_int_equal(bio.mapped, cases[i].mapped);
        assert_int_equal(bio.run_len, cases[i].run * B);
    }
    /* A unit without it is asked once more, and that is all. */
    unsigned before = atomic_load(&w.rig->commands);
    atomic_store(&w.rig->lba_status, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(BIO_MAP_STATUS, 0, 100, 500, NULL, 0, &bio), 0);
        assert_true(bio.mapped);
        assert_int_equal(bio.run_len, 500 * B);
    }
    assert_int_equal(atomic_load(&w.rig->commands), before + 1);
    end_io();
}

static void compare_and_write(void **st)
{
    (void)st;
    uint8_t data[4 * B];
    begin_io();
    memset(data, 0, 2 * B);
    memset(data + 2 * B, 5, 2 * B);
    assert_int_equal(run_one(BIO_COMPARE_AND_WRITE, 0, 8, 2, data), 0);
    assert_int_equal(rig_disk(w.rig)[8 * B], 5);
    assert_int_equal(rig_disk(w.rig)[10 * B - 1], 5);
    assert_int_equal(run_one(BIO_COMPARE_AND_WRITE, 0, 8, 2, data), USAN_EMISCOMPARE);
    assert_int_equal(w.rig->log_count, 2);
    end_io();
}

static void attentions(void **st)
{
    (void)st;
    uint8_t data[B] = { 1 };
    begin_io();
    atomic_store(&w.rig->attention_code, 0x2907); /* I_T nexus loss */
    atomic_store(&w.rig->attention, 3);
    assert_int_equal(run_one(BIO_WRITE, 0, 1, 1, data), 0);
    assert_int_equal(rig_disk(w.rig)[B], 1);

    atomic_store(&w.rig->blocks, 2 * RIG_BLOCKS); /* only said, never read */
    atomic_store(&w.rig->attention_code, 0x2a09); /* capacity data has changed */
    atomic_store(&w.rig->attention, 1);
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), 0);
    for (unsigned i = 0; i < 1000 && w.store->info.size_bytes == RIG_BLOCKS * B; i++)
        assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(w.store->info.size_bytes, 2ull * RIG_BLOCKS * B);
    assert_int_equal(w.rig->attention, 0);

    atomic_store(&w.rig->busy, 5);
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(w.rig->busy, 0);
    atomic_store(&w.rig->attention, INT32_MAX); /* one that never ends is an error */
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), USAN_EIO);
    end_io();
}

static void change(unsigned long long blocks, unsigned block_bytes)
{
    atomic_store(&w.rig->blocks, blocks);
    atomic_store(&w.rig->block_bytes, block_bytes);
    atomic_store(&w.rig->attention_code, 0x2a09);
    atomic_store(&w.rig->attention, 1);
}

/* A size that wraps is none; blocks of another size make it another disk, which nothing is written
 * to: not even by the write that was told of the change. */
static void other_capacity(void **st)
{
    (void)st;
    uint8_t data[B] = { 1 };
    char *text = NULL;
    size_t len = 0;
    begin_io();
    change((1ull << 55) + 1, 512);
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(w.store->info.size_bytes, RIG_BLOCKS * B);
    change(0, 512); /* FFFFFFFFFFFFFFFFh is the last block */
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), USAN_ERANGE);
    assert_int_equal(w.store->info.size_bytes, RIG_BLOCKS * B);
    change(2 * RIG_BLOCKS, 512);
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(w.store->info.size_bytes, 2 * RIG_BLOCKS * B);

    atomic_store(&w.rig->log_count, 0);
    change(RIG_BLOCKS, 4096);
    data[0] = 2;
    assert_int_equal(run_one(BIO_WRITE, 0, 1, 1, data), USAN_EIO);
    assert_int_equal(run_one(BIO_READ, 0, 1, 1, data), USAN_EIO);
    assert_int_equal(run(BIO_FLUSH, 0, 0, 0, NULL, 0, NULL), USAN_EIO);
    assert_int_equal(w.rig->log_count, 0);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    store_stats(w.store, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "LUN 0: blocks of 4096 bytes instead of 512"));
    free(text);
    end_io();
}

static void errors(void **st)
{
    (void)st;
    static const struct {
        int kaq, err;
    } cases[] = { { 0x031100, USAN_EIO },    { 0x044400, USAN_EIO },    { 0x072700, USAN_ERDONLY },
                  { 0x072707, USAN_ENOSPC }, { 0x052100, USAN_ERANGE }, { 0x052000, USAN_ENOTSUP },
                  { 0x052500, USAN_ECLOSED } };
    uint8_t data[2 * B] = { 0 };
    begin_io();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bio bio;
        struct iovec iov = { data, sizeof(data) };
        atomic_store(&w.rig->bad_sense, cases[i].kaq);
        assert_int_equal(run(BIO_READ, 0, 6, 2, &iov, 1, &bio), cases[i].err);
        assert_int_equal(bio.err_off, 6 * B);
    }
    end_io();
}

/* An earlier command's error. The command that is told of it was not carried out, so a write is
 * never taken for done, and block 7 is not its own. */
static void deferred_errors(void **st)
{
    (void)st;
    uint8_t data[2 * B] = { 1 };
    struct iovec iov = { data, sizeof(data) };
    struct bio bio;
    begin_io();
    atomic_store(&w.rig->bad_sense, RIG_DEFERRED | 0x011701);
    assert_int_equal(run(BIO_WRITE, 0, 6, 2, &iov, 1, &bio), USAN_EIO);
    assert_int_equal(rig_disk(w.rig)[6 * B], 0);
    atomic_store(&w.rig->bad_sense, RIG_DEFERRED | 0x030c00);
    assert_int_equal(run(BIO_WRITE, 0, 6, 2, &iov, 1, &bio), USAN_EIO);
    assert_int_equal(bio.err_off, 6 * B);
    atomic_store(&w.rig->bad_sense, 0);
    assert_int_equal(run(BIO_WRITE, 0, 6, 2, &iov, 1, &bio), 0);
    assert_int_equal(rig_disk(w.rig)[6 * B], 1);
    end_io();
}

/* ---- order ---- */

/* Ten writes of one block at once, the connection cut at each of them: they are carried out one
 * after the other, again where need be, and the last one wins. */
static void order(void **st)
{
    (void)st;
    enum { WRITES = 10 };
    for (int cut = 0; cut <= 2 * WRITES; cut++) {
        struct bio bio[WRITES];
        struct iovec iov[WRITES];
        static uint8_t data[WRITES][B];
        begin_io();
        assert_int_equal(run_one(BIO_READ, 0, 0, 1, data[0]), 0); /* it is logged in */
        atomic_store(&w.rig->log_count, 0);
        atomic_store(&w.rig->cut_after, cut % 2);
        atomic_store(&w.rig->cut_at, (cut + 1) / 2);
        for (unsigned i = 0; i < WRITES; i++) {
            memset(data[i], (int)i + 1, B);
            iov[i] = (struct iovec){ data[i], B };
            bio[i] = (struct bio){
                .op = BIO_WRITE, .off = 7 * B, .len = B, .iov = &iov[i], .iovcnt = 1
            };
            start(&bio[i]);
        }
        wait_all();
        for (unsigned i = 0; i < WRITES; i++)
            assert_int_equal(bio[i].err, 0);
        assert_int_equal(rig_disk(w.rig)[7 * B], WRITES);
        /* one more than there are only if its answer was lost */
        assert_int_equal(w.rig->log_count, WRITES + (cut % 2));
        end_io();
    }
}

/* Writes side by side are not held back by each other, reads by nothing. */
static void side_by_side(void **st)
{
    (void)st;
    enum { COUNT = 200 };
    static struct bio bio[COUNT];
    static struct iovec iov[COUNT];
    static uint8_t data[COUNT][B];
    begin_io();
    atomic_store(&w.rig->cut_at, 77);
    for (unsigned i = 0; i < COUNT; i++) {
        memset(data[i], (int)i, B);
        iov[i] = (struct iovec){ data[i], B };
        bio[i] = (struct bio){ .op = i % 4 == 3 ? BIO_READ : BIO_WRITE,
                               .off = (i % 4 == 3 ? i - 3 : i) * B,
                               .len = B,
                               .iov = &iov[i],
                               .iovcnt = 1 };
        start(&bio[i]);
    }
    wait_all();
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(bio[i].err, 0);
        if (i % 4 != 3)
            assert_int_equal(rig_disk(w.rig)[i * B], (uint8_t)i);
    }
    end_io();
}

/* ---- two channels ---- */

static unsigned long long counted(const char *name)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    w.store->ops->stats(w.store, out);
    assert_int_equal(fclose(out), 0);
    const char *at = strstr(text, name);
    assert_non_null(at);
    unsigned long long n = strtoull(at + strlen(name), NULL, 10);
    free(text);
    return n;
}

/* Run until a session has been lost, with requests pending. */
static void wait_lost(unsigned long long losses)
{
    uint64_t end = clock_now_ns() + PATIENCE_NS;
    while (counted("iscsi.losses ") != losses) {
        assert_true(clock_now_ns() < end);
        assert_int_equal(loop_timer_set(w.loop, &w.guard, clock_now_ns() + 2 * NS_PER_MS), 0);
        loop_run(w.loop);
    }
    loop_timer_cancel(w.loop, &w.guard);
    w.late = false;
}

/* A write through w.ch that is carried out, but the connection dies instead of the answer. */
static void start_unanswered(struct bio *bio, struct iovec *iov, uint8_t *data, int byte)
{
    unsigned long long losses = counted("iscsi.losses ");
    memset(data, byte, B);
    *iov = (struct iovec){ data, B };
    *bio = (struct bio){ .op = BIO_WRITE, .off = 7 * B, .len = B, .iov = iov, .iovcnt = 1 };
    atomic_store(&w.rig->log_count, 0);
    atomic_store(&w.rig->cut_after, true);
    atomic_store(&w.rig->cut_at, 1);
    start(bio);
    wait_lost(losses + 1);
    assert_int_equal(rig_disk(w.rig)[7 * B], byte);
}

/* Channels that were there before anything was written hold each other's writes back: what the lost
 * session has written is written again before the other channel may write there, and none fails. */
static void two_from_the_start(void **st)
{
    (void)st;
    uint8_t a[B], b[2 * B], c[B];
    struct bio bio[3];
    struct iovec iov[3];
    begin_io();
    atomic_store(&w.rig->time2wait, 1);
    struct store_channel *first = w.ch, *second;
    assert_int_equal(run_one(BIO_READ, 0, 0, 1, a), 0); /* it is logged in */
    assert_int_equal(store_channel_open(w.store, w.loop, &second), 0);
    w.ch = second;
    assert_int_equal(run_one(BIO_READ, 0, 0, 1, a), 0);
    w.ch = first;

    start_unanswered(&bio[0], &iov[0], a, 1);
    memset(b, 1, B);
    memset(b + B, 2, B);
    iov[1] = (struct iovec){ b, sizeof(b) };
    bio[1] = (struct bio){
        .op = BIO_COMPARE_AND_WRITE, .off = 7 * B, .len = B, .iov = &iov[1], .iovcnt = 1
    };
    w.ch = second;
    start(&bio[1]);
    memset(c, 3, B); /* beside it nothing waits */
    iov[2] = (struct iovec){ c, B };
    bio[2] = (struct bio){ .op = BIO_WRITE, .off = 9 * B, .len = B, .iov = &iov[2], .iovcnt = 1 };
    start(&bio[2]);
    w.ch = first;
    wait_all();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(bio[i].err, 0);
    assert_int_equal(w.rig->log_count, 4); /* the first one twice */
    assert_int_equal(w.rig->log[3].opcode, 0x89);
    assert_int_equal(rig_disk(w.rig)[7 * B], 2);
    assert_int_equal(rig_disk(w.rig)[9 * B], 3);
    assert_int_equal(counted("iscsi.unsure_writes "), 0);
    store_channel_close(second);
    end_io();
}

/* One that has begun to write alone does not: what the lost session has written is not written
 * again over what the other channel wrote and was told GOOD for. */
static void two_channels(void **st)
{
    (void)st;
    uint8_t a[B] = { 0 }, b[2 * B], c[B];
    struct bio bio[3];
    struct iovec iov[3];
    begin_io();
    assert_int_equal(run_one(BIO_WRITE, 0, 0, 1, a), 0);
    atomic_store(&w.rig->time2wait, 1); /* the second channel's chance */
    struct store_channel *first = w.ch, *second;
    assert_int_equal(store_channel_open(w.store, w.loop, &second), 0);
    w.ch = second;
    assert_int_equal(run_one(BIO_READ, 0, 0, 1, a), 0); /* it is logged in */
    w.ch = first;
    assert_int_equal(run_one(BIO_READ, 0, 0, 1, a), 0);

    start_unanswered(&bio[0], &iov[0], a, 1);
    assert_int_equal(w.rig->log_count, 1);
    memset(b, 1, B);
    memset(b + B, 2, B);
    iov[1] = (struct iovec){ b, sizeof(b) };
    bio[1] = (struct bio){
        .op = BIO_COMPARE_AND_WRITE, .off = 7 * B, .len = B, .iov = &iov[1], .iovcnt = 1
    };
    w.ch = second;
    start(&bio[1]);
    w.ch = first;
    memset(c, 3, B); /* what was never sent goes on */
    iov[2] = (struct iovec){ c, B };
    bio[2] = (struct bio){ .op = BIO_WRITE, .off = 9 * B, .len = B, .iov = &iov[2], .iovcnt = 1 };
    start(&bio[2]);
    wait_all();
    assert_int_equal(bio[0].err, USAN_EIO);
    assert_int_equal(bio[1].err, 0);
    assert_int_equal(bio[2].err, 0);
    assert_int_equal(rig_disk(w.rig)[7 * B], 2);
    assert_int_equal(rig_disk(w.rig)[9 * B], 3);
    assert_int_equal(counted("iscsi.unsure_writes "), 1);
    assert_int_equal(counted("iscsi.losses "), 1);

    /* One that has gone may have written before it went. */
    store_channel_close(second);
    atomic_store(&w.rig->time2wait, 0);
    start_unanswered(&bio[0], &iov[0], a, 4);
    wait_all();
    assert_int_equal(bio[0].err, USAN_EIO);
    assert_int_equal(w.rig->log_count, 1);
    assert_int_equal(counted("iscsi.unsure_writes "), 2);

    /* Alone from the beginning: again. */
    store_channel_close(first);
    assert_int_equal(store_channel_open(w.store, w.loop, &w.ch), 0);
    assert_int_equal(run_one(BIO_READ, 0, 0, 1, a), 0);
    start_unanswered(&bio[0], &iov[0], a, 5);
    wait_all();
    assert_int_equal(bio[0].err, 0);
    assert_int_equal(w.rig->log_count, 2);
    assert_int_equal(counted("iscsi.unsure_writes "), 2);
    end_io();
}

/* ---- sense ---- */

static void sense(void **st)
{
    (void)st;
    static const uint8_t fixed[18] = { 0xf0, 0, 3, 0, 0, 0x12, 0x34, 10, [12] = 0x11, [13] = 1 };
    static const uint8_t descriptor[28] = { 0x72, 3, 0x11, 1, 0, 0, 0,    20,   0x02, 6,
                                            0,    0, 0,    0, 0, 0, 0x00, 0x0a, 0x80, 0,
                                            0,    0, 0,    0, 0, 0, 0x12, 0x34 };
    const struct ini_sense a = ini_sense_parse(fixed, sizeof(fixed));
    const struct ini_sense b = ini_sense_parse(descriptor, sizeof(descriptor));
    const struct ini_sense *const both[] = { &a, &b };
    for (unsigned i = 0; i < 2; i++) {
        assert_true(both[i]->valid && both[i]->has_information);
        assert_int_equal(both[i]->key, 3);
        assert_int_equal(both[i]->asc, 0x11);
        assert_int_equal(both[i]->ascq, 1);
        assert_int_equal(both[i]->information, 0x1234);
    }
    for (size_t len = 0; len < sizeof(descriptor); len++) { /* cut short: nothing is invented */
        uint8_t *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, descriptor, len);
        assert_false(ini_sense_parse(copy, len).has_information);
        memcpy(copy, fixed, len < sizeof(fixed) ? len : sizeof(fixed));
        assert_int_equal(ini_sense_parse(copy, len).valid, len >= 8);
        free(copy);
    }
    assert_int_equal(ini_lun_field(5), 0x0005000000000000);
    assert_int_equal(ini_lun_field(300), 0x412c000000000000);
}

/* Fixed and descriptor format, of this command and of an earlier one (SPC-6 4.4). */
static void judged(void **st)
{
    (void)st;
    static const struct {
        uint8_t format, key;
        enum ini_verdict verdict;
        int err;
    } cases[] = { { 0x70, 0, INI_GOOD, 0 },       { 0x72, 1, INI_GOOD, 0 },
                  { 0x71, 0, INI_RETRY, 0 },      { 0x71, 1, INI_RETRY, 0 },
                  { 0x73, 0, INI_RETRY, 0 },      { 0x73, 1, INI_RETRY, 0 },
                  { 0x71, 3, INI_BAD, USAN_EIO }, { 0x73, 4, INI_BAD, USAN_EIO },
                  { 0x71, 6, INI_BAD, USAN_EIO }, { 0x73, 0xb, INI_BAD, USAN_EIO },
                  { 0x72, 6, INI_RETRY, 0 },      { 0x70, 0xb, INI_RETRY_LATER, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[18] = { cases[i].format };
        struct iscsi_icmd cmd = { .status = 2, .sense = data, .sense_len = sizeof(data) };
        int err = 0;
        data[cases[i].format < 0x72 ? 2 : 1] = cases[i].key;
        assert_int_equal(ini_scsi_judge(&cmd, true, &err), cases[i].verdict);
        assert_int_equal(err, cases[i].err);
        assert_int_equal(ini_sense_parse(data, sizeof(data)).deferred, cases[i].format & 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties),
        cmocka_unit_test(bad_opens),
        cmocka_unit_test(registry),
        cmocka_unit_test(split),
        cmocka_unit_test(zeroes_and_unmap),
        cmocka_unit_test(map_status),
        cmocka_unit_test(compare_and_write),
        cmocka_unit_test(attentions),
        cmocka_unit_test(other_capacity),
        cmocka_unit_test(errors),
        cmocka_unit_test(deferred_errors),
        cmocka_unit_test(order),
        cmocka_unit_test(side_by_side),
        cmocka_unit_test(two_from_the_start),
        cmocka_unit_test(two_channels),
        cmocka_unit_test(sense),
        cmocka_unit_test(judged),
    };
    if (store_registry_add(&iscsi_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
