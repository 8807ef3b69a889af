/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block_test.h"

enum { BLOCKS = 2048, HEAD = 8, DESC = 16 };

static const struct rig_config thin = { .lu = { .thin = true, .unmap_zeroes = true } };

struct range {
    uint64_t lba;
    uint32_t blocks;
};

/* An UNMAP parameter list; returns its length. */
static size_t unmap_list(uint8_t *list, const struct range *ranges, unsigned count)
{
    memset(list, 0, HEAD + DESC * (size_t)count);
    be16_put(list, (uint16_t)(HEAD - 2 + DESC * count));
    be16_put(list + 2, (uint16_t)(DESC * count));
    for (unsigned i = 0; i < count; i++) {
        be64_put(list + HEAD + DESC * i, ranges[i].lba);
        be32_put(list + HEAD + DESC * i + 8, ranges[i].blocks);
    }
    return HEAD + DESC * (size_t)count;
}

static struct rig_result unmap_raw(struct rig *r, const uint8_t *list, size_t len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x42 };
    be16_put(cdb + 7, (uint16_t)len);
    return rig_cmd(r, 0, cdb, 16, list, len, 0);
}

static struct rig_result unmap(struct rig *r, const struct range *ranges, unsigned count)
{
    static uint8_t list[65536];
    return unmap_raw(r, list, unmap_list(list, ranges, count));
}

static void unmap_deallocates_all_ranges(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    test_fill_disk(r);
    static const struct range ranges[] = { { 0, 1 }, { 100, 0 }, { 10, 20 }, { BLOCKS - 3, 3 } };
    assert_good(unmap(r, ranges, 4));
    assert_int_equal(r->ios[BIO_UNMAP], 3);
    for (unsigned b = 0; b < BLOCKS; b++) {
        bool gone = b == 0 || (b >= 10 && b < 30) || b >= BLOCKS - 3;
        assert_int_equal(r->units[0].mapped[b], !gone);
        if (gone)
            assert_true(test_all(r->units[0].disk + b * 512, 0, 512));
        else
            assert_int_equal(r->units[0].disk[b * 512], test_byte(b * 512));
    }
    rig_free(r);
}

static void unmap_of_nothing_is_good(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    assert_good(unmap_raw(r, NULL, 0));
    assert_good(unmap(r, NULL, 0));
    assert_good(unmap(r, &(struct range){ BLOCKS, 0 }, 1));
    assert_good(unmap(r, &(struct range){ 5, 0 }, 1));
    assert_int_equal(r->ios[BIO_UNMAP], 0);
    rig_free(r);
}

