/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One unit through two targets, of which one dies, comes back, is slow, refuses or is another. */
#include "initiator/mpath_store.h"
#include "store_world.h"
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

#define NAA UINT64_C(0x6001405000000001)

static struct rig *a, *b;

static void rigs_start(void)
{
    a = rig_start();
    b = rig_start_beside(a);
    atomic_store(&a->naa, NAA);
    atomic_store(&b->naa, NAA);
}

static void rigs_stop(void)
{
    rig_stop(b);
    rig_stop(a);
}

static void spec(char text[512], const char *options)
{
    snprintf(text, 512, "multipath:iscsi://127.0.0.1:%u/" RIG_TARGET "/0,127.0.0.1:%u%s",
             a->portals[0].port, b->portals[0].port, options);
}

static void wait_stat(const char *name, const char *value)
{
    uint64_t end = clock_now_ns() + 30 * NS_PER_SEC;
    while (strcmp(sw_stat(name).s, value) != 0) {
        if (clock_now_ns() > end)
            fail_msg("%s is %s, not %s", name, sw_stat(name).s, value);
        sw_run_for(5 * NS_PER_MS);
    }
}

/* Both paths are up. */
static void begin(const char *options)
{
    char text[512];
    rigs_start();
    spec(text, options);
    sw_begin(text);
    wait_stat("multipath.path0.state", "up");
    wait_stat("multipath.path1.state", "up");
    atomic_store(&a->log_count, 0);
    atomic_store(&b->log_count, 0);
}

static void end(void)
{
    sw_end();
    rigs_stop();
}

/* ---- requests ---- */

enum { COUNT = 64 };

static struct bio bios[COUNT];
static struct iovec iovs[COUNT];
static uint8_t data[COUNT][STORE_BLOCK];

static void start_one(unsigned i, enum bio_op op, uint64_t block, uint8_t byte)
{
    if (op == BIO_WRITE)
        memset(data[i], byte, STORE_BLOCK);
    iovs[i] = (struct iovec){ data[i], STORE_BLOCK };
    bios[i] = (struct bio){
        .op = op, .off = block * STORE_BLOCK, .len = STORE_BLOCK, .iov = &iovs[i], .iovcnt = 1
    };
    sw_start(&bios[i]);
}

static void assert_all_good(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(bios[i].err, 0);
}

/* ---- opening ---- */

static void open_fails(const char *options, const char *says)
{
    char text[512];
    struct store *s;
    struct err_text e = { "" };
    spec(text, options);
    assert_int_not_equal(store_open_spec(text, false, &s, &e), 0);
    if (!strstr(e.text, says))
        fail_msg("'%s' does not say '%s'", e.text, says);
}

static void opening(void **st)
{
    (void)st;
    char text[512];
    struct store *s;
    rigs_start();
    atomic_store(&b->naa, NAA + 1);
    open_fails("", "leads to another unit: naa.6001405000000002 instead of naa.6001405000000001");
    atomic_store(&b->naa, 0);
    open_fails("", "neither NAA nor EUI-64");
    atomic_store(&b->naa, NAA);
    atomic_store(&b->block_bytes, 4096);
    open_fails("", "blocks of 4096 bytes instead of 512");
    rig_down(b); /* one that is not there may be so */
    spec(text, "");
    assert_int_equal(store_open_spec(text, false, &s, NULL), 0);
    assert_int_equal(s->info.size_bytes, RIG_BLOCKS * STORE_BLOCK);
    store_close(s);
    rig_down(a);
    open_fails("", "Connection refused");
    rig_up(a);
    rig_up(b);
    rigs_stop();
}

/* ---- spreading ---- */

