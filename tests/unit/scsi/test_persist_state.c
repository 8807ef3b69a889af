/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* APTPL: what is saved when, what comes back after a restart, and what is refused. */
#include "pr_test.h"

#include "base/crc32c.h"

enum { APTPL = 0x01 };

/* A unit that starts with what the other one saved last. */
static struct rig *restart(struct rig *old, unsigned initiators)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 1 });
    const struct rig_unit *u = &old->units[0];
    for (unsigned n = 0; n < r->initiator_count; n++)
        rig_drop_initiator(r, n);
    rig_pump(r);
    assert_int_equal(scsi_lu_restore(r->units[0].lu, u->saved, u->saved_len), 0);
    r->initiator_count = 0;
    while (r->initiator_count < initiators)
        (void)rig_add_initiator(r);
    rig_clear_ua(r);
    rig_free(old);
    return r;
}

static void saved_only_if_asked_for(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_int_equal(r->saves, 0);
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
    assert_int_equal(r->saves, 1);
    assert_good(pr_release(r, 0, KEY_A, SCSI_PR_EA));
    assert_int_equal(r->saves, 2);
    assert_good(pr_release(r, 0, KEY_A, SCSI_PR_EA)); /* changes nothing */
    assert_conflict(pr_register(r, 1, KEY_A, 0));
    assert_int_equal(r->saves, 2);
    /* switched off: once more, so that nothing stale comes back */
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, 0));
    assert_int_equal(r->saves, 3);
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    assert_int_equal(r->saves, 3);
    r = restart(r, 3);
    assert_reserved(r, 0, 0);
    assert_int_equal(pr_key_count(r), 0);
    rig_free(r);
}

static void back_after_a_restart(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_TYPES; i++) {
        struct rig *r = pr_rig();
        uint8_t type = pr_types[i];
        bool all = scsi_pr_type_all(type);
        assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
        assert_good(pr_reserve(r, 0, KEY_A, type));
        r = restart(r, 3);
        assert_reserved(r, type, all ? 0 : KEY_A);
        assert_int_equal(pr_key_count(r), 2);
        assert_int_equal(pr_generation(r), 0);
        assert_int_equal(pr_in(r, 0, 2, 8).in[3] & 1, 1); /* PTPL_A */
        /* in force, for the ports it is of */
        uint8_t block[512] = { 1 }, cdb[SCSI_CDB_MAX];
        test_cdb(cdb, 0x2a, 0, 3, 1);
        assert_good(rig_cmd(r, 0, cdb, 16, block, 512, 0));
        assert_conflict(rig_cmd(r, 2, cdb, 16, block, 512, 0));
        assert_good(pr_release(r, 0, KEY_A, type));
        r = restart(r, 3);
        assert_reserved(r, 0, 0);
        assert_int_equal(pr_key_count(r), 2);
        rig_free(r);
    }
}

static void cleared_state_comes_back_empty(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
    assert_good(pr_out(r, 0, PR_OUT_CLEAR, 0, KEY_A, 0, 0));
    r = restart(r, 2);
    assert_int_equal(pr_key_count(r), 0);
    rig_free(r);
}

/* SPC-6: a command that can not make it durable has not happened. */
static void failing_to_save_changes_nothing(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    r->save_err = USAN_EIO;
    assert_sense(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_C, APTPL),
                 SENSE_INTERNAL_TARGET_FAILURE);
    assert_true(pr_has_key(r, KEY_A));
    assert_int_equal(pr_generation(r), 2);
    r->save_err = 0;
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    r->save_err = USAN_EIO;
    assert_sense(pr_preempt(r, 1, SCSI_PR_EA, KEY_B, KEY_A), SENSE_INTERNAL_TARGET_FAILURE);
    assert_sense(pr_release(r, 0, KEY_A, SCSI_PR_EA), SENSE_INTERNAL_TARGET_FAILURE);
    assert_sense(pr_out(r, 1, PR_OUT_CLEAR, 0, KEY_B, 0, 0), SENSE_INTERNAL_TARGET_FAILURE);
    r->save_err = 0;
    assert_reserved(r, SCSI_PR_EA, KEY_A);
    assert_int_equal(pr_key_count(r), 2);
    assert_no_ua(r, 0);
    assert_no_ua(r, 1);
    assert_good(test_in(r, 0x28, 0, 0, 1, 512)); /* still the holder */
    rig_free(r);
}

