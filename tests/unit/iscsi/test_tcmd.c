/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of the target role: their order, the window, what is refused or dropped. */
#include "ttask_data.h"

#define KEYS(s) s, sizeof(s)

static void test_cmd_sn_order(void **state)
{
    (void)state;
    struct rig *r = rig_new(7);
    uint8_t a[ISCSI_BHS_LEN], b[ISCSI_BHS_LEN], c[ISCSI_BHS_LEN];
    uint8_t data[RIG_BLOCK];
    struct rig_pdu p;

    rig_login(r, KEYS("ImmediateData=Yes"));
    fill(data, sizeof data, 3);
    rig_rw(r, a, false, true, 0, 1);
    rig_rw(r, b, true, true, 1, 1);
    rig_rw(r, c, false, true, 1, 1);
    uint32_t itt = r->itt - 2;
    rig_send(r, c, NULL, 0, NULL, 0); /* early: all wait for the first */
    rig_send(r, b, NULL, 0, data, sizeof data);
    rig_send(r, b, NULL, 0, data, sizeof data); /* a duplicate */
    assert_int_equal(r->commands, 0);
    assert_false(rig_next(r, &p));
    rig_send(r, a, NULL, 0, NULL, 0);
    assert_int_equal(r->commands, 3);
    p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(bhs_itt(p.bhs), itt);
    p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(bhs_itt(p.bhs), itt + 1);
    p = rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(bhs_itt(p.bhs), itt + 2);
    assert_memory_equal(p.data, data, sizeof data);
    /* outside the window: silently ignored, both sides of it */
    rig_rw(r, a, false, true, 0, 1);
    be32_put(a + 24, r->max_cmd_sn + 1);
    rig_send(r, a, NULL, 0, NULL, 0);
    be32_put(a + 24, r->cmd_sn - 2);
    rig_send(r, a, NULL, 0, NULL, 0);
    assert_false(rig_next(r, &p));
    be32_put(a + 24, r->cmd_sn - 1);
    rig_send(r, a, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    rig_free(r);
}

static void test_window_closes_and_opens(void **state)
{
    (void)state;
    struct rig *r = rig_new(8);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("ImmediateData=Yes"));
    uint32_t first = r->cmd_sn;
    r->hold_commands = true;
    for (unsigned i = 0; i < r->cfg.queue_depth + 5; i++) {
        rig_rw(r, bhs, false, true, 0, 1);
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_int_equal(r->commands, r->cfg.queue_depth);
    for (unsigned i = 0; i < 3; i++)
        rig_serve(r, r->held[i]);
    rig_run(r);
    for (unsigned i = 0; i < 3; i++)
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(r->max_cmd_sn, first + r->cfg.queue_depth - 1 + 3);
    /* fewer are let in: MaxCmdSN stands still, it does not go back */
    iscsi_tsess_set_window(r->sess, 4);
    for (unsigned i = 3; i < 6; i++)
        rig_serve(r, r->held[i]);
    rig_run(r);
    for (unsigned i = 0; i < 3; i++)
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
    assert_int_equal(r->max_cmd_sn, first + r->cfg.queue_depth - 1 + 3);
    rig_free(r);
}

static void test_drop_in_every_phase(void **state)
{
    (void)state;
    uint8_t bhs[ISCSI_BHS_LEN], data[RIG_BLOCK * 4] = { 0 };
    struct rig_pdu p;

    for (unsigned phase = 0; phase < 4; phase++) {
        struct rig *r = rig_new(phase);
        rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=Yes\0FirstBurstLength=1024"));
        r->hold_commands = true;
        rig_rw(r, bhs, true, true, 0, 4);
        uint32_t itt = r->itt;
        if (phase == 0) { /* in the middle of the immediate data */
            be24_put(bhs + 5, 1024);
            rig_feed(r, bhs, ISCSI_BHS_LEN);
            assert_int_equal(r->held_count, 1);
            rig_serve(r, r->held[0]);
            rig_feed(r, data, 100);
            assert_true(iscsi_task_drop(r->held[0]));
            memset(data, 0xff, sizeof data);
            rig_feed(r, data, 924);
            assert_int_equal(r->disk[200], 0);
        } else {
            rig_send(r, bhs, NULL, 0, data, 512);
            if (phase >= 2)
                rig_serve(r, r->held[0]);
            if (phase == 3) {
                rig_run(r);
                uint32_t ttt = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
                rig_data_out(bhs, itt, ttt, 0, 512, false);
                rig_send(r, bhs, NULL, 0, data, 512);
            }
            assert_true(iscsi_task_drop(r->held[0]));
        }
        rig_run(r);
        assert_false(rig_next(r, &p));
        assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
        r->hold_commands = false;
        (void)check_read(r, 0, 4);
        rig_free(r);
    }
}

/* The CmdSN of a rejected command does not count as received (RFC 7143 11.17.1): the command may
 * come again, as it should be, with the same. */
static void test_immediate_data_rules(void **state)
{
    (void)state;
    uint8_t bhs[ISCSI_BHS_LEN], data[2048] = { 0 };
    struct rig_pdu p;
    struct rig *r = rig_new(11);
    rig_login(r, KEYS("ImmediateData=No\0InitialR2T=Yes"));
    rig_rw(r, bhs, true, true, 0, 1);
    rig_send(r, bhs, NULL, 0, data, 512);
    p = rig_expect(r, ISCSI_OP_REJECT);
    assert_int_equal(p.bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
    assert_int_equal(be32_get(p.bhs + 28), r->cmd_sn - 1); /* ExpCmdSN */
    r->cmd_sn--;
    rig_rw(r, bhs, false, true, 0, 1); /* a read with data */
    rig_send(r, bhs, NULL, 0, data, 512);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
    r->cmd_sn--;
    rig_rw(r, bhs, true, false, 0, 4); /* unsolicited data with InitialR2T=Yes */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
    r->cmd_sn--;
    rig_rw(r, bhs, false, true, 0, 1);
    be32_put(bhs + 16, ISCSI_TAG_NONE);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_INVALID_FIELD);
    assert_int_equal(r->commands, 0);
    r->cmd_sn--;
    (void)check_read(r, 0, 1);
    r->hold_commands = true;
    rig_rw(r, bhs, false, true, 0, 1);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    be32_put(bhs + 24, r->cmd_sn); /* its tag is in use */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_TASK_IN_PROGRESS);
    r->hold_commands = false;
    (void)check_read(r, 0, 1);
    rig_free(r);
}

