/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks of a target as stores: what they are like, every request, errors. */
#include "disk_world.h"
#include "initiator/iscsi_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- properties ---- */

static void properties(void **st)
{
    (void)st;
    struct err_text e = { "" };
    disk_rig = rig_start();
    assert_int_equal(disk_open(0, "?queue_depth=4", false, &e), 0);
    const struct store_info *i = &sw.store->info;
    assert_int_equal(i->size_bytes, RIG_BLOCKS * STORE_BLOCK);
    assert_int_equal(i->block_bytes, 512);
    assert_int_equal(i->phys_block_bytes, 4096);
    assert_int_equal(i->unmap_gran_bytes, 8 * STORE_BLOCK);
    assert_true(i->unmap_zeroes && i->can_fua && i->can_compare_and_write);
    assert_true(i->volatile_cache && i->can_write_zeroes && !i->read_only);
    store_close(sw.store);

    assert_int_equal(disk_open(0, "", true, &e), 0);
    assert_true(sw.store->info.read_only);
    store_close(sw.store);
    atomic_store(&disk_rig->protected, true);
    assert_int_equal(disk_open(0, "", false, &e), 0);
    assert_true(sw.store->info.read_only);
    store_close(sw.store);
    /* A unit without vital product data is a disk, too. */
    atomic_store(&disk_rig->no_vpd, true);
    assert_int_equal(disk_open(0, "", false, &e), 0);
    assert_int_equal(sw.store->info.unmap_gran_bytes, 0);
    assert_false(sw.store->info.can_compare_and_write);
    store_close(sw.store);
    /* Whatever it says first of all. */
    atomic_store(&disk_rig->attention_code, 0x2900);
    atomic_store(&disk_rig->attention, 5);
    atomic_store(&disk_rig->busy, 2);
    assert_int_equal(disk_open(0, "", false, &e), 0);
    store_close(sw.store);
    rig_stop(disk_rig);
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
    disk_rig = rig_start();
    says(disk_open(3, "", false, &e), USAN_ENOENT, &e, "LUN 3");
    says(disk_open(0, "?speed=9", false, &e), USAN_EINVAL, &e, "unknown option 'speed'");
    says(disk_open(0, "?user=a", false, &e), USAN_EINVAL, &e, "no secret");
    says(store_open_spec("iscsi://127.0.0.1", false, &sw.store, &e), USAN_EINVAL, &e, "no target");
    says(store_open_spec("iscsi://127.0.0.1/" RIG_TARGET, false, &sw.store, &e), USAN_EINVAL, &e,
         "no LUN");
    says(store_open_spec("iscsi:nonsense", false, &sw.store, &e), USAN_EINVAL, &e, "iscsi://");
    says(store_open_spec("iscsi://127.0.0.1/iqn/0", false, &sw.store, &e), USAN_EINVAL, &e, "iqn");
    /* %se is no escape: a URL is taken as it stands */
    char spec[256];
    snprintf(spec, sizeof(spec), "stats+iscsi:iscsi://alice%%secret-secret@127.0.0.1:%u/%s/0",
             disk_rig->portals[0].port, RIG_TARGET);
    assert_int_equal(store_open_spec(spec, false, &sw.store, &e), 0);
    store_close(sw.store);
    rig_down(disk_rig);
    says(disk_open(0, "", false, &e), USAN_EIO, &e, "Connection refused");
    assert_null(strchr(e.text, '\n'));
    rig_stop(disk_rig);
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
    static uint8_t out[BLOCKS * STORE_BLOCK], in[BLOCKS * STORE_BLOCK];
    disk_begin();
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + i / STORE_BLOCK);
    struct iovec vo[3] = { { out, 100 }, { out + 100, 131072 }, { out + 131172, 0 } };
    vo[2].iov_len = sizeof(out) - 131172;
    assert_int_equal(disk_run(BIO_WRITE, 0, 11, BLOCKS, vo, 3, NULL), 0);
    assert_memory_equal(rig_disk(disk_rig) + 11 * STORE_BLOCK, out, sizeof(out));
    assert_int_equal(disk_rig->log_count, 4); /* of 256 blocks at most */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(disk_rig->log[i].opcode, 0x2a);
        assert_int_equal(disk_rig->log[i].lba, 11 + 256 * i);
        assert_int_equal(disk_rig->log[i].blocks, i < 3 ? 256 : 232);
    }
    struct iovec vi[4] = { { in, 1 }, { in + 1, 262143 }, { in + 262144, 512 }, { 0 } };
    vi[3] = (struct iovec){ in + 262656, sizeof(in) - 262656 };
    assert_int_equal(disk_run(BIO_READ, 0, 11, BLOCKS, vi, 4, NULL), 0);
    assert_memory_equal(in, out, sizeof(out));
    disk_end();
}

