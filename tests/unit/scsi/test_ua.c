/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of unit attentions, and how they come to be told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/ua.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

#define TUR CDB(0x00)

static struct rig *make(unsigned initiators)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = initiators });
    rig_clear_ua(r);
    return r;
}

static void test_order(void **state)
{
    (void)state;
    struct rig *r = make(1);
    struct scsi_itl *itl = r->nexus[0]->home.seats[0]->itl;
    scsi_ua_add(itl, UA_CAPACITY_CHANGED);
    scsi_ua_add(itl, UA_MODE_PARAMETERS_CHANGED);
    scsi_ua_add(itl, UA_CAPACITY_CHANGED); /* once is enough */
    scsi_ua_add(itl, UA_I_T_NEXUS_LOSS);   /* goes first */
    scsi_ua_add(itl, UA_BUS_DEVICE_RESET); /* and takes its place */
    assert_int_equal(itl->ua_count, 3);
    assert_int_equal(scsi_ua_peek(itl), UA_BUS_DEVICE_RESET);
    static const uint32_t expect[] = { 0x62903, 0x62a09, 0x62a01 };
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).kaq, expect[i]);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(scsi_ua_take(itl, false), 0);
    rig_free(r);
}

static void test_reset_only(void **state)
{
    (void)state;
    struct rig *r = make(1);
    struct scsi_itl *itl = r->nexus[0]->home.seats[0]->itl;
    scsi_ua_add(itl, UA_CAPACITY_CHANGED);
    assert_int_equal(scsi_ua_take(itl, true), 0);
    scsi_ua_add(itl, UA_POWER_ON_RESET);
    assert_int_equal(scsi_ua_take(itl, true), UA_POWER_ON_RESET);
    assert_int_equal(scsi_ua_take(itl, true), 0);
    assert_int_equal(scsi_ua_take(itl, false), UA_CAPACITY_CHANGED);
    rig_free(r);
}

/* More conditions than places: the last one is the one that says "look at everything". */
static void test_full(void **state)
{
    (void)state;
    struct rig *r = make(1);
    struct scsi_itl *itl = r->nexus[0]->home.seats[0]->itl;
    for (unsigned i = 0; i < SCSI_UA_MAX + 3; i++)
        scsi_ua_add(itl, (uint16_t)(0x3f40 + i));
    assert_int_equal(itl->ua_count, SCSI_UA_MAX);
    for (unsigned i = 0; i < SCSI_UA_MAX - 1; i++)
        assert_int_equal(scsi_ua_take(itl, false), 0x3f40 + i);
    assert_int_equal(scsi_ua_take(itl, false), UA_POWER_ON_RESET);
    assert_int_equal(scsi_ua_take(itl, false), 0);
    for (unsigned i = 0; i < SCSI_UA_MAX; i++)
        scsi_ua_add(itl, (uint16_t)(0x3f40 + i));
    scsi_ua_add(itl, UA_BUS_DEVICE_RESET);
    assert_int_equal(itl->ua_count, SCSI_UA_MAX);
    assert_int_equal(scsi_ua_take(itl, false), UA_BUS_DEVICE_RESET);
    rig_free(r);
}

static void test_add_all(void **state)
{
    (void)state;
    struct rig *r = make(3);
    scsi_ua_add_all(r->units[0].lu, r->nexus[1]->home.seats[0]->itl, UA_MEDIUM_CHANGED);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).kaq, 0x62800);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 2, TUR, NULL, 0, 0).kaq, 0x62800);
    rig_free(r);
}

