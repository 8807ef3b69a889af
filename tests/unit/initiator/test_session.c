/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions against a target that redirects, refuses, disappears and comes back. */
#include "initiator/sync.h"
#include "session_world.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- tests ---- */

static void login_and_io(void **st)
{
    static const char *const options[] = { "", "?header_digest=crc32c&data_digest=crc32c",
                                           "?header_digest=crc32c-none&queue_depth=1" };
    (void)st;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct rig *rig = rig_start();
        world_start(rig, 0, options[i], false);
        until(&world.logged_in, 1);
        assert_true(ini_session_up(world.s));
        assert_int_equal(ini_session_params(world.s)->header_digest, i > 0);
        assert_int_equal(ini_session_params(world.s)->data_digest, i == 1);
        write_and_read(7);
        struct io io[40];
        for (unsigned k = 0; k < 40; k++)
            io_start(&io[k], k % 2 ? 0x28 : 0x2a, k, 9);
        until(&world.pending, 0);
        for (unsigned k = 0; k < 40; k++)
            assert_good(&io[k]);
        world_stop();
        rig_stop(rig);
    }
}

/* The connection is cut at each of the first commands, before it is carried out or after. */
static void lost_and_back(void **st)
{
    (void)st;
    for (int cut = 1; cut <= 12; cut++) {
        struct rig *rig = rig_start();
        atomic_store(&rig->cut_after, cut % 2 == 0);
        atomic_store(&rig->cut_at, cut);
        world_start(rig, 0, "", false);
        struct io io[16];
        for (unsigned k = 0; k < 16; k++)
            io_start(&io[k], k % 2 ? 0x28 : 0x2a, k, (uint8_t)(k + 1));
        until(&world.pending, 0);
        for (unsigned k = 0; k < 16; k++)
            assert_good(&io[k]);
        assert_int_equal(world.logged_in, 2);
        assert_int_equal(world.lost, 1);
        assert_int_equal(ini_session_stats(world.s)->losses, 1);
        assert_int_equal(ini_session_stats(world.s)->logins, 2);
        assert_true(ini_session_stats(world.s)->resent > 0);
        assert_non_null(strstr(ini_session_error(world.s), RIG_TARGET ": the connection ended"));
        for (unsigned k = 0; k < 16; k += 2) /* the last write of each block is ours */
            assert_int_equal(rig_disk(rig)[k * 512], k + 1);
        write_and_read(100);
        world_stop();
        rig_stop(rig);
    }
}

/* RFC 7143 13.15: an old session is reinstated no sooner than Time2Wait after its connection broke.
 */
static void time_to_wait(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->time2wait, 1);
    world_start(rig, 0, "", false);
    until(&world.logged_in, 1);
    assert_int_equal(ini_session_params(world.s)->time2wait, 1);
    atomic_store(&rig->cut_at, 1);
    struct io io;
    io_start(&io, 0x28, 0, 0);
    until(&world.lost, 1);
    uint64_t lost = loop_now(world.loop);
    until(&world.pending, 0);
    assert_good(&io);
    assert_true(clock_now_ns() - lost >= NS_PER_SEC);
    world_stop();
    rig_stop(rig);
}

/* What may not be done twice comes back with an error, and has been done once at most. */
static void never_again(void **st)
{
    (void)st;
    for (unsigned after = 0; after < 2; after++) {
        struct rig *rig = rig_start();
        atomic_store(&rig->cut_after, after);
        world_start(rig, 0, "", false);
        until(&world.logged_in, 1);
        atomic_store(&rig->cut_at, 1);
        struct io io;
        io_start(&io, 0x89, 5, 0);
        until(&world.pending, 0);
        assert_int_equal(io.cmd.scsi.err, USAN_ECLOSED);
        assert_non_null(io.cmd.scsi.why);
        until(&world.logged_in, 2);
        assert_int_equal(ini_session_stats(world.s)->resent, 0);
        assert_int_equal(rig->log_count, after);
        write_and_read(5);
        world_stop();
        rig_stop(rig);
    }
}

