/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ALL_TG_PT, SPEC_I_PT, REGISTER AND MOVE, TransportIDs, and the limit of registrations. */
#include "pr_test.h"

enum { ALL_TG_PT = 0x04, SPEC_I_PT = 0x08 };

#define NODE "iqn.2001-04.com.example:node"

/* ---- TransportIDs (SPC-6 7.6.4) ---- */

static void transport_ids(void **state)
{
    (void)state;
    uint8_t a[SCSI_TRANSPORT_ID_MAX], b[SCSI_TRANSPORT_ID_MAX], wire[400] = { 0 };
    uint16_t a_len, b_len;
    size_t len = pr_tid(wire, NODE, "80000000abcd");
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), a, &a_len), len);
    assert_int_equal(a_len, len);
    assert_memory_equal(a, wire, len);
    /* more padding, other case, the ISID without its leading zeroes: the same port */
    len = pr_tid(wire, "IQN.2001-04.com.example:Node", "00000000000F");
    size_t other = pr_tid(b, NODE, "f");
    assert_int_equal(scsi_tid_parse(b, other, b, &b_len), other);
    be16_put(wire + 2, (uint16_t)(len - 4 + 8));
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), a, &a_len), len + 8);
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a, b, a_len);
    assert_string_equal((const char *)a + 4, NODE ",i,0x00000000000f");
    /* the name alone names the device */
    len = pr_tid(wire, NODE, NULL);
    assert_int_equal(scsi_tid_parse(wire, len, a, &a_len), len);
    assert_true(scsi_tid_is_device(a));
    assert_true(scsi_tid_port_of(b, a));
    assert_false(scsi_tid_port_of(a, a));
    len = pr_tid(wire, NODE "2", NULL);
    assert_int_equal(scsi_tid_parse(wire, len, a, &a_len), len);
    assert_false(scsi_tid_port_of(b, a));
}

static void malformed_transport_ids(void **state)
{
    (void)state;
    uint8_t tid[SCSI_TRANSPORT_ID_MAX], wire[400] = { 0 };
    uint16_t tid_len = 77;
    size_t len = pr_tid(wire, NODE, "80000000abcd");
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(scsi_tid_parse(wire, cut, tid, &tid_len), 0);
    static const char *const bad_isid[] = { "", "xyz", "80000000abcd1", "8000,0" };
    for (unsigned i = 0; i < 4; i++) {
        len = pr_tid(wire, NODE, bad_isid[i]);
        assert_int_equal(scsi_tid_parse(wire, len, tid, &tid_len), 0);
    }
    len = pr_tid(wire, "", "1"); /* no name */
    assert_int_equal(scsi_tid_parse(wire, len, tid, &tid_len), 0);
    len = pr_tid(wire, NODE, NULL);
    wire[0] = 0x45; /* says it has an ISID */
    assert_int_equal(scsi_tid_parse(wire, len, tid, &tid_len), 0);
    len = pr_tid(wire, NODE, "1");
    wire[0] = 0x05; /* says it has none */
    assert_int_equal(scsi_tid_parse(wire, len, tid, &tid_len), 0);
    wire[0] = 0x85;
    assert_int_equal(scsi_tid_parse(wire, len, tid, &tid_len), 0);
    (void)pr_tid(wire, NODE, "1");
    be16_put(wire + 2, (uint16_t)(be16_get(wire + 2) + 2)); /* no multiple of four */
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), tid, &tid_len), 0);
    memset(wire, 'x', sizeof(wire)); /* no end */
    wire[0] = 0x05;
    be16_put(wire + 2, 240);
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), tid, &tid_len), 0);
    wire[4 + 224] = 0; /* an end, but a name of 224 bytes */
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), tid, &tid_len), 0);
    wire[4 + 223] = 0;
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), tid, &tid_len), 244);
    assert_int_equal(tid_len, 228);
    assert_int_not_equal(tid_len, 77);
    /* Fibre Channel: 24 bytes, as they are */
    memset(wire, 0, sizeof(wire));
    be64_put(wire + 8, 0x2100001122334455);
    assert_int_equal(scsi_tid_parse(wire, sizeof(wire), tid, &tid_len), 24);
    assert_int_equal(tid_len, 24);
}

