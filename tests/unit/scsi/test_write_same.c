/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block_test.h"

enum { BLOCKS = 2048, UNMAP = 0x08, ANCHOR = 0x10, NDOB = 0x01 };

static const uint8_t opcodes[] = { 0x41, 0x93 };
static const unsigned len_byte[] = { 7, 10 };
static const struct rig_config thin = { .lu = { .thin = true, .unmap_zeroes = true } };

static void copies_the_block(void **state)
{
    (void)state;
    static const struct rig_config cfgs[] = {
        { .lu = { .block_bytes = 512 } },
        { .lu = { .block_bytes = 4096, .block_count = 256 } },
        { .lu = { .thin = true, .unmap_zeroes = true } },
    };
    for (unsigned c = 0; c < 3; c++) {
        struct rig *r = test_rig(&cfgs[c]);
        size_t bb = r->units[0].block_bytes, count = r->units[0].disk_bytes / bb;
        static uint8_t block[4096];
        for (unsigned i = 0; i < 2; i++) {
            static const uint32_t lens[] = { 1, 2, 63, 65, 200 };
            for (unsigned k = 0; k < 5; k++) {
                for (unsigned end = 0; end < 2; end++) {
                    size_t lba = end ? count - lens[k] : 3;
                    memset(r->units[0].disk, 0xee, r->units[0].disk_bytes);
                    test_fill(block, i + k + end, bb);
                    /* UNMAP with a block that is not zero writes it all the same */
                    uint8_t byte1 = cfgs[c].lu.thin ? UNMAP : 0;
                    struct rig_result res = test_out(r, opcodes[i], byte1, lba, lens[k], block, bb);
                    assert_good(res);
                    assert_int_equal(res.out_used, bb);
                    for (size_t b = 0; b < count; b++) {
                        const uint8_t *p = r->units[0].disk + b * bb;
                        if (b >= lba && b < lba + lens[k])
                            assert_memory_equal(p, block, bb);
                        else
                            assert_true(test_all(p, 0xee, bb));
                    }
                }
            }
        }
        assert_int_equal(r->ios[BIO_WRITE_ZEROES], 0);
        rig_free(r);
    }
}

static void works_in_chunks(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu.block_count = 4096 });
    uint8_t block[512];
    test_fill(block, 1, sizeof block);
    assert_good(test_out(r, 0x93, 0, 1, 1025, block, 512));
    assert_int_equal(r->ios[BIO_WRITE], 3);
    for (unsigned b = 1; b < 1026; b++)
        assert_memory_equal(r->units[0].disk + b * 512, block, 512);
    assert_true(test_all(r->units[0].disk + 1026 * 512, 0, 512));
    r->io_err = USAN_ENOSPC;
    r->io_err_op = BIO_WRITE;
    assert_sense(test_out(r, 0x93, 0, 1, 1025, block, 512), SENSE_SPACE_ALLOCATION_FAILED);
    rig_free(r);
}

static void zeroes_go_to_the_store_as_such(void **state)
{
    (void)state;
    static const uint8_t zero[512];
    struct rig *r = test_rig(&thin);
    for (unsigned i = 0; i < 2; i++) {
        for (uint8_t unmap = 0; unmap <= UNMAP; unmap += UNMAP) {
            test_fill_disk(r);
            r->ios[BIO_WRITE_ZEROES] = 0;
            assert_good(test_out(r, opcodes[i], unmap, 1000, 1048, zero, 512));
            assert_int_equal(r->ios[BIO_WRITE_ZEROES], 1);
            assert_int_equal(!!(r->last_flags & BIO_F_MAY_UNMAP), !!unmap);
            assert_true(test_all(r->units[0].disk + 1000 * 512, 0, 1048 * 512));
            assert_int_equal(r->units[0].disk[1000 * 512 - 1], test_byte(1000 * 512 - 1));
            assert_int_equal(r->units[0].mapped[1000], !unmap);
            assert_int_equal(r->units[0].mapped[999], 1);
        }
    }
    assert_int_equal(r->ios[BIO_WRITE], 0);
    /* a last byte that is not zero */
    uint8_t block[512] = { 0 };
    block[511] = 1;
    assert_good(test_out(r, 0x41, UNMAP, 0, 2, block, 512));
    assert_int_equal(r->ios[BIO_WRITE], 1);
    assert_memory_equal(r->units[0].disk + 512, block, 512);
    /* all bytes alike, but not zero */
    memset(block, 7, sizeof block);
    assert_good(test_out(r, 0x41, UNMAP, 0, 2, block, 512));
    assert_memory_equal(r->units[0].disk, block, 512);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_WRITE_ZEROES;
    r->io_err_at = 1024;
    assert_info(test_out(r, 0x41, 0, 10, 4, zero, 512), SENSE_WRITE_ERROR, 12);
    rig_free(r);
}