static void unmap_checks_its_parameter_list(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    uint8_t list[HEAD + 3 * DESC];
    static const struct range two[] = { { 1, 1 }, { 5, 1 } };

    for (size_t len = 1; len < HEAD; len++) {
        memset(list, 0, sizeof list);
        assert_sense(unmap_raw(r, list, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    }
    /* descriptors cut off */
    (void)unmap_list(list, two, 2);
    assert_sense(unmap_raw(r, list, HEAD + 2 * DESC - 1), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    /* UNMAP DATA LENGTH that does not reach to the end of the descriptors */
    be16_put(list, HEAD - 2 + 2 * DESC - 1);
    assert_param_field(unmap_raw(r, list, HEAD + 2 * DESC), 0, 7);
    assert_int_equal(r->ios[BIO_UNMAP], 0);
    /* an incomplete last descriptor is ignored */
    size_t len = unmap_list(list, two, 2);
    be16_put(list + 2, 2 * DESC - 1);
    assert_good(unmap_raw(r, list, len));
    assert_int_equal(r->ios[BIO_UNMAP], 1);
    /* the initiator sends less than its CDB says */
    uint8_t cdb[SCSI_CDB_MAX] = { 0x42 };
    be16_put(cdb + 7, HEAD + DESC);
    assert_int_equal(rig_cmd(r, 0, cdb, 16, list, HEAD, 0).kaq & 0xffff, 0x0e03);
    rig_free(r);
}

static void unmap_checks_all_ranges_before_the_first(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    static const struct {
        struct range bad;
        uint32_t info;
    } t[] = { { { BLOCKS, 1 }, BLOCKS },
              { { BLOCKS - 1, 2 }, BLOCKS },
              { { BLOCKS + 1, 0 }, BLOCKS + 1 },
              { { 0, BLOCKS + 1 }, BLOCKS } };
    for (unsigned i = 0; i < 4; i++) {
        const struct range ranges[] = { { 3, 1 }, t[i].bad };
        assert_info(unmap(r, ranges, 2), SENSE_LBA_OUT_OF_RANGE, t[i].info);
    }
    const struct range over = { UINT64_MAX, 2 };
    assert_sense(unmap(r, &over, 1), SENSE_LBA_OUT_OF_RANGE);
    assert_int_equal(r->ios[BIO_UNMAP], 0);
    rig_free(r);
}

static void unmap_limits(void **state)
{
    (void)state;
    struct rig_config cfg = thin;
    cfg.lu.block_count = BLOCK_MAX_UNMAP_BLOCKS + 10;
    struct rig *r = test_rig(&cfg);
    static struct range many[BLOCK_MAX_UNMAP_DESCRIPTORS + 1];

    for (unsigned i = 0; i <= BLOCK_MAX_UNMAP_DESCRIPTORS; i++)
        many[i] = (struct range){ i, 1 };
    assert_good(unmap(r, many, BLOCK_MAX_UNMAP_DESCRIPTORS));
    assert_int_equal(r->ios[BIO_UNMAP], BLOCK_MAX_UNMAP_DESCRIPTORS);
    assert_param_field(unmap(r, many, BLOCK_MAX_UNMAP_DESCRIPTORS + 1), 2, 7);

    const struct range sum[] = { { 0, BLOCK_MAX_UNMAP_BLOCKS - 1 }, { 4, 1 }, { 6, 1 } };
    assert_param_field(unmap(r, sum, 3), HEAD + 2 * DESC + 8, 7);

    /* The most that is allowed is asked of the store in steps: 512 MiB as two. */
    uint8_t list[HEAD + DESC], cdb[SCSI_CDB_MAX] = { 0x42 };
    size_t len = unmap_list(list, &(struct range){ 7, BLOCK_MAX_UNMAP_BLOCKS }, 1);
    be16_put(cdb + 7, (uint16_t)len);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, list, len, 0);
    assert_int_equal(rt->t.bio.off, 7 * 512);
    assert_int_equal(rt->t.bio.len, BLOCK_ZERO_BYTES);
    scsi_task_resume(&rt->t, 0); /* as if it had been done */
    assert_int_equal(rt->t.want, SCSI_WANT_IO);
    assert_int_equal(rt->t.bio.off, 7 * 512 + BLOCK_ZERO_BYTES);
    assert_int_equal(rt->t.bio.len, BLOCK_MAX_UNMAP_BLOCKS * UINT64_C(512) - BLOCK_ZERO_BYTES);
    scsi_task_resume(&rt->t, 0);
    assert_good(rig_end(rt));
    rig_free(r);
}

static void unmap_refuses_anchors_and_thick_units(void **state)
{
    (void)state;
    uint8_t list[HEAD + DESC], cdb[SCSI_CDB_MAX] = { 0x42, 0x01 };
    size_t len = unmap_list(list, &(struct range){ 0, 1 }, 1);
    be16_put(cdb + 7, (uint16_t)len);
    struct rig *r = test_rig(&thin);
    assert_cdb_field(rig_cmd(r, 0, cdb, 16, list, len, 0), 1, 0);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_UNMAP;
    assert_info(unmap(r, &(struct range){ 6, 2 }, 1), SENSE_WRITE_ERROR, 6);
    rig_free(r);
    r = test_rig(&(struct rig_config){ 0 });
    assert_sense(unmap(r, &(struct range){ 0, 1 }, 1), SENSE_INVALID_OPCODE);
    rig_free(r);
}

/* ---- GET LBA STATUS ---- */

static struct rig_result status16(struct rig *r, uint64_t lba, uint32_t alloc)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x9e, 0x12 };
    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, alloc);
    return rig_cmd(r, 0, cdb, 16, NULL, 0, alloc);
}

