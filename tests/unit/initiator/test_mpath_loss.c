/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One unit through two targets, of which one dies, comes back, is slow, refuses or is another. */
#include "initiator/mpath_store.h"
#include "mpath_world.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One target dies under load at each of many moments, before or after it has carried out what it is
 * cut at, and comes back: no request fails, and every block has what was written to it last. */
static void one_dies(void **st)
{
    (void)st;
    enum { BLOCKS = 16 };
    for (int cut = 1; cut <= 24; cut += 7) {
        uint8_t last[BLOCKS] = { 0 };
        mw_begin("?policy=round-robin&settle_timeout=20s");
        atomic_store(&mw.a->cut_after, cut % 2 == 0);
        for (unsigned round = 0; round < 6; round++) {
            if (round == 1)
                atomic_store(&mw.a->cut_at, cut);
            if (round == 2)
                rig_down(mw.a);
            if (round == 4)
                rig_up(mw.a);
            for (unsigned i = 0; i < MW_COUNT; i++) {
                uint8_t byte = (uint8_t)(1 + round * 40 + i / BLOCKS);
                mw_start(i, BIO_WRITE, i % BLOCKS, byte);
                last[i % BLOCKS] = byte;
            }
            if (round == 2 || round == 3)
                sw_run_for(NS_PER_MS);
            else
                sw_wait();
            if (sw.pending) { /* some wait for a ghost: until its path is back */
                rig_up(mw.a);
                sw_wait();
                if (round < 4)
                    rig_down(mw.a);
            }
            mw_all_good(MW_COUNT);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            assert_int_equal(rig_disk(mw.a)[i * STORE_BLOCK], last[i]);
        mw_wait_stat("multipath.path0.state", "up");
        assert_true(strtoul(sw_stat("multipath.path0.losses").s, NULL, 10) >= 1);
        assert_string_equal(sw_stat("multipath.path1.losses").s, "0");
        unsigned before = atomic_load(&mw.a->log_count);
        for (unsigned i = 0; i < MW_COUNT; i++)
            mw_start(i, BIO_READ, i % BLOCKS, 0);
        sw_wait();
        for (unsigned i = 0; i < MW_COUNT; i++)
            assert_int_equal(mw.data[i][0], last[i % BLOCKS]);
        assert_true(atomic_load(&mw.a->log_count) > before); /* it is used again */
        mw_end();
    }
}

/* A write that a path has taken with it may come true late. It is written by the other path at
 * once, but nothing else goes to its blocks for settle_ns, or until the path is back. */
static void ghost(const char *options, uint64_t settle_ns, bool comes_back)
{
    mw_begin(options);
    rig_down(mw.b); /* so that the write goes to a */
    mw_wait_stat("multipath.path1.state", "down");
    atomic_store(&mw.a->mute, 1);
    mw_start(0, BIO_WRITE, 5, 1);
    while (!atomic_load(&mw.a->muted))
        sw_run_for(NS_PER_MS);
    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    assert_int_equal(sw.pending, 1);
    uint64_t lost_ns = clock_now_ns();
    rig_down(mw.a);
    sw_wait();
    assert_int_equal(mw.bios[0].err, 0);

    mw_start(1, BIO_WRITE, 5, 2);
    mw_start(2, BIO_READ, 5, 0);
    mw_start(3, BIO_WRITE, 6, 3);
    mw_wait_pending(1);
    unsigned pending = sw.pending;
    struct sw_text ghosts = sw_stat("multipath.path0.ghosts");
    uint8_t written = rig_disk(mw.a)[5 * STORE_BLOCK];
    if (clock_now_ns() - lost_ns < settle_ns) { /* else this process was stopped for long */
        assert_int_equal(pending, 1);           /* the write to the same block */
        assert_string_equal(ghosts.s, "1");
        assert_int_equal(mw.data[2][0], 1);
        assert_int_equal(written, 1);
    }
    if (comes_back)
        rig_up(mw.a);
    sw_wait();
    mw_all_good(4);
    assert_int_equal(rig_disk(mw.a)[5 * STORE_BLOCK], 2);
    assert_string_equal(sw_stat("multipath.path0.ghosts").s, "0");
    assert_true(comes_back || clock_now_ns() - lost_ns >= settle_ns);
    if (!comes_back)
        rig_up(mw.a);
    mw_end();
}

/* At recovery level 2 a session could be continued; but nobody waits for that while there is
 * another path. */
static void not_continued(void **st)
{
    (void)st;
    char text[512];
    mw_rigs_start();
    atomic_store(&mw.a->recovery, 2);
    atomic_store(&mw.b->recovery, 2);
    atomic_store(&mw.a->time2retain, 3600);
    atomic_store(&mw.b->time2retain, 3600);
    mw_spec(text, "?error_recovery=2&policy=round-robin");
    sw_begin(text);
    mw_wait_stat("multipath.path0.state", "up");
    mw_wait_stat("multipath.path1.state", "up");
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 1);
    rig_down(mw.a);
    mw_wait_stat("multipath.path0.state", "down");
    sw_wait();
    mw_all_good(MW_COUNT);
    rig_up(mw.a);
    mw_wait_stat("multipath.path0.state", "up");
    mw_end();
}

