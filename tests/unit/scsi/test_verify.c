/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block_test.h"

enum { BLOCKS = 2048, BYTCHK1 = 0x02, BYTCHK2 = 0x04, BYTCHK3 = 0x06 };

static const uint8_t verifies[] = { 0x2f, 0xaf, 0x8f };
static const uint8_t write_verifies[] = { 0x2e, 0xae, 0x8e };
static const unsigned len_byte[] = { 7, 6, 10 };

static void without_byte_check_the_medium_is_read(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    for (unsigned i = 0; i < 3; i++) {
        r->ios[BIO_READ] = 0;
        struct rig_result res = test_out(r, verifies[i], 0, 0, BLOCKS, NULL, 0);
        assert_good(res);
        assert_int_equal(res.out_used, 0);
        /* 1 MiB in chunks */
        assert_int_equal(r->ios[BIO_READ], BLOCKS * 512 / BLOCK_CHUNK_BYTES);
        /* data-out that is offered is not called for */
        res = test_out(r, verifies[i], 0, 0, 1, "x", 1);
        assert_good(res);
        assert_int_equal(res.out_used, 0);
    }
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_READ;
    r->io_err_at = 512;
    assert_info(test_out(r, 0x2f, 0, 100, 4, NULL, 0), SENSE_UNRECOVERED_READ_ERROR, 101);
    rig_free(r);
}

static void byte_check_compares_the_range(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    test_fill_disk(r);
    uint8_t *out = malloc(BLOCKS * 512);
    assert_non_null(out);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(out, r->units[0].disk + 512, (BLOCKS - 1) * 512);
        assert_good(test_out(r, verifies[i], BYTCHK1, 1, BLOCKS - 1, out, (BLOCKS - 1) * 512));
        /* first byte, last byte, around the seams of chunks and of data-out pieces */
        static const uint32_t at[] = { 0,      1,      511,    262143, 262144,
                                       262145, 349354, 524032, 786432, 1048063 };
        for (unsigned k = 0; k < sizeof at / sizeof at[0]; k++) {
            out[at[k]] ^= 0x40;
            assert_info(test_out(r, verifies[i], BYTCHK1, 1, BLOCKS - 1, out, (BLOCKS - 1) * 512),
                        SENSE_MISCOMPARE_DURING_VERIFY, at[k]);
            out[at[k]] ^= 0x40;
        }
        /* the first of two counts */
        out[600] ^= 1;
        out[300000] ^= 1;
        assert_info(test_out(r, verifies[i], BYTCHK1, 1, BLOCKS - 1, out, (BLOCKS - 1) * 512),
                    SENSE_MISCOMPARE_DURING_VERIFY, 600);
    }
    free(out);
    rig_free(r);
}

static void byte_check_3_compares_one_block_with_all(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t block[512];
    test_fill(block, 3, sizeof block);
    for (unsigned b = 0; b < BLOCKS; b++)
        memcpy(r->units[0].disk + b * 512, block, 512);
    for (unsigned i = 0; i < 3; i++) {
        struct rig_result res = test_out(r, verifies[i], BYTCHK3, 0, BLOCKS, block, 512);
        assert_good(res);
        assert_int_equal(res.out_used, 512);
        r->units[0].disk[1500 * 512 + 7] ^= 1;
        assert_info(test_out(r, verifies[i], BYTCHK3, 1000, 1000, block, 512),
                    SENSE_MISCOMPARE_DURING_VERIFY, 500 * 512 + 7);
        r->units[0].disk[1500 * 512 + 7] ^= 1;
    }
    rig_free(r);
}

static void verify_refuses(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu.max_xfer_blocks = 8 });
    static const uint8_t out[9 * 512];
    for (unsigned i = 0; i < 3; i++) {
        assert_cdb_field(test_out(r, verifies[i], BYTCHK2, 0, 1, out, 512), 1, 2);
        assert_cdb_field(test_out(r, verifies[i], 0x20, 0, 1, NULL, 0), 1, 5); /* VRPROTECT */
        assert_cdb_field(test_out(r, verifies[i], BYTCHK1, 0, 9, out, 9 * 512), len_byte[i], 7);
        assert_good(test_out(r, verifies[i], 0, 0, 9, NULL, 0)); /* transfers nothing */
        assert_info(test_out(r, verifies[i], 0, BLOCKS, 1, NULL, 0), SENSE_LBA_OUT_OF_RANGE,
                    BLOCKS);
        assert_info(test_out(r, verifies[i], BYTCHK1, BLOCKS - 1, 2, out, 1024),
                    SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_out(r, verifies[i], 0, BLOCKS + 1, 0, NULL, 0), SENSE_LBA_OUT_OF_RANGE,
                    BLOCKS + 1);
        assert_good(test_out(r, verifies[i], BYTCHK1, 0, 0, NULL, 0));
        /* a data-out that is too short can not be compared */
        struct rig_result res = test_out(r, verifies[i], BYTCHK1, 0, 2, out, 512);
        assert_int_equal(res.status, SCSI_STATUS_CHECK_CONDITION);
        assert_int_equal(res.kaq & 0xffff, 0x0e03);
    }
    rig_free(r);
}

