/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target port groups (SPC-6 5.18): reporting, setting, and what each state lets through. */
#include "pr_test.h"
#include "scsi/alua.h"

/* Group 10 with ports 1 and 2, group 20 with port 3; initiator 0 uses port 1, 1 uses port 3. */
static struct rig *alua_rig(void)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 1 });
    struct scsi_lu *lu = r->units[0].lu;
    assert_int_equal(scsi_lu_add_port(lu, 10, 1), 0);
    assert_int_equal(scsi_lu_add_port(lu, 10, 2), 0);
    assert_int_equal(scsi_lu_add_port(lu, 20, 3), 0);
    (void)pr_add(r, "iqn.2001-04.com.example:other", "1", 3);
    rig_clear_ua(r);
    return r;
}

static struct rig_result rtpg(struct rig *r, uint8_t format, uint32_t alloc)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0xa3, (uint8_t)(format << 5 | 0x0a) };
    be32_put(cdb + 6, alloc);
    return rig_cmd(r, 0, cdb, 16, NULL, 0, alloc);
}

static struct rig_result stpg(struct rig *r, unsigned who, const void *list, uint32_t len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0xa4, 0x0a };
    be32_put(cdb + 6, len);
    return rig_cmd(r, who, cdb, 16, list, len, 0);
}

static void set_state(struct rig *r, uint16_t group, enum scsi_alua_state s)
{
    assert_int_equal(scsi_lu_set_alua(r->units[0].lanes[0], group, s), 0);
    rig_pump(r);
}

static void reporting(void **state)
{
    (void)state;
    struct rig *r = alua_rig();
    static const uint8_t want[] = {
        0, 0,    0, 28,             /* RETURN DATA LENGTH */
        0, 0x8f, 0, 10, 0, 0, 0, 2, /* active/optimized; group 10, two ports */
        0, 0,    0, 1,  0, 0, 0, 2, /**/
        0, 0x8f, 0, 20, 0, 0, 0, 1, /* group 20 */
        0, 0,    0, 3,
    };
    struct rig_result res = rtpg(r, 0, 255);
    assert_good(res);
    assert_int_equal(res.in_len, sizeof(want));
    assert_memory_equal(res.in, want, sizeof(want));
    res = rtpg(r, 1, 255); /* the extended header */
    assert_good(res);
    assert_int_equal(res.in_len, sizeof(want) + 4);
    assert_int_equal(be32_get(res.in), 32);
    assert_int_equal(res.in[4], 0x10);
    assert_memory_equal(res.in + 8, want + 4, sizeof(want) - 4);
    for (uint32_t cut = 0; cut < sizeof(want); cut++) {
        res = rtpg(r, 0, cut);
        assert_good(res);
        assert_int_equal(res.in_len, cut);
        assert_memory_equal(res.in, want, cut);
    }
    for (uint8_t format = 2; format < 8; format++)
        assert_cdb_field(rtpg(r, format, 255), 1, 7);
    rig_free(r);
}

static void a_unit_without_groups(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 1 });
    static const uint8_t want[] = { 0, 0, 0, 12, 0, 0x8f, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    struct rig_result res = rtpg(r, 0, 255);
    assert_good(res);
    assert_int_equal(res.in_len, sizeof(want));
    assert_memory_equal(res.in, want, sizeof(want));
    rig_free(r);
}

static void ports_and_groups_are_limited(void **state)
{
    (void)state;
    struct rig *r = alua_rig();
    struct scsi_lu *lu = r->units[0].lu;
    assert_int_equal(scsi_lu_add_port(lu, 20, 1), USAN_EEXIST);
    for (uint16_t i = 0; i < 14; i++)
        assert_int_equal(scsi_lu_add_port(lu, 10, (uint16_t)(100 + i)), 0);
    assert_int_equal(scsi_lu_add_port(lu, 10, 200), USAN_ELIMIT);
    for (uint16_t i = 2; i < SCSI_ALUA_GROUPS_MAX; i++)
        assert_int_equal(scsi_lu_add_port(lu, (uint16_t)(1000 + i), (uint16_t)(300 + i)), 0);
    assert_int_equal(scsi_lu_add_port(lu, 2000, 999), USAN_ELIMIT);
    assert_int_equal(scsi_alua_group_of(lu, 113), 10);
    assert_int_equal(scsi_alua_group_of(lu, 999), 0);
    rig_free(r);
}

/* SPC-6 5.18.2.4 to 5.18.2.8 */
static void what_the_states_let_through(void **state)
{
    (void)state;
    static const struct {
        enum scsi_alua_state s;
        uint32_t medium, pr; /* sense of READ and of PERSISTENT RESERVE IN; 0 = GOOD */
    } cases[] = {
        { SCSI_ALUA_ACTIVE_OPTIMIZED, 0, 0 },
        { SCSI_ALUA_ACTIVE_NON_OPTIMIZED, 0, 0 },
        { SCSI_ALUA_STANDBY, SENSE_ALUA_STANDBY, 0 },
        { SCSI_ALUA_UNAVAILABLE, SENSE_ALUA_UNAVAILABLE, SENSE_ALUA_UNAVAILABLE },
        { SCSI_ALUA_TRANSITIONING, SENSE_ALUA_TRANSITION, SENSE_ALUA_TRANSITION },
        { SCSI_ALUA_OFFLINE, SENSE_LOGICAL_UNIT_OFFLINE, SENSE_LOGICAL_UNIT_OFFLINE },
    };
    struct rig *r = alua_rig();
    for (unsigned i = 0; i < 6; i++) {
        set_state(r, 10, cases[i].s);
        rig_clear_ua(r);
        assert_int_equal(test_in(r, 0x28, 0, 0, 1, 512).kaq, cases[i].medium);
        assert_int_equal(pr_in(r, 0, 0, 255).kaq, cases[i].pr);
        assert_good(rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 36), NULL, 0, 36));
        assert_good(rig_cmd(r, 0, CDB(0xa0, [9] = 64), NULL, 0, 64));
        struct rig_result res = rtpg(r, 0, 255);
        assert_good(res);
        assert_int_equal(res.in[4] & 0x0f, cases[i].s);
        /* the other group is not concerned */
        assert_good(rig_cmd(r, 1, CDB(0x28, [8] = 1), NULL, 0, 512));
    }
    rig_free(r);
}

