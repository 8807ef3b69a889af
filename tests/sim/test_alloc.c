/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every allocation of the cores of either end fails, once and for ever, from the connection's start
 * on; then memory is there again, and everything works. */
#include "scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEED = 78 };

static struct sim_options options(void)
{
    struct sim_options opt = sim_options_plain(SEED);
    opt.max_burst = 4096;
    opt.first_burst = 2048;
    opt.tgt_segment = opt.ini_segment = 2048;
    return opt;
}

/* Reservations allocate too. */
static bool work(struct sim_ini *ini)
{
    if (!sim_clear_ua(ini))
        return false;
    struct sim_op *op = sim_pr_out(ini, 6, 0, 0, 0x77);
    if (!sim_wait(ini->sim, op))
        return false;
    op = sim_pr_out(ini, 3, 0, 0x77, 0);
    return sim_wait(ini->sim, op) && scenario(ini);
}

static struct sim_alloc *of(struct sim *sim, bool initiator)
{
    return initiator ? &sim->ini_alloc : &sim->alloc;
}

static uint64_t calls_of_all(bool initiator)
{
    const struct sim_options opt = options();
    struct sim *sim = sim_new(&opt);
    uint64_t before = of(sim, initiator)->calls;
    assert_true(sim_ini_up(sim->inis[0]));
    assert_true(work(sim->inis[0]));
    uint64_t calls = of(sim, initiator)->calls - before;
    assert_true(sim_end(sim, NULL));
    return calls;
}

static void fail_at(bool initiator, uint64_t n, bool for_ever)
{
    char bad[512];
    const struct sim_options opt = options();
    struct sim *sim = sim_new(&opt);
    struct sim_ini *ini = sim->inis[0];
    struct sim_alloc *a = of(sim, initiator);
    a->fail_at = a->calls + n;
    a->for_ever = for_ever;
    if (sim_ini_up(ini))
        (void)work(ini);
    if (!sim->bad[0])
        assert_true(a->failed > 0);
    a->fail_at = 0;
    if (ini->state == SIM_INI_UP) {
        /* What was not closed has to go on: nothing is left without an answer. */
        if (ini->open)
            fail_msg("allocation %llu%s: %u requests without an answer", (unsigned long long)n,
                     for_ever ? " and all after" : "", ini->open);
        if (!sim_clear_ua(ini))
            fail_msg("allocation %llu%s of the %s: nothing works any more", (unsigned long long)n,
                     for_ever ? " and all after" : "", initiator ? "initiator" : "target");
        sim_link_cut(ini->link);
    }
    while (ini->state != SIM_INI_DOWN && sim_step(sim))
        ;
    scenario_verify(sim);
    if (!sim_end(sim, bad))
        fail_msg("allocation %llu%s: %s", (unsigned long long)n, for_ever ? " and all after" : "",
                 bad);
}

static void each(bool initiator, bool for_ever)
{
    uint64_t calls = calls_of_all(initiator);
    assert_true(calls > (initiator ? 5 : 20));
    for (uint64_t n = 1; n <= calls; n++)
        fail_at(initiator, n, for_ever);
}

static void test_each_fails_once(void **state)
{
    (void)state;
    each(false, false);
    each(true, false);
}

static void test_each_and_all_after_it_fail(void **state)
{
    (void)state;
    each(false, true);
    each(true, true);
}

/* The logical unit itself. */
static void test_unit_is_made_or_not(void **state)
{
    (void)state;
    const struct sim_options opt = options();
    struct sim *sim = sim_new(&opt);
    const struct scsi_lu_config cfg = *scsi_lu_config(sim->lu);
    uint64_t live = sim->alloc.live, before = sim->alloc.calls;
    struct scsi_lu *lu = scsi_lu_new(&cfg, &sim->alloc.a);
    assert_non_null(lu);
    uint64_t calls = sim->alloc.calls - before;
    assert_true(calls > 0);
    scsi_lu_free(lu);
    assert_int_equal(sim->alloc.live, live);
    for (uint64_t n = 1; n <= calls; n++) {
        sim->alloc.fail_at = sim->alloc.calls + n;
        assert_null(scsi_lu_new(&cfg, &sim->alloc.a));
        assert_int_equal(sim->alloc.live, live);
    }
    assert_true(sim_end(sim, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_fails_once),
        cmocka_unit_test(test_each_and_all_after_it_fail),
        cmocka_unit_test(test_unit_is_made_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