static void spread(void **st)
{
    (void)st;
    static const char *const policies[] = { "?policy=round-robin", "?policy=least-outstanding",
                                            "?policy=service-time" };
    for (unsigned p = 0; p < 3; p++) {
        begin(policies[p]);
        for (unsigned round = 0; round < 4; round++) {
            for (unsigned i = 0; i < COUNT; i++)
                start_one(i, round % 2 ? BIO_READ : BIO_WRITE, i, (uint8_t)(round + i));
            sw_wait();
            assert_all_good(COUNT);
            for (unsigned i = 0; round % 2 && i < COUNT; i++)
                assert_int_equal(data[i][7], (uint8_t)(round - 1 + i));
        }
        assert_int_equal(a->log_count + b->log_count, 4 * COUNT);
        if (p == 0)
            assert_int_equal(a->log_count, 2 * COUNT);
        assert_true(a->log_count > 0 && b->log_count > 0);
        end();
    }
}

/* ---- losses ---- */

/* One target dies under load at each of many moments, before or after it has carried out what it is
 * cut at, and comes back: no request fails, and every block has what was written to it last. */
static void one_dies(void **st)
{
    (void)st;
    enum { BLOCKS = 16 };
    for (int cut = 1; cut <= 24; cut += 7) {
        uint8_t last[BLOCKS] = { 0 };
        begin("?policy=round-robin&settle_timeout=20s");
        atomic_store(&a->cut_after, cut % 2 == 0);
        for (unsigned round = 0; round < 6; round++) {
            if (round == 1)
                atomic_store(&a->cut_at, cut);
            if (round == 2)
                rig_down(a);
            if (round == 4)
                rig_up(a);
            for (unsigned i = 0; i < COUNT; i++) {
                uint8_t byte = (uint8_t)(1 + round * 40 + i / BLOCKS);
                start_one(i, BIO_WRITE, i % BLOCKS, byte);
                last[i % BLOCKS] = byte;
            }
            if (round == 2 || round == 3)
                sw_run_for(NS_PER_MS);
            else
                sw_wait();
            if (sw.pending) { /* some wait for a ghost: until its path is back */
                rig_up(a);
                sw_wait();
                if (round < 4)
                    rig_down(a);
            }
            assert_all_good(COUNT);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            assert_int_equal(rig_disk(a)[i * STORE_BLOCK], last[i]);
        wait_stat("multipath.path0.state", "up");
        assert_true(strtoul(sw_stat("multipath.path0.losses").s, NULL, 10) >= 1);
        assert_string_equal(sw_stat("multipath.path1.losses").s, "0");
        unsigned before = atomic_load(&a->log_count);
        for (unsigned i = 0; i < COUNT; i++)
            start_one(i, BIO_READ, i % BLOCKS, 0);
        sw_wait();
        for (unsigned i = 0; i < COUNT; i++)
            assert_int_equal(data[i][0], last[i % BLOCKS]);
        assert_true(atomic_load(&a->log_count) > before); /* it is used again */
        end();
    }
}

/* A write that a path has taken with it may come true late. It is written by the other path at
 * once, but nothing else goes to its blocks until it can not. */
static void ghost(const char *options, bool comes_back)
{
    begin(options);
    rig_down(b); /* so that the write goes to a */
    wait_stat("multipath.path1.state", "down");
    atomic_store(&a->mute, 1);
    start_one(0, BIO_WRITE, 5, 1);
    while (!atomic_load(&a->muted))
        sw_run_for(NS_PER_MS);
    rig_up(b);
    wait_stat("multipath.path1.state", "up");
    assert_int_equal(sw.pending, 1);
    rig_down(a);
    sw_wait();
    assert_int_equal(bios[0].err, 0);
    assert_int_equal(rig_disk(a)[5 * STORE_BLOCK], 1);
    assert_string_equal(sw_stat("multipath.path0.ghosts").s, "1");

    uint64_t start = clock_now_ns();
    start_one(1, BIO_WRITE, 5, 2);
    start_one(2, BIO_READ, 5, 0);
    start_one(3, BIO_WRITE, 6, 3);
    sw_run_for(100 * NS_PER_MS);
    assert_int_equal(sw.pending, 1); /* the write to the same block */
    assert_int_equal(data[2][0], 1);
    assert_int_equal(rig_disk(a)[5 * STORE_BLOCK], 1);
    if (comes_back)
        rig_up(a);
    sw_wait();
    assert_all_good(4);
    assert_int_equal(rig_disk(a)[5 * STORE_BLOCK], 2);
    assert_string_equal(sw_stat("multipath.path0.ghosts").s, "0");
    assert_true(comes_back || clock_now_ns() - start >= 300 * NS_PER_MS);
    if (!comes_back)
        rig_up(a);
    end();
}

/* At recovery level 2 a session could be continued; but nobody waits for that while there is
 * another path. */
static void not_continued(void **st)
{
    (void)st;
    char text[512];
    rigs_start();
    atomic_store(&a->recovery, 2);
    atomic_store(&b->recovery, 2);
    spec(text, "?error_recovery=2&policy=round-robin");
    sw_begin(text);
    wait_stat("multipath.path0.state", "up");
    wait_stat("multipath.path1.state", "up");
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 1);
    rig_down(a);
    uint64_t start = clock_now_ns();
    wait_stat("multipath.path0.state", "down");
    sw_wait();
    assert_all_good(COUNT);
    assert_true(clock_now_ns() - start < 2 * NS_PER_SEC);
    rig_up(a);
    wait_stat("multipath.path0.state", "up");
    end();
}

