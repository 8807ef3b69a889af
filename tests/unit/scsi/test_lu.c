/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Saved state, space and its threshold, out of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc_heap.h"
#include "scsi/lu.h"
#include "scsi/mode.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

#define TUR CDB(0x00)

static const struct scsi_lu_config cfg = { .vendor = "V",
                                           .product = "P",
                                           .revision = "1",
                                           .serial = "S",
                                           .naa = { 0x60 },
                                           .naa_len = 16,
                                           .block_bytes = 512,
                                           .block_count = 100,
                                           .volatile_cache = true };

/* D_SENSE = 1 and WCE = 1, saved; and an identifying text. */
static void change(struct rig *r)
{
    uint8_t control[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x24, 0x10 };
    uint8_t caching[24] = { 0, 0, 0, 0, 0x08, 0x12, 0x04 };
    struct rig_result res = rig_cmd(r, 0, CDB(0x15, 0x11, 0, 0, 16), control, 16, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, 0, CDB(0x15, 0x11, 0, 0, 24), caching, 24, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, 0, CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, 0, 3, 0), "abc", 3, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(r->saves, 3);
}

static void test_restore(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .lu = { .volatile_cache = true } });
    rig_clear_ua(r);
    change(r);
    struct rig_unit *u = &r->units[0];
    struct scsi_lu *lu = scsi_lu_new(&cfg, &alloc_heap);
    assert_non_null(lu);
    assert_false(scsi_mode_d_sense(lu));
    assert_int_equal(scsi_lu_restore(lu, u->saved, u->saved_len), 0);
    assert_true(scsi_mode_d_sense(lu));
    assert_true(scsi_mode_wce(lu));
    /* what was read is what is written */
    uint8_t again[RIG_STATE_MAX];
    assert_int_equal(scsi_lu_state(lu, NULL, 0), u->saved_len);
    assert_int_equal(scsi_lu_state(lu, again, sizeof again), u->saved_len);
    assert_memory_equal(again, u->saved, u->saved_len);
    scsi_lu_free(lu);

    /* a unit without a cache does not get one by a saved page */
    struct scsi_lu_config plain = cfg;
    plain.volatile_cache = false;
    lu = scsi_lu_new(&plain, &alloc_heap);
    assert_int_equal(scsi_lu_restore(lu, u->saved, u->saved_len), 0);
    assert_false(scsi_mode_wce(lu));
    assert_true(scsi_mode_d_sense(lu));
    scsi_lu_free(lu);
    rig_free(r);
}

/* Every cut and every flipped byte is noticed, and nothing is changed. */
static void test_restore_damaged(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .lu = { .volatile_cache = true } });
    rig_clear_ua(r);
    change(r);
    uint8_t *saved = r->units[0].saved;
    size_t len = r->units[0].saved_len;
    struct scsi_lu *lu = scsi_lu_new(&cfg, &alloc_heap);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(scsi_lu_restore(lu, saved, i), USAN_ECORRUPT);
        saved[i] ^= 0x10;
        assert_int_equal(scsi_lu_restore(lu, saved, len), USAN_ECORRUPT);
        saved[i] ^= 0x10;
        assert_false(scsi_mode_d_sense(lu));
    }
    assert_int_equal(scsi_lu_restore(lu, saved, len), 0);
    scsi_lu_free(lu);
    rig_free(r);
}

static void test_save_fails(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    r->save_err = USAN_EIO;
    uint8_t control[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x10 };
    struct rig_result res = rig_cmd(r, 0, CDB(0x15, 0x11, 0, 0, 16), control, 16, 0);
    assert_int_equal(res.kaq, SENSE_INTERNAL_TARGET_FAILURE);
    rig_free(r);
}

/* SBC-4 4.7.3.8: told once, when the soft threshold is crossed; again after it went below. */
static void test_threshold(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){
        .initiators = 2, .lanes = 2, .lu = { .thin = true, .thin_threshold_pct = 80 } });
    rig_clear_ua(r);
    struct scsi_lane *lane = r->units[0].lanes[0];
    scsi_lu_set_space(lane, 900, UINT64_MAX); /* the pool is not known */
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    scsi_lu_set_space(lane, 79000, 21000);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    for (unsigned round = 0; round < 2; round++) {
        scsi_lu_set_space(lane, 80000, 20000);
        scsi_lu_set_space(lane, 85000, 15000);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(rig_cmd(r, i, TUR, NULL, 0, 0).kaq, 0x63807);
            assert_int_equal(rig_cmd(r, i, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
        }
        scsi_lu_set_space(lane, 10000, 90000);
    }
    /* LBPERE = 0 in the Read-Write Error Recovery page: not told */
    uint8_t recovery[16] = { 0, 0, 0, 0, 0x01, 0x0a, 0xc0, 0, 0, 0, 0, 0x00 };
    struct rig_result res = rig_cmd(r, 0, CDB(0x15, 0x10, 0, 0, 16), recovery, 16, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    rig_clear_ua(r);
    scsi_lu_set_space(lane, 90000, 10000);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* ---- every allocation fails once ---- */

struct failing {
    unsigned countdown, live;
};

static void *failing_get(void *ctx, size_t bytes)
{
    struct failing *f = ctx;
    if (f->countdown-- == 0)
        return NULL;
    f->live++;
    return alloc_heap.get(NULL, bytes);
}

static void failing_put(void *ctx, void *p)
{
    struct failing *f = ctx;
    f->live -= p != NULL;
    alloc_heap.put(NULL, p);
}

static bool build_all(const struct alloc *a)
{
    const struct scsi_nexus_config n = {
        .initiator_port = "i", .target_port = "t", .target_device = "d", .rel_target_port = 1
    };
    struct scsi_lu *lu = scsi_lu_new(&cfg, a);
    struct scsi_lane *lane = lu ? scsi_lane_new(lu, 0) : NULL;
    struct scsi_nexus *nexus = lane ? scsi_nexus_new(&n, a) : NULL;
    bool whole = nexus != NULL;
    for (uint64_t lun = 0; whole && lun < 9; lun++) {
        int err = scsi_nexus_map(nexus, lun, lane, false);
        assert_true(err == 0 || err == USAN_ENOMEM);
        whole = err == 0;
    }
    scsi_nexus_free(nexus);
    scsi_lane_free(lane);
    scsi_lu_free(lu);
    return whole;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    unsigned n = 0;
    bool whole = false;
    for (; !whole; n++) {
        struct failing f = { .countdown = n };
        const struct alloc a = { .get = failing_get, .put = failing_put, .ctx = &f };
        whole = build_all(&a);
        assert_int_equal(f.live, 0);
    }
    assert_true(n > 15); /* unit, index, modes, texts, lane, nexus, names, nexuses of LUNs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore),       cmocka_unit_test(test_restore_damaged),
        cmocka_unit_test(test_save_fails),    cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