static void zeroes_and_unmap(void **st)
{
    (void)st;
    static const uint8_t zero[2000 * STORE_BLOCK];
    disk_begin();
    memset(rig_disk(disk_rig), 1, RIG_BLOCKS * STORE_BLOCK);
    rig_touched(disk_rig);
    assert_int_equal(disk_run(BIO_WRITE_ZEROES, 0, 3, 600, NULL, 0, NULL), 0);
    assert_memory_equal(rig_disk(disk_rig) + 3 * STORE_BLOCK, zero, 600 * STORE_BLOCK);
    assert_int_equal(rig_disk(disk_rig)[3 * STORE_BLOCK - 1], 1);
    assert_int_equal(rig_disk(disk_rig)[603 * STORE_BLOCK], 1);
    assert_int_equal(disk_rig->log_count, 2); /* 512 blocks at a time */
    assert_int_equal(disk_rig->log[0].opcode, 0x93);
    assert_int_equal(disk_rig->log[1].blocks, 88);

    assert_int_equal(disk_run(BIO_UNMAP, BIO_F_FUA, 1000, 2000, NULL, 0, NULL), 0);
    assert_memory_equal(rig_disk(disk_rig) + 1000 * STORE_BLOCK, zero, 2000 * STORE_BLOCK);
    assert_int_equal(rig_disk(disk_rig)[3000 * STORE_BLOCK], 1);
    assert_int_equal(disk_rig->log_count, 5); /* 1024 at a time, then to the medium */
    assert_int_equal(disk_rig->log[2].opcode, 0x42);
    assert_int_equal(disk_rig->log[3].blocks, 976);
    assert_int_equal(disk_rig->log[4].opcode, 0x35);

    atomic_store(&disk_rig->no_write_same, true); /* then they are written */
    assert_int_equal(disk_run(BIO_WRITE_ZEROES, 0, 3500, 300, NULL, 0, NULL), 0);
    assert_memory_equal(rig_disk(disk_rig) + 3500 * STORE_BLOCK, zero, 300 * STORE_BLOCK);
    assert_int_equal(disk_rig->log[5].opcode, 0x2a);

    assert_int_equal(disk_run(BIO_FLUSH, 0, 0, 0, NULL, 0, NULL), 0);
    assert_int_equal(disk_rig->log[disk_rig->log_count - 1].opcode, 0x35);
    disk_end();
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
    disk_begin();
    atomic_store(&disk_rig->lba_status, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        atomic_store(&disk_rig->lba_descriptor, cases[i].d);
        assert_int_equal(
            disk_run(BIO_MAP_STATUS, 0, cases[i].block, cases[i].blocks, NULL, 0, &bio), 0);
        assert_int_equal(bio.mapped, cases[i].mapped);
        assert_int_equal(bio.run_len, cases[i].run * STORE_BLOCK);
    }
    /* A unit without it is asked once more, and that is all. */
    unsigned before = atomic_load(&disk_rig->commands);
    atomic_store(&disk_rig->lba_status, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(disk_run(BIO_MAP_STATUS, 0, 100, 500, NULL, 0, &bio), 0);
        assert_true(bio.mapped);
        assert_int_equal(bio.run_len, 500 * STORE_BLOCK);
    }
    assert_int_equal(atomic_load(&disk_rig->commands), before + 1);
    disk_end();
}

static void compare_and_write(void **st)
{
    (void)st;
    uint8_t data[4 * STORE_BLOCK];
    disk_begin();
    memset(data, 0, 2 * STORE_BLOCK);
    memset(data + 2 * STORE_BLOCK, 5, 2 * STORE_BLOCK);
    assert_int_equal(sw_run(BIO_COMPARE_AND_WRITE, 0, 8, 2, data), 0);
    assert_int_equal(rig_disk(disk_rig)[8 * STORE_BLOCK], 5);
    assert_int_equal(rig_disk(disk_rig)[10 * STORE_BLOCK - 1], 5);
    assert_int_equal(sw_run(BIO_COMPARE_AND_WRITE, 0, 8, 2, data), USAN_EMISCOMPARE);
    assert_int_equal(disk_rig->log_count, 2);
    disk_end();
}

static void attentions(void **st)
{
    (void)st;
    uint8_t data[STORE_BLOCK] = { 1 };
    disk_begin();
    atomic_store(&disk_rig->attention_code, 0x2907); /* I_T nexus loss */
    atomic_store(&disk_rig->attention, 3);
    assert_int_equal(sw_run(BIO_WRITE, 0, 1, 1, data), 0);
    assert_int_equal(rig_disk(disk_rig)[STORE_BLOCK], 1);

    atomic_store(&disk_rig->blocks, 2 * RIG_BLOCKS); /* only said, never read */
    atomic_store(&disk_rig->attention_code, 0x2a09); /* capacity data has changed */
    atomic_store(&disk_rig->attention, 1);
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), 0);
    for (unsigned i = 0; i < 1000 && sw.store->info.size_bytes == RIG_BLOCKS * STORE_BLOCK; i++)
        assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(sw.store->info.size_bytes, 2ull * RIG_BLOCKS * STORE_BLOCK);
    assert_int_equal(disk_rig->attention, 0);

    atomic_store(&disk_rig->busy, 5);
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(disk_rig->busy, 0);
    atomic_store(&disk_rig->attention, INT32_MAX); /* one that never ends is an error */
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), USAN_EIO);
    disk_end();
}

