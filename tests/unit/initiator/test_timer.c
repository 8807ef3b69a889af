/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Timers that can not be set: a session says so, and goes on. loop_timer_set() is wrapped. */
#include "session_world.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static unsigned fail_next; /* so many, but for the test's own timer */

int __real_loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t deadline_ns);
int __wrap_loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t deadline_ns);

int __wrap_loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t deadline_ns)
{
    if (fail_next && loop == world.loop && t != &world.guard && deadline_ns != TIME_NEVER) {
        fail_next--;
        return USAN_ENOMEM;
    }
    return __real_loop_timer_set(loop, t, deadline_ns);
}

/* The timer of a connection: that one is given up at once instead of never noticing anything. */
static void of_a_connection(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "?nop_interval=50ms&nop_timeout=20s&command_timeout=0s", false);
    until(&world.logged_in, 1);
    run_for(20 * NS_PER_MS);
    fail_next = 1; /* when the NOP-Out is sent */
    until(&world.lost, 1);
    assert_int_equal(fail_next, 0);
    assert_non_null(strstr(ini_session_error(world.s), "out of memory for a timer"));
    until(&world.logged_in, 2);
    write_and_read(1);
    world_stop();
    rig_stop(rig);
}

/* The timer of the logins: without it nothing would ever come of them. */
static void of_logins(void **st)
{
    (void)st;
    struct rig *rig = rig_start();
    world_start(rig, 0, "?command_timeout=0s", false);
    until(&world.logged_in, 1);
    rig_down(rig);
    struct io io;
    io_start(&io, 0x28, 1, 0);
    fail_next = 1;
    until(&world.pending, 0);
    assert_int_not_equal(io.cmd.scsi.err, 0);
    assert_int_equal(world.failed, 1);
    assert_non_null(strstr(ini_session_error(world.s), "out of memory for a timer"));
    world_stop();
    rig_up(rig);
    rig_stop(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_connection),
        cmocka_unit_test(of_logins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
