/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of the world are seen to fail: each thing that must not be is done once by the world
 * itself, and is found within a few seeds, for the reason it should be. */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct mutant {
    enum sim_mutant what;
    const char *texts[4]; /* any of them */
} mutants[] = {
    { SIM_LOSES, { "was in force" } },
    { SIM_TEARS, { "is torn" } },
    { SIM_REPEATS, { "after its initiator saw its end", "takes effect again" } },
    { SIM_LATE, { "was in force" } },
    { SIM_FORGETS, { "said to be durable" } },
    { SIM_EARLY, { "after its initiator saw its end", "was in force" } },
    { SIM_STALE, { "was in force", "never written" } },
    { SIM_TWICE, { "is carried out twice" } },
    { SIM_LEAKS, { "under another's reservation" } },
    { SIM_SILENT, { "has no answer" } },
    { SIM_HOARDS, { "allocations of the target left" } },
    { SIM_LEAVES, { "after its initiator saw its end", "takes effect again" } },
    { SIM_REISSUES, { "takes effect again" } },
    { SIM_TRUSTS, { "was in force", "nobody wrote" } },
};

enum { SEEDS = 150 };

static struct sim_options options(uint64_t seed, enum sim_mutant what)
{
    struct sim_options o = sim_options_plain(seed);
    o.mutant = what;
    o.ops = 60;
    o.disk_ns = 2 * NS_PER_MS;
    o.wce = seed % 2;
    if (what == SIM_LEAKS)
        o.pr_permille = 150;
    if (what == SIM_FORGETS)
        o.owner_permille = 30;
    if (what == SIM_LEAVES)
        o.logout_permille = 100;
    if (what == SIM_REISSUES || what == SIM_TRUSTS)
        o.cut_permille = 30;
    return o;
}

static bool found(const struct mutant *m, char *bad)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const struct sim_options o = options(seed, m->what);
        struct sim *sim = sim_new(&o);
        sim_load(sim);
        if (sim_end(sim, bad))
            continue;
        for (unsigned i = 0; i < 4 && m->texts[i]; i++) {
            if (strstr(bad, m->texts[i]))
                return true;
        }
        return false;
    }
    return false;
}

static void test_each_is_found(void **state)
{
    (void)state;
    _Static_assert(sizeof(mutants) / sizeof(mutants[0]) == SIM_MUTANTS - 1, "all but honesty");
    for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        char bad[512] = "nothing was found";
        if (!found(&mutants[i], bad))
            fail_msg("mutant %d: %s", (int)mutants[i].what, bad);
    }
}

/* The same worlds without it are well. */
static void test_honest_ones_are_well(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        for (uint64_t seed = 1; seed <= 10; seed++) {
            char bad[512];
            struct sim_options o = options(seed, mutants[i].what);
            o.mutant = SIM_HONEST;
            struct sim *sim = sim_new(&o);
            sim_load(sim);
            if (!sim_end(sim, bad))
                fail_msg("without mutant %d, seed %llu: %s", (int)mutants[i].what,
                         (unsigned long long)seed, bad);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_found),
        cmocka_unit_test(test_honest_ones_are_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