/* A command waits for the session for so long and no longer; the session comes back all the same.
 */
static void time_out(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "?reconnect_timeout=400ms", false);
    until(&world.logged_in, 1);
    write_and_read(1);
    rig_down(rig);
    uint64_t start = clock_now_ns();
    struct io io;
    io_start(&io, 0x2a, 2, 1);
    until(&world.pending, 0);
    uint64_t took = clock_now_ns() - start;
    assert_int_equal(io.cmd.scsi.err, USAN_ETIMEOUT);
    assert_non_null(strstr(io.cmd.scsi.why, "did not come back"));
    assert_true(took >= 300 * NS_PER_MS);
    assert_int_equal(world.timed_out, 1);
    assert_non_null(strstr(ini_session_error(world.s), "cannot connect: Connection refused"));

    /* From now on at once: one of several does not take its time, whatever this machine does. */
    took = TIME_NEVER;
    for (unsigned i = 0; i < 20 && took >= 300 * NS_PER_MS; i++) {
        start = clock_now_ns();
        io_start(&io, 0x28, 2, 0);
        until(&world.pending, 0);
        assert_int_not_equal(io.cmd.scsi.err, 0);
        took = time_min(took, clock_now_ns() - start);
    }
    assert_true(took < 300 * NS_PER_MS);
    rig_up(rig);
    until(&world.logged_in, 2);
    write_and_read(3);
    world_stop();
    rig_stop(rig);
}

/* The same without any login before. The first attempt has its own time, whatever that of commands
 * is. */
static void never_up(void **st)
{
    (void)st;
    struct io io;
    struct rig *rig = rig_start();
    rig_down(rig);
    world_start(rig, 0, "?reconnect_timeout=100ms&login_timeout=3600s", true);
    io_start(&io, 0x28, 2, 0);
    until(&world.pending, 0);
    assert_int_equal(io.cmd.scsi.err, USAN_ETIMEOUT);
    assert_int_equal(world.timed_out, 1);
    rig_up(rig);
    until(&world.logged_in, 1);
    write_and_read(3);
    world_stop();

    world_start(rig, 0, "?reconnect_timeout=0s", true);
    io_start(&io, 0x28, 2, 0);
    until(&world.pending, 0);
    assert_good(&io);
    assert_int_equal(world.timed_out, 0);
    world_stop();
    rig_stop(rig);
}

/* Down and up again within the time: nobody notices. */
static void restart(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "", false);
    until(&world.logged_in, 1);
    rig_down(rig);
    struct io io[8];
    for (unsigned k = 0; k < 8; k++)
        io_start(&io[k], 0x2a, k, 3);
    until(&world.lost, 1);
    rig_up(rig);
    until(&world.pending, 0);
    for (unsigned k = 0; k < 8; k++)
        assert_good(&io[k]);
    world_stop();
    rig_stop(rig);
}

/* The target stays silent with the connection open. */
static void silence(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "?nop_interval=100ms&nop_timeout=100ms&login_timeout=300ms", false);
    until(&world.logged_in, 1);
    atomic_store(&rig->freeze, true);
    struct io io;
    io_start(&io, 0x28, 2, 0);
    until(&world.lost, 1);
    assert_non_null(strstr(ini_session_error(world.s), "no answer to a NOP-Out"));
    atomic_store(&rig->freeze, false);
    until(&world.pending, 0);
    assert_good(&io);
    world_stop();
    rig_stop(rig);
}