static void ghosts(void **st)
{
    (void)st;
    ghost("?settle_timeout=600ms", 600 * NS_PER_MS, false);
    ghost("?settle_timeout=3600s", 3600 * NS_PER_SEC, true);
}

/* The target keeps a lost session for Time2Wait + Time2Retain, which comes on top of
 * settle_timeout: also when the channel whose write it was is gone. */
static void ghost_kept(void **st)
{
    (void)st;
    for (unsigned closes = 0; closes < 2; closes++) {
        char text[512];
        mw_rigs_start();
        atomic_store(&mw.a->time2wait, 1);
        rig_down(mw.b);
        mw_spec(text, "?settle_timeout=100ms");
        sw_begin(text);
        struct store_channel *first = sw.ch;
        if (closes)
            assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
        struct store_channel *second = sw.ch;
        mw_wait_stat("multipath.path0.sessions", closes ? "2" : "1");
        sw.ch = first;
        atomic_store(&mw.a->mute, 1);
        mw_start(0, BIO_WRITE, 5, 1);
        while (!atomic_load(&mw.a->muted))
            sw_run_for(NS_PER_MS);
        rig_up(mw.b);
        mw_wait_stat("multipath.path1.sessions", closes ? "2" : "1");
        uint64_t start = clock_now_ns();
        rig_down(mw.a);
        sw_wait();
        sw.ch = second;
        mw_start(1, BIO_WRITE, 5, 2);
        if (closes)
            store_channel_close(first);
        sw_wait();
        mw_all_good(2);
        assert_true(clock_now_ns() - start >= 1100 * NS_PER_MS);
        assert_int_equal(rig_disk(mw.a)[5 * STORE_BLOCK], 2);
        rig_up(mw.a);
        mw_end();
    }
}

/* A login at another address ends nothing at the first one, nor does a second one there. */
static void ghost_elsewhere(void **st)
{
    (void)st;
    mw_begin("?settle_timeout=3600s");
    rig_down(mw.b);
    mw_wait_stat("multipath.path1.state", "down");
    atomic_store(&mw.a->mute, 1);
    mw_start(0, BIO_WRITE, 5, 1);
    while (!atomic_load(&mw.a->muted))
        sw_run_for(NS_PER_MS);
    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    atomic_store(&mw.a->portals[0].redirect_to, 1);
    for (unsigned i = 0; i < 2; i++) {
        rig_down(mw.a);
        mw_wait_stat("multipath.path0.state", "down");
        rig_up(mw.a);
        mw_wait_stat("multipath.path0.state", "up");
        assert_string_equal(sw_stat("multipath.path0.ghosts").s, "1");
    }
    assert_int_equal(atomic_load(&mw.a->portals[1].logins), 2);
    sw_wait();
    assert_int_equal(mw.bios[0].err, 0);
    mw_end();
}

/* Blocks that are closed are so for all channels of the store, and stay so when the one whose write
 * it was is gone. */
