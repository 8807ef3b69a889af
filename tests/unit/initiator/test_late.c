/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that a target never answers, and looks at the unit after a login. */
#include "session_world.h"

#include "base/bytes.h"
#include "initiator/status.h"
#include "io/clock.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Soon, but not so soon that a machine that is held up is late. */
#define SOON "?command_timeout=400ms&login_timeout=1500ms"

static struct rig *begin(const char *options)
{
    struct rig *rig = rig_start();
    world_start(rig, 0, options, false);
    until(&world.logged_in, 1);
    return rig;
}

static void end(struct rig *rig)
{
    world_stop();
    rig_stop(rig);
}

/* A command is lost by the target: aborted, sent once more, and nobody notices. */
static void aborted(void **st)
{
    (void)st;
    struct rig *rig = begin(SOON);
    struct io io[3];
    atomic_store(&rig->mute, 2);
    for (unsigned i = 0; i < 3; i++)
        io_start(&io[i], i == 1 ? 0x2a : 0x28, i, (uint8_t)(7 + i));
    until(&world.pending, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_good(&io[i]);
    assert_int_equal(rig_disk(rig)[512], 8);
    assert_int_equal(rig->muted, 1);
    assert_int_equal(rig->aborts, 1);
    assert_int_equal(rig->resets, 0);
    assert_int_equal(world.lost, 0);
    assert_int_equal(ini_session_stats(world.s)->late, 1);
    assert_int_equal(ini_session_stats(world.s)->resent, 1);

    /* What may not be done twice is an error, and is known to have ended. */
    atomic_store(&rig->mute, 1);
    io_start(&io[0], 0x89, 9, 0);
    until(&world.pending, 0);
    assert_int_equal(io[0].cmd.scsi.err, USAN_ETIMEOUT);
    assert_non_null(strstr(io[0].cmd.scsi.why, "command_timeout"));
    assert_true(io[0].cmd.dead);
    assert_int_equal(rig->aborts, 2);

    /* One that is never answered is given up after its second time. */
    unsigned muted = atomic_load(&rig->muted);
    io_start(&io[0], 0x28, 9, 0);
    atomic_store(&rig->mute, 1);
    for (uint64_t until_ns = clock_now_ns() + 30 * NS_PER_SEC;
         atomic_load(&rig->muted) == muted && clock_now_ns() < until_ns;)
        run_for(5 * NS_PER_MS);
    atomic_store(&rig->mute, 1);
    until(&world.pending, 0);
    assert_int_equal(io[0].cmd.scsi.err, USAN_ETIMEOUT);
    assert_int_equal(rig->aborts, 4);
    write_and_read(20);
    end(rig);
}

/* It refuses to abort, or does not answer that either: the unit is reset, and those that this ends
 * as well are sent again. */
static void reset(void **st)
{
    (void)st;
    static const int refusals[] = { 5, -1 };
    for (unsigned i = 0; i < 2; i++) {
        struct rig *rig = begin(SOON);
        struct io io[2];
        atomic_store(&rig->abort_response, refusals[i]);
        atomic_store(&rig->mute, 1);
        io_start(&io[0], 0x2a, 3, 1);
        run_for(50 * NS_PER_MS);
        assert_int_equal(rig->muted, 1);
        atomic_store(&rig->mute, 1);
        io_start(&io[1], 0x28, 4, 2);
        until(&world.pending, 0);
        assert_good(&io[0]);
        assert_good(&io[1]);
        assert_int_equal(rig->aborts, 1);
        assert_int_equal(rig->resets, 1);
        assert_int_equal(rig->muted, 2);
        assert_int_equal(world.lost, 0);
        assert_int_equal(ini_session_stats(world.s)->resets, 1);
        end(rig);
    }
}

/* Nothing helps: a new session ends what the old one had. */
static void dropped(void **st)
{
    (void)st;
    static const int refusals[] = { 5, -1 };
    for (unsigned i = 0; i < 2; i++) {
        struct rig *rig = begin(SOON);
        struct io io;
        atomic_store(&rig->abort_response, refusals[i]);
        atomic_store(&rig->reset_response, refusals[i]);
        atomic_store(&rig->mute, 1);
        io_start(&io, 0x2a, 3, 1);
        until(&world.lost, 1);
        assert_non_null(strstr(ini_session_error(world.s), "neither answered nor aborted"));
        until(&world.pending, 0);
        assert_good(&io);
        assert_int_equal(world.logged_in, 2);
        assert_int_equal(ini_session_stats(world.s)->drops, 1);
        end(rig);
    }
}

/* A long queue at a slow disk is none that hangs: nothing is aborted while the oldest goes on. */
static void slow(void **st)
{
    (void)st;
    struct rig *rig = begin("?command_timeout=1s&queue_depth=1");
    struct io io[8];
    rig_slow(rig, 200); /* ms each: 1.6 s in all */
    for (unsigned i = 0; i < 8; i++)
        io_start(&io[i], 0x28, i, 0);
    until(&world.pending, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_good(&io[i]);
    assert_int_equal(ini_session_stats(world.s)->late, 0);
    end(rig);
}

/* ---- looking at the unit ---- */

static struct io probe;
static enum ini_checked verdict;

static void probed(struct ini_cmd *cmd)
{
    if (cmd->scsi.err == 0)
        ini_session_checked(world.s, verdict, "it is not what it was");
}

static void look(struct ini_session *s)
{
    memset(&probe, 0, sizeof(probe));
    probe.cmd.scsi.cdb = probe.cdb; /* TEST UNIT READY */
    probe.cmd.scsi.cdb_len = 6;
    probe.cmd.scsi.sense = probe.sense;
    probe.cmd.scsi.sense_cap = sizeof(probe.sense);
    probe.cmd.probe = true;
    probe.cmd.done = probed;
    ini_session_submit(s, &probe.cmd);
}

/* Commands wait for the end of the check, after the first login and after each other one. */
static void checked(void **st)
{
    (void)st;
    struct io io[4];
    world.check = look;
    verdict = INI_CHECK_GOOD;
    struct rig *rig = rig_start();
    world_start(rig, 0, "", true);
    io_start(&io[0], 0x2a, 1, 1);
    until(&world.pending, 0);
    assert_good(&io[0]);
    assert_int_equal(world.checks, 1);
    assert_int_equal(world.logged_in, 1);

    /* Not there: it logs in again and again, until it is. */
    verdict = INI_CHECK_LATER;
    atomic_store(&rig->cut_at, 2);
    for (unsigned i = 0; i < 4; i++)
        io_start(&io[i], 0x2a, 5 + i, 2);
    until(&world.checks, 3);
    assert_false(ini_session_up(world.s));
    assert_int_not_equal(world.pending, 0);
    verdict = INI_CHECK_GOOD;
    until(&world.pending, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_good(&io[i]);
    assert_int_equal(world.logged_in, 2);

    /* Another one: nothing goes to it, now or later. */
    verdict = INI_CHECK_OTHER;
    atomic_store(&rig->cut_at, 1);
    io_start(&io[0], 0x2a, 30, 3);
    until(&world.pending, 0);
    assert_int_equal(io[0].cmd.scsi.err, USAN_EIO);
    assert_non_null(strstr(ini_session_error(world.s), "it is not what it was"));
    until(&world.failed, 1);
    io_start(&io[0], 0x28, 30, 3);
    until(&world.pending, 0);
    assert_int_equal(io[0].cmd.scsi.err, USAN_EIO);
    assert_int_equal(rig_disk(rig)[30 * 512], 0);
    end(rig);
    world.check = NULL;
}

/* The session is lost in the middle of a check: the next login brings another one. */
static void check_lost(void **st)
{
    (void)st;
    struct io io;
    world.check = look;
    verdict = INI_CHECK_GOOD;
    struct rig *rig = rig_start();
    atomic_store(&rig->cut_at, 1);
    world_start(rig, 0, "", true);
    io_start(&io, 0x28, 1, 1);
    until(&world.pending, 0);
    assert_good(&io);
    assert_int_equal(world.checks, 2);
    assert_int_equal(world.logged_in, 1);
    end(rig);
    world.check = NULL;
}

/* What does not wait for a session is told at once, and whether the target may have seen it. */
static void once(void **st)
{
    (void)st;
    struct rig *rig = begin("");
    struct io io;
    atomic_store(&rig->cut_at, 1);
    io_start(&io, 0x2a, 1, 1);
    io.cmd.once = true; /* looked at when it is lost */
    until(&world.pending, 0);
    assert_int_equal(io.cmd.scsi.err, USAN_ECLOSED);
    assert_true(io.cmd.scsi.sent);
    assert_false(io.cmd.dead);
    until(&world.logged_in, 2);
    write_and_read(3);
    end(rig);
}

/* ---- addresses ---- */

/* A port whose queue of connections is full: nothing is answered there. */
static uint16_t deaf_port(int fds[4])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    assert_int_equal(getsockname(fds[0], (struct sockaddr *)&at, &len), 0);
    for (unsigned i = 1; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)&at, sizeof(at));
    }
    return ntohs(at.sin_port);
}

