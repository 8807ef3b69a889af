/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writes a crash filter holds, oldest first. Blocks that a later durable write has replaced,
 * or that a crash has lost, are dead: they are not read and not written to the store below.
 * No locks, no I/O.
 */
#ifndef USAN_STORE_CRASH_CACHE_H
#define USAN_STORE_CRASH_CACHE_H

#include "base/bio.h"

#include <stddef.h>

enum crash_mode { CRASH_RANDOM, CRASH_DROP, CRASH_KEEP, CRASH_TEAR, CRASH_GARBLE };

struct crash_write {
    struct list node;
    uint64_t seq;
    uint64_t off, len;
    uint8_t *data;
    uint8_t *dead; /* one byte a block */
};

struct crash_cache {
    struct list writes;
    uint32_t block_bytes;
    uint32_t sector_bytes; /* what a crash leaves whole; a multiple of block_bytes */
    uint64_t bytes;
    uint64_t last_seq;
};

/* How a crash went; in blocks. */
struct crash_toll {
    uint64_t kept, lost, garbled;
};

void crash_cache_init(struct crash_cache *c, uint32_t block_bytes, uint32_t sector_bytes);
void crash_cache_fini(struct crash_cache *c);

/* A copy of the data of a WRITE bio becomes the newest write. ENOMEM. */
int crash_cache_add(struct crash_cache *c, const struct bio *bio);
void crash_cache_remove(struct crash_cache *c, struct crash_write *w);
/* The oldest write; NULL when there is none. */
struct crash_write *crash_cache_oldest(const struct crash_cache *c);

/* Blocks of the range in writes up to seq are dead: the store below has newer ones. */
void crash_cache_kill(struct crash_cache *c, uint64_t off, uint64_t len, uint64_t seq);

/* Is there anything cached of the range? */
bool crash_cache_touches(const struct crash_cache *c, uint64_t off, uint64_t len);
/* Copy what is cached of the range to data, and mark those blocks in have (one byte a block). */
void crash_cache_read(const struct crash_cache *c, uint64_t off, uint64_t len, uint8_t *data,
                      uint8_t *have);
/* Is off cached? Then and otherwise, how far does that go, at most len? */
bool crash_cache_run(const struct crash_cache *c, uint64_t off, uint64_t len, uint64_t *ret_run);

/* The next live blocks of the write from *pos on; false when there are none. */
bool crash_write_live(const struct crash_cache *c, const struct crash_write *w, uint64_t *pos,
                      uint64_t *ret_len);

/* Power is lost: what happens to each write. */
void crash_cache_strike(struct crash_cache *c, enum crash_mode mode, uint64_t *random,
                        struct crash_toll *toll);

#endif
