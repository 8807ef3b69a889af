/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of requests: CmdSN, what comes early, and task management over what has not come. */
#include "tconn_rig.h"

#define KEYS(s) s, sizeof(s)

enum { ABORT_TASK = 1, LOGICAL_UNIT_RESET = 5, TARGET_WARM_RESET = 6 };
enum { COMPLETE = 0, NO_TASK = 1 };

static void command(struct rig *r, uint8_t *bhs)
{
    rig_rw(r, bhs, false, true, 0, 1);
}

static void tmf(struct rig *r, uint8_t function, bool immediate, uint32_t ref_itt,
                uint32_t ref_cmd_sn)
{
    uint8_t bhs[ISCSI_BHS_LEN];

    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, immediate);
    bhs[1] = 0x80 | function;
    be32_put(bhs + 20, ref_itt);
    be32_put(bhs + 32, ref_cmd_sn);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

static void expect_nothing(struct rig *r)
{
    struct rig_pdu p;
    assert_false(rig_next(r, &p));
}

static uint8_t tmf_response(struct rig *r)
{
    struct rig_pdu p = rig_expect(r, ISCSI_OP_TMF_RESPONSE);
    return p.bhs[2];
}

/* ---- requests that are no tasks ---- */

static void test_early_nop_out_waits(void **state)
{
    (void)state;
    struct rig *r = rig_new(1);
    uint8_t first[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN], data[300];
    memset(data, 0x3d, sizeof data);
    rig_login(r, KEYS("DataDigest=CRC32C"));
    unsigned live = r->alloc.live;
    command(r, first);
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
    rig_send(r, bhs, NULL, 0, data, sizeof data);
    rig_send(r, bhs, NULL, 0, data, sizeof data); /* a duplicate is ignored */
    expect_nothing(r);
    rig_send(r, first, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_NOP_IN);
    assert_int_equal(bhs_itt(p.bhs), bhs_itt(bhs));
    assert_int_equal(p.data_len, sizeof data);
    assert_memory_equal(p.data, data, sizeof data);
    expect_nothing(r);
    assert_int_equal(r->alloc.live, live);
    rig_free(r);
}

