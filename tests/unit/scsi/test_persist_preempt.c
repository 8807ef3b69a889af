/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CLEAR, PREEMPT, PREEMPT AND ABORT (SPC-6 5.14.11.4 to 5.14.11.6). */
#include "pr_test.h"

static void clearing(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= PR_TYPES; i++) {
        struct rig *r = pr_rig();
        if (i < PR_TYPES)
            assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
        assert_conflict(pr_out(r, 2, PR_OUT_CLEAR, 0, 0, 0, 0));
        assert_conflict(pr_out(r, 1, PR_OUT_CLEAR, 0, KEY_A, 0, 0));
        /* any registrant may, holder or not; scope and type are ignored */
        assert_good(pr_out(r, 1, PR_OUT_CLEAR, 0xff, KEY_B, 0, 0));
        assert_reserved(r, 0, 0);
        assert_int_equal(pr_key_count(r), 0);
        assert_int_equal(pr_generation(r), 3);
        assert_ua(r, 0, UA_RESERVATIONS_PREEMPTED);
        assert_no_ua(r, 1);
        assert_no_ua(r, 2);
        rig_free(r);
    }
}

/* No reservation: PREEMPT takes registrations away, whatever type it names. */
static void preempting_a_registration(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_conflict(pr_preempt(r, 1, SCSI_PR_EA, KEY_B, KEY_C)); /* nobody has that key */
    assert_param_field(pr_preempt(r, 1, SCSI_PR_EA, KEY_B, 0), 8, 7);
    assert_conflict(pr_preempt(r, 1, SCSI_PR_EA, KEY_A, KEY_A));
    assert_conflict(pr_preempt(r, 2, SCSI_PR_EA, 0, KEY_A));
    assert_int_equal(pr_generation(r), 2);
    assert_good(pr_preempt(r, 1, 0xff, KEY_B, KEY_A));
    assert_int_equal(pr_generation(r), 3);
    assert_reserved(r, 0, 0);
    assert_false(pr_has_key(r, KEY_A));
    assert_true(pr_has_key(r, KEY_B));
    assert_ua(r, 0, UA_REGISTRATIONS_PREEMPTED);
    assert_no_ua(r, 1);
    rig_free(r);
}

static void preempting_itself(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_preempt(r, 1, SCSI_PR_EA, KEY_B, KEY_B));
    assert_int_equal(pr_key_count(r), 1);
    assert_false(pr_has_key(r, KEY_B));
    assert_no_ua(r, 0);
    assert_no_ua(r, 1);
    rig_free(r);
}

/* Every type taken over by every type. */
static void preempting_the_reservation(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        for (unsigned j = 0; j < PR_TYPES; j++) {
            struct rig *r = pr_rig();
            bool all = scsi_pr_type_all(pr_types[i]);
            assert_good(pr_register(r, 2, 0, KEY_C));
            assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
            assert_good(pr_preempt(r, 1, pr_types[j], KEY_B, all ? 0 : KEY_A));
            assert_reserved(r, pr_types[j], scsi_pr_type_all(pr_types[j]) ? 0 : KEY_B);
            assert_int_equal(pr_generation(r), 4);
            assert_false(pr_has_key(r, KEY_A));
            assert_ua(r, 0, UA_REGISTRATIONS_PREEMPTED);
            assert_no_ua(r, 1);
            if (all) { /* everybody but the sender went */
                assert_int_equal(pr_key_count(r), 1);
                assert_ua(r, 2, UA_REGISTRATIONS_PREEMPTED);
            } else {
                assert_int_equal(pr_key_count(r), 2);
                if (i != j)
                    assert_ua(r, 2, UA_RESERVATIONS_RELEASED);
                assert_no_ua(r, 2);
            }
            assert_conflict(pr_reserve(r, 0, KEY_A, pr_types[j]));
            rig_free(r);
        }
    }
}

static void preempting_needs_a_type_only_to_reserve(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_cdb_field(pr_preempt(r, 1, 2, KEY_B, KEY_A), 2, 3);
    assert_cdb_field(pr_preempt(r, 1, 0x10 | SCSI_PR_EA, KEY_B, KEY_A), 2, 7);
    assert_reserved(r, SCSI_PR_EA, KEY_A);
    assert_int_equal(pr_key_count(r), 2);
    rig_free(r);
}

/* A key that is not the holder's: registrations go, the reservation stays. */
static void preempting_others_beside_the_holder(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        bool all = scsi_pr_type_all(pr_types[i]);
        assert_good(pr_register(r, 2, 0, KEY_C));
        assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
        assert_good(pr_preempt(r, 1, SCSI_PR_WE, KEY_B, KEY_C));
        assert_reserved(r, pr_types[i], all ? 0 : KEY_A);
        assert_int_equal(pr_key_count(r), 2);
        assert_ua(r, 2, UA_REGISTRATIONS_PREEMPTED);
        assert_no_ua(r, 0);
        assert_conflict(pr_preempt(r, 1, SCSI_PR_WE, KEY_B, KEY_C));
        if (all) { /* the last registrations take it along */
            assert_good(pr_preempt(r, 1, SCSI_PR_WE, KEY_B, KEY_A));
            assert_reserved(r, pr_types[i], 0);
            assert_good(pr_preempt(r, 1, SCSI_PR_WE, KEY_B, KEY_B));
            assert_reserved(r, 0, 0);
        } else {
            assert_param_field(pr_preempt(r, 1, SCSI_PR_WE, KEY_B, 0), 8, 7);
        }
        rig_free(r);
    }
}