static void change(unsigned long long blocks, unsigned block_bytes)
{
    atomic_store(&disk_rig->blocks, blocks);
    atomic_store(&disk_rig->block_bytes, block_bytes);
    atomic_store(&disk_rig->attention_code, 0x2a09);
    atomic_store(&disk_rig->attention, 1);
}

/* A size that wraps is none; blocks of another size make it another disk, which nothing is written
 * to: not even by the write that was told of the change. */
static void other_capacity(void **st)
{
    (void)st;
    uint8_t data[STORE_BLOCK] = { 1 };
    char *text = NULL;
    size_t len = 0;
    disk_begin();
    change((1ull << 55) + 1, 512);
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(sw.store->info.size_bytes, RIG_BLOCKS * STORE_BLOCK);
    change(0, 512); /* FFFFFFFFFFFFFFFFh is the last block */
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), USAN_ERANGE);
    assert_int_equal(sw.store->info.size_bytes, RIG_BLOCKS * STORE_BLOCK);
    change(2 * RIG_BLOCKS, 512);
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), 0);
    assert_int_equal(sw.store->info.size_bytes, 2 * RIG_BLOCKS * STORE_BLOCK);

    atomic_store(&disk_rig->log_count, 0);
    change(RIG_BLOCKS, 4096);
    data[0] = 2;
    assert_int_equal(sw_run(BIO_WRITE, 0, 1, 1, data), USAN_EIO);
    assert_int_equal(sw_run(BIO_READ, 0, 1, 1, data), USAN_EIO);
    assert_int_equal(disk_run(BIO_FLUSH, 0, 0, 0, NULL, 0, NULL), USAN_EIO);
    assert_int_equal(disk_rig->log_count, 0);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    store_stats(sw.store, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "LUN 0: blocks of 4096 bytes instead of 512"));
    free(text);
    disk_end();
}

static void errors(void **st)
{
    (void)st;
    static const struct {
        int kaq, err;
    } cases[] = { { 0x031100, USAN_EIO },    { 0x044400, USAN_EIO },    { 0x072700, USAN_ERDONLY },
                  { 0x072707, USAN_ENOSPC }, { 0x052100, USAN_ERANGE }, { 0x052000, USAN_ENOTSUP },
                  { 0x052500, USAN_ECLOSED } };
    uint8_t data[2 * STORE_BLOCK] = { 0 };
    disk_begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bio bio;
        struct iovec iov = { data, sizeof(data) };
        atomic_store(&disk_rig->bad_sense, cases[i].kaq);
        assert_int_equal(disk_run(BIO_READ, 0, 6, 2, &iov, 1, &bio), cases[i].err);
        assert_int_equal(bio.err_off, 6 * STORE_BLOCK);
    }
    disk_end();
}

/* An earlier command's error. The command that is told of it was not carried out, so a write is
 * never taken for done, and block 7 is not its own. */
static void deferred_errors(void **st)
{
    (void)st;
    uint8_t data[2 * STORE_BLOCK] = { 1 };
    struct iovec iov = { data, sizeof(data) };
    struct bio bio;
    disk_begin();
    atomic_store(&disk_rig->bad_sense, RIG_DEFERRED | 0x011701);
    assert_int_equal(disk_run(BIO_WRITE, 0, 6, 2, &iov, 1, &bio), USAN_EIO);
    assert_int_equal(rig_disk(disk_rig)[6 * STORE_BLOCK], 0);
    atomic_store(&disk_rig->bad_sense, RIG_DEFERRED | 0x030c00);
    assert_int_equal(disk_run(BIO_WRITE, 0, 6, 2, &iov, 1, &bio), USAN_EIO);
    assert_int_equal(bio.err_off, 6 * STORE_BLOCK);
    atomic_store(&disk_rig->bad_sense, 0);
    assert_int_equal(disk_run(BIO_WRITE, 0, 6, 2, &iov, 1, &bio), 0);
    assert_int_equal(rig_disk(disk_rig)[6 * STORE_BLOCK], 1);
    disk_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties),        cmocka_unit_test(bad_opens),
        cmocka_unit_test(registry),          cmocka_unit_test(split),
        cmocka_unit_test(zeroes_and_unmap),  cmocka_unit_test(map_status),
        cmocka_unit_test(compare_and_write), cmocka_unit_test(attentions),
        cmocka_unit_test(other_capacity),    cmocka_unit_test(errors),
        cmocka_unit_test(deferred_errors),
    };
    if (store_registry_add(&iscsi_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
