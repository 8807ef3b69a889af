/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the unit behind a session that came back is the one it was; sizes; quick zeroes. */
#include "initiator/iscsi_store.h"
#include "store_world.h"
#include "target_rig.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 8 };

static struct bio bios[COUNT];
static struct iovec iovs[COUNT];
static uint8_t data[COUNT][STORE_BLOCK];

static struct rig *begin(uint64_t naa)
{
    char spec[256];
    struct rig *rig = rig_start();
    atomic_store(&rig->naa, naa);
    snprintf(spec, sizeof(spec), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0?reconnect_timeout=10s",
             rig->portals[0].port);
    sw_begin(spec);
    assert_int_equal(sw_run(BIO_READ, 0, 0, 1, data[0]), 0); /* it is logged in */
    atomic_store(&rig->log_count, 0);
    return rig;
}

static void end(struct rig *rig)
{
    sw_end();
    rig_stop(rig);
}

static void start_writes(unsigned count, uint8_t byte)
{
    for (unsigned i = 0; i < count; i++) {
        memset(data[i], byte, STORE_BLOCK);
        iovs[i] = (struct iovec){ data[i], STORE_BLOCK };
        bios[i] = (struct bio){ .op = BIO_WRITE,
                                .off = i * STORE_BLOCK,
                                .len = STORE_BLOCK,
                                .iov = &iovs[i],
                                .iovcnt = 1 };
        sw_start(&bios[i]);
    }
}

/* Another disk has been put in the place of this one while the session was lost: neither what was
 * under way nor what waits is written to it. */
static void another_disk(void **st)
{
    (void)st;
    struct rig *rig = begin(0x6001405000000001);
    rig_down(rig);
    start_writes(COUNT, 7);
    sw_run_for(20 * NS_PER_MS);
    atomic_store(&rig->naa, 0x6001405000000002);
    rig_up(rig);
    sw_wait();
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(bios[i].err, USAN_EIO);
    assert_int_equal(rig->log_count, 0);
    struct sw_text t = sw_stat("iscsi.error");
    if (!strstr(t.s, "LUN 0: another unit: naa.6001405000000002 instead of naa.6001405000000001"))
        fail_msg("it says: %s", t.s);
    assert_int_equal(sw_run(BIO_READ, 0, 0, 1, data[0]), USAN_EIO);
    assert_int_equal(rig->log_count, 0);
    end(rig);
}

/* Not even a unit that has lost its name, or has other blocks. */
static void another_kind(void **st)
{
    (void)st;
    for (unsigned i = 0; i < 2; i++) {
        struct rig *rig = begin(i ? 0 : 0x6001405000000001);
        atomic_store(i ? &rig->block_bytes : &rig->commands, i ? 4096 : 0);
        if (!i)
            atomic_store(&rig->naa, 0);
        atomic_store(&rig->cut_at, 1);
        start_writes(1, 7);
        sw_wait();
        assert_int_equal(bios[0].err, USAN_EIO);
        assert_int_equal(rig->log_count, 0);
        end(rig);
    }
}

/* The same one: everything goes on, and a new size is seen without being told. */
static void same_disk(void **st)
{
    (void)st;
    struct rig *rig = begin(0x6001405000000001);
    rig_down(rig);
    start_writes(COUNT, 7);
    atomic_store(&rig->blocks, 2 * RIG_BLOCKS);
    atomic_store(&rig->attention_code, 0x2907);
    atomic_store(&rig->attention, 3);
    rig_up(rig);
    sw_wait();
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(bios[i].err, 0);
        assert_int_equal(rig_disk(rig)[i * STORE_BLOCK], 7);
    }
    assert_true(sw.store->info.size_bytes == 2ull * RIG_BLOCKS * STORE_BLOCK);
    end(rig);
}