static void ghosts(void **st)
{
    (void)st;
    ghost("?settle_timeout=600ms", false);
    ghost("?settle_timeout=3600s", true);
}

/* The target keeps a lost session for Time2Wait + Time2Retain, which comes on top of
 * settle_timeout: also when the channel whose write it was is gone. */
static void ghost_kept(void **st)
{
    (void)st;
    for (unsigned closes = 0; closes < 2; closes++) {
        char text[512];
        rigs_start();
        atomic_store(&a->time2wait, 1);
        rig_down(b);
        spec(text, "?settle_timeout=100ms");
        sw_begin(text);
        struct store_channel *first = sw.ch;
        if (closes)
            assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
        struct store_channel *second = sw.ch;
        wait_stat("multipath.path0.sessions", closes ? "2" : "1");
        sw.ch = first;
        atomic_store(&a->mute, 1);
        start_one(0, BIO_WRITE, 5, 1);
        while (!atomic_load(&a->muted))
            sw_run_for(NS_PER_MS);
        rig_up(b);
        wait_stat("multipath.path1.sessions", closes ? "2" : "1");
        uint64_t start = clock_now_ns();
        rig_down(a);
        sw_wait();
        sw.ch = second;
        start_one(1, BIO_WRITE, 5, 2);
        if (closes)
            store_channel_close(first);
        sw_wait();
        assert_all_good(2);
        assert_true(clock_now_ns() - start >= 1100 * NS_PER_MS);
        assert_int_equal(rig_disk(a)[5 * STORE_BLOCK], 2);
        rig_up(a);
        end();
    }
}

/* A login at another address ends nothing at the first one, nor does a second one there. */
static void ghost_elsewhere(void **st)
{
    (void)st;
    begin("?settle_timeout=3600s");
    rig_down(b);
    wait_stat("multipath.path1.state", "down");
    atomic_store(&a->mute, 1);
    start_one(0, BIO_WRITE, 5, 1);
    while (!atomic_load(&a->muted))
        sw_run_for(NS_PER_MS);
    rig_up(b);
    wait_stat("multipath.path1.state", "up");
    atomic_store(&a->portals[0].redirect_to, 1);
    for (unsigned i = 0; i < 2; i++) {
        rig_down(a);
        wait_stat("multipath.path0.state", "down");
        rig_up(a);
        wait_stat("multipath.path0.state", "up");
        assert_string_equal(sw_stat("multipath.path0.ghosts").s, "1");
    }
    assert_int_equal(atomic_load(&a->portals[1].logins), 2);
    sw_wait();
    assert_int_equal(bios[0].err, 0);
    end();
}

/* Blocks that are closed are so for all channels of the store, and stay so when the one whose write
 * it was is gone. */
