/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One unit through two targets: opening, spreading, access states, what is told of it. */
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

/* ---- opening ---- */

static void open_fails(const char *options, const char *says)
{
    char text[512];
    struct store *s;
    struct err_text e = { "" };
    mw_spec(text, options);
    assert_int_not_equal(store_open_spec(text, false, &s, &e), 0);
    if (!strstr(e.text, says))
        fail_msg("'%s' does not say '%s'", e.text, says);
}

static void opening(void **st)
{
    (void)st;
    char text[512];
    struct store *s;
    mw_rigs_start();
    atomic_store(&mw.b->naa, MW_NAA + 1);
    open_fails("", "leads to another unit: naa.6001405000000002 instead of naa.6001405000000001");
    atomic_store(&mw.b->naa, 0);
    open_fails("", "neither NAA nor EUI-64");
    atomic_store(&mw.b->naa, MW_NAA);
    atomic_store(&mw.b->block_bytes, 4096);
    open_fails("", "blocks of 4096 bytes instead of 512");
    rig_down(mw.b); /* one that is not there may be so */
    mw_spec(text, "");
    assert_int_equal(store_open_spec(text, false, &s, NULL), 0);
    assert_int_equal(s->info.size_bytes, RIG_BLOCKS * STORE_BLOCK);
    store_close(s);
    rig_down(mw.a);
    open_fails("", "Connection refused");
    rig_up(mw.a);
    rig_up(mw.b);
    mw_rigs_stop();
}

/* ---- spreading ---- */

static void spread(void **st)
{
    (void)st;
    static const char *const policies[] = { "?policy=round-robin", "?policy=least-outstanding",
                                            "?policy=service-time" };
    for (unsigned p = 0; p < 3; p++) {
        mw_begin(policies[p]);
        for (unsigned round = 0; round < 4; round++) {
            for (unsigned i = 0; i < MW_COUNT; i++)
                mw_start(i, round % 2 ? BIO_READ : BIO_WRITE, i, (uint8_t)(round + i));
            sw_wait();
            mw_all_good(MW_COUNT);
            for (unsigned i = 0; round % 2 && i < MW_COUNT; i++)
                assert_int_equal(mw.data[i][7], (uint8_t)(round - 1 + i));
        }
        assert_int_equal(mw.a->log_count + mw.b->log_count, 4 * MW_COUNT);
        if (p == 0)
            assert_int_equal(mw.a->log_count, 2 * MW_COUNT);
        assert_true(mw.a->log_count > 0 && mw.b->log_count > 0);
        mw_end();
    }
}

/* ---- asymmetric access ---- */

static void alua(void **st)
{
    (void)st;
    char text[512];
    mw_rigs_start();
    atomic_store(&mw.a->group, 1);
    atomic_store(&mw.b->group, 2);
    atomic_store(&mw.b->alua, 1);
    mw_spec(text, "");
    sw_begin(text);
    mw_wait_stat("multipath.path0.state", "up");
    mw_wait_stat("multipath.path1.state", "up");
    atomic_store(&mw.b->log_count, 0);
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 1);
    sw_wait();
    mw_all_good(MW_COUNT);
    assert_int_equal(mw.b->log_count, 0); /* the optimized one is preferred */

    atomic_store(&mw.a->alua, 2); /* standby: refused there, done by the other one */
    unsigned before = atomic_load(&mw.a->log_count);
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 2);
    sw_wait();
    mw_all_good(MW_COUNT);
    assert_int_equal(mw.a->log_count, before);
    assert_int_equal(mw.b->log_count, MW_COUNT);
    mw_wait_stat("multipath.path0.state", "closed");
    mw_wait_stat("multipath.path0.why", "standby");

    atomic_store(&mw.a->alua, 0); /* back: the other one says that states have changed */
    atomic_store(&mw.b->attention_code, 0x2a06);
    atomic_store(&mw.b->attention, 1);
    mw_start(0, BIO_READ, 0, 0);
    sw_wait();
    assert_int_equal(mw.bios[0].err, 0);
    mw_wait_stat("multipath.path0.state", "up");
    before = atomic_load(&mw.b->log_count);
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 4);
    sw_wait();
    mw_all_good(MW_COUNT);
    assert_int_equal(mw.b->log_count, before);

    /* in transition, and the other one unavailable: it is waited for */
    atomic_store(&mw.a->alua, 15);
    atomic_store(&mw.b->alua, 3);
    for (unsigned i = 0; i < MW_COUNT; i++)
        mw_start(i, BIO_WRITE, i, 5);
    sw_run_for(200 * NS_PER_MS);
    assert_int_equal(sw.pending, MW_COUNT);
    atomic_store(&mw.a->alua, 1);
    sw_wait();
    mw_all_good(MW_COUNT);
    assert_int_equal(rig_disk(mw.a)[0], 5);
    mw_end();
}

/* A unit that is too busy to say its state keeps the one it had. */
static void state_not_told(void **st)
{
    (void)st;
    char text[512];
    mw_rigs_start();
    atomic_store(&mw.a->group, 1);
    atomic_store(&mw.b->group, 2);
    atomic_store(&mw.a->alua, 2);
    mw_spec(text, "");
    sw_begin(text);
    mw_wait_stat("multipath.path0.state", "closed");
    mw_wait_stat("multipath.path1.state", "up");
    atomic_store(&mw.a->groups_busy, true);
    atomic_store(&mw.b->attention_code, 0x2a06);
    atomic_store(&mw.b->attention, 1);
    mw_start(0, BIO_READ, 0, 0);
    sw_wait();
    uint64_t give_up_ns = clock_now_ns() + 30 * NS_PER_SEC;
    while (atomic_load(&mw.a->groups_asked) < 65) { /* so often, every 20 ms */
        assert_true(clock_now_ns() < give_up_ns);
        sw_run_for(20 * NS_PER_MS);
    }
    sw_run_for(100 * NS_PER_MS);
    assert_string_equal(sw_stat("multipath.path0.state").s, "closed");
    atomic_store(&mw.a->groups_busy, false);
    atomic_store(&mw.a->alua, 0);
    mw_wait_stat("multipath.path0.state", "up");
    mw_end();
}

