/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes that are over, and that the target may still carry out: their blocks stay closed until it
 * can not any more.
 */
#include "initiator/iscsi_store.h"
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

enum { COUNT = 4, SERVICE_UNAVAILABLE = 0x0301 };

static struct rig *rig;
static struct store_channel *first, *second;
static struct bio bios[COUNT];
static struct iovec iovs[COUNT];
static uint8_t data[COUNT][2 * STORE_BLOCK];

static void wait_stat(const char *name, const char *value)
{
    uint64_t end = clock_now_ns() + 30 * NS_PER_SEC;
    while (strcmp(sw_stat(name).s, value) != 0) {
        if (clock_now_ns() > end)
            fail_msg("%s is %s, not %s", name, sw_stat(name).s, value);
        sw_run_for(5 * NS_PER_MS);
    }
}

/* Two channels, both logged in. */
static void begin(const char *options)
{
    static const struct store_ops *known;
    char spec[256];
    if (!known)
        assert_int_equal(store_registry_add(known = &iscsi_store_ops), 0);
    rig = rig_start();
    snprintf(spec, sizeof(spec), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0%s", rig->portals[0].port,
             options);
    sw_begin(spec);
    first = sw.ch;
    wait_stat("iscsi.logins", "1");
    assert_int_equal(store_channel_open(sw.store, sw.loop, &second), 0);
    wait_stat("iscsi.logins", "2");
}

static void end(void)
{
    if (first)
        store_channel_close(first);
    sw.ch = second;
    sw_end();
    rig_stop(rig);
}

static void start_on(struct store_channel *ch, unsigned i, enum bio_op op, uint64_t block,
                     uint8_t byte)
{
    bool compare = op == BIO_COMPARE_AND_WRITE;
    memset(data[i], compare ? 0 : byte, STORE_BLOCK);
    memset(data[i] + STORE_BLOCK, byte, STORE_BLOCK);
    iovs[i] = (struct iovec){ data[i], compare ? 2 * STORE_BLOCK : STORE_BLOCK };
    bios[i] = (struct bio){
        .op = op, .off = block * STORE_BLOCK, .len = STORE_BLOCK, .iov = &iovs[i], .iovcnt = 1
    };
    sw.ch = ch;
    sw_start(&bios[i]);
}

static uint8_t block(unsigned i)
{
    return rig_disk(rig)[i * STORE_BLOCK];
}

/* A request of the first channel is with the target when its session is lost, which does not come
 * back until login() allows it. The second channel's session goes on. */
static void lose(unsigned i, enum bio_op op)
{
    atomic_store(&rig->portals[0].refuse, SERVICE_UNAVAILABLE);
    atomic_store(&rig->cut_at, 1);
    start_on(first, i, op, 5, 1);
}

static void login(void)
{
    atomic_store(&rig->portals[0].refuse, 0);
}

/* ---- how they come ---- */

/* Nobody waits for the session any longer: what it had has failed, the other channel's write to
 * these blocks waits, and one to others does not. Then the session comes back. */
static void given_up(void **st)
{
    (void)st;
    begin("?reconnect_timeout=100ms&settle_timeout=3600s");
    lose(0, BIO_WRITE);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_ETIMEOUT);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "1");
    start_on(second, 1, BIO_WRITE, 6, 3);
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    start_on(second, 1, BIO_WRITE, 5, 2);
    start_on(second, 2, BIO_READ, 5, 9); /* reads do not care */
    sw_run_for(100 * NS_PER_MS);
    assert_int_equal(sw.pending, 1);
    assert_int_equal(block(5), 0);
    login();
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    assert_int_equal(block(5), 2);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "0");
    end();
}

/* It never comes back, but no target keeps a lost session for ever. */
static void settled(void **st)
{
    (void)st;
    for (unsigned closes = 0; closes < 2; closes++) {
        begin("?reconnect_timeout=0s&settle_timeout=500ms");
        lose(0, BIO_WRITE);
        uint64_t since = clock_now_ns();
        sw_wait();
        start_on(second, 1, BIO_WRITE, 5, 2);
        if (closes) { /* the channel goes, its ghost stays */
            store_channel_close(first);
            first = NULL;
        }
        sw_wait();
        assert_int_equal(bios[1].err, 0);
        assert_true(clock_now_ns() - since >= 500 * NS_PER_MS);
        assert_int_equal(block(5), 2);
        end();
    }
}

/* The target keeps a session for Time2Wait + Time2Retain, which comes on top. */
static void kept(void **st)
{
    (void)st;
    begin("?reconnect_timeout=0s&settle_timeout=10ms");
    atomic_store(&rig->time2wait, 1); /* for the logins from now on */
    atomic_store(&rig->cut_at, 1);
    start_on(first, 0, BIO_READ, 0, 0);
    sw_wait();
    wait_stat("iscsi.logins", "3");
    lose(0, BIO_WRITE);
    uint64_t since = clock_now_ns();
    sw_wait();
    start_on(second, 1, BIO_WRITE, 5, 2);
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    assert_true(clock_now_ns() - since >= NS_PER_SEC);
    end();
}

