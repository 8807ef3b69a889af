/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MODE SENSE and MODE SELECT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "scsi/lu.h"
#include "scsi/mode.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

#define TUR CDB(0x00)

static struct rig *make(const struct scsi_lu_config *lu)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2, .lu = *lu });
    rig_clear_ua(r);
    return r;
}

static struct rig_result sense6(struct rig *r, uint8_t flags, uint8_t page, uint8_t subpage)
{
    return rig_cmd(r, 0, CDB(0x1a, flags, page, subpage, 255), NULL, 0, 255);
}

static struct rig_result select6(struct rig *r, uint8_t flags, const uint8_t *list, uint8_t len)
{
    return rig_cmd(r, 0, CDB(0x15, flags, 0, 0, len), list, len, 0);
}

/* ---- MODE SENSE ---- */

static void test_header_6(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .block_bytes = 4096, .block_count = 0x1234 });
    struct rig_result res = sense6(r, 0, 0x0a, 0);
    assert_int_equal(res.in_len, 4 + 8 + 12);
    assert_memory_equal(res.in, ((uint8_t[]){ 23, 0, 0x10, 8 }), 4);
    assert_memory_equal(res.in + 4, ((uint8_t[]){ 0, 0, 0x12, 0x34, 0, 0, 0x10, 0 }), 8);
    res = sense6(r, 0x08, 0x0a, 0); /* DBD */
    assert_int_equal(res.in_len, 4 + 12);
    assert_int_equal(res.in[3], 0);
    r->nexus[0]->home.seats[0]->itl->read_only = true;
    res = sense6(r, 0x08, 0x0a, 0);
    assert_int_equal(res.in[2], 0x90); /* WP DPOFUA */
    rig_free(r);
}

static void test_header_10(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    struct rig_result res = rig_cmd(r, 0, CDB(0x5a, 0, 0x0a, 0, 0, 0, 0, 0, 255), NULL, 0, 255);
    assert_int_equal(res.in_len, 8 + 8 + 12);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 26, 0, 0x10, 0, 0, 0, 8 }), 8);
    res = rig_cmd(r, 0, CDB(0x5a, 0x10, 0x0a, 0, 0, 0, 0, 0, 255), NULL, 0, 255); /* LLBAA */
    assert_int_equal(res.in_len, 8 + 16 + 12);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 34, 0, 0x10, 1, 0, 0, 16 }), 8);
    assert_int_equal(be64_get(res.in + 8), 2048);
    assert_int_equal(be32_get(res.in + 20), 512);
    rig_free(r);
}

static void test_large_unit(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    r->units[0].lu->cfg.block_count = UINT64_C(0x100000000);
    struct rig_result res = sense6(r, 0, 0x0a, 0);
    assert_int_equal(be32_get(res.in + 4), 0xffffffff);
    rig_free(r);
}

/* All pages in order, each with its length, PS where something can be changed. */
static void test_all_pages(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .thin = true, .volatile_cache = true });
    struct rig_result res = sense6(r, 0x08, 0x3f, 0xff);
    static const uint8_t heads[][4] = {
        { 0x81, 0x0a },        { 0x88, 0x12 }, { 0x8a, 0x0a },
        { 0x4a, 0x01, 0, 28 }, { 0x1c, 0x0a }, { 0x5c, 0x02, 0, 20 },
    };
    const uint8_t *p = res.in + 4;
    for (unsigned i = 0; i < 6; i++) {
        bool sub = heads[i][0] & 0x40;
        assert_memory_equal(p, heads[i], sub ? 4 : 2);
        p += sub ? 4 + heads[i][3] : 2 + heads[i][1];
    }
    assert_ptr_equal(p, res.in + res.in_len);
    assert_int_equal(res.in[0], res.in_len - 1);
    res = sense6(r, 0x08, 0x3f, 0x00); /* without subpages */
    assert_int_equal(res.in_len, 4 + 12 + 20 + 12 + 12);
    res = sense6(r, 0x08, 0x0a, 0xff); /* those of one page */
    assert_int_equal(res.in_len, 4 + 12 + 32);
    rig_free(r);
}

static void test_page_control(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .volatile_cache = true, .wce = true });
    assert_int_equal(sense6(r, 8, 0x08, 0).in[4 + 2], 0x04);
    assert_int_equal(sense6(r, 8, 0x48, 0).in[4 + 2], 0x04); /* changeable */
    assert_int_equal(sense6(r, 8, 0x88, 0).in[4 + 2], 0x04); /* default */
    uint8_t off[24] = { 0, 0, 0, 0, 0x08, 0x12, 0x00 };
    assert_int_equal(select6(r, 0x10, off, 24).status, SCSI_STATUS_GOOD);
    assert_int_equal(sense6(r, 8, 0x08, 0).in[4 + 2], 0x00);
    assert_int_equal(sense6(r, 8, 0x88, 0).in[4 + 2], 0x04);
    assert_int_equal(sense6(r, 8, 0xc8, 0).in[4 + 2], 0x04); /* saved */
    assert_int_equal(r->saves, 0);
    assert_int_equal(select6(r, 0x11, off, 24).status, SCSI_STATUS_GOOD); /* SP */
    assert_int_equal(r->saves, 1);
    assert_int_equal(sense6(r, 8, 0xc8, 0).in[4 + 2], 0x00);
    struct rig_result control = sense6(r, 8, 0x4a, 0);
    assert_memory_equal(control.in + 4, ((uint8_t[]){ 0x8a, 10, 0x04, 0, 0x08, 0x40, 0 }), 7);
    rig_free(r);
}