static void fails(const struct rig *rig, unsigned portal, const char *options, int code,
                  const char *says)
{
    world_start(rig, portal, options, false);
    struct io io;
    io_start(&io, 0x28, 2, 0);
    until(&world.failed, 1);
    until(&world.pending, 0);
    assert_int_equal(io.cmd.scsi.err, code);
    assert_int_equal(ini_session_error_code(world.s), code);
    if (!strstr(ini_session_error(world.s), says))
        fail_msg("'%s' does not say '%s'", ini_session_error(world.s), says);
    assert_non_null(strstr(ini_session_error(world.s), "127.0.0.1:"));
    world_stop();
}

static void refused(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->portals[0].refuse, 0x0203);
    fails(rig, 0, "", USAN_ENOENT, "login refused: ");
    atomic_store(&rig->portals[0].refuse, 0x0301);
    fails(rig, 0, "", USAN_EBUSY, "login refused: ");
    rig_down(rig);
    fails(rig, 1, "", USAN_EIO, "cannot connect: Connection refused");
    rig_up(rig);
    atomic_store(&rig->freeze, true);
    fails(rig, 2, "?login_timeout=200ms", USAN_ETIMEOUT, "timed out");
    rig_stop(rig);
}

static void authentication(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    rig->user = "alice";
    rig->secret = "twelve-bytes-or-more";
    rig_touched(rig);
    fails(rig, 0, "?user=alice&password=another-long-secret", USAN_EAUTH, "login refused: ");
    fails(rig, 0, "", USAN_EAUTH, "");
    world_start(rig, 0, "?user=alice&password=twelve-bytes-or-more", false);
    until(&world.logged_in, 1);
    write_and_read(1);
    world_stop();

    /* the target has to prove itself, and can not; then it can */
    fails(rig, 0,
          "?user=alice&password=twelve-bytes-or-more&target_user=bob&target_password="
          "the-secret-of-the-target",
          USAN_EAUTH, "");
    rig->target_user = "bob";
    rig->target_secret = "a-false-target-secret";
    rig_touched(rig);
    fails(rig, 0,
          "?user=alice&password=twelve-bytes-or-more&target_user=bob&target_password="
          "the-secret-of-the-target",
          USAN_EAUTH, "");
    rig->target_secret = "the-secret-of-the-target";
    rig_touched(rig);
    world_start(rig, 0,
                "?user=alice&password=twelve-bytes-or-more&target_user=bob&target_password="
                "the-secret-of-the-target",
                false);
    until(&world.logged_in, 1);
    write_and_read(1);
    world_stop();
    rig_stop(rig);
}

/* Elsewhere for this time: every login starts where the first one did. */
static void redirect_temporary(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->portals[0].redirect_to, 1);
    world_start(rig, 0, "", false);
    until(&world.logged_in, 1);
    write_and_read(1);
    assert_int_equal(rig->portals[0].connections, 1);
    assert_int_equal(rig->portals[1].logins, 1);
    atomic_store(&rig->portals[0].redirect_to, 2);
    atomic_store(&rig->cut_at, 1);
    struct io io;
    io_start(&io, 0x28, 1, 0);
    until(&world.pending, 0);
    assert_good(&io); /* a read may go to the new address */
    assert_int_equal(rig->portals[0].connections, 2);
    assert_int_equal(rig->portals[2].logins, 1);

    /* a write that may still be under way at the old one may not */
    atomic_store(&rig->portals[0].redirect_to, 1);
    atomic_store(&rig->cut_at, 1);
    io_start(&io, 0x2a, 1, 0);
    until(&world.pending, 0);
    assert_int_equal(io.cmd.scsi.err, USAN_EIO);
    assert_non_null(strstr(io.cmd.scsi.why, "another address"));
    write_and_read(2);
    world_stop();
    rig_stop(rig);
}

