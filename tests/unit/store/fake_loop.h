/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a test can do with the fake loop beyond the loop's interface. */
#ifndef USAN_TESTS_STORE_FAKE_LOOP_H
#define USAN_TESTS_STORE_FAKE_LOOP_H

#include "io/loop.h"

/* Do the next thing there is to do; false: there is none. For tests with several loops. */
bool fake_loop_step(struct loop *loop);
void fake_loop_advance(struct loop *loop, uint64_t ns);
/* The next `count` timers cannot be set. */
void fake_loop_fail_timers(struct loop *loop, unsigned count);
/* One of the next file operations of this kind, in the order of the calls of this function, ends
 * with res < 0 without being done, or after res > 0 bytes. */
void fake_loop_file_result(struct loop *loop, enum loop_file_op op, int64_t res);
/* Operations done since the last call of this function, as letters: r w s f, and W for a write with
 * RWF_DSYNC. */
const char *fake_loop_file_trace(struct loop *loop);

#endif
