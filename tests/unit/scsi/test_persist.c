/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PERSISTENT RESERVE IN and OUT: registering, reserving, who may pass, releasing. */
#include "pr_test.h"

/* ---- registering: SPC-6 tables "Register behaviors" ---- */

static void registering(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 2 });
    assert_int_equal(pr_key_count(r), 0);
    assert_int_equal(pr_generation(r), 0);
    /* not registered: the key has to be 0, and 0 for 0 does nothing */
    assert_conflict(pr_register(r, 0, 5, KEY_A));
    assert_good(pr_register(r, 0, 0, 0));
    assert_int_equal(pr_generation(r), 0);
    assert_good(pr_register(r, 0, 0, KEY_A));
    assert_int_equal(pr_generation(r), 1);
    assert_true(pr_has_key(r, KEY_A));
    /* registered: the key has to be its own */
    assert_conflict(pr_register(r, 0, 0, KEY_B));
    assert_conflict(pr_register(r, 0, KEY_B, KEY_C));
    assert_int_equal(pr_generation(r), 1);
    assert_good(pr_register(r, 0, KEY_A, KEY_C));
    assert_int_equal(pr_generation(r), 2);
    assert_true(pr_has_key(r, KEY_C));
    assert_false(pr_has_key(r, KEY_A));
    assert_good(pr_register(r, 0, KEY_C, 0));
    assert_int_equal(pr_key_count(r), 0);
    assert_int_equal(pr_generation(r), 3);
    assert_no_ua(r, 0);
    assert_no_ua(r, 1);
    rig_free(r);
}

static void registering_ignoring_the_key(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 2 });
    const uint8_t sa = PR_OUT_REGISTER_AND_IGNORE;
    assert_good(pr_out(r, 0, sa, 0, 99, 0, 0));
    assert_int_equal(pr_key_count(r), 0);
    assert_good(pr_out(r, 0, sa, 0, 99, KEY_A, 0));
    assert_good(pr_out(r, 0, sa, 0, 77, KEY_B, 0));
    assert_int_equal(pr_key_count(r), 1);
    assert_true(pr_has_key(r, KEY_B));
    /* two nexuses may have the same key */
    assert_good(pr_out(r, 1, sa, 0, 0, KEY_B, 0));
    assert_int_equal(pr_key_count(r), 2);
    assert_good(pr_out(r, 0, sa, 0, 0, 0, 0));
    assert_int_equal(pr_key_count(r), 1);
    assert_int_equal(pr_generation(r), 4);
    rig_free(r);
}

static void lists_of_a_wrong_length(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t list[64] = { 0 };
    be64_put(list, KEY_A);
    be64_put(list + 8, KEY_C);
    for (size_t len = 0; len <= 40; len++) {
        if (len != 24)
            assert_sense(pr_out_list(r, 0, PR_OUT_REGISTER, 0, list, len),
                         SENSE_PARAMETER_LIST_LENGTH_ERROR);
    }
    list[20] = 0x08; /* SPEC_I_PT: its length field has to fit */
    assert_sense(pr_out_list(r, 0, PR_OUT_REGISTER, 0, list, 24),
                 SENSE_PARAMETER_LIST_LENGTH_ERROR);
    be32_put(list + 24, 24);
    assert_sense(pr_out_list(r, 0, PR_OUT_REGISTER, 0, list, 48),
                 SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_param_field(pr_out_list(r, 0, PR_OUT_RESERVE, SCSI_PR_WE, list, 24), 20, 3);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x5f, 0x00, [5] = 0x00, 0x02, 0x00, 0x00 };
    assert_sense(rig_cmd(r, 0, cdb, 16, list, 64, 0), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_true(pr_has_key(r, KEY_A));
    rig_free(r);
}

static void service_actions_that_do_not_exist(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    for (uint8_t sa = 4; sa < 0x20; sa++)
        assert_cdb_field(pr_in(r, 0, sa, 255), 1, 4);
    for (uint8_t sa = 8; sa < 0x20; sa++)
        assert_cdb_field(pr_out(r, 0, sa, 0, KEY_A, 0, 0), 1, 4);
    rig_free(r);
}

/* ---- RESERVE ---- */

static void reserving(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        uint8_t type = pr_types[i];
        bool all = scsi_pr_type_all(type);
        assert_reserved(r, 0, 0);
        assert_conflict(pr_reserve(r, 2, 0, type)); /* not registered */
        assert_conflict(pr_reserve(r, 0, KEY_B, type));
        assert_good(pr_reserve(r, 0, KEY_A, type));
        assert_reserved(r, type, all ? 0 : KEY_A);
        /* again: the holder may, with the same type; of an all-registrants type all are holders */
        for (unsigned j = 0; j < PR_TYPES; j++) {
            struct rig_result own = pr_reserve(r, 0, KEY_A, pr_types[j]);
            struct rig_result other = pr_reserve(r, 1, KEY_B, pr_types[j]);
            assert_int_equal(own.status,
                             i == j ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
            assert_int_equal(other.status,
                             i == j && all ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
        }
        assert_conflict(pr_reserve(r, 2, 0, type));
        assert_int_equal(pr_generation(r), 2); /* not counted */
        rig_free(r);
    }
}

static void types_and_scopes_that_do_not_exist(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    static const uint8_t bad[] = { 0, 2, 4, 9, 10, 15 };
    for (unsigned i = 0; i < sizeof(bad); i++)
        assert_cdb_field(pr_reserve(r, 0, KEY_A, bad[i]), 2, 3);
    for (uint8_t scope = 1; scope < 16; scope++)
        assert_cdb_field(pr_reserve(r, 0, KEY_A, (uint8_t)(scope << 4 | SCSI_PR_WE)), 2, 7);
    assert_reserved(r, 0, 0);
    /* REGISTER does not look at them */
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0xff, KEY_A, KEY_A, 0));
    rig_free(r);
}