static void redirect_permanent(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->portals[0].redirect_to, 1);
    atomic_store(&rig->portals[0].permanent, true);
    atomic_store(&rig->portals[1].redirect_to, 2);
    atomic_store(&rig->portals[1].permanent, true);
    world_start(rig, 0, "", false);
    until(&world.logged_in, 1);
    assert_int_equal(ini_session_stats(world.s)->redirects, 2);
    atomic_store(&rig->cut_at, 1);
    struct io io;
    io_start(&io, 0x2a, 1, 0);
    until(&world.pending, 0);
    assert_good(&io);
    assert_int_equal(rig->portals[0].connections, 1);
    assert_int_equal(rig->portals[1].connections, 1);
    assert_int_equal(rig->portals[2].logins, 2);
    world_stop();
    rig_stop(rig);
}

static void redirect_in_a_circle(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->portals[0].redirect_to, 1);
    atomic_store(&rig->portals[1].redirect_to, 2);
    atomic_store(&rig->portals[2].redirect_to, 1);
    fails(rig, 0, "", USAN_EPROTO, "redirected in a circle, back to 127.0.0.1:");
    atomic_store(&rig->portals[0].redirect_to, 0);
    fails(rig, 0, "", USAN_EPROTO, "redirected in a circle");
    rig_stop(rig);
}

/* What a target says ends in logs and on terminals: one line, and nothing that moves a cursor. */
static void redirect_nowhere(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    atomic_store(&rig->portals[0].redirect_to, 1);
    atomic_store(&rig->portals[0].redirect_text, "x\nfoo\033[2J\177:bad");
    fails(rig, 0, "", USAN_EPROTO, "redirected to 'x?foo?[2J?:bad', which is no address");
    rig_stop(rig);
}

/* The first login is tried again if the owner likes. */
static void patient_start(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    rig_down(rig);
    world_start(rig, 0, "", true);
    struct io io;
    io_start(&io, 0x28, 1, 0);
    for (unsigned i = 0; i < 3; i++) { /* it has time to fail */
        assert_int_equal(loop_timer_set(world.loop, &world.guard, clock_now_ns() + 50 * NS_PER_MS),
                         0);
        loop_run(world.loop);
        world.late = false;
    }
    assert_int_equal(world.logged_in, 0);
    assert_int_equal(world.failed, 0);
    rig_up(rig);
    until(&world.pending, 0);
    assert_good(&io);
    world_stop();
    rig_stop(rig);
}

static void discovery(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    struct ini_url url;
    struct ini_sync *sync;
    struct ini_targets t;
    struct err_text e = { "" };
    char text[64];
    snprintf(text, sizeof(text), "iscsi://127.0.0.1:%u", rig->portals[0].port);
    assert_int_equal(ini_url_parse(text, &url, &e), 0);
    assert_int_equal(ini_sync_open(&url, &sync, &e), 0);
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(ini_sync_targets(sync, &t, &e), 0);
        assert_int_equal(t.count, 2);
        assert_string_equal(t.v[0].name, RIG_TARGET);
        assert_int_equal(t.v[0].address_count, 2);
        assert_non_null(strstr(t.v[0].addresses[1], ",2"));
        assert_string_equal(t.v[1].name, RIG_TARGET "2");
        assert_int_equal(t.v[1].address_count, 1);
        ini_targets_fini(&t);
    }
    ini_sync_close(sync);
    rig_down(rig);
    assert_int_equal(ini_sync_open(&url, &sync, &e), USAN_EIO);
    assert_non_null(strstr(e.text, "cannot connect: Connection refused"));
    rig_stop(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_and_io),
        cmocka_unit_test(lost_and_back),
        cmocka_unit_test(time_to_wait),
        cmocka_unit_test(never_again),
        cmocka_unit_test(time_out),
        cmocka_unit_test(never_up),
        cmocka_unit_test(restart),
        cmocka_unit_test(silence),
        cmocka_unit_test(refused),
        cmocka_unit_test(authentication),
        cmocka_unit_test(redirect_temporary),
        cmocka_unit_test(redirect_permanent),
        cmocka_unit_test(redirect_in_a_circle),
        cmocka_unit_test(redirect_nowhere),
        cmocka_unit_test(patient_start),
        cmocka_unit_test(discovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
