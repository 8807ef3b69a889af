/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What filters have in common: the request they send to the store below in place of the one they
 * were given, lends and grants handed through, lists of operations and a seeded random source.
 *
 * A filter's channel begins with a struct filter_channel. Which ops it takes from here and which
 * it writes itself is up to the filter.
 */
#ifndef USAN_STORE_FILTER_H
#define USAN_STORE_FILTER_H

#include "store/store.h"

struct filter_channel;

struct filter_req {
    struct bio bio; /* what the store below sees; a copy of *up that holds its grant */
    struct bio *up; /* what the filter was given */
    struct filter_channel *fc;
    /* for the filter */
    struct list node;
    struct loop_timer timer;
    uint64_t ns;
    void *priv;
    /* while it is spare */
    struct filter_req *next;
};

struct filter_channel {
    struct store_channel ch;
    struct filter_req *spare;
};

/* What a filter can do if it hands everything through. */
struct store_info filter_info(const struct store *lower);

/* Ops of filters whose channel is a struct filter_channel and whose store holds nothing to free. */
void filter_close(struct store *s);
int filter_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch);
void filter_channel_close(struct store_channel *ch);

/* For the others. Opens the channel of the store below; fc is zero-filled. */
int filter_channel_init(struct filter_channel *fc, struct store *s, struct loop *loop);
void filter_channel_fini(struct filter_channel *fc);

/* NULL: out of memory; then the filter calls filter_refuse(). A grant moves into the copy. */
struct filter_req *filter_req_get(struct store_channel *ch, struct bio *up);
/* Submit to the store below. `done` gets &req->bio. */
void filter_send(struct filter_req *req, void (*done)(struct bio *bio));
/* Complete req->up with the results of req->bio and this error. */
void filter_finish(struct filter_req *req, int err);
/* As filter_finish() for a request that is not sent: a grant is given back. */
void filter_fail(struct filter_req *req, int err);
/* Complete a request without a copy; a grant is given back. */
void filter_refuse(struct store_channel *ch, struct bio *up, int err);
/* Op: hands the cancellation of a request on that was sent, and has its turn later with one that
 * was not. */
int filter_cancel(struct store_channel *ch, struct bio *up);
/* For `done`: finish with the result of the store below. */
void filter_passed(struct bio *bio);

/* Ops that hand a lend or grant through. */
void filter_lend_end(struct store_channel *ch, struct bio *bio);
int filter_write_grant(struct store_channel *ch, struct bio *bio);
void filter_write_revoke(struct store_channel *ch, struct bio *bio);

/* "read/write", "all": names of operations to a mask of 1 << BIO_...; EINVAL. */
#define FILTER_OPS_HELP "all, or of read/write/flush/unmap/zero/compare/status"
USAN_MUST_CHECK
int filter_parse_ops(const char *text, uint32_t *ret_mask);
const char *filter_op_name(enum bio_op op);

/* The next number of a sequence that the initial *state determines. Thread-safe. */
uint64_t filter_random(uint64_t *state);
/* True in `ppb` of a thousand million cases. */
bool filter_chance(uint64_t *state, uint32_t ppb);

#endif
