/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block_test.h"

enum { BLOCKS = 2048 };

static struct rig_result caw(struct rig *r, uint64_t lba, uint8_t blocks, const void *out,
                             size_t out_len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x89 };
    be64_put(cdb + 2, lba);
    cdb[13] = blocks;
    return rig_cmd(r, 0, cdb, 16, out, out_len, 0);
}

static const struct rig_config units[] = {
    { .lu.native_caw = false },
    { .lu.native_caw = true },
    { .lu = { .block_bytes = 4096, .block_count = 512, .native_caw = false } },
};

static void compare_and_write(void **state)
{
    (void)state;
    for (unsigned u = 0; u < 3; u++) {
        struct rig *r = test_rig(&units[u]);
        size_t bb = r->units[0].block_bytes, count = r->units[0].disk_bytes / bb;
        uint8_t *out = malloc(2 * 255 * bb), *want = malloc(r->units[0].disk_bytes);
        assert_non_null(out);
        assert_non_null(want);
        test_fill_disk(r);
        static const uint8_t lens[] = { 1, 2, 7, 255 };
        for (unsigned k = 0; k < 4; k++) {
            size_t len = lens[k] * bb;
            for (unsigned end = 0; end < 2; end++) {
                size_t lba = end ? count - lens[k] : 0;
                memcpy(want, r->units[0].disk, r->units[0].disk_bytes);
                memcpy(out, want + lba * bb, len);
                test_fill(out + len, 77 + k, len);
                memcpy(want + lba * bb, out + len, len);
                struct rig_result res = caw(r, lba, lens[k], out, 2 * len);
                assert_good(res);
                assert_int_equal(res.out_used, 2 * len);
                assert_memory_equal(r->units[0].disk, want, r->units[0].disk_bytes);
                /* The compare half is stale now: nothing changes. */
                memcpy(out, want + lba * bb, len);
                size_t at = len - 27;
                out[at] ^= 0x55;
                memset(out + len, 'B', len);
                assert_info(caw(r, lba, lens[k], out, 2 * len), SENSE_MISCOMPARE_DURING_VERIFY, at);
                assert_memory_equal(r->units[0].disk, want, r->units[0].disk_bytes);
            }
        }
        assert_int_equal(r->ios[BIO_COMPARE_AND_WRITE], units[u].lu.native_caw ? 16 : 0);
        assert_int_equal(r->ios[BIO_READ], units[u].lu.native_caw ? 0 : 16);
        assert_int_equal(r->ios[BIO_WRITE], units[u].lu.native_caw ? 0 : 8);
        free(out);
        free(want);
        rig_free(r);
    }
}

