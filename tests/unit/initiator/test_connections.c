/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions of several connections: how many there are, commands on all of them, losses. */
#include "session_world.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LOAD = 32 };

static struct io load[LOAD];

static void wait_connections(unsigned count)
{
    uint64_t end = clock_now_ns() + 30 * NS_PER_SEC;
    while (ini_session_connections(world.s) != count) {
        assert_true(clock_now_ns() < end);
        run_for(2 * NS_PER_MS);
    }
}

static void start_load(unsigned round)
{
    for (unsigned i = 0; i < LOAD; i++)
        io_start(&load[i], i % 2 ? 0x28 : 0x2a, round * LOAD + i, (uint8_t)(round + i));
}

static void end_load(const struct rig *rig, unsigned round)
{
    until(&world.pending, 0);
    for (unsigned i = 0; i < LOAD; i++) {
        assert_good(&load[i]);
        if (i % 2 == 0)
            assert_int_equal(rig->disk[(round * LOAD + i) * 512], (uint8_t)(round + i));
    }
}

static void as_many_as_allowed(void **st)
{
    (void)st;
    static const struct {
        const char *options;
        int allowed;
        unsigned count;
    } cases[] = { { "", 8, 1 }, { "?connections=3", 8, 3 }, { "?connections=5", 2, 2 } };
    for (unsigned i = 0; i < 3; i++) {
        struct rig *rig = rig_start();
        atomic_store(&rig->max_connections, cases[i].allowed);
        world_start(rig, 0, cases[i].options, false);
        until(&world.logged_in, 1);
        wait_connections(cases[i].count);
        run_for(50 * NS_PER_MS); /* time for one too many */
        assert_int_equal(ini_session_connections(world.s), cases[i].count);
        assert_int_equal(rig->portals[0].connections, cases[i].count);
        start_load(0);
        end_load(rig, 0);
        assert_int_equal(world.lost, 0);
        world_stop();
        rig_stop(rig);
    }
}

/* They come and go while commands run, and nothing is lost or sent again. */
static void come_and_go(void **st)
{
    (void)st;
    static const unsigned counts[] = { 4, 1, 3, 2, 4, 1 };
    struct rig *rig = rig_start();
    world_start(rig, 0, "?connections=2", false);
    until(&world.logged_in, 1);
    for (unsigned round = 0; round < 6; round++) {
        start_load(round);
        run_for(NS_PER_MS);
        ini_session_set_connections(world.s, counts[round]);
        end_load(rig, round);
        start_load(round + 10);
        wait_connections(counts[round]);
        end_load(rig, round + 10);
    }
    assert_int_equal(world.lost, 0);
    assert_int_equal(ini_session_stats(world.s)->resent, 0);
    world_stop();
    rig_stop(rig);
}

/* Recovery level 0: the session fails with one of them, and comes back with all. */
static void one_is_lost(void **st)
{
    (void)st;
    for (int cut = 1; cut <= 8; cut++) {
        struct rig *rig = rig_start();
        world_start(rig, 0, "?connections=3", false);
        until(&world.logged_in, 1);
        wait_connections(3);
        atomic_store(&rig->cut_after, cut % 2 == 0);
        atomic_store(&rig->cut_at, 3 * cut);
        start_load(0);
        end_load(rig, 0);
        assert_int_equal(world.lost, 1);
        assert_int_equal(world.logged_in, 2);
        assert_true(ini_session_stats(world.s)->resent > 0);
        wait_connections(3);
        start_load(1);
        end_load(rig, 1);
        world_stop();
        rig_stop(rig);
    }
}

/* A further one is refused: the session goes on, and tries again. */
static void one_is_refused(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "", false);
    until(&world.logged_in, 1);
    assert_int_equal(ini_session_connections(world.s), 1);
    atomic_store(&rig->portals[0].refuse, 0x0302);
    ini_session_set_connections(world.s, 2);
    run_for(100 * NS_PER_MS);
    start_load(0);
    end_load(rig, 0);
    assert_int_equal(ini_session_connections(world.s), 1);
    assert_int_equal(world.lost, 0);
    atomic_store(&rig->portals[0].refuse, 0);
    wait_connections(2);
    start_load(1);
    end_load(rig, 1);
    world_stop();
    rig_stop(rig);
}

/* The target wants the connection back whose command hangs: that is sent on the other one. */
static void one_is_logged_out(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "?connections=2", false);
    until(&world.logged_in, 1);
    wait_connections(2);
    atomic_store(&rig->mute, 1);
    start_load(0);
    until(&world.pending, 1);
    rig_call(rig, rig_ask_logout);
    end_load(rig, 0);
    assert_int_equal(world.lost, 0);
    assert_int_equal(ini_session_stats(world.s)->resent, 1);
    wait_connections(2);
    world_stop();
    rig_stop(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_allowed), cmocka_unit_test(come_and_go),
        cmocka_unit_test(one_is_lost),        cmocka_unit_test(one_is_refused),
        cmocka_unit_test(one_is_logged_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
