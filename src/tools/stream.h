/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard input and output as an end of a copy: a thread that reads or writes one after the other
 * what requests ask for in any order. A request is handed back with a message to its loop.
 */
#ifndef USAN_TOOLS_STREAM_H
#define USAN_TOOLS_STREAM_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct stream;

/* In place from stream_push() until msg.deliver is called, on the thread of the loop. */
struct stream_req {
    struct loop_msg msg;
    struct loop *loop;
    uint8_t *buf; /* NULL: len zeroes are to be written */
    uint64_t cap; /* reading: room in buf */
    uint64_t off; /* writing: where it belongs; reading: where it was */
    uint64_t len; /* reading: what came; less than cap only at the end of the input */
    int errnum;   /* with err, the system's code; 0: there is none */
    int err;      /* 0 or USAN_E...; USAN_ECLOSED: the stream was stopped, or failed before */
    struct list node;
};

/* fd is borrowed. */
USAN_MUST_CHECK
int stream_new(int fd, bool writes, struct stream **ret_stream, struct err_text *e);
/* All requests come back soon: no more is read or written. From any thread. */
void stream_stop(struct stream *s);
/* Nothing is being asked for. s may be NULL. */
void stream_free(struct stream *s);
/* From any thread. Writes wait until all that belongs before them is written. */
void stream_push(struct stream *s, struct stream_req *req);

#endif
