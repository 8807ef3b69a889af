/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 2: connections are lost, the session and its commands are not. */
#include "session_world.h"

#include "base/bytes.h"
#include "io/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LOAD = 24 };

static struct io load[LOAD];

static struct rig *begin(int recovery, const char *options)
{
    struct rig *rig = rig_start();
    atomic_store(&rig->recovery, recovery);
    world_start(rig, 0, options, false);
    until(&world.logged_in, 1);
    assert_int_equal(ini_session_params(world.s)->error_recovery_level, recovery);
    return rig;
}

static void end(struct rig *rig)
{
    world_stop();
    rig_stop(rig);
}

static void wait_connections(unsigned count)
{
    uint64_t end_ns = clock_now_ns() + 30 * NS_PER_SEC;
    while (ini_session_connections(world.s) != count) {
        assert_true(clock_now_ns() < end_ns);
        run_for(2 * NS_PER_MS);
    }
}

/* Each block of COMPARE AND WRITE is written once only: it would miscompare with itself. */
static void start_load(void)
{
    for (unsigned i = 0; i < LOAD; i++)
        io_start(&load[i], i % 3 == 0 ? 0x89 : i % 3 == 1 ? 0x2a : 0x28, i, (uint8_t)(i + 1));
    for (unsigned i = 0; i < LOAD; i += 3)
        memset(load[i].data, 0, 512); /* what is there */
}

static void end_load(struct rig *rig)
{
    until(&world.pending, 0);
    for (unsigned i = 0; i < LOAD; i++) {
        assert_good(&load[i]);
        if (i % 3 < 2)
            assert_int_equal(rig_disk(rig)[i * 512], i + 1);
    }
}

/* The connection is cut at each of the commands, before or after it is carried out: all of them
 * come to their end, each done once. */
static void commands_go_on(void **st)
{
    (void)st;
    static const char *const options[] = { "?error_recovery=2", "?error_recovery=2&connections=3" };
    for (unsigned o = 0; o < 2; o++) {
        for (int cut = 1; cut <= LOAD; cut += 5) {
            struct rig *rig = begin(2, options[o]);
            wait_connections(o ? 3 : 1);
            atomic_store(&rig->log_count, 0);
            atomic_store(&rig->cut_after, cut % 2);
            atomic_store(&rig->cut_at, cut);
            start_load();
            end_load(rig);
            assert_int_equal(world.lost, 0);
            assert_int_equal(ini_session_stats(world.s)->resent, 0);
            assert_true(ini_session_stats(world.s)->recoveries >= 1);
            wait_connections(o ? 3 : 1);
            write_and_read(100);
            end(rig);
        }
    }
}

/* The target forgets the session: it is lost as at level 0, and comes back. */
static void session_is_gone(void **st)
{
    (void)st;
    struct rig *rig = begin(2, "?error_recovery=2");
    rig_down(rig);
    struct io io[4];
    for (unsigned i = 0; i < 4; i++)
        io_start(&io[i], i % 2 ? 0x28 : 0x2a, i, 3);
    run_for(50 * NS_PER_MS);
    rig_up(rig);
    until(&world.pending, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_good(&io[i]);
    assert_int_equal(world.lost, 1);
    assert_int_equal(world.logged_in, 2);
    write_and_read(9);
    end(rig);
}

/* A session that is dropped because nothing helps does not come back as it was. */
static void dropped(void **st)
{
    (void)st;
    struct rig *rig = begin(2, "?error_recovery=2&connections=2&command_timeout=100ms");
    wait_connections(2);
    atomic_store(&rig->abort_response, 5);
    atomic_store(&rig->reset_response, 5);
    atomic_store(&rig->mute, 1);
    struct io io;
    io_start(&io, 0x2a, 3, 1);
    until(&world.lost, 1);
    until(&world.pending, 0);
    assert_good(&io);
    assert_int_equal(ini_session_stats(world.s)->drops, 1);
    assert_int_equal(world.logged_in, 2);
    end(rig);
}

/* A command is late because its connection is being recovered: it can not be aborted now, and the
 * unit, which others use as well, is not reset for that. */
static void late_meanwhile(void **st)
{
    (void)st;
    static const char *const options[] = {
        "?error_recovery=2&command_timeout=100ms",
        "?error_recovery=2&connections=2&command_timeout=100ms",
        "?error_recovery=2&command_timeout=50ms",
    };
    for (unsigned i = 0; i < 3; i++) {
        struct rig *rig = rig_start();
        atomic_store(&rig->recovery, 2);
        atomic_store(&rig->time2wait, 1); /* a multiple: it is late again when it has come back */
        world_start(rig, 0, options[i], false);
        until(&world.logged_in, 1);
        wait_connections(i == 1 ? 2 : 1);
        atomic_store(&rig->cut_at, 1);
        struct io io;
        io_start(&io, 0x2a, 3, 1);
        until(&world.pending, 0);
        assert_good(&io);
        assert_int_equal(rig_disk(rig)[3 * 512], 1);
        assert_int_equal(rig->aborts, 0);
        assert_int_equal(rig->resets, 0);
        assert_int_equal(world.lost, 0);
        assert_int_equal(ini_session_stats(world.s)->late, 0);
        assert_int_equal(ini_session_stats(world.s)->drops, 0);
        assert_int_equal(ini_session_stats(world.s)->resent, 0);
        assert_true(ini_session_stats(world.s)->recoveries >= 1);
        end(rig);
    }
}

static bool unreachable; /* for new connections */

int __real_ini_portal_connect(const struct sockaddr_storage *addr, int *ret_fd);
int __wrap_ini_portal_connect(const struct sockaddr_storage *addr, int *ret_fd);

int __wrap_ini_portal_connect(const struct sockaddr_storage *addr, int *ret_fd)
{
    return unreachable ? EHOSTUNREACH : __real_ini_portal_connect(addr, ret_fd);
}

/* One of two connections is lost and can not be made anew: after Time2Wait the other one logs it
 * out, and gets its commands after that of the logout. Nothing else happens on it meanwhile. */
static void on_the_other(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->recovery, 2);
    atomic_store(&rig->time2wait, 1);
    world_start(rig, 0, "?error_recovery=2&connections=2&nop_interval=0s", false);
    until(&world.logged_in, 1);
    wait_connections(2);
    atomic_store(&rig->cut_at, 1);
    struct io io;
    unreachable = true;
    uint64_t begin_ns = clock_now_ns();
    io_start(&io, 0x2a, 3, 1);
    until(&world.pending, 0);
    uint64_t took_ns = clock_now_ns() - begin_ns;
    assert_good(&io);
    assert_int_equal(ini_session_stats(world.s)->resent, 0);
    assert_int_equal(ini_session_connections(world.s), 1);
    assert_in_range(took_ns, 2 * NS_PER_SEC, 3 * NS_PER_SEC);
    unreachable = false;
    wait_connections(2);
    write_and_read(9);
    assert_int_equal(world.lost, 0);
    end(rig);
}

