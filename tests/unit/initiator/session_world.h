/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The initiator's side of a test of sessions: a loop on this thread, and what the session said. */
#ifndef USAN_TEST_SESSION_WORLD_H
#define USAN_TEST_SESSION_WORLD_H

#include "initiator/session.h"
#include "target_rig.h"

struct world {
    struct loop *loop;
    struct loop_timer guard;
    struct ini_session *s;
    unsigned logged_in, lost, timed_out, failed;
    unsigned pending; /* commands */
    unsigned checks;
    void (*check)(struct ini_session *s); /* NULL: none */
    bool late;
};

extern struct world world;

/* A session with the rig's portal, or with the given one. */
void world_start(const struct rig *rig, unsigned portal, const char *options, bool retry);
void world_start_at(const struct rig *rig, const struct ini_portal *where, const char *options,
                    bool retry);
void world_stop(void);
/* Run until *what has the value; every event stops the loop once. */
void until(const unsigned *what, unsigned value);
/* Run for so long. */
void run_for(uint64_t ns);

struct io {
    struct ini_cmd cmd;
    uint8_t cdb[16];
    uint8_t sense[64];
    struct iovec iov;
    uint8_t data[1024];
};

/* READ(10), WRITE(10) or COMPARE AND WRITE of one block. */
void io_start(struct io *io, uint8_t opcode, uint32_t lba, uint8_t byte);
void assert_good(const struct io *io);
void write_and_read(unsigned lba);

#endif
