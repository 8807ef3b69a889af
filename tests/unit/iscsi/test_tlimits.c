/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an initiator can make the target keep, and for how long. */
#include "tconn_rig.h"

#include <string.h>

#define KEYS(s) s, sizeof(s)

static const uint64_t timeout_ns = 60 * NS_PER_SEC;

static struct rig *rig_with_timeout(uint64_t seed)
{
    struct rig *r = rig_new(seed);
    iscsi_tconn_free(r->conn);
    r->cfg.progress_timeout_ns = timeout_ns;
    r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
    return r;
}

/* Let time go by, to `until` or the end of the connection. */
static void pass(struct rig *r, uint64_t until)
{
    while (!r->closed && r->now_ns < until) {
        uint64_t at = iscsi_tconn_deadline(r->conn);
        if (at > r->now_ns)
            r->now_ns = time_min(until, at);
        iscsi_tconn_tick(r->conn, r->now_ns);
        rig_run(r);
    }
}

static void expect_closed(struct rig *r, uint64_t since, const char *word)
{
    pass(r, since + timeout_ns - 1);
    assert_false(r->closed);
    pass(r, since + timeout_ns + timeout_ns / 4 + 1);
    assert_true(r->closed);
    assert_int_equal(r->close_err, USAN_ETIMEOUT);
    assert_non_null(strstr(r->close_why, word));
}

static void test_data_asked_for_never_comes(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(1);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
    pass(r, r->now_ns + 500 * NS_PER_SEC); /* silence alone is no fault */
    assert_false(r->closed);
    uint64_t start = r->now_ns;
    rig_rw(r, bhs, true, true, 0, 4);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    (void)rig_expect(r, ISCSI_OP_R2T);
    /* other traffic does not help */
    for (unsigned i = 1; i < 6; i++) {
        pass(r, start + i * 10 * NS_PER_SEC);
        rig_rw(r, bhs, false, true, 0, 1);
        rig_send(r, bhs, NULL, 0, NULL, 0);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
    }
    expect_closed(r, start, "data");
    rig_free(r);
}

static void test_unsolicited_data_never_comes(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) { /* also of a command that waits for its turn */
        struct rig *r = rig_with_timeout(2);
        uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
        rig_login(r, KEYS("InitialR2T=No\0ImmediateData=Yes"));
        r->cmd_sn += (uint32_t)held;
        rig_rw(r, bhs, true, false, 0, 4);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
        expect_closed(r, r->now_ns, "data");
        rig_free(r);
    }
}

static void test_half_a_data_segment(void **state)
{
    (void)state;
    for (int nop = 0; nop < 2; nop++) {
        struct rig *r = rig_with_timeout(3);
        uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
        rig_login(r, KEYS("ImmediateData=Yes"));
        if (nop)
            rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
        else
            rig_rw(r, bhs, true, true, 0, 2);
        be24_put(bhs + 5, 1024);
        rig_feed(r, bhs, sizeof bhs);
        rig_feed(r, data, 100);
        pass(r, r->now_ns + 50 * NS_PER_SEC);
        rig_feed(r, data, 100); /* counts from here again */
        expect_closed(r, r->now_ns, "data");
        rig_free(r);
    }
}

/* ---- what is no excuse ---- */

static uint32_t owed_write(struct rig *r, uint16_t blocks)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_rw(r, bhs, true, true, 0, blocks);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    return be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
}

/* Every 50 seconds something else comes, for ten minutes; the connection is to end when the data
 * of its first command is late. */
static void expect_no_excuse(struct rig *r, void (*other)(struct rig *r, uint32_t i))
{
    uint64_t start = r->now_ns;

    for (uint32_t i = 0; i < 12 && !r->closed; i++) {
        pass(r, start + (i + 1) * 50 * NS_PER_SEC);
        if (i == 0)
            assert_false(r->closed);
        if (!r->closed)
            other(r, i);
    }
    assert_true(r->closed);
    assert_int_equal(r->close_err, USAN_ETIMEOUT);
    assert_non_null(strstr(r->close_why, "data"));
    assert_true(r->now_ns <= start + timeout_ns + timeout_ns / 4);
    rig_free(r);
}

static void nop_in_two_reads(struct rig *r, uint32_t i)
{
    (void)i;
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, true);
    be32_put(bhs + 16, ISCSI_TAG_NONE);
    be24_put(bhs + 5, 4);
    rig_feed(r, bhs, sizeof bhs);
    rig_feed(r, "ping", 4);
}

