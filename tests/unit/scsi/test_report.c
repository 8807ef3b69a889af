/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REPORT LUNS, the opcode and task management reports, identifying information, diagnostics, logs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "scsi/lu.h"
#include "scsi/table.h"
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

/* ---- REPORT LUNS ---- */

static struct rig_result luns(struct rig *r, uint8_t select)
{
    return rig_cmd(r, 0, CDB(0xa0, 0, select, 0, 0, 0, 0, 0, 1, 0), NULL, 0, 256);
}

static void test_report_luns(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .units = 3 });
    rig_clear_ua(r);
    static const uint8_t wlun[8] = { 0xc1, 0x01 };
    struct rig_result res = luns(r, 0x00);
    assert_int_equal(res.in_len, 8 + 3 * 8);
    assert_int_equal(be32_get(res.in), 24);
    assert_int_equal(be64_get(res.in + 16), UINT64_C(1) << 48);
    res = luns(r, 0x01);
    assert_int_equal(res.in_len, 16);
    assert_memory_equal(res.in + 8, wlun, 8);
    res = luns(r, 0x02);
    assert_int_equal(res.in_len, 8 + 4 * 8);
    assert_memory_equal(res.in + 32, wlun, 8);
    assert_int_equal(luns(r, 0x10).in_len, 8);
    assert_int_equal(luns(r, 0x11).in_len, 8 + 3 * 8);
    assert_int_equal(luns(r, 0x12).in_len, 8);
    assert_int_equal(luns(r, 0x03).kaq, SENSE_INVALID_FIELD_IN_CDB);
    /* cut: the length still says all */
    res = rig_cmd(r, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16), NULL, 0, 256);
    assert_int_equal(res.in_len, 16);
    assert_int_equal(be32_get(res.in), 24);
    rig_free(r);
}

/* ---- REPORT SUPPORTED OPERATION CODES ---- */

static struct rig_result opcodes(struct rig *r, uint8_t option, uint8_t opcode, uint16_t sa)
{
    return rig_cmd(
        r, 0, CDB(0xa3, 0x0c, option, opcode, (uint8_t)(sa >> 8), (uint8_t)sa, 0, 0, 0xff, 0xff),
        NULL, 0, 65535);
}

/* Every command of the tables that the unit has, once, and nothing else. */
static void all_equal_table(const struct scsi_lu_config *lu)
{
    struct rig *r = make(lu);
    struct rig_result plain = opcodes(r, 0x00, 0, 0), timed = opcodes(r, 0x80, 0, 0);
    assert_int_equal(be32_get(plain.in), plain.in_len - 4);
    assert_int_equal((plain.in_len - 4) / 8, (timed.in_len - 4) / 20);
    const uint8_t *p = plain.in + 4, *t = timed.in + 4;
    unsigned listed = 0;
    for (; p < plain.in + plain.in_len; p += 8, t += 20, listed++) {
        uint8_t cdb[32] = { p[0] };
        bool bad_sa, has_sa = p[5] & 1;
        if (has_sa && p[0] == 0x7f)
            be16_put(cdb + 8, be16_get(p + 2));
        else if (has_sa)
            cdb[1] = p[3];
        const struct scsi_command *c = scsi_command_find(cdb, 32, &bad_sa);
        assert_non_null(c);
        assert_int_equal(c->sa, has_sa ? be16_get(p + 2) : -1);
        assert_int_equal(be16_get(p + 6), c->cdb_len);
        assert_memory_equal(p, t, 5);
        assert_int_equal(t[5], p[5] | 0x02);
        assert_int_equal(be16_get(t + 8), 10);
        /* asked for alone, it is the same command with the usage map of the table */
        struct rig_result one = opcodes(r, has_sa ? 0x02 : 0x01, p[0], be16_get(p + 2));
        assert_int_equal(one.in_len, 4u + c->cdb_len);
        assert_int_equal(one.in[1], 3);
        assert_int_equal(be16_get(one.in + 2), c->cdb_len);
        assert_int_equal(one.in[4], c->opcode);
        for (unsigned i = 1; i < c->cdb_len; i++)
            assert_int_equal(one.in[4 + i] & ~c->usage[i] & (i == scsi_cdb_control(c) ? ~4 : ~0) &
                                 (i == 7 && c->opcode == 0x7f ? 0 : ~0),
                             0);
        one = opcodes(r, 0x83, p[0], be16_get(p + 2)); /* either way, and timeouts */
        assert_int_equal(one.in_len, 4u + c->cdb_len + 12);
        assert_int_equal(one.in[1], 0x83);
    }
    unsigned expected = 0;
    const char *name;
    uint8_t opcode;
    int sa;
    for (size_t i = 0; scsi_command_info(i, &name, &opcode, &sa); i++) {
        uint8_t cdb[32] = { opcode, (uint8_t)(sa < 0 ? 0 : sa) };
        bool bad_sa;
        if (opcode == 0x7f)
            be16_put(cdb + 8, (uint16_t)sa);
        const struct scsi_command *c = scsi_command_find(cdb, 32, &bad_sa);
        assert_non_null(c);
        assert_string_equal(c->name, name); /* no entry hides another one */
        expected += (!(c->flags & SCSI_CF_REMOVABLE) || lu->removable) &&
                    (!(c->flags & SCSI_CF_THIN) || lu->thin);
    }
    assert_int_equal(listed, expected);
    rig_free(r);
}

