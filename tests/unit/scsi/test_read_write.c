/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block_test.h"

enum { BLOCKS = 2048 }; /* of the rig's unit */

static const uint8_t reads[] = { 0x08, 0x28, 0xa8, 0x88 };
static const uint8_t writes[] = { 0x0a, 0x2a, 0xaa, 0x8a };
/* where TRANSFER LENGTH starts */
static const unsigned len_byte[] = { 4, 7, 6, 10 };

static void read_returns_the_blocks(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    test_fill_disk(r);
    for (unsigned i = 0; i < 4; i++) {
        static const struct {
            uint64_t lba;
            uint32_t blocks;
        } at[] = { { 0, 1 }, { 5, 3 }, { BLOCKS - 1, 1 }, { BLOCKS - 100, 100 } };
        for (unsigned k = 0; k < 4; k++) {
            uint32_t len = at[k].blocks * 512;
            struct rig_result res = test_in(r, reads[i], 0, at[k].lba, at[k].blocks, len);
            assert_good(res);
            assert_int_equal(res.in_len, len);
            assert_int_equal(res.in_used, len);
            assert_memory_equal(res.in, r->units[0].disk + at[k].lba * 512, len);
        }
    }
    assert_int_equal(r->ios[BIO_READ], 16);
    rig_free(r);
}

static void read6_length_0_is_256_blocks(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    test_fill_disk(r);
    struct rig_result res = test_in(r, 0x08, 0, BLOCKS - 256, 0, 256 * 512);
    assert_good(res);
    assert_int_equal(res.in_len, 256 * 512);
    assert_memory_equal(res.in, r->units[0].disk + (BLOCKS - 256) * 512, SCSI_REPLY_MAX);
    assert_info(test_in(r, 0x08, 0, BLOCKS - 255, 0, 256 * 512), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
    rig_free(r);
}

static void zero_blocks_transfer_nothing(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    for (unsigned i = 1; i < 4; i++) {
        struct rig_result res = test_in(r, reads[i], 0, BLOCKS - 1, 0, 512);
        assert_good(res);
        assert_int_equal(res.in_len, 0);
        assert_int_equal(res.in_used, 0);
        res = test_out(r, writes[i], 0, BLOCKS - 1, 0, NULL, 0);
        assert_good(res);
        assert_int_equal(res.out_used, 0);
    }
    assert_int_equal(r->ios[BIO_READ], 0);
    assert_int_equal(r->ios[BIO_WRITE], 0);
    rig_free(r);
}

static void an_lba_out_of_range_is_told(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static const uint8_t out[1024];
    for (unsigned i = 0; i < 4; i++) {
        assert_info(test_in(r, reads[i], 0, BLOCKS, 1, 512), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_in(r, reads[i], 0, BLOCKS - 1, 2, 1024), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_in(r, reads[i], 0, BLOCKS + 9, 1, 512), SENSE_LBA_OUT_OF_RANGE,
                    BLOCKS + 9);
        assert_info(test_out(r, writes[i], 0, BLOCKS, 1, out, 512), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_out(r, writes[i], 0, BLOCKS - 1, 2, out, 1024), SENSE_LBA_OUT_OF_RANGE,
                    BLOCKS);
    }
    for (unsigned i = 1; i < 4; i++) { /* with 0 blocks too */
        assert_info(test_in(r, reads[i], 0, BLOCKS, 0, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_out(r, writes[i], 0, BLOCKS + 1, 0, NULL, 0), SENSE_LBA_OUT_OF_RANGE,
                    BLOCKS + 1);
    }
    /* Sums past 2^64; what does not fit INFORMATION of the fixed format is not VALID. */
    static const uint64_t far[] = { UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 1 };
    for (unsigned i = 0; i < 3; i++) {
        struct rig_result res = test_in(r, 0x88, 0, far[i], 2, 1024);
        assert_sense(res, SENSE_LBA_OUT_OF_RANGE);
        assert_int_equal(res.sense[0], 0x70);
        assert_sense(test_out(r, 0x8a, 0, far[i], 2, out, 1024), SENSE_LBA_OUT_OF_RANGE);
    }
    assert_sense(test_in(r, 0x88, 0, 1, UINT32_MAX, 512), SENSE_LBA_OUT_OF_RANGE);
    assert_int_equal(r->ios[BIO_READ] + r->ios[BIO_WRITE], 0);
    rig_free(r);
}

static void more_than_the_maximum_is_refused(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu.max_xfer_blocks = 8 });
    static const uint8_t out[9 * 512];
    for (unsigned i = 0; i < 4; i++) {
        assert_good(test_in(r, reads[i], 0, 0, 8, 8 * 512));
        assert_cdb_field(test_in(r, reads[i], 0, 0, 9, 9 * 512), len_byte[i], 7);
        assert_good(test_out(r, writes[i], 0, 0, 8, out, 8 * 512));
        assert_cdb_field(test_out(r, writes[i], 0, 0, 9, out, 9 * 512), len_byte[i], 7);
    }
    assert_cdb_field(test_in(r, 0x08, 0, 0, 0, 256 * 512), 4, 7);
    rig_free(r);
}

