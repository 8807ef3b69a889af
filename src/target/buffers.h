/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that peers can make us use: data buffers of a reactor, by size class (powers of two), and
 * bytes that others allocated and are only counted here, with a hard limit for the whole program
 * and a share for each session.
 *
 * Getting and putting touch only the reactor's own lists and counters. The shared limit counts
 * every byte taken from the system, buffers kept for reuse included; it is touched only when memory
 * is really taken or given back, and counted bytes are taken in larger pieces.
 *
 * The share: an account may hold at most twice what is still free. So an account alone is free to
 * use half of the memory and never gets more than two thirds of it, n greedy ones get 2/(2n+1)
 * each, and there is always something left for one that comes later. An account that holds nothing
 * is only bound by the hard limit: a command that needs more than the share is late, not never.
 */
#ifndef USAN_TARGET_BUFFERS_H
#define USAN_TARGET_BUFFERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TGT_BUFFERS_MIN_SHIFT = 12, /* smallest class: 4 KiB, one page */
    TGT_BUFFERS_MAX_SHIFT = 24, /* largest: 16 MiB, the longest transfer a LUN accepts */
    TGT_BUFFERS_CLASSES = TGT_BUFFERS_MAX_SHIFT - TGT_BUFFERS_MIN_SHIFT + 1,
    TGT_BUFFERS_PIECE = 256 * 1024,    /* what counted bytes are taken from the shared limit in */
    TGT_BUFFERS_CREDIT_MAX = 16 << 20, /* of them kept, for the next ones */
};

/* Shared by all reactors; initialise with max_bytes and 0. */
struct tgt_memory {
    uint64_t max_bytes; /* constant */
    _Atomic uint64_t taken_bytes;
};

/* Count bytes in; false when that would exceed the limit. */
bool tgt_memory_take(struct tgt_memory *m, uint64_t bytes);
/* The share (see above): may who holds `held` bytes have so many more, when `kept` bytes of those
 * taken can be given up? */
static inline bool tgt_memory_allows(const struct tgt_memory *m, uint64_t held, uint64_t kept,
                                     uint64_t bytes)
{
    if (held == 0)
        return true;
    uint64_t taken = atomic_load_explicit(&m->taken_bytes, memory_order_relaxed);
    uint64_t room = m->max_bytes - taken + kept;
    return bytes <= room && (held + bytes) / 2 <= room - bytes;
}
void tgt_memory_give(struct tgt_memory *m, uint64_t bytes);

struct tgt_buffers {
    struct tgt_memory *memory; /* borrowed */
    void *free[TGT_BUFFERS_CLASSES];
    uint64_t used_bytes;   /* handed out, or counted */
    uint64_t credit_bytes; /* taken from the limit, but nothing is behind them */
    uint64_t cached_bytes; /* in the free lists, and the credit */
    uint64_t cached_max;   /* above this, what is put is given back to the system */
};

/* Whose memory it is: one for each session; on one reactor. Starts as 0. Those of a session that
 * is on several reactors have a total, which the share is measured by. */
struct tgt_account {
    uint64_t held_bytes;
    _Atomic uint64_t *total; /* borrowed; NULL: there are no others */
};

/* memory is borrowed; outlives the object. */
void tgt_buffers_init(struct tgt_buffers *b, struct tgt_memory *memory, uint64_t cached_max);
/* Asserts that every buffer was put and every charge taken back. */
void tgt_buffers_fini(struct tgt_buffers *b);

/* In all that follow, account may be NULL: then nobody's share is looked at. */

/* At least `bytes` bytes, aligned to a page, content undefined; *ret_cap is what to put it with.
 * NULL when the limit or the account's share is reached, the system has none, or it is more than
 * the largest class. */
void *tgt_buffers_get(struct tgt_buffers *b, struct tgt_account *account, size_t bytes,
                      size_t *ret_cap);
/* buf may be NULL. cap is what get returned, account the same as then. */
void tgt_buffers_put(struct tgt_buffers *b, struct tgt_account *account, void *buf, size_t cap);

/* Count bytes that somebody else allocates or lends; false when there are not so many left. */
bool tgt_buffers_charge(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes);
void tgt_buffers_uncharge(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes);
/* Charged bytes are no longer counted here, but stay taken from the shared limit: whoever has them
 * gives them back there (tgt_memory_give). */
void tgt_buffers_hand_over(struct tgt_buffers *b, struct tgt_account *account, uint64_t bytes);

#endif
