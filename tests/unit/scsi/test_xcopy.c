/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EXTENDED COPY: what it copies, and what it refuses. */
#include "xcopy_list.h"

/* ---- content ---- */

static void within_a_unit(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(1, USAGE_NONE);
    l.b[0] = 0;
    memset(l.b + 4, 0xee, 4); /* reserved fields are not looked at */
    uint8_t *d = add_cscd(&l, r, 0);
    memset(d + 24, 0xee, 4);
    d[1] = 0xc0; /* LU ID TYPE: SPC-4 has no use for it in this descriptor */
    add_segment(&l, 0, 0, 100, 3, 1948);
    assert_good(run(r, &l));
    assert_true(copied(r, 0, 1948, 3, 100));
    assert_true(copied(r, 0, 0, 0, 1948));
    assert_int_equal(r->last_flags & BIO_F_FUA, BIO_F_FUA); /* no write cache */
    rig_free(r);
}

static void between_units(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(1, USAGE_DISCARD);
    add_cscd(&l, r, 1);
    add_cscd(&l, r, 0);
    add_segment(&l, 1, 0, 10, 5, 100);
    add_segment(&l, 1, 0, 0, 5, 100); /* nothing: no error */
    add_segment(&l, COPY_CSCD_SELF, 0, 20, 40, 200);
    uint8_t *s = add_segment(&l, 1, 0, 7, 2041, 2041);
    s[1] = 0x02; /* DC: in blocks of the destination */
    assert_good(run(r, &l));
    assert_true(copied(r, 1, 100, 5, 10));
    assert_true(copied(r, 1, 200, 40, 20));
    assert_true(copied(r, 1, 2041, 2041, 7));
    assert_true(test_all(r->units[1].disk, 0, 100 * 512));
    assert_true(test_all(r->units[1].disk + 110 * 512, 0, 90 * 512));
    /* addressed to a third place: the command may go to either unit */
    struct xlist back = list_new(2, USAGE_HOLD);
    add_cscd(&back, r, 1);
    add_cscd(&back, r, 0);
    add_segment(&back, 0, 1, 10, 100, 0);
    assert_good(copy_out(r, 0, 1, COPY_OUT_LID1, back.b, list_len(&back)));
    assert_true(copied(r, 0, 0, 5, 10));
    rig_free(r);
}

/* More than one piece of t->buf, in both directions, over itself. */
static void overlapping_ranges_move_whole(void **state)
{
    (void)state;
    static const struct {
        uint64_t from, to;
    } moves[] = { { 100, 101 }, { 101, 100 }, { 0, 2500 }, { 2500, 0 }, { 77, 77 } };
    enum { BLOCKS = 5000 };
    for (unsigned i = 0; i < 5; i++) {
        struct rig *r = test_rig(&(struct rig_config){ .lu.block_count = 8192 });
        test_fill_disk(r);
        struct xlist l = list_new(1, USAGE_DISCARD);
        add_cscd(&l, r, 0);
        add_segment(&l, 0, 0, BLOCKS, moves[i].from, moves[i].to);
        assert_good(run(r, &l));
        assert_true(copied(r, 0, moves[i].to, moves[i].from, BLOCKS));
        assert_int_equal(r->ios[BIO_READ], 3); /* 5000 blocks in pieces of 2040 */
        rig_free(r);
    }
}

/* DISK BLOCK LENGTH of the descriptor has to be what the unit has, or not stated. */
static void block_lengths(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(1, USAGE_DISCARD);
    be24_put(add_cscd(&l, r, 0) + 29, 4096);
    add_segment(&l, 0, 0, 1, 0, 1);
    assert_sense(run(r, &l), SENSE_COPY_TARGET_WRONG_TYPE);
    be24_put(l.b + 16 + 29, 0);
    assert_good(run(r, &l));
    assert_true(copied(r, 0, 1, 0, 1));
    rig_free(r);
}

/* ---- refusals ---- */