static void assert_descriptor(const struct rig_result *res, unsigned i, uint64_t lba,
                              uint32_t blocks, unsigned provisioning)
{
    const uint8_t *d = res->in + HEAD + DESC * i;
    assert_true(res->in_len >= HEAD + DESC * (i + 1));
    assert_int_equal(be64_get(d), lba);
    assert_int_equal(be32_get(d + 8), blocks);
    assert_int_equal(d[12], provisioning);
    assert_int_equal(d[13] | d[14] | d[15], 0);
}

static void lba_status_lists_runs(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    memset(r->units[0].mapped + 10, 1, 5);
    memset(r->units[0].mapped + 100, 1, 1);
    struct rig_result res = status16(r, 0, 1024);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + 5 * DESC);
    assert_int_equal(be32_get(res.in), HEAD + 5 * DESC - 4);
    assert_int_equal(be32_get(res.in + 4), 0); /* RTP = 0 */
    assert_descriptor(&res, 0, 0, 10, 1);
    assert_descriptor(&res, 1, 10, 5, 0);
    assert_descriptor(&res, 2, 15, 85, 1);
    assert_descriptor(&res, 3, 100, 1, 0);
    assert_descriptor(&res, 4, 101, BLOCKS - 101, 1);
    /* starts inside a run */
    res = status16(r, 12, 1024);
    assert_good(res);
    assert_descriptor(&res, 0, 12, 3, 0);
    assert_descriptor(&res, 1, 15, 85, 1);
    res = status16(r, BLOCKS - 1, 1024);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + DESC);
    assert_descriptor(&res, 0, BLOCKS - 1, 1, 1);
    rig_free(r);
}

static void lba_status_fits_its_allocation_length(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    for (unsigned b = 0; b < BLOCKS; b += 2)
        r->units[0].mapped[b] = 1;
    static const struct {
        uint32_t alloc, descriptors, sent;
    } t[] = { { 24, 1, 24 }, { 39, 1, 24 }, { 40, 2, 40 }, { 55, 2, 40 },
              { 23, 1, 23 }, { 8, 1, 8 },   { 3, 1, 3 },   { 0, 1, 0 } };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct rig_result res = status16(r, 4, t[i].alloc);
        assert_good(res);
        assert_int_equal(res.in_len, t[i].sent);
        if (t[i].sent >= 4)
            assert_int_equal(be32_get(res.in), HEAD + DESC * t[i].descriptors - 4);
        if (t[i].sent >= 24)
            assert_descriptor(&res, 0, 4, 1, 0);
        if (t[i].sent >= 40)
            assert_descriptor(&res, 1, 5, 1, 1);
    }
    /* and no more than a limit of its own */
    struct rig_result res = status16(r, 0, 1024 * 1024);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + DESC * BLOCK_MAP_DESCRIPTORS_MAX);
    rig_free(r);
}

static void lba_status_refuses(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    assert_info(status16(r, BLOCKS, 24), SENSE_LBA_OUT_OF_RANGE, BLOCKS);
    assert_sense(status16(r, UINT64_C(1) << 63, 24), SENSE_LBA_OUT_OF_RANGE);
    assert_sense(status16(r, UINT64_MAX, 24), SENSE_LBA_OUT_OF_RANGE);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x9e, 0x12 };
    cdb[14] = 0x02; /* REPORT TYPE */
    assert_cdb_field(rig_cmd(r, 0, cdb, 16, NULL, 0, 24), 14, 1);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_MAP_STATUS;
    assert_int_equal(status16(r, 9, 24).status, SCSI_STATUS_CHECK_CONDITION);
    rig_free(r);
}

static void a_thick_unit_is_mapped(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    struct rig_result res = status16(r, 5, 1024);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + DESC);
    assert_descriptor(&res, 0, 5, BLOCKS - 5, 0);
    assert_int_equal(r->ios[BIO_MAP_STATUS], 0);
    /* a descriptor counts to 2^32 - 1 */
    assert_int_equal(scsi_lu_set_block_count(r->units[0].lanes[0], UINT64_C(0x200000003)), 0);
    rig_clear_ua(r);
    res = status16(r, 0, 1024);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + 3 * DESC);
    assert_descriptor(&res, 0, 0, UINT32_MAX, 0);
    assert_descriptor(&res, 1, UINT32_MAX, UINT32_MAX, 0);
    assert_descriptor(&res, 2, UINT64_C(0x1fffffffe), 5, 0);
    rig_free(r);
}

