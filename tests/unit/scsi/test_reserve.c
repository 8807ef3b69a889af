/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RESERVE and RELEASE (6) and (10) (SPC-2 5.5.1), and how they get on with persistent ones. */
#include "pr_test.h"

static struct rig_result reserve(struct rig *r, unsigned who, bool ten)
{
    return ten ? rig_cmd(r, who, CDB(0x56), NULL, 0, 0) : rig_cmd(r, who, CDB(0x16), NULL, 0, 0);
}

static struct rig_result release(struct rig *r, unsigned who, bool ten)
{
    return ten ? rig_cmd(r, who, CDB(0x57), NULL, 0, 0) : rig_cmd(r, who, CDB(0x17), NULL, 0, 0);
}

static struct rig_result read_one(struct rig *r, unsigned who)
{
    return rig_cmd(r, who, CDB(0x28, [8] = 1), NULL, 0, 512);
}

static struct rig *two(void)
{
    return test_rig(&(struct rig_config){ .initiators = 2, .lanes = 2 });
}

static void one_has_it(void **state)
{
    (void)state;
    for (unsigned ten = 0; ten < 2; ten++) {
        struct rig *r = two();
        assert_good(reserve(r, 0, ten));
        assert_good(reserve(r, 0, !ten));
        assert_conflict(reserve(r, 1, ten));
        assert_conflict(read_one(r, 1));
        assert_conflict(tur(r, 1));
        assert_good(read_one(r, 0));
        assert_good(rig_cmd(r, 1, CDB(0x12, 0, 0, 0, 36), NULL, 0, 36));    /* INQUIRY */
        assert_good(rig_cmd(r, 1, CDB(0xa0, [9] = 64), NULL, 0, 64));       /* REPORT LUNS */
        assert_good(rig_cmd(r, 1, CDB(0x03, 0, 0, 0, 18), NULL, 0, 18));    /* REQUEST SENSE */
        assert_good(rig_cmd(r, 1, CDB(0xa3, 0x0a, [9] = 64), NULL, 0, 64)); /* RTPG */
        /* RELEASE by another one: GOOD, and without effect */
        assert_good(release(r, 1, ten));
        assert_conflict(read_one(r, 1));
        assert_good(release(r, 0, !ten));
        assert_good(read_one(r, 1));
        assert_good(release(r, 0, ten)); /* nothing to release */
        assert_good(reserve(r, 1, ten));
        assert_conflict(read_one(r, 0));
        assert_no_ua(r, 1);
        rig_free(r);
    }
}

static void it_goes_with_the_nexus(void **state)
{
    (void)state;
    struct rig *r = two();
    assert_good(reserve(r, 0, false));
    rig_drop_initiator(r, 0);
    assert_good(read_one(r, 1));
    rig_free(r);
}

static void it_goes_with_a_reset(void **state)
{
    (void)state;
    static const struct {
        enum scsi_tmf tmf;
        unsigned by;
    } cases[] = { { SCSI_TMF_LOGICAL_UNIT_RESET, 0 },
                  { SCSI_TMF_LOGICAL_UNIT_RESET, 1 },
                  { SCSI_TMF_I_T_NEXUS_RESET, 0 } };
    for (unsigned i = 0; i < 3; i++) {
        struct rig *r = two();
        assert_good(reserve(r, 0, false));
        assert_int_equal(rig_tmf(r, cases[i].by, cases[i].tmf, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
        rig_clear_ua(r);
        assert_good(read_one(r, 1));
        rig_free(r);
    }
    /* a reset of the other nexus is not meant */
    struct rig *r = two();
    assert_good(reserve(r, 0, false));
    assert_int_equal(rig_tmf(r, 1, SCSI_TMF_I_T_NEXUS_RESET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    (void)tur(r, 1);
    assert_conflict(tur(r, 1));
    rig_free(r);
}

/* Third-party and extent reservations do not exist here. */
static void kinds_that_do_not_exist(void **state)
{
    (void)state;
    struct rig *r = two();
    assert_cdb_field(rig_cmd(r, 0, CDB(0x16, 0x10), NULL, 0, 0), 1, 4);
    assert_cdb_field(rig_cmd(r, 0, CDB(0x16, 0x01), NULL, 0, 0), 1, 0);
    assert_cdb_field(rig_cmd(r, 0, CDB(0x56, 0x10), NULL, 0, 0), 1, 4);
    assert_cdb_field(rig_cmd(r, 0, CDB(0x57, 0x02), NULL, 0, 0), 1, 1);
    assert_good(read_one(r, 1));
    rig_free(r);
}

/* SPC-2 5.5.1: the two kinds exclude each other. */
static void persistent_commands_conflict_with_it(void **state)
{
    (void)state;
    struct rig *r = two();
    assert_good(reserve(r, 0, false));
    for (unsigned who = 0; who < 2; who++) {
        for (uint8_t sa = 0; sa < 4; sa++)
            assert_conflict(pr_in(r, who, sa, 255));
        assert_conflict(pr_register(r, who, 0, KEY_A));
    }
    assert_good(release(r, 0, false));
    assert_good(pr_register(r, 0, 0, KEY_A));
    rig_free(r);
}

static void it_conflicts_with_registrations(void **state)
{
    (void)state;
    struct rig *r = two();
    assert_good(pr_register(r, 0, 0, KEY_A));
    for (unsigned who = 0; who < 2; who++) {
        assert_conflict(reserve(r, who, who));
        assert_conflict(release(r, who, who));
    }
    assert_good(pr_register(r, 0, KEY_A, 0));
    assert_good(reserve(r, 1, false));
    rig_free(r);
}

/* CRH = 1: GOOD without effect for who passes the persistent reservation anyway. */
static void compatible_handling(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        bool shared = scsi_pr_type_shared(pr_types[i]);
        assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
        for (unsigned ten = 0; ten < 2; ten++) {
            assert_good(reserve(r, 0, ten));
            assert_good(release(r, 0, ten));
            assert_int_equal(reserve(r, 1, ten).status,
                             shared ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
            assert_int_equal(release(r, 1, ten).status,
                             shared ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
            assert_conflict(reserve(r, 2, ten));
            assert_conflict(release(r, 2, ten));
        }
        assert_reserved(r, pr_types[i], scsi_pr_type_all(pr_types[i]) ? 0 : KEY_A);
        assert_null(r->units[0].lu->reserved_by);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_has_it),
        cmocka_unit_test(it_goes_with_the_nexus),
        cmocka_unit_test(it_goes_with_a_reset),
        cmocka_unit_test(kinds_that_do_not_exist),
        cmocka_unit_test(persistent_commands_conflict_with_it),
        cmocka_unit_test(it_conflicts_with_registrations),
        cmocka_unit_test(compatible_handling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