/* ---- who may pass ---- */

enum who { HOLDER, REGISTERED, OTHER };

/* SPC-6 tables "commands allowed in the presence of various reservations", of SPC and SBC. */
static bool passes(uint8_t type, enum who who, bool reads)
{
    bool write_exclusive = type == SCSI_PR_WE || type == SCSI_PR_WE_RO || type == SCSI_PR_WE_AR;
    if (who == HOLDER)
        return true;
    if (who == REGISTERED && type >= SCSI_PR_WE_RO)
        return true;
    return reads && write_exclusive;
}

static void who_may_read_and_write(void **state)
{
    (void)state;
    uint8_t block[512] = { 1 };
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
        for (unsigned who = HOLDER; who <= OTHER; who++) {
            uint8_t cdb[SCSI_CDB_MAX];
            test_cdb(cdb, 0x28, 0, 3, 1);
            struct rig_result rd = rig_cmd(r, who, cdb, 16, NULL, 0, 512);
            test_cdb(cdb, 0x2a, 0, 3, 1);
            struct rig_result wr = rig_cmd(r, who, cdb, 16, block, 512, 0);
            bool may_read = passes(pr_types[i], (enum who)who, true);
            bool may_write = passes(pr_types[i], (enum who)who, false);
            assert_int_equal(rd.status,
                             may_read ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
            assert_int_equal(wr.status,
                             may_write ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
            /* RESERVE(6) is as good as none for who passes by registration, else it conflicts */
            test_cdb(cdb, 0x16, 0, 0, 0);
            struct rig_result rs = rig_cmd(r, who, cdb, 16, NULL, 0, 0);
            bool shared = who == REGISTERED && scsi_pr_type_shared(pr_types[i]);
            assert_int_equal(rs.status, who == HOLDER || shared ? SCSI_STATUS_GOOD
                                                                : SCSI_STATUS_RESERVATION_CONFLICT);
        }
        rig_free(r);
    }
}

static void what_everybody_may_do(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
        assert_good(rig_cmd(r, 2, CDB(0x00), NULL, 0, 0));                  /* TUR */
        assert_good(rig_cmd(r, 2, CDB(0x12, 0, 0, 0, 36), NULL, 0, 36));    /* INQUIRY */
        assert_good(rig_cmd(r, 2, CDB(0xa0, [9] = 64), NULL, 0, 64));       /* REPORT LUNS */
        assert_good(rig_cmd(r, 2, CDB(0x03, 0, 0, 0, 18), NULL, 0, 18));    /* REQUEST SENSE */
        assert_good(rig_cmd(r, 2, CDB(0xa3, 0x0a, [9] = 64), NULL, 0, 64)); /* RTPG */
        for (uint8_t sa = 0; sa < 4; sa++)
            assert_good(pr_in(r, 2, sa, 255));
        assert_good(pr_register(r, 2, 0, KEY_C));
        rig_free(r);
    }
}

/* The reservation that comes while data-out is on its way holds the write up too. */
static void checked_again_after_the_data_came(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t block[512] = { 7 }, cdb[SCSI_CDB_MAX];
    r->stop_at = 1u << SCSI_WANT_DATA;
    test_cdb(cdb, 0x2a, 0, 3, 1);
    struct rig_task *rt = rig_start(r, 2, SCSI_ATTR_SIMPLE, 1, cdb, 16, block, 512, 0);
    assert_int_equal(rt->t.want, SCSI_WANT_DATA);
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_WE));
    rig_go(rt);
    assert_conflict(rig_end(rt));
    assert_int_equal(r->units[0].disk[3 * 512], 0);
    rig_free(r);
}

