/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every test of the loop runs on both engines: struct fixture is what such a test gets. */
#ifndef USAN_TESTS_IO_LOOP_FIXTURE_H
#define USAN_TESTS_IO_LOOP_FIXTURE_H

#include "io/clock.h"
#include "io/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct loop_config cfg;
    struct loop *loop;
    struct loop_timer guard; /* ends a test that hangs */
};

static void guard_fired(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop still runs after 60 s");
}

static struct loop *fixture_loop_new(const struct fixture *f)
{
    struct err_text e = { "" };
    struct loop *loop = NULL;
    int rc = loop_new(&f->cfg, &loop, &e);
    if (rc)
        print_error("loop_new: %s\n", e.text);
    assert_int_equal(rc, 0);
    return loop;
}

/* *state is the const struct loop_config of the group; replaced by a fixture. */
static int fixture_setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    f->cfg = *(const struct loop_config *)*state;
    if (f->cfg.engine == LOOP_ENGINE_URING) {
        struct loop *probe = NULL;
        if (loop_new(&f->cfg, &probe, NULL)) {
            test_free(f);
            *state = NULL;
            return 0;
        }
        loop_free(probe);
    }
    f->loop = fixture_loop_new(f);
    loop_timer_init(&f->guard, guard_fired);
    assert_int_equal(loop_timer_set(f->loop, &f->guard, clock_now_ns() + 60 * NS_PER_SEC), 0);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    if (!f)
        return 0;
    loop_timer_cancel(f->loop, &f->guard);
    loop_free(f->loop);
    test_free(f);
    return 0;
}

/* One entry per engine and polling mode. */
#define ON(fn, e, p, text)                                                                         \
    {                                                                                              \
#fn " " text, fn, fixture_setup, fixture_teardown, &(struct loop_config)                   \
        {                                                                                          \
            .engine = LOOP_ENGINE_##e, .poll = LOOP_POLL_##p, .cpu = -1                            \
        }                                                                                          \
    }
#define ON_BOTH(fn, p, text) ON(fn, URING, p, "io_uring " text), ON(fn, EPOLL, p, "epoll " text)
#define ON_ALL(fn)                                                                                 \
    ON_BOTH(fn, NEVER, "never"), ON_BOTH(fn, AUTO, "auto"), ON_BOTH(fn, ALWAYS, "always")

/* The fixture of a test; where io_uring is closed the test is skipped. */
static struct fixture *fixture_get(void **state)
{
    if (!*state) {
        print_message("# skipped: io_uring is closed on this machine\n");
        skip(); /* does not return */
        abort();
    }
    return *state;
}

#endif
