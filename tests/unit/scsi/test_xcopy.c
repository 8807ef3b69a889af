/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EXTENDED COPY and the commands that ask how it went. */
#include "copy_test.h"

enum { USAGE_HOLD = 0, USAGE_DISCARD = 2, USAGE_NONE = 3 };

/* A LID1 list being built. */
struct xlist {
    uint8_t b[16 + 70 * COPY_CSCD_BYTES + 300 * COPY_SEGMENT_BYTES];
    size_t cscds, segments;
};

static struct xlist list_new(uint8_t id, uint8_t usage)
{
    return (struct xlist){ .b = { id, (uint8_t)(usage << 3) } };
}

static uint8_t *add_cscd(struct xlist *l, const struct rig *r, unsigned unit)
{
    uint8_t *d = l->b + 16 + COPY_CSCD_BYTES * l->cscds++;
    cscd_ident(d, r, unit);
    return d;
}

/* After all CSCDs. */
static uint8_t *add_segment(struct xlist *l, uint16_t src, uint16_t dst, uint16_t blocks,
                            uint64_t src_lba, uint64_t dst_lba)
{
    uint8_t *s = l->b + 16 + COPY_CSCD_BYTES * l->cscds + COPY_SEGMENT_BYTES * l->segments++;
    segment_b2b(s, src, dst, blocks, src_lba, dst_lba);
    return s;
}

static size_t list_len(struct xlist *l)
{
    size_t cscds = l->cscds * COPY_CSCD_BYTES, segments = l->segments * COPY_SEGMENT_BYTES;
    be16_put(l->b + 2, (uint16_t)cscds);
    be32_put(l->b + 8, (uint32_t)segments);
    return 16 + cscds + segments;
}

static struct rig_result run(struct rig *r, struct xlist *l)
{
    return copy_out(r, 0, 0, COPY_OUT_LID1, l->b, list_len(l));
}

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

/* ---- results ---- */

static void status_of_a_copy(void **state)
{
    (void)state;
    struct rig *r = copy_rig(2);
    struct xlist l = list_new(7, USAGE_HOLD);
    add_cscd(&l, r, 0);
    add_segment(&l, 0, 0, 3, 0, 100);
    add_segment(&l, 0, 0, 5, 10, 200);
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255), 2, 7);
    assert_good(run(r, &l));
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 8, 255), 2, 7);
    assert_cdb_field(copy_in(r, 1, 0, COPY_IN_STATUS_LID1, 7, 255), 2, 7); /* not its copy */
    assert_cdb_field(copy_in(r, 0, 1, COPY_IN_STATUS_LID1, 7, 255), 2, 7); /* not there */
    assert_good(copy_in(r, 0, 0, COPY_IN_DATA_LID1, 7, 255));
    struct rig_result res = copy_in(r, 0, 0, COPY_IN_FAILURE_LID1, 7, 255);
    assert_good(res);
    assert_int_equal(be32_get(res.in), 0); /* nothing failed */
    static const uint8_t want[12] = { 0, 0, 0, 8, 1, 0, 2, 0, 0, 0, 0x10, 0 };
    res = copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255);
    assert_good(res);
    assert_int_equal(res.in_len, 12);
    assert_memory_equal(res.in, want, 12);
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255), 2, 7);
    /* not held at all */
    l.b[1] = USAGE_DISCARD << 3;
    assert_good(run(r, &l));
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255), 2, 7);
    rig_free(r);
}

static void results_go_with_the_nexus_and_with_time(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(0, USAGE_HOLD);
    add_cscd(&l, r, 0);
    add_segment(&l, 0, 0, 1, 0, 100);
    for (uint8_t id = 0; id <= COPY_HELD_MAX; id++) { /* one too many: the oldest goes */
        l.b[0] = id;
        assert_good(run(r, &l));
    }
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 0, 255), 2, 7);
    for (uint8_t id = 1; id < 4; id++)
        assert_good(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, id, 255));
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    rig_clear_ua(r);
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 5, 255), 2, 7);
    assert_good(run(r, &l));
    rig_free(r); /* the memory of the last one comes back as the nexus goes */
}

static void status_while_it_runs(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(7, USAGE_HOLD);
    add_cscd(&l, r, 0);
    add_cscd(&l, r, 1);
    add_segment(&l, 0, 1, 3, 0, 100);
    add_segment(&l, 0, 1, 5, 10, 200);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x83 };
    size_t len = list_len(&l);
    be32_put(cdb + 10, (uint32_t)len);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, l.b, len, 0);
    rig_go(rt); /* read, */
    rig_go(rt); /* written, and the next one about to be read */
    assert_false(rig_ended(rt));
    r->stop_at = 0;
    struct rig_result res = copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255);
    assert_good(res);
    assert_int_equal(res.in[4], 0); /* in progress */
    assert_int_equal(be16_get(res.in + 5), 1);
    assert_int_equal(be32_get(res.in + 8), 3 * 512);
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_FAILURE_LID1, 7, 255), 2, 7);
    assert_sense(run(r, &l), SENSE_OPERATION_IN_PROGRESS); /* the same identifier */
    rig_go(rt);
    assert_good(rig_end(rt));
    res = copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255);
    assert_int_equal(res.in[4], 1);
    rig_free(r);
}