/* ---- RELEASE and unregistering ---- */

static void releasing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        uint8_t type = pr_types[i], wrong = type == SCSI_PR_WE ? SCSI_PR_EA : SCSI_PR_WE;
        bool all = scsi_pr_type_all(type);
        assert_good(pr_release(r, 0, KEY_A, type)); /* nothing to release */
        assert_good(pr_reserve(r, 0, KEY_A, type));
        assert_conflict(pr_release(r, 2, 0, type));
        assert_conflict(pr_release(r, 0, KEY_B, type));
        assert_sense(pr_release(r, 0, KEY_A, wrong),
                     SENSE_INVALID_RELEASE_OF_PERSISTENT_RESERVATION);
        assert_sense(pr_release(r, 0, KEY_A, (uint8_t)(0x10 | type)),
                     SENSE_INVALID_RELEASE_OF_PERSISTENT_RESERVATION);
        if (!all) { /* who does not hold it releases nothing, without error */
            assert_good(pr_release(r, 1, KEY_B, type));
            assert_good(pr_release(r, 1, KEY_B, wrong));
        }
        assert_reserved(r, type, all ? 0 : KEY_A);
        unsigned by = all ? 1 : 0, told = 1 - by;
        assert_good(pr_release(r, by, by ? KEY_B : KEY_A, type));
        assert_reserved(r, 0, 0);
        assert_int_equal(pr_key_count(r), 2);
        assert_int_equal(pr_generation(r), 2);
        if (scsi_pr_type_shared(type))
            assert_ua(r, told, UA_RESERVATIONS_RELEASED);
        assert_no_ua(r, 0);
        assert_no_ua(r, 1);
        assert_no_ua(r, 2);
        rig_free(r);
    }
}

static void the_holder_unregisters(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * PR_TYPES; i++) {
        struct rig *r = pr_rig();
        uint8_t type = pr_types[i % PR_TYPES];
        bool all = scsi_pr_type_all(type), ignore = i >= PR_TYPES;
        assert_good(pr_reserve(r, 0, KEY_A, type));
        assert_good(
            pr_out(r, 0, ignore ? PR_OUT_REGISTER_AND_IGNORE : PR_OUT_REGISTER, 0, KEY_A, 0, 0));
        assert_int_equal(pr_key_count(r), 1);
        assert_reserved(r, all ? type : 0, 0);
        if (scsi_pr_type_shared(type) && !all)
            assert_ua(r, 1, UA_RESERVATIONS_RELEASED);
        assert_no_ua(r, 1);
        assert_no_ua(r, 2);
        if (all) { /* the last one takes it along */
            assert_good(pr_register(r, 1, KEY_B, 0));
            assert_reserved(r, 0, 0);
        }
        rig_free(r);
    }
}

static void another_registrant_unregisters(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        assert_good(pr_reserve(r, 0, KEY_A, pr_types[i]));
        assert_good(pr_register(r, 1, KEY_B, 0));
        assert_reserved(r, pr_types[i], scsi_pr_type_all(pr_types[i]) ? 0 : KEY_A);
        assert_no_ua(r, 0);
        rig_free(r);
    }
}

static void the_holder_changes_its_key(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_good(pr_register(r, 0, KEY_A, KEY_C));
    assert_reserved(r, SCSI_PR_EA, KEY_C);
    assert_conflict(pr_release(r, 0, KEY_A, SCSI_PR_EA));
    assert_good(pr_release(r, 0, KEY_C, SCSI_PR_EA));
    rig_free(r);
}

/* ---- bound to ports, not to sessions ---- */

static void registrations_outlive_the_nexus(void **state)
{
    (void)state;
    const char *name = "iqn.2001-04.com.example:node";
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    unsigned a = pr_add(r, name, "80000000abcd", 1);
    assert_good(pr_register(r, a, 0, KEY_B));
    assert_good(pr_reserve(r, a, KEY_B, SCSI_PR_EA));
    rig_drop_initiator(r, a);
    assert_reserved(r, SCSI_PR_EA, KEY_B);
    assert_conflict(test_in(r, 0x28, 0, 0, 1, 512));
    /* the same port, though its name is written in another way */
    unsigned again = pr_add(r, "iqn.2001-04.COM.example:NODE", "80000000ABCD", 1);
    assert_good(pr_release(r, again, KEY_B, SCSI_PR_EA));
    /* another ISID, or another target port, is another nexus */
    unsigned isid = pr_add(r, name, "80000000abce", 1);
    assert_conflict(pr_register(r, isid, KEY_B, KEY_C));
    unsigned port = pr_add(r, name, "80000000abcd", 2);
    assert_conflict(pr_register(r, port, KEY_B, KEY_C));
    rig_free(r);
}

