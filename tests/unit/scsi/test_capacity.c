/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READ CAPACITY, the cache commands and the defect lists. */
#include "block_test.h"

enum { BLOCKS = 2048 };

static struct rig_result capacity16(struct rig *r, uint64_t lba, uint32_t alloc, uint8_t pmi)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x9e, 0x10 };
    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, alloc);
    cdb[14] = pmi;
    return rig_cmd(r, 0, cdb, 16, NULL, 0, alloc);
}

static void capacity_10(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    struct rig_result res = rig_cmd(r, 0, CDB(0x25), NULL, 0, 8);
    assert_good(res);
    assert_int_equal(res.in_len, 8);
    assert_int_equal(be32_get(res.in), BLOCKS - 1);
    assert_int_equal(be32_get(res.in + 4), 512);
    res = rig_cmd(r, 0, CDB(0x25), NULL, 0, 5);
    assert_good(res);
    assert_int_equal(res.in_len, 5);
    assert_int_equal(res.in_used, 8);
    /* an LBA without PMI */
    assert_cdb_field(rig_cmd(r, 0, CDB(0x25, 0, 0, 0, 0, 1), NULL, 0, 8), 2, 7);
    res = rig_cmd(r, 0, CDB(0x25, 0, 0, 0, 0, 1, 0, 0, 1), NULL, 0, 8);
    assert_good(res);
    assert_int_equal(be32_get(res.in), BLOCKS - 1);

    static const struct {
        uint64_t count;
        uint32_t told;
    } t[] = { { 1, 0 },
              { UINT64_C(0xffffffff), 0xfffffffe },
              { UINT64_C(0x100000000), 0xffffffff },
              { UINT64_C(0x100000001), 0xffffffff },
              { UINT64_C(1) << 54, 0xffffffff } };
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(scsi_lu_set_block_count(r->units[0].lanes[0], t[i].count), 0);
        rig_clear_ua(r);
        assert_int_equal(be32_get(rig_cmd(r, 0, CDB(0x25), NULL, 0, 8).in), t[i].told);
        assert_int_equal(be64_get(capacity16(r, 0, 32, 0).in), t[i].count - 1);
    }
    rig_free(r);
}

static void capacity_16(void **state)
{
    (void)state;
    static const struct {
        struct scsi_lu_config lu;
        uint8_t exponent, provisioning;
    } t[] = {
        { { .block_bytes = 512 }, 0, 0 },
        { { .block_bytes = 512, .phys_exponent = 3 }, 3, 0 },
        { { .block_bytes = 4096, .block_count = 77, .thin = true }, 0, 0x80 },
        { { .thin = true, .unmap_zeroes = true }, 0, 0xc0 },
        { { .unmap_zeroes = true }, 0, 0 },
    };
    for (unsigned i = 0; i < 5; i++) {
        struct rig *r = test_rig(&(struct rig_config){ .lu = t[i].lu });
        struct rig_result res = capacity16(r, 0, 32, 0);
        assert_good(res);
        assert_int_equal(res.in_len, 32);
        assert_int_equal(be64_get(res.in), (t[i].lu.block_count ? t[i].lu.block_count : 2048) - 1);
        assert_int_equal(be32_get(res.in + 8), t[i].lu.block_bytes ? t[i].lu.block_bytes : 512);
        assert_int_equal(res.in[12], 0);
        assert_int_equal(res.in[13], t[i].exponent);
        assert_int_equal(res.in[14], t[i].provisioning);
        assert_true(test_all(res.in + 15, 0, 17));
        static const uint32_t allocs[] = { 0, 1, 12, 31, 33, 1024 };
        for (unsigned k = 0; k < 6; k++) {
            res = capacity16(r, 0, allocs[k], 0);
            assert_good(res);
            assert_int_equal(res.in_len, allocs[k] < 32 ? allocs[k] : 32);
        }
        assert_cdb_field(capacity16(r, 1, 32, 0), 2, 7);
        assert_good(capacity16(r, 1, 32, 1));
        rig_free(r);
    }
}

static void synchronize_cache(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu.volatile_cache = true });
    static const uint8_t opcodes[] = { 0x35, 0x91 };
    for (unsigned i = 0; i < 2; i++) {
        for (uint8_t byte1 = 0; byte1 <= 0x06; byte1 = (uint8_t)(byte1 + 2)) {
            r->ios[BIO_FLUSH] = 0;
            assert_good(test_in(r, opcodes[i], byte1, 0, 0, 0));
            assert_good(test_in(r, opcodes[i], byte1, BLOCKS - 1, 1, 0));
            assert_int_equal(r->ios[BIO_FLUSH], 2);
        }
        assert_info(test_in(r, opcodes[i], 0, BLOCKS, 0, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_in(r, opcodes[i], 0, 1, BLOCKS, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        r->io_err = USAN_EIO;
        r->io_err_op = BIO_FLUSH;
        assert_sense(test_in(r, opcodes[i], 0, 0, 0, 0), SENSE_WRITE_ERROR);
    }
    rig_free(r);
}

static void pre_fetch(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static const uint8_t opcodes[] = { 0x34, 0x90 };
    for (unsigned i = 0; i < 2; i++) {
        r->ios[BIO_READ] = 0;
        assert_good(test_in(r, opcodes[i], 0, 0, 1, 0));
        assert_good(test_in(r, opcodes[i], 0x02, 10, 0, 0)); /* IMMED; to the end */
        assert_good(test_in(r, opcodes[i], 0, BLOCKS - 1, 1, 0));
        assert_int_equal(r->ios[BIO_READ], 3);
        assert_info(test_in(r, opcodes[i], 0, BLOCKS, 0, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        assert_info(test_in(r, opcodes[i], 0, BLOCKS - 1, 2, 0), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
        r->io_err = USAN_EIO;
        r->io_err_op = BIO_READ;
        assert_info(test_in(r, opcodes[i], 0, 20, 1, 0), SENSE_UNRECOVERED_READ_ERROR, 20);
    }
    rig_free(r);
}

static void defect_lists_are_empty(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    static const uint8_t empty[8];
    for (uint8_t how = 0; how < 0x20; how++) {
        uint8_t cdb10[SCSI_CDB_MAX] = { 0x37, 0, how, 0, 0, 0, 0, 0, 32 };
        uint8_t cdb12[SCSI_CDB_MAX] = { 0xb7, how, 0, 0, 0, 0, 0, 0, 0, 32 };
        struct rig_result res10 = rig_cmd(r, 0, cdb10, 16, NULL, 0, 32);
        struct rig_result res12 = rig_cmd(r, 0, cdb12, 16, NULL, 0, 32);
        if ((how & 7) == 7) { /* reserved format */
            assert_cdb_field(res10, 2, 2);
            assert_cdb_field(res12, 1, 2);
            continue;
        }
        assert_good(res10);
        assert_int_equal(res10.in_len, 4);
        assert_int_equal(res10.in[1], how);
        assert_memory_equal(res10.in + 2, empty, 2);
        assert_good(res12);
        assert_int_equal(res12.in_len, 8);
        assert_int_equal(res12.in[1], how);
        assert_memory_equal(res12.in + 2, empty, 6);
    }
    struct rig_result res = rig_cmd(r, 0, CDB(0x37, 0, 0, 0, 0, 0, 0, 0, 3), NULL, 0, 32);
    assert_good(res);
    assert_int_equal(res.in_len, 3);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_10),
        cmocka_unit_test(capacity_16),
        cmocka_unit_test(synchronize_cache),
        cmocka_unit_test(pre_fetch),
        cmocka_unit_test(defect_lists_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