/* The question can not be sent after a login: the next one brings the next question. */
static void state_not_asked(void **st)
{
    (void)st;
    char text[512];
    mw_rigs_start();
    atomic_store(&mw.a->group, 1);
    mw_spec(text, "");
    sw_begin(text);
    mw_wait_stat("multipath.path0.state", "up");
    mw_wait_stat("multipath.path1.state", "up");
    rig_down(mw.a);
    mw_wait_stat("multipath.path0.state", "down");
    sw_fail_submit(0xa3);
    rig_up(mw.a);
    mw_wait_stat("multipath.path0.state", "up");
    assert_true(sw_submit_failed());
    mw_end();
}

/* The one that is left is closed, and opens: it is looked at soon. */
static void standby_takes_over(void **st)
{
    (void)st;
    char text[512];
    mw_rigs_start();
    atomic_store(&mw.a->group, 1);
    atomic_store(&mw.b->group, 2);
    atomic_store(&mw.b->alua, 2);
    mw_spec(text, "");
    sw_begin(text);
    mw_wait_stat("multipath.path0.state", "up");
    mw_wait_stat("multipath.path1.state", "closed");
    /* At least one of several takes less than 3 s, and not five: this process may be stopped. */
    uint64_t best = TIME_NEVER;
    for (unsigned i = 0; i < 5 && best >= 3 * NS_PER_SEC; i++) {
        atomic_store(&mw.b->alua, 2);
        atomic_store(&mw.a->attention_code, 0x2a06); /* states have changed */
        atomic_store(&mw.a->attention, 1);
        assert_int_equal(sw_run(BIO_READ, 0, 0, 1, mw.data[0]), 0);
        mw_wait_stat("multipath.path1.state", "closed");
        sw_run_for(700 * NS_PER_MS); /* it is looked at seldom from now on */
        rig_down(mw.a);
        mw_wait_stat("multipath.path0.state", "down");
        uint64_t start = clock_now_ns();
        mw_start(0, BIO_WRITE, 0, 1);
        atomic_store(&mw.b->alua, 0);
        sw_wait();
        assert_int_equal(mw.bios[0].err, 0);
        best = time_min(best, clock_now_ns() - start);
        rig_up(mw.a);
        mw_wait_stat("multipath.path0.state", "up");
    }
    assert_true(best < 3 * NS_PER_SEC);
    mw_end();
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
    mw_rigs_start();
    mw_spec(text, "");
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
    mw_wait_stat("multipath.path1.state", "up");
    mw_wait_stat("multipath.path0.state", "up");
    assert_int_equal(l.texts, 2);
    rig_down(mw.a);
    mw_wait_stat("multipath.path0.state", "down");
    assert_int_equal(l.texts, 3);
    assert_non_null(strstr(l.text, "/" RIG_TARGET "/0 is down: "));
    assert_int_equal(l.sizes, 0);
    atomic_store(&mw.b->blocks, 2 * RIG_BLOCKS);
    atomic_store(&mw.b->attention_code, 0x2a09);
    atomic_store(&mw.b->attention, 1);
    assert_int_equal(sw_run(BIO_READ, 0, 0, 1, mw.data[0]), 0);
    assert_int_equal(l.sizes, 1);
    assert_true(sw.store->info.size_bytes == 2ull * RIG_BLOCKS * STORE_BLOCK);
    rig_up(mw.a);
    mw_end();
}

/* So it is of a path that is not there from the beginning. */
static void told_of_dead(void **st)
{
    (void)st;
    char text[512];
    struct listener l = { .w.news = news };
    mw_rigs_start();
    rig_down(mw.b);
    mw_spec(text, "");
    sw_begin(text); /* for its loop */
    store_channel_close(sw.ch);
    store_close(sw.store);
    assert_int_equal(store_open_spec(text, false, &sw.store, NULL), 0);
    store_watch(sw.store, &l.w);
    assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
    assert_int_equal(l.texts, 1);
    assert_non_null(strstr(l.text, " is down: "));
    assert_non_null(strstr(l.text, "Connection refused"));
    mw_wait_stat("multipath.path0.state", "up");
    assert_int_equal(l.texts, 2);
    struct store_channel *second;
    assert_int_equal(store_channel_open(sw.store, sw.loop, &second), 0);
    assert_int_equal(l.texts, 2); /* once */
    store_channel_close(second);
    rig_up(mw.b);
    mw_wait_stat("multipath.path1.state", "up");
    assert_int_equal(l.texts, 3);
    mw_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening),
        cmocka_unit_test(spread),
        cmocka_unit_test(alua),
        cmocka_unit_test(state_not_told),
        cmocka_unit_test(state_not_asked),
        cmocka_unit_test(standby_takes_over),
        cmocka_unit_test(told),
        cmocka_unit_test(told_of_dead),
    };
    if (store_registry_add(&mpath_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
