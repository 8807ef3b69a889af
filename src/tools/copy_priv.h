/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef USAN_TOOLS_COPY_PRIV_H
#define USAN_TOOLS_COPY_PRIV_H

#include "tools/copy.h"
#include "tools/crew.h"
#include "tools/cursor.h"
#include "tools/stream.h"

#include <pthread.h>
#include <stdatomic.h>

/* A request at a time. What it does next is a function: true, go on at once; false, it waits or is
 * idle. */
struct copy_slot {
    struct copy_worker *w;
    bool (*next)(struct copy_slot *s);
    struct bio bio;
    struct iovec iov;
    struct stream_req stream;
    const char *what; /* the request that is under way, for messages */
    const char *name; /* of what it was sent to */
    uint64_t off, len;
    uint64_t padded;    /* len up to the end of a block of `to` */
    uint64_t pos;       /* up to there it is written */
    uint64_t piece;     /* what is being written */
    bool zero;          /* it is zeroes */
    bool hole;          /* all of it reads as zeroes, and is not in buf */
    bool same;          /* what is there already is what is to be written */
    uint8_t *buf, *cmp; /* chunk bytes each; cmp with verify and differing only */
};

struct copy_worker {
    struct copy *copy;
    struct loop *loop;
    struct store_channel *from, *to;
    struct loop_msg start;
    struct copy_slot *slots;
};

struct copy {
    struct copy_config cfg;
    struct crew *crew;
    struct cursor cursor;
    struct stream *in, *out;
    int fd;
    uint64_t unit;
    unsigned workers;
    struct copy_worker v[COPY_CHANNELS_MAX];

    enum copy_step step;
    atomic_uint active; /* slots that work, and copy_start() */
    atomic_bool halted; /* cancelled, or failed */
    atomic_ullong done, written, zeroes, same;

    pthread_mutex_t lock; /* of what follows */
    uint64_t bytes;
    int err;
    bool left; /* nobody reads the output any more */
    struct err_text why;
    uint64_t differs;  /* the first difference; UINT64_MAX = none */
    uint32_t *digests; /* of the chunks of a stream */
    size_t digest_count;
};

/* Begin with the step: as s->next. */
bool copy_slot_begin(struct copy_slot *s);
void copy_slot_drive(struct copy_slot *s);
void copy_slot_arrived(struct loop_msg *m);

/* copy_verify.c: s->next of a slot whose data or hole was read. */
bool copy_slot_compare(struct copy_slot *s);
/* The digest of a chunk that came from a stream. */
USAN_MUST_CHECK
int copy_remember(struct copy *c, const struct copy_slot *s);

/* copy_slot.c, for copy_verify.c */
bool copy_slot_submit(struct copy_slot *s, struct store_channel *ch, enum bio_op op, uint8_t *buf,
                      uint64_t len, bool (*next)(struct copy_slot *s));
bool copy_slot_read(struct copy_slot *s);
bool copy_slot_take(struct copy_slot *s);
bool copy_slot_idle(struct copy_slot *s);

/* The first failure counts. */
void copy_failed(struct copy *c, int err, const char *what, const char *name, uint64_t off);
void copy_stream_failed(struct copy *c, const struct stream_req *r, const char *what,
                        const char *name);

#endif
