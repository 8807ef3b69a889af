/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "scsi/block_limits.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

static struct rig_result vpd(struct rig *r, uint8_t page, uint16_t alloc)
{
    return rig_cmd(r, 0, CDB(0x12, 1, page, (uint8_t)(alloc >> 8), (uint8_t)alloc), NULL, 0, alloc);
}

static void assert_page(const struct rig_result *res, uint8_t page, size_t len)
{
    assert_int_equal(res->status, SCSI_STATUS_GOOD);
    assert_int_equal(res->in_len, len);
    assert_int_equal(res->in[0], 0);
    assert_int_equal(res->in[1], page);
    assert_int_equal(be16_get(res->in + 2), len - 4);
}

static void test_standard(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .lu = { .vendor = "ACME", .removable = true } });
    struct rig_result res = rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 255), NULL, 0, 255);
    assert_int_equal(res.in_len, 96);
    assert_int_equal(res.in[0], 0x00);
    assert_int_equal(res.in[1], 0x80); /* RMB */
    assert_int_equal(res.in[3], 0x32); /* NORMACA HISUP, format 2 */
    assert_int_equal(res.in[4], 91);
    assert_int_equal(res.in[5], 0x08); /* 3PC; TPGS = 0 without groups */
    assert_int_equal(res.in[7], 0x02); /* CMDQUE */
    assert_memory_equal(res.in + 8, "ACME    RIG             0001", 28);
    bool found_spc = false, found_sbc = false, found_iscsi = false, found_sam = false;
    for (unsigned i = 58; i < 74; i += 2) {
        found_sam |= be16_get(res.in + i) == 0x00c0;
        found_spc |= be16_get(res.in + i) == 0x05c0;
        found_sbc |= be16_get(res.in + i) == 0x0600;
        found_iscsi |= be16_get(res.in + i) == 0x0960;
    }
    assert_true(found_sam && found_spc && found_sbc && found_iscsi);
    /* cut at the allocation length, with what it says unchanged */
    res = rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 5), NULL, 0, 255);
    assert_int_equal(res.in_len, 5);
    assert_int_equal(res.in[4], 91);
    rig_free(r);

    r = rig_new(&(struct rig_config){ 0 });
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 3, 1), 0);
    res = rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 255), NULL, 0, 255);
    assert_int_equal(res.in[5], 0x38); /* TPGS = 11b */
    rig_free(r);
}

static void test_errors(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    static const uint8_t field[3] = { 0x80 | 0x40 | 0x08 | 7, 0, 2 };
    struct rig_result res = rig_cmd(r, 0, CDB(0x12, 0, 0x80, 0, 255), NULL, 0, 255);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_memory_equal(res.sense + 15, field, 3);
    res = vpd(r, 0x7e, 255);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_memory_equal(res.sense + 15, field, 3);
    res = vpd(r, 0xb2, 255); /* of thin units */
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    res = rig_cmd(r, 0, CDB(0x12, 0x02, 0, 0, 255), NULL, 0, 255); /* CMDDT, obsolete */
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

/* Every page that is listed is there, and says so. */
static void test_listed(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .lu = { .thin = true } });
    struct rig_result list = vpd(r, 0x00, 255);
    static const uint8_t expect[] = { 0x00, 0x80, 0x83, 0x86, 0x87, 0x8f, 0xb0, 0xb1, 0xb2 };
    assert_page(&list, 0x00, 4 + sizeof expect);
    assert_memory_equal(list.in + 4, expect, sizeof expect);
    for (size_t i = 4; i < list.in_len; i++) {
        struct rig_result res = vpd(r, list.in[i], 4096);
        assert_page(&res, list.in[i], res.in_len);
        assert_true(res.in_len > 4);
    }
    rig_free(r);
}

