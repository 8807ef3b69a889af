/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Below recovery level 2: CmdSNs that went down with a connection do not stop the session. */
#include "terl_rig.h"

enum { CID = 7 };

static struct rig *two(uint8_t level, struct rig **ret_other)
{
    struct rig *r = erl_rig(level, KEYS("ImmediateData=Yes\0DataDigest=CRC32C"));
    *ret_other = rig_join(r, CID);
    rig_login(*ret_other, KEYS("ImmediateData=Yes\0DataDigest=CRC32C"));
    return r;
}

/* A command that gets lost on its way: its CmdSN. */
static uint32_t lose(struct rig *r)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_rw(r, bhs, false, true, 0, 1);
    return bhs_cmd_sn(bhs);
}

static void send_command(struct rig *r, uint8_t *ret_bhs)
{
    rig_rw(r, ret_bhs, false, true, 0, 1);
    rig_send(r, ret_bhs, NULL, 0, NULL, 0);
}

static void expect_read(struct rig *r, const uint8_t *bhs)
{
    rig_run(r);
    assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_DATA_IN).bhs), bhs_itt(bhs));
}

/* What came early on it counts as received, and is not begun. */
static void test_early_requests_of_a_closed_connection(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 2; level++)
        for (int logged_out = 0; logged_out < 2; logged_out++) {
            struct rig *o, *r = two(level, &o);
            uint8_t first[ISCSI_BHS_LEN], early[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
            uint8_t next[ISCSI_BHS_LEN];
            rig_rw(r, first, false, true, 0, 1);
            send_command(o, early);
            rig_request(o, bhs, ISCSI_OP_NOP_OUT, false);
            rig_send(o, bhs, NULL, 0, "ping", 4);
            rig_request(o, bhs, ISCSI_OP_TMF_REQUEST, false);
            bhs[1] = 0x80 | ISCSI_TMF_LOGICAL_UNIT_RESET;
            rig_send(o, bhs, NULL, 0, NULL, 0);
            if (logged_out)
                assert_int_equal(erl_logout(r, 1, CID), 0);
            else
                rig_cut(o);
            rig_send(r, first, NULL, 0, NULL, 0);
            expect_read(r, first);
            send_command(r, next);
            expect_read(r, next);
            assert_int_equal(r->commands + o->commands, 2);
            assert_int_equal(r->tmfs + o->tmfs, 0);
            rig_run(o);
            rig_free(o);
            rig_free(r);
        }
}

/* Until its turn comes the request itself may come again. */
static void test_early_request_comes_again(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o);
    uint8_t first[ISCSI_BHS_LEN], early[ISCSI_BHS_LEN];
    rig_rw(r, first, false, true, 0, 1);
    send_command(o, early);
    assert_int_equal(erl_logout(r, 1, CID), 0);
    rig_send(r, early, NULL, 0, NULL, 0);
    rig_send(r, early, NULL, 0, NULL, 0); /* once */
    rig_send(r, first, NULL, 0, NULL, 0);
    expect_read(r, first);
    expect_read(r, early);
    erl_expect_nothing(r);
    assert_int_equal(r->commands, 2);
    rig_run(o);
    rig_free(o);
    rig_free(r);
}

/* A command that never came, and can not: those that follow it are not held up. */
static void test_lost_command(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 2; level++)
        for (int before = 0; before < 2; before++) {
            struct rig *o, *r = two(level, &o);
            uint8_t bhs[ISCSI_BHS_LEN];
            uint32_t sn = lose(o);
            if (before) {
                send_command(r, bhs);
                erl_expect_nothing(r);
            }
            rig_cut(o);
            if (!before)
                send_command(r, bhs);
            expect_read(r, bhs);
            assert_true(sn_lt(sn, r->cmd_sn));
            assert_int_equal(r->commands, 1);
            rig_free(o);
            rig_free(r);
        }
}