static void test_data_of_a_ping_is_no_progress(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(12);
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
    for (unsigned i = 0; i < 3; i++)
        (void)owed_write(r, 8);
    expect_no_excuse(r, nop_in_two_reads);
}

static void empty_data_out(struct rig *r, uint32_t i)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_data_out(bhs, r->itt, ISCSI_TAG_NONE, i, 0, false);
    rig_send(r, bhs, NULL, 0, NULL, 0);
}

static void test_empty_data_out_is_no_progress(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(13);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("InitialR2T=No\0ImmediateData=Yes"));
    for (unsigned i = 0; i < 2; i++) {
        rig_rw(r, bhs, true, false, 0, 8);
        rig_send(r, bhs, NULL, 0, NULL, 0);
    }
    expect_no_excuse(r, empty_data_out);
}

static void surplus_data_out(struct rig *r, uint32_t i)
{
    uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
    rig_data_out(bhs, r->itt, ISCSI_TAG_NONE, i + 1, 512, false);
    rig_send(r, bhs, NULL, 0, data, sizeof data);
}

static void test_surplus_data_is_no_progress(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(14);
    uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
    rig_login(r, KEYS("InitialR2T=No\0ImmediateData=Yes"));
    r->hold_commands = true;
    rig_rw(r, bhs, true, false, 0, 1); /* all of it comes, but never the end */
    rig_send(r, bhs, NULL, 0, data, sizeof data);
    expect_no_excuse(r, surplus_data_out);
}

static void small_write(struct rig *r, uint32_t i)
{
    (void)i;
    uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
    rig_rw(r, bhs, true, true, 0, 1);
    rig_send(r, bhs, NULL, 0, data, sizeof data);
    assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
}

static void test_data_of_later_commands_is_no_progress(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(15);
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=Yes"));
    (void)owed_write(r, 8);
    expect_no_excuse(r, small_write);
}

/* ---- what is no fault ---- */

/* A slow link: what was asked for comes, one command after the other. The last one has its turn
 * long after the time-out. */
static void test_data_comes_in_the_order_asked_for(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(16);
    uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
    uint32_t ttt[4];
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
    uint32_t itt = r->itt + 1;
    for (unsigned i = 0; i < 4; i++)
        ttt[i] = owed_write(r, 2);
    for (uint32_t i = 0; i < 8; i++) {
        pass(r, r->now_ns + 50 * NS_PER_SEC);
        assert_false(r->closed);
        rig_data_out(bhs, itt + i / 2, ttt[i / 2], i % 2, i % 2 * 512, i % 2);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
    rig_free(r);
}

/* An R2T behind much data that the initiator takes slowly: it is not late with what it has not
 * been asked for. */
static void test_r2t_behind_other_data(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(17);
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iovec iov[16];
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No\0MaxRecvDataSegmentLength=65536"));
    r->deaf = true;
    rig_rw(r, bhs, false, true, 0, 64);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    rig_rw(r, bhs, true, true, 0, 8);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    for (unsigned i = 0; i < 5; i++) {
        pass(r, r->now_ns + 50 * NS_PER_SEC);
        assert_false(r->closed);
        iscsi_tconn_tx_done(r->conn, 100, r->now_ns);
    }
    size_t left = 0; /* now the rest goes out */
    int n = iscsi_tconn_tx(r->conn, iov, 16);
    for (int i = 0; i < n; i++)
        left += iov[i].iov_len;
    iscsi_tconn_tx_done(r->conn, left, r->now_ns);
    assert_false(iscsi_tconn_tx_pending(r->conn));
    pass(r, r->now_ns + timeout_ns - timeout_ns / 4 - 1);
    assert_false(r->closed);
    pass(r, r->now_ns + timeout_ns);
    assert_true(r->closed);
    rig_free(r);
}

/* Pings of our own do not put the look at what is late off. */
static void test_late_data_is_noticed_between_pings(void **state)
{
    (void)state;
    for (unsigned ping_s = 20; ping_s <= 600; ping_s += 580) {
        struct rig *r = rig_with_timeout(18);
        iscsi_tconn_free(r->conn);
        r->cfg.nop_interval_ns = ping_s * NS_PER_SEC;
        r->cfg.nop_timeout_ns = 3600 * NS_PER_SEC;
        r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
        rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
        pass(r, r->now_ns + 19 * NS_PER_SEC);
        (void)owed_write(r, 8);
        expect_closed(r, r->now_ns, "data");
        rig_free(r);
    }
}

/* Requests that wait for one with a lower CmdSN do not wait for ever. */
static void test_missing_request_never_comes(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(11);
    uint8_t first[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN], data[512] = { 0 };
    rig_login(r, KEYS("ImmediateData=Yes"));
    for (unsigned i = 0; i < 3; i++) { /* each time the turn moves it counts anew */
        rig_rw(r, first, false, true, 0, 1);
        rig_rw(r, bhs, true, true, 0, 1);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
        pass(r, r->now_ns + 50 * NS_PER_SEC);
        assert_false(r->closed);
        rig_send(r, first, NULL, 0, NULL, 0);
        (void)rig_expect(r, ISCSI_OP_DATA_IN);
        assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
    }
    r->cmd_sn++;
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
    rig_send(r, bhs, NULL, 0, data, sizeof data);
    expect_closed(r, r->now_ns, "wait");
    rig_free(r);
}

static void test_slow_data_is_progress(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(4);
    uint8_t bhs[ISCSI_BHS_LEN], data[512] = { 0 };
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
    rig_rw(r, bhs, true, true, 0, 8);
    uint32_t itt = r->itt;
    rig_send(r, bhs, NULL, 0, NULL, 0);
    uint32_t ttt = be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 20);
    for (uint32_t i = 0; i < 8; i++) {
        pass(r, r->now_ns + 50 * NS_PER_SEC);
        rig_data_out(bhs, itt, ttt, i, i * 512, i == 7);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
    }
    assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
    /* nothing is awaited any more: the connection may wait for ever, without a timer */
    pass(r, r->now_ns + 500 * NS_PER_SEC);
    assert_false(r->closed);
    assert_true(iscsi_tconn_deadline(r->conn) == TIME_NEVER);
    rig_free(r);
}