/* The first address of a host does not answer: the second one has its time as well, although
 * commands do not wait for sessions to come back. */
static void second_address(void **st)
{
    (void)st;
    int fds[4];
    struct rig *rig = rig_start();
    struct ini_portal where, other;
    assert_int_equal(ini_portal_resolve("127.0.0.1", deaf_port(fds), &where, NULL), 0);
    assert_int_equal(ini_portal_resolve("127.0.0.1", rig->portals[0].port, &other, NULL), 0);
    where.addrs[where.count++] = other.addrs[0];
    world_start_at(rig, &where, "?login_timeout=300ms&reconnect_timeout=0s", false);
    struct io io;
    io_start(&io, 0x2a, 1, 1);
    until(&world.pending, 0);
    assert_good(&io);
    assert_int_equal(world.timed_out, 0);
    assert_int_equal(world.logged_in, 1);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    end(rig);
}

/* ---- ISIDs ---- */

static void isids(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    uint64_t seen[4];
    for (unsigned i = 0; i < 2; i++) { /* the same one again; the lowest two bytes count */
        world_start(rig, 0, "", false);
        until(&world.logged_in, 1);
        seen[i] = atomic_load(&rig->isid);
        world_stop();
    }
    assert_true(seen[0] == seen[1]);
    assert_int_equal(seen[0] >> 40, 0x80);
    assert_int_equal(seen[0] & 0xffff, 0);
    struct world first;
    for (unsigned i = 0; i < 2; i++) {
        world_start(rig, 0, "?isid=00023d01ffff", false);
        until(&world.logged_in, 1);
        seen[2 + i] = atomic_load(&rig->isid);
        if (i == 0)
            first = world;
    }
    assert_true(seen[2] == 0x00023d01ffff);
    assert_true(seen[3] == 0x00023d010000);
    world_stop();
    world = first;
    world_stop();
    rig_stop(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aborted), cmocka_unit_test(reset),          cmocka_unit_test(dropped),
        cmocka_unit_test(slow),    cmocka_unit_test(checked),        cmocka_unit_test(check_lost),
        cmocka_unit_test(once),    cmocka_unit_test(second_address), cmocka_unit_test(isids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