static void lengths(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(1, USAGE_HOLD);
    add_cscd(&l, r, 0);
    add_segment(&l, 0, 0, 10, 0, 100);
    size_t len = list_len(&l);
    assert_good(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, 0));
    for (size_t cut = 1; cut < len; cut++)
        assert_sense(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, cut), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_good(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, len + 40)); /* more than it says */
    be16_put(l.b + 2, 31);
    assert_sense(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    (void)list_len(&l);
    be32_put(l.b + 8, 27);
    assert_sense(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    (void)list_len(&l);
    be32_put(l.b + 8, UINT32_MAX);
    assert_sense(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    (void)list_len(&l);
    be32_put(l.b + 12, 8);
    assert_sense(copy_out(r, 0, 0, COPY_OUT_LID1, l.b, len + 8), SENSE_INLINE_DATA_LENGTH_EXCEEDED);
    rig_free(r);
}

static void counts(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(1, USAGE_DISCARD);
    for (unsigned i = 0; i < COPY_CSCD_MAX; i++)
        add_cscd(&l, r, i % 2);
    for (unsigned i = 0; i < COPY_SEGMENT_MAX; i++)
        add_segment(&l, 0, 63, 1, i, 1000 + i);
    assert_good(run(r, &l)); /* the most there may be */
    assert_true(copied(r, 1, 1000, 0, COPY_SEGMENT_MAX));

    l = list_new(1, USAGE_DISCARD);
    for (unsigned i = 0; i <= COPY_CSCD_MAX; i++)
        add_cscd(&l, r, 0);
    add_segment(&l, 0, 0, 1, 0, 1);
    assert_sense(run(r, &l), SENSE_TOO_MANY_TARGET_DESCRIPTORS);
    l = list_new(1, USAGE_DISCARD);
    add_cscd(&l, r, 0);
    for (unsigned i = 0; i <= COPY_SEGMENT_MAX; i++)
        add_segment(&l, 0, 0, 1, 0, 1);
    assert_sense(run(r, &l), SENSE_TOO_MANY_SEGMENT_DESCRIPTORS);
    l = list_new(1, USAGE_DISCARD);
    for (unsigned i = 0; i <= COPY_CSCD_MAX; i++)
        add_cscd(&l, r, 0);
    for (unsigned i = 0; i <= COPY_SEGMENT_MAX; i++)
        add_segment(&l, 0, 0, 1, 0, 1);
    assert_sense(run(r, &l), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    rig_free(r);
}

static void descriptors(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    static const struct {
        unsigned cscd_at; /* 32 and more: in the segment */
        uint8_t value;
        uint32_t kaq;
    } cases[] = {
        { 0, 0xe0, SENSE_UNSUPPORTED_TARGET_DESCRIPTOR },
        { 0, 0x02, SENSE_UNSUPPORTED_TARGET_DESCRIPTOR },
        { 1, 0x20, SENSE_COPY_TARGET_NOT_REACHABLE }, /* NUL */
        { 1, 0x01, SENSE_COPY_TARGET_WRONG_TYPE },    /* a tape */
        { 4, 2, SENSE_COPY_TARGET_NOT_REACHABLE },    /* code set */
        { 5, 0x13, SENSE_COPY_TARGET_NOT_REACHABLE }, /* association: a target port */
        { 7, 21, SENSE_COPY_TARGET_NOT_REACHABLE },
        { 7, 15, SENSE_COPY_TARGET_NOT_REACHABLE },
        { 10, 0x99, SENSE_COPY_TARGET_NOT_REACHABLE }, /* another designator */
        { 32, 0x03, SENSE_UNSUPPORTED_SEGMENT_DESCRIPTOR },
        { 32, 0xe4, SENSE_UNSUPPORTED_SEGMENT_DESCRIPTOR },
        { 35, 0x17, SENSE_INVALID_FIELD_IN_PARAMETER_LIST },
        { 37, 1, SENSE_COPY_TARGET_NOT_REACHABLE }, /* CSCD 1 */
        { 39, 1, SENSE_COPY_TARGET_NOT_REACHABLE },
        { 38, 0xff, SENSE_COPY_TARGET_NOT_REACHABLE },
        { 44, 0xff, SENSE_COPY_ABORTED }, /* LBAs past the end */
        { 50, 0x08, SENSE_COPY_ABORTED },
        { 52, 0xff, SENSE_COPY_ABORTED },
        { 58, 0x08, SENSE_COPY_ABORTED },
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xlist l = list_new(1, USAGE_HOLD);
        add_cscd(&l, r, 0);
        add_segment(&l, 0, 0, 10, 0, 100);
        assert_int_not_equal(l.b[16 + cases[i].cscd_at], cases[i].value);
        l.b[16 + cases[i].cscd_at] = cases[i].value;
        assert_sense(run(r, &l), cases[i].kaq);
    }
    assert_true(copied(r, 0, 0, 0, 2048));
    rig_free(r);
}

static void past_the_end_by_one(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    static const struct {
        uint64_t src, dst;
        bool good;
    } cases[] = { { 2038, 0, true }, { 2039, 0, false }, { 0, 2038, true }, { 0, 2039, false } };
    for (unsigned i = 0; i < 4; i++) {
        struct xlist l = list_new(1, USAGE_DISCARD);
        add_cscd(&l, r, 0);
        add_segment(&l, 0, 0, 10, cases[i].src, cases[i].dst);
        struct rig_result res = run(r, &l);
        if (cases[i].good)
            assert_good(res);
        else
            assert_info(res, SENSE_COPY_ABORTED, 10 * 512); /* the residual */
    }
    rig_free(r);
}

static void list_identifiers(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(9, 1);
    add_cscd(&l, r, 0);
    add_segment(&l, 0, 0, 1, 0, 100);
    assert_param_field(run(r, &l), 1, 4); /* LIST ID USAGE 01b */
    l.b[1] = USAGE_NONE << 3;
    assert_param_field(run(r, &l), 0, 7); /* none, but 9 */
    rig_free(r);
}

/* ---- rights on the other unit ---- */

static void rights(void **state)
{
    (void)state;
    struct rig *r = copy_rig(2);
    struct xlist l = list_new(1, USAGE_DISCARD);
    add_cscd(&l, r, 0);
    add_cscd(&l, r, 1);
    add_segment(&l, 0, 1, 10, 0, 0);
    const uint64_t lun1 = 1ull << 48;
    uint8_t list[24] = { 0 };
    be64_put(list + 8, KEY_B);
    /* somebody else's write exclusive reservation on the destination */
    assert_good(rig_cmd_lun(r, 1, lun1, CDB(0x5f, PR_OUT_REGISTER, [8] = 24), list, 24, 0));
    be64_put(list, KEY_B);
    be64_put(list + 8, 0);
    assert_good(
        rig_cmd_lun(r, 1, lun1, CDB(0x5f, PR_OUT_RESERVE, SCSI_PR_WE, [8] = 24), list, 24, 0));
    assert_sense(run(r, &l), SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_true(test_all(r->units[1].disk, 0, 4096));
    /* reading from there is allowed */
    struct xlist back = list_new(1, USAGE_DISCARD);
    add_cscd(&back, r, 1);
    add_cscd(&back, r, 0);
    add_segment(&back, 0, 1, 1, 0, 500);
    assert_good(run(r, &back));
    assert_good(rig_cmd_lun(r, 1, lun1, CDB(0x5f, PR_OUT_CLEAR, 0, [8] = 24), list, 24, 0));
    assert_good(rig_cmd_lun(r, 1, lun1, CDB(0x16), NULL, 0, 0)); /* RESERVE(6) */
    assert_sense(run(r, &l), SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_sense(run(r, &back), SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_good(rig_cmd_lun(r, 1, lun1, CDB(0x17), NULL, 0, 0));
    assert_good(run(r, &l));
    /* the addressed unit conflicts as for any command */
    assert_good(rig_cmd(r, 1, CDB(0x16), NULL, 0, 0));
    assert_conflict(run(r, &l));
    rig_free(r);
}

static void failures_of_the_store(void **state)
{
    (void)state;
    static const enum bio_op ops[] = { BIO_READ, BIO_WRITE };
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = copy_rig(1);
        struct xlist l = list_new(7, USAGE_HOLD);
        add_cscd(&l, r, 0);
        add_segment(&l, 0, 0, 3, 0, 100);
        add_segment(&l, 0, 0, 5, 10, 200);
        r->io_err = USAN_EIO;
        r->io_err_op = ops[i];
        assert_info(run(r, &l), SENSE_THIRD_PARTY_DEVICE_FAILURE, 3 * 512);
        struct rig_result res = copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255);
        assert_good(res);
        assert_int_equal(res.in_len, 12);
        assert_int_equal(be32_get(res.in), 8);
        assert_int_equal(res.in[4], 2); /* completed with errors */
        assert_int_equal(be16_get(res.in + 5), 0);
        assert_int_equal(be32_get(res.in + 8), 0);
        /* told once; what failed can still be asked for, once */
        assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255), 2, 7);
        res = copy_in(r, 0, 0, COPY_IN_FAILURE_LID1, 7, 255);
        assert_good(res);
        assert_int_equal(res.in[56], SCSI_STATUS_CHECK_CONDITION);
        assert_int_equal(be16_get(res.in + 58), 18);
        assert_int_equal(be32_get(res.in), 56 + 18);
        assert_int_equal(res.in_len, 60 + 18);
        assert_int_equal(res.in[60], 0xf0);
        assert_int_equal(res.in[62], SENSE_KEY_COPY_ABORTED);
        assert_int_equal(be16_get(res.in + 60 + 12), 0x0d01);
        assert_cdb_field(copy_in(r, 0, 0, COPY_IN_FAILURE_LID1, 7, 255), 2, 7);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_a_unit),
        cmocka_unit_test(between_units),
        cmocka_unit_test(overlapping_ranges_move_whole),
        cmocka_unit_test(block_lengths),
        cmocka_unit_test(lengths),
        cmocka_unit_test(counts),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(past_the_end_by_one),
        cmocka_unit_test(list_identifiers),
        cmocka_unit_test(rights),
        cmocka_unit_test(failures_of_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
