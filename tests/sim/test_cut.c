/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection breaks at every byte of a fixed scenario, in either direction; then a new login
 * with the same names takes the old session's place, and everything is read. */
#include "scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEED = 77 };

static struct sim_options options(bool digests)
{
    struct sim_options opt = sim_options_plain(SEED);
    opt.max_burst = 4096;
    opt.first_burst = 2048;
    opt.tgt_segment = opt.ini_segment = 2048;
    opt.r2ts = 2;
    opt.header_digest = opt.data_digest = digests;
    return opt;
}

static void whole(bool digests, uint64_t *ret_to_tgt, uint64_t *ret_to_ini)
{
    char bad[512];
    const struct sim_options opt = options(digests);
    struct sim *sim = sim_new(&opt);
    struct sim_ini *ini = sim->inis[0];
    assert_true(sim_ini_up(ini));
    struct sim_link *link = ini->link;
    assert_true(scenario(ini));
    *ret_to_tgt = link->to_tgt.total;
    *ret_to_ini = link->to_ini.total;
    scenario_verify(sim);
    bool good = sim_end(sim, bad);
    assert_string_equal(bad, "");
    assert_true(good);
}

/* Returns whether the link broke before the end. */
static bool cut_at(bool digests, bool to_tgt, uint64_t at)
{
    char bad[512];
    const struct sim_options opt = options(digests);
    struct sim *sim = sim_new(&opt);
    struct sim_ini *ini = sim->inis[0];
    sim_ini_login(ini);
    struct sim_link *link = ini->link;
    *(to_tgt ? &link->cut_to_tgt : &link->cut_to_ini) = at;
    while (ini->state == SIM_INI_LOGIN && sim_step(sim))
        ;
    bool whole = ini->state == SIM_INI_UP && scenario(ini);
    scenario_verify(sim);
    if (!sim_end(sim, bad))
        fail_msg("cut %s after %llu bytes: %s", to_tgt ? "to the target" : "to the initiator",
                 (unsigned long long)at, bad);
    return !whole;
}

static void every_byte(bool digests, bool to_tgt, uint64_t step)
{
    uint64_t end[2], broke = 0;
    whole(digests, &end[0], &end[1]);
    uint64_t last = end[to_tgt ? 0 : 1];
    assert_true(last > 10000);
    for (uint64_t at = 0; at < last; at += step)
        broke += cut_at(digests, to_tgt, at);
    assert_int_equal(broke, (last + step - 1) / step);
}

static void test_cut_to_target(void **state)
{
    (void)state;
    every_byte(false, true, 1);
}

static void test_cut_to_initiator(void **state)
{
    (void)state;
    every_byte(false, false, 1);
}

static void test_cut_with_digests(void **state)
{
    (void)state;
    every_byte(true, true, 5);
    every_byte(true, false, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_to_target),
        cmocka_unit_test(test_cut_to_initiator),
        cmocka_unit_test(test_cut_with_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