static void ghost_of_another(void **st)
{
    (void)st;
    for (unsigned closes = 0; closes < 2; closes++) {
        mw_begin(closes ? "?settle_timeout=500ms" : "?settle_timeout=3600s");
        uint64_t settle_ns = closes ? 500 * NS_PER_MS : 3600 * NS_PER_SEC;
        struct store_channel *first = sw.ch;
        assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
        mw_wait_stat("multipath.path0.sessions", "2");
        mw_wait_stat("multipath.path1.sessions", "2");
        struct store_channel *second = sw.ch;
        rig_down(mw.b);
        mw_wait_stat("multipath.path1.sessions", "0");
        atomic_store(&mw.a->mute, 1);
        sw.ch = first;
        mw_start(0, BIO_WRITE, 5, 1);
        while (!atomic_load(&mw.a->muted))
            sw_run_for(NS_PER_MS);
        rig_up(mw.b);
        mw_wait_stat("multipath.path1.sessions", "2");
        uint64_t lost_ns = clock_now_ns();
        rig_down(mw.a);
        sw_wait();
        assert_int_equal(mw.bios[0].err, 0);
        sw.ch = second;
        mw_start(1, BIO_WRITE, 5, 2);
        for (unsigned i = 0; i < 1 + closes; i++) {
            if (i)
                store_channel_close(first);
            sw_run_for(50 * NS_PER_MS);
            unsigned pending = sw.pending; /* 0 only when this process was stopped for long */
            assert_true(pending == 1 || clock_now_ns() - lost_ns >= settle_ns);
        }
        rig_up(mw.a);
        sw_wait();
        assert_int_equal(mw.bios[1].err, 0);
        assert_int_equal(rig_disk(mw.a)[5 * STORE_BLOCK], 2);
        if (!closes)
            store_channel_close(first);
        mw_end();
    }
}

/* What has another effect the second time is not done twice. */
static void never_twice(void **st)
{
    (void)st;
    mw_begin("?policy=round-robin");
    uint8_t two[2 * STORE_BLOCK];
    memset(two, 0, STORE_BLOCK);
    memset(two + STORE_BLOCK, 7, STORE_BLOCK);
    rig_down(mw.b);
    mw_wait_stat("multipath.path1.state", "down");
    atomic_store(&mw.a->cut_after, true);
    atomic_store(&mw.a->cut_at, 1);
    assert_int_equal(sw_run(BIO_COMPARE_AND_WRITE, 0, 3, 1, two), USAN_EIO);
    assert_int_equal(mw.a->log_count, 1);
    assert_int_equal(rig_disk(mw.a)[3 * STORE_BLOCK], 7);
    rig_up(mw.b);
    mw_end();
}

/* Without any path requests wait, but not for ever; and there is a way back. */
static void none_is_left(void **st)
{
    (void)st;
    mw_begin("?reconnect_timeout=400ms");
    rig_down(mw.a);
    rig_down(mw.b);
    uint64_t start = clock_now_ns();
    mw_start(0, BIO_WRITE, 1, 1);
    sw_wait();
    assert_int_equal(mw.bios[0].err, USAN_ETIMEOUT);
    assert_true(clock_now_ns() - start >= 300 * NS_PER_MS);
    mw_start(0, BIO_READ, 1, 1); /* from now on at once */
    sw_wait();
    assert_int_equal(mw.bios[0].err, USAN_ETIMEOUT);
    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, mw.data[0]), 0);
    rig_up(mw.a);
    mw_wait_stat("multipath.path0.state", "up");
    mw_end();
}

/* Nor does a request wait for blocks that a ghost keeps closed, once there is no path. */
static void closed_and_none_left(void **st)
{
    (void)st;
    mw_begin("?settle_timeout=3600s&reconnect_timeout=200ms");
    rig_down(mw.b);
    mw_wait_stat("multipath.path1.state", "down");
    atomic_store(&mw.a->mute, 1);
    mw_start(0, BIO_WRITE, 5, 1);
    while (!atomic_load(&mw.a->muted))
        sw_run_for(NS_PER_MS);
    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    rig_down(mw.a);
    sw_wait();
    assert_int_equal(mw.bios[0].err, 0);
    mw_start(1, BIO_WRITE, 5, 2);
    assert_int_equal(sw.pending, 1);
    rig_down(mw.b);
    sw_wait();
    assert_int_equal(mw.bios[1].err, USAN_ETIMEOUT);
    mw_start(2, BIO_WRITE, 5, 3); /* from now on at once */
    sw_wait();
    assert_int_equal(mw.bios[2].err, USAN_ETIMEOUT);

    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    mw_start(3, BIO_WRITE, 5, 4); /* it waits again */
    assert_int_equal(sw.pending, 1);
    rig_up(mw.a);
    sw_wait();
    assert_int_equal(mw.bios[3].err, 0);
    assert_int_equal(rig_disk(mw.a)[5 * STORE_BLOCK], 4);
    mw_end();
}