static void write_and_verify(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu = { .volatile_cache = true, .wce = true } });
    static uint8_t out[1024 * 512];
    for (unsigned i = 0; i < 3; i++) {
        for (uint8_t bytchk = 0; bytchk <= BYTCHK1; bytchk += BYTCHK1) {
            test_fill(out, i + bytchk, sizeof out);
            r->ios[BIO_READ] = r->ios[BIO_WRITE] = 0;
            struct rig_result res =
                test_out(r, write_verifies[i], bytchk, 100, 1024, out, sizeof out);
            assert_good(res);
            assert_int_equal(res.out_used, sizeof out);
            assert_memory_equal(r->units[0].disk + 100 * 512, out, sizeof out);
            assert_int_equal(r->ios[BIO_WRITE], 1);
            assert_int_equal(r->ios[BIO_READ], 2);
        }
        assert_cdb_field(test_out(r, write_verifies[i], BYTCHK2, 0, 1, out, 512), 1, 2);
        assert_cdb_field(test_out(r, write_verifies[i], BYTCHK3, 0, 1, out, 512), 1, 2);
        assert_cdb_field(test_out(r, write_verifies[i], 0x40, 0, 1, out, 512), 1, 6);
        assert_info(test_out(r, write_verifies[i], 0, BLOCKS - 1, 2, out, 1024),
                    SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_good(test_out(r, write_verifies[i], 0, 0, 0, NULL, 0));
        r->io_err = USAN_EIO;
        r->io_err_op = BIO_READ;
        r->io_err_at = 0;
        assert_info(test_out(r, write_verifies[i], 0, 40, 1, out, 512),
                    SENSE_UNRECOVERED_READ_ERROR, 40);
    }
    rig_free(r);
}

static void write_and_verify_short_data_out(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static uint8_t out[1024];
    for (unsigned i = 0; i < 3; i++) {
        memset(r->units[0].disk, 'a', 1024);
        memset(out, 'b', sizeof out);
        struct rig_result res = test_out(r, write_verifies[i], BYTCHK1, 0, 1, NULL, 0);
        assert_good(res);
        assert_int_equal(res.out_used, 512);
        res = test_out(r, write_verifies[i], BYTCHK1, 0, 1, out, 200);
        assert_sense(res, SENSE_SHORT_OUT);
        assert_int_equal(res.out_used, 512);
        res = test_out(r, write_verifies[i], BYTCHK1, 0, 2, out, 512);
        assert_good(res);
        assert_int_equal(res.out_used, 1024);
        assert_true(test_all(r->units[0].disk, 'b', 512));
        assert_true(test_all(r->units[0].disk + 512, 'a', 512));
    }
    rig_free(r);
}

/* The store loses a bit between writing and reading back. */
static void what_was_written_badly_miscompares(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu = { .volatile_cache = true, .wce = true } });
    uint8_t cdb[SCSI_CDB_MAX];
    static uint8_t out[4 * 512];
    test_fill(out, 0, sizeof out);
    test_cdb(cdb, 0x2e, BYTCHK1, 10, 4);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, out, sizeof out, 0);
    assert_int_equal(rt->t.bio.op, BIO_WRITE);
    assert_true(rt->t.bio.flags & BIO_F_FUA);
    assert_int_equal(rt->t.out_off, UINT64_MAX); /* not in memory of the store itself */
    rig_go(rt);
    assert_int_equal(rt->t.bio.op, BIO_READ);
    r->units[0].disk[10 * 512 + 1234] ^= 0x80;
    rig_go(rt);
    assert_info(rig_end(rt), SENSE_MISCOMPARE_DURING_VERIFY, 1234);
    rig_free(r);
}

static void a_long_verify_lets_exclusive_commands_pass(void **state)
{
    (void)state;
    enum { MANY = 65536 }; /* 32 MiB */
    struct rig *r = test_rig(&(struct rig_config){ .lu.block_count = MANY, .initiators = 2 });
    uint8_t cdb[SCSI_CDB_MAX];
    test_cdb(cdb, 0x8f, 0, 0, MANY);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, NULL, 0, 0);
    /* START STOP UNIT, start: runs alone */
    struct rig_task *alone =
        rig_start(r, 1, SCSI_ATTR_SIMPLE, 2, CDB(0x1b, 0, 0, 0, 1), NULL, 0, 0);
    assert_int_equal(alone->t.want, SCSI_WANT_WAIT);
    unsigned chunks = 0;
    while (!rig_ended(alone)) {
        rig_go(rt);
        chunks++;
    }
    assert_false(rig_ended(rt));
    assert_true(chunks < MANY * 512 / BLOCK_CHUNK_BYTES);
    assert_good(rig_end(alone));
    while (!rig_ended(rt)) {
        rig_go(rt);
        chunks++;
    }
    assert_int_equal(chunks, MANY * 512 / BLOCK_CHUNK_BYTES);
    assert_good(rig_end(rt));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_byte_check_the_medium_is_read),
        cmocka_unit_test(byte_check_compares_the_range),
        cmocka_unit_test(byte_check_3_compares_one_block_with_all),
        cmocka_unit_test(verify_refuses),
        cmocka_unit_test(write_and_verify),
        cmocka_unit_test(write_and_verify_short_data_out),
        cmocka_unit_test(what_was_written_badly_miscompares),
        cmocka_unit_test(a_long_verify_lets_exclusive_commands_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