static void test_early_text_and_logout_wait(void **state)
{
    (void)state;
    struct rig *r = rig_new(2);
    uint8_t first[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    command(r, first);
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, false);
    rig_send(r, bhs, NULL, 0, KEYS("SendTargets="));
    rig_request(r, bhs, ISCSI_OP_LOGOUT_REQUEST, false);
    be32_put(bhs + 20, 0);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    expect_nothing(r);
    assert_false(r->closed);
    rig_send(r, first, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    struct rig_pdu p = rig_expect(r, ISCSI_OP_TEXT_RESPONSE);
    assert_memory_equal(p.data, "TargetName=", 11);
    p = rig_expect(r, ISCSI_OP_LOGOUT_RESPONSE);
    assert_int_equal(p.bhs[2], 0);
    assert_true(r->closed);
    assert_int_equal(r->close_err, 0);
    rig_free(r);
}

static void test_early_data_is_bounded(void **state)
{
    (void)state;
    struct rig *r = rig_new(3);
    static uint8_t data[262144];
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    command(r, bhs); /* never sent */
    for (unsigned i = 0; i < 5; i++) {
        assert_false(r->closed);
        rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
    }
    assert_true(r->closed);
    assert_int_equal(r->close_err, USAN_ELIMIT);
    rig_free(r);
}

/* A request that is no task and is rejected, in its turn or early: its CmdSN did not count as
 * received (RFC 7143 11.17.1), and it may come again as it should be. */
static void test_rejected_request_comes_again(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode, flags, reason;
        uint32_t ttt;
        const char *text;
    } bad[] = {
        { ISCSI_OP_TEXT_REQUEST, 0x80, ISCSI_REJECT_PROTOCOL_ERROR, ISCSI_TAG_NONE, "nonsense" },
        { ISCSI_OP_TEXT_REQUEST, 0xc0, ISCSI_REJECT_PROTOCOL_ERROR, ISCSI_TAG_NONE, "a=b" },
        { ISCSI_OP_TEXT_REQUEST, 0x80, ISCSI_REJECT_INVALID_FIELD, 17, "a=b" },
        { ISCSI_OP_LOGOUT_REQUEST, 0x83, ISCSI_REJECT_INVALID_FIELD, 0, NULL },
        { ISCSI_OP_TMF_REQUEST, 0x80, ISCSI_REJECT_INVALID_FIELD, ISCSI_TAG_NONE, NULL },
        { ISCSI_OP_SNACK, 0x80, ISCSI_REJECT_SNACK, ISCSI_TAG_NONE, NULL },
        { 0x1c, 0x80, ISCSI_REJECT_NOT_SUPPORTED, ISCSI_TAG_NONE, NULL },
    };
    for (size_t i = 0; i < 2 * sizeof bad / sizeof bad[0]; i++) {
        struct rig *r = rig_new(i);
        uint8_t first[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN], next[ISCSI_BHS_LEN];
        rig_login(r, KEYS(""));
        if (i % 2)
            command(r, first);
        rig_request(r, bhs, bad[i / 2].opcode, false);
        uint32_t sn = bhs_cmd_sn(bhs);
        bhs[1] = bad[i / 2].flags;
        be32_put(bhs + 20, bad[i / 2].ttt);
        const char *text = bad[i / 2].text;
        rig_send(r, bhs, NULL, 0, text, text ? (uint32_t)strlen(text) + 1 : 0);
        if (i % 2) {
            rig_send(r, first, NULL, 0, NULL, 0);
            command(r, next);
            rig_send(r, next, NULL, 0, NULL, 0);
        }
        unsigned rejects = 0, reads = 0;
        struct rig_pdu p;
        while (rig_next(r, &p)) {
            rejects += p.opcode == ISCSI_OP_REJECT && p.bhs[2] == bad[i / 2].reason;
            reads += p.opcode == ISCSI_OP_DATA_IN;
        }
        assert_int_equal(rejects, 1);
        assert_int_equal(reads, i % 2);
        rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
        be32_put(bhs + 24, sn);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_NOP_IN).bhs), bhs_itt(bhs));
        if (i % 2)
            (void)rig_expect(r, ISCSI_OP_DATA_IN);
        expect_nothing(r);
        rig_free(r);
    }
}

/* ---- ABORT TASK, RFC 7143 11.6.1 ---- */

/* A command that never came counts as received: the window moves past it, and it is ignored when
 * it comes after all. */
static void test_abort_of_missing_command(void **state)
{
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++) {
        struct rig *r = rig_new(4);
        uint8_t missing[ISCSI_BHS_LEN], later[ISCSI_BHS_LEN];
        rig_login(r, KEYS(""));
        command(r, missing);
        if (immediate) {
            command(r, later);
            rig_send(r, later, NULL, 0, NULL, 0);
            expect_nothing(r);
        }
        tmf(r, ABORT_TASK, immediate, bhs_itt(missing), bhs_cmd_sn(missing));
        assert_int_equal(tmf_response(r), COMPLETE);
        assert_int_equal(r->tmfs, 0); /* there is nothing for the device to do */
        if (immediate)
            (void)rig_expect(r, ISCSI_OP_DATA_IN);
        rig_send(r, missing, NULL, 0, NULL, 0);
        expect_nothing(r);
        assert_int_equal(r->commands, (unsigned)immediate);
        command(r, later);
        rig_send(r, later, NULL, 0, NULL, 0);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        rig_free(r);
    }
}

/* The missing one is not the next: its place is kept until the turn comes. */
static void test_abort_of_missing_command_further_on(void **state)
{
    (void)state;
    struct rig *r = rig_new(5);
    uint8_t a[ISCSI_BHS_LEN], b[ISCSI_BHS_LEN], c[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    command(r, a);
    command(r, b);
    command(r, c);
    rig_send(r, c, NULL, 0, NULL, 0);
    tmf(r, ABORT_TASK, true, bhs_itt(b), bhs_cmd_sn(b));
    assert_int_equal(tmf_response(r), COMPLETE);
    rig_send(r, b, NULL, 0, NULL, 0); /* came after all: ignored */
    assert_int_equal(r->commands, 0);
    rig_send(r, a, NULL, 0, NULL, 0);
    assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_DATA_IN).bhs), bhs_itt(a));
    assert_int_equal(bhs_itt(rig_expect(r, ISCSI_OP_DATA_IN).bhs), bhs_itt(c));
    expect_nothing(r);
    rig_free(r);
}