static void test_opcodes_equal_table(void **state)
{
    (void)state;
    all_equal_table(&(struct scsi_lu_config){ 0 });
    all_equal_table(&(struct scsi_lu_config){ .thin = true, .removable = true });
}

static void test_opcodes_one(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    struct rig_result res = opcodes(r, 0x01, 0x12, 0);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 3, 0, 6, 0x12, 1, 0xff, 0xff, 0xff, 4 }), 10);
    res = opcodes(r, 0x02, 0xa3, 0x0c);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 3, 0, 12, 0xa3, 0x0c, 0x87 }), 7);
    /* what there is not */
    res = opcodes(r, 0x01, 0xff, 0);
    assert_int_equal(res.in_len, 4);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 1, 0, 0 }), 4);
    assert_int_equal(opcodes(r, 0x02, 0xff, 0).in[1], 1);
    assert_int_equal(opcodes(r, 0x02, 0xa3, 0x1e).in[1], 1);
    assert_int_equal(opcodes(r, 0x03, 0xa3, 0x1e).in[1], 1);
    assert_int_equal(opcodes(r, 0x03, 0x12, 0).in[1], 3);
    assert_int_equal(opcodes(r, 0x03, 0x12, 1).in[1], 1);
    assert_int_equal(opcodes(r, 0x01, 0x42, 0).in[1], 1); /* UNMAP of a unit that is not thin */
    /* asked in the wrong way */
    assert_int_equal(opcodes(r, 0x01, 0xa3, 0).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(opcodes(r, 0x02, 0x12, 0).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(opcodes(r, 0x04, 0x12, 0).kaq, SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

static void test_tmfs(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    struct rig_result res = rig_cmd(r, 0, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16), NULL, 0, 16);
    assert_int_equal(res.in_len, 4);
    assert_memory_equal(res.in, ((uint8_t[]){ 0xfc, 0x07, 0, 0 }), 4);
    res = rig_cmd(r, 0, CDB(0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16), NULL, 0, 16);
    assert_int_equal(res.in_len, 16);
    assert_int_equal(res.in[3], 12);
    res = rig_cmd(r, 0, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 3), NULL, 0, 16);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

/* ---- identifying information ---- */

static struct rig_result set_ident(struct rig *r, uint8_t type, const char *text, uint16_t len)
{
    return rig_cmd(
        r, 0,
        CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)(type << 1)),
        text, len, 0);
}

