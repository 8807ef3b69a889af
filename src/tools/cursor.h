/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a store is still to be worked on: pieces are taken from the front by several threads.
 * What one of them has found out about holes spares the others the question.
 */
#ifndef USAN_TOOLS_CURSOR_H
#define USAN_TOOLS_CURSOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum cursor_kind {
    CURSOR_UNKNOWN, /* ask, and learn; nobody else is asked to until then */
    CURSOR_DATA,    /* or not known, while somebody asks */
    CURSOR_HOLE,    /* reads as zeroes; may be much longer than a chunk */
};

struct cursor_piece {
    enum cursor_kind kind;
    uint64_t off, len;
};

struct cursor {
    pthread_mutex_t lock;
    uint64_t next, end;
    uint64_t unit, chunk, hole_max;
    /* A run that is known; empty at first. */
    uint64_t run_from, run_to;
    bool run_mapped;
    bool asking;
};

/* Pieces begin and end at multiples of unit or at end; of data they end at multiples of chunk,
 * holes are no longer than hole_max. These are multiples of unit, and none is 0. */
void cursor_init(struct cursor *c, uint64_t end, uint64_t unit, uint64_t chunk, uint64_t hole_max);
void cursor_fini(struct cursor *c);
/* The next piece; false: nothing is left. */
bool cursor_take(struct cursor *c, struct cursor_piece *ret);
/* [off, off + len) is mapped, or not; a piece that is so in part counts as mapped. off is where a
 * piece begins. */
void cursor_learn(struct cursor *c, uint64_t off, uint64_t len, bool mapped);
/* Nothing from off on is of interest any more. */
void cursor_cut(struct cursor *c, uint64_t off);

#endif