static void changes_by_the_program(void **state)
{
    (void)state;
    struct rig *r = alua_rig();
    set_state(r, 20, SCSI_ALUA_ACTIVE_NON_OPTIMIZED);
    assert_ua(r, 0, UA_ALUA_STATE_CHANGED);
    assert_ua(r, 1, UA_ALUA_STATE_CHANGED);
    struct rig_result res = rtpg(r, 0, 255);
    assert_int_equal(res.in[20], SCSI_ALUA_ACTIVE_NON_OPTIMIZED);
    assert_int_equal(res.in[25], 2);                  /* STATUS CODE: implicitly */
    set_state(r, 20, SCSI_ALUA_ACTIVE_NON_OPTIMIZED); /* no change */
    assert_no_ua(r, 0);
    assert_int_equal(scsi_lu_set_alua(r->units[0].lanes[0], 99, SCSI_ALUA_STANDBY), USAN_ENOENT);
    rig_free(r);
}

/* While a command is inside, the change waits, and comes through when asked for again. */
static void a_change_waits_for_commands(void **state)
{
    (void)state;
    struct rig *r = alua_rig();
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, CDB(0x28, [8] = 1), NULL, 0, 512);
    struct scsi_lane *lane = r->units[0].lanes[0];
    assert_int_equal(scsi_lu_set_alua(lane, 10, SCSI_ALUA_STANDBY), USAN_EAGAIN);
    rig_go(rt);
    assert_good(rig_end(rt));
    r->stop_at = 0;
    assert_int_equal(scsi_lu_set_alua(lane, 10, SCSI_ALUA_STANDBY), 0);
    rig_clear_ua(r);
    assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_ALUA_STANDBY);
    rig_free(r);
}

static void setting(void **state)
{
    (void)state;
    struct rig *r = alua_rig();
    const uint8_t list[] = { 0,
                             0,
                             0,
                             0,
                             SCSI_ALUA_STANDBY,
                             0,
                             0,
                             10,
                             /**/ SCSI_ALUA_ACTIVE_NON_OPTIMIZED,
                             0,
                             0,
                             20 };
    assert_good(stpg(r, 1, list, 0)); /* nothing, no error */
    assert_good(stpg(r, 1, list, 4));
    assert_no_ua(r, 0);
    assert_good(stpg(r, 1, list, sizeof(list)));
    assert_no_ua(r, 1); /* who asked knows */
    assert_sense(rig_cmd(r, 0, CDB(0x28, [8] = 1), NULL, 0, 512), SCSI_KAQ(6, 0x2a, 0x06));
    assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_ALUA_STANDBY);
    struct rig_result res = rtpg(r, 0, 255);
    assert_int_equal(res.in[4], SCSI_ALUA_STANDBY);
    assert_int_equal(res.in[9], 1); /* STATUS CODE: by this command */
    assert_int_equal(res.in[20], SCSI_ALUA_ACTIVE_NON_OPTIMIZED);
    /* a way back from unavailable */
    set_state(r, 10, SCSI_ALUA_UNAVAILABLE);
    rig_clear_ua(r);
    const uint8_t back[] = { 0, 0, 0, 0, SCSI_ALUA_ACTIVE_OPTIMIZED, 0, 0, 10 };
    assert_good(stpg(r, 0, back, sizeof(back)));
    assert_good(test_in(r, 0x28, 0, 0, 1, 512));
    rig_free(r);
}

static void settings_that_are_refused(void **state)
{
    (void)state;
    struct rig *r = alua_rig();
    uint8_t list[] = { 0, 0, 0, 0, SCSI_ALUA_STANDBY, 0, 0, 10, SCSI_ALUA_STANDBY, 0, 0, 99 };
    assert_param_field(stpg(r, 0, list, sizeof(list)), 10, 7); /* no such group */
    list[11] = 20;
    for (uint8_t s = 4; s < 16; s++) {
        list[8] = s;
        assert_param_field(stpg(r, 0, list, sizeof(list)), 8, 3);
    }
    list[8] = SCSI_ALUA_STANDBY;
    for (uint32_t len = 1; len < sizeof(list); len++) {
        if (len % 4 != 0)
            assert_sense(stpg(r, 0, list, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    }
    assert_good(test_in(r, 0x28, 0, 0, 1, 512)); /* all or nothing */
    assert_no_ua(r, 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reporting),
        cmocka_unit_test(a_unit_without_groups),
        cmocka_unit_test(ports_and_groups_are_limited),
        cmocka_unit_test(what_the_states_let_through),
        cmocka_unit_test(changes_by_the_program),
        cmocka_unit_test(a_change_waits_for_commands),
        cmocka_unit_test(setting),
        cmocka_unit_test(settings_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
