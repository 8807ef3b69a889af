/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time-lines of both roles, against RFC 7143 section 8. */
#include "test.h"

#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

static struct sim_scenario sc;
static struct sim_result res;
static struct sim_timeline steps;
static char text[2][4096];

static int setup(void **state)
{
    (void)state;
    sim_scenario_init(&sc);
    sc.warm_up_ns = 0;
    sc.duration_ns = 50 * NS_PER_MS;
    sc.network.trunk_bps = sc.network.rate_bps;
    sc.target.side.params.time2wait = 0;
    sc.target.side.params.retain_at_level_2 = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_timeline_free(&steps);
    return 0;
}

/* "0 T1 0 T4 s N1": what each role went through, connections by their CID. */
static void run(void)
{
    const struct sim_look look = { .timeline = &steps };
    struct err_text e = { "" };
    size_t len[2] = { 0, 0 };
    if (sim_run(&sc, &sim_world_pipe, &look, &res, &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < steps.count; i++) {
        const struct sim_step *s = &steps.v[i];
        bool t = s->role == ISCSI_ROLE_TARGET;
        char who[8];
        (void)snprintf(who, sizeof(who), s->session ? "s" : s->cid < 0 ? "-" : "%d", s->cid);
        len[t] += (size_t)snprintf(text[t] + len[t], sizeof(text[t]) - len[t], "%s%s %s",
                                   len[t] ? " " : "", who, s->transition);
        assert_int_equal(s->initiator, 1);
        assert_true(i == 0 || steps.v[i - 1].at_ns <= s->at_ns);
        assert_true(s->at_ns <= res.end_ns);
    }
}

static void in_order(void **state)
{
    (void)state;
    run();
    assert_string_equal(text[ISCSI_ROLE_INITIATOR], "0 T1 0 T4 0 T5 s N1 0 T9 0 T13 s N3");
    assert_string_equal(text[ISCSI_ROLE_TARGET], "- T3 - T4 s N1 0 T5 s N2 0 T9 0 T13 s N3");
    const struct sim_step *s = &steps.v[0];
    assert_int_equal(s->at_ns, 0);
    assert_string_equal(s->from, "S1 FREE");
    assert_string_equal(s->to, "S2 XPT_WAIT");
    assert_string_equal(s->event, "transport connection asked for");
    s = &steps.v[1];
    assert_int_equal(s->at_ns, 2 * sc.network.delay_ns);
    assert_string_equal(s->transition, "T4");
    s = &steps.v[2];
    assert_int_equal(s->role, ISCSI_ROLE_TARGET);
    assert_int_equal(s->at_ns, 3 * sc.network.delay_ns);
    assert_string_equal(s->to, "S3 XPT_UP");
}

static void break_at(uint64_t ns, uint32_t connection)
{
    sc.faults[sc.fault_count++] =
        (struct sim_fault){ .at_ns = ns, .initiator = 1, .connection = connection };
}

/* Level 0: the session fails and is reinstated; the target makes a new one. */
static void session_recovery(void **state)
{
    (void)state;
    sc.duration_ns = 200 * NS_PER_MS;
    break_at(20 * NS_PER_MS, SIM_ALL);
    run();
    assert_string_equal(text[ISCSI_ROLE_INITIATOR], "0 T1 0 T4 0 T5 s N1 0 T15 s N5 0 M1 0 T1 0 T4 "
                                                    "0 T5 s N6 s N1 0 T9 0 T13 s N3");
    /* It does not wait for anybody (N5 and N6 are one moment), and has no state of the lost one. */
    assert_non_null(strstr(text[ISCSI_ROLE_TARGET], "0 T15 s N5"));
    assert_non_null(strstr(text[ISCSI_ROLE_TARGET], "- T3 - T4 s N1 0 T5 s N2 0 T9 0 T13 s N3"));
    assert_true(res.repeated > 0);
    assert_int_equal(res.failed, 0);
    assert_int_equal(res.logins, 2);
}

/* Level 2: all connections are lost, one comes back, and the session with it. */
static void continuation(void **state)
{
    (void)state;
    sc.initiator.side.params.error_recovery_level = 2;
    sc.duration_ns = 300 * NS_PER_MS;
    break_at(20 * NS_PER_MS, SIM_ALL);
    run();
    assert_string_equal(text[ISCSI_ROLE_INITIATOR],
                        "0 T1 0 T4 0 T5 s N1 0 T15 s N5 0 T1 0 T4 0 M2 0 T5 s N4 0 M4 "
                        "0 T9 0 T13 s N3");
    assert_string_equal(text[ISCSI_ROLE_TARGET],
                        "- T3 - T4 s N1 0 T5 s N2 0 T15 s N5 - T3 - T4 s N7 0 M2 0 T5 s N10 0 M4 "
                        "0 T9 0 T13 s N3");
    assert_int_equal(res.repeated, 0); /* they were reassigned */
    assert_int_equal(res.failed, 0);
}

/* Level 2, two connections: one is lost, the other logs it out. */
static void connection_recovery(void **state)
{
    (void)state;
    sc.initiator.side.params.error_recovery_level = 2;
    sc.initiator.side.params.max_connections = 2;
    sc.initiator.connections = 2;
    sc.duration_ns = 300 * NS_PER_MS;
    break_at(20 * NS_PER_MS, 1);
    run();
    assert_string_equal(text[ISCSI_ROLE_INITIATOR],
                        "0 T1 0 T4 0 T5 s N1 1 T1 1 T4 1 T5 1 T15 1 M2 1 M4 1 T1 1 T4 1 T5 "
                        "0 T9 0 T13 1 T8 s N3");
    assert_non_null(strstr(text[ISCSI_ROLE_TARGET], "1 T15 1 M2 1 M4 - T3 - T4 1 T5"));
    assert_int_equal(res.repeated + res.failed, 0);
}

/* A log that nobody takes is full at last; what is lost is not lost silently. */
static uint32_t me(void *ctx, const struct iscsi_step *step)
{
    (void)step;
    return *(uint32_t *)ctx;
}

static void full_log(void **state)
{
    uint64_t now = 7;
    uint32_t who = 3;
    struct iscsi_steps log = { .now_ns = &now };
    const struct iscsi_step step = { .role = ISCSI_ROLE_INITIATOR, .cid = 5, .transition = "T1" };
    (void)state;
    iscsi_steps_add(NULL, &step);
    for (int i = 0; i < ISCSI_STEPS_MAX; i++)
        iscsi_steps_add(&log, &step);
    assert_int_equal(sim_timeline_take(&steps, &log, me, &who), 0);
    assert_int_equal(steps.count, ISCSI_STEPS_MAX);
    assert_int_equal(steps.v[0].at_ns, 7);
    assert_int_equal(steps.v[0].cid, 5);
    assert_int_equal(steps.v[0].initiator, 3);
    for (int i = 0; i <= ISCSI_STEPS_MAX; i++)
        iscsi_steps_add(&log, &step);
    assert_int_equal(log.dropped, 1);
    assert_int_equal(sim_timeline_take(&steps, &log, me, &who), USAN_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(session_recovery, setup, teardown),
        cmocka_unit_test_setup_teardown(continuation, setup, teardown),
        cmocka_unit_test_setup_teardown(connection_recovery, setup, teardown),
        cmocka_unit_test_setup_teardown(full_log, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