/* A command in its turn for which there is no memory is answered like one that no buffer is left
 * for. */
static void test_no_memory_for_a_task(void **state)
{
    (void)state;
    struct rig *r = rig_new(19);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    r->hold_commands = true;
    for (unsigned i = 0; i < 17; i++) {
        r->alloc.fail_at = i == 16 ? r->alloc.calls + 1 : 0;
        rig_rw(r, bhs, false, true, 0, 1);
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_int_equal(r->held_count, 16);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
    assert_int_equal(bhs_itt(p.bhs), bhs_itt(bhs));
    assert_int_equal(p.bhs[1], 0x80 | PDU_RESID_UNDERFLOW);
    assert_int_equal(p.bhs[2], 0);
    assert_int_equal(p.bhs[3], 0x28); /* TASK SET FULL */
    assert_int_equal(be32_get(p.bhs + 44), RIG_BLOCK);
    r->hold_commands = false;
    (void)check_read(r, 0, 1); /* the next finds memory again */
    rig_free(r);
}

/* What is rejected early leaves a gap: what follows waits until it has come as it should. */
static void test_refused_early_request(void **state)
{
    (void)state;
    struct rig *r = rig_new(13);
    uint8_t a[ISCSI_BHS_LEN], b[ISCSI_BHS_LEN], data[512] = { 0 };
    rig_login(r, KEYS("ImmediateData=No"));
    rig_rw(r, a, false, true, 0, 1);
    rig_rw(r, b, true, true, 0, 1);
    rig_send(r, b, NULL, 0, data, sizeof data); /* early, and with data that is not allowed */
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
    rig_send(r, a, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    rig_rw(r, a, false, true, 0, 1);
    rig_send(r, a, NULL, 0, NULL, 0);
    struct rig_pdu p;
    assert_false(rig_next(r, &p));
    be24_put(b + 5, 0);
    rig_send(r, b, NULL, 0, NULL, 0);
    assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_R2T).bhs), bhs_itt(b));
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    (void)check_read(r, 0, 1);
    rig_free(r);
}

