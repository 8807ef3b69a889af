/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The world itself: the same seed gives the same trace, and the checks see what they are for. */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint64_t trace_of(uint64_t seed, uint64_t *ret_lines)
{
    struct sim_options opt = sim_options_draw(seed);
    struct sim *sim = sim_new(&opt);
    sim_load(sim);
    uint64_t hash = sim->trace_hash;
    *ret_lines = sim->trace_lines;
    assert_true(sim_end(sim, NULL));
    return hash;
}

static void test_same_seed_same_trace(void **state)
{
    (void)state;
    uint64_t last = 0, a_lines, b_lines;
    for (uint64_t seed = 1000; seed < 1010; seed++) {
        uint64_t a = trace_of(seed, &a_lines), b = trace_of(seed, &b_lines);
        assert_int_equal(a, b);
        assert_int_equal(a_lines, b_lines);
        assert_true(a_lines > 100);
        assert_int_not_equal(a, last);
        last = a;
    }
}

/* In every world that damages bytes the longest data segment can arrive. */
static void test_damage_lets_something_through(void **state)
{
    (void)state;
    unsigned damaging = 0;
    for (uint64_t seed = 1; seed <= 100000; seed++) {
        struct sim_options o = sim_options_draw(seed);
        if (!o.flip_bytes)
            continue;
        damaging++;
        assert_true(o.flip_bytes >= 2 * o.ini_segment && o.flip_bytes >= 2 * o.tgt_segment);
    }
    assert_true(damaging > 20000);
}

/* A disk that lies is found out within a few seeds, each with what it did. */
static void sabotage(enum sim_mutant how, const char *text)
{
    char bad[512] = "";
    bool found = false;
    for (uint64_t seed = 1; seed <= 10 && !found; seed++) {
        struct sim_options opt = sim_options_plain(seed);
        opt.ops = 200;
        opt.mutant = how;
        struct sim *sim = sim_new(&opt);
        sim_load(sim);
        found = !sim_end(sim, bad);
    }
    assert_true(found);
    assert_non_null(strstr(bad, text));
}

static void test_lost_write_is_seen(void **state)
{
    (void)state;
    sabotage(SIM_LOSES, "was in force");
}

static void test_torn_block_is_seen(void **state)
{
    (void)state;
    sabotage(SIM_TEARS, "is torn");
}

static void test_write_applied_twice_is_seen(void **state)
{
    (void)state;
    sabotage(SIM_REPEATS, "after its initiator saw its end");
}

static void test_late_write_is_seen_by_readers(void **state)
{
    (void)state;
    sabotage(SIM_LATE, "was in force");
}

/* The model alone: who may read what. */
static void test_model(void **state)
{
    (void)state;
    struct sim_options opt = sim_options_plain(1);
    struct sim *sim = sim_new(&opt);
    uint8_t block[SIM_BLOCK];
    uint32_t a = sim_write_begin(sim, 0, 1, 5, 1), b = sim_write_begin(sim, 1, 1, 5, 1);
    uint64_t start = sim->steps;
    sim_fill(block, 5, 0);
    sim_read_check(sim, 5, 1, block, start); /* both may be still to come */
    sim_fill(block, 5, b);
    sim_read_check(sim, 5, 1, block, start);
    sim_write_end(sim, 5, 1, a, SIM_DONE);
    sim_write_end(sim, 5, 1, b, SIM_DONE);
    sim_fill(block, 5, a);
    sim_read_check(sim, 5, 1, block, sim->steps); /* they overlapped: either may be last */
    assert_string_equal(sim->bad, "");
    sim_fill(block, 5, 0);
    sim_read_check(sim, 5, 1, block, sim->steps);
    assert_non_null(strstr(sim->bad, "was in force"));
    sim->bad[0] = '\0';
    uint32_t c = sim_write_begin(sim, 0, 1, 6, 1);
    sim_write_end(sim, 6, 1, c, SIM_NEVER);
    sim_fill(block, 6, c);
    sim_read_check(sim, 6, 1, block, sim->steps);
    assert_non_null(strstr(sim->bad, "refused"));
    sim->bad[0] = '\0';
    uint32_t d = sim_write_begin(sim, 0, SCSI_ATTR_SIMPLE, 7, 1);
    uint32_t e = sim_write_begin(sim, 0, SCSI_ATTR_ORDERED, 7, 1);
    sim_fill(block, 7, d);
    sim_read_check(sim, 7, 1, block, sim->steps);
    sim_fill(block, 7, e);
    sim_read_check(sim, 7, 1, block, sim->steps);
    assert_string_equal(sim->bad, "");
    sim_fill(block, 7, d);
    sim_read_check(sim, 7, 1, block, sim->steps + 1);
    assert_non_null(strstr(sim->bad, "was in force"));
    sim->bad[0] = '\0';
    assert_true(sim_end(sim, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_trace),
        cmocka_unit_test(test_damage_lets_something_through),
        cmocka_unit_test(test_lost_write_is_seen),
        cmocka_unit_test(test_torn_block_is_seen),
        cmocka_unit_test(test_write_applied_twice_is_seen),
        cmocka_unit_test(test_late_write_is_seen_by_readers),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