static void test_answers_are_not_taken(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(5);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    r->deaf = true;
    rig_rw(r, bhs, false, true, 0, 8);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    for (unsigned i = 0; i < 5; i++) { /* a byte now and then is progress */
        pass(r, r->now_ns + 50 * NS_PER_SEC);
        assert_false(r->closed);
        iscsi_tconn_tx_done(r->conn, 1, r->now_ns);
    }
    expect_closed(r, r->now_ns, "sent");
    rig_free(r);
}

/* An owner that takes its time is not the initiator's fault. */
static void test_slow_device_is_no_stall(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(6);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    r->hold_commands = true;
    rig_rw(r, bhs, false, true, 0, 8);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    pass(r, r->now_ns + 500 * NS_PER_SEC);
    assert_false(r->closed);
    r->deaf = true;
    rig_serve(r, r->held[0]);
    rig_run(r);
    expect_closed(r, r->now_ns, "sent");
    rig_free(r);
}

static void test_text_exchange_is_forgotten(void **state)
{
    (void)state;
    struct rig *r = rig_with_timeout(7);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS(""));
    unsigned live = r->alloc.live;
    rig_request(r, bhs, ISCSI_OP_TEXT_REQUEST, true);
    bhs[1] = 0x40; /* more follows */
    rig_send(r, bhs, NULL, 0, "SendTar", 7);
    uint32_t ttt = bhs_ttt(rig_expect(r, ISCSI_OP_TEXT_RESPONSE).bhs);
    assert_true(r->alloc.live > live);
    pass(r, r->now_ns + timeout_ns + timeout_ns / 4 + 1);
    assert_false(r->closed);
    assert_true(r->alloc.live <= live);
    be32_put(bhs + 20, ttt);
    bhs[1] = 0x80;
    rig_send(r, bhs, NULL, 0, KEYS("gets=All"));
    assert_int_equal(rig_expect(r, ISCSI_OP_REJECT).bhs[2], ISCSI_REJECT_INVALID_FIELD);
    rig_free(r);
}

static void test_zero_is_never(void **state)
{
    (void)state;
    struct rig *r = rig_new(8);
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=No"));
    rig_rw(r, bhs, true, true, 0, 4);
    rig_send(r, bhs, NULL, 0, NULL, 0);
    pass(r, r->now_ns + 100000 * NS_PER_SEC);
    assert_false(r->closed);
    rig_free(r);
}

/* ---- unsolicited data before the owner decides ---- */