static void protection_is_not_supported(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static const uint8_t out[512];
    for (unsigned i = 1; i < 4; i++) {
        for (unsigned protect = 1; protect < 8; protect++) {
            uint8_t byte1 = (uint8_t)(protect << 5);
            int bit = protect >= 4 ? 7 : protect >= 2 ? 6 : 5;
            assert_cdb_field(test_in(r, reads[i], byte1, 0, 1, 512), 1, bit);
            assert_cdb_field(test_out(r, writes[i], byte1, 0, 1, out, 512), 1, bit);
        }
    }
    rig_free(r);
}

static void write_stores_the_blocks(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t *out = malloc(BLOCKS * 512), *want = malloc(BLOCKS * 512);
    assert_non_null(out);
    assert_non_null(want);
    for (unsigned i = 0; i < 4; i++) {
        static const uint64_t lbas[] = { 0, 7, BLOCKS - 11 };
        for (unsigned k = 0; k < 3; k++) {
            memcpy(want, r->units[0].disk, BLOCKS * 512);
            test_fill(out, i * 1000 + k, 11 * 512);
            memcpy(want + lbas[k] * 512, out, 11 * 512);
            struct rig_result res = test_out(r, writes[i], 0, lbas[k], 11, out, 11 * 512);
            assert_good(res);
            assert_int_equal(res.out_used, 11 * 512);
            assert_memory_equal(r->units[0].disk, want, BLOCKS * 512);
        }
    }
    test_fill(out, 99, 256 * 512);
    assert_good(test_out(r, 0x0a, 0, 3, 0, out, 256 * 512)); /* WRITE(6): 256 blocks */
    assert_memory_equal(r->units[0].disk + 3 * 512, out, 256 * 512);
    assert_int_equal(r->ios[BIO_WRITE], 13);
    free(out);
    free(want);
    rig_free(r);
}

static void flags_reach_the_store(void **state)
{
    (void)state;
    static const uint8_t out[512];
    struct rig *r = test_rig(&(struct rig_config){ .lu = { .volatile_cache = true, .wce = true } });
    assert_good(test_out(r, 0x0a, 0, 0, 1, out, 512));
    assert_int_equal(r->last_flags, 0);
    for (unsigned i = 1; i < 4; i++) {
        static const struct {
            uint8_t byte1;
            uint32_t flags;
        } t[] = {
            { 0, 0 }, { 0x08, BIO_F_FUA }, { 0x10, BIO_F_DPO }, { 0x18, BIO_F_FUA | BIO_F_DPO }
        };
        for (unsigned k = 0; k < 4; k++) {
            assert_good(test_out(r, writes[i], t[k].byte1, 0, 1, out, 512));
            assert_int_equal(r->last_flags, t[k].flags);
            assert_good(test_in(r, reads[i], t[k].byte1, 0, 1, 512));
            assert_int_equal(r->last_flags, t[k].flags & BIO_F_DPO);
        }
    }
    rig_free(r);

    r = test_rig(&(struct rig_config){ .lu = { .volatile_cache = true } }); /* WCE = 0 */
    for (unsigned i = 0; i < 4; i++) {
        assert_good(test_out(r, writes[i], 0, 0, 1, out, 512));
        assert_int_equal(r->last_flags, BIO_F_FUA);
    }
    rig_free(r);
}