static void test_sense_errors(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    struct rig_result res = sense6(r, 0, 0x2b, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(be16_get(res.sense + 16), 2);
    res = sense6(r, 0, 0x0a, 0x33);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(be16_get(res.sense + 16), 3);
    res = sense6(r, 0, 0x1c, 0x02); /* of thin units */
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    res = sense6(r, 0, 0x3f, 0x01);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

/* ---- MODE SELECT ---- */

static const uint8_t d_sense[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x24, 0x10 };

static void test_select_tells_others(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    assert_int_equal(select6(r, 0x10, d_sense, 16).status, SCSI_STATUS_GOOD);
    assert_true(scsi_mode_d_sense(r->units[0].lu));
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, 0x62a01);
    /* the same again changes nothing: nobody is told */
    assert_int_equal(select6(r, 0x10, d_sense, 16).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* What MODE SENSE returned can be sent back as it is, but for the two fields that differ. */
static void test_round_trip(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .thin = true, .volatile_cache = true });
    struct rig_result res = sense6(r, 0, 0x3f, 0xff);
    assert_int_equal(select6(r, 0x10, res.in, (uint8_t)res.in_len).status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, 0, CDB(0x5a, 0x10, 0x3f, 0xff, 0, 0, 0, 1, 0), NULL, 0, 256);
    struct rig_result sel = rig_cmd(r, 0, CDB(0x55, 0x11, 0, 0, 0, 0, 0, 0, (uint8_t)res.in_len),
                                    res.in, res.in_len, 0);
    assert_int_equal(sel.status, SCSI_STATUS_GOOD);
    assert_int_equal(r->saves, 1);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_swp(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    uint8_t list[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x10, 0x08 }, block[512] = { 0 };
    assert_int_equal(select6(r, 0x10, list, 16).status, SCSI_STATUS_GOOD);
    struct rig_result res = rig_cmd(r, 0, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), block, 512, 0);
    assert_int_equal(res.kaq, SENSE_SOFTWARE_WRITE_PROTECTED);
    assert_int_equal(sense6(r, 8, 0x0a, 0).in[2], 0x90);
    list[8] = 0;
    assert_int_equal(select6(r, 0x10, list, 16).status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, 0, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), block, 512, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* The cache that is turned off is written first. */
static void test_wce_off_flushes(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .volatile_cache = true, .wce = true });
    uint8_t list[24] = { 0, 0, 0, 0, 0x08, 0x12, 0x00 };
    assert_int_equal(select6(r, 0x10, list, 24).status, SCSI_STATUS_GOOD);
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    assert_false(scsi_mode_wce(r->units[0].lu));
    list[6] = 0x04;
    assert_int_equal(select6(r, 0x10, list, 24).status, SCSI_STATUS_GOOD);
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    list[6] = 0;
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_FLUSH;
    assert_int_equal(select6(r, 0x10, list, 24).kaq, SENSE_WRITE_ERROR);
    assert_true(scsi_mode_wce(r->units[0].lu));                    /* it failed: all is as it was */
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, 0x62a01); /* of the others */
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* SP=1, and the pages can not be saved: they are not in force either, and nobody is told. */
static void test_failed_save_changes_nothing(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    rig_clear_ua(r);
    r->save_err = USAN_EIO;
    assert_int_equal(select6(r, 0x11, d_sense, 16).kaq, SENSE_INTERNAL_TARGET_FAILURE);
    assert_int_equal(r->saves, 1);
    assert_false(scsi_mode_d_sense(r->units[0].lu));
    assert_int_equal(sense6(r, 8, 0xca, 0).in[4 + 2] & 0x04, 0); /* saved */
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    (void)rig_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0); /* takes what is saved */
    assert_false(scsi_mode_d_sense(r->units[0].lu));
    rig_clear_ua(r);
    r->save_err = 0;
    assert_int_equal(select6(r, 0x11, d_sense, 16).status, SCSI_STATUS_GOOD);
    assert_true(scsi_mode_d_sense(r->units[0].lu));
    rig_free(r);
}