/* What is not sent again fails with the session: that does not make it harmless. */
static void never_again(void **st)
{
    (void)st;
    begin("?reconnect_timeout=3600s&settle_timeout=3600s");
    atomic_store(&rig->cut_after, true); /* it is carried out, and nobody knows */
    lose(0, BIO_COMPARE_AND_WRITE);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_ECLOSED);
    start_on(second, 1, BIO_WRITE, 5, 2);
    sw_run_for(50 * NS_PER_MS);
    assert_int_equal(sw.pending, 1);
    login();
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    assert_int_equal(block(5), 2);
    end();
}

/* Who cancels a write that waits to be sent again does not end what the target has of it. */
static void canceled(void **st)
{
    (void)st;
    begin("?reconnect_timeout=3600s&settle_timeout=3600s");
    lose(0, BIO_WRITE);
    wait_stat("iscsi.losses", "1");
    assert_int_equal(store_cancel(first, &bios[0]), 0);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_ECANCELED);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "1");
    start_on(second, 1, BIO_WRITE, 5, 2);
    sw_run_for(50 * NS_PER_MS);
    assert_int_equal(sw.pending, 1);
    assert_int_equal(store_cancel(second, &bios[1]), 0); /* that one waits for its blocks */
    sw_wait();
    assert_int_equal(bios[1].err, USAN_ECANCELED);
    login();
    wait_stat("iscsi.ghosts", "0");
    end();
}

/* ---- how they go ---- */

/* A login at another address ends nothing at the first one, nor does a second one there. */
static void elsewhere(void **st)
{
    (void)st;
    begin("?settle_timeout=3600s");
    atomic_store(&rig->portals[0].redirect_to, 1);
    atomic_store(&rig->cut_at, 1);
    start_on(first, 0, BIO_WRITE, 5, 1);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_EIO);
    assert_int_equal(atomic_load(&rig->portals[1].logins), 1);
    assert_string_equal(sw_stat("iscsi.unsure_writes").s, "1");
    assert_string_equal(sw_stat("iscsi.ghosts").s, "1");
    atomic_store(&rig->cut_at, 1);
    start_on(first, 1, BIO_WRITE, 6, 3); /* lost as well, and sent again: it is where it was */
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    assert_int_equal(atomic_load(&rig->portals[1].logins), 2);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "1");
    start_on(first, 2, BIO_WRITE, 5, 2);
    sw_run_for(50 * NS_PER_MS);
    assert_int_equal(sw.pending, 1);
    assert_int_equal(store_cancel(first, &bios[2]), 0);
    sw_wait();
    end();

    begin("?settle_timeout=300ms"); /* time does */
    atomic_store(&rig->portals[0].redirect_to, 1);
    atomic_store(&rig->cut_at, 1);
    start_on(first, 0, BIO_WRITE, 5, 1);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_EIO);
    start_on(first, 1, BIO_WRITE, 5, 2);
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    assert_int_equal(block(5), 2);
    end();
}

/* Requests that wait for such blocks do so no longer than for the session. */
static void no_longer(void **st)
{
    (void)st;
    begin("?reconnect_timeout=200ms&settle_timeout=3600s");
    lose(0, BIO_WRITE);
    wait_stat("iscsi.losses", "1");
    start_on(first, 1, BIO_WRITE, 5, 2);
    start_on(first, 2, BIO_WRITE, 5, 3);
    assert_int_equal(sw.pending, 3);
    sw_wait();
    assert_int_equal(bios[1].err, USAN_ETIMEOUT);
    assert_int_equal(bios[2].err, USAN_ETIMEOUT);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "1");
    start_on(first, 1, BIO_WRITE, 5, 2); /* nor does one that comes later */
    sw_wait();
    assert_int_equal(bios[1].err, USAN_ETIMEOUT);
    login();
    wait_stat("iscsi.state", "up");
    start_on(first, 1, BIO_WRITE, 5, 4);
    sw_wait();
    assert_int_equal(bios[1].err, 0);
    assert_int_equal(block(5), 4);
    end();
}

/* What was answered, aborted or never sent is none. */
static void none(void **st)
{
    (void)st;
    begin("?settle_timeout=3600s&reconnect_timeout=0s");
    atomic_store(&rig->mute, 1);
    start_on(first, 0, BIO_WRITE, 5, 1);
    while (!atomic_load(&rig->muted))
        sw_run_for(NS_PER_MS);
    assert_int_equal(store_cancel(first, &bios[0]), 0);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_ECANCELED);
    assert_int_equal(atomic_load(&rig->aborts), 1);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "0");
    atomic_store(&rig->bad_sense, 0x031100);
    start_on(first, 0, BIO_WRITE, 5, 1);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_EIO);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "0");
    atomic_store(&rig->bad_sense, 0);
    lose(0, BIO_READ);
    sw_wait();
    assert_int_not_equal(bios[0].err, 0);
    start_on(first, 0, BIO_WRITE, 5, 1);
    sw_wait();
    assert_int_not_equal(bios[0].err, 0);
    assert_string_equal(sw_stat("iscsi.ghosts").s, "0");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_up),    cmocka_unit_test(settled),  cmocka_unit_test(kept),
        cmocka_unit_test(never_again), cmocka_unit_test(canceled), cmocka_unit_test(elsewhere),
        cmocka_unit_test(no_longer),   cmocka_unit_test(none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