/* The connection is cut once the target has got so many of these requests, which it does not
 * answer. */
static struct rig *cut_after(const atomic_uint *(*which)(const struct rig *rig))
{
    struct rig *rig = begin(2, "?error_recovery=2&command_timeout=200ms");
    struct io io[2];
    atomic_store(&rig->abort_response, -1);
    atomic_store(&rig->reset_response, -1);
    atomic_store(&rig->mute, 1);
    io_start(&io[0], 0x2a, 3, 1);
    uint64_t end_ns = clock_now_ns() + 30 * NS_PER_SEC;
    while (!atomic_load(which(rig)) && clock_now_ns() < end_ns)
        run_for(NS_PER_MS);
    assert_int_equal(atomic_load(which(rig)), 1);
    atomic_store(&rig->abort_response, 0);
    atomic_store(&rig->cut_at, 1);
    io_start(&io[1], 0x28, 4, 1);
    until(&world.pending, 0);
    assert_good(&io[0]);
    assert_good(&io[1]);
    run_for(500 * NS_PER_MS); /* nor later, when there is nothing to wait for any more */
    assert_int_equal(world.lost, 0);
    assert_int_equal(ini_session_stats(world.s)->drops, 0);
    return rig;
}

static const atomic_uint *aborts(const struct rig *rig)
{
    return &rig->aborts;
}

static const atomic_uint *resets(const struct rig *rig)
{
    return &rig->resets;
}

/* The request to abort is lost with the connection: the same. */
static void abort_lost(void **st)
{
    (void)st;
    struct rig *rig = cut_after(aborts);
    assert_int_equal(rig->resets, 0);
    end(rig);
}

/* So is the reset after it: the session is not given up for that. */
static void reset_lost(void **st)
{
    (void)st;
    end(cut_after(resets));
}

/* As much as both want. */
static void agreed(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->recovery, 1);
    world_start(rig, 0, "?error_recovery=2&data_digest=crc32c", false);
    until(&world.logged_in, 1);
    assert_int_equal(ini_session_params(world.s)->error_recovery_level, 1);
    write_and_read(3);
    atomic_store(&rig->cut_at, 1);
    write_and_read(4);
    assert_int_equal(world.lost, 1);
    end(rig);
    end(begin(0, "?error_recovery=0"));
}

/* The session is freed in the middle of its recovery. */
static void freed(void **st)
{
    (void)st;
    for (unsigned ms = 0; ms < 4; ms++) {
        struct rig *rig = begin(2, "?error_recovery=2&connections=2");
        wait_connections(2);
        atomic_store(&rig->cut_at, 1);
        start_load();
        run_for(ms * NS_PER_MS);
        end(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_go_on), cmocka_unit_test(session_is_gone),
        cmocka_unit_test(dropped),        cmocka_unit_test(agreed),
        cmocka_unit_test(late_meanwhile), cmocka_unit_test(on_the_other),
        cmocka_unit_test(abort_lost),     cmocka_unit_test(reset_lost),
        cmocka_unit_test(freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