/* There never was one since the store was opened: it is the same, and does not take the time of a
 * login that nobody answers. */
static void never_there(void **st)
{
    (void)st;
    char text[512];
    mw_rigs_start();
    mw_spec(text, "?reconnect_timeout=100ms&login_timeout=3600s");
    sw_begin(text);
    rig_down(mw.a);
    rig_down(mw.b);
    mw_start(0, BIO_WRITE, 1, 1);
    sw_wait();
    assert_int_equal(mw.bios[0].err, USAN_ETIMEOUT);
    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, mw.data[0]), 0);
    rig_up(mw.a);
    mw_end();
}

/* One that is back in time: nobody notices. */
static void back_in_time(void **st)
{
    (void)st;
    mw_begin("?reconnect_timeout=3600s");
    rig_down(mw.a);
    rig_down(mw.b);
    mw_start(0, BIO_WRITE, 1, 9);
    sw_run_for(50 * NS_PER_MS);
    rig_up(mw.b);
    sw_wait();
    assert_int_equal(mw.bios[0].err, 0);
    rig_up(mw.a);
    mw_end();
}

/* A target that does not answer a command: it is aborted there and goes to the other one. */
static void late(void **st)
{
    (void)st;
    mw_begin("?policy=round-robin&command_timeout=2s");
    atomic_store(&mw.a->mute, 1);
    for (unsigned i = 0; i < 4; i++)
        mw_start(i, BIO_WRITE, i, 3);
    sw_wait();
    mw_all_good(4);
    assert_int_equal(mw.a->muted, 1);
    assert_int_equal(mw.a->aborts, 1);
    assert_string_equal(sw_stat("multipath.path0.moved").s, "1");
    assert_string_equal(sw_stat("multipath.path0.ghosts").s, "0"); /* it was aborted */
    assert_string_equal(sw_stat("multipath.path0.losses").s, "0");
    mw_end();
}

/* The unit of one path is another one when it comes back: that path is not used. */
static void another_unit(void **st)
{
    (void)st;
    mw_begin("?policy=round-robin");
    rig_down(mw.a);
    mw_wait_stat("multipath.path0.state", "down");
    atomic_store(&mw.a->naa, MW_NAA + 1);
    rig_up(mw.a);
    mw_wait_stat("multipath.path0.state", "wrong");
    assert_non_null(strstr(sw_stat("multipath.path0.why").s, "another unit: naa.6001405000000002"));
    unsigned before = atomic_load(&mw.a->log_count);
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 3);
    sw_wait();
    mw_all_good(MW_COUNT);
    assert_int_equal(mw.a->log_count, before);
    mw_end();
}

/* The unit goes from one target only. */
static void unit_goes(void **st)
{
    (void)st;
    mw_begin("?policy=round-robin");
    atomic_store(&mw.a->gone, true);
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 3);
    sw_wait();
    mw_all_good(MW_COUNT);
    mw_wait_stat("multipath.path0.state", "down");
    atomic_store(&mw.a->gone, false);
    mw_wait_stat("multipath.path0.state", "up");
    mw_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_dies),         cmocka_unit_test(ghosts),
        cmocka_unit_test(ghost_kept),       cmocka_unit_test(ghost_elsewhere),
        cmocka_unit_test(ghost_of_another), cmocka_unit_test(not_continued),
        cmocka_unit_test(never_twice),      cmocka_unit_test(none_is_left),
        cmocka_unit_test(never_there),      cmocka_unit_test(closed_and_none_left),
        cmocka_unit_test(back_in_time),     cmocka_unit_test(late),
        cmocka_unit_test(another_unit),     cmocka_unit_test(unit_goes),
    };
    if (store_registry_add(&mpath_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
