/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One context with one disk, on a target in this process or on memory, and results that are kept.
 */
#ifndef USAN_TESTS_LIB_WORLD_H
#define USAN_TESTS_LIB_WORLD_H

#include "../initiator/target_rig.h"

#include <usan/usan.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define B 512u

struct world {
    struct rig *rig;
    struct usan_ctx *ctx;
    enum usan_mode mode;
    struct usan_disk *disk;
    char url[256];
    atomic_uint events[USAN_EVENT_PATH + 1];
};

/* A result, kept. */
struct kept {
    atomic_uint calls;
    uint64_t id;
    int code;
    struct usan_error error;
    char text[512];
    struct usan_disk *disk;
    struct usan_scsi_result scsi;
    uint8_t sense[64];
    int tmf_response;
    unsigned targets;
    char target[224];
};

extern struct world w;
extern uint8_t data[64 * B], back[64 * B];
/* Options that count the events. */
extern const struct usan_open_options watched;

double seconds(void);
/* One turn of the program's loop. */
void turn(void);
void wait_for(const atomic_uint *what, unsigned count);
void keep(void *user, const struct usan_result *r);
/* The request was begun (err 0) and ends with its code. */
int ended(int err, struct kept *k);
void says(const char *text, const char *words);

void begin(enum usan_mode mode, unsigned threads);
/* The same with a disk of the rig. */
void begin_rig(enum usan_mode mode, const char *options);
/* The same with filters in front of it: "stats+". */
void begin_filtered(enum usan_mode mode, const char *filters, const char *options);
void close_disk(void);
void end(void);
enum usan_mode mode_of(void **st);

/* Pattern in `data`. */
void fill(unsigned seed);
/* Write or read, and wait. */
int rw(bool write, void *buf, size_t len, uint64_t off, unsigned flags, struct kept *k);

extern const enum usan_mode loop, queue, reactors;

/* A test in one mode, and in each. */
#define IN(f, mode)                                                                                \
    {                                                                                              \
#f " " #mode, f, NULL, NULL, (void *)(uintptr_t) & (mode)                                  \
    }
#define IN_ALL(f) IN(f, loop), IN(f, queue), IN(f, reactors)

#endif
