/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks of a target as stores: the order of requests when sessions are lost. */
#include "disk_world.h"
#include "initiator/iscsi_store.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
        static uint8_t data[WRITES][STORE_BLOCK];
        disk_begin();
        assert_int_equal(sw_run(BIO_READ, 0, 0, 1, data[0]), 0); /* it is logged in */
        atomic_store(&disk_rig->log_count, 0);
        atomic_store(&disk_rig->cut_after, cut % 2);
        atomic_store(&disk_rig->cut_at, (cut + 1) / 2);
        for (unsigned i = 0; i < WRITES; i++) {
            memset(data[i], (int)i + 1, STORE_BLOCK);
            iov[i] = (struct iovec){ data[i], STORE_BLOCK };
            bio[i] = (struct bio){ .op = BIO_WRITE,
                                   .off = 7 * STORE_BLOCK,
                                   .len = STORE_BLOCK,
                                   .iov = &iov[i],
                                   .iovcnt = 1 };
            sw_start(&bio[i]);
        }
        sw_wait();
        for (unsigned i = 0; i < WRITES; i++)
            assert_int_equal(bio[i].err, 0);
        assert_int_equal(rig_disk(disk_rig)[7 * STORE_BLOCK], WRITES);
        /* one more than there are only if its answer was lost */
        assert_int_equal(disk_rig->log_count, WRITES + (cut % 2));
        disk_end();
    }
}

/* Writes side by side are not held back by each other, reads by nothing. */
static void side_by_side(void **st)
{
    (void)st;
    enum { COUNT = 200 };
    static struct bio bio[COUNT];
    static struct iovec iov[COUNT];
    static uint8_t data[COUNT][STORE_BLOCK];
    disk_begin();
    atomic_store(&disk_rig->cut_at, 77);
    for (unsigned i = 0; i < COUNT; i++) {
        memset(data[i], (int)i, STORE_BLOCK);
        iov[i] = (struct iovec){ data[i], STORE_BLOCK };
        bio[i] = (struct bio){ .op = i % 4 == 3 ? BIO_READ : BIO_WRITE,
                               .off = (i % 4 == 3 ? i - 3 : i) * STORE_BLOCK,
                               .len = STORE_BLOCK,
                               .iov = &iov[i],
                               .iovcnt = 1 };
        sw_start(&bio[i]);
    }
    sw_wait();
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(bio[i].err, 0);
        if (i % 4 != 3)
            assert_int_equal(rig_disk(disk_rig)[i * STORE_BLOCK], (uint8_t)i);
    }
    disk_end();
}

/* ---- two channels ---- */

static unsigned long long counted(const char *name)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    sw.store->ops->stats(sw.store, out);
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
    uint64_t end = clock_now_ns() + 30 * NS_PER_SEC;
    while (counted("iscsi.losses ") != losses) {
        assert_true(clock_now_ns() < end);
        assert_int_equal(loop_timer_set(sw.loop, &sw.guard, clock_now_ns() + 2 * NS_PER_MS), 0);
        loop_run(sw.loop);
    }
    loop_timer_cancel(sw.loop, &sw.guard);
    sw.late = false;
}

/* A write through sw.ch that is carried out, but the connection dies instead of the answer. */
static void start_unanswered(struct bio *bio, struct iovec *iov, uint8_t *data, int byte)
{
    unsigned long long losses = counted("iscsi.losses ");
    memset(data, byte, STORE_BLOCK);
    *iov = (struct iovec){ data, STORE_BLOCK };
    *bio = (struct bio){
        .op = BIO_WRITE, .off = 7 * STORE_BLOCK, .len = STORE_BLOCK, .iov = iov, .iovcnt = 1
    };
    atomic_store(&disk_rig->log_count, 0);
    atomic_store(&disk_rig->cut_after, true);
    atomic_store(&disk_rig->cut_at, 1);
    sw_start(bio);
    wait_lost(losses + 1);
    assert_int_equal(rig_disk(disk_rig)[7 * STORE_BLOCK], byte);
}

/* Channels hold each other's writes back: what the lost session has written is written again before
 * the other channel may write there, and none fails. alone: the first one has written before there
 * was a second. */
static void two_channels(bool alone)
{
    uint8_t a[STORE_BLOCK] = { 0 }, b[2 * STORE_BLOCK], c[STORE_BLOCK];
    struct bio bio[3];
    struct iovec iov[3];
    disk_begin();
    atomic_store(&disk_rig->time2wait, 1);
    struct store_channel *first = sw.ch, *second;
    if (alone)
        assert_int_equal(sw_run(BIO_WRITE, 0, 0, 1, a), 0);
    assert_int_equal(sw_run(BIO_READ, 0, 0, 1, a), 0); /* it is logged in */
    assert_int_equal(store_channel_open(sw.store, sw.loop, &second), 0);
    sw.ch = second;
    assert_int_equal(sw_run(BIO_READ, 0, 0, 1, a), 0);
    sw.ch = first;

    start_unanswered(&bio[0], &iov[0], a, 1);
    memset(b, 1, STORE_BLOCK);
    memset(b + STORE_BLOCK, 2, STORE_BLOCK);
    iov[1] = (struct iovec){ b, sizeof(b) };
    bio[1] = (struct bio){ .op = BIO_COMPARE_AND_WRITE,
                           .off = 7 * STORE_BLOCK,
                           .len = STORE_BLOCK,
                           .iov = &iov[1],
                           .iovcnt = 1 };
    sw.ch = second;
    sw_start(&bio[1]);
    memset(c, 3, STORE_BLOCK); /* beside it nothing waits */
    iov[2] = (struct iovec){ c, STORE_BLOCK };
    bio[2] = (struct bio){
        .op = BIO_WRITE, .off = 9 * STORE_BLOCK, .len = STORE_BLOCK, .iov = &iov[2], .iovcnt = 1
    };
    sw_start(&bio[2]);
    sw.ch = first;
    sw_wait();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(bio[i].err, 0);
    assert_int_equal(disk_rig->log_count, 4); /* the first one twice */
    assert_int_equal(disk_rig->log[3].opcode, 0x89);
    assert_int_equal(rig_disk(disk_rig)[7 * STORE_BLOCK], 2);
    assert_int_equal(rig_disk(disk_rig)[9 * STORE_BLOCK], 3);
    assert_int_equal(counted("iscsi.unsure_writes "), 0);
    store_channel_close(second);
    disk_end();
}

static void two_from_the_start(void **st)
{
    (void)st;
    two_channels(false);
}

static void one_comes_later(void **st)
{
    (void)st;
    two_channels(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(side_by_side),
        cmocka_unit_test(two_from_the_start),
        cmocka_unit_test(one_comes_later),
    };
    if (store_registry_add(&iscsi_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