static void ghost_of_another(void **st)
{
    (void)st;
    for (unsigned closes = 0; closes < 2; closes++) {
        begin(closes ? "?settle_timeout=500ms" : "?settle_timeout=3600s");
        struct store_channel *first = sw.ch;
        assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
        wait_stat("multipath.path0.sessions", "2");
        wait_stat("multipath.path1.sessions", "2");
        struct store_channel *second = sw.ch;
        rig_down(b);
        wait_stat("multipath.path1.sessions", "0");
        atomic_store(&a->mute, 1);
        sw.ch = first;
        start_one(0, BIO_WRITE, 5, 1);
        while (!atomic_load(&a->muted))
            sw_run_for(NS_PER_MS);
        rig_up(b);
        wait_stat("multipath.path1.sessions", "2");
        rig_down(a);
        sw_wait();
        assert_int_equal(bios[0].err, 0);
        sw.ch = second;
        start_one(1, BIO_WRITE, 5, 2);
        sw_run_for(50 * NS_PER_MS);
        assert_int_equal(sw.pending, 1);
        if (closes) {
            store_channel_close(first);
            sw_run_for(50 * NS_PER_MS);
            assert_int_equal(sw.pending, 1);
        }
        rig_up(a);
        sw_wait();
        assert_int_equal(bios[1].err, 0);
        assert_int_equal(rig_disk(a)[5 * STORE_BLOCK], 2);
        if (!closes)
            store_channel_close(first);
        end();
    }
}

/* What has another effect the second time is not done twice. */
static void never_twice(void **st)
{
    (void)st;
    begin("?policy=round-robin");
    uint8_t two[2 * STORE_BLOCK];
    memset(two, 0, STORE_BLOCK);
    memset(two + STORE_BLOCK, 7, STORE_BLOCK);
    rig_down(b);
    wait_stat("multipath.path1.state", "down");
    atomic_store(&a->cut_after, true);
    atomic_store(&a->cut_at, 1);
    assert_int_equal(sw_run(BIO_COMPARE_AND_WRITE, 0, 3, 1, two), USAN_EIO);
    assert_int_equal(a->log_count, 1);
    assert_int_equal(rig_disk(a)[3 * STORE_BLOCK], 7);
    rig_up(b);
    end();
}

/* Without any path requests wait, but not for ever; and there is a way back. */
static void none_is_left(void **st)
{
    (void)st;
    begin("?reconnect_timeout=400ms");
    rig_down(a);
    rig_down(b);
    uint64_t start = clock_now_ns();
    start_one(0, BIO_WRITE, 1, 1);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_ETIMEOUT);
    assert_true(clock_now_ns() - start >= 300 * NS_PER_MS);
    start_one(0, BIO_READ, 1, 1); /* from now on at once */
    sw_wait();
    assert_int_equal(bios[0].err, USAN_ETIMEOUT);
    rig_up(b);
    wait_stat("multipath.path1.state", "up");
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data[0]), 0);
    rig_up(a);
    wait_stat("multipath.path0.state", "up");

    rig_down(a); /* back in time: nobody notices */
    rig_down(b);
    start_one(0, BIO_WRITE, 1, 9);
    sw_run_for(50 * NS_PER_MS);
    rig_up(b);
    sw_wait();
    assert_int_equal(bios[0].err, 0);
    rig_up(a);
    end();
}

/* A target that does not answer a command: it is aborted there and goes to the other one. */
static void late(void **st)
{
    (void)st;
    begin("?policy=round-robin&command_timeout=150ms");
    atomic_store(&a->mute, 1);
    for (unsigned i = 0; i < 4; i++)
        start_one(i, BIO_WRITE, i, 3);
    sw_wait();
    assert_all_good(4);
    assert_int_equal(a->muted, 1);
    assert_int_equal(a->aborts, 1);
    assert_string_equal(sw_stat("multipath.path0.moved").s, "1");
    assert_string_equal(sw_stat("multipath.path0.ghosts").s, "0"); /* it was aborted */
    assert_string_equal(sw_stat("multipath.path0.losses").s, "0");
    end();
}

/* The unit of one path is another one when it comes back: that path is not used. */
static void another_unit(void **st)
{
    (void)st;
    begin("?policy=round-robin");
    rig_down(a);
    wait_stat("multipath.path0.state", "down");
    atomic_store(&a->naa, NAA + 1);
    rig_up(a);
    wait_stat("multipath.path0.state", "wrong");
    assert_non_null(strstr(sw_stat("multipath.path0.why").s, "another unit: naa.6001405000000002"));
    unsigned before = atomic_load(&a->log_count);
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 3);
    sw_wait();
    assert_all_good(COUNT);
    assert_int_equal(a->log_count, before);
    end();
}