/* The command is not acknowledged before the state is stored. */
static void durable_before_good(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t list[24] = { 0 };
    be64_put(list, KEY_A);
    be64_put(list + 8, KEY_A);
    list[20] = APTPL;
    r->stop_at = 1u << SCSI_WANT_SAVE;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, CDB(0x5f, 0, [8] = 24), list, 24, 0);
    assert_int_equal(rt->t.want, SCSI_WANT_SAVE);
    rig_go(rt);
    assert_good(rig_end(rt));
    rig_free(r);
}

/* Aborted while it is being stored: nobody is told, and the unit is in one of the two states. */
static void aborted_while_saving(void **state)
{
    (void)state;
    for (unsigned fails = 0; fails < 2; fails++) {
        struct rig *r = pr_rig();
        assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
        assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
        uint8_t list[24] = { 0 };
        be64_put(list, KEY_B);
        be64_put(list + 8, KEY_A);
        r->stop_at = 1u << SCSI_WANT_SAVE;
        r->save_err = fails ? USAN_EIO : 0;
        struct rig_task *rt =
            rig_start(r, 1, SCSI_ATTR_SIMPLE, 1, CDB(0x5f, PR_OUT_PREEMPT, SCSI_PR_EA, [8] = 24),
                      list, 24, 0);
        assert_int_equal(rt->t.want, SCSI_WANT_SAVE);
        struct rig_task *tm = rig_start_tmf(r, 1, SCSI_TMF_ABORT_TASK, 1);
        rig_go(rt);
        assert_true(rig_ended(rt));
        (void)rig_end(rt);
        assert_true(rig_ended(tm));
        (void)rig_end(tm);
        r->stop_at = 0;
        r->save_err = 0;
        rig_clear_ua(r);
        /* What READ RESERVATION says and what the checks do agree. */
        struct rig_result rr = pr_in(r, 2, 1, 24);
        bool taken = be64_get(rr.in + 8) == KEY_B;
        uint8_t cdb[SCSI_CDB_MAX];
        test_cdb(cdb, 0x28, 0, 3, 1);
        assert_int_equal(rig_cmd(r, 0, cdb, 16, NULL, 0, 512).status,
                         taken ? SCSI_STATUS_RESERVATION_CONFLICT : SCSI_STATUS_GOOD);
        assert_int_equal(rig_cmd(r, 1, cdb, 16, NULL, 0, 512).status,
                         taken ? SCSI_STATUS_GOOD : SCSI_STATUS_RESERVATION_CONFLICT);
        assert_int_equal(pr_has_key(r, KEY_A), !taken);
        rig_free(r);
    }
}

/* ---- damaged state ---- */

static size_t saved_part(struct rig *r, uint8_t *buf, size_t cap)
{
    struct wr w = wr_init(buf, cap);
    scsi_pr_save(r->units[0].lu, &w);
    assert_false(wr_truncated(&w));
    return w.len;
}

static int load(struct rig *r, const uint8_t *p, size_t len)
{
    struct rd rd = rd_init(p, len);
    return scsi_pr_load(r->units[0].lu, &rd);
}

static void damaged_state_is_refused(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t buf[1024];
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    size_t len = saved_part(r, buf, sizeof(buf));
    struct rig *to = rig_new(&(struct rig_config){ .initiators = 1 });
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(load(to, buf, cut), USAN_ECORRUPT);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(load(to, buf, len), USAN_ECORRUPT);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_null(to->units[0].lu->pr); /* nothing changed */
    assert_int_equal(load(to, buf, len), 0);
    assert_non_null(to->units[0].lu->pr);
    rig_free(to);
    rig_free(r);
}