static void compare_and_write_refuses(void **state)
{
    (void)state;
    for (unsigned u = 0; u < 2; u++) {
        struct rig *r = test_rig(&units[u]);
        static const uint8_t out[8 * 512];
        assert_good(caw(r, 0, 0, NULL, 0));
        assert_info(caw(r, BLOCKS, 1, out, 1024), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(caw(r, BLOCKS - 1, 2, out, 2048), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_sense(caw(r, UINT64_MAX, 1, out, 1024), SENSE_LBA_OUT_OF_RANGE);
        /* data-out of another length than twice the blocks */
        struct rig_result res = caw(r, 0, 1, out, 4 * 512);
        assert_sense(res, SENSE_SHORT_OUT);
        assert_int_equal(res.out_used, 1024);
        assert_sense(caw(r, 0, 3, out, 4 * 512), SENSE_SHORT_OUT);
        assert_sense(caw(r, 0, 1, NULL, 0), SENSE_SHORT_OUT);
        uint8_t cdb[SCSI_CDB_MAX] = { 0x89, 0x20 };
        cdb[13] = 1;
        assert_cdb_field(rig_cmd(r, 0, cdb, 16, out, 1024, 0), 1, 5); /* WRPROTECT */
        rig_free(r);
    }
    struct rig *r = test_rig(&units[0]);
    static const uint8_t zero[1024];
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_READ;
    assert_info(caw(r, 9, 1, zero, 1024), SENSE_UNRECOVERED_READ_ERROR, 9);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_WRITE;
    assert_info(caw(r, 9, 1, zero, 1024), SENSE_WRITE_ERROR, 9);
    rig_free(r);
}

static void compare_and_write_is_as_durable_as_a_write(void **state)
{
    (void)state;
    static const uint8_t zero[1024];
    for (unsigned native = 0; native < 2; native++) {
        for (unsigned wce = 0; wce < 2; wce++) {
            for (uint8_t byte1 = 0; byte1 <= 0x18; byte1 = (uint8_t)(byte1 + 8)) {
                struct rig *r = test_rig(&(struct rig_config){
                    .lu = { .volatile_cache = true, .wce = wce, .native_caw = native } });
                uint8_t cdb[SCSI_CDB_MAX] = { 0x89, byte1 };
                cdb[13] = 1;
                assert_good(rig_cmd(r, 0, cdb, 16, zero, 1024, 0));
                assert_int_equal(!!(r->last_flags & BIO_F_FUA), !wce || (byte1 & 0x08));
                assert_int_equal(!!(r->last_flags & BIO_F_DPO), !!(byte1 & 0x10));
                rig_free(r);
            }
        }
    }
}

/* Start the command, hold its first store request, and see whether a WRITE of somebody else (on
 * another reactor) gets in between. */
static bool others_wait(const struct rig_config *cfg, const uint8_t *cdb, const void *out,
                        size_t out_len)
{
    struct rig_config two = *cfg;
    two.initiators = 2;
    two.lanes = 2;
    struct rig *r = test_rig(&two);
    uint8_t wr[SCSI_CDB_MAX];
    static const uint8_t block[512];
    test_cdb(wr, 0x2a, 0, 1500, 1);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *a = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, out, out_len, 0);
    assert_int_equal(a->t.want, SCSI_WANT_IO);
    struct rig_task *b = rig_start(r, 1, SCSI_ATTR_SIMPLE, 2, wr, 16, block, 512, 0);
    bool waits = b->t.want == SCSI_WANT_WAIT;
    while (!rig_ended(a)) {
        assert_int_equal(b->t.want, waits ? SCSI_WANT_WAIT : SCSI_WANT_IO);
        rig_go(a);
    }
    assert_good(rig_end(a));
    assert_int_equal(b->t.want, SCSI_WANT_IO);
    rig_go(b);
    assert_good(rig_end(b));
    rig_free(r);
    return waits;
}

static void only_native_compare_and_write_runs_beside_others(void **state)
{
    (void)state;
    static const uint8_t zero[1024];
    uint8_t cdb[SCSI_CDB_MAX] = { 0x89 };
    cdb[13] = 1;
    assert_true(others_wait(&units[0], cdb, zero, 1024));
    assert_false(others_wait(&units[1], cdb, zero, 1024));
    test_cdb(cdb, 0x8b, 0, 0, 1); /* ORWRITE */
    assert_true(others_wait(&units[0], cdb, zero, 512));
    test_cdb(cdb, 0x9c, 0, 0, 1); /* WRITE ATOMIC: the length is in its last two bytes */
    assert_true(others_wait(&units[0], cdb, zero, 512));
    test_cdb(cdb, 0x8a, 0, 0, 1); /* WRITE */
    assert_false(others_wait(&units[0], cdb, zero, 512));
}

/* It waits for the gate after its data came, and is checked again then. */
static void the_capacity_may_shrink_meanwhile(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 2 });
    static const uint8_t zero[1024];
    uint8_t rd[SCSI_CDB_MAX], cdb[SCSI_CDB_MAX] = { 0x89 };
    be64_put(cdb + 2, 2000);
    cdb[13] = 1;
    test_cdb(rd, 0x28, 0, 0, 1);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *reader = rig_start(r, 1, SCSI_ATTR_SIMPLE, 1, rd, 16, NULL, 0, 512);
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, zero, 1024, 0);
    assert_int_equal(rt->t.want, SCSI_WANT_WAIT);
    r->units[0].lu->cfg.block_count = 2000;
    rig_go(reader);
    assert_good(rig_end(reader));
    assert_info(rig_end(rt), SENSE_LBA_OUT_OF_RANGE, 2000);
    rig_free(r);
}