static void test_stash_is_given_back_at_once(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig *r = rig_new(9);
        uint8_t bhs[ISCSI_BHS_LEN], data[1024] = { 0 };
        rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=Yes"));
        unsigned live = r->alloc.live;
        r->hold_commands = true;
        rig_rw(r, bhs, true, true, 0, 4);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
        assert_int_equal(r->alloc.live, live + 1);
        if (how == 0) { /* copied out; the rest is asked for */
            rig_serve(r, r->held[0]);
        } else if (how == 1) { /* not wanted */
            r->deaf = true;
            iscsi_task_respond(r->held[0], &(struct iscsi_response){ .status = 8 });
        } else {
            assert_true(iscsi_task_drop(r->held[0]));
        }
        assert_int_equal(r->alloc.live, live);
        rig_free(r);
    }
}

/* Immediate data alone is charged for what it is, not for what might follow. */
static void test_immediate_data_takes_what_it_is(void **state)
{
    (void)state;
    struct rig *r = rig_new(19);
    static uint8_t data[4096];
    uint8_t bhs[ISCSI_BHS_LEN];
    iscsi_tconn_free(r->conn);
    r->cfg.queue_depth = 200;
    r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=Yes\0FirstBurstLength=262144"));
    r->hold_commands = true;
    for (unsigned i = 0; i < 200; i++) {
        rig_rw(r, bhs, true, true, 0, 512);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
    }
    assert_int_equal(r->held_count, 200);
    for (unsigned i = 0; i < 200; i++)
        rig_serve(r, r->held[i]);
    rig_run(r);
    assert_int_equal(r->data_events, 0); /* no stash was refused: the rest is asked for */
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(be32_get(rig_expect(r, ISCSI_OP_R2T).bhs + 40), sizeof data);
    rig_free(r);
}

static void test_stashes_of_a_session_are_bounded(void **state)
{
    (void)state;
    struct rig *r = rig_new(10);
    static uint8_t data[262144];
    uint8_t bhs[ISCSI_BHS_LEN];
    iscsi_tconn_free(r->conn);
    r->cfg.queue_depth = 200;
    r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
    rig_login(r, KEYS("InitialR2T=Yes\0ImmediateData=Yes\0FirstBurstLength=262144"));
    r->hold_commands = true;
    for (unsigned i = 0; i < 129; i++) {
        rig_rw(r, bhs, true, true, 0, 512);
        rig_send(r, bhs, NULL, 0, data, sizeof data);
    }
    assert_int_equal(r->held_count, 129);
    rig_serve(r, r->held[128]); /* beyond 32 MiB */
    rig_run(r);
    assert_int_equal(r->data_err, USAN_ENOMEM);
    assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 2);
    rig_serve(r, r->held[0]);
    rig_run(r);
    assert_int_equal(r->data_err, 0);
    assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
    rig_rw(r, bhs, true, true, 0, 512); /* there is room again */
    rig_send(r, bhs, NULL, 0, data, sizeof data);
    rig_serve(r, r->held[129]);
    rig_run(r);
    assert_int_equal(rig_expect(r, ISCSI_OP_SCSI_RESPONSE).bhs[3], 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_asked_for_never_comes),
        cmocka_unit_test(test_unsolicited_data_never_comes),
        cmocka_unit_test(test_half_a_data_segment),
        cmocka_unit_test(test_data_of_a_ping_is_no_progress),
        cmocka_unit_test(test_empty_data_out_is_no_progress),
        cmocka_unit_test(test_surplus_data_is_no_progress),
        cmocka_unit_test(test_data_of_later_commands_is_no_progress),
        cmocka_unit_test(test_data_comes_in_the_order_asked_for),
        cmocka_unit_test(test_r2t_behind_other_data),
        cmocka_unit_test(test_late_data_is_noticed_between_pings),
        cmocka_unit_test(test_missing_request_never_comes),
        cmocka_unit_test(test_slow_data_is_progress),
        cmocka_unit_test(test_answers_are_not_taken),
        cmocka_unit_test(test_slow_device_is_no_stall),
        cmocka_unit_test(test_text_exchange_is_forgotten),
        cmocka_unit_test(test_zero_is_never),
        cmocka_unit_test(test_stash_is_given_back_at_once),
        cmocka_unit_test(test_immediate_data_takes_what_it_is),
        cmocka_unit_test(test_stashes_of_a_session_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
