/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a copy went: the commands that ask, copies that are aborted or lose a unit, LID4. */
#include "xcopy_list.h"

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
