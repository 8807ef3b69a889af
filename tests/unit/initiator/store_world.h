/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The initiator's side of a test of stores: a loop on this thread and one channel. */
#ifndef USAN_TEST_STORE_WORLD_H
#define USAN_TEST_STORE_WORLD_H

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum { STORE_BLOCK = 512 };

struct store_world {
    struct loop *loop;
    struct loop_timer guard;
    struct store *store;
    struct store_channel *ch;
    unsigned pending;
    bool late;
};

extern struct store_world sw;

/* Open the store and a channel. */
void sw_begin(const char *spec);
void sw_end(void);
/* Until nothing is pending; for so long. */
void sw_wait(void);
void sw_run_for(uint64_t ns);
void sw_start(struct bio *bio);
/* One request of that many blocks; its result. */
int sw_run(enum bio_op op, uint32_t flags, uint64_t block, uint64_t blocks, void *data);
/* The next command with this operation code does not get into a session: there is no memory. */
void sw_fail_submit(uint8_t opcode);
bool sw_submit_failed(void);
/* What its statistics say behind the name; "" if it is not there. */
struct sw_text {
    char s[512];
};
struct sw_text sw_stat(const char *name);

#endif