static void an_aborted_copy(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct xlist l = list_new(7, USAGE_HOLD);
    add_cscd(&l, r, 0);
    add_cscd(&l, r, 1);
    add_segment(&l, 0, 1, 3, 0, 100);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x83 };
    size_t len = list_len(&l);
    be32_put(cdb + 10, (uint32_t)len);
    for (unsigned ios = 0; ios < 2; ios++) { /* while it reads unit 0, or writes unit 1 */
        r->stop_at = 1u << SCSI_WANT_IO;
        struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, l.b, len, 0);
        for (unsigned i = 0; i < ios; i++)
            rig_go(rt);
        struct rig_task *tm = rig_start_tmf(r, 0, SCSI_TMF_ABORT_TASK, 1);
        rig_go(rt);
        assert_true(rig_ended(rt));
        assert_true(rig_end(rt).aborted);
        assert_int_equal(rig_end(tm).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
        r->stop_at = 0;
        struct rig_result res = copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255);
        assert_good(res);
        assert_int_equal(res.in[4], 2);
        /* both units' sections are free again: exclusive commands run */
        assert_good(rig_cmd_lun(r, 0, 0, CDB(0x16), NULL, 0, 0));
        assert_good(rig_cmd_lun(r, 0, 0, CDB(0x17), NULL, 0, 0));
        assert_good(rig_cmd_lun(r, 0, 1ull << 48, CDB(0x16), NULL, 0, 0));
        assert_good(rig_cmd_lun(r, 0, 1ull << 48, CDB(0x17), NULL, 0, 0));
    }
    rig_free(r);
}

/* A copy of two segments from unit 0 to unit 1, begun by initiator 0 and left after `ios` requests:
 * it reads, writes, reads, writes. */
static struct rig_task *copy_half_way(struct rig *r, unsigned ios)
{
    struct xlist l = list_new(7, USAGE_HOLD);
    add_cscd(&l, r, 0);
    add_cscd(&l, r, 1);
    add_segment(&l, 0, 1, 3, 0, 100);
    add_segment(&l, 0, 1, 3, 0, 200);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x83 };
    size_t len = list_len(&l);
    be32_put(cdb + 10, (uint32_t)len);
    r->lun = 0;
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, l.b, len, 0);
    for (unsigned i = 0; i < ios; i++)
        rig_go(rt);
    assert_int_equal(rt->t.want, SCSI_WANT_IO);
    return rt;
}

/* SAM-6 6.3.3: what the copy manager has under way in the unit that is reset ends; the copy, which
 * another unit does, fails. A piece that comes later is a command from after the reset. */
