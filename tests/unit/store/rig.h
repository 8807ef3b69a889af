/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store with a channel on a loop, and requests that a test can wait for. */
#ifndef USAN_TESTS_STORE_RIG_H
#define USAN_TESTS_STORE_RIG_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct rig {
    struct loop *loop;
    struct store *store;
    struct store_channel *ch;
    unsigned outstanding;
};

/* A request; free to be used again when it is done. */
struct io {
    struct bio bio;
    struct rig *rig;
    bool done;
    uint64_t done_ns;
    struct iovec iov;
};

/* Fails the test when the store cannot be opened. */
void rig_open(struct rig *r, const char *spec, enum loop_engine_kind engine);
/* As above with a store the test has opened, which stays the test's. */
void rig_open_on(struct rig *r, struct store *s, enum loop_engine_kind engine);
void rig_close(struct rig *r);
/* false: this engine is not to be had here. */
bool rig_engine_works(enum loop_engine_kind engine);

/* Start the request in io->bio; its done function is the rig's. */
void rig_submit(struct rig *r, struct io *io);
/* Run the loop until nothing is outstanding. */
void rig_wait(struct rig *r);
/* Start, wait, return bio->err. */
int rig_do(struct rig *r, struct io *io);

int rig_write(struct rig *r, uint64_t off, const void *data, size_t len, uint32_t flags);
int rig_read(struct rig *r, uint64_t off, void *data, size_t len);
/* FLUSH, UNMAP, WRITE_ZEROES. */
int rig_op(struct rig *r, enum bio_op op, uint64_t off, uint64_t len, uint32_t flags);
int rig_status(struct rig *r, uint64_t off, uint64_t len, bool *ret_mapped, uint64_t *ret_run);

/* The value of "key value" in the statistics of the store; fails the test if there is none. */
uint64_t rig_stat(struct rig *r, const char *key);

/* Bytes that tell where they belong and which version they are. */
void pattern(void *data, size_t len, uint64_t off, uint64_t version);
/* xorshift64*: the next number; *state is not 0. */
uint64_t next_random(uint64_t *state);

#endif
