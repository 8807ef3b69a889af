/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole program in the process of a test, with two reactors. */
#ifndef USAN_TESTS_UNIT_TARGET_PROGRAM_H
#define USAN_TESTS_UNIT_TARGET_PROGRAM_H

#include "target/config.h"
#include "target/reactor.h"
#include "target/registry.h"
#include "target/target.h"

#include <pthread.h>
#include <stdint.h>

#define TARGET_A "iqn.2025-01.com.example:a"
#define TARGET_B "iqn.2025-01.com.example:b"
#define GONE     "iqn.2025-01.com.example:gone"
#define HOST     "iqn.2025-01.com.example:host"

enum tmf { ABORT_TASK = 1, LU_RESET = 5, WARM_RESET = 6, COLD_RESET = 7, REASSIGN = 8, QUERY = 9 };
enum tmf_rsp { COMPLETE = 0, NO_TASK = 1, NO_LUN = 2, NO_REASSIGN = 4, NO_FUNCTION = 5 };

struct program {
    struct tgt_config cfg;
    struct tgt *tgt;
    pthread_t thread; /* 0: it has ended */
    uint16_t port;
    int result; /* of tgt_run */
};

/* Before there are threads: the program waits for these signals. */
void program_block_signals(void);
/* Set-up and tear-down of a group: the file that is LUN 2. */
int program_make_file(void **state);
int program_remove_file(void **state);

/* Target a: LUN 0 memory, LUN 1 memory whose requests take 300 ms, LUN 2 a file, which
 * needs buffers. Target b: memory. Target gone: redirected. */
void program_configure(struct tgt_config *c);
/* Serve p->cfg; fills the rest. */
void program_start(struct program *p);
/* Returns what tgt_run returned; frees everything (which asserts that nothing is left). */
int program_stop(struct program *p);

/* Set-up and tear-down of a test: *state is a struct program that runs. */
int program_setup(void **state);
int program_teardown(void **state);
#define PROGRAM_TEST(fn) cmocka_unit_test_setup_teardown(fn, program_setup, program_teardown)

/* Sessions end a moment after their connections. */
void program_wait_for_sessions(struct program *p, uint32_t count);
/* Sockets of connections, on both reactors. */
unsigned program_connections(const struct program *p);
uint64_t now_ms(void);

#endif