static void without_data_out(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    test_fill_disk(r);
    struct rig_result res = test_out(r, 0x93, NDOB | UNMAP, 7, 9, NULL, 0);
    assert_good(res);
    assert_int_equal(res.out_used, 0);
    assert_true(test_all(r->units[0].disk + 7 * 512, 0, 9 * 512));
    assert_int_equal(r->units[0].mapped[7], 0);
    assert_good(test_out(r, 0x93, NDOB, 7, 9, NULL, 0));
    assert_int_equal(r->units[0].mapped[7], 1);
    /* only the 16 byte command has it */
    assert_cdb_field(test_out(r, 0x41, NDOB, 0, 1, NULL, 0), 1, 0);
    rig_free(r);
}

static void refuses(void **state)
{
    (void)state;
    static const uint8_t out[1024];
    struct rig *r = test_rig(&(struct rig_config){ .lu.block_count = 0x20000, .lu.thin = true });
    for (unsigned i = 0; i < 2; i++) {
        /* WSNZ = 1 */
        assert_cdb_field(test_out(r, opcodes[i], 0, 0, 0, out, 512), len_byte[i], 7);
        assert_cdb_field(test_out(r, opcodes[i], ANCHOR, 0, 1, out, 512), 1, 4);
        assert_cdb_field(test_out(r, opcodes[i], ANCHOR | UNMAP, 0, 1, out, 512), 1, 4);
        assert_cdb_field(test_out(r, opcodes[i], 0x80, 0, 1, out, 512), 1, 7); /* WRPROTECT */
        assert_cdb_field(test_out(r, opcodes[i], 0x02, 0, 1, out, 512), 1, 1); /* LBDATA */
        assert_info(test_out(r, opcodes[i], 0, 0x20000, 1, out, 512), SENSE_LBA_OUT_OF_RANGE,
                    0x20000);
        assert_info(test_out(r, opcodes[i], 0, 0x1ffff, 2, out, 512), SENSE_LBA_OUT_OF_RANGE,
                    0x20000);
        assert_info(test_out(r, opcodes[i], 0, 0x20001, 0, out, 512), SENSE_LBA_OUT_OF_RANGE,
                    0x20001);
        struct rig_result res = test_out(r, opcodes[i], 0, 0, 1, out, 256);
        assert_sense(res, SENSE_SHORT_OUT);
        assert_int_equal(res.out_used, 512);
        assert_sense(test_out(r, opcodes[i], UNMAP, 0, 1, out, 1024), SENSE_SHORT_OUT);
        assert_sense(test_out(r, opcodes[i], 0, 0, 1, NULL, 0), SENSE_SHORT_OUT);
        /* MAXIMUM WRITE SAME LENGTH */
        assert_good(test_out(r, opcodes[i], 0, 0, 0xffff, out, 512));
    }
    assert_cdb_field(test_out(r, 0x93, 0, 0, 0x10000, out, 512), 10, 7);
    assert_sense(test_out(r, 0x93, 0, UINT64_MAX, 2, out, 512), SENSE_LBA_OUT_OF_RANGE);
    rig_free(r);

    r = test_rig(&(struct rig_config){ 0 }); /* fully provisioned */
    for (unsigned i = 0; i < 2; i++)
        assert_cdb_field(test_out(r, opcodes[i], UNMAP, 0, 1, out, 512), 1, 3);
    rig_free(r);
}

static void is_as_durable_as_a_write(void **state)
{
    (void)state;
    static const uint8_t zero[512];
    uint8_t block[512];
    memset(block, 7, sizeof block);
    for (unsigned wce = 0; wce < 2; wce++) {
        struct rig *r =
            test_rig(&(struct rig_config){ .lu = { .volatile_cache = true, .wce = wce } });
        assert_good(test_out(r, 0x93, 0, 0, 3, zero, 512));
        assert_int_equal(r->last_flags, wce ? 0 : BIO_F_FUA);
        assert_good(test_out(r, 0x93, 0, 0, 3, block, 512));
        assert_int_equal(r->last_flags, wce ? 0 : BIO_F_FUA);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_the_block),
        cmocka_unit_test(works_in_chunks),
        cmocka_unit_test(zeroes_go_to_the_store_as_such),
        cmocka_unit_test(without_data_out),
        cmocka_unit_test(refuses),
        cmocka_unit_test(is_as_durable_as_a_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