static void reset_preserves_it(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_int_equal(rig_tmf(r, 1, SCSI_TMF_LOGICAL_UNIT_RESET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_I_T_NEXUS_RESET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    rig_clear_ua(r);
    assert_reserved(r, SCSI_PR_EA, KEY_A);
    assert_int_equal(pr_key_count(r), 2);
    assert_good(test_in(r, 0x28, 0, 0, 1, 512));
    rig_free(r);
}

/* ---- PERSISTENT RESERVE IN ---- */

static void reading_keys_cut(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_register(r, 2, 0, KEY_C));
    static const uint16_t lens[] = { 0, 1, 4, 7, 8, 9, 16, 31, 32, 1000 };
    for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct rig_result res = pr_in(r, 0, 0, lens[i]);
        assert_good(res);
        assert_int_equal(res.in_len, lens[i] < 32 ? lens[i] : 32);
        if (lens[i] >= 8)
            assert_int_equal(be32_get(res.in + 4), 24); /* whatever is cut */
    }
    rig_free(r);
}

static void capabilities(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    static const uint8_t want[8] = { 0, 8, 0x1d, 0x90, 0xea, 0x01, 0, 0 };
    struct rig_result res = pr_in(r, 0, 2, 255);
    assert_good(res);
    assert_int_equal(res.in_len, 8);
    assert_memory_equal(res.in, want, 8);
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, 0, KEY_A, 0x01));
    res = pr_in(r, 0, 2, 255);
    assert_int_equal(res.in[3], 0x91); /* PTPL_A */
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, 0x00));
    res = pr_in(r, 0, 2, 255);
    assert_int_equal(res.in[3], 0x90);
    rig_free(r);
}

static void full_status(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    struct rig_result res = pr_in(r, 0, 3, 8);
    assert_good(res);
    assert_int_equal(be32_get(res.in), 2);
    assert_good(pr_reserve(r, 1, KEY_B, SCSI_PR_WE_RO));
    res = pr_in(r, 2, 3, 0xffff);
    assert_good(res);
    assert_int_equal(be32_get(res.in + 4), res.in_len - 8);
    size_t at = 8;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *d = res.in + at;
        char name[64];
        (void)snprintf(name, sizeof(name), "iqn.2001-04.com.example:rig%u,i,0x80000000000%u", i, i);
        assert_int_equal(be64_get(d), i ? KEY_B : KEY_A);
        assert_int_equal(d[12], i ? 0x01 : 0x00); /* R_HOLDER */
        assert_int_equal(d[13], i ? SCSI_PR_WE_RO : 0);
        assert_int_equal(be16_get(d + 18), 1);
        assert_int_equal(d[24], 0x45);
        assert_int_equal(be16_get(d + 26) % 4, 0);
        assert_string_equal((const char *)d + 28, name);
        assert_int_equal(be32_get(d + 20), 4u + be16_get(d + 26));
        at += 24 + be32_get(d + 20);
    }
    assert_int_equal(at, res.in_len);
    assert_good(pr_release(r, 1, KEY_B, SCSI_PR_WE_RO));
    assert_ua(r, 0, UA_RESERVATIONS_RELEASED);
    assert_good(pr_reserve(r, 1, KEY_B, SCSI_PR_EA_AR));
    res = pr_in(r, 2, 3, 0xffff);
    assert_int_equal(res.in[8 + 12], 0x01); /* all of them */
    assert_int_equal(res.in[8 + 13], SCSI_PR_EA_AR);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registering),
        cmocka_unit_test(registering_ignoring_the_key),
        cmocka_unit_test(lists_of_a_wrong_length),
        cmocka_unit_test(service_actions_that_do_not_exist),
        cmocka_unit_test(reserving),
        cmocka_unit_test(types_and_scopes_that_do_not_exist),
        cmocka_unit_test(who_may_read_and_write),
        cmocka_unit_test(what_everybody_may_do),
        cmocka_unit_test(checked_again_after_the_data_came),
        cmocka_unit_test(releasing),
        cmocka_unit_test(the_holder_unregisters),
        cmocka_unit_test(another_registrant_unregisters),
        cmocka_unit_test(the_holder_changes_its_key),
        cmocka_unit_test(registrations_outlive_the_nexus),
        cmocka_unit_test(reset_preserves_it),
        cmocka_unit_test(reading_keys_cut),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(full_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