static struct rig_result get_ident(struct rig *r, uint8_t type)
{
    return rig_cmd(r, 0, CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 2, 0, (uint8_t)(type << 1)), NULL, 0,
                   512);
}

static void test_identifying_information(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    assert_int_equal(be32_get(get_ident(r, 0).in), 0);
    assert_int_equal(set_ident(r, 0, "shelf 3", 7).status, SCSI_STATUS_GOOD);
    assert_int_equal(set_ident(r, 2, "database", 9).status, SCSI_STATUS_GOOD);
    assert_int_equal(r->saves, 2);
    struct rig_result res = get_ident(r, 0);
    assert_int_equal(res.in_len, 11);
    assert_memory_equal(res.in, "\0\0\0\7shelf 3", 11);
    res = get_ident(r, 2);
    assert_int_equal(res.in_len, 13);
    assert_memory_equal(res.in + 4, "database", 9);
    res = get_ident(r, 0x7f);
    assert_int_equal(be16_get(res.in + 2), 8);
    assert_memory_equal(res.in + 4, ((uint8_t[]){ 0, 0, 1, 0, 4, 0, 1, 0 }), 8);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, 0x63f05);
    /* a length of 0 removes it */
    assert_int_equal(set_ident(r, 0, "", 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(get_ident(r, 0).in_len, 4);

    assert_int_equal(set_ident(r, 2, "no end", 6).kaq, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    static const char text[300];
    assert_int_equal(set_ident(r, 0, text, 257).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(set_ident(r, 1, "x", 1).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(get_ident(r, 1).kaq, SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

/* ---- diagnostics ---- */

static void test_diagnostic(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ 0 });
    struct rig_result res = rig_cmd(r, 0, CDB(0x1d, 0x04), NULL, 0, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(r->ios[BIO_READ], 1);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_READ;
    assert_int_equal(rig_cmd(r, 0, CDB(0x1d, 0x04), NULL, 0, 0).kaq, SENSE_SELF_TEST_FAILED);
    assert_int_equal(rig_cmd(r, 0, CDB(0x1d, 0x24), NULL, 0, 0).kaq, SENSE_INVALID_FIELD_IN_CDB);
    uint8_t page[4] = { 0 };
    assert_int_equal(rig_cmd(r, 0, CDB(0x1d, 0x10, 0, 0, 4), page, 4, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 0, CDB(0x1d, 0x10, 0, 0, 3), page, 3, 0).kaq,
                     SENSE_PARAMETER_LIST_LENGTH_ERROR);
    page[0] = 0x40;
    assert_int_equal(rig_cmd(r, 0, CDB(0x1d, 0x10, 0, 0, 4), page, 4, 0).kaq,
                     SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    res = rig_cmd(r, 0, CDB(0x1c, 0x01, 0, 0, 64), NULL, 0, 64);
    assert_int_equal(res.in_len, 5);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 0, 0, 1, 0 }), 5);
    assert_int_equal(rig_cmd(r, 0, CDB(0x1c, 0x01, 0x40, 0, 64), NULL, 0, 64).kaq,
                     SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

/* ---- logs ---- */

static struct rig_result log_sense(struct rig *r, uint8_t page, uint8_t subpage, uint16_t from)
{
    return rig_cmd(
        r, 0,
        CDB(0x4d, 0, (uint8_t)(0x40 | page), subpage, 0, (uint8_t)(from >> 8), (uint8_t)from, 1, 0),
        NULL, 0, 256);
}

static void test_log_pages(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .thin = true });
    struct rig_result res = log_sense(r, 0, 0, 0);
    assert_int_equal(res.in_len, 8);
    assert_memory_equal(res.in, ((uint8_t[]){ 0, 0, 0, 4, 0x00, 0x0c, 0x19, 0x2f }), 8);
    res = log_sense(r, 0, 0xff, 0);
    assert_memory_equal(
        res.in, ((uint8_t[]){ 0x40, 0xff, 0, 10, 0, 0, 0, 0xff, 0x0c, 0, 0x19, 0, 0x2f, 0 }), 14);
    res = log_sense(r, 0x2f, 0, 0);
    assert_memory_equal(res.in, ((uint8_t[]){ 0x2f, 0, 0, 8, 0, 0, 3, 4, 0, 0, 0xff, 0 }), 12);
    assert_int_equal(log_sense(r, 0x3e, 0, 0).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(log_sense(r, 0x19, 1, 0).kaq, SENSE_INVALID_FIELD_IN_CDB);
    /* behind the last parameter */
    assert_int_equal(log_sense(r, 0x19, 0, 1).in_len, 4 + 68);
    assert_int_equal(log_sense(r, 0x19, 0, 2).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(rig_cmd(r, 0, CDB(0x4d, 0, 0x19, 0, 0, 0, 0, 1, 0), NULL, 0, 256).kaq,
                     SENSE_INVALID_FIELD_IN_CDB); /* threshold values */
    rig_free(r);
}

static void test_log_provisioning(void **state)
{
    (void)state;
    struct rig *r = make(&(struct scsi_lu_config){ .thin = true });
    assert_int_equal(log_sense(r, 0x0c, 0, 0).in_len,
                     4 + 12); /* the pool is not known: used only */
    scsi_lu_set_space(r->units[0].lanes[0], UINT64_C(3) << 20, UINT64_C(7) << 20);
    struct rig_result res = log_sense(r, 0x0c, 0, 0);
    assert_int_equal(res.in_len, 4 + 24);
    assert_memory_equal(res.in + 4, ((uint8_t[]){ 0, 1, 3, 8, 0, 0, 0, 7, 2, 0, 0, 0 }), 12);
    assert_memory_equal(res.in + 16, ((uint8_t[]){ 0, 2, 3, 8, 0, 0, 0, 3, 1, 0, 0, 0 }), 12);
    assert_int_equal(log_sense(r, 0x0c, 0, 2).in_len, 4 + 12);
    rig_free(r);
}

static void test_log_statistics(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2, .lanes = 2 });
    rig_clear_ua(r);
    static const uint8_t data[1024];
    for (unsigned i = 0; i < 2; i++) {
        (void)rig_cmd(r, i, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 3), NULL, 0, 1536);
        (void)rig_cmd(r, i, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2), data, 1024, 0);
    }
    struct rig_result res = log_sense(r, 0x19, 0, 0);
    assert_memory_equal(res.in, ((uint8_t[]){ 0x19, 0, 0, 68, 0, 1, 3, 64 }), 8);
    assert_int_equal(be64_get(res.in + 8), 2);  /* reads */
    assert_int_equal(be64_get(res.in + 16), 2); /* writes */
    assert_int_equal(be64_get(res.in + 24), 4); /* blocks received */
    assert_int_equal(be64_get(res.in + 32), 6); /* blocks sent */
    /* LOG SELECT with PCR sets them back */
    assert_int_equal(rig_cmd(r, 0, CDB(0x4c, 0x02, 0x59, 0, 0, 0, 0, 0, 0), NULL, 0, 0).status,
                     SCSI_STATUS_GOOD);
    assert_int_equal(be64_get(log_sense(r, 0x19, 0, 0).in + 8), 0);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, 0x62a02);
    assert_int_equal(rig_cmd(r, 0, CDB(0x4c, 0x02, 0x59, 0, 0, 0, 0, 0, 8), data, 8, 0).kaq,
                     SENSE_INVALID_FIELD_IN_CDB);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_luns),
        cmocka_unit_test(test_opcodes_equal_table),
        cmocka_unit_test(test_opcodes_one),
        cmocka_unit_test(test_tmfs),
        cmocka_unit_test(test_identifying_information),
        cmocka_unit_test(test_diagnostic),
        cmocka_unit_test(test_log_pages),
        cmocka_unit_test(test_log_provisioning),
        cmocka_unit_test(test_log_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