/* The unit goes from one target only. */
static void unit_goes(void **st)
{
    (void)st;
    begin("?policy=round-robin");
    atomic_store(&a->gone, true);
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 3);
    sw_wait();
    assert_all_good(COUNT);
    wait_stat("multipath.path0.state", "down");
    atomic_store(&a->gone, false);
    wait_stat("multipath.path0.state", "up");
    end();
}

/* ---- asymmetric access ---- */

static void alua(void **st)
{
    (void)st;
    char text[512];
    rigs_start();
    atomic_store(&a->group, 1);
    atomic_store(&b->group, 2);
    atomic_store(&b->alua, 1);
    spec(text, "");
    sw_begin(text);
    wait_stat("multipath.path0.state", "up");
    wait_stat("multipath.path1.state", "up");
    atomic_store(&b->log_count, 0);
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 1);
    sw_wait();
    assert_all_good(COUNT);
    assert_int_equal(b->log_count, 0); /* the optimized one is preferred */

    atomic_store(&a->alua, 2); /* standby: refused there, done by the other one */
    unsigned before = atomic_load(&a->log_count);
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 2);
    sw_wait();
    assert_all_good(COUNT);
    assert_int_equal(a->log_count, before);
    assert_int_equal(b->log_count, COUNT);
    wait_stat("multipath.path0.state", "closed");
    wait_stat("multipath.path0.why", "standby");

    atomic_store(&a->alua, 0); /* back: the other one says that states have changed */
    atomic_store(&b->attention_code, 0x2a06);
    atomic_store(&b->attention, 1);
    start_one(0, BIO_READ, 0, 0);
    sw_wait();
    assert_int_equal(bios[0].err, 0);
    wait_stat("multipath.path0.state", "up");
    before = atomic_load(&b->log_count);
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 4);
    sw_wait();
    assert_all_good(COUNT);
    assert_int_equal(b->log_count, before);

    atomic_store(&a->alua, 15); /* in transition, and the other one unavailable: it is waited for */
    atomic_store(&b->alua, 3);
    for (unsigned i = 0; i < COUNT; i++)
        start_one(i, BIO_WRITE, i, 5);
    sw_run_for(200 * NS_PER_MS);
    assert_int_equal(sw.pending, COUNT);
    atomic_store(&a->alua, 1);
    sw_wait();
    assert_all_good(COUNT);
    assert_int_equal(rig_disk(a)[0], 5);
    end();
}

/* A unit that is too busy to say its state keeps the one it had. */
static void state_not_told(void **st)
{
    (void)st;
    char text[512];
    rigs_start();
    atomic_store(&a->group, 1);
    atomic_store(&b->group, 2);
    atomic_store(&a->alua, 2);
    spec(text, "");
    sw_begin(text);
    wait_stat("multipath.path0.state", "closed");
    wait_stat("multipath.path1.state", "up");
    atomic_store(&a->groups_busy, true);
    atomic_store(&b->attention_code, 0x2a06);
    atomic_store(&b->attention, 1);
    start_one(0, BIO_READ, 0, 0);
    sw_wait();
    uint64_t give_up_ns = clock_now_ns() + 30 * NS_PER_SEC;
    while (atomic_load(&a->groups_asked) < 65) { /* so often, every 20 ms */
        assert_true(clock_now_ns() < give_up_ns);
        sw_run_for(20 * NS_PER_MS);
    }
    sw_run_for(100 * NS_PER_MS);
    assert_string_equal(sw_stat("multipath.path0.state").s, "closed");
    atomic_store(&a->groups_busy, false);
    atomic_store(&a->alua, 0);
    wait_stat("multipath.path0.state", "up");
    end();
}

