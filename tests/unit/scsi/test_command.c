/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command table itself, and every entry of it with CDBs of all zeroes, all ones, and noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "scsi/table.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

/* A CDB of entry i, all else being `fill`. NULL at the end. */
static const struct scsi_command *entry(size_t i, uint8_t fill, uint8_t cdb[SCSI_CDB_MAX])
{
    const char *name;
    uint8_t opcode;
    int sa;
    bool bad_sa;
    if (!scsi_command_info(i, &name, &opcode, &sa))
        return NULL;
    memset(cdb, fill, SCSI_CDB_MAX);
    cdb[0] = opcode;
    if (opcode == 0x7f) {
        cdb[7] = 0x18;
        be16_put(cdb + 8, (uint16_t)sa);
    } else if (sa >= 0) {
        cdb[1] = (uint8_t)((cdb[1] & 0xe0) | sa);
    }
    return scsi_command_find(cdb, 32, &bad_sa);
}

static void test_entries(void **state)
{
    (void)state;
    uint8_t cdb[SCSI_CDB_MAX];
    const struct scsi_command *c;
    size_t count = 0;
    for (; (c = entry(count, 0, cdb)); count++) {
        static const uint8_t len_of_group[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };
        unsigned want_len = len_of_group[c->opcode >> 5];
        assert_non_null(c->start);
        assert_true(c->name[0] != 0);
        assert_int_equal(c->usage[0], c->opcode);
        if (c->opcode == 0x7f)
            assert_int_equal(c->cdb_len, 32);
        else if (want_len)
            assert_int_equal(c->cdb_len, want_len);
        if (c->sa >= 0 && c->opcode != 0x7f)
            assert_int_equal(c->usage[1] & c->sa, c->sa);
        for (unsigned i = c->cdb_len; i < sizeof c->usage; i++)
            assert_int_equal(c->usage[i], 0);
        /* What writes is refused to others under any persistent reservation (SPC-6 5.14.1). */
        if (c->flags & SCSI_CF_WRITES)
            assert_int_equal(c->flags & (SCSI_CF_PR_ANY | SCSI_CF_PR_READ), 0);
        /* What runs without a section may not look at what a section protects. */
        if (c->flags & SCSI_CF_NO_SECTION) {
            assert_int_equal(c->flags & (SCSI_CF_EXCLUSIVE | SCSI_CF_MEDIUM | SCSI_CF_WRITES), 0);
            const uint32_t passes = SCSI_CF_UA_PASS | SCSI_CF_PR_ANY | SCSI_CF_RESERVE_ANY;
            assert_int_equal(c->flags & passes, passes);
        }
    }
    assert_true(count > 60);
}

/* The index of a unit finds what the search finds, and answers for what there is not. */
static void test_index(void **state)
{
    (void)state;
    const struct scsi_lu_config all = { .thin = true, .removable = true, .keeps_state = true };
    struct scsi_index *ix = scsi_index_new(&all, &alloc_heap);
    assert_non_null(ix);
    uint8_t cdb[32] = { 0 };
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (unsigned sa = 0; sa < 32; sa++) {
            bool bad_sa = false;
            cdb[0] = (uint8_t)opcode;
            cdb[1] = (uint8_t)sa;
            cdb[9] = (uint8_t)sa;
            const struct scsi_command *found = scsi_command_find(cdb, 32, &bad_sa);
            const struct scsi_command *indexed = scsi_index_find(ix, cdb, 32);
            assert_non_null(indexed);
            if (found)
                assert_ptr_equal(found, indexed);
            else
                assert_non_null(strstr(indexed->name, bad_sa ? "service action" : "opcode"));
        }
    }
    alloc_put(&alloc_heap, ix);
}

static void check_result(const struct scsi_command *c, const struct rig_result *res,
                         uint64_t in_max)
{
    assert_false(res->aborted);
    assert_true(res->in_len <= in_max && res->in_len <= res->in_used);
    if (res->status == SCSI_STATUS_CHECK_CONDITION)
        assert_true(res->kaq != 0 && res->sense_len >= 8);
    else
        assert_int_equal(res->sense_len, 0);
    if (res->status == SCSI_STATUS_GOOD && !(c->flags & SCSI_CF_IN))
        assert_int_equal(res->in_used, 0);
}

static void run_entry(const struct scsi_lu_config *lu, const struct scsi_command *c,
                      const uint8_t *cdb, size_t out_len, uint64_t in_len)
{
    static uint8_t out[8192];
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2, .lanes = 2, .lu = *lu });
    rig_clear_ua(r);
    struct rig_result res = rig_cmd(r, 0, cdb, 32, out, out_len, in_len);
    check_result(c, &res, in_len);
    bool naca = cdb[scsi_cdb_control(c)] & 0x04;
    if (naca && res.status == SCSI_STATUS_CHECK_CONDITION) {
        assert_int_equal(rig_cmd(r, 0, CDB(0x00), NULL, 0, 0).status, SCSI_STATUS_ACA_ACTIVE);
        assert_int_equal(rig_tmf(r, 0, SCSI_TMF_CLEAR_ACA, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    }
    /* the unit is alive, and quiet */
    res = rig_cmd(r, 1, CDB(0x12, 0, 0, 0, 96), NULL, 0, 96);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, 0, CDB(0x03, 0, 0, 0, 18), NULL, 0, 18);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void walk(uint8_t fill)
{
    const struct scsi_lu_config lu = { .thin = true, .removable = true, .block_count = 64 };
    uint8_t cdb[SCSI_CDB_MAX];
    const struct scsi_command *c;
    for (size_t i = 0; (c = entry(i, fill, cdb)); i++) {
        run_entry(&lu, c, cdb, 0, 0);
        run_entry(&lu, c, cdb, 8192, 65536);
    }
}

static void test_all_zeroes(void **state)
{
    (void)state;
    walk(0x00);
}

static void test_all_ones(void **state)
{
    (void)state;
    walk(0xff);
}

static uint32_t lcg(uint32_t *s)
{
    *s = *s * 1664525 + 1013904223;
    return *s >> 8;
}

/* Only bits that the table calls evaluated, and parameter lists of noise. */
static void test_noise(void **state)
{
    (void)state;
    const struct scsi_lu_config lu = { .thin = true, .removable = true, .block_count = 64 };
    uint32_t seed = 20240611;
    uint8_t cdb[SCSI_CDB_MAX], out[4096];
    const struct scsi_command *c;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2, .lanes = 2, .lu = lu });
    for (unsigned round = 0; round < 60; round++) {
        for (size_t i = 0; (c = entry(i, 0, cdb)); i++) {
            for (unsigned b = c->sa >= 0 ? 2 : 1; b < c->cdb_len; b++) {
                if (c->opcode != 0x7f || b > 9)
                    cdb[b] = (uint8_t)(c->usage[b] & lcg(&seed) & (b < 8 ? 0x11 : 0xff));
            }
            for (unsigned b = 0; b < sizeof out; b++)
                out[b] = (uint8_t)(lcg(&seed) >> 7);
            size_t out_len = lcg(&seed) % sizeof out;
            uint64_t in_len = lcg(&seed) % 70000;
            struct rig_result res = rig_cmd(r, round % 2, cdb, 32, out, out_len, in_len);
            check_result(c, &res, in_len);
        }
    }
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),    cmocka_unit_test(test_index),
        cmocka_unit_test(test_all_zeroes), cmocka_unit_test(test_all_ones),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