static void test_abort_of_held_command(void **state)
{
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++) {
        struct rig *r = rig_new(6);
        uint8_t first[ISCSI_BHS_LEN], held[ISCSI_BHS_LEN], data[RIG_BLOCK];
        memset(data, 0xee, sizeof data);
        rig_login(r, KEYS("ImmediateData=Yes\0InitialR2T=No"));
        unsigned live = r->alloc.live;
        command(r, first);
        rig_rw(r, held, true, false, 0, 2); /* half of its data comes with it */
        rig_send(r, held, NULL, 0, data, sizeof data);
        tmf(r, ABORT_TASK, immediate, bhs_itt(held), bhs_cmd_sn(held));
        if (!immediate)
            expect_nothing(r); /* has not had its turn either */
        else
            assert_int_equal(tmf_response(r), COMPLETE);
        assert_int_equal(r->alloc.live, live);
        uint8_t bhs[ISCSI_BHS_LEN];
        rig_data_out(bhs, bhs_itt(held), ISCSI_TAG_NONE, 0, RIG_BLOCK, true);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
        expect_nothing(r); /* late data is nobody's */
        rig_send(r, first, NULL, 0, NULL, 0);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        if (!immediate)
            assert_int_equal(tmf_response(r), COMPLETE);
        expect_nothing(r);
        assert_int_equal(r->commands, 1);
        assert_int_equal(r->tmfs, 0);
        assert_int_equal(r->disk[0], 0);
        command(r, first);
        rig_send(r, first, NULL, 0, NULL, 0);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        rig_free(r);
    }
}

static void test_abort_of_no_task(void **state)
{
    (void)state;
    struct rig *r = rig_new(7);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    command(r, bhs);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    tmf(r, ABORT_TASK, true, bhs_itt(bhs), bhs_cmd_sn(bhs)); /* it has ended */
    assert_int_equal(tmf_response(r), NO_TASK);
    tmf(r, ABORT_TASK, true, 0x9999, r->cmd_sn); /* not lower than its own */
    assert_int_equal(tmf_response(r), NO_TASK);
    tmf(r, ABORT_TASK, true, 0x9999, r->max_cmd_sn + 1);
    assert_int_equal(tmf_response(r), NO_TASK);
    tmf(r, ABORT_TASK, true, ISCSI_TAG_NONE, r->cmd_sn - 100);
    assert_int_equal(tmf_response(r), NO_TASK);
    assert_int_equal(r->tmfs, 0);
    r->hold_commands = true; /* one that the device has is the device's to abort */
    command(r, bhs);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    tmf(r, ABORT_TASK, true, bhs_itt(bhs), bhs_cmd_sn(bhs));
    assert_int_equal(r->tmfs, 1);
    rig_free(r);
}

/* ---- functions over many tasks ---- */

/* Whether immediate or not, it comes after the commands with a lower CmdSN. */
static void test_reset_comes_after_earlier_commands(void **state)
{
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++) {
        struct rig *r = rig_new(8);
        uint8_t a[ISCSI_BHS_LEN], b[ISCSI_BHS_LEN], c[ISCSI_BHS_LEN];
        rig_login(r, KEYS(""));
        r->hold_commands = true;
        command(r, a);
        command(r, b);
        rig_send(r, b, NULL, 0, NULL, 0);
        tmf(r, LOGICAL_UNIT_RESET, immediate, ISCSI_TAG_NONE, 0);
        command(r, c);
        rig_send(r, c, NULL, 0, NULL, 0);
        assert_int_equal(r->tmfs, 0);
        rig_send(r, a, NULL, 0, NULL, 0);
        assert_int_equal(r->tmfs, 1);
        assert_int_equal(r->commands_at_tmf, 2);
        assert_int_equal(r->commands, 3);
        assert_int_equal(tmf_response(r), COMPLETE);
        /* nothing is missing: an immediate one is not held up */
        tmf(r, LOGICAL_UNIT_RESET, true, ISCSI_TAG_NONE, 0);
        assert_int_equal(tmf_response(r), COMPLETE);
        rig_free(r);
    }
}