/* The question can not be sent after a login: the next one brings the next question. */
static void state_not_asked(void **st)
{
    (void)st;
    char text[512];
    rigs_start();
    atomic_store(&a->group, 1);
    spec(text, "");
    sw_begin(text);
    wait_stat("multipath.path0.state", "up");
    wait_stat("multipath.path1.state", "up");
    rig_down(a);
    wait_stat("multipath.path0.state", "down");
    sw_fail_submit(0xa3);
    rig_up(a);
    wait_stat("multipath.path0.state", "up");
    assert_true(sw_submit_failed());
    end();
}

/* The one that is left is closed, and opens: it is looked at soon. */
static void standby_takes_over(void **st)
{
    (void)st;
    char text[512];
    rigs_start();
    atomic_store(&a->group, 1);
    atomic_store(&b->group, 2);
    atomic_store(&b->alua, 2);
    spec(text, "");
    sw_begin(text);
    wait_stat("multipath.path0.state", "up");
    wait_stat("multipath.path1.state", "closed");
    sw_run_for(700 * NS_PER_MS); /* it is looked at seldom from now on */
    rig_down(a);
    wait_stat("multipath.path0.state", "down");
    uint64_t start = clock_now_ns();
    start_one(0, BIO_WRITE, 0, 1);
    atomic_store(&b->alua, 0);
    sw_wait();
    assert_int_equal(bios[0].err, 0);
    assert_true(clock_now_ns() - start < 3 * NS_PER_SEC); /* and not five */
    rig_up(a);
    end();
}

/* ---- news ---- */

struct listener {
    struct store_watcher w;
    unsigned sizes, texts;
    char text[256];
};

static void news(struct store_watcher *w, enum store_news what, const char *text)
{
    struct listener *l = list_entry(w, struct listener, w);
    if (what == STORE_NEWS_SIZE) {
        l->sizes++;
        return;
    }
    l->texts++;
    snprintf(l->text, sizeof(l->text), "%s", text);
}

/* The owner of the stack is told of losses and of another size, which all stores of it have. */
static void told(void **st)
{
    (void)st;
    char text[512], stacked[600];
    struct err_text e = { "" };
    struct listener l = { .w.news = news };
    rigs_start();
    spec(text, "");
    snprintf(stacked, sizeof(stacked), "stats+%s", text);
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    sw_begin(text); /* for its loop */
    store_channel_close(sw.ch);
    store_close(sw.store);
    (void)lc;
    assert_int_equal(store_open_spec(stacked, false, &sw.store, &e), 0);
    store_watch(sw.store, &l.w);
    assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
    wait_stat("multipath.path1.state", "up");
    wait_stat("multipath.path0.state", "up");
    assert_int_equal(l.texts, 2);
    rig_down(a);
    wait_stat("multipath.path0.state", "down");
    assert_int_equal(l.texts, 3);
    assert_non_null(strstr(l.text, "/" RIG_TARGET "/0 is down: "));
    assert_int_equal(l.sizes, 0);
    atomic_store(&b->blocks, 2 * RIG_BLOCKS);
    atomic_store(&b->attention_code, 0x2a09);
    atomic_store(&b->attention, 1);
    assert_int_equal(sw_run(BIO_READ, 0, 0, 1, data[0]), 0);
    assert_int_equal(l.sizes, 1);
    assert_true(sw.store->info.size_bytes == 2ull * RIG_BLOCKS * STORE_BLOCK);
    rig_up(a);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening),
        cmocka_unit_test(spread),
        cmocka_unit_test(one_dies),
        cmocka_unit_test(ghosts),
        cmocka_unit_test(ghost_kept),
        cmocka_unit_test(ghost_elsewhere),
        cmocka_unit_test(ghost_of_another),
        cmocka_unit_test(not_continued),
        cmocka_unit_test(never_twice),
        cmocka_unit_test(none_is_left),
        cmocka_unit_test(late),
        cmocka_unit_test(another_unit),
        cmocka_unit_test(unit_goes),
        cmocka_unit_test(alua),
        cmocka_unit_test(state_not_told),
        cmocka_unit_test(state_not_asked),
        cmocka_unit_test(standby_takes_over),
        cmocka_unit_test(told),
    };
    if (store_registry_add(&mpath_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