static void test_extended_cdb_and_bidi_ahs(void **state)
{
    (void)state;
    struct rig *r = rig_new(12);
    uint8_t bhs[ISCSI_BHS_LEN], ahs[8 + 20] = { 0 };
    rig_login(r, KEYS("ImmediateData=Yes"));
    r->hold_commands = true;
    rig_rw(r, bhs, true, true, 0, 1);
    bhs[1] |= 0x40; /* bidirectional */
    bhs[32] = 0x7f;
    be16_put(ahs, 5); /* read length 4660 */
    ahs[2] = 2;
    be32_put(ahs + 4, 4660);
    be16_put(ahs + 8, 17); /* 16 more CDB bytes */
    ahs[10] = 1;
    for (unsigned i = 0; i < 16; i++)
        ahs[12 + i] = (uint8_t)(0xa0 + i);
    rig_send(r, bhs, ahs, sizeof ahs, NULL, 0);
    assert_int_equal(r->held_count, 1);
    const struct iscsi_task *t = r->held[0];
    assert_int_equal(t->cdb_len, 32);
    assert_int_equal(t->cdb[16], 0xa0);
    assert_int_equal(t->cdb[31], 0xaf);
    assert_int_equal(t->in_expected, 4660);
    assert_int_equal(t->out_expected, 512);
    /* lengths that lie */
    be16_put(ahs + 8, 700);
    rig_rw(r, bhs, true, true, 0, 1);
    rig_send(r, bhs, ahs, sizeof ahs, NULL, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_PROTOCOL_ERROR);
    rig_free(r);
}

/* Immediate requests beyond their share are rejected, and take nothing from the window: MaxCmdSN
 * is a promise (RFC 7143 4.2.2.1). */
static void test_immediate_ones_leave_the_window(void **state)
{
    (void)state;
    struct rig *r = rig_new(31);
    uint8_t bhs[ISCSI_BHS_LEN];
    struct rig_pdu p;

    rig_login(r, KEYS(""));
    r->hold_commands = true;
    for (unsigned i = 0; i < 20; i++) {
        rig_rw(r, bhs, false, true, 0, 1);
        bhs[0] |= 0x40;
        r->cmd_sn--;
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_int_equal(r->held_count, 16);
    for (unsigned i = 16; i < 20; i++) {
        p = rig_expect(r, ISCSI_OP_REJECT);
        assert_int_equal(p.bhs[2], ISCSI_REJECT_TOO_MANY_IMMEDIATE);
    }
    for (unsigned i = 0; i < r->cfg.queue_depth; i++) {
        rig_rw(r, bhs, false, true, 0, 1);
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_false(rig_next(r, &p));
    assert_int_equal(r->held_count, 16 + r->cfg.queue_depth);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmd_sn_order),
        cmocka_unit_test(test_window_closes_and_opens),
        cmocka_unit_test(test_drop_in_every_phase),
        cmocka_unit_test(test_immediate_data_rules),
        cmocka_unit_test(test_no_memory_for_a_task),
        cmocka_unit_test(test_refused_early_request),
        cmocka_unit_test(test_extended_cdb_and_bidi_ahs),
        cmocka_unit_test(test_immediate_ones_leave_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