/* ---- ALL_TG_PT ---- */

static void all_target_ports(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 7, 1), 0);
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 7, 2), 0);
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 8, 3), 0);
    unsigned p1 = pr_add(r, NODE, "1", 1), p2 = pr_add(r, NODE, "1", 2);
    assert_good(pr_out(r, p1, PR_OUT_REGISTER, 0, 0, KEY_A, ALL_TG_PT));
    assert_int_equal(pr_key_count(r), 3);
    assert_int_equal(pr_generation(r), 1);
    /* the other port is registered as if it had asked itself */
    assert_good(pr_reserve(r, p2, KEY_A, SCSI_PR_EA));
    assert_conflict(test_in(r, 0x28, 0, 0, 1, 512));
    /* a later nexus through the third finds its registration */
    unsigned p3 = pr_add(r, NODE, "1", 3);
    assert_good(pr_register(r, p3, KEY_A, KEY_C));
    /* its key differs now: the whole command conflicts and changes nothing */
    assert_conflict(pr_out(r, p1, PR_OUT_REGISTER, 0, KEY_A, KEY_B, ALL_TG_PT));
    assert_false(pr_has_key(r, KEY_B));
    assert_good(pr_out(r, p1, PR_OUT_REGISTER_AND_IGNORE, 0, 0, KEY_B, ALL_TG_PT));
    assert_int_equal(pr_key_count(r), 3);
    assert_reserved(r, SCSI_PR_EA, KEY_B);
    assert_good(pr_out(r, p1, PR_OUT_REGISTER, 0, KEY_B, 0, ALL_TG_PT));
    assert_int_equal(pr_key_count(r), 0);
    assert_reserved(r, 0, 0);
    rig_free(r);
}

/* ---- SPEC_I_PT ---- */

static struct rig_result spec_i_pt(struct rig *r, unsigned who, uint64_t rk, uint64_t sark,
                                   uint8_t flags, const uint8_t *tids, size_t tids_len)
{
    uint8_t list[1024] = { 0 };
    be64_put(list, rk);
    be64_put(list + 8, sark);
    list[20] = SPEC_I_PT | flags;
    be32_put(list + 24, (uint32_t)tids_len);
    memcpy(list + 28, tids, tids_len);
    return pr_out_list(r, who, PR_OUT_REGISTER, 0, list, 28 + tids_len);
}

static void registering_other_ports(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    uint8_t tids[600];
    unsigned b1 = pr_add(r, NODE, "1", 1), b2 = pr_add(r, NODE, "2", 1);
    size_t one = pr_tid(tids, NODE, "1");
    size_t two = one + pr_tid(tids + one, "iqn.2001-04.com.example:absent", "9");
    assert_good(spec_i_pt(r, 0, 0, KEY_A, 0, tids, two));
    assert_int_equal(pr_key_count(r), 3);
    assert_int_equal(pr_generation(r), 1);
    assert_good(pr_reserve(r, b1, KEY_A, SCSI_PR_WE_RO));
    assert_conflict(pr_register(r, b2, KEY_A, KEY_A));
    unsigned absent = pr_add(r, "iqn.2001-04.com.example:absent", "9", 1);
    assert_good(pr_register(r, absent, KEY_A, KEY_C));
    /* SPC-6: only from who is not registered yet */
    assert_param_field(spec_i_pt(r, 0, KEY_A, KEY_B, 0, tids, one), 20, 3);
    assert_param_field(spec_i_pt(r, 0, KEY_A, 0, 0, tids, one), 20, 3);
    assert_int_equal(pr_key_count(r), 3);
    rig_free(r);
}

static void registering_all_ports_of_a_device(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    uint8_t tids[600];
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 7, 1), 0);
    assert_int_equal(scsi_lu_add_port(r->units[0].lu, 8, 2), 0);
    unsigned b1 = pr_add(r, NODE, "1", 1), b2 = pr_add(r, NODE, "2", 1);
    size_t len = pr_tid(tids, NODE, NULL);
    assert_good(spec_i_pt(r, 0, 0, KEY_A, ALL_TG_PT, tids, len));
    assert_int_equal(pr_key_count(r), 6); /* three initiator ports through two target ports */
    assert_good(pr_register(r, b1, KEY_A, KEY_B));
    assert_good(pr_register(r, b2, KEY_A, KEY_B));
    rig_free(r);
}