static void orwrite(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static uint8_t out[1025 * 512], want[BLOCKS * 512];
    test_fill_disk(r);
    test_fill(out, 1234567, sizeof out);
    memcpy(want, r->units[0].disk, sizeof want);
    for (size_t i = 0; i < sizeof out; i++)
        want[300 * 512 + i] |= out[i];
    struct rig_result res = test_out(r, 0x8b, 0, 300, 1025, out, sizeof out);
    assert_good(res);
    assert_int_equal(res.out_used, sizeof out);
    assert_memory_equal(r->units[0].disk, want, sizeof want);
    assert_int_equal(r->ios[BIO_READ], 3); /* 512 blocks each */
    assert_int_equal(r->ios[BIO_WRITE], 3);

    assert_good(test_out(r, 0x8b, 0, BLOCKS - 1, 0, NULL, 0));
    assert_info(test_out(r, 0x8b, 0, BLOCKS + 1, 0, NULL, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS + 1);
    assert_info(test_out(r, 0x8b, 0, BLOCKS - 1, 2, out, 1024), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
    assert_cdb_field(test_out(r, 0x8b, 0x60, 0, 1, out, 512), 1, 6);
    assert_int_equal(test_out(r, 0x8b, 0, 0, 2, out, 512).kaq & 0xffff, 0x0e03);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_WRITE;
    r->io_err_at = 512;
    assert_info(test_out(r, 0x8b, 0, 50, 2, out, 1024), SENSE_WRITE_ERROR, 51);
    rig_free(r);

    r = test_rig(&(struct rig_config){ .lu.max_xfer_blocks = 4 });
    assert_cdb_field(test_out(r, 0x8b, 0, 0, 5, out, 5 * 512), 10, 7);
    rig_free(r);
}

static struct rig_result write_atomic(struct rig *r, uint64_t lba, uint16_t boundary,
                                      uint16_t blocks, const void *out, size_t out_len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x9c };
    be64_put(cdb + 2, lba);
    be16_put(cdb + 10, boundary);
    be16_put(cdb + 12, blocks);
    return rig_cmd(r, 0, cdb, 16, out, out_len, 0);
}

static void write_atomically(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static uint8_t out[512 * 512];
    test_fill(out, 9, sizeof out);
    assert_good(write_atomic(r, 5, 0, 256, out, 256 * 512));
    assert_memory_equal(r->units[0].disk + 5 * 512, out, 256 * 512);
    assert_true(test_all(r->units[0].disk, 0, 5 * 512));
    assert_true(test_all(r->units[0].disk + 261 * 512, 0, 512));
    assert_int_equal(r->ios[BIO_WRITE], 1);
    assert_good(write_atomic(r, BLOCKS - 1, 0, 1, out, 512));

    assert_cdb_field(write_atomic(r, 0, 0, 257, out, 257 * 512), 12, 7);
    /* the range goes first */
    assert_info(write_atomic(r, BLOCKS - 256, 0, 512, out, 512 * 512), SENSE_LBA_OUT_OF_RANGE,
                BLOCKS);
    assert_cdb_field(write_atomic(r, 0, 1, 4, out, 4 * 512), 11, 0);
    assert_good(write_atomic(r, 0, 0, 0, NULL, 0));
    assert_info(write_atomic(r, BLOCKS + 1, 0, 0, NULL, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS + 1);
    /* not in part: neither does a short data-out write anything */
    r->ios[BIO_WRITE] = 0;
    assert_sense(write_atomic(r, 0, 0, 2, out, 512), SENSE_SHORT_OUT);
    assert_int_equal(r->ios[BIO_WRITE], 0);
    rig_free(r);

    r = test_rig(&(struct rig_config){ .lu.max_xfer_blocks = 100 });
    assert_good(write_atomic(r, 0, 0, 100, out, 100 * 512));
    assert_cdb_field(write_atomic(r, 0, 0, 101, out, 101 * 512), 12, 7);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compare_and_write),
        cmocka_unit_test(compare_and_write_refuses),
        cmocka_unit_test(compare_and_write_is_as_durable_as_a_write),
        cmocka_unit_test(only_native_compare_and_write_runs_beside_others),
        cmocka_unit_test(the_capacity_may_shrink_meanwhile),
        cmocka_unit_test(orwrite),
        cmocka_unit_test(write_atomically),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