/* RFC 7143 residuals: EDTL and the CDB disagree. */
static void short_and_long_data_out(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static uint8_t out[10000];
    for (unsigned i = 1; i < 4; i++) {
        memset(r->units[0].disk, 'a', 1024);
        memset(out, 'b', sizeof out);
        struct rig_result res = test_out(r, writes[i], 0, 0, 1, NULL, 0);
        assert_good(res);
        assert_int_equal(res.out_used, 512);
        assert_true(test_all(r->units[0].disk, 'a', 1024));

        res = test_out(r, writes[i], 0, 0, 1, out, 200);
        assert_sense(res, SENSE_SHORT_OUT);
        assert_int_equal(res.out_used, 512);
        assert_true(test_all(r->units[0].disk, 'a', 1024));

        res = test_out(r, writes[i], 0, 0, 2, out, 512);
        assert_good(res);
        assert_int_equal(res.out_used, 1024);
        assert_true(test_all(r->units[0].disk, 'b', 512));
        assert_true(test_all(r->units[0].disk + 512, 'a', 512));

        memset(out, 'c', sizeof out);
        res = test_out(r, writes[i], 0, 0, 1, out, 10000);
        assert_good(res);
        assert_int_equal(res.out_used, 512);
        assert_true(test_all(r->units[0].disk, 'c', 512));
        assert_true(test_all(r->units[0].disk + 512, 'a', 512));
    }
    rig_free(r);
}

static void data_in_is_cut_at_what_is_expected(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    test_fill_disk(r);
    for (unsigned i = 0; i < 4; i++) {
        static const uint64_t expected[] = { 0, 200, 512, 10000 };
        for (unsigned k = 0; k < 4; k++) {
            struct rig_result res = test_in(r, reads[i], 0, 0, 1, expected[k]);
            assert_good(res);
            assert_int_equal(res.in_used, 512);
            assert_int_equal(res.in_len, expected[k] < 512 ? expected[k] : 512);
            assert_memory_equal(res.in, r->units[0].disk, res.in_len);
        }
    }
    rig_free(r);
}

static void data_out_may_go_to_store_memory(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t cdb[SCSI_CDB_MAX];
    static const uint8_t out[3 * 512];
    r->stop_at = 1u << SCSI_WANT_DATA;
    for (unsigned i = 0; i < 4; i++) {
        test_cdb(cdb, writes[i], 0, 17, 3);
        struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, out, sizeof out, 0);
        assert_int_equal(rt->t.want, SCSI_WANT_DATA);
        assert_int_equal(rt->t.want_len, 3 * 512);
        assert_int_equal(rt->t.out_off, 17 * 512);
        assert_int_equal(rt->t.bio.op, BIO_WRITE);
        assert_int_equal(rt->t.bio.off, 17 * 512);
        assert_int_equal(rt->t.bio.len, 3 * 512);
        rig_go(rt);
        assert_good(rig_end(rt));
    }
    rig_free(r);
}

static void failed_io_is_told(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static const uint8_t out[4 * 512];
    for (unsigned i = 0; i < 4; i++) {
        r->io_err = USAN_EIO;
        r->io_err_op = BIO_READ;
        r->io_err_at = 2 * 512;
        assert_info(test_in(r, reads[i], 0, 10, 4, 2048), SENSE_UNRECOVERED_READ_ERROR, 12);
        r->io_err = USAN_EIO;
        r->io_err_op = BIO_WRITE;
        assert_info(test_out(r, writes[i], 0, 10, 4, out, 2048), SENSE_WRITE_ERROR, 12);
        r->io_err = USAN_ENOSPC;
        assert_sense(test_out(r, writes[i], 0, 10, 4, out, 2048), SENSE_SPACE_ALLOCATION_FAILED);
    }
    rig_free(r);
}