/* With a good checksum, but nothing we would have written. */
static void impossible_state_is_refused(void **state)
{
    (void)state;
    struct rig *r = pr_rig();
    uint8_t buf[1024];
    assert_good(pr_out(r, 0, PR_OUT_REGISTER, 0, KEY_A, KEY_A, APTPL));
    assert_good(pr_reserve(r, 0, KEY_A, SCSI_PR_EA));
    size_t len = saved_part(r, buf, sizeof(buf));
    struct rig *to = rig_new(&(struct rig_config){ .initiators = 1 });
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {
        { 8, 2 },          /* kept: yes or no */
        { 8, 0 },          /* not kept, but there are registrations */
        { 9, 2 },          /* no such type */
        { 9, 0 },          /* a holder of nothing */
        { 9, 7 },          /* one holder of what all hold */
        { 11, 1 },         /* more follows */
        { 11, 3 },         /* not so many */
        { 12 + 7, 0 },     /* key 0 */
        { 12 + 10, 0 },    /* no holder */
        { 12 + 10, 2 },    /* no truth value */
        { 12 + 11, 0xff }, /* a long TransportID */
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t copy[1024];
        memcpy(copy, buf, len);
        assert_int_not_equal(copy[bad[i].at], bad[i].value);
        copy[bad[i].at] = bad[i].value;
        be32_put(copy + len - 4, crc32c(copy, len - 4));
        assert_int_equal(load(to, copy, len), USAN_ECORRUPT);
    }
    assert_null(to->units[0].lu->pr);
    rig_free(to);
    rig_free(r);
}

/* A unit whose state nobody keeps offers nothing that would need it. */
static void test_nothing_is_kept(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .forgets = true, .initiators = 2 });
    uint8_t move[24 + 24] = { 0 };
    rig_clear_ua(r);
    assert_int_equal(pr_in(r, 0, 2, 8).in[2] & 0x01, 0); /* PTPL_C */

    /* SPC-6 6.17.3: INVALID FIELD IN PARAMETER LIST, APTPL is bit 0 of byte 20 */
    for (unsigned sa = 0; sa <= 6; sa += 6) {
        struct rig_result res = pr_out(r, 0, (uint8_t)sa, 0, 0, KEY_A, APTPL);
        assert_sense(res, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
        assert_int_equal(res.sense[15], 0x88); /* SKSV, C/D = 0, BPV, bit 0 */
        assert_int_equal(be16_get(res.sense + 16), 20);
    }
    assert_int_equal(pr_key_count(r), 0);
    assert_good(pr_register(r, 0, 0, KEY_A));
    /* where it is not evaluated it does not matter */
    assert_good(pr_out(r, 0, PR_OUT_RESERVE, SCSI_PR_WE, KEY_A, 0, APTPL));
    be64_put(move, KEY_A);
    be64_put(move + 8, KEY_B);
    move[17] = APTPL;
    be32_put(move + 20, 24);
    struct rig_result res = pr_out_list(r, 0, PR_OUT_REGISTER_AND_MOVE, 0, move, sizeof move);
    assert_sense(res, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_int_equal(be16_get(res.sense + 16), 17);
    assert_reserved(r, SCSI_PR_WE, KEY_A);

    /* saved mode pages: none to be read (39h/00h), none to be made, no page says PS */
    assert_sense(rig_cmd(r, 0, CDB(0x1a, 0, 0xc8, 0, 0xff), NULL, 0, 255),
                 SENSE_SAVING_NOT_SUPPORTED);
    res = rig_cmd(r, 0, CDB(0x15, 0x11, 0, 0, 24), (uint8_t[24]){ 0 }, 24, 0);
    assert_sense(res, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(res.sense[15], 0xc8); /* SP */
    assert_int_equal(be16_get(res.sense + 16), 1);
    assert_int_equal(rig_cmd(r, 0, CDB(0x1a, 0x08, 0x08, 0, 0xff), NULL, 0, 255).in[4], 0x08);
    /* SET IDENTIFYING INFORMATION is a service action that there is not */
    assert_sense(rig_cmd(r, 0, CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, 0, 4), "name", 4, 0),
                 SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(r->saves, 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_only_if_asked_for),
        cmocka_unit_test(back_after_a_restart),
        cmocka_unit_test(cleared_state_comes_back_empty),
        cmocka_unit_test(failing_to_save_changes_nothing),
        cmocka_unit_test(durable_before_good),
        cmocka_unit_test(aborted_while_saving),
        cmocka_unit_test(damaged_state_is_refused),
        cmocka_unit_test(impossible_state_is_refused),
        cmocka_unit_test(test_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