static void a_unit_of_the_copy_is_reset(void **state)
{
    (void)state;
    for (unsigned ios = 0; ios < 4; ios++) {
        for (unsigned who = 0; who < 2; who++) {
            struct rig *r =
                test_rig(&(struct rig_config){ .units = 2, .initiators = 2, .lanes = 2 });
            test_fill_disk(r);
            struct rig_task *rt = copy_half_way(r, ios);
            bool there = ios % 2; /* it writes to the unit */
            r->lun = 1ull << 48;
            struct rig_task *reset = rig_start_tmf(r, who, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
            assert_int_equal(rig_ended(reset), !there); /* not before the write has ended */
            r->stop_at = 0;
            rig_go(rt);
            struct rig_result res = rig_end(rt);
            if (there)
                assert_info(res, SENSE_THIRD_PARTY_DEVICE_FAILURE, 3 * 512);
            else
                assert_good(res);
            assert_int_equal(rig_end(reset).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
            /* unit 0 was not reset, unit 1 was */
            r->lun = 0;
            assert_int_equal(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 7, 255).in[4], there ? 2 : 1);
            assert_int_equal(rig_cmd_lun(r, 0, 1ull << 48, CDB(0), NULL, 0, 0).kaq,
                             SCSI_KAQ(6, 0x29, 3));
            assert_int_equal(copied(r, 1, 200, 0, 3), ios != 1);
            rig_free(r);
        }
    }
}

/* The other unit is taken from the nexus: the copy fails, whatever it does just then. */
static void a_unit_of_the_copy_goes_away(void **state)
{
    (void)state;
    for (unsigned ios = 0; ios < 4; ios++) {
        struct rig *r = copy_rig(2);
        struct rig_task *rt = copy_half_way(r, ios);
        scsi_nexus_abort(r->nexus[0], 1);
        rig_pump(r);
        assert_false(rig_ended(rt));
        r->stop_at = 0;
        if (ios % 2 == 0) /* it reads unit 0, and is nowhere else */
            scsi_nexus_unmap(r->nexus[0], 1);
        rig_go(rt);
        assert_info(rig_end(rt),
                    ios % 2 ? SENSE_THIRD_PARTY_DEVICE_FAILURE : SENSE_COPY_TARGET_NOT_REACHABLE,
                    3 * 512);
        if (ios % 2)
            scsi_nexus_unmap(r->nexus[0], 1);
        rig_pump(r);
        rig_clear_ua(r);
        assert_good(rig_cmd(r, 0, CDB(0), NULL, 0, 0));
        assert_int_equal(rig_cmd_lun(r, 0, 1ull << 48, CDB(0), NULL, 0, 0).kaq,
                         SENSE_LUN_NOT_SUPPORTED);
        rig_free(r);
    }
}

/* The same while it waits to be let into that unit, which somebody has for himself. */
static void a_unit_of_the_copy_goes_away_closed(void **state)
{
    (void)state;
    struct rig *r = copy_rig(2);
    struct rig_task *rt = copy_half_way(r, 0);
    r->lun = 1ull << 48;
    r->stop_at = 1u << SCSI_WANT_IO | 1u << SCSI_WANT_SAVE;
    /* PERSISTENT RESERVE OUT with APTPL = 1 holds the gate while it is saved */
    uint8_t list[24] = { [15] = 1, [20] = 1 };
    struct rig_task *alone = rig_start(r, 1, SCSI_ATTR_SIMPLE, 2, CDB(0x5f, [8] = 24), list, 24, 0);
    assert_int_equal(alone->t.want, SCSI_WANT_SAVE);
    rig_go(rt); /* it has read */
    assert_int_equal(rt->t.want, SCSI_WANT_WAIT);
    scsi_nexus_abort(r->nexus[0], 1);
    rig_pump(r);
    assert_int_equal(rt->t.want, SCSI_DONE);
    assert_info(rig_end(rt), SENSE_COPY_TARGET_NOT_REACHABLE, 3 * 512);
    scsi_nexus_unmap(r->nexus[0], 1);
    r->stop_at = 0;
    rig_go(alone);
    assert_good(rig_end(alone));
    rig_pump(r);
    r->lun = 0;
    rig_free(r);
}

/* Two copies cross, with an exclusive command waiting on each unit: nobody waits for ever. */
static void crossing_copies(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .units = 2, .initiators = 2, .lanes = 2 });
    test_fill_disk(r);
    struct rig_task *copy[2];
    for (unsigned i = 0; i < 2; i++) {
        struct xlist l = list_new(1, USAGE_DISCARD);
        add_cscd(&l, r, 0);
        add_cscd(&l, r, 1);
        add_segment(&l, (uint16_t)i, (uint16_t)!i, 100, i ? 500 : 0, 1000);
        uint8_t cdb[SCSI_CDB_MAX] = { 0x83 };
        size_t len = list_len(&l);
        be32_put(cdb + 10, (uint32_t)len);
        r->stop_at = 1u << SCSI_WANT_IO;
        copy[i] = rig_start(r, i, SCSI_ATTR_SIMPLE, 1, cdb, 16, l.b, len, 0);
        assert_int_equal(copy[i]->t.want, SCSI_WANT_IO);
    }
    r->stop_at = 0;
    uint8_t list[24] = { 0 };
    be64_put(list + 8, KEY_A);
    /* closes the gate of unit 0, waits for the copy that reads there */
    struct rig_task *pr =
        rig_start(r, 1, SCSI_ATTR_SIMPLE, 2, CDB(0x5f, PR_OUT_REGISTER, [8] = 24), list, 24, 0);
    assert_false(rig_ended(pr));
    rig_go(copy[1]); /* would write unit 0, and has to wait */
    assert_int_equal(copy[1]->t.want, SCSI_WANT_WAIT);
    rig_go(copy[0]);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(rig_ended(copy[i]));
        assert_good(rig_end(copy[i]));
    }
    assert_true(rig_ended(pr));
    assert_good(rig_end(pr));
    assert_true(copied(r, 1, 1000, 0, 100));
    rig_free(r);
}

