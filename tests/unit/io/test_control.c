/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control thread: signals that come to its loop, and what a second wish to stop means. */
#include "io/control.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct heard {
    struct control c;
    int number[8];
    unsigned count, want;
};

static void on_signal(struct control *c, int number)
{
    struct heard *h = list_entry(c, struct heard, c);
    h->number[h->count++] = number;
    if (h->count == h->want)
        loop_stop(c->loop);
}

static void signals(void **state)
{
    (void)state;
    static const int sent[] = { SIGUSR1, SIGHUP, SIGTERM, SIGINT };
    struct heard h = { .want = 4 };
    struct err_text e = { "" };
    sigset_t set;
    sigemptyset(&set);
    for (unsigned i = 0; i < 4; i++)
        sigaddset(&set, sent[i]);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(control_open(&h.c, true, &e), 0);
    h.c.on_signal = on_signal;
    assert_int_equal(control_start(&h.c, &e), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(kill(getpid(), sent[i]), 0);
    loop_run(h.c.loop);
    unsigned seen = 0; /* in no order that could be relied on */
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 4; j++)
            seen |= h.number[i] == sent[j] ? 1u << j : 0;
    }
    assert_int_equal(seen, 15);
    control_end(&h.c);
    control_close(&h.c);
    control_close(&h.c);
}

static void of_others(void **state)
{
    (void)state;
    struct control c;
    struct err_text e = { "" };
    assert_int_equal(control_open(&c, false, &e), 0);
    assert_int_equal(c.lfd.fd, -1);
    assert_int_equal(control_start(&c, &e), 0);
    control_end(&c);
    control_close(&c);
}

static void told_twice(void **state)
{
    (void)state;
    struct control c = { .loop = NULL };
    assert_int_equal(control_told_to_stop(&c), CONTROL_STOP);
    assert_int_equal(control_told_to_stop(&c), CONTROL_HEARD);
    c.stopping_ns -= 501 * NS_PER_MS;
    assert_int_equal(control_told_to_stop(&c), CONTROL_STOP_AT_ONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals),
        cmocka_unit_test(of_others),
        cmocka_unit_test(told_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