static void other_ports_are_all_or_nothing(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    uint8_t tids[600];
    unsigned b = pr_add(r, NODE, "1", 1);
    assert_good(pr_register(r, b, 0, KEY_B));
    /* a second one that is cut */
    size_t one = pr_tid(tids, "iqn.2001-04.com.example:new", "9");
    size_t two = one + pr_tid(tids + one, "iqn.2001-04.com.example:new2", "9");
    struct rig_result res = spec_i_pt(r, 0, 0, KEY_A, 0, tids, two - 4);
    assert_sense(res, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_int_equal(be16_get(res.sense + 16), 28 + one);
    /* one that has a registration with another key */
    two = one + pr_tid(tids + one, NODE, "1");
    assert_sense(spec_i_pt(r, 0, 0, KEY_A, 0, tids, two), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    /* a device nobody knows a port of */
    two = one + pr_tid(tids + one, "iqn.2001-04.com.example:nobody", NULL);
    assert_sense(spec_i_pt(r, 0, 0, KEY_A, 0, tids, two), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    /* key 0 registers nobody */
    assert_param_field(spec_i_pt(r, 0, 0, 0, 0, tids, one), 20, 3);
    assert_int_equal(pr_key_count(r), 1);
    assert_int_equal(pr_generation(r), 1);
    /* with the same key it is no conflict */
    two = one + pr_tid(tids + one, NODE, "1");
    assert_good(spec_i_pt(r, 0, 0, KEY_B, 0, tids, two));
    assert_int_equal(pr_key_count(r), 3);
    rig_free(r);
}

/* ---- REGISTER AND MOVE ---- */

static struct rig_result move(struct rig *r, unsigned who, uint64_t rk, uint64_t sark, bool unreg,
                              uint16_t port, const uint8_t *tid, size_t len)
{
    uint8_t list[512] = { 0 };
    be64_put(list, rk);
    be64_put(list + 8, sark);
    list[17] = unreg ? 0x02 : 0;
    be16_put(list + 18, port);
    be32_put(list + 20, (uint32_t)len);
    memcpy(list + 24, tid, len);
    return pr_out_list(r, who, PR_OUT_REGISTER_AND_MOVE, 0, list, 24 + len);
}

static void moving(void **state)
{
    (void)state;
    static const uint8_t types[] = { SCSI_PR_WE, SCSI_PR_EA, SCSI_PR_WE_RO, SCSI_PR_EA_RO };
    for (unsigned i = 0; i < 8; i++) {
        struct rig *r = pr_rig();
        bool unreg = i & 1;
        uint8_t type = types[i / 2], tid[SCSI_TRANSPORT_ID_MAX];
        size_t len = pr_tid(tid, NODE, "5");                           /* not even there yet */
        assert_conflict(move(r, 0, KEY_A, KEY_C, unreg, 1, tid, len)); /* nothing to move */
        assert_good(pr_reserve(r, 0, KEY_A, type));
        assert_conflict(move(r, 1, KEY_B, KEY_C, unreg, 1, tid, len)); /* not the holder */
        assert_conflict(move(r, 2, 0, KEY_C, unreg, 1, tid, len));
        assert_conflict(move(r, 0, KEY_B, KEY_C, unreg, 1, tid, len));
        assert_good(move(r, 0, KEY_A, KEY_C, unreg, 1, tid, len));
        assert_reserved(r, type, KEY_C);
        assert_int_equal(pr_generation(r), 3);
        assert_int_equal(pr_has_key(r, KEY_A), !unreg);
        unsigned to = pr_add(r, NODE, "5", 1);
        assert_good(pr_release(r, to, KEY_C, type));
        rig_free(r);
    }
}

static void moving_to_a_registrant(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t tid[SCSI_TRANSPORT_ID_MAX];
    size_t len = pr_tid(tid, "iqn.2001-04.com.example:rig1", "800000000001");
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_good(move(r, 0, KEY_A, KEY_C, true, 1, tid, len));
    assert_int_equal(pr_key_count(r), 1);
    assert_reserved(r, SCSI_PR_EA, KEY_C);
    assert_good(pr_release(r, 1, KEY_C, SCSI_PR_EA));
    rig_free(r);
}

static void moves_that_are_refused(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t tid[SCSI_TRANSPORT_ID_MAX], own[SCSI_TRANSPORT_ID_MAX], dev[SCSI_TRANSPORT_ID_MAX];
    size_t len = pr_tid(tid, NODE, "5"), dev_len = pr_tid(dev, NODE, NULL);
    size_t own_len = pr_tid(own, "iqn.2001-04.com.example:rig0", "800000000000");
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA_AR));
    assert_conflict(move(r, 0, KEY_A, KEY_C, false, 1, tid, len)); /* has many holders */
    assert_good(pr_release(r, 0, KEY_A, SCSI_PR_EA_AR));
    rig_clear_ua(r);
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_param_field(move(r, 0, KEY_A, 0, false, 1, tid, len), 8, 7);
    assert_param_field(move(r, 0, KEY_A, KEY_C, false, 99, tid, len), 18, 7);
    assert_sense(move(r, 0, KEY_A, KEY_C, false, 1, dev, dev_len),
                 SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_sense(move(r, 0, KEY_A, KEY_C, false, 1, own, own_len),
                 SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_sense(move(r, 0, KEY_A, KEY_C, false, 1, tid, len - 4),
                 SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    uint8_t list[64] = { 0 };
    be64_put(list, KEY_A);
    be64_put(list + 8, KEY_C);
    be32_put(list + 20, 40); /* more than follows */
    assert_sense(pr_out_list(r, 0, PR_OUT_REGISTER_AND_MOVE, 0, list, 60),
                 SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_reserved(r, SCSI_PR_EA, KEY_A);
    assert_int_equal(pr_key_count(r), 2);
    rig_free(r);
}

/* ---- the limit ---- */

static void as_many_registrations_as_there_may_be(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    for (unsigned i = 1; i < SCSI_PR_REGISTRANTS_MAX; i++) {
        unsigned n = rig_add_initiator(r);
        (void)tur(r, n);
        assert_good(pr_register(r, n, 0, 1000 + n));
    }
    assert_good(pr_register(r, 0, 0, KEY_A));
    assert_int_equal(pr_key_count(r), SCSI_PR_REGISTRANTS_MAX);
    unsigned n = rig_add_initiator(r);
    (void)tur(r, n);
    assert_sense(pr_register(r, n, 0, KEY_B), SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
    assert_sense(pr_out(r, n, PR_OUT_REGISTER_AND_IGNORE, 0, 0, KEY_B, ALL_TG_PT),
                 SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
    uint8_t tid[SCSI_TRANSPORT_ID_MAX];
    size_t len = pr_tid(tid, NODE, "5");
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_sense(move(r, 0, KEY_A, KEY_C, true, 1, tid, len),
                 SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
    assert_int_equal(pr_key_count(r), SCSI_PR_REGISTRANTS_MAX);
    /* all of it still fits in what can be saved, and a place that is given up can be used */
    assert_true(scsi_lu_state(r->units[0].lu, NULL, 0) <= RIG_STATE_MAX);
    assert_good(pr_register(r, 1, 1001, 0));
    assert_good(pr_register(r, n, 0, KEY_B));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transport_ids),
        cmocka_unit_test(malformed_transport_ids),
        cmocka_unit_test(all_target_ports),
        cmocka_unit_test(registering_other_ports),
        cmocka_unit_test(registering_all_ports_of_a_device),
        cmocka_unit_test(other_ports_are_all_or_nothing),
        cmocka_unit_test(moving),
        cmocka_unit_test(moving_to_a_registrant),
        cmocka_unit_test(moves_that_are_refused),
        cmocka_unit_test(as_many_registrations_as_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