static void operating_parameters(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct rig_result res = copy_in(r, 0, 0, COPY_IN_OPERATING_PARAMETERS, 0, 1024);
    assert_good(res);
    assert_int_equal(res.in_len, 46);
    assert_int_equal(be32_get(res.in), 42);
    assert_int_equal(res.in[4], 1);
    assert_int_equal(be16_get(res.in + 8), COPY_CSCD_MAX);
    assert_int_equal(be16_get(res.in + 10), COPY_SEGMENT_MAX);
    assert_int_equal(be32_get(res.in + 12), 64 * 32 + 256 * 28);
    assert_int_equal(be32_get(res.in + 16), 0xffff * 512);
    assert_true(test_all(res.in + 20, 0, 14));
    assert_int_equal(be16_get(res.in + 34), COPY_HELD_MAX);
    assert_int_equal(res.in[36], COPY_HELD_MAX);
    assert_int_equal(res.in[43], 2);
    assert_int_equal(res.in[44], 0x02);
    assert_int_equal(res.in[45], 0xe4);
    rig_free(r);
}

/* ---- LID4 ---- */

static struct rig_result run_lid4(struct rig *r, uint32_t id, uint8_t *ret_list, size_t *ret_len)
{
    uint8_t l[48 + COPY_CSCD_BYTES + COPY_SEGMENT_BYTES] = { 1 };
    be16_put(l + 2, 0x20);
    l[16] = 0xff;
    be32_put(l + 20, id);
    be16_put(l + 42, COPY_CSCD_BYTES);
    be16_put(l + 44, COPY_SEGMENT_BYTES);
    cscd_ident(l + 48, r, 0);
    segment_b2b(l + 48 + COPY_CSCD_BYTES, 0, 0, 10, 0, 1000);
    memcpy(ret_list, l, sizeof(l));
    *ret_len = sizeof(l);
    return copy_out(r, 0, 0, COPY_OUT_LID4, l, sizeof(l));
}

static void lid4(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t l[256];
    size_t len;
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID4, 0x01020304, 255), 2, 7);
    assert_good(run_lid4(r, 0x01020304, l, &len));
    assert_true(copied(r, 0, 1000, 0, 10));
    struct rig_result res = copy_in(r, 0, 0, COPY_IN_STATUS_LID4, 0x01020304, 255);
    assert_good(res);
    assert_int_equal(res.in_len, 32);
    assert_int_equal(be32_get(res.in), 28);
    assert_int_equal(res.in[4], COPY_OUT_LID4);
    assert_int_equal(res.in[5], 1);
    assert_int_equal(be16_get(res.in + 6), 1);
    assert_int_equal(res.in[15], 0);
    assert_int_equal(be64_get(res.in + 16), 5120);
    assert_int_equal(be16_get(res.in + 24), 1);
    /* identifiers of one byte are others */
    assert_cdb_field(copy_in(r, 0, 0, COPY_IN_STATUS_LID1, 0x04, 255), 2, 7);
    l[0] = 0;
    assert_param_field(copy_out(r, 0, 0, COPY_OUT_LID4, l, len), 0, 7);
    l[0] = 1;
    l[16] = 0xe4;
    assert_param_field(copy_out(r, 0, 0, COPY_OUT_LID4, l, len), 16, 7);
    assert_sense(copy_out(r, 0, 0, COPY_OUT_LID4, l, 47), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    rig_free(r);
}

static void copy_operation_abort(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t l[256], cdb[SCSI_CDB_MAX] = { 0x83, COPY_OUT_LID4 };
    size_t len;
    assert_good(run_lid4(r, 5, l, &len));
    be32_put(cdb + 10, (uint32_t)len);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, l, len, 0);
    r->stop_at = 0;
    assert_cdb_field(rig_cmd(r, 0, CDB(0x83, COPY_OUT_ABORT, 0, 0, 0, 6), NULL, 0, 0), 2, 7);
    assert_good(rig_cmd(r, 0, CDB(0x83, COPY_OUT_ABORT, 0, 0, 0, 5), NULL, 0, 0));
    rig_go(rt);
    assert_sense(rig_end(rt), SENSE_COPY_ABORTED);
    struct rig_result res = copy_in(r, 0, 0, COPY_IN_STATUS_LID4, 5, 255);
    assert_int_equal(res.in[5], 0x60); /* terminated */
    rig_free(r);
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
        cmocka_unit_test(status_of_a_copy),
        cmocka_unit_test(results_go_with_the_nexus_and_with_time),
        cmocka_unit_test(status_while_it_runs),
        cmocka_unit_test(an_aborted_copy),
        cmocka_unit_test(a_unit_of_the_copy_is_reset),
        cmocka_unit_test(a_unit_of_the_copy_goes_away),
        cmocka_unit_test(a_unit_of_the_copy_goes_away_closed),
        cmocka_unit_test(crossing_copies),
        cmocka_unit_test(operating_parameters),
        cmocka_unit_test(lid4),
        cmocka_unit_test(copy_operation_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
