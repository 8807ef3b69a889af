/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a test can do with the fake loop beyond the loop's interface. */
#ifndef USAN_TESTS_STORE_FAKE_LOOP_H
#define USAN_TESTS_STORE_FAKE_LOOP_H

#include "io/loop.h"

void fake_loop_advance(struct loop *loop, uint64_t ns);
/* The next `count` timers cannot be set. */
void fake_loop_fail_timers(struct loop *loop, unsigned count);

#endif
