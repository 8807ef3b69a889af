/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one request to a store costs, from store_submit to done, without any network: reads by
 * lending and by copying, writes by granting and by copying, on one loop with some in flight.
 * Lent data is not looked at and "empty" grants build no payload: what is left is the work of the
 * store. Times are processor time: others on the machine disturb less.
 *
 *   store_ram [SPEC]     default ram:1G; null:1G shows the part that is not the store's
 */
#include "measure.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH       32
#define PAYLOAD_MAX ((size_t)512 << 10)

enum how { READ_LEND, READ_COPY, WRITE_GRANT, WRITE_GRANT_EMPTY, WRITE_COPY };

static const char *const how_names[] = {
    [READ_LEND] = "read, lent",       [READ_COPY] = "read, copied",
    [WRITE_GRANT] = "write, granted", [WRITE_GRANT_EMPTY] = "write, granted, empty",
    [WRITE_COPY] = "write, copied",
};

struct run {
    struct loop *loop;
    struct store_channel *ch;
    enum how how;
    size_t len;
    bool sequential;
    uint64_t blocks; /* of len bytes, in the store */
    uint64_t next, random;
    uint64_t todo, in_flight, iovecs;
    int err;
    uint8_t *payload;
    struct loop_work start;
};

struct request {
    struct bio bio;
    struct run *run;
    struct iovec iov;
    uint8_t *buf;
};

static struct request requests[DEPTH];

static uint64_t next_block(struct run *r)
{
    if (r->sequential)
        return r->next++ % r->blocks;
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random % r->blocks;
}

static void submit(struct request *q)
{
    struct run *r = q->run;
    struct bio *bio = &q->bio;
    bio->off = next_block(r) * r->len;
    bio->len = r->len;
    bio->op = r->how <= READ_COPY ? BIO_READ : BIO_WRITE;
    bio->flags = r->how == READ_LEND ? BIO_F_LEND : 0;
    bio->lent = NULL;
    bio->iov = &q->iov;
    bio->iovcnt = r->how == READ_LEND ? 0 : 1;
    if (r->how == WRITE_GRANT || r->how == WRITE_GRANT_EMPTY) {
        r->err |= store_write_grant(r->ch, bio);
        if (r->err)
            bio->lent = NULL;
        uint8_t *from = r->payload;
        for (int i = 0; i < bio->iovcnt && r->how == WRITE_GRANT; i++) {
            memcpy(bio->iov[i].iov_base, from, bio->iov[i].iov_len);
            from += bio->iov[i].iov_len;
        }
        r->iovecs += (uint64_t)bio->iovcnt;
    }
    r->todo--;
    r->in_flight++;
    store_submit(r->ch, bio);
}

static void done(struct bio *bio)
{
    struct request *q = list_entry(bio, struct request, bio);
    struct run *r = q->run;
    r->err |= bio->err;
    if (r->how == READ_LEND && !bio->err) {
        r->iovecs += (uint64_t)bio->iovcnt;
        store_lend_end(r->ch, bio);
    }
    r->in_flight--;
    if (r->todo && !r->err)
        submit(q);
    else if (!r->in_flight)
        loop_stop(r->loop);
}

static void start(struct loop_work *w)
{
    (void)w;
    for (size_t i = 0; i < DEPTH; i++)
        submit(&requests[i]);
}

static int measure(struct run *r, enum how how, size_t len, bool sequential, uint64_t count)
{
    r->how = how;
    r->len = len;
    r->sequential = sequential;
    r->blocks = r->ch->store->info.size_bytes / len;
    r->todo = count;
    r->in_flight = r->iovecs = r->next = 0;
    for (size_t i = 0; i < DEPTH; i++) {
        requests[i].run = r;
        requests[i].bio.done = done;
        requests[i].iov = (struct iovec){ .iov_base = requests[i].buf, .iov_len = len };
    }
    loop_work_init(&r->start, start);
    loop_work_queue(r->loop, &r->start);
    uint64_t t = bench_cpu_self_ns();
    loop_run(r->loop);
    t = bench_cpu_self_ns() - t;
    printf("%-24s %4zuK %-10s %9.1f ns  %7.2f GB/s  %5.1f iovecs\n", how_names[how], len >> 10,
           sequential ? "sequential" : "random", (double)t / (double)count,
           (double)count * (double)len / (double)t, (double)r->iovecs / (double)count);
    if (r->err)
        fprintf(stderr, "%s: %s\n", how_names[how], usan_strerror(r->err));
    return r->err;
}

static int run_all(struct run *r)
{
    static const struct {
        enum how how;
        size_t len;
        bool sequential;
        uint64_t count;
    } steps[] = {
        { WRITE_COPY, (size_t)512 << 10, true, 8192 }, /* fills the store */
        { READ_LEND, 4096, false, 10000000 },
        { READ_COPY, 4096, false, 2000000 },
        { WRITE_GRANT_EMPTY, 4096, true, 5000000 },
        { READ_LEND, (size_t)512 << 10, true, 100000 },
        { READ_COPY, (size_t)512 << 10, true, 8192 },
        { WRITE_COPY, (size_t)512 << 10, true, 8192 },
        { WRITE_GRANT, (size_t)512 << 10, true, 8192 },
        { WRITE_GRANT_EMPTY, (size_t)512 << 10, true, 100000 },
        { WRITE_COPY, 4096, false, 2000000 },
        { WRITE_GRANT, 4096, false, 2000000 },
        { WRITE_GRANT_EMPTY, 4096, false, 5000000 },
        /* the pages are all over the place now */
        { READ_LEND, (size_t)512 << 10, true, 20000 },
        { WRITE_GRANT, (size_t)512 << 10, true, 8192 },
        { WRITE_GRANT_EMPTY, (size_t)512 << 10, true, 20000 },
        { READ_LEND, (size_t)512 << 10, true, 20000 },
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (measure(r, steps[i].how, steps[i].len, steps[i].sequential, steps[i].count))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct err_text e = { "" };
    struct store *s;
    struct run r = { .random = 0x9e3779b97f4a7c15u };
    struct loop_config cfg = { .poll = LOOP_POLL_NEVER, .cpu = -1 };
    if (store_open_spec(argc > 1 ? argv[1] : "ram:1G", false, &s, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    r.payload = calloc(DEPTH + 1, PAYLOAD_MAX);
    if (!r.payload || loop_new(&cfg, &r.loop, &e) || store_channel_open(s, r.loop, &r.ch)) {
        fprintf(stderr, "cannot start %s\n", e.text);
        return 1;
    }
    for (size_t i = 0; i < DEPTH; i++)
        requests[i].buf = r.payload + (i + 1) * PAYLOAD_MAX;
    int rc = run_all(&r);
    store_channel_close(r.ch);
    store_close(s);
    loop_free(r.loop);
    free(r.payload);
    return rc;
}