/* The target is back before its unit is. */
static void unit_comes_late(void **st)
{
    (void)st;
    struct rig *rig = begin(0x6001405000000001);
    rig_down(rig);
    start_writes(COUNT, 7);
    atomic_store(&rig->gone, true);
    rig_up(rig);
    sw_run_for(500 * NS_PER_MS);
    assert_int_equal(sw.pending, COUNT);
    assert_non_null(strstr(sw_stat("iscsi.error").s, "LUN 0"));
    atomic_store(&rig->gone, false);
    sw_wait();
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(bios[i].err, 0);
    end(rig);
}

/* The look itself can not be sent, at any of its steps: the login counts as failed, and the next
 * one brings the next look. */
static void not_sent(void **st)
{
    (void)st;
    static const uint8_t steps[] = { 0x12, 0x9e };
    struct rig *rig = begin(0x6001405000000001);
    for (unsigned i = 0; i < 2; i++) {
        sw_fail_submit(steps[i]);
        atomic_store(&rig->cut_at, 1);
        start_writes(COUNT, (uint8_t)(7 + i));
        sw_wait();
        assert_true(sw_submit_failed());
        for (unsigned k = 0; k < COUNT; k++) {
            assert_int_equal(bios[k].err, 0);
            assert_int_equal(rig_disk(rig)[k * STORE_BLOCK], 7 + i);
        }
    }
    end(rig);
}

static void change(struct rig *rig)
{
    atomic_store(&rig->attention_code, 0x2a09);
    atomic_store(&rig->attention, 1);
}

/* READ CAPACITY after a change is asked until it is answered; nothing is sent before that. */
static void busy_capacity(void **st)
{
    (void)st;
    struct rig *rig = begin(0x6001405000000001);
    atomic_store(&rig->block_bytes, 4096);
    atomic_store(&rig->capacity_busy, 3);
    change(rig);
    start_writes(1, 7);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_EIO);
    assert_int_equal(rig->capacity_busy, 0);
    assert_int_equal(rig->log_count, 0);
    end(rig);

    rig = begin(0x6001405000000001);
    atomic_store(&rig->capacity_fails, true);
    change(rig);
    start_writes(1, 7);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_EIO); /* what its blocks are nobody knows */
    start_writes(1, 7);
    sw_wait();
    assert_int_equal(bios[0].err, USAN_EIO);
    assert_int_equal(rig->log_count, 0);
    atomic_store(&rig->capacity_fails, false);
    start_writes(1, 7);
    sw_wait();
    assert_int_equal(bios[0].err, 0);
    assert_int_equal(rig_disk(rig)[0], 7);
    end(rig);
}

/* Zeroes, but only if they are quick: not where the unit would have to write them. */
static void quick_zeroes(void **st)
{
    (void)st;
    static const uint32_t quick = BIO_F_FAST_ZERO | BIO_F_MAY_UNMAP;
    for (unsigned thick = 0; thick < 2; thick++) {
        struct rig *rig = rig_start();
        char spec[256];
        atomic_store(&rig->thick, thick);
        snprintf(spec, sizeof(spec), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0", rig->portals[0].port);
        sw_begin(spec);
        assert_int_equal(sw_run(BIO_WRITE_ZEROES, quick, 0, 8, NULL), thick ? USAN_ENOTSUP : 0);
        assert_int_equal(rig->log_count, thick ? 0 : 1);
        assert_int_equal(sw_run(BIO_WRITE_ZEROES, BIO_F_FAST_ZERO, 0, 8, NULL), USAN_ENOTSUP);
        assert_int_equal(sw_run(BIO_WRITE_ZEROES, BIO_F_MAY_UNMAP, 0, 8, NULL), 0);
        assert_int_equal(sw_run(BIO_WRITE_ZEROES, 0, 0, 8, NULL), 0);
        end(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_disk), cmocka_unit_test(another_kind),
        cmocka_unit_test(same_disk),    cmocka_unit_test(unit_comes_late),
        cmocka_unit_test(not_sent),     cmocka_unit_test(busy_capacity),
        cmocka_unit_test(quick_zeroes),
    };
    if (store_registry_add(&iscsi_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