static void the_capacity_may_shrink_while_data_comes(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t cdb[SCSI_CDB_MAX];
    static const uint8_t out[4 * 512];
    r->stop_at = 1u << SCSI_WANT_DATA;
    test_cdb(cdb, 0x2a, 0, 1000, 4);
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, out, sizeof out, 0);
    assert_int_equal(scsi_lu_set_block_count(r->units[0].lanes[0], 1002), 0);
    rig_go(rt);
    assert_info(rig_end(rt), SENSE_LBA_OUT_OF_RANGE, 1002);
    assert_int_equal(r->ios[BIO_WRITE], 0);
    rig_free(r);
}

static void blocks_of_4096_bytes(void **state)
{
    (void)state;
    struct rig *r =
        test_rig(&(struct rig_config){ .lu = { .block_bytes = 4096, .block_count = 64 } });
    test_fill_disk(r);
    static uint8_t out[2 * 4096];
    struct rig_result res = test_in(r, 0x28, 0, 61, 3, 3 * 4096);
    assert_good(res);
    assert_int_equal(res.in_len, 3 * 4096);
    assert_memory_equal(res.in, r->units[0].disk + 61 * 4096, 3 * 4096);
    test_fill(out, 5, sizeof out);
    assert_good(test_out(r, 0x8a, 0, 62, 2, out, sizeof out));
    assert_memory_equal(r->units[0].disk + 62 * 4096, out, sizeof out);
    assert_info(test_in(r, 0x28, 0, 62, 3, 3 * 4096), SENSE_LBA_OUT_OF_RANGE, 64);
    /* a short data-out is judged by this block size */
    assert_sense(test_out(r, 0x2a, 0, 0, 2, out, 512), SENSE_SHORT_OUT);
    rig_free(r);
}

static void write_protection_and_counters(void **state)
{
    (void)state;
    static const uint8_t out[2 * 512];
    struct rig *r = test_rig(&(struct rig_config){ .lu.read_only = true });
    for (unsigned i = 0; i < 4; i++) {
        assert_sense(test_out(r, writes[i], 0, 0, 1, out, 512), SENSE_WRITE_PROTECTED);
        assert_good(test_in(r, reads[i], 0, 0, 1, 512));
    }
    rig_free(r);

    r = test_rig(&(struct rig_config){ 0 });
    assert_good(test_in(r, 0x28, 0, 0, 3, 3 * 512));
    assert_good(test_in(r, 0x88, 0, 0, 1, 512));
    assert_good(test_out(r, 0x2a, 0, 0, 2, out, 1024));
    const struct scsi_lane *lane = r->units[0].lanes[0];
    assert_int_equal(lane->reads, 2);
    assert_int_equal(lane->read_bytes, 4 * 512);
    assert_int_equal(lane->writes, 1);
    assert_int_equal(lane->write_bytes, 1024);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_returns_the_blocks),
        cmocka_unit_test(read6_length_0_is_256_blocks),
        cmocka_unit_test(zero_blocks_transfer_nothing),
        cmocka_unit_test(an_lba_out_of_range_is_told),
        cmocka_unit_test(more_than_the_maximum_is_refused),
        cmocka_unit_test(protection_is_not_supported),
        cmocka_unit_test(write_stores_the_blocks),
        cmocka_unit_test(flags_reach_the_store),
        cmocka_unit_test(short_and_long_data_out),
        cmocka_unit_test(data_in_is_cut_at_what_is_expected),
        cmocka_unit_test(data_out_may_go_to_store_memory),
        cmocka_unit_test(failed_io_is_told),
        cmocka_unit_test(the_capacity_may_shrink_while_data_comes),
        cmocka_unit_test(blocks_of_4096_bytes),
        cmocka_unit_test(write_protection_and_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