static void test_identification(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 7, 1), 0);
    struct rig_result res = vpd(r, 0x83, 1024);
    assert_page(&res, 0x83, res.in_len);
    bool naa = false, t10 = false, port = false, group = false, port_name = false, device = false;
    const uint8_t *d = res.in + 4, *end = res.in + res.in_len;
    for (; d < end; d += 4 + d[3]) {
        assert_true(d + 4 + d[3] <= end);
        switch (d[1] & 0x3f) {
        case 0x03:
            naa = d[0] == 1 && d[3] == 16 && d[4] == 0x60;
            break;
        case 0x01:
            t10 = d[0] == 2 && memcmp(d + 4, "USAN    rig00000", 16) == 0 && d[3] == 16;
            break;
        case 0x14:
            port = d[0] == 0x51 && d[1] == 0x94 && d[3] == 4 && be32_get(d + 4) == 1;
            break;
        case 0x15:
            group = d[0] == 0x51 && d[1] == 0x95 && d[3] == 4 && be32_get(d + 4) == 7;
            break;
        case 0x18:
            port_name = d[0] == 0x53 && d[3] % 4 == 0 && d[4 + d[3] - 1] == 0 &&
                        strcmp((const char *)d + 4, "iqn.2001-04.com.example:target,t,0x0001") == 0;
            break;
        case 0x28:
            device = d[0] == 0x53 && d[3] % 4 == 0 &&
                     strcmp((const char *)d + 4, "iqn.2001-04.com.example:target") == 0;
            break;
        default:
            fail_msg("descriptor %02x", d[1]);
        }
    }
    assert_ptr_equal(d, end);
    assert_true(naa && t10 && port && group && port_name && device);
    rig_free(r);
}

static void test_serial(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    struct rig_result res = vpd(r, 0x80, 255);
    assert_page(&res, 0x80, 12);
    assert_memory_equal(res.in + 4, "rig00000", 8);
    rig_free(r);
}

static void test_extended(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .lu = { .volatile_cache = true } });
    struct rig_result res = vpd(r, 0x86, 255);
    assert_page(&res, 0x86, 64);
    assert_int_equal(res.in[5], 0x07);
    assert_int_equal(res.in[6], 0x01); /* V_SUP */
    assert_int_equal(res.in[13], SCSI_SENSE_MAX);
    rig_free(r);
}

static void test_block_limits(void **state)
{
    (void)state;
    struct scsi_lu_config lu = { .thin = true,
                                 .phys_exponent = 3,
                                 .max_xfer_blocks = 1000,
                                 .opt_xfer_blocks = 128,
                                 .unmap_gran_blocks = 64 };
    struct rig *r = rig_new(&(struct rig_config){ .lu = lu });
    struct rig_result res = vpd(r, 0xb0, 255);
    assert_page(&res, 0xb0, 64);
    assert_int_equal(res.in[4], BLOCK_WSNZ);
    assert_int_equal(res.in[5], BLOCK_MAX_CAW_BLOCKS);
    assert_int_equal(be16_get(res.in + 6), 8);
    assert_int_equal(be32_get(res.in + 8), 1000);
    assert_int_equal(be32_get(res.in + 12), 128);
    assert_int_equal(be32_get(res.in + 20), BLOCK_MAX_UNMAP_BLOCKS);
    assert_int_equal(be32_get(res.in + 24), BLOCK_MAX_UNMAP_DESCRIPTORS);
    assert_int_equal(be32_get(res.in + 28), 64);
    assert_int_equal(be32_get(res.in + 32), 0x80000000);
    assert_int_equal(be64_get(res.in + 36), BLOCK_MAX_WRITE_SAME_BLOCKS);
    assert_int_equal(be32_get(res.in + 44), 256);
    rig_free(r);
    /* thick: no unmap limits */
    r = rig_new(&(struct rig_config){ 0 });
    res = vpd(r, 0xb0, 255);
    assert_memory_equal(res.in + 20, ((uint8_t[16]){ 0 }), 16);
    assert_int_equal(be32_get(res.in + 8), BLOCK_MAX_XFER_BYTES / 512);
    rig_free(r);
}

static void test_provisioning(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .lu = { .thin = true, .unmap_zeroes = true } });
    struct rig_result res = vpd(r, 0xb2, 255);
    assert_page(&res, 0xb2, 8);
    assert_int_equal(res.in[4], 0);
    assert_int_equal(res.in[5], 0xe4); /* LBPU LBPWS LBPWS10, LBPRZ = 001b */
    assert_int_equal(res.in[6], 0x02); /* thin */
    rig_free(r);
    r = rig_new(&(struct rig_config){ .lu = { .rotational = true } });
    res = vpd(r, 0xb1, 255);
    assert_page(&res, 0xb1, 64);
    assert_int_equal(be16_get(res.in + 4), 0);
    rig_free(r);
    r = rig_new(&(struct rig_config){ 0 });
    res = vpd(r, 0xb1, 255);
    assert_int_equal(be16_get(res.in + 4), 1); /* non-rotating */
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_listed),       cmocka_unit_test(test_identification),
        cmocka_unit_test(test_serial),       cmocka_unit_test(test_extended),
        cmocka_unit_test(test_block_limits), cmocka_unit_test(test_provisioning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