/* A reset of the target does not wait: all up to its CmdSN counts as received. */
static void test_target_reset_plugs_the_sequence(void **state)
{
    (void)state;
    struct rig *r = rig_new(9);
    uint8_t a[ISCSI_BHS_LEN], b[ISCSI_BHS_LEN], c[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    command(r, a);
    command(r, b);
    rig_send(r, b, NULL, 0, NULL, 0);
    tmf(r, TARGET_WARM_RESET, true, ISCSI_TAG_NONE, 0);
    assert_int_equal(r->tmfs, 1);
    assert_int_equal(tmf_response(r), COMPLETE);
    rig_send(r, a, NULL, 0, NULL, 0);
    rig_send(r, b, NULL, 0, NULL, 0);
    expect_nothing(r);
    assert_int_equal(r->commands, 0);
    command(r, c);
    rig_send(r, c, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_DATA_IN);
    rig_free(r);
}

/* ---- the window ---- */

/* The header of an answer opens the window while the answer is still being sent: a command that
 * comes then finds a task, whatever else is busy. */
static void test_window_opens_with_a_header(void **state)
{
    (void)state;
    struct rig *r = rig_new(10);
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iovec iov[4];
    iscsi_tconn_free(r->conn);
    r->cfg.queue_depth = 16;
    r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
    rig_login(r, KEYS(""));
    r->hold_commands = true;
    for (unsigned i = 0; i < 32; i++) {
        rig_rw(r, bhs, false, true, 0, 1);
        if (i < 16) {
            bhs[0] |= 0x40;
            r->cmd_sn--;
        }
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_int_equal(r->held_count, 32);
    r->deaf = true;
    rig_serve(r, r->held[16]);
    rig_run(r);
    assert_true(iscsi_tconn_tx(r->conn, iov, 4) >= 2);
    assert_int_equal(be32_get((uint8_t *)iov[0].iov_base + 32), r->cmd_sn); /* MaxCmdSN */
    iscsi_tconn_tx_done(r->conn, ISCSI_BHS_LEN, r->now_ns);
    rig_rw(r, bhs, false, true, 0, 1);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    assert_int_equal(r->held_count, 33);
    rig_free(r);
}

/* Early requests take their places within the window, not the share of immediate ones. */
static void test_early_requests_leave_the_immediate_share(void **state)
{
    (void)state;
    struct rig *r = rig_new(11);
    uint8_t first[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    command(r, first);
    for (unsigned i = 1; i < r->cfg.queue_depth; i++) {
        rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_false(r->closed);
    expect_nothing(r);
    r->hold_commands = true;
    for (unsigned i = 0; i < 16; i++) {
        rig_rw(r, bhs, false, true, 0, 1);
        bhs[0] |= 0x40;
        r->cmd_sn--;
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    assert_int_equal(r->held_count, 16);
    expect_nothing(r);
    rig_send(r, first, NULL, 0, NULL, 0);
    for (unsigned i = 1; i < r->cfg.queue_depth; i++)
        (void)rig_expect(r, ISCSI_OP_NOP_IN);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_nop_out_waits),
        cmocka_unit_test(test_early_text_and_logout_wait),
        cmocka_unit_test(test_early_data_is_bounded),
        cmocka_unit_test(test_rejected_request_comes_again),
        cmocka_unit_test(test_abort_of_missing_command),
        cmocka_unit_test(test_abort_of_missing_command_further_on),
        cmocka_unit_test(test_abort_of_held_command),
        cmocka_unit_test(test_abort_of_no_task),
        cmocka_unit_test(test_reset_comes_after_earlier_commands),
        cmocka_unit_test(test_target_reset_plugs_the_sequence),
        cmocka_unit_test(test_window_opens_with_a_header),
        cmocka_unit_test(test_early_requests_leave_the_immediate_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