/* With a third connection on which it may be: that one is asked, and says how far it has come. */
static void test_lost_command_may_be_elsewhere(void **state)
{
    (void)state;
    for (int comes = 0; comes < 2; comes++) {
        struct rig *o, *r = two(0, &o), *q = rig_join(r, 8);
        uint8_t missing[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN], nop[ISCSI_BHS_LEN];
        rig_login(q, KEYS("ImmediateData=Yes\0DataDigest=CRC32C"));
        rig_rw(r, missing, false, true, 0, 1);
        send_command(r, bhs);
        rig_cut(o);
        rig_run(r);
        erl_expect_nothing(r);
        rig_pass(q, NS_PER_MS);
        struct rig_pdu p = rig_expect(q, ISCSI_OP_NOP_IN);
        if (comes) {
            rig_send(q, missing, NULL, 0, NULL, 0);
            expect_read(q, missing);
        } else {
            rig_request(q, nop, ISCSI_OP_NOP_OUT, true);
            be32_put(nop + 16, ISCSI_TAG_NONE);
            be32_put(nop + 20, bhs_ttt(p.bhs));
            rig_send(q, nop, NULL, 0, NULL, 0);
        }
        expect_read(r, bhs);
        assert_int_equal(r->commands + q->commands, 1u + (unsigned)comes);
        rig_free(q);
        rig_free(o);
        rig_free(r);
    }
}

/* What was rejected comes again, as it should be: it is waited for. */
static void test_rejected_request_is_waited_for(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 2; level++) {
        struct rig *o, *r = two(level, &o);
        uint8_t bad[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
        rig_cut(o);
        rig_request(r, bad, ISCSI_OP_NOP_OUT, false);
        erl_send_bad(r, bad, "ping", 4);
        erl_expect_reject(r, ISCSI_REJECT_DATA_DIGEST);
        send_command(r, bhs);
        rig_pass(r, NS_PER_MS);
        struct rig_pdu p;
        while (rig_next(r, &p))
            assert_int_equal(p.opcode, ISCSI_OP_NOP_IN);
        rig_send(r, bad, NULL, 0, "ping", 4);
        rig_run(r);
        assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_NOP_IN).bhs), bhs_itt(bad));
        expect_read(r, bhs);
        rig_free(o);
        rig_free(r);
    }
}

/* A CmdSN out of the window proves nothing. */
static void test_wild_number_fills_no_gap(void **state)
{
    (void)state;
    struct rig *o, *r = two(0, &o), *q = rig_join(r, 8);
    uint8_t missing[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN], nop[ISCSI_BHS_LEN];
    rig_login(q, KEYS("ImmediateData=Yes\0DataDigest=CRC32C"));
    rig_rw(r, missing, false, true, 0, 1);
    send_command(r, bhs);
    rig_cut(o);
    rig_run(r);
    rig_request(q, nop, ISCSI_OP_NOP_OUT, true);
    be32_put(nop + 24, r->cmd_sn + 100000);
    rig_send(q, nop, NULL, 0, NULL, 0);
    rig_run(r);
    erl_expect_nothing(r);
    rig_send(q, missing, NULL, 0, NULL, 0);
    expect_read(r, bhs);
    rig_free(q);
    rig_free(o);
    rig_free(r);
}

/* At level 2 the initiator sends again what is missing (7.2.1). */
static void test_level_2_leaves_the_gap(void **state)
{
    (void)state;
    struct rig *o, *r = two(2, &o);
    uint8_t missing[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
    rig_rw(o, missing, false, true, 0, 1);
    rig_cut(o);
    send_command(r, bhs);
    erl_expect_nothing(r);
    rig_send(r, missing, NULL, 0, NULL, 0);
    expect_read(r, missing);
    expect_read(r, bhs);
    rig_free(o);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_requests_of_a_closed_connection),
        cmocka_unit_test(test_early_request_comes_again),
        cmocka_unit_test(test_lost_command),
        cmocka_unit_test(test_lost_command_may_be_elsewhere),
        cmocka_unit_test(test_rejected_request_is_waited_for),
        cmocka_unit_test(test_wild_number_fills_no_gap),
        cmocka_unit_test(test_level_2_leaves_the_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