/* LU reset: the saved values come back. */
static void test_reset(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    assert_int_equal(select6(r, 0x10, d_sense, 16).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_false(scsi_mode_d_sense(r->units[0].lu));
    rig_clear_ua(r);
    assert_int_equal(select6(r, 0x11, d_sense, 16).status, SCSI_STATUS_GOOD);
    (void)rig_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    assert_true(scsi_mode_d_sense(r->units[0].lu));
    rig_free(r);
}

static void assert_param(struct rig_result res, unsigned byte, int bit)
{
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_int_equal(res.sense[15], 0x80 | 0x08 | bit);
    assert_int_equal(be16_get(res.sense + 16), byte);
}

static void test_select_errors(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    uint8_t list[64];

    assert_int_equal(select6(r, 0x10, d_sense, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(select6(r, 0x00, d_sense, 16).kaq, SENSE_INVALID_FIELD_IN_CDB); /* PF */
    /* cut in the header, in the page's header, in the page */
    assert_int_equal(select6(r, 0x10, d_sense, 3).kaq, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_int_equal(select6(r, 0x10, d_sense, 5).kaq, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_int_equal(select6(r, 0x10, d_sense, 15).kaq, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_int_equal(select6(r, 0x10, d_sense, 4).status, SCSI_STATUS_GOOD); /* no page at all */

    memcpy(list, d_sense, 16);
    list[1] = 1; /* MEDIUM TYPE */
    assert_param(select6(r, 0x10, list, 16), 1, 7);
    memcpy(list, d_sense, 16);
    list[6] = 0x44; /* TST can not be changed: 001b and 010b differ in bits 6 and 5 */
    assert_param(select6(r, 0x10, list, 16), 6, 6);
    memcpy(list, d_sense, 16);
    list[15] = 1; /* the last byte */
    assert_param(select6(r, 0x10, list, 16), 15, 0);
    memcpy(list, d_sense, 16);
    list[4] = 0x2b; /* no such page */
    assert_param(select6(r, 0x10, list, 16), 4, 5);
    memcpy(list, d_sense, 16);
    list[5] = 0x09; /* PAGE LENGTH */
    assert_param(select6(r, 0x10, list, 16), 5, 7);
    memcpy(list, d_sense, 16);
    list[3] = 7; /* BLOCK DESCRIPTOR LENGTH */
    assert_param(select6(r, 0x10, list, 16), 3, 7);
    assert_false(scsi_mode_d_sense(r->units[0].lu));
    rig_free(r);
}

static void test_select_block_descriptor(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    uint8_t list[12] = { 0, 0, 0, 8, 0, 0, 0x08, 0x00, 0, 0, 0x02, 0x00 };
    assert_int_equal(select6(r, 0x10, list, 12).status, SCSI_STATUS_GOOD);
    list[6] = 0; /* 0 blocks: as it is */
    assert_int_equal(select6(r, 0x10, list, 12).status, SCSI_STATUS_GOOD);
    list[7] = 9;
    assert_param(select6(r, 0x10, list, 12), 4, 7);
    list[7] = 0;
    list[10] = 0x10; /* other block length */
    assert_param(select6(r, 0x10, list, 12), 9, 7);
    assert_int_equal(select6(r, 0x10, list, 9).kaq, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    rig_free(r);
}

/* A list with a good page and a bad one changes nothing. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    uint8_t list[28] = { 0 };
    memcpy(list, d_sense, 16);
    list[16] = 0x1c;
    list[17] = 0x0a;
    list[18] = 0x00; /* DEXCPT can not be cleared */
    assert_param(select6(r, 0x10, list, 28), 18, 3);
    assert_false(scsi_mode_d_sense(r->units[0].lu));
    list[18] = 0x08;
    assert_int_equal(select6(r, 0x10, list, 28).status, SCSI_STATUS_GOOD);
    assert_true(scsi_mode_d_sense(r->units[0].lu));
    rig_free(r);
}

static void test_list_limit(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    static uint8_t list[2000];
    struct rig_result res =
        rig_cmd(r, 0, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 2000 >> 8, 2000 & 0xff), list, 2000, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(be16_get(res.sense + 16), 7);
    rig_free(r);
}

/* SBC-4 6.5.9: the threshold in sets of 2048 blocks, of the pool as it is. */
static void test_threshold_page(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .thin = true, .thin_threshold_pct = 50 });
    scsi_lu_set_space(r->units[0].lanes[0], 0, UINT64_C(200) << 20);
    struct rig_result res = sense6(r, 8, 0x1c, 2);
    assert_int_equal(res.in_len, 4 + 24);
    const uint8_t *d = res.in + 4 + 16;
    assert_int_equal(d[0], 0x81);
    assert_int_equal(d[1], 0x02);
    assert_int_equal(be32_get(d + 4), 100); /* MiB: 2048 blocks of 512 */
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_6),
        cmocka_unit_test(test_header_10),
        cmocka_unit_test(test_large_unit),
        cmocka_unit_test(test_all_pages),
        cmocka_unit_test(test_page_control),
        cmocka_unit_test(test_sense_errors),
        cmocka_unit_test(test_select_tells_others),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_swp),
        cmocka_unit_test(test_wce_off_flushes),
        cmocka_unit_test(test_failed_save_changes_nothing),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_select_errors),
        cmocka_unit_test(test_select_block_descriptor),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_list_limit),
        cmocka_unit_test(test_threshold_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