/* One step from type to type, without a moment of no reservation (SPC-6 5.14.11.4.5). */
static void the_holder_changes_the_type(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_out(r, 2, PR_OUT_REGISTER_AND_IGNORE, 0, 0, KEY_A, 0)); /* the holder's key */
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_good(pr_preempt(r, 0, SCSI_PR_WE_RO, KEY_A, KEY_A));
    assert_reserved(r, SCSI_PR_WE_RO, KEY_A);
    assert_int_equal(pr_key_count(r), 2);
    assert_ua(r, 1, UA_RESERVATIONS_RELEASED);
    assert_ua(r, 2, UA_REGISTRATIONS_PREEMPTED);
    assert_no_ua(r, 0);
    rig_free(r);
}

/* Two nodes fight: who was preempted can not preempt back with the key it no longer has. */
static void two_that_preempt_each_other(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_preempt(r, 0, SCSI_PR_WE_RO, KEY_A, KEY_B));
    assert_ua(r, 1, UA_REGISTRATIONS_PREEMPTED);
    assert_conflict(pr_preempt(r, 1, SCSI_PR_WE_RO, KEY_B, KEY_A));
    assert_good(pr_out(r, 1, PR_OUT_REGISTER_AND_IGNORE, 0, 0, KEY_B, 0));
    assert_good(pr_preempt(r, 1, SCSI_PR_WE_RO, KEY_B, KEY_A));
    assert_int_equal(pr_key_count(r), 1);
    rig_free(r);
}

/* TAS of the Control mode page (SPC-6 7.5.8). */
static void set_tas(struct rig *r)
{
    struct rig_result res = rig_cmd(r, 2, CDB(0x1a, 0x08, 0x0a, 0, 16), NULL, 0, 16);
    assert_good(res);
    uint8_t list[16] = { 0 };
    memcpy(list + 4, res.in + 4, 12);
    list[4] &= 0x3f; /* PS */
    list[4 + 5] |= 0x40;
    assert_good(rig_cmd(r, 2, CDB(0x15, 0x10, 0, 0, 16), list, 16, 0));
    rig_clear_ua(r);
}

static void preempt_and_abort(void **state)
{
    (void)state;
    for (unsigned tas = 0; tas < 2; tas++) {
        struct rig *r = pr_rig();
        uint8_t block[512] = { 7 }, cdb[SCSI_CDB_MAX];
        if (tas)
            set_tas(r);
        assert_good(pr_register(r, 2, 0, KEY_C));
        assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_WE_RO));
        r->stop_at = 1u << SCSI_WANT_DATA;
        test_cdb(cdb, 0x2a, 0, 3, 1);
        struct rig_task *victim = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, block, 512, 0);
        struct rig_task *bystander = rig_start(r, 2, SCSI_ATTR_SIMPLE, 1, cdb, 16, block, 512, 0);
        struct rig_task *own = rig_start(r, 1, SCSI_ATTR_SIMPLE, 1, cdb, 16, block, 512, 0);
        assert_good(pr_out(r, 1, PR_OUT_PREEMPT_AND_ABORT, SCSI_PR_WE_RO, KEY_B, KEY_A, 0));
        assert_true(rig_ended(victim));
        assert_false(rig_ended(bystander));
        assert_false(rig_ended(own));
        struct rig_result res = rig_end(victim);
        assert_int_equal(res.aborted, !tas);
        if (tas)
            assert_int_equal(res.status, SCSI_STATUS_TASK_ABORTED);
        rig_go(bystander);
        assert_good(rig_end(bystander));
        rig_go(own);
        assert_good(rig_end(own));
        assert_reserved(r, SCSI_PR_WE_RO, KEY_B);
        /* told of the registration in any case */
        struct rig_result first = tur(r, 0), second = tur(r, 0);
        assert_true(first.kaq == SCSI_KAQ(6, 0x2a, 0x05) || second.kaq == SCSI_KAQ(6, 0x2a, 0x05));
        rig_free(r);
    }
}

/* A victim on another lane with I/O under way: the command waits for it to end. */
static void preempt_and_abort_waits_for_the_store(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t cdb[SCSI_CDB_MAX], list[24] = { 0 };
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    r->stop_at = 1u << SCSI_WANT_IO;
    test_cdb(cdb, 0x28, 0, 3, 1);
    struct rig_task *victim = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, NULL, 0, 512);
    assert_int_equal(victim->t.want, SCSI_WANT_IO);
    be64_put(list, KEY_B);
    be64_put(list + 8, KEY_A);
    uint8_t out[SCSI_CDB_MAX] = { 0x5f, PR_OUT_PREEMPT_AND_ABORT, SCSI_PR_EA, [8] = 24 };
    struct rig_task *pr = rig_start(r, 1, SCSI_ATTR_SIMPLE, 2, out, 16, list, 24, 0);
    assert_false(rig_ended(pr));
    rig_go(victim);
    assert_true(rig_ended(victim));
    assert_true(rig_ended(pr));
    (void)rig_end(victim);
    assert_good(rig_end(pr));
    r->stop_at = 0;
    assert_reserved(r, SCSI_PR_EA, KEY_B);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clearing),
        cmocka_unit_test(preempting_a_registration),
        cmocka_unit_test(preempting_itself),
        cmocka_unit_test(preempting_the_reservation),
        cmocka_unit_test(preempting_needs_a_type_only_to_reserve),
        cmocka_unit_test(preempting_others_beside_the_holder),
        cmocka_unit_test(the_holder_changes_the_type),
        cmocka_unit_test(two_that_preempt_each_other),
        cmocka_unit_test(preempt_and_abort),
        cmocka_unit_test(preempt_and_abort_waits_for_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
