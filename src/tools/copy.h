/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying from a store or a stream to another: many requests at a time on several threads, holes
 * and zeroes left out or unmapped where the destination allows, and compared afterwards if wanted.
 *
 * It is done in steps: each is started, and over when copy_fd() becomes readable and
 * copy_step_end() has been called.
 */
#ifndef USAN_TOOLS_COPY_H
#define USAN_TOOLS_COPY_H

#include "base/err.h"
#include "io/loop.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COPY_CHANNELS_MAX = 64,
    COPY_DEPTH_MAX = 1024,
    COPY_CHUNK_MIN = 65536,
};
#define COPY_CHUNK_MAX  (64ull << 20)
#define COPY_MEMORY_MAX (8ull << 30)     /* of the buffers of all requests */
#define COPY_ENDLESS    (UINT64_MAX / 2) /* the size of a stream that is not known */

struct copy_config {
    struct store *from, *to; /* borrowed; NULL: the stream */
    int from_fd, to_fd;
    const char *from_name, *to_name; /* for messages; borrowed */
    uint64_t bytes;                  /* to be copied; COPY_ENDLESS for a stream */
    const uint8_t *tail;             /* what stands behind the last block of `from`, up to bytes */
    bool to_zero;                    /* what is not written in `to` reads as zeroes */
    bool verify;                     /* remember what is needed for that */
    bool differing; /* read `to` first, and write only what differs; not a stream */
    uint32_t channels, threads, depth;
    uint64_t chunk; /* bytes of a request: a power of two, of whole blocks */
    /* Zeroes that long, or a block if that is longer, are left out: a power of two, at most chunk;
     * 0 = never */
    uint64_t sparse;
    struct loop_config loop;
};

struct copy;

enum copy_step { COPY_DATA, COPY_FLUSH, COPY_VERIFY };

struct copy_progress {
    uint64_t done;    /* bytes that are through in this step */
    uint64_t written; /* of them: data */
    uint64_t zeroes;
    uint64_t same; /* was there already: with differing only */
};

USAN_MUST_CHECK
int copy_new(const struct copy_config *cfg, struct copy **ret_copy, struct err_text *e);
/* No step is under way. copy may be NULL. */
void copy_free(struct copy *copy);

void copy_start(struct copy *copy, enum copy_step step);
/* Nothing new is begun; the step ends when what is under way has. */
void copy_cancel(struct copy *copy);
/* Readable: the step is over. */
int copy_fd(const struct copy *copy);
/* How it ended; USAN_ECANCELED, USAN_EMISCOMPARE (the first difference), or what a store says. */
USAN_MUST_CHECK
int copy_step_end(struct copy *copy, struct err_text *e);
/* The step has failed because nobody reads the output stream any more. */
bool copy_reader_left(const struct copy *copy);
/* At any time. */
void copy_progress(const struct copy *copy, struct copy_progress *ret);
/* Bytes that there were to copy; for a stream known when COPY_DATA is over. */
uint64_t copy_bytes(const struct copy *copy);

#endif