/* What the store says of a run that ends inside a block, or in pieces. */
static void runs_of_the_store_become_blocks(void **state)
{
    (void)state;
    struct rig *r = test_rig(&thin);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x9e, 0x12 };
    be32_put(cdb + 10, 1024);
    static const struct {
        uint64_t run;
        bool mapped;
    } answers[] = {
        { 512, false },          { 3 * 512, false }, /* joined: 4 deallocated */
        { 100, false },                              /* 1 block that is a hole in part: mapped */
        { 2 * 512 + 511, true },                     /* joined with it: 3 mapped */
        { UINT64_MAX, false },                       /* the rest */
    };
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, NULL, 0, 1024);
    static const uint64_t asked[] = { 0, 1, 4, 5, 7 };
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rt->t.want, SCSI_WANT_IO);
        assert_int_equal(rt->t.bio.op, BIO_MAP_STATUS);
        assert_int_equal(rt->t.bio.off, asked[i] * 512);
        assert_int_equal(rt->t.bio.len, (BLOCKS - asked[i]) * 512);
        rt->t.bio.run_len = answers[i].run;
        rt->t.bio.mapped = answers[i].mapped;
        scsi_task_resume(&rt->t, 0);
    }
    struct rig_result res = rig_end(rt);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + 3 * DESC);
    assert_descriptor(&res, 0, 0, 4, 1);
    assert_descriptor(&res, 1, 4, 3, 0);
    assert_descriptor(&res, 2, 7, BLOCKS - 7, 1);

    /* A store that can not tell: mapped. */
    rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 2, cdb, 16, NULL, 0, 1024);
    scsi_task_resume(&rt->t, USAN_ENOTSUP);
    res = rig_end(rt);
    assert_good(res);
    assert_int_equal(res.in_len, HEAD + DESC);
    assert_descriptor(&res, 0, 0, BLOCKS, 0);

    /* One that tells block by block is not asked for ever. */
    rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 3, cdb, 16, NULL, 0, 1024);
    r->units[0].lu->cfg.block_count = 2 * BLOCK_MAP_QUERIES_MAX;
    unsigned asks = 0;
    while (!rig_ended(rt)) {
        rt->t.bio.run_len = 512;
        rt->t.bio.mapped = true;
        scsi_task_resume(&rt->t, 0);
        asks++;
    }
    r->units[0].lu->cfg.block_count = BLOCKS;
    assert_int_equal(asks, BLOCKS); /* the range was fixed at the start */
    assert_good(rig_end(rt));
    rig_free(r);
}

static void queries_are_bounded(void **state)
{
    (void)state;
    struct rig_config cfg = thin;
    cfg.lu.block_count = 3 * BLOCK_MAP_QUERIES_MAX;
    struct rig *r = test_rig(&cfg);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x9e, 0x12 };
    be32_put(cdb + 10, 24);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 3, cdb, 16, NULL, 0, 24);
    unsigned asks = 0;
    while (!rig_ended(rt)) {
        rt->t.bio.run_len = 512;
        rt->t.bio.mapped = true;
        scsi_task_resume(&rt->t, 0);
        asks++;
    }
    assert_int_equal(asks, BLOCK_MAP_QUERIES_MAX);
    struct rig_result res = rig_end(rt);
    assert_good(res);
    assert_descriptor(&res, 0, 0, BLOCK_MAP_QUERIES_MAX, 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmap_deallocates_all_ranges),
        cmocka_unit_test(unmap_of_nothing_is_good),
        cmocka_unit_test(unmap_checks_its_parameter_list),
        cmocka_unit_test(unmap_checks_all_ranges_before_the_first),
        cmocka_unit_test(unmap_limits),
        cmocka_unit_test(unmap_refuses_anchors_and_thick_units),
        cmocka_unit_test(lba_status_lists_runs),
        cmocka_unit_test(lba_status_fits_its_allocation_length),
        cmocka_unit_test(lba_status_refuses),
        cmocka_unit_test(a_thick_unit_is_mapped),
        cmocka_unit_test(runs_of_the_store_become_blocks),
        cmocka_unit_test(queries_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