/* REQUEST SENSE reports as data, and clears (SPC-6 6.40). */
static void test_request_sense(void **state)
{
    (void)state;
    struct rig *r = make(1);
    scsi_ua_add(r->nexus[0]->home.seats[0]->itl, UA_CAPACITY_CHANGED);
    struct rig_result res = rig_cmd(r, 0, CDB(0x03, 0, 0, 0, 252), NULL, 0, 252);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in_len, 18);
    assert_memory_equal(res.in, ((uint8_t[]){ 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9 }),
                        14);
    res = rig_cmd(r, 0, CDB(0x03, 0x01, 0, 0, 252), NULL, 0, 252); /* DESC */
    assert_int_equal(res.in_len, 8);
    assert_memory_equal(res.in, ((uint8_t[]){ 0x72, 0, 0, 0, 0, 0, 0, 0 }), 8);
    rig_free(r);
}

/* SPC-6 6.32: a LUN that comes or goes is told on the others of that nexus, until it reads the
 * list. */
static void test_luns_changed(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .units = 3, .initiators = 2 });
    rig_clear_ua(r);
    scsi_nexus_unmap(r->nexus[0], 2);
    rig_pump(r);
    assert_int_equal(rig_cmd_lun(r, 0, UINT64_C(2) << 48, TUR, NULL, 0, 0).kaq,
                     SENSE_LUN_NOT_SUPPORTED);
    assert_int_equal(rig_cmd_lun(r, 0, 0, TUR, NULL, 0, 0).kaq, 0x63f0e);
    assert_int_equal(rig_cmd_lun(r, 0, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd_lun(r, 1, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    /* LUN 1 has not told yet; REPORT LUNS, on LUN 0, makes that unnecessary */
    struct rig_result res = rig_cmd(r, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), NULL, 0, 64);
    assert_int_equal(res.in_len, 24);
    assert_int_equal(rig_cmd_lun(r, 0, UINT64_C(1) << 48, TUR, NULL, 0, 0).status,
                     SCSI_STATUS_GOOD);
    assert_int_equal(scsi_nexus_map(r->nexus[0], 2, r->units[2].lanes[0], true), 0);
    rig_pump(r);
    assert_int_equal(rig_cmd_lun(r, 0, UINT64_C(2) << 48, TUR, NULL, 0, 0).kaq, 0x62900);
    assert_int_equal(rig_cmd_lun(r, 0, UINT64_C(2) << 48, TUR, NULL, 0, 0).status,
                     SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd_lun(r, 0, UINT64_C(1) << 48, TUR, NULL, 0, 0).kaq, 0x63f0e);
    rig_free(r);
}

static void test_map_errors(void **state)
{
    (void)state;
    struct rig *r = make(1);
    struct scsi_lane *lane = r->units[0].lanes[0];
    assert_int_equal(scsi_nexus_map(r->nexus[0], 0, lane, false), USAN_EEXIST);
    assert_int_equal(scsi_nexus_map(r->nexus[0], SCSI_LUN_MAX + 1, lane, false), USAN_ERANGE);
    for (uint64_t lun = 1; lun < SCSI_MAX_LUNS; lun++)
        assert_int_equal(scsi_nexus_map(r->nexus[0], SCSI_LUN_MAX + 1 - lun, lane, false), 0);
    assert_int_equal(scsi_nexus_map(r->nexus[0], 1, lane, false), USAN_ELIMIT);
    scsi_nexus_unmap(r->nexus[0], 9999); /* is not there */
    struct rig_result res = rig_cmd(r, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 1, 0, 0), NULL, 0, 65536);
    assert_int_equal(res.in_len, 8 + 8 * SCSI_MAX_LUNS);
    /* in order; those above 255 with flat addressing */
    assert_memory_equal(res.in + 8, ((uint8_t[8]){ 0 }), 8);
    assert_memory_equal(res.in + 16, ((uint8_t[8]){ 0x7c, 0x01 }), 8);
    assert_memory_equal(res.in + 8 * SCSI_MAX_LUNS, ((uint8_t[8]){ 0x7f, 0xff }), 8);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),         cmocka_unit_test(test_reset_only),
        cmocka_unit_test(test_full),          cmocka_unit_test(test_add_all),
        cmocka_unit_test(test_request_sense), cmocka_unit_test(test_luns_changed),
        cmocka_unit_test(test_map_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
